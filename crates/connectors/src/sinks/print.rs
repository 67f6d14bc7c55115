//! The sink `print`: one JSON line `{"table":"…","row":{…}}` a row, to standard output.

use millstream_core::{BoxFuture, Delivery, Emission, OptionError, Roles, Sink, SinkError};

use crate::Printer;
use crate::formats::{self, json::json_rows};
use crate::registry::{Connector, Request, no_reference, no_source};

pub(crate) const CONNECTOR: Connector =
    Connector { name: "print", format: formats::of_table, check, source: no_source, sink, reference: no_reference };

#[expect(clippy::unnecessary_wraps, reason = "every connector's check may fail")]
fn check(_: &Request<'_>) -> Result<Roles, OptionError> {
    Ok(Roles { source: None, sink: true, lookup: false })
}

#[expect(clippy::unnecessary_wraps, reason = "every connector's sink may fail")]
fn sink(request: &Request<'_>, _: &str) -> Result<Box<dyn Sink>, OptionError> {
    let name = serde_json::Value::from(request.table.name.as_str());
    Ok(Box::new(Print { head: format!("{{\"table\":{name},\"row\":"), printer: request.context.printer.clone() }))
}

struct Print {
    head: String,
    printer: Printer,
}

impl Print {
    fn print(&self, emission: &Emission) -> Result<(), SinkError> {
        let fatal = |reason: String| SinkError::Fatal { sink: "print".to_owned(), reason };
        let mut rows = Vec::new();
        json_rows(&emission.rows, &mut rows).map_err(|error| fatal(error.to_string()))?;
        let mut lines = Vec::with_capacity(rows.len() + emission.rows.num_rows() * (self.head.len() + 1));
        for row in rows.split_inclusive(|byte| *byte == b'\n') {
            lines.extend_from_slice(self.head.as_bytes());
            lines.extend_from_slice(row.trim_ascii_end());
            lines.extend_from_slice(b"}\n");
        }
        let mut printer = self.printer.lock().map_err(|_| fatal("another writer broke off".to_owned()))?;
        printer.write_all(&lines).and_then(|()| printer.flush()).map_err(|error| fatal(error.to_string()))
    }
}

impl Sink for Print {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(std::future::ready(self.print(emission)))
    }
}
