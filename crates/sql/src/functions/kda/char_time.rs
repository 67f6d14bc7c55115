//! Times from and to texts by a format of Java's: `CHAR_TO_TIMESTAMP('yyyy-MM-dd', text)`, `TIMESTAMP_TO_CHAR(…)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, StringArray, Time32MillisecondArray, TimestampMillisecondArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};

use super::calendar::MS_PER_DAY;
use super::cast::shortened;
use super::definition::{Arguments, Definition, Given, TIME, TIMESTAMP, as_it_is};
use super::java_time::Pattern;
use super::value::{Value, Values};

pub(super) const ALL: &[Definition] = &[
    Definition {
        name: "kda_char_to_timestamp",
        alias: Some("char_to_timestamp"),
        usage: "CHAR_TO_TIMESTAMP(format, text)",
        takes: two_texts,
        gives: |given| of_pattern(given, TIMESTAMP),
        compute: |arguments| {
            let read = parsed("CHAR_TO_TIMESTAMP", arguments)?;
            Ok(Arc::new(TimestampMillisecondArray::from(read)))
        },
        simplify: as_it_is,
    },
    Definition {
        name: "kda_char_to_date",
        alias: Some("char_to_date"),
        usage: "CHAR_TO_DATE(format, text)",
        takes: two_texts,
        gives: |given| of_pattern(given, DataType::Date32),
        compute: |arguments| {
            let read = parsed("CHAR_TO_DATE", arguments)?.into_iter();
            let day = |ms: i64| {
                i32::try_from(ms.div_euclid(MS_PER_DAY)).map_err(|_| exec_datafusion_err!("a date is out of range"))
            };
            Ok(Arc::new(read.map(|ms| ms.map(day).transpose()).collect::<Result<Date32Array>>()?))
        },
        simplify: as_it_is,
    },
    Definition {
        name: "kda_char_to_time",
        alias: Some("char_to_time"),
        usage: "CHAR_TO_TIME(format, text)",
        takes: two_texts,
        gives: |given| of_pattern(given, TIME),
        compute: |arguments| {
            let read = parsed("CHAR_TO_TIME", arguments)?.into_iter();
            let time = |ms: i64| i32::try_from(ms.rem_euclid(MS_PER_DAY)).ok();
            Ok(Arc::new(read.map(|ms| ms.and_then(time)).collect::<Time32MillisecondArray>()))
        },
        simplify: as_it_is,
    },
    Definition {
        name: "kda_timestamp_to_char",
        alias: Some("timestamp_to_char"),
        usage: "TIMESTAMP_TO_CHAR(format, timestamp)",
        takes: text_and_time,
        gives: |given| of_pattern(given, DataType::Utf8),
        compute: formatted,
        simplify: as_it_is,
    },
    Definition {
        name: "kda_date_to_char",
        alias: Some("date_to_char"),
        usage: "DATE_TO_CHAR(format, date)",
        takes: text_and_time,
        gives: |given| of_pattern(given, DataType::Utf8),
        compute: formatted,
        simplify: as_it_is,
    },
    Definition {
        name: "kda_time_to_char",
        alias: Some("time_to_char"),
        usage: "TIME_TO_CHAR(format, time)",
        takes: text_and_time,
        gives: |given| of_pattern(given, DataType::Utf8),
        compute: formatted,
        simplify: as_it_is,
    },
];

fn two_texts(given: &[DataType]) -> Option<Vec<DataType>> {
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::Null);
    (given.len() == 2 && given.iter().all(is_text)).then(|| vec![DataType::Utf8, DataType::Utf8])
}

fn text_and_time(given: &[DataType]) -> Option<Vec<DataType>> {
    match given {
        [DataType::Utf8, time @ (DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_))] => {
            Some(vec![DataType::Utf8, time.clone()])
        }
        [DataType::Utf8, DataType::Null] => Some(vec![DataType::Utf8, TIMESTAMP]),
        _ => None,
    }
}

/// Refuses a format that is none when the query is planned, not at its first row.
fn of_pattern(given: &Given<'_>, gives: DataType) -> Result<DataType> {
    match given.text(0).map(Pattern::compile) {
        Some(Err(error)) => plan_err!("{}", error.strip_backtrace().trim_start_matches("Execution error: ")),
        _ => Ok(gives),
    }
}

/// The formats of some rows, each compiled when it changes.
struct Formats {
    texts: StringArray,
    compiled: Option<(String, Pattern)>,
}

impl Formats {
    fn of(arguments: &Arguments<'_>) -> Result<Self> {
        Ok(Self { texts: arguments.texts(0)?, compiled: None })
    }

    fn at(&mut self, row: usize) -> Result<Option<&Pattern>> {
        if self.texts.is_null(row) {
            return Ok(None);
        }
        let text = self.texts.value(row);
        let pattern = match self.compiled.take() {
            Some((known, pattern)) if known == text => (known, pattern),
            _ => (text.to_owned(), Pattern::compile(text)?),
        };
        Ok(Some(&self.compiled.insert(pattern).1))
    }
}

fn parsed(name: &str, arguments: &Arguments<'_>) -> Result<Vec<Option<i64>>> {
    let (mut formats, texts) = (Formats::of(arguments)?, arguments.texts(1)?);
    let mut read = Vec::with_capacity(texts.len());
    for (row, text) in texts.iter().enumerate() {
        read.push(match (formats.at(row)?, text) {
            (Some(pattern), Some(text)) => match pattern.parse(text) {
                Some(ms) => Some(ms),
                None => {
                    let format = formats.texts.value(row);
                    return exec_err!("'{}' is not of the format {format} of {name}", shortened(text));
                }
            },
            _ => None,
        });
    }
    Ok(read)
}

fn formatted(arguments: &Arguments<'_>) -> Result<ArrayRef> {
    let (mut formats, times) = (Formats::of(arguments)?, Values::of(&arguments.column(1)?)?);
    let mut texts = Vec::with_capacity(arguments.rows);
    for row in 0..arguments.rows {
        let ms = match times.get(row) {
            Some(Value::Instant(ms) | Value::Time(ms)) => Some(ms),
            Some(Value::Day(day)) => Some(day * MS_PER_DAY),
            _ => None,
        };
        let pattern = formats.at(row)?;
        texts.push(pattern.zip(ms).map(|(pattern, ms)| pattern.format(ms)));
    }
    Ok(Arc::new(StringArray::from(texts)))
}
