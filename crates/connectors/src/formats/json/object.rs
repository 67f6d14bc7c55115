//! The members of a JSON object, written into the columns of the same names.
//!
//! Producers write the keys of a record in the same order every time: the keys are expected in the order last seen, and
//! looked up only where that fails. A key that appears twice counts with its last value, as in most JSON readers; keys
//! that no column asks for are checked and skipped.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::datatypes::Fields;
use arrow::error::ArrowError;
use millstream_core::FormatError;

use super::column::{Column, Fault};
use super::cursor::Cursor;
use super::types::{Settings, column_for};
use super::unsupported;

/// Keys beyond this place in an object are looked up each time: a bound on what is remembered of hostile records.
const EXPECTED_KEYS_MAX: usize = 256;
/// So many times another key must stand in a place before it is expected there.
const MISSES_MAX: u8 = 8;

/// The columns of an object's members.
pub(super) struct Object {
    members: Vec<Member>,
    by_name: HashMap<String, usize>,
    /// What is expected at each place of the object.
    expected: Vec<Expected>,
    fail_on_missing: bool,
    scratch: String,
}

struct Member {
    name: String,
    nullable: bool,
    column: Box<dyn Column>,
}

struct Expected {
    /// The key with its quotes.
    quoted: Box<[u8]>,
    member: Option<usize>,
    misses: u8,
}

impl Object {
    pub(super) fn new(fields: &Fields, settings: Settings) -> Result<Self, FormatError> {
        let mut members = Vec::with_capacity(fields.len());
        for field in fields {
            let column = column_for(field.data_type(), settings).map_err(|error| unsupported(field, error))?;
            members.push(Member { name: field.name().clone(), nullable: field.is_nullable(), column });
        }
        let by_name = fields.iter().enumerate().map(|(index, field)| (field.name().clone(), index)).collect();
        let fail_on_missing = settings.fail_on_missing_field;
        Ok(Self { members, by_name, expected: Vec::new(), fail_on_missing, scratch: String::new() })
    }

    /// Reads the object that comes next into row `row` of every column.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, row: usize) -> Result<(), Fault> {
        if !cursor.take(b'{') {
            return Err(cursor.unexpected("an object").into());
        }
        if !cursor.take(b'}') {
            let mut place = 0;
            loop {
                self.read_member(cursor, place, row)?;
                place += 1;
                if cursor.take(b',') {
                    continue;
                }
                cursor.expect(b'}', "or `,`")?;
                break;
            }
        }
        self.complete(row)
    }

    /// Cuts every column back to `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.members.iter_mut().for_each(|member| member.column.truncate(rows));
    }

    /// Appends a row of nulls, under a parent that is null itself.
    pub(super) fn append_null(&mut self) {
        self.members.iter_mut().for_each(|member| member.column.append_null());
    }

    /// Gives the columns out and starts anew.
    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.members.iter_mut().map(|member| member.column.finish()).collect()
    }

    fn read_member(&mut self, cursor: &mut Cursor<'_>, place: usize, row: usize) -> Result<(), Fault> {
        cursor.next_token();
        let member = match self.expected.get_mut(place) {
            Some(expected) if cursor.take_exactly(&expected.quoted) => {
                expected.misses = 0;
                expected.member
            }
            _ => self.look_up(cursor, place)?,
        };
        cursor.expect(b':', "after a key")?;
        let Some(member) = member.and_then(|member| self.members.get_mut(member)) else {
            cursor.skip(&mut self.scratch)?;
            return Ok(());
        };
        if member.column.len() > row {
            member.column.truncate(row);
        }
        match member.column.read(cursor) {
            Ok(present) if present || member.nullable => Ok(()),
            Ok(_) => Err(Fault::from("is null, but the column is NOT NULL".to_owned()).within(&member.name)),
            Err(fault) => Err(fault.within(&member.name)),
        }
    }

    /// Takes a key that was not the expected one.
    fn look_up(&mut self, cursor: &mut Cursor<'_>, place: usize) -> Result<Option<usize>, Fault> {
        let key = cursor.text(&mut self.scratch)?;
        // Unquoted column names were folded to lower case, so `userId STRING` must find the key `userId`.
        let member = self.by_name.get(key).or_else(|| self.by_name.get(&key.to_lowercase())).copied();
        // Only keys that are written as they read can be expected.
        let plain = !key.bytes().any(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\'));
        let expect = || Expected { quoted: format!("\"{key}\"").into_bytes().into(), member, misses: 0 };
        let known = self.expected.len();
        match self.expected.get_mut(place) {
            Some(expected) if expected.misses < MISSES_MAX => expected.misses += 1,
            Some(expected) if plain => *expected = expect(),
            None if plain && place == known && place < EXPECTED_KEYS_MAX => self.expected.push(expect()),
            _ => {}
        }
        Ok(member)
    }

    /// Fills the columns the object did not mention.
    fn complete(&mut self, row: usize) -> Result<(), Fault> {
        for member in &mut self.members {
            if member.column.len() > row {
                continue;
            }
            let wrong = match (member.nullable, self.fail_on_missing) {
                (false, _) => "is missing, but the column is NOT NULL",
                (true, true) => "is missing, and 'json.fail-on-missing-field' is true",
                (true, false) => {
                    member.column.append_null();
                    continue;
                }
            };
            return Err(Fault::from(wrong.to_owned()).within(&member.name));
        }
        Ok(())
    }
}
