//! The column types of a Kinesis Data Analytics application, as the option `kda.types` gives them.
//!
//! Whoever makes tables of an application's configuration sets the option: `VARCHAR(4);REAL;DECIMAL(10,2)`, a type for
//! each physical column, in their order. It says what Arrow's types do not (how long a VARCHAR is), and that records are
//! read and written as the service did.

use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DataType, TimeUnit};
use millstream_core::{OptionError, OptionReader, TableDecl, type_name};

const TYPES: &str = "kda.types";
/// The longest that texts and binaries may be.
const LENGTH_MAX: usize = 65_535;

/// A type of the service's SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KdaType {
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
    /// CHAR, where padded with blanks, or VARCHAR.
    Character {
        length: usize,
        is_padded: bool,
    },
    /// BINARY, where padded with zeros, or VARBINARY.
    Binary {
        length: usize,
        is_padded: bool,
    },
    Date,
    Time,
    Timestamp,
}

/// The types of a table's columns; `None`: it is no table of an application.
pub(super) fn types(table: &TableDecl, options: &OptionReader<'_>) -> Result<Option<Vec<KdaType>>, OptionError> {
    let Some(list) = options.get(TYPES) else { return Ok(None) };
    let parse = |text: &str| text.parse().map_err(|reason: String| OptionError::new(TYPES, reason));
    let types = list.split(';').map(parse).collect::<Result<Vec<KdaType>, _>>()?;
    let fields = table.schema.fields();
    if types.len() != fields.len() {
        let message = format!("names {} types for {} columns; give one for each", types.len(), fields.len());
        return Err(OptionError::new(TYPES, message));
    }
    match types.iter().zip(fields).find(|(kind, field)| !kind.is_held_in(field.data_type())) {
        None => Ok(Some(types)),
        Some((kind, field)) => {
            let (name, found) = (field.name(), type_name(field.data_type()));
            Err(OptionError::new(TYPES, format!("names {kind} for column `{name}`, which is declared as {found}")))
        }
    }
}

impl KdaType {
    /// Whether a column of the Arrow type holds its values.
    fn is_held_in(self, data_type: &DataType) -> bool {
        match (self, data_type) {
            (Self::Decimal { precision, scale }, DataType::Decimal128(held, fraction)) => {
                (precision, scale) == (*held, *fraction)
            }
            (Self::TinyInt, DataType::Int8)
            | (Self::SmallInt, DataType::Int16)
            | (Self::Integer, DataType::Int32)
            | (Self::BigInt, DataType::Int64)
            | (Self::Real, DataType::Float32)
            | (Self::Double, DataType::Float64)
            | (Self::Boolean, DataType::Boolean)
            | (Self::Character { .. }, DataType::Utf8 | DataType::Utf8View)
            | (Self::Binary { .. }, DataType::Binary)
            | (Self::Date, DataType::Date32)
            | (Self::Time, DataType::Time32(TimeUnit::Millisecond))
            | (Self::Timestamp, DataType::Timestamp(TimeUnit::Millisecond, None)) => true,
            _ => false,
        }
    }
}

impl FromStr for KdaType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("`{text}` is no type of Kinesis Data Analytics; expected for example VARCHAR(16)");
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.trim_end().strip_suffix(')').ok_or_else(unknown)?),
            None => (text, ""),
        };
        let numbers = arguments.split(',').filter(|_| !arguments.trim().is_empty());
        let numbers = numbers.map(|number| number.trim().parse()).collect::<Result<Vec<usize>, _>>();
        let numbers = numbers.map_err(|_| unknown())?;
        let name = name.trim().to_ascii_uppercase();
        let kind = match (name.as_str(), numbers.as_slice()) {
            ("TINYINT", []) => Self::TinyInt,
            ("SMALLINT", []) => Self::SmallInt,
            ("INT" | "INTEGER", []) => Self::Integer,
            ("BIGINT", []) => Self::BigInt,
            ("REAL", []) => Self::Real,
            ("FLOAT" | "DOUBLE" | "DOUBLE PRECISION", []) => Self::Double,
            ("BOOLEAN", []) => Self::Boolean,
            ("DATE", []) => Self::Date,
            ("TIME", [] | [_]) => Self::Time,
            ("TIMESTAMP", [] | [_]) => Self::Timestamp,
            ("DEC" | "DECIMAL" | "NUMERIC", [] | [_] | [_, _]) => {
                let precision = numbers.first().copied().unwrap_or(18);
                let scale = numbers.get(1).copied().unwrap_or(0);
                // Results of arithmetic have more digits than the 18 that a configuration may ask for.
                if !(1..=38).contains(&precision) || scale > precision {
                    return Err(format!("`{text}` has more digits than a DECIMAL holds"));
                }
                let (Ok(precision), Ok(scale)) = (u8::try_from(precision), i8::try_from(scale)) else {
                    return Err(unknown());
                };
                Self::Decimal { precision, scale }
            }
            ("CHAR" | "CHARACTER", [] | [_]) => Self::Character { length: length(&numbers, 1)?, is_padded: true },
            ("VARCHAR" | "CHARACTER VARYING", [] | [_]) => {
                Self::Character { length: length(&numbers, LENGTH_MAX)?, is_padded: false }
            }
            ("BINARY", [] | [_]) => Self::Binary { length: length(&numbers, 1)?, is_padded: true },
            ("VARBINARY", [] | [_]) => Self::Binary { length: length(&numbers, LENGTH_MAX)?, is_padded: false },
            _ => return Err(unknown()),
        };
        Ok(kind)
    }
}

