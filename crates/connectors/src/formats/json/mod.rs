//! The format `json`: one object a record.
//!
//! Reading is strict in grammar (RFC 8259) and exact in values: a record whose value does not fit its column is
//! rejected with the column's name, and never rounded or cut. What is taken besides the obvious: numbers and booleans
//! in quotes; whole numbers written `1.0`; any JSON value in a STRING column, as its JSON text; BYTES in base64;
//! timestamps as ISO 8601, in the SQL form, or as numbers in the unit that `json.timestamp-format` names. A missing key
//! is null; of a key that appears twice the last value counts; keys without a column are skipped.
//!
//! Tables of a Kinesis Data Analytics application (`kda.types`) read values as that service did (`kda`). Rows and columns
//! may lie deeper in a record, where paths lead to them (`mapping`, `mapped`).

mod column;
mod cursor;
mod decoder;
mod encoder;
mod kda;
mod mapped;
mod mapping;
mod member;
mod nested;
mod object;
mod path;
mod plain;
mod types;
mod unread;

#[cfg(test)]
pub(super) use kda::tests::{chunk as chunk_of, table as table_of};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use arrow::datatypes::{Field, FieldRef, TimeUnit};
use millstream_core::{Decoder, Encoder, FormatError, OptionError, OptionReader, TableDecl};

pub use encoder::json_rows;

pub(super) use column::Column;
pub(super) use cursor::Cursor;
pub(super) use decoder::reason;
pub(super) use types::Settings;

use super::kda::KdaType;
use decoder::JsonDecoder;
use encoder::{JsonEncoder, Style};
use mapped::{MappedDecoder, Rules};
use mapping::Mapping;
use member::Member;
use object::{Keys, Object};
use types::column_for;

/// Checks the options and makes a decoder.
pub(super) fn decoder(table: &TableDecl, options: &OptionReader<'_>) -> Result<Box<dyn Decoder>, OptionError> {
    let settings = read(options)?;
    let types = super::kda::types(table, options)?;
    let mapping = Mapping::read(table, options)?;
    let columns = columns(table, types.as_deref(), settings)?;
    let members = table.schema.fields().iter().zip(columns).map(|(field, column)| Member::new(field, column)).collect();
    // The service tells names by case and takes several documents a record.
    let (is_folded, has_many) = (types.is_none(), types.is_some());
    let fail_on_missing = settings.fail_on_missing_field;
    Ok(match mapping.plain() {
        Some(by_name) => {
            let root = Object::of(members, Keys { by_name, is_folded }, fail_on_missing);
            Box::new(JsonDecoder::new(&table.schema, root, has_many))
        }
        None => {
            let rules = Rules { is_folded, fail_on_missing, has_many };
            Box::new(MappedDecoder::new(&table.schema, members, &mapping, rules))
        }
    })
}

/// Columns that read a table's values from JSON: as declared, or as Kinesis Data Analytics did.
pub(super) fn columns(
    table: &TableDecl,
    types: Option<&[KdaType]>,
    settings: Settings,
) -> Result<Vec<Box<dyn Column>>, OptionError> {
    let native = |field: &FieldRef| {
        let column = column_for(field.data_type(), settings).map_err(|error| unsupported(field, error));
        column.map_err(|error| OptionError::new("format", error.to_string()))
    };
    let fields = table.schema.fields();
    match types {
        None => fields.iter().map(native).collect(),
        Some(types) => Ok(types.iter().zip(fields).map(|(kind, field)| kda::column_for(*kind, field)).collect()),
    }
}

/// Makes an encoder; any type Arrow can print has a form in JSON.
pub(super) fn encoder(table: &TableDecl, options: &OptionReader<'_>) -> Result<Box<dyn Encoder>, OptionError> {
    read(options)?;
    let style = if super::kda::types(table, options)?.is_some() { Style::Kda } else { Style::Own };
    Ok(Box::new(JsonEncoder { style }))
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
