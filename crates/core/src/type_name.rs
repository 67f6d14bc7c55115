//! Arrow's types by their names in SQL, as DESCRIBE, the API and messages print them.

use std::str::FromStr;

use arrow::datatypes::{DataType, TimeUnit};

/// The SQL name of a type, as DESCRIBE and the API print it.
#[must_use]
pub fn type_name(data_type: &DataType) -> String {
    let precision = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float16 | DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("DECIMAL({precision}, {scale})")
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BYTES".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".to_owned(),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", precision(unit)),
        DataType::Timestamp(unit, Some(_)) => format!("TIMESTAMP_LTZ({})", precision(unit)),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{} {}", field.name(), type_name(field.data_type()))).collect();
            format!("ROW<{}>", fields.join(", "))
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("ARRAY<{}>", type_name(item.data_type()))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("MAP<{}, {}>", type_name(fields[0].data_type()), type_name(fields[1].data_type()))
            }
            other => type_name(other),
        },
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".to_owned(),
        DataType::Null => "NULL".to_owned(),
        DataType::Dictionary(_, value) => type_name(value),
        other => other.to_string(),
    }
}

/// A message of somebody who knows Arrow's names, with SQL's in their places: `Int64` is `BIGINT`, `Utf8("a")` is `'a'`.
#[must_use]
pub fn with_type_names(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = rest.find(|c: char| c.is_ascii_uppercase()) {
        let (before, text) = rest.split_at(start);
        out.push_str(before);
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let is_part = out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | '\'' | '`' | '.'));
        let (read, length) = if is_part { (None, end) } else { in_sql(text, end) };
        out.push_str(&read.unwrap_or_else(|| text[..length].to_owned()));
        rest = &text[length..];
    }
    out.push_str(rest);
    out
}

/// The type or literal that a text begins with, in SQL, and how long it is in the text. `word`: how long the text's
/// first word is.
fn in_sql(text: &str, word: usize) -> (Option<String>, usize) {
    let named = |text: &str| DataType::from_str(text).ok().map(|data_type| type_name(&data_type));
    let simple = named(&text[..word]);
    match closing_bracket(text, word) {
        None => (simple, word),
        Some(end) => match (named(&text[..end]), simple) {
            (Some(name), _) => (Some(name), end),
            (None, Some(_)) => (Some(text[word + 1..end - 1].replace('"', "'")), end),
            (None, None) => (None, word),
        },
    }
}

/// The end of the brackets that open at `open`, if some do.
fn closing_bracket(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text[open..].char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ if depth == 0 => return None,
            _ => {}
        }
        if depth == 0 {
            return Some(open + at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_names_of_sql() {
        for (message, expected) in [
            ("cannot coerce Int64 and Utf8", "cannot coerce BIGINT and STRING"),
            ("f(Float64, Decimal128(10, 2))", "f(DOUBLE, DECIMAL(10, 2))"),
            ("from Timestamp(ms, \"UTC\") to Interval(MonthDayNano)", "from TIMESTAMP_LTZ(3) to INTERVAL"),
            (
                "column Int64 \"Int64\" `Utf8` x.Date32 MyInt64 Int64s",
                "column BIGINT \"Int64\" `Utf8` x.Date32 MyInt64 Int64s",
            ),
            ("x = Utf8(\"a\") + Int64(5) (Boolean", "x = 'a' + 5 (BOOLEAN"),
            ("Int64) and Exact(Int64)", "BIGINT) and Exact(BIGINT)"),
            ("ümlaut Ünd Null", "ümlaut Ünd NULL"),
            ("", ""),
        ] {
            assert_eq!(with_type_names(message), expected);
        }
    }
}
