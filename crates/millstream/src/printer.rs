//! Results on standard output, in the form that was asked for.

use std::io::{BufWriter, Write};

use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use arrow::util::pretty::pretty_format_batches;

use crate::cli::ResultFormat;
use crate::rows;

/// Prints rows of tables as they come; [`Printer::finish`] completes what cannot be printed before.
pub(crate) struct Printer<W: Write> {
    out: BufWriter<W>,
    form: Form,
    rows: u64,
}

enum Form {
    Ndjson,
    /// The table whose header was printed last.
    Csv(Option<String>),
    /// Tables in the order they first appeared: their widths are known at the end.
    Table(Vec<(String, Vec<RecordBatch>)>),
    /// The one table, and its stream so far.
    Arrow(Option<(String, Box<StreamWriter<Vec<u8>>>)>),
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, format: ResultFormat) -> Self {
        let form = match format {
            ResultFormat::Ndjson => Form::Ndjson,
            ResultFormat::Csv => Form::Csv(None),
            ResultFormat::Table => Form::Table(Vec::new()),
            ResultFormat::Arrow => Form::Arrow(None),
        };
        Self { out: BufWriter::with_capacity(1 << 20, out), form, rows: 0 }
    }

    /// How many rows were printed.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn print(&mut self, table: &str, batch: &RecordBatch) -> anyhow::Result<()> {
        self.rows += batch.num_rows() as u64;
        match &mut self.form {
            Form::Ndjson => {
                let head = format!("{{\"table\":{},\"row\":", serde_json::Value::from(table));
                for row in rows::ndjson(batch)?.split_inclusive(|byte| *byte == b'\n') {
                    self.out.write_all(head.as_bytes())?;
                    self.out.write_all(row.trim_ascii_end())?;
                    self.out.write_all(b"}\n")?;
                }
            }
            Form::Csv(last) => {
                let is_new = last.as_deref() != Some(table);
                if is_new && last.is_some() {
                    self.out.write_all(b"\n")?;
                }
                *last = Some(table.to_owned());
                self.out.write_all(&rows::csv(batch, is_new)?)?;
            }
            Form::Table(tables) => match tables.iter_mut().find(|(name, _)| name == table) {
                Some((_, batches)) => batches.push(batch.clone()),
                None => tables.push((table.to_owned(), vec![batch.clone()])),
            },
            Form::Arrow(Some((name, _))) if name != table => {
                bail!(
                    "an Arrow stream holds one table, and the script has `{name}` and `{table}`: use another --format"
                )
            }
            Form::Arrow(Some((_, writer))) => writer.write(batch)?,
            Form::Arrow(stream @ None) => {
                let mut writer = Box::new(StreamWriter::try_new(Vec::new(), &batch.schema())?);
                writer.write(batch)?;
                *stream = Some((table.to_owned(), writer));
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        match self.form {
            Form::Ndjson | Form::Csv(_) => {}
            Form::Table(tables) => {
                for (name, batches) in tables {
                    writeln!(self.out, "{name}\n{}", pretty_format_batches(&batches)?)?;
                }
            }
            Form::Arrow(stream) => {
                if let Some((_, writer)) = stream {
                    self.out.write_all(&writer.into_inner()?)?;
                }
            }
        }
        self.out.flush().context("the results cannot be printed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use std::sync::Arc;

    fn printed(format: ResultFormat, tables: &[&str]) -> anyhow::Result<String> {
        let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as _)])?;
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, format);
        for table in tables {
            printer.print(table, &rows)?;
        }
        assert_eq!(printer.rows(), 2 * tables.len() as u64);
        printer.finish()?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn each_format_prints_tables_its_way() {
        for (format, tables, expected) in [
            (
                ResultFormat::Ndjson,
                &["a"][..],
                "{\"table\":\"a\",\"row\":{\"n\":1}}\n{\"table\":\"a\",\"row\":{\"n\":2}}\n",
            ),
            (ResultFormat::Csv, &["a", "a", "b"], "n\n1\n2\n1\n2\n\nn\n1\n2\n"),
            (ResultFormat::Table, &["a"], "a\n+---+\n| n |\n+---+\n| 1 |\n| 2 |\n+---+\n"),
        ] {
            assert_eq!(printed(format, tables).unwrap(), expected);
        }
        assert!(!printed(ResultFormat::Arrow, &["a", "a"]).unwrap().is_empty());
        assert!(printed(ResultFormat::Arrow, &["a", "b"]).unwrap_err().to_string().contains("one table"));
    }
}
