//! A window that is too large to be merged at once, given in parts: groups by the hash of their keys, rows as they were
//! handed in. Each part is merged when it is asked for, so that only one is in memory.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use millstream_core::Window;
use millstream_sql::Leaf;

use super::windows::{Content, Holds};
use crate::close::{leaf_rows, window_rows};
use crate::pane::PaneLayout;
use crate::spill::{PARTS, part_of};

/// The parts of one window that have not been given.
pub(crate) struct Parts {
    window: Window,
    leaf: Leaf,
    of: Of,
    next: usize,
}

enum Of {
    Groups(PaneLayout, Vec<Content>),
    Rows(SchemaRef, Vec<Content>),
}

impl Parts {
    pub(super) fn new(window: Window, leaf: &Leaf, holds: &Holds, pieces: Vec<Content>) -> Self {
        let of = match holds {
            Holds::Groups(layout) => Of::Groups(layout.clone(), pieces),
            Holds::Rows(schema) => Of::Rows(schema.clone(), pieces),
        };
        Self { window, leaf: leaf.clone(), of, next: 0 }
    }

    /// The next part, as CLOSE takes it. There is at least one.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let part = self.next;
        self.next += 1;
        match &self.of {
            Of::Groups(..) if part >= PARTS => Ok(None),
            Of::Groups(layout, pieces) => {
                let mut table = layout.table()?;
                let keys = layout.keys.fields().len();
                for piece in pieces {
                    match piece {
                        Content::Groups(delta) => {
                            table.merge(&layout.delta(&part_of(&delta.batch()?, keys, part)?)?)?
                        }
                        Content::Rows(_) => {}
                        Content::Spilled(spilled) => {
                            for rows in spilled.read(Some(part))? {
                                table.merge(&layout.delta(&rows)?)?;
                            }
                        }
                    }
                }
                leaf_rows(&self.leaf, table, Some(self.window)).map(Some)
            }
            Of::Rows(schema, pieces) => match pieces.get(part) {
                Some(piece) => window_rows(&self.leaf, &piece.all_rows(schema)?, self.window).map(Some),
                None if part == 0 => {
                    window_rows(&self.leaf, &RecordBatch::new_empty(schema.clone()), self.window).map(Some)
                }
                None => Ok(None),
            },
        }
    }
}
