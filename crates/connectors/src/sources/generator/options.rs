//! `fields.<column>.<attribute>`: what the options say of each column's values.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Fields, Schema};
use millstream_core::{Duration, OptionError, Options, type_name};

use super::value::{Object, Value};

/// What can be said of a column.
const ATTRIBUTES: [&str; 9] = ["kind", "min", "max", "start", "end", "length", "values", "skew", "max-past"];

/// The attributes of one column.
type Attributes<'a> = BTreeMap<&'a str, &'a str>;

/// Reads all options of all columns; `given` are the keys without `fields.`, and their values.
pub(super) fn read(schema: &Schema, given: &[(&str, &str)]) -> Result<Object, OptionError> {
    let mut columns: BTreeMap<&str, Attributes<'_>> = BTreeMap::new();
    for (key, value) in given {
        let known = key.rsplit_once('.').filter(|(_, attribute)| ATTRIBUTES.contains(attribute));
        let Some((column, attribute)) = known else {
            let message = format!("is unknown; write fields.<column>.<one of {}>", ATTRIBUTES.join(", "));
            return Err(OptionError::new(&format!("fields.{key}"), message));
        };
        columns.entry(column).or_default().insert(attribute, value);
    }
    let object = object("", schema.fields(), &mut columns)?;
    match columns.first_key_value() {
        None => Ok(object),
        Some((column, attributes)) => {
            let attribute = attributes.keys().next().copied().unwrap_or_default();
            let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let message = format!("there is no column `{column}` among {}", names.join(", "));
            Err(OptionError::new(&format!("fields.{column}.{attribute}"), message))
        }
    }
}

fn object(path: &str, fields: &Fields, columns: &mut BTreeMap<&str, Attributes<'_>>) -> Result<Object, OptionError> {
    let mut members = Vec::with_capacity(fields.len());
    for field in fields {
        let path = if path.is_empty() { field.name().clone() } else { format!("{path}.{}", field.name()) };
        let value = match field.data_type() {
            DataType::Struct(inner) => Value::Object(object(&path, inner, columns)?),
            kind => {
                let attributes = columns.remove(path.as_str()).unwrap_or_default();
                let keyed = attributes.into_iter().map(|(name, value)| (format!("fields.{path}.{name}"), value));
                value(&path, kind, &keyed.collect())?
            }
        };
        members.push((field.name().clone(), value));
    }
    Ok(Object::new(members))
}

/// The values of one column. Its options are read like a table's, so that one of no use to it is refused.
fn value(path: &str, kind: &DataType, options: &Options) -> Result<Value, OptionError> {
    let reader = options.reader();
    let key = |attribute: &str| format!("fields.{path}.{attribute}");
    let skew = |reader: &millstream_core::OptionReader<'_>| {
        reader.parse::<f64>(&key("skew"), "a number such as 0 (none) or 3").map(|skew| skew.unwrap_or(0.0).max(0.0))
    };
    let sequence = reader.one_of(&key("kind"), &["random", "sequence"])? == Some("sequence");
    let value = if let Some(values) = reader.get(&key("values")) {
        let in_quotes = !kind.is_numeric() && *kind != DataType::Boolean;
        Value::pick(values.split(',').map(str::trim), in_quotes, skew(&reader)?)
    } else if sequence {
        if !kind.is_integer() && !matches!(kind, DataType::Utf8 | DataType::Utf8View) {
            return Err(OptionError::new(
                &key("kind"),
                format!("'sequence' makes whole numbers, not {}", type_name(kind)),
            ));
        }
        let start = reader.parse(&key("start"), "a whole number")?.unwrap_or(0);
        let end = reader.parse(&key("end"), "a whole number")?.unwrap_or(i64::MAX);
        Value::Sequence { start, end, in_quotes: !kind.is_integer() }
    } else {
        match kind {
            DataType::Boolean => Value::pick(["true", "false"].into_iter(), false, 0.0),
            kind if kind.is_integer() => {
                let (least, most) = limits(kind);
                let min = reader.parse(&key("min"), "a whole number")?.unwrap_or(least);
                let max = reader.parse(&key("max"), "a whole number")?.unwrap_or(most);
                ordered(&key("max"), min, max)?;
                Value::Integer { min, max, skew: skew(&reader)? }
            }
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
                let min = reader.parse(&key("min"), "a number")?.unwrap_or(0.0);
                let max = reader.parse(&key("max"), "a number")?.unwrap_or(1.0);
                ordered(&key("max"), min, max)?;
                // Money has cents: a few digits are enough of a random number.
                let digits =
                    if let DataType::Decimal128(_, scale) = kind { usize::try_from(*scale).unwrap_or(0) } else { 4 };
                Value::Number { min, max, digits, skew: skew(&reader)? }
            }
            DataType::Utf8 | DataType::Utf8View | DataType::Binary => {
                let length = reader.parse::<usize>(&key("length"), "a number of characters")?.unwrap_or(100);
                // Base64 comes in groups of four.
                Value::Text { length: if *kind == DataType::Binary { length.div_ceil(3) * 4 } else { length } }
            }
            DataType::Timestamp(..) => {
                let max_past = reader.duration(&key("max-past"))?.unwrap_or_default();
                Value::Timestamp { max_past }
            }
            DataType::Date32 => Value::Date { max_past: reader.duration(&key("max-past"))?.unwrap_or(Duration(0)) },
            _ => Value::Null,
        }
    };
    reader.finish()?;
    Ok(value)
}

fn ordered<T: Copy + PartialOrd + std::fmt::Display>(key: &str, min: T, max: T) -> Result<(), OptionError> {
    if min <= max { Ok(()) } else { Err(OptionError::new(key, format!("`{max}` given, but the least is {min}"))) }
}

/// The range of a whole-number type, as far as 64 bits with sign go.
fn limits(kind: &DataType) -> (i64, i64) {
    match kind {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        DataType::UInt64 => (0, i64::MAX),
        _ => (i64::MIN, i64::MAX),
    }
}
