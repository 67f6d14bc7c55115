//! How payloads become rows and rows become payloads: one file and one line of [`FORMATS`] each.

pub(crate) mod csv;
mod delimited;
pub(crate) mod json;
mod kda;
mod number;
mod raw;
mod tally;
pub(crate) mod time;

use millstream_core::{Decoder, Encoder, OptionError, OptionReader, TableDecl};

type Make<T> = fn(&TableDecl, &OptionReader<'_>) -> Result<Box<T>, OptionError>;

/// A format by its name in `'format' = '…'`.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    /// Reads the format's options and makes a decoder of the table's columns.
    pub(crate) decoder: Make<dyn Decoder>,
    /// Reads the format's options and makes an encoder.
    pub(crate) encoder: Make<dyn Encoder>,
}

/// Every format of records. Parquet is no format of records: the sink `filesystem` writes it.
pub(crate) const FORMATS: &[Format] = &[
    Format { name: "json", decoder: json::decoder, encoder: json::encoder },
    Format { name: "csv", decoder: csv::decoder, encoder: csv::encoder },
    Format { name: "raw", decoder: raw::decoder, encoder: raw::encoder },
];

/// The format a table names.
pub(crate) fn of_table(options: &OptionReader<'_>) -> Result<&'static Format, OptionError> {
    let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
    let Some(name) = options.one_of("format", &names)? else {
        let message = format!("is required; give one of {}", names.join(", "));
        return Err(OptionError::new("format", message));
    };
    let format = FORMATS.iter().find(|format| format.name == name);
    format.ok_or_else(|| OptionError::new("format", format!("`{name}` is unknown")))
}

/// Whether a table is one of a Kinesis Data Analytics application: then a record may be many rows.
pub(crate) fn has_rows_within_records(table: &TableDecl, options: &OptionReader<'_>) -> Result<bool, OptionError> {
    kda::types(table, options).map(|types| types.is_some())
}

/// The format of sources that make JSON; their tables need not name it.
pub(crate) fn only_json(options: &OptionReader<'_>) -> Result<&'static Format, OptionError> {
    const JSON: Format = Format { name: "json", decoder: json::decoder, encoder: json::encoder };
    options.one_of("format", &[JSON.name])?;
    Ok(&JSON)
}
