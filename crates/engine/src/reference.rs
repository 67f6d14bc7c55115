//! Tables that are there whole, as joins read them: live tables as they stand, files and objects as last loaded.
//!
//! A file or object is loaded before the first row is joined, and looked at again from time to time. A reload that fails
//! keeps what there is and says so.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_core::{Clock, Duration, Loaded, Reference, ReferenceError, Version};
use millstream_sql::Relation;

use crate::close::ReferenceRows;
use crate::engine::{Inner, Running};
use crate::errors::Fault;
use crate::faults::FaultLog;
use crate::live_table::LiveTable;
use crate::threads;

impl ReferenceRows for LiveTable {
    fn rows(&self) -> Result<Vec<RecordBatch>> {
        Ok(self.snapshot()?.rows)
    }
}

/// Tables that have been loaded, by name, as long as somebody reads them.
pub(crate) type References = Mutex<HashMap<String, Weak<LoadedTable>>>;

/// A table that was loaded whole.
pub(crate) struct LoadedTable {
    name: String,
    content: Mutex<Content>,
    first: Condvar,
}

/// No row can be joined: that is no fault of a row.
#[derive(Debug, thiserror::Error)]
#[error("`{table}` could not be loaded: {reason}")]
struct Unavailable {
    table: String,
    reason: String,
}

enum Content {
    /// The first load is under way.
    Loading,
    /// It failed, and nothing can be joined.
    Failed(String),
    Loaded(Vec<RecordBatch>),
}

impl LoadedTable {
    fn set(&self, content: Content) {
        *self.content.lock().unwrap_or_else(PoisonError::into_inner) = content;
        self.first.notify_all();
    }
}

impl ReferenceRows for LoadedTable {
    /// Waits for the first load: rows that are joined before it would miss their partners.
    fn rows(&self) -> Result<Vec<RecordBatch>> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*content {
                Content::Loaded(rows) => return Ok(rows.clone()),
                Content::Failed(reason) => {
                    let unavailable = Unavailable { table: self.name.clone(), reason: reason.clone() };
                    return Err(DataFusionError::External(Box::new(unavailable)));
                }
                Content::Loading => content = self.first.wait(content).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// How often the first load is tried again, and after what time.
const FIRST_TRIES: usize = 10;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Tells those who wait when the loader is gone.
struct Unloaded(Weak<LoadedTable>);

impl Drop for Unloaded {
    fn drop(&mut self) {
        let Some(table) = self.0.upgrade() else { return };
        let mut content = table.content.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*content, Content::Loading) {
            *content = Content::Failed("its loader has stopped".to_owned());
            table.first.notify_all();
        }
    }
}

/// Loads a table now and again, until nobody reads it.
async fn keep_loaded(
    mut reference: Box<dyn Reference>,
    table: Weak<LoadedTable>,
    name: String,
    faults: FaultLog,
    clock: Arc<dyn Clock>,
) {
    // A loader that ends without having loaded anything must not leave closers waiting.
    let _unloaded = Unloaded(table.clone());
    let mut known: Option<Version> = None;
    let mut tries = 0;
    loop {
        let loaded = reference.load(known.as_ref()).await;
        let Some(table) = table.upgrade() else { return };
        match loaded {
            Ok(Some(Loaded { version, rows, rejected, rejected_count })) => {
                tracing::info!(table = %name, %version, rejected = rejected_count, "a reference table was loaded");
                faults.report(rejected.iter().map(|record| {
                    let row = String::from_utf8_lossy(&record.raw).into_owned();
                    Fault::of_row("", &name, &record.file, None, row, record.to_string()).named("reference record")
                }));
                known = Some(version);
                table.set(Content::Loaded(rows));
            }
            Ok(None) => {}
            // What may be gone in a moment is tried again, for as long as the queries that wait can bear it.
            Err(ReferenceError::Failed { .. } | ReferenceError::Changing { .. })
                if known.is_none() && tries < FIRST_TRIES =>
            {
                tries += 1;
                drop(table);
                clock.sleep(FIRST_PAUSE).await;
                continue;
            }
            Err(error) if known.is_none() => return table.set(Content::Failed(error.to_string())),
            Err(error) => {
                let reason = format!("`{name}` could not be loaded again, and stays as it is: {error}");
                tracing::warn!("{reason}");
                faults.report([Fault::of_row("", &name, "", None, String::new(), reason).named("reference reload")]);
            }
        }
        drop(table);
        clock.sleep(reference.reload_interval()).await;
    }
}

impl Inner {
    /// Finds what a join reads, among what runs and what the same script has made.
    pub(crate) fn reference(
        &self,
        state: &Running,
        made: &HashMap<String, Arc<LiveTable>>,
        relation: &Relation,
    ) -> Result<Arc<dyn ReferenceRows>> {
        match relation {
            Relation::MaterializedView(view) => {
                let running = || state.queries.get(&view.name).and_then(|query| query.table.clone());
                let table = made.get(&view.name).cloned().or_else(running);
                let table = table.ok_or_else(|| DataFusionError::Plan(format!("`{}` has no live table", view.name)))?;
                Ok(table)
            }
            Relation::Table(table) => {
                let name = &table.decl.name;
                let mut references = self.references.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(loaded) = references.get(name).and_then(Weak::upgrade) {
                    return Ok(loaded);
                }
                let reference = self.connectors.reference(&table.decl);
                let reference = reference.map_err(|error| DataFusionError::Plan(error.to_string()))?;
                let loaded = Arc::new(LoadedTable {
                    name: name.clone(),
                    content: Mutex::new(Content::Loading),
                    first: Condvar::new(),
                });
                references.insert(name.clone(), Arc::downgrade(&loaded));
                let (faults, clock) = (self.faults.clone(), Arc::clone(&self.clock));
                let loading = keep_loaded(reference, Arc::downgrade(&loaded), name.clone(), faults, clock);
                threads::task(&self.runtime, loading);
                Ok(loaded)
            }
            other => Err(DataFusionError::Plan(format!("a {} cannot be joined as a whole", other.kind()))),
        }
    }
}
