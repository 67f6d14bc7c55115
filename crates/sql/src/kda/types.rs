//! The types of Kinesis Data Analytics, as its applications write them: `VARCHAR(16)`, `DECIMAL(10,2)`, `TIMESTAMP`.

use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};

use crate::SqlError;

/// Decimals hold this many digits; one table of the reference says 19.
pub(crate) const MAX_DECIMAL_DIGITS: u8 = 18;
const MAX_DECLARED_DIGITS: u8 = 19;
/// The longest CHAR, VARCHAR, BINARY and VARBINARY.
const MAX_LENGTH: usize = 65535;

const KNOWN: &str = "types are TINYINT, SMALLINT, INTEGER, BIGINT, DECIMAL(p, s), REAL, DOUBLE, BOOLEAN, CHAR(n), VARCHAR(n), BINARY(n), VARBINARY(n), DATE, TIME and TIMESTAMP";

/// A declared type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KdaType {
    TinyInt,
    SmallInt,
    Integer,
    BigInt,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Real,
    Double,
    Boolean,
    /// Blank padded to its length.
    Char(usize),
    /// `None`: as long as it may be.
    VarChar(Option<usize>),
    Binary(usize),
    VarBinary(Option<usize>),
    Date,
    Time,
    Timestamp,
}

impl KdaType {
    /// Reads a type, in any case and spacing.
    pub(crate) fn parse(text: &str) -> Result<Self, SqlError> {
        let unknown = || SqlError::new(format!("`{}` is no type of a column", text.trim())).hint(KNOWN);
        let (name, arguments) = match text.split_once('(') {
            None => (text, Vec::new()),
            Some((name, rest)) => {
                let (inside, after) = rest.split_once(')').ok_or_else(unknown)?;
                if !after.trim().is_empty() {
                    return Err(unknown());
                }
                let number = |part: &str| part.trim().parse::<usize>().map_err(|_| unknown());
                (name, inside.split(',').map(number).collect::<Result<Vec<_>, _>>()?)
            }
        };
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
        let plain = |kind: Self| if arguments.is_empty() { Ok(kind) } else { Err(unknown()) };
        let length = || match arguments.as_slice() {
            [] => Ok(None),
            [length @ 1..=MAX_LENGTH] => Ok(Some(*length)),
            [length] => Err(SqlError::new(format!("{name}({length}) is too long or too short"))
                .hint(format!("lengths are from 1 to {MAX_LENGTH}"))),
            _ => Err(unknown()),
        };
        match name.as_str() {
            "TINYINT" => plain(Self::TinyInt),
            "SMALLINT" => plain(Self::SmallInt),
            "INTEGER" | "INT" => plain(Self::Integer),
            "BIGINT" => plain(Self::BigInt),
            "DECIMAL" | "DEC" | "NUMERIC" => decimal(&arguments, unknown),
            "REAL" => plain(Self::Real),
            // FLOAT(p) names the bits it needs; all of them fit into 64.
            "FLOAT" if arguments.len() <= 1 => Ok(Self::Double),
            "DOUBLE" | "DOUBLE PRECISION" => plain(Self::Double),
            "BOOLEAN" => plain(Self::Boolean),
            "CHAR" | "CHARACTER" => Ok(Self::Char(length()?.unwrap_or(1))),
            "VARCHAR" | "CHARACTER VARYING" | "CHAR VARYING" => Ok(Self::VarChar(length()?)),
            "BINARY" => Ok(Self::Binary(length()?.unwrap_or(1))),
            "VARBINARY" | "BINARY VARYING" => Ok(Self::VarBinary(length()?)),
            "DATE" => plain(Self::Date),
            // A precision of time changes nothing: there are always milliseconds.
            "TIME" if arguments.len() <= 1 => Ok(Self::Time),
            "TIMESTAMP" if arguments.len() <= 1 => Ok(Self::Timestamp),
            _ => Err(unknown()),
        }
    }

    /// How its values are kept.
    pub(crate) fn arrow(&self) -> DataType {
        match self {
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Integer => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Char(_) | Self::VarChar(_) => DataType::Utf8,
            Self::Binary(_) | Self::VarBinary(_) => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time32(TimeUnit::Millisecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
        }
    }
}

fn decimal(arguments: &[usize], unknown: impl Fn() -> SqlError) -> Result<KdaType, SqlError> {
    let (precision, scale) = match arguments {
        [] => (usize::from(MAX_DECIMAL_DIGITS), 0),
        [precision] => (*precision, 0),
        [precision, scale] => (*precision, *scale),
        _ => return Err(unknown()),
    };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(digits @ 1..=MAX_DECLARED_DIGITS), Ok(decimals)) if scale <= precision => {
            Ok(KdaType::Decimal { precision: digits, scale: decimals })
        }
        _ => Err(SqlError::new(format!("there is no DECIMAL({precision}, {scale})")).hint(format!(
            "a DECIMAL has from 1 to {MAX_DECIMAL_DIGITS} digits, and no more of them after the point than in all"
        ))),
    }
}

impl fmt::Display for KdaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TinyInt => write!(f, "TINYINT"),
            Self::SmallInt => write!(f, "SMALLINT"),
            Self::Integer => write!(f, "INTEGER"),
            Self::BigInt => write!(f, "BIGINT"),
            Self::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            Self::Real => write!(f, "REAL"),
            Self::Double => write!(f, "DOUBLE"),
            Self::Boolean => write!(f, "BOOLEAN"),
            Self::Char(length) => write!(f, "CHAR({length})"),
            Self::VarChar(None) => write!(f, "VARCHAR"),
            Self::VarChar(Some(length)) => write!(f, "VARCHAR({length})"),
            Self::Binary(length) => write!(f, "BINARY({length})"),
            Self::VarBinary(None) => write!(f, "VARBINARY"),
            Self::VarBinary(Some(length)) => write!(f, "VARBINARY({length})"),
            Self::Date => write!(f, "DATE"),
            Self::Time => write!(f, "TIME"),
            Self::Timestamp => write!(f, "TIMESTAMP"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_in_any_spelling() {
        for (written, printed) in [
            ("tinyint", "TINYINT"),
            ("int", "INTEGER"),
            (" bigint ", "BIGINT"),
            ("decimal", "DECIMAL(18, 0)"),
            ("NUMERIC(5)", "DECIMAL(5, 0)"),
            ("dec ( 19 , 2 )", "DECIMAL(19, 2)"),
            ("float", "DOUBLE"),
            ("double  precision", "DOUBLE"),
            ("char", "CHAR(1)"),
            ("character varying(65535)", "VARCHAR(65535)"),
            ("VarChar", "VARCHAR"),
            ("varbinary(8)", "VARBINARY(8)"),
            ("TIMESTAMP(3)", "TIMESTAMP"),
        ] {
            assert_eq!(KdaType::parse(written).map(|kind| kind.to_string()), Ok(printed.to_owned()), "{written}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for (written, message) in [
            ("STRING", "`STRING` is no type of a column"),
            ("INTEGER(4)", "`INTEGER(4)` is no type of a column"),
            ("VARCHAR(16", "`VARCHAR(16` is no type of a column"),
            ("VARCHAR(0)", "VARCHAR(0) is too long or too short"),
            ("VARCHAR(70000)", "VARCHAR(70000) is too long or too short"),
            ("DECIMAL(20, 2)", "there is no DECIMAL(20, 2)"),
            ("DECIMAL(2, 3)", "there is no DECIMAL(2, 3)"),
        ] {
            assert_eq!(KdaType::parse(written).map_err(|error| error.message), Err(message.to_owned()));
        }
    }
}
