//! States as bytes: CBOR, then a checksum, so that what was damaged is noticed before it is used.

use serde::Serialize;
use serde::de::DeserializeOwned;

const CHECKSUM_BYTES: usize = 4;

/// Why a state cannot be loaded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("the saved state of {len} bytes is damaged: its checksum does not fit")]
    Checksum { len: usize },
    #[error("the saved state cannot be read: {0}")]
    Form(String),
    #[error("the saved state is of other parameters: {0}")]
    Parameters(String),
}

pub(crate) fn save<T: Serialize>(state: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(state, &mut bytes).expect("a state has only what CBOR has, and memory takes it");
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

pub(crate) fn load<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LoadError> {
    let damaged = LoadError::Checksum { len: bytes.len() };
    let Some((state, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else { return Err(damaged) };
    if crc32fast::hash(state) != u32::from_le_bytes(*checksum) {
        return Err(damaged);
    }
    ciborium::from_reader(state).map_err(|error| LoadError::Form(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_loads_and_what_is_damaged_does_not() {
        let bytes = save(&(1_u32, vec![0.5_f64, f64::MIN], "a"));
        assert_eq!(load::<(u32, Vec<f64>, String)>(&bytes), Ok((1, vec![0.5, f64::MIN], "a".to_owned())));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert_eq!(load::<(u32, Vec<f64>, String)>(&damaged), Err(LoadError::Checksum { len: bytes.len() }));
            assert!(load::<(u32, Vec<f64>, String)>(&bytes[..at]).is_err());
        }
        assert!(matches!(load::<Vec<u32>>(&bytes), Err(LoadError::Form(_))));
    }
}
