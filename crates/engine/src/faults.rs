//! The way of faults into `error_stream`.

use std::sync::Arc;

use millstream_core::Clock;

use crate::errors::{self, Fault};
use crate::live_table::LiveTable;

/// Handed to every worker; cheap to clone.
#[derive(Clone)]
pub(crate) struct FaultLog {
    table: Arc<LiveTable>,
    clock: Arc<dyn Clock>,
}

impl FaultLog {
    pub(crate) fn new(table: Arc<LiveTable>, clock: Arc<dyn Clock>) -> Self {
        Self { table, clock }
    }

    /// Adds faults to the table.
    pub(crate) fn report(&self, faults: impl IntoIterator<Item = Fault>) {
        let faults: Vec<Fault> = faults.into_iter().collect();
        if faults.is_empty() {
            return;
        }
        let now = self.clock.now();
        let written = errors::rows(&faults, now).map_err(Into::into).and_then(|rows| self.table.append(rows, now));
        if let Err(error) = written {
            // The table is of our own making; if it cannot take a row, the log still tells.
            tracing::error!(%error, first = faults[0].message(), "error_stream could not take {} rows", faults.len());
        }
    }
}
