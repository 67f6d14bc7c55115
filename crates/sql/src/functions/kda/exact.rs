//! Decimal numbers as whole numbers of their last digit, and what KDA does when digits are too many: it rounds half away
//! from zero.

/// `digits / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exact {
    pub(super) digits: i128,
    pub(super) scale: u32,
}

impl Exact {
    /// Reads `-12.5` or `1.25E1`; `None` if it is no number, or has more digits than any type holds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            None => (text, 0),
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        };
        let (negative, unsigned) = match mantissa.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut digits = 0_i128;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = i128::from(byte.is_ascii_digit().then(|| byte - b'0')?);
            digits = digits.checked_mul(10)?.checked_add(digit)?;
        }
        let digits = if negative { -digits } else { digits };
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        match u32::try_from(scale) {
            Ok(scale) => Some(Self { digits, scale }),
            Err(_) => Some(Self { digits: digits.checked_mul(power(scale.unsigned_abs())?)?, scale: 0 }),
        }
    }

    /// The shortest decimal that reads as this float.
    pub(super) fn of_float(value: f64) -> Option<Self> {
        Self::parse(&format!("{value:e}"))
    }

    /// Its digits with another number of decimals.
    pub(super) fn rounded(self, scale: u32) -> Option<i128> {
        if scale >= self.scale {
            return self.digits.checked_mul(power(scale - self.scale)?);
        }
        match power(self.scale - scale) {
            Some(divisor) => Some(divide_rounding(self.digits, divisor)),
            // More decimals than digits: nothing is left.
            None => Some(0),
        }
    }

    pub(super) fn print(self) -> String {
        let scale = self.scale as usize;
        let digits = format!("{:0width$}", self.digits.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if self.digits < 0 { "-" } else { "" };
        if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    pub(super) fn to_float(self) -> Option<f64> {
        // The text is rounded once; digits and scale on their own would be rounded twice.
        format!("{}e-{}", self.digits, self.scale).parse().ok()
    }
}

pub(super) fn power(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// Half away from zero.
pub(super) fn divide_rounding(digits: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (digits / divisor, digits % divisor);
    let is_half = remainder.unsigned_abs() >= divisor.unsigned_abs() - remainder.unsigned_abs();
    if !is_half {
        quotient
    } else if (digits < 0) == (divisor < 0) {
        quotient + 1
    } else {
        quotient - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_rounded_and_printed() {
        for (text, scale, rounded) in [
            ("12.5", 0, "13"),
            ("-12.5", 0, "-13"),
            ("12.49", 0, "12"),
            ("1.25E1", 1, "12.5"),
            ("15e-1", 0, "2"),
            ("1E3", 2, "1000.00"),
            (".5", 2, "0.50"),
            ("-0.04", 1, "0.0"),
            ("1e-60", 2, "0.00"),
        ] {
            let digits = Exact::parse(text).and_then(|number| number.rounded(scale));
            assert_eq!(digits.map(|digits| Exact { digits, scale }.print()).as_deref(), Some(rounded), "{text}");
        }
        for text in ["", ".", "-", "1x", "1e", "0x10", "--1", "1e60"] {
            assert_eq!(Exact::parse(text), None, "{text}");
        }
    }
}
