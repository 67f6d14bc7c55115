//! Connectors for `run` and `check`: nothing leaves the machine. A replay stands in for streams that are read, and what
//! would go to a stream or to `print` is handed to whoever prints the results.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use millstream_connectors::{Context, Registry, Replay, ReplayError, ReplayPlan};
use millstream_core::{
    BoxFuture, Clock, Connectors, Decoder, Delivery, Emission, OptionError, Reference, Roles, Sink, SinkError, Source,
    TableDecl,
};
use millstream_engine::Captured;
use tokio::sync::mpsc;

/// Connectors that are streams when the service runs.
const STREAMS: [&str; 2] = ["stream", "kinesis"];
/// Those whose rows are printed: nothing leaves the machine.
const PRINTED: [&str; 5] = ["print", "stream", "kinesis", "firehose", "lambda"];

/// See the module.
pub(crate) struct Offline {
    registry: Registry,
    has_replay: bool,
    printed: mpsc::Sender<Captured>,
}

impl Offline {
    /// Without a replay streams can be declared and written, but not read.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        replay: Option<Arc<Replay>>,
        printed: mpsc::Sender<Captured>,
    ) -> Result<Self, ReplayError> {
        let has_replay = replay.is_some();
        let replay = match replay {
            Some(replay) => replay,
            None => Arc::new(Replay::parse(&Bytes::new(), ReplayPlan::default())?),
        };
        let context = Context { replay: Some(replay), ..Context::new(clock) };
        Ok(Self { registry: Registry::new(context), has_replay, printed })
    }
}

fn connector(table: &TableDecl) -> &str {
    table.options.get("connector").unwrap_or_default()
}

/// Whether rows for this table are printed.
pub(crate) fn is_printed(table: &TableDecl) -> bool {
    PRINTED.contains(&connector(table))
}

impl Connectors for Offline {
    fn check(&self, table: &TableDecl) -> Result<Roles, OptionError> {
        let roles = self.registry.check(table)?;
        Ok(Roles { sink: roles.sink || STREAMS.contains(&connector(table)), ..roles })
    }

    fn source(&self, table: &TableDecl) -> Result<Box<dyn Source>, OptionError> {
        if STREAMS.contains(&connector(table)) && !self.has_replay {
            let message = format!("the stream of `{}` cannot be read here; give its records with --replay", table.name);
            return Err(OptionError::new("connector", message));
        }
        self.registry.source(table)
    }

    fn decoder(&self, table: &TableDecl) -> Result<Box<dyn Decoder>, OptionError> {
        self.registry.decoder(table)
    }

    fn sink(&self, table: &TableDecl, query: &str) -> Result<Box<dyn Sink>, OptionError> {
        if is_printed(table) {
            // The output of a stream whose name the service has for a table of its own.
            let shown = table.name.strip_suffix("__output").unwrap_or(&table.name).to_owned();
            return Ok(Box::new(Printed { table: shown, printed: self.printed.clone() }));
        }
        self.registry.sink(table, query)
    }

    fn reference(&self, table: &TableDecl) -> Result<Box<dyn Reference>, OptionError> {
        let path = table.options.get("path").unwrap_or_default();
        if path.starts_with("s3://") {
            let message = format!("`{path}` is not read here: nothing leaves the machine; name a local copy of it");
            return Err(OptionError::new("path", message));
        }
        self.registry.reference(table)
    }
}

/// Hands rows to the printer, in order.
struct Printed {
    table: String,
    printed: mpsc::Sender<Captured>,
}

impl Printed {
    async fn hand_on(&self, rows: RecordBatch) -> Result<(), SinkError> {
        let captured = Captured { table: self.table.clone(), rows };
        let sent = self.printed.send(captured).await;
        sent.map_err(|_| SinkError::Fatal { sink: self.table.clone(), reason: "nobody prints any more".to_owned() })
    }
}

impl Sink for Printed {
    fn delivery(&self) -> Delivery {
        Delivery::Nothing
    }

    fn write<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.hand_on(emission.rows.clone()))
    }
}
