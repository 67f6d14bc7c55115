//! A column with its name: what a member of an object is written into, or counted where nobody reads it.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;

use super::column::{Column, Fault};
use super::cursor::Cursor;
use super::plain::End;
use super::unread::Unread;

/// A column of the table, or of a ROW.
pub(super) struct Member {
    field: FieldRef,
    column: Box<dyn Column>,
    /// In place of the column, where nobody reads it.
    unread: Option<Unread>,
}

impl Member {
    pub(super) fn new(field: &FieldRef, column: Box<dyn Column>) -> Self {
        Self { field: Arc::clone(field), column, unread: None }
    }

    /// Builds the column or only checks its values from now on. Between chunks only.
    pub(super) fn want(&mut self, is_wanted: bool) {
        self.unread = (!is_wanted).then(|| Unread::new(self.field.data_type()));
    }

    /// Takes a value in its common form.
    #[inline]
    pub(super) fn take(&mut self, text: &str, at: usize) -> End {
        match &mut self.unread {
            None => self.column.take(text, at, true),
            Some(unread) => {
                let end = self.column.take(text, at, false)?;
                unread.len += 1;
                Some(end)
            }
        }
    }

    /// Takes a value in any form.
    #[inline]
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let read = match &mut self.unread {
            None => self.column.read(cursor),
            Some(unread) => {
                unread.len += 1;
                self.column.check(cursor)
            }
        };
        match read {
            Ok(present) if present || self.field.is_nullable() => Ok(()),
            Ok(_) => Err(Fault::from("is null, but the column is NOT NULL".to_owned()).within(self.field.name())),
            Err(fault) => Err(fault.within(self.field.name())),
        }
    }

    /// Appends what an object without this member has.
    pub(super) fn miss(&mut self, fail_on_missing: bool) -> Result<(), Fault> {
        let wrong = match (self.field.is_nullable(), fail_on_missing) {
            (false, _) => "is missing, but the column is NOT NULL",
            (true, true) => "is missing, and 'json.fail-on-missing-field' is true",
            (true, false) => {
                self.append_null();
                return Ok(());
            }
        };
        Err(Fault::from(wrong.to_owned()).within(self.field.name()))
    }

    pub(super) fn len(&self) -> usize {
        self.unread.as_ref().map_or_else(|| self.column.len(), |unread| unread.len)
    }

    pub(super) fn truncate(&mut self, len: usize) {
        match &mut self.unread {
            None => self.column.truncate(len),
            Some(unread) => {
                unread.len = unread.len.min(len);
                // A value that failed halfway may have left something behind.
                self.column.truncate(0);
            }
        }
    }

    pub(super) fn append_null(&mut self) {
        match &mut self.unread {
            None => self.column.append_null(),
            Some(unread) => unread.len += 1,
        }
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        match &mut self.unread {
            None => self.column.finish(),
            Some(unread) => unread.finish(),
        }
    }
}
