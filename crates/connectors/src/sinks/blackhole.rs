//! The sink `blackhole`: takes every row and counts it. For measuring everything else.

use millstream_core::{BoxFuture, Delivery, Emission, OptionError, Roles, Sink, SinkError};

use crate::formats;
use crate::registry::{Connector, Request, no_reference, no_source};

pub(crate) const CONNECTOR: Connector =
    Connector { name: "blackhole", format: formats::of_table, check, source: no_source, sink, reference: no_reference };

#[expect(clippy::unnecessary_wraps, reason = "every connector's check may fail")]
fn check(_: &Request<'_>) -> Result<Roles, OptionError> {
    Ok(Roles { source: None, sink: true, lookup: false })
}

#[expect(clippy::unnecessary_wraps, reason = "every connector's sink may fail")]
fn sink(request: &Request<'_>, _: &str) -> Result<Box<dyn Sink>, OptionError> {
    Ok(Box::new(Blackhole { table: request.table.name.clone(), rows: 0 }))
}

struct Blackhole {
    table: String,
    rows: usize,
}

impl Sink for Blackhole {
    fn delivery(&self) -> Delivery {
        Delivery::Nothing
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        self.rows += emission.rows.num_rows();
        Box::pin(std::future::ready(Ok(())))
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        tracing::info!(table = self.table, rows = self.rows, "blackhole ends");
        Box::pin(std::future::ready(Ok(())))
    }
}
