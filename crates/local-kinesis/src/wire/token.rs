//! Opaque tokens that carry all their state, so that the server keeps none: JSON before a checksum, in base64. So they
//! begin with a letter: a command line would take one that begins with `-` for an option.
//!
//! The checksum finds damage, not forgery: a token allows nothing that a request without it would not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use md5::{Digest, Md5};
use serde::Serialize;
use serde::de::DeserializeOwned;

const CHECKSUM_BYTES: usize = 8;

/// Writes a token.
pub(super) fn seal(content: &impl Serialize) -> String {
    let mut bytes = serde_json::to_vec(content).expect("tokens hold numbers and text");
    bytes.extend(checksum(&bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token; `None` if it is not one that `seal` wrote.
pub(super) fn open<T: DeserializeOwned>(token: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    (*sum == checksum(content)).then(|| serde_json::from_slice(content).ok())?
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest: [u8; 16] = Md5::digest(content).into();
    *digest.first_chunk().expect("a digest has 16 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_what_was_changed_does_not() {
        let token = seal(&("s", 7));
        assert_eq!(open::<(String, u8)>(&token), Some(("s".to_owned(), 7)));
        for bad in ["", "A", "AAAA", &token[1..], &token[..token.len() - 2], &token.replace(&token[12..14], "zz")] {
            assert_eq!(open::<(String, u8)>(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_begins_with_a_letter() {
        for number in 0..1000 {
            for token in [seal(&number), seal(&("s", number)), seal(&serde_json::json!({ "at": number }))] {
                let first = token.chars().next();
                assert!(first.is_some_and(char::is_alphabetic), "{token}");
            }
        }
    }
}
