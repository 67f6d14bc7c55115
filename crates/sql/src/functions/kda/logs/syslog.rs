//! `SYS_LOG_PARSE(text)`: `Mon DD HH:MM:SS server message` as a TIMESTAMP, COLUMN1, and the rest, COLUMN2. A line of syslog
//! has no year: it is 1970, as Java reads it.

use arrow::datatypes::DataType;

use super::super::calendar::print_timestamp;
use super::super::definition::{Definition, as_it_is};
use super::super::java_time::Pattern;
use super::record::{Column, row_type, rows};
use crate::kda::types::KdaType;

pub(super) const DEFINITION: Definition = Definition {
    name: "kda_sys_log_parse",
    alias: Some("sys_log_parse"),
    usage: "SYS_LOG_PARSE(text)",
    takes: |given| match given {
        [DataType::Utf8 | DataType::Null] => Some(vec![DataType::Utf8]),
        _ => None,
    },
    gives: |_| Ok(row_type(&columns())),
    compute: |arguments| {
        let pattern = Pattern::compile("MMM d HH:mm:ss")?;
        rows(arguments, &columns(), |text| Ok(line(&pattern, text)))
    },
    simplify: as_it_is,
};

/// The length of `Mon DD HH:MM:SS`.
const TIME_LETTERS: usize = 15;

fn columns() -> Vec<Column> {
    vec![("COLUMN1".to_owned(), KdaType::Timestamp), ("COLUMN2".to_owned(), KdaType::VarChar(None))]
}

fn line(pattern: &Pattern, text: &str) -> Option<Vec<Option<String>>> {
    let (time, rest) = text.split_at_checked(TIME_LETTERS)?;
    let ms = pattern.parse(time)?;
    Some(vec![Some(print_timestamp(ms)), Some(rest.trim_start().to_owned())])
}