fn length(numbers: &[usize], default: usize) -> Result<usize, String> {
    match numbers.first().copied().unwrap_or(default) {
        length @ 1..=LENGTH_MAX => Ok(length),
        other => Err(format!("the length {other} is given, expected 1 to {LENGTH_MAX}")),
    }
}

impl fmt::Display for KdaType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TinyInt => out.write_str("TINYINT"),
            Self::SmallInt => out.write_str("SMALLINT"),
            Self::Integer => out.write_str("INTEGER"),
            Self::BigInt => out.write_str("BIGINT"),
            Self::Decimal { precision, scale } => write!(out, "DECIMAL({precision},{scale})"),
            Self::Real => out.write_str("REAL"),
            Self::Double => out.write_str("DOUBLE"),
            Self::Boolean => out.write_str("BOOLEAN"),
            Self::Character { length, is_padded: true } => write!(out, "CHAR({length})"),
            Self::Character { length, is_padded: false } => write!(out, "VARCHAR({length})"),
            Self::Binary { length, is_padded: true } => write!(out, "BINARY({length})"),
            Self::Binary { length, is_padded: false } => write!(out, "VARBINARY({length})"),
            Self::Date => out.write_str("DATE"),
            Self::Time => out.write_str("TIME"),
            Self::Timestamp => out.write_str("TIMESTAMP"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_print_as_they_are_named() {
        for (text, expected) in [
            ("varchar(4)", Ok("VARCHAR(4)")),
            (" VARCHAR ( 4 ) ", Ok("VARCHAR(4)")),
            ("VARCHAR", Ok("VARCHAR(65535)")),
            ("CHAR", Ok("CHAR(1)")),
            ("BINARY(8)", Ok("BINARY(8)")),
            ("VARBINARY(8)", Ok("VARBINARY(8)")),
            ("DECIMAL(10,2)", Ok("DECIMAL(10,2)")),
            ("NUMERIC(10)", Ok("DECIMAL(10,0)")),
            ("DECIMAL", Ok("DECIMAL(18,0)")),
            ("INT", Ok("INTEGER")),
            ("TINYINT", Ok("TINYINT")),
            ("SMALLINT", Ok("SMALLINT")),
            ("BIGINT", Ok("BIGINT")),
            ("REAL", Ok("REAL")),
            ("FLOAT", Ok("DOUBLE")),
            ("DOUBLE PRECISION", Ok("DOUBLE")),
            ("BOOLEAN", Ok("BOOLEAN")),
            ("DATE", Ok("DATE")),
            ("TIME", Ok("TIME")),
            ("TIMESTAMP(3)", Ok("TIMESTAMP")),
            ("VARCHAR(0)", Err("the length 0 is given, expected 1 to 65535")),
            ("VARCHAR(x)", Err("`VARCHAR(x)` is no type")),
            ("VARCHAR(4", Err("`VARCHAR(4` is no type")),
            ("DECIMAL(2,3)", Err("`DECIMAL(2,3)` has more digits")),
            ("BIGINT(8)", Err("`BIGINT(8)` is no type")),
            ("TEXT", Err("`TEXT` is no type")),
            ("", Err("`` is no type")),
        ] {
            let found = text.parse::<KdaType>().map(|kind| kind.to_string());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(found), Err(expected)) => assert!(found.starts_with(expected), "{found}"),
                (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
