//! Tables that are there whole, as joins read them: live tables as they stand, files and objects as last loaded.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use millstream_sql::Relation;

use crate::close::ReferenceRows;
use crate::engine::{Inner, Running};
use crate::live_table::LiveTable;

impl ReferenceRows for LiveTable {
    fn rows(&self) -> Result<Vec<RecordBatch>> {
        Ok(self.snapshot()?.rows)
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
            other => Err(DataFusionError::Plan(format!("a {} cannot be joined as a whole", other.kind()))),
        }
    }
}
