//! The format `json`: one object a record.
//!
//! Reading is strict in grammar (RFC 8259) and exact in values: a record whose value does not fit its column is
//! rejected with the column's name, and never rounded or cut. What is taken besides the obvious: numbers and booleans
//! in quotes; whole numbers written `1.0`; any JSON value in a STRING column, as its JSON text; BYTES in base64;
//! timestamps as ISO 8601, in the SQL form, or as numbers in the unit that `json.timestamp-format` names. A missing key
//! is null; of a key that appears twice the last value counts; keys without a column are skipped.

mod column;
mod cursor;
mod decoder;
mod encoder;
mod nested;
mod object;
mod plain;
mod types;
mod unread;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use arrow::datatypes::{Field, TimeUnit};
use millstream_core::{Decoder, Encoder, FormatError, OptionError, OptionReader, TableDecl};

pub use encoder::json_rows;

pub(super) use column::Column;
pub(super) use cursor::Cursor;
pub(super) use decoder::reason;
pub(super) use types::{Settings, column_for};

/// Checks the options and makes a decoder.
pub(super) fn decoder(table: &TableDecl, options: &OptionReader<'_>) -> Result<Box<dyn Decoder>, OptionError> {
    let settings = read(options)?;
    let decoder = decoder::JsonDecoder::new(&table.schema, settings);
    decoder.map(|decoder| Box::new(decoder) as _).map_err(|error| OptionError::new("format", error.to_string()))
}

/// Makes an encoder; any type Arrow can print has a form in JSON.
pub(super) fn encoder(_: &TableDecl, options: &OptionReader<'_>) -> Result<Box<dyn Encoder>, OptionError> {
    read(options)?;
    Ok(Box::new(encoder::JsonEncoder))
}

fn read(options: &OptionReader<'_>) -> Result<Settings, OptionError> {
    const FORMATS: [&str; 4] = ["ISO-8601", "SQL", "epoch-seconds", "epoch-millis"];
    let format = options.one_of("json.timestamp-format", &FORMATS)?;
    // Flink's key for the same; both text forms are read either way.
    options.one_of("json.timestamp-format.standard", &FORMATS[..2])?;
    if options.flag("json.ignore-parse-errors", false)? {
        let message = "`true` would drop records silently; leave it out: bad records go to error_stream";
        return Err(OptionError::new("json.ignore-parse-errors", message));
    }
    let epoch = if format == Some("epoch-seconds") { TimeUnit::Second } else { TimeUnit::Millisecond };
    Ok(Settings { epoch, fail_on_missing_field: options.flag("json.fail-on-missing-field", false)? })
}

/// Puts the name of the column that holds a type without a JSON form into its error.
fn unsupported(field: &Field, error: FormatError) -> FormatError {
    match error {
        FormatError::UnsupportedType { format, column, data_type } => {
            let column = if column.is_empty() { field.name().clone() } else { format!("{}.{column}", field.name()) };
            FormatError::UnsupportedType { format, column, data_type }
        }
        other @ FormatError::Arrow(_) => other,
    }
}
