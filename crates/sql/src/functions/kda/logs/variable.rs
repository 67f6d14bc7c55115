//! `VARIABLE_COLUMN_LOG_PARSE(text, columns, delimiter[, escape[, quote]])`: a text split at its delimiters. Columns are
//! declared, or counted: then they are COLUMN1 and so on. Those that are missing are NULL; the last does not take what is
//! left over.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};

use super::super::definition::{Arguments, Definition, Given, as_it_is};
use super::columns::{Declared, declared};
use super::record::{numbered, row_type, rows};

pub(super) const DEFINITION: Definition = Definition {
    name: "kda_variable_column_log_parse",
    alias: Some("variable_column_log_parse"),
    usage: "VARIABLE_COLUMN_LOG_PARSE(text, 'NAME TYPE VARCHAR(16), …', delimiter, escape, quote)",
    takes: |given| match given {
        [DataType::Utf8 | DataType::Null, columns, letters @ ..]
            if (*columns == DataType::Utf8 || columns.is_integer())
                && (1..=3).contains(&letters.len())
                && letters.iter().all(|kind| matches!(kind, DataType::Utf8 | DataType::Null)) =>
        {
            let mut types = vec![DataType::Utf8; given.len()];
            if columns.is_integer() {
                types[1] = DataType::Int64;
            }
            Some(types)
        }
        _ => None,
    },
    gives,
    compute,
    simplify: as_it_is,
};

const MAX_COLUMNS: usize = 1000;

fn gives(given: &Given<'_>) -> Result<DataType> {
    match (given.text(1), given.count(1)) {
        (Some(text), _) => {
            let columns: Vec<_> = declared(text)?.into_iter().map(|declared| declared.column).collect();
            Ok(row_type(&columns))
        }
        (None, Some(count)) => match usize::try_from(count) {
            Ok(count @ 1..=MAX_COLUMNS) => Ok(row_type(&numbered(count))),
            _ => plan_err!("VARIABLE_COLUMN_LOG_PARSE has {count} columns; there may be from 1 to {MAX_COLUMNS}"),
        },
        _ => plan_err!(
            "the columns of VARIABLE_COLUMN_LOG_PARSE must be written out, as 'NAME TYPE VARCHAR(16), …' or as their number"
        ),
    }
}

fn compute(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let DataType::Struct(fields) = arguments.gives else { return exec_err!("a log parser gives a ROW") };
    let declared: Option<Vec<Declared>> = arguments.literal(1).map(declared).transpose()?;
    let columns = match &declared {
        Some(declared) => declared.iter().map(|declared| declared.column.clone()).collect(),
        None => numbered(fields.len()),
    };
    let delimiter = arguments.word(2)?;
    if delimiter.is_empty() {
        return exec_err!("the delimiter of VARIABLE_COLUMN_LOG_PARSE is empty");
    }
    let splitter = Splitter {
        delimiter,
        escape: arguments.literal(3).unwrap_or_default(),
        quotes: quotes(arguments.literal(4).unwrap_or_default()),
    };
    rows(arguments, &columns, |text| {
        let mut parts: Vec<Option<String>> = splitter.split(text).into_iter().map(Some).collect();
        parts.resize(columns.len(), None);
        let Some(declared) = &declared else { return Ok(Some(parts)) };
        for (part, declared) in parts.iter_mut().zip(declared) {
            *part = part.take().and_then(|text| declared.read(&text));
            if !declared.accepts(part.as_ref()) {
                return Ok(None);
            }
        }
        Ok(Some(parts))
    })
}

/// One letter begins and ends; two letters are the beginning and the end.
fn quotes(letters: &str) -> Option<(char, char)> {
    let mut letters = letters.chars();
    let begin = letters.next()?;
    Some((begin, letters.next().unwrap_or(begin)))
}

struct Splitter<'a> {
    delimiter: &'a str,
    escape: &'a str,
    quotes: Option<(char, char)>,
}

impl Splitter<'_> {
    /// The parts, without their quotes and escapes.
    fn split(&self, text: &str) -> Vec<String> {
        let (mut parts, mut part, mut rest) = (Vec::new(), String::new(), text);
        let mut is_quoted = false;
        while let Some(letter) = rest.chars().next() {
            let begin = self.quotes.map(|(begin, _)| begin);
            let end = self.quotes.map(|(_, end)| end);
            if !self.escape.is_empty() && rest.starts_with(self.escape) {
                rest = &rest[self.escape.len()..];
                let escaped = rest.chars().next().map_or(0, char::len_utf8);
                // A delimiter of several letters is escaped as one.
                let length = if rest.starts_with(self.delimiter) { self.delimiter.len() } else { escaped };
                part.push_str(&rest[..length]);
                rest = &rest[length..];
            } else if is_quoted && Some(letter) == end {
                is_quoted = false;
                rest = &rest[letter.len_utf8()..];
            } else if !is_quoted && Some(letter) == begin {
                is_quoted = true;
                rest = &rest[letter.len_utf8()..];
            } else if !is_quoted && rest.starts_with(self.delimiter) {
                parts.push(std::mem::take(&mut part));
                rest = &rest[self.delimiter.len()..];
            } else {
                part.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
        parts.push(part);
        parts
    }
}
