//! Values as producers mostly write them: texts without escapes, whole numbers of few digits, objects written like the
//! one before. Positions go in and come out, nothing is kept, and whatever is not in its common form is `None`: the
//! [`Cursor`](super::cursor::Cursor) reads it, and says what is wrong with it if anything is.

use std::num::NonZeroUsize;

use wide::u8x16;

/// Where a value ends, if it was in its common form; no value ends where a text begins.
pub(super) type End = Option<NonZeroUsize>;

/// Bytes to be found again: the first sixteen are compared at once.
pub(super) struct Pattern {
    head: u128,
    mask: u128,
    bytes: Box<[u8]>,
}

impl Pattern {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let (mut head, mut mask) = ([0; 16], [0; 16]);
        for ((head, mask), byte) in head.iter_mut().zip(&mut mask).zip(bytes) {
            (*head, *mask) = (*byte, 0xff);
        }
        Self { head: u128::from_le_bytes(head), mask: u128::from_le_bytes(mask), bytes: bytes.into() }
    }

    /// Where it ends if it stands exactly here.
    #[inline]
    pub(super) fn end_at(&self, text: &[u8], at: usize) -> Option<usize> {
        let rest = text.get(at..)?;
        let found = match rest.split_first_chunk() {
            Some((block, rest)) => {
                let differs = (u128::from_le_bytes(*block) ^ self.head) & self.mask != 0;
                !differs && self.bytes.get(16..).is_none_or(|tail| rest.starts_with(tail))
            }
            None => rest.starts_with(&self.bytes),
        };
        found.then(|| at + self.bytes.len())
    }
}

/// A text in quotes, without escapes, and where it ends.
#[inline]
pub(super) fn text(text: &str, at: usize) -> Option<(&str, usize)> {
    let (first, rest) = text.as_bytes().get(at..)?.split_first()?;
    if *first != b'"' {
        return None;
    }
    let end = at + 1 + length(rest);
    if text.as_bytes().get(end) != Some(&b'"') {
        return None;
    }
    Some((text.get(at + 1..end)?, end + 1))
}

/// A whole number of at most 18 digits, without fraction and exponent, and where it ends.
#[inline]
pub(super) fn integer(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let is_negative = text.get(at) == Some(&b'-');
    let first = at + usize::from(is_negative);
    let (mut value, mut end) = (0, first);
    while end - first <= 8
        && let Some(block) = text.get(end..).and_then(<[u8]>::first_chunk::<8>)
    {
        let (digits, eight) = leading_digits(u64::from_le_bytes(*block));
        value = value * POWERS_OF_TEN[digits] + eight;
        end += digits;
        if digits < 8 {
            break;
        }
    }
    while end - first < 18
        && let Some(byte @ b'0'..=b'9') = text.get(end)
    {
        value = value * 10 + i64::from(byte - b'0');
        end += 1;
    }
    let has_leading_zero = end - first > 1 && text[first] == b'0';
    let goes_on = matches!(text.get(end), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'-' | b'+'));
    if end == first || has_leading_zero || goes_on {
        return None;
    }
    Some((if is_negative { -value } else { value }, end))
}

/// Where a number without exponent ends.
#[inline]
pub(super) fn number_end(text: &[u8], at: usize) -> Option<usize> {
    let digits =
        |from: usize| text.get(from..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count());
    let first = at + usize::from(text.get(at) == Some(&b'-'));
    let whole = digits(first);
    if whole == 0 || (whole > 1 && text[first] == b'0') {
        return None;
    }
    let mut end = first + whole;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        end += 1 + fraction;
        if fraction == 0 {
            return None;
        }
    }
    (!matches!(text.get(end), Some(b'e' | b'E'))).then_some(end)
}

/// Powers that eight digits need.
const POWERS_OF_TEN: [i64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// How many of eight bytes are digits before the first that is none, and the number that they make. The arithmetic is
/// on all bytes at once: the first byte is the lowest.
#[inline]
fn leading_digits(word: u64) -> (usize, i64) {
    let values = word ^ 0x3030_3030_3030_3030;
    // A byte of ten or more gets its high bit; what is carried from there reaches only bytes after it.
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let digits = (others.trailing_zeros() / 8) as usize;
    if digits == 0 {
        return (0, 0);
    }
    // As if zeros stood in front, so that there are eight; then pairs, then fours.
    let ones = values << (64 - 8 * digits);
    let pairs = (ones & 0x0f00_0f00_0f00_0f00) >> 8;
    let pairs = (ones & 0x000f_000f_000f_000f) * 10 + pairs;
    let fours = (pairs & 0x0000_00ff_0000_00ff) * 100 + ((pairs >> 16) & 0x0000_00ff_0000_00ff);
    let eight = (fours & 0xffff) * 10_000 + (fours >> 32);
    (digits, eight.cast_signed())
}

/// How many bytes come before the first quote, backslash or control character.
#[inline]
pub(super) fn length(bytes: &[u8]) -> usize {
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        if let Some(at) = first_special(block) {
            return index * BLOCK + at;
        }
    }
    let plain = tail.iter().take_while(|byte| **byte >= 0x20 && !matches!(**byte, b'"' | b'\\')).count();
    blocks.len() * BLOCK + plain
}

const BLOCK: usize = 16;

#[inline]
fn first_special(block: &[u8; BLOCK]) -> Option<usize> {
    let block = u8x16::new(*block);
    let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    let special = block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\')) | control;
    let special = special.to_bitmask();
    (special != 0).then_some(special.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILLERS: [u8; 11] = [b'a', b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff, 0xa2, 0xdc];
    const STOPS: [u8; 5] = [b'"', b'\\', 0, 0x1f, b'\n'];

    #[test]
    fn length_agrees_with_a_byte_at_a_time() {
        for stop in STOPS {
            for plain in 0..70 {
                for filler in FILLERS {
                    let mut bytes = vec![filler; plain];
                    assert_eq!(length(&bytes), plain, "filler {filler}");
                    bytes.extend([stop, b'"', b'\\', 0, 1, 2, 3, 4, 5]);
                    assert_eq!(length(&bytes), plain, "stop {stop} filler {filler}");
                }
            }
        }
    }

    #[test]
    fn integers_are_those_that_parse() {
        let tails = ["", ",", "}", " ", ".", "e1", "-", "x", "\"", "abcdefghi"];
        let numbers = (0..20).flat_map(|digits| {
            let digits: String = "12345678901234567890".chars().take(digits).collect();
            [digits.clone(), format!("-{digits}"), format!("0{digits}"), format!("{digits}0000")]
        });
        for (number, tail) in numbers.flat_map(|number| tails.map(|tail| (number.clone(), tail))) {
            let text = format!("[{number}{tail}");
            let digits = number.trim_start_matches('-');
            let is_common = (1..=18).contains(&digits.len())
                && (digits == "0" || !digits.starts_with('0'))
                && !tail.starts_with(['.', 'e', '-']);
            let expected = is_common.then(|| (number.parse().unwrap(), number.len() + 1));
            assert_eq!(integer(text.as_bytes(), 1), expected, "{text}");
        }
    }

    #[test]
    fn patterns_are_found_where_they_stand() {
        let text = b"{\"a\": 1, \"a longer name than that\" : 2}";
        for (from, to) in [(0, 6), (7, 36), (0, text.len()), (text.len() - 1, text.len())] {
            let pattern = Pattern::new(&text[from..to]);
            for at in 0..text.len() + 2 {
                assert_eq!(pattern.end_at(text, at), (at == from).then_some(to), "{from}..{to} at {at}");
            }
        }
    }
}
