//! `FIXED_COLUMN_LOG_PARSE(text, 'NAME TYPE VARCHAR(8) START 0 FOR 8, …')`: columns by their places. Without FOR a column
//! goes to where the next begins. Blanks around numbers and times do not count; a column behind the end is NULL.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};

use super::super::definition::{Arguments, Definition, Given, as_it_is};
use super::columns::{Declared, declared};
use super::record::{row_type, rows, written_out};
use super::regex_log::two_texts;

pub(super) const DEFINITION: Definition = Definition {
    name: "kda_fixed_column_log_parse",
    alias: Some("fixed_column_log_parse"),
    usage: "FIXED_COLUMN_LOG_PARSE(text, 'NAME TYPE VARCHAR(8) START 0 FOR 8, …')",
    takes: two_texts,
    gives,
    compute,
    simplify: as_it_is,
};

fn gives(given: &Given<'_>) -> Result<DataType> {
    let columns = placed(written_out(given, "FIXED_COLUMN_LOG_PARSE")?)?;
    Ok(row_type(&columns.into_iter().map(|placed| placed.0.column).collect::<Vec<_>>()))
}

/// The columns, each with its first letter and the one behind its last.
fn placed(text: &str) -> Result<Vec<(Declared, usize, usize)>> {
    let columns = declared(text)?;
    let mut starts = Vec::with_capacity(columns.len());
    for declared in &columns {
        match declared.start {
            Some(start) => starts.push(start),
            None => return plan_err!("column {} has no START; the first letter is START 0", declared.column.0),
        }
    }
    let end = |index: usize, declared: &Declared| match (declared.length, starts.get(index + 1)) {
        (Some(length), _) => starts[index] + length,
        (None, Some(next)) => *next,
        (None, None) => usize::MAX,
    };
    Ok(columns
        .into_iter()
        .enumerate()
        .map(|(index, declared)| {
            let end = end(index, &declared);
            (declared, starts[index], end)
        })
        .collect())
}

fn compute(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let columns = placed(arguments.word(1)?)?;
    let types: Vec<_> = columns.iter().map(|placed| placed.0.column.clone()).collect();
    rows(arguments, &types, |text| {
        let mut parts = Vec::with_capacity(columns.len());
        for (declared, start, end) in &columns {
            let letters = text.chars().skip(*start).take(end.saturating_sub(*start));
            let part = Some(letters.collect::<String>()).filter(|part| !part.is_empty());
            let part = part.and_then(|part| declared.read(&part));
            if !declared.accepts(part.as_ref()) {
                return Ok(None);
            }
            parts.push(part);
        }
        Ok(Some(parts))
    })
}
