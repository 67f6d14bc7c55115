//! Flink's parts of texts: `SPLIT_INDEX` and `REGEXP_EXTRACT`. What is not there is NULL.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use regex::Regex;

use crate::type_name;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    [Part::Split, Part::Group]
        .map(|part| {
            let signature = Signature::user_defined(Volatility::Immutable);
            Arc::new(ScalarUDF::from(TextFunction { part, signature }))
        })
        .to_vec()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// `split_index(text, separator, index)`, counted from 0.
    Split,
    /// `regexp_extract(text, pattern, group)`: a group of the first match; 0, the default, is the whole of it.
    Group,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextFunction {
    part: Part,
    signature: Signature,
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &'static str {
        match self.part {
            Part::Split => "split_index",
            Part::Group => "regexp_extract",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match (self.part, given) {
            (_, [text, other, index]) if is_text(text) && is_text(other) && is_whole(index) => {
                Ok(vec![DataType::Utf8, DataType::Utf8, DataType::Int64])
            }
            (Part::Group, [text, pattern]) if is_text(text) && is_text(pattern) => {
                Ok(vec![DataType::Utf8, DataType::Utf8])
            }
            _ => {
                let given: Vec<_> = given.iter().map(type_name).collect();
                plan_err!("{}, found {}", self.usage(), given.join(", "))
            }
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    /// Refuses a literal that is no pattern when the query is planned, not at its first row.
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        if self.part == Part::Group
            && let Some(Some(pattern)) = args.scalar_arguments.get(1)
            && let Some(pattern) = pattern.try_as_str().flatten()
        {
            Regex::new(pattern).map_err(|wrong| plan_datafusion_err!("{}", no_pattern(pattern, &wrong)))?;
        }
        Ok(Arc::new(Field::new(self.name(), DataType::Utf8, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let column = |index: usize| args.args[index].to_array(args.number_rows);
        let (texts, others) = (cast(&column(0)?, &DataType::Utf8)?, cast(&column(1)?, &DataType::Utf8)?);
        let indexes = match args.args.len() {
            2 => Int64Array::from(vec![0; args.number_rows]),
            _ => cast(&column(2)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
        };
        let (texts, others) = (texts.as_string::<i32>(), others.as_string::<i32>());
        let mut compiled: Option<(&str, Regex)> = None;
        let mut answer = Vec::with_capacity(args.number_rows);
        for ((text, other), index) in texts.iter().zip(others).zip(&indexes) {
            let index = index.and_then(|index| usize::try_from(index).ok());
            let (Some(text), Some(other), Some(index)) = (text, other, index) else {
                answer.push(None);
                continue;
            };
            answer.push(match self.part {
                Part::Split => split(text, other, index)?,
                Part::Group => {
                    let regex = match compiled.take() {
                        Some((pattern, regex)) if pattern == other => regex,
                        _ => {
                            Regex::new(other).map_err(|wrong| exec_datafusion_err!("{}", no_pattern(other, &wrong)))?
                        }
                    };
                    let (_, regex) = compiled.insert((other, regex));
                    regex.captures(text).and_then(|groups| groups.get(index)).map(|group| group.as_str())
                }
            });
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(answer))))
    }
}

impl TextFunction {
    fn usage(&self) -> &'static str {
        match self.part {
            Part::Split => "write SPLIT_INDEX(text, separator, index); the first part has index 0",
            Part::Group => "write REGEXP_EXTRACT(text, pattern, group); group 0 is the whole match",
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

fn is_whole(data_type: &DataType) -> bool {
    data_type.is_integer() || *data_type == DataType::Null
}

/// Flink counts no parts in an empty text.
fn split<'a>(text: &'a str, separator: &str, index: usize) -> Result<Option<&'a str>> {
    if separator.is_empty() {
        return exec_err!("the separator of split_index is empty");
    }
    Ok(if text.is_empty() { None } else { text.split(separator).nth(index) })
}

fn no_pattern(pattern: &str, wrong: &regex::Error) -> String {
    format!("`{pattern}` is no pattern of regexp_extract: {wrong}")
}
