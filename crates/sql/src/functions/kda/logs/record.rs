//! Rows of parsed texts: their type, and their columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, exec_err, plan_err};
use regex::Regex;

use super::super::cast::{Excess, convert};
use super::super::definition::{Arguments, Given};
use crate::kda::types::KdaType;

/// A column of the row: its name and its type.
pub(super) type Column = (String, KdaType);

/// COLUMN1 and so on, all texts.
pub(super) fn numbered(count: usize) -> Vec<Column> {
    (1..=count).map(|number| (format!("COLUMN{number}"), KdaType::VarChar(None))).collect()
}

pub(super) fn row_type(columns: &[Column]) -> DataType {
    DataType::Struct(columns.iter().map(|(name, kind)| Field::new(name, kind.arrow(), true)).collect())
}

/// The second argument, by which the columns are known when the query is planned.
pub(super) fn written_out<'a>(given: &'a Given<'_>, function: &str) -> Result<&'a str> {
    match given.text(1) {
        Some(text) => Ok(text),
        None => plan_err!("the second argument of {function} says its columns: write it as a text in quotes"),
    }
}

/// An error of a pattern, as one of planning.
pub(super) fn planned<T>(result: Result<T>) -> Result<T> {
    result.or_else(|error| plan_err!("{}", error.strip_backtrace().trim_start_matches("Execution error: ")))
}

/// Builds the rows: `parse` gives the texts of one, or `None` where the text is not of the form.
pub(super) fn rows(
    arguments: &Arguments<'_>,
    columns: &[Column],
    mut parse: impl FnMut(&str) -> Result<Option<Vec<Option<String>>>>,
) -> Result<ArrayRef> {
    let texts = arguments.texts(0)?;
    let mut parts: Vec<Vec<Option<String>>> = vec![Vec::with_capacity(arguments.rows); columns.len()];
    let mut is_row = Vec::with_capacity(arguments.rows);
    for text in &texts {
        let row = match text {
            Some(text) => parse(text)?,
            None => None,
        };
        is_row.push(row.is_some());
        let mut row = row.unwrap_or_default().into_iter();
        for part in &mut parts {
            part.push(row.next().flatten());
        }
    }
    let convert_column = |(texts, (name, kind)): (Vec<Option<String>>, &Column)| {
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        convert(&texts, *kind, Excess::IsCut).or_else(|error| {
            exec_err!("column {name}: {}", error.strip_backtrace().trim_start_matches("Execution error: "))
        })
    };
    let arrays = parts.into_iter().zip(columns).map(convert_column).collect::<Result<Vec<_>>>()?;
    let fields: Fields = match arguments.gives {
        DataType::Struct(fields) => fields.clone(),
        _ => return exec_err!("a log parser gives a ROW"),
    };
    Ok(Arc::new(StructArray::try_new(fields, arrays, Some(NullBuffer::from(is_row)))?))
}

/// The groups of an expression as the columns of a row.
pub(super) fn groups(regex: &Regex, text: &str) -> Option<Vec<Option<String>>> {
    let found = regex.captures(text)?;
    Some(found.iter().skip(1).map(|group| group.map(|group| group.as_str().to_owned())).collect())
}
