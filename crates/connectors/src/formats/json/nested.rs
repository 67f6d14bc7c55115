//! Columns of columns: ROW, ARRAY and MAP.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{FieldRef, Fields};
use arrow::error::ArrowError;
use millstream_core::FormatError;

use super::column::{BytesColumn, BytesKind, Column, Fault, Validity};
use super::cursor::Cursor;
use super::object::Object;
use super::types::{Settings, column_for};
use super::unsupported;

/// A ROW column: a JSON object.
pub(super) struct StructColumn {
    fields: Fields,
    object: Object,
    len: usize,
    validity: Validity,
}

impl StructColumn {
    pub(super) fn new(fields: &Fields, settings: Settings) -> Result<Self, FormatError> {
        let object = Object::new(fields, settings)?;
        Ok(Self { fields: fields.clone(), object, len: 0, validity: Validity::default() })
    }
}

impl Column for StructColumn {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        if cursor.null() {
            self.append_null();
            return Ok(false);
        }
        self.object.read(cursor, self.len)?;
        self.len += 1;
        self.validity.push(true, self.len);
        Ok(true)
    }

    fn append_null(&mut self) {
        self.object.append_null();
        self.len += 1;
        self.validity.push(false, self.len);
    }

    fn truncate(&mut self, len: usize) {
        self.object.truncate(len);
        self.len = self.len.min(len);
        self.validity.truncate(len);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let (columns, len) = (self.object.finish()?, std::mem::take(&mut self.len));
        let nulls = self.validity.finish();
        let array = StructArray::try_new_with_length(self.fields.clone(), columns, nulls, len)?;
        Ok(Arc::new(array))
    }
}

/// The lengths of lists, as offsets into their items.
struct Lists {
    offsets: Vec<i32>,
    validity: Validity,
}

impl Lists {
    fn new() -> Self {
        Self { offsets: vec![0], validity: Validity::default() }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn items(&self) -> usize {
        self.offsets.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0))
    }

    fn end_list(&mut self, items: usize, valid: bool) -> Result<(), String> {
        let end = i32::try_from(items).map_err(|_| "the chunk holds more than 2^31 list items".to_owned())?;
        self.offsets.push(end);
        self.validity.push(valid, self.offsets.len() - 1);
        Ok(())
    }

    fn append_null(&mut self) {
        self.offsets.push(self.offsets.last().copied().unwrap_or(0));
        self.validity.push(false, self.offsets.len() - 1);
    }

    fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.validity.truncate(len);
    }

    fn finish(&mut self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.offsets, vec![0])))
    }
}

/// An ARRAY column: a JSON array.
pub(super) struct ListColumn {
    item: FieldRef,
    lists: Lists,
    items: Box<dyn Column>,
}

impl ListColumn {
    pub(super) fn new(item: &FieldRef, settings: Settings) -> Result<Self, FormatError> {
        let items = column_for(item.data_type(), settings).map_err(|error| unsupported(item, error))?;
        Ok(Self { item: Arc::clone(item), lists: Lists::new(), items })
    }

    fn read_item(&mut self, cursor: &mut Cursor<'_>, index: usize) -> Result<(), Fault> {
        let within = |fault: Fault| fault.within(&format!("[{index}]"));
        if !self.items.read(cursor).map_err(within)? && !self.item.is_nullable() {
            return Err(within("is null, but items are NOT NULL".to_owned().into()));
        }
        Ok(())
    }
}

impl Column for ListColumn {
    fn len(&self) -> usize {
        self.lists.len()
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        if cursor.null() {
            self.append_null();
            return Ok(false);
        }
        // A list that failed halfway may have left items behind.
        self.items.truncate(self.lists.items());
        if !cursor.take(b'[') {
            return Err(cursor.unexpected("an array").into());
        }
        if !cursor.take(b']') {
            let mut index = 0;
            loop {
                self.read_item(cursor, index)?;
                index += 1;
                if cursor.take(b',') {
                    continue;
                }
                cursor.expect(b']', "or `,`")?;
                break;
            }
        }
        self.lists.end_list(self.items.len(), true)?;
        Ok(true)
    }

    fn append_null(&mut self) {
        self.lists.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.lists.truncate(len);
        self.items.truncate(self.lists.items());
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.items.truncate(self.lists.items());
        let (offsets, nulls) = (self.lists.finish(), self.lists.validity.finish());
        Ok(Arc::new(ListArray::try_new(Arc::clone(&self.item), offsets, self.items.finish()?, nulls)?))
    }
}

/// A MAP column with text keys: a JSON object of any keys.
pub(super) struct MapColumn {
    entries: FieldRef,
    fields: Fields,
    lists: Lists,
    keys: BytesColumn,
    values: Box<dyn Column>,
}

impl MapColumn {
    /// `fields` are the key and the value of `entries`.
    pub(super) fn new(
        entries: &FieldRef,
        fields: &Fields,
        kind: BytesKind,
        settings: Settings,
    ) -> Result<Self, FormatError> {
        let value = &fields[1];
        let values = column_for(value.data_type(), settings).map_err(|error| unsupported(value, error))?;
        let (entries, fields) = (Arc::clone(entries), fields.clone());
        Ok(Self { entries, fields, lists: Lists::new(), keys: BytesColumn::new(kind), values })
    }
}

impl Column for MapColumn {
    fn len(&self) -> usize {
        self.lists.len()
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        if cursor.null() {
            self.append_null();
            return Ok(false);
        }
        self.keys.truncate(self.lists.items());
        self.values.truncate(self.lists.items());
        if !cursor.take(b'{') {
            return Err(cursor.unexpected("an object").into());
        }
        if !cursor.take(b'}') {
            loop {
                if cursor.next_token() != Some(b'"') {
                    return Err(cursor.unexpected("a key in quotes").into());
                }
                self.keys.read(cursor)?;
                cursor.expect(b':', "after a key")?;
                if !self.values.read(cursor)? && !self.fields[1].is_nullable() {
                    return Err("holds null, but its values are NOT NULL".to_owned().into());
                }
                if cursor.take(b',') {
                    continue;
                }
                cursor.expect(b'}', "or `,`")?;
                break;
            }
        }
        self.lists.end_list(self.keys.len(), true)?;
        Ok(true)
    }

    fn append_null(&mut self) {
        self.lists.append_null();
    }

    fn truncate(&mut self, len: usize) {
        self.lists.truncate(len);
        self.keys.truncate(self.lists.items());
        self.values.truncate(self.lists.items());
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let (offsets, nulls) = (self.lists.finish(), self.lists.validity.finish());
        let entries =
            StructArray::try_new(self.fields.clone(), vec![self.keys.finish()?, self.values.finish()?], None)?;
        Ok(Arc::new(MapArray::try_new(Arc::clone(&self.entries), offsets, entries, nulls, false)?))
    }
}
