//! What is known of columns and values while a script is translated: enough of their types to choose an operator, and
//! whether they rise with time.

use std::fmt::Write as _;

use arrow::datatypes::{DataType, TimeUnit};

use super::interval::Length;
use super::types::KdaType;

/// The hidden column that every stream has.
pub(super) const ROWTIME: &str = "ROWTIME";
/// The hidden columns of streams that the configuration makes, and the metadata that they are.
pub(super) const ENVELOPE: [(&str, &str); 4] = [
    ("APPROXIMATE_ARRIVAL_TIME", "arrival-timestamp"),
    ("PARTITION_KEY", "partition-key"),
    ("SEQUENCE_NUMBER", "sequence-number"),
    ("SHARD_ID", "shard-id"),
];

/// What kind of values an expression has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Class {
    Integer,
    Float,
    Decimal,
    Text,
    Time,
    Interval,
    Boolean,
    Record,
    #[default]
    Unknown,
}

impl Class {
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Decimal128(..) => Self::Decimal,
            DataType::Utf8 => Self::Text,
            DataType::Boolean => Self::Boolean,
            other if other.is_integer() => Self::Integer,
            other if other.is_temporal() => Self::Time,
            _ => Self::Unknown,
        }
    }
}

/// How a value goes with the ROWTIME of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mono {
    Constant,
    /// It is the row's ROWTIME.
    RowTime,
    /// The begin of the step of time that ROWTIME is in; with `ceil` its end, and a ROWTIME at an end belongs to it.
    Step {
        length: Length,
        ceil: bool,
    },
    /// It never falls.
    Ascending,
    /// It never rises.
    Descending,
}

/// A column of a stream or of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) class: Class,
    /// Its declared type, where it has one.
    pub(super) declared: Option<KdaType>,
    pub(super) mono: Option<Mono>,
}

/// An expression in native SQL.
#[derive(Clone, Debug, Default)]
pub(super) struct Value {
    pub(super) sql: String,
    pub(super) class: Class,
    pub(super) declared: Option<KdaType>,
    pub(super) mono: Option<Mono>,
}

impl Value {
    pub(super) fn new(sql: impl Into<String>, class: Class) -> Self {
        Self { sql: sql.into(), class, declared: None, mono: None }
    }

    /// A time.
    pub(super) fn time(sql: impl Into<String>, mono: Option<Mono>) -> Self {
        Self { declared: Some(KdaType::Timestamp), mono, ..Self::new(sql, Class::Time) }
    }

    pub(super) fn with_mono(self, mono: Option<Mono>) -> Self {
        Self { mono, ..self }
    }

    /// The value as a column of this name.
    pub(super) fn column(&self, name: String) -> Column {
        Column { name, class: self.class, declared: self.declared, mono: self.mono }
    }
}

/// An identifier in double quotes.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// `"a"."b"`.
pub(super) fn dotted(relation: &str, column: &str) -> String {
    format!("{}.{}", quote(relation), quote(column))
}

/// The native type that a column of an Arrow type is declared with.
pub(super) fn native_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Binary => "BYTES".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME_MILLIS".to_owned(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => "TIMESTAMP(3)".to_owned(),
        _ => "STRING".to_owned(),
    }
}

/// Values with names, as the items of a SELECT.
pub(super) fn items<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut items = String::new();
    for (sql, name) in values {
        if !items.is_empty() {
            items.push_str(", ");
        }
        // Writing to a String cannot fail.
        let _ = if sql == quote(name) { write!(items, "{sql}") } else { write!(items, "{sql} AS {}", quote(name)) };
    }
    items
}
