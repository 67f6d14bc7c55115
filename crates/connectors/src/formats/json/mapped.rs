//! Documents whose rows and columns lie anywhere in them, found by paths.
//!
//! A document is walked once, noting where the values begin that a path leads to; each row's values are then read by the
//! same columns as everywhere. An array that paths go into gives a row for each element, and one where there is none;
//! what lies outside of it comes again in each.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use millstream_core::{Chunk, Decoded, Decoder, FormatError};

use super::cursor::Cursor;
use super::decoder::{NOT_UTF8, in_document, reason};
use super::mapping::Mapping;
use super::member::Member;
use super::path::Path;
use crate::formats::tally::Tally;

/// How documents are read.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Whether a key that is nobody's is looked for in lower case.
    pub(super) is_folded: bool,
    pub(super) fail_on_missing: bool,
    /// Whether a record may hold several documents.
    pub(super) has_many: bool,
}

/// Decodes documents by paths.
pub(super) struct MappedDecoder {
    schema: SchemaRef,
    rows: RowFinder,
    columns: ColumnFinder,
    has_many: bool,
}

impl MappedDecoder {
    /// `members` are those of the mapping's columns.
    pub(super) fn new(schema: &SchemaRef, members: Vec<Member>, mapping: &Mapping, rules: Rules) -> Self {
        let rows = RowFinder::new(&mapping.row, rules.is_folded);
        let columns = ColumnFinder::new(members, &mapping.columns, rules);
        Self { schema: Arc::clone(schema), rows, columns, has_many: rules.has_many }
    }

    /// Reads a record.
    fn record(&mut self, text: &str, record: usize, tally: &mut Tally) {
        let mut cursor = Cursor::new(text);
        for number in 1.. {
            self.columns.document = number;
            if let Err(message) = self.document(&mut cursor, record, tally) {
                // What follows a text that is no JSON is not looked for.
                return tally.reject(record, in_document(number, reason(&message.into())));
            }
            if !self.has_many || cursor.next_token().is_none() {
                return;
            }
        }
    }

    /// Reads the document that comes next: checks all of it, and only then adds its rows.
    fn document(&mut self, cursor: &mut Cursor<'_>, record: usize, tally: &mut Tally) -> Result<(), String> {
        let (text, first, start) = (cursor.whole(), cursor.next_token(), cursor.position());
        let (open, expected) = if self.rows.starts_in_array() { (b'[', "an array") } else { (b'{', "an object") };
        let is_whole = self.rows.is_whole();
        if first != Some(open) && !(is_whole && self.columns.takes_any) {
            let message = cursor.unexpected(expected);
            cursor.skip(&mut self.columns.scratch)?;
            tally.reject(record, in_document(self.columns.document, reason(&message.into())));
            return Ok(());
        }
        if is_whole && self.has_many {
            // The walk that finds the columns finds the end.
            self.columns.find(cursor)?;
            return self.columns.rows(text, record, tally);
        }
        cursor.skip(&mut self.columns.scratch)?;
        if !self.has_many {
            cursor.end()?;
        }
        for row in self.rows.find(&mut Cursor::starting_at(text, start))? {
            self.columns.find_at(text, row)?;
            self.columns.rows(text, record, tally)?;
        }
        Ok(())
    }
}

impl Decoder for MappedDecoder {
    fn want(&mut self, columns: &[bool]) {
        for (member, is_wanted) in self.columns.members.iter_mut().zip(columns) {
            member.want(*is_wanted);
        }
    }

    fn decode(&mut self, chunk: &Chunk) -> Result<Decoded, FormatError> {
        let mut tally = Tally::default();
        for (index, record) in chunk.data.iter().flatten().enumerate() {
            match std::str::from_utf8(record) {
                Ok(text) => self.record(text, index, &mut tally),
                Err(_) => tally.reject(index, NOT_UTF8.to_owned()),
            }
        }
        let columns = self.columns.members.iter_mut().map(Member::finish).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(tally.rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok(tally.finish(chunk.len(), rows))
    }
}

/// What is looked for in a value: places are numbered, and paths that begin alike are walked together.
#[derive(Default)]
struct Wanted {
    places: Vec<usize>,
    members: HashMap<String, Wanted>,
}

impl Wanted {
    fn add(&mut self, names: &[String], place: usize) {
        match names.split_first() {
            None => self.places.push(place),
            Some((name, rest)) => self.members.entry(name.clone()).or_default().add(rest, place),
        }
    }

    /// Takes the value that comes next, and notes where what is looked for begins.
    fn find(&self, cursor: &mut Cursor<'_>, found: &mut Found) -> Result<(), String> {
        let first = cursor.next_token();
        for place in &self.places {
            found.places[*place] = Some(cursor.position());
        }
        if first != Some(b'{') || self.members.is_empty() {
            return cursor.skip(&mut found.scratch).map(drop);
        }
        cursor.take(b'{');
        if cursor.take(b'}') {
            return Ok(());
        }
        loop {
            let key = cursor.text(&mut found.scratch)?;
            let folded = || found.is_folded.then(|| self.members.get(&key.to_lowercase())).flatten();
            let member = self.members.get(key).or_else(folded);
            cursor.expect(b':', "after a key")?;
            match member {
                Some(member) => {
                    // Of a key that comes twice the last value counts, with all that is in it.
                    member.forget(found);
                    member.find(cursor, found)?;
                }
                None => cursor.skip_value(&mut found.scratch)?,
            }
            if !cursor.take(b',') {
                return cursor.expect(b'}', "or `,`");
            }
        }
    }

