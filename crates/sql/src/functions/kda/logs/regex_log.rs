//! `REGEX_LOG_PARSE(text, java_pattern)`: a column for each group of a pattern that the whole text matches.

use arrow::datatypes::DataType;

use super::super::definition::{Definition, as_it_is};
use super::super::regex::compile_whole;
use super::record::{groups, numbered, planned, row_type, rows, written_out};

pub(super) const DEFINITION: Definition = Definition {
    name: "kda_regex_log_parse",
    alias: Some("regex_log_parse"),
    usage: "REGEX_LOG_PARSE(text, pattern)",
    takes: two_texts,
    gives: |given| {
        let regex = planned(compile_whole(written_out(given, "REGEX_LOG_PARSE")?))?;
        Ok(row_type(&numbered(regex.captures_len() - 1)))
    },
    compute: |arguments| {
        let regex = compile_whole(arguments.word(1)?)?;
        rows(arguments, &numbered(regex.captures_len() - 1), |text| Ok(groups(&regex, text)))
    },
    simplify: as_it_is,
};

pub(super) fn two_texts(given: &[DataType]) -> Option<Vec<DataType>> {
    match given {
        [DataType::Utf8 | DataType::Null, DataType::Utf8] => Some(vec![DataType::Utf8, DataType::Utf8]),
        _ => None,
    }
}
