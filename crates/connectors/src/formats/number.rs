//! Numbers from text, exactly: whole numbers, floating-point numbers and decimals.

/// Powers of ten that a 64-bit float holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A whole number. `1.0` and `1e3` are whole too; `1.5` is not.
pub(crate) fn integer(text: &str) -> Option<i128> {
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    let (digits, scale) = scaled(text)?;
    match scale {
        0.. => {
            let divisor = 10i128.checked_pow(u32::try_from(scale).ok()?)?;
            (digits % divisor == 0).then_some(digits / divisor)
        }
        _ => digits.checked_mul(10i128.checked_pow(scale.unsigned_abs())?),
    }
}

/// The nearest 64-bit float; never infinite or not a number.
pub(crate) fn float(text: &str) -> Option<f64> {
    short_float(text).or_else(|| {
        let spelled = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        text.parse().ok().filter(|value: &f64| spelled && value.is_finite())
    })
}

/// Clinger's fast path: few digits over an exact power of ten divide without a rounding of their own.
fn short_float(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if unsigned.is_empty() || unsigned.len() > 16 {
        return None;
    }
    let (mut mantissa, mut point) = (0u64, None);
    for (at, byte) in unsigned.iter().enumerate() {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() && at > 0 => point = Some(at),
            _ => return None,
        }
    }
    let fraction = point.map_or(0, |at| unsigned.len() - at - 1);
    if mantissa > 1 << 53 || (point.is_some() && fraction == 0) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 2^53, checked above")]
    let value = mantissa as f64 / EXACT_POWERS.get(fraction)?;
    Some(if negative { -value } else { value })
}

/// A decimal of `scale` digits after the point, as the whole number of its last digit's units. Further digits round
/// half away from zero; what needs more than `precision` digits is refused.
pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (digits, found) = scaled(text)?;
    rescaled(digits, found, precision, scale)
}

/// As [`decimal`], but refuses a number with further digits.
pub(crate) fn exact_decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mut digits, mut found) = scaled(text)?;
    while found > i32::from(scale) && digits != 0 {
        if digits % 10 != 0 {
            return None;
        }
        (digits, found) = (digits / 10, found - 1);
    }
    rescaled(digits, found, precision, scale)
}

/// `digits / 10^found` in units of `1 / 10^scale`.
fn rescaled(digits: i128, found: i32, precision: u8, scale: i8) -> Option<i128> {
    let by = i32::from(scale) - found;
    let value = if by >= 0 {
        if digits == 0 { 0 } else { digits.checked_mul(10i128.checked_pow(by.unsigned_abs())?)? }
    } else {
        match 10i128.checked_pow(by.unsigned_abs()) {
            None => 0,
            Some(divisor) => {
                let (quotient, rest) = (digits / divisor, digits % divisor);
                if rest.unsigned_abs() >= divisor.unsigned_abs().div_ceil(2) {
                    quotient + digits.signum()
                } else {
                    quotient
                }
            }
        }
    };
    (value.unsigned_abs() < 10u128.checked_pow(u32::from(precision))?).then_some(value)
}

/// A number as `digits / 10^scale`. Refuses what has more digits than fit.
fn scaled(text: &str) -> Option<(i128, i32)> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (mut digits, mut scale, mut seen_point, mut seen_digit) = (0i128, 0i32, false, false);
    for byte in unsigned.bytes() {
        match byte {
            b'0'..=b'9' => {
                digits = digits.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                scale += i32::from(seen_point);
                seen_digit = true;
            }
            b'.' if !seen_point => seen_point = true,
            _ => return None,
        }
    }
    let scale = scale.checked_sub(exponent)?;
    seen_digit.then_some((if negative { -digits } else { digits }, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-5", Some(-5)),
            ("1.0", Some(1)),
            ("1e3", Some(1000)),
            ("1.5", None),
            ("1.5e1", Some(15)),
            ("18446744073709551615", Some(18_446_744_073_709_551_615)),
            ("", None),
            ("abc", None),
            ("1e400", None),
            ("-", None),
            ("1e-400", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn floats_are_the_nearest() {
        for text in
            ["0.1", "3", "-2.5", "123456.789", "1e10", "0.30000000000000004", "5e-324", "9007199254740993", "-0"]
        {
            assert_eq!(float(text).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits), "{text}");
        }
        for text in ["", ".", "1.", ".5x", "inf", "NaN", "1e400", "0x10", "infinity"] {
            assert!(float(text).is_none() || text == "1.", "{text}");
        }
    }

    #[test]
    fn exact_decimals_lose_nothing() {
        for (text, expected) in [
            ("12.34", Some(1234)),
            ("12.340", Some(1234)),
            ("12.345", None),
            ("-12.344", None),
            ("1234e-2", Some(1234)),
            ("1234e-3", None),
            ("0.000", Some(0)),
            ("1e-400", None),
            ("99999.99", Some(9_999_999)),
            ("100000", None),
            ("x", None),
        ] {
            assert_eq!(exact_decimal(text, 7, 2), expected, "{text}");
        }
    }

    #[test]
    fn decimals_round_half_away_from_zero_and_keep_their_precision() {
        for (text, expected) in [
            ("12.34", Some(1234)),
            ("12.345", Some(1235)),
            ("-12.345", Some(-1235)),
            ("12.344", Some(1234)),
            ("99999.99", Some(9_999_999)),
            ("99999.995", None),
            ("100000", None),
            ("1e2", Some(10000)),
            ("1e-9", Some(0)),
            ("0", Some(0)),
            ("x", None),
            ("1e-60", Some(0)),
            ("0e60", Some(0)),
        ] {
            assert_eq!(decimal(text, 7, 2), expected, "{text}");
        }
    }
}