    fn forget(&self, found: &mut Found) {
        for place in &self.places {
            found.places[*place] = None;
        }
        self.members.values().for_each(|member| member.forget(found));
    }
}

/// Where in the text each place begins.
struct Found {
    places: Vec<Option<usize>>,
    is_folded: bool,
    scratch: String,
}

impl Found {
    fn new(places: usize, is_folded: bool) -> Self {
        Self { places: vec![None; places], is_folded, scratch: String::new() }
    }
}

/// Where the elements of an array begin; of another value there are none.
fn elements(cursor: &mut Cursor<'_>, scratch: &mut String) -> Result<Vec<usize>, String> {
    let mut starts = Vec::new();
    if !cursor.take(b'[') || cursor.take(b']') {
        return Ok(starts);
    }
    loop {
        cursor.next_token();
        starts.push(cursor.position());
        cursor.skip_value(scratch)?;
        if !cursor.take(b',') {
            cursor.expect(b']', "or `,`")?;
            return Ok(starts);
        }
    }
}

/// Finds the rows of a document.
struct RowFinder {
    path: Path,
    /// From the document to the row, or to the array of rows.
    outer: Wanted,
    /// From an element to its row.
    inner: Wanted,
    found: Found,
}

impl RowFinder {
    fn new(path: &Path, is_folded: bool) -> Self {
        let (mut outer, mut inner) = (Wanted::default(), Wanted::default());
        let (before, after) = path.names.split_at(path.array.unwrap_or(path.names.len()));
        outer.add(before, 0);
        inner.add(after, 0);
        Self { path: path.clone(), outer, inner, found: Found::new(1, is_folded) }
    }

    /// Whether each document is one row.
    fn is_whole(&self) -> bool {
        self.path == Path::default()
    }

    /// Whether documents are arrays.
    fn starts_in_array(&self) -> bool {
        self.path.array == Some(0)
    }

    /// Where the rows begin; a row that is nowhere has no values.
    fn find(&mut self, cursor: &mut Cursor<'_>) -> Result<Vec<Option<usize>>, String> {
        let text = cursor.whole();
        self.found.places[0] = None;
        self.outer.find(cursor, &mut self.found)?;
        let found = self.found.places[0];
        let (Some(at), Some(_)) = (found, self.path.array) else { return Ok(vec![found]) };
        let mut rows = Vec::new();
        for element in elements(&mut Cursor::starting_at(text, at), &mut self.found.scratch)? {
            self.found.places[0] = None;
            self.inner.find(&mut Cursor::starting_at(text, element), &mut self.found)?;
            rows.push(self.found.places[0]);
        }
        if rows.is_empty() {
            rows.push(None);
        }
        Ok(rows)
    }
}

/// Finds and reads the columns of a row.
struct ColumnFinder {
    members: Vec<Member>,
    /// Columns by their numbers; the number after them is the array's.
    outer: Wanted,
    /// Of an element, where paths go into an array.
    inner: Option<Wanted>,
    /// Whether a row need not be an object: some path leads to the row itself.
    takes_any: bool,
    fail_on_missing: bool,
    /// Which of its record's documents the row is in, from 1 on: for reasons.
    document: usize,
    found: Found,
    scratch: String,
}

impl ColumnFinder {
    fn new(members: Vec<Member>, paths: &[Path], rules: Rules) -> Self {
        let (mut outer, mut inner) = (Wanted::default(), None::<Wanted>);
        for (column, path) in paths.iter().enumerate() {
            let Some((array, element)) = path.flattened() else {
                outer.add(&path.names, column);
                continue;
            };
            if inner.is_none() {
                outer.add(array, paths.len());
            }
            inner.get_or_insert_default().add(element, column);
        }
        // The row itself may be the array that is gone into, too.
        let takes_any = !outer.places.is_empty();
        let found = Found::new(paths.len() + 1, rules.is_folded);
        let fail_on_missing = rules.fail_on_missing;
        Self { members, outer, inner, takes_any, fail_on_missing, document: 1, found, scratch: String::new() }
    }

    /// Finds the columns of the row that comes next, and takes it.
    fn find(&mut self, cursor: &mut Cursor<'_>) -> Result<(), String> {
        self.found.places.fill(None);
        self.outer.find(cursor, &mut self.found)
    }

    /// Finds the columns of a row that may be nowhere.
    fn find_at(&mut self, text: &str, row: Option<usize>) -> Result<(), String> {
        self.found.places.fill(None);
        row.map_or(Ok(()), |at| self.find(&mut Cursor::starting_at(text, at)))
    }

    /// Reads what was found, as one row or as many as the array has elements.
    fn rows(&mut self, text: &str, record: usize, tally: &mut Tally) -> Result<(), String> {
        let array = self.found.places[self.members.len()];
        let (Some(_), Some(array)) = (&self.inner, array) else {
            self.row(text, record, tally);
            return Ok(());
        };
        let elements = elements(&mut Cursor::starting_at(text, array), &mut self.scratch)?;
        if elements.is_empty() {
            self.row(text, record, tally);
        }
        for element in elements {
            if let Some(inner) = &self.inner {
                inner.forget(&mut self.found);
                inner.find(&mut Cursor::starting_at(text, element), &mut self.found)?;
            }
            self.row(text, record, tally);
        }
        Ok(())
    }

    /// Reads one row.
    fn row(&mut self, text: &str, record: usize, tally: &mut Tally) {
        for (member, place) in self.members.iter_mut().zip(&self.found.places) {
            let read = match place {
                None => member.miss(self.fail_on_missing),
                Some(at) => match member.take(text, *at) {
                    Some(_) => Ok(()),
                    None => member.read(&mut Cursor::starting_at(text, *at)),
                },
            };
            if let Err(fault) = read {
                self.members.iter_mut().for_each(|member| member.truncate(tally.rows()));
                return tally.reject(record, in_document(self.document, reason(&fault)));
            }
        }
        tally.row(record);
    }
}

#[cfg(test)]
mod tests;
