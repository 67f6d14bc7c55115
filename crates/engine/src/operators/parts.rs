//! A window that is too large to be merged at once, given in parts by the hash of the groups' keys. Each part is merged
//! when it is asked for, so that only one is in memory.

use arrow::array::RecordBatch;
use datafusion::common::Result;
use millstream_core::Window;
use millstream_sql::Leaf;

use super::windows::Content;
use crate::close::leaf_rows;
use crate::pane::PaneLayout;
use crate::spill::{PARTS, part_of};

/// The parts of one window that have not been given.
pub(crate) struct Parts {
    window: Window,
    leaf: Leaf,
    layout: PaneLayout,
    pieces: Vec<Content>,
    next: usize,
}

impl Parts {
    pub(super) fn new(window: Window, leaf: &Leaf, layout: &PaneLayout, pieces: Vec<Content>) -> Self {
        Self { window, leaf: leaf.clone(), layout: layout.clone(), pieces, next: 0 }
    }

    /// The next part, as CLOSE takes it. There is at least one.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let part = self.next;
        if part >= PARTS {
            return Ok(None);
        }
        self.next += 1;
        let Self { layout, pieces, .. } = self;
        let keys = layout.keys.fields().len();
        let mut table = layout.table()?;
        for piece in pieces {
            let rows = match piece {
                Content::Groups(delta) => vec![part_of(&delta.batch()?, keys, part)?],
                Content::Rows(rows) => vec![part_of(rows, keys, part)?],
                Content::Spilled(spilled) => spilled.read(Some(part))?,
            };
            rows.iter().try_for_each(|rows| table.merge(&layout.delta(rows)?))?;
        }
        leaf_rows(&self.leaf, table.finish()?, Some(self.window)).map(Some)
    }
}
