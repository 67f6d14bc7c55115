//! The members of a JSON object, written into the columns of the same names.
//!
//! Producers write the keys of a record in the same order every time, with the same white space: the layout of a record
//! is remembered, and what stands between the values of the next one is compared with it as bytes. Where that fails the
//! members are read one by one, in any order. A key that appears twice counts with its last value, as in most JSON
//! readers; keys that no column asks for are checked and skipped.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::datatypes::Fields;
use arrow::error::ArrowError;
use millstream_core::FormatError;

use super::column::Fault;
use super::cursor::Cursor;
use super::member::Member;
use super::plain::Pattern;
use super::types::{Settings, column_for};
use super::unsupported;

/// Objects with more members than this are read one by one from there on: a bound on what is remembered of them.
const PLACES_MAX: usize = 256;
/// So many objects must differ from the layout, one after another, before that of the next is remembered instead.
const MISSES_MAX: u8 = 8;
/// So many members of the layout may be absent at once without a search by name for what follows.
const SKIP_MAX: usize = 4;

/// The columns of an object's members.
pub(super) struct Object {
    members: Vec<Member>,
    keys: Keys,
    layout: Layout,
    fail_on_missing: bool,
    scratch: String,
}

/// Whose member a key is.
pub(super) struct Keys {
    pub(super) by_name: HashMap<String, usize>,
    /// Whether a key that is nobody's is looked for in lower case.
    pub(super) is_folded: bool,
}

impl Keys {
    fn find(&self, key: &str) -> Option<usize> {
        let folded = || self.is_folded.then(|| self.by_name.get(&key.to_lowercase())).flatten();
        self.by_name.get(key).or_else(folded).copied()
    }
}

/// How an object was written.
#[derive(Default)]
struct Layout {
    /// No member is in two of them.
    places: Vec<Place>,
    /// Whether every member is in one.
    is_whole: bool,
    misses: u8,
}

struct Place {
    /// What stands before the value, from the end of the value before it: `{"key":` or `, "key": `.
    lead: Pattern,
    member: Option<usize>,
}

impl Object {
    /// The members named as their fields are. Unquoted column names were folded to lower case, so `userId STRING` must
    /// find the key `userId`.
    pub(super) fn new(fields: &Fields, settings: Settings) -> Result<Self, FormatError> {
        let mut members = Vec::with_capacity(fields.len());
        for field in fields {
            let column = column_for(field.data_type(), settings).map_err(|error| unsupported(field, error))?;
            members.push(Member::new(field, column));
        }
        let by_name = fields.iter().enumerate().map(|(index, field)| (field.name().clone(), index)).collect();
        Ok(Self::of(members, Keys { by_name, is_folded: true }, settings.fail_on_missing_field))
    }

    pub(super) fn of(members: Vec<Member>, keys: Keys, fail_on_missing: bool) -> Self {
        Self { members, keys, layout: Layout::default(), fail_on_missing, scratch: String::new() }
    }

    /// Builds only these columns from now on, and checks the others. Between chunks only.
    pub(super) fn want(&mut self, wanted: &[bool]) {
        for (member, wanted) in self.members.iter_mut().zip(wanted) {
            member.want(*wanted);
        }
    }

    /// Reads the object that comes next into row `row` of every column.
    #[inline]
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, row: usize) -> Result<(), Fault> {
        let start = cursor.position();
        let Self { members, layout, scratch, .. } = self;
        let (text, mut at, mut place) = (cursor.whole(), start, 0);
        while let Some(expected) = layout.places.get(place)
            && let Some(value) = expected.lead.end_at(text.as_bytes(), at)
        {
            let member = expected.member.and_then(|member| members.get_mut(member));
            at = match member {
                Some(member) => match member.take(text, value) {
                    Some(end) => end.get(),
                    None => {
                        cursor.go_to(value);
                        member.read(cursor)?;
                        cursor.position()
                    }
                },
                None => {
                    cursor.go_to(value);
                    cursor.skip_value(scratch)?;
                    cursor.position()
                }
            };
            place += 1;
        }
        cursor.go_to(at);
        if place > 0 && place == layout.places.len() && cursor.take_exactly(b"}") {
            layout.misses = 0;
            return if layout.is_whole { Ok(()) } else { self.complete(row) };
        }
        self.read_on(cursor, row, start, place)
    }

    /// Reads an object that is not as the last ones were, from the place where it begins to differ.
    #[inline(never)]
    fn read_on(&mut self, cursor: &mut Cursor<'_>, row: usize, start: usize, place: usize) -> Result<(), Fault> {
        self.layout.misses += 1;
        if self.layout.misses > MISSES_MAX || self.layout.places.is_empty() {
            return self.read_anew(cursor, row, start);
        }
        let mut place = place;
        let mut is_first = place == 0;
        loop {
            // Members may be absent that most objects have.
            let last = self.layout.places.len().min(place + SKIP_MAX);
            let found = (place..last).find(|place| cursor.take_pattern(&self.layout.places[*place].lead));
            let member = if let Some(found) = found {
                place = found + 1;
                self.layout.places[found].member
            } else if is_first {
                if !cursor.take(b'{') {
                    return Err(cursor.unexpected("an object").into());
                }
                if cursor.take(b'}') {
                    break;
                }
                self.key(cursor)?
            } else {
                if !cursor.take(b',') {
                    cursor.expect(b'}', "or `,`")?;
                    break;
                }
                self.key(cursor)?
            };
            self.read_member(cursor, member, row)?;
            is_first = false;
        }
        self.complete(row)
    }

    /// Reads an object from its start and remembers how it is written.
    fn read_anew(&mut self, cursor: &mut Cursor<'_>, row: usize, start: usize) -> Result<(), Fault> {
        self.truncate(row);
        self.layout = Layout::default();
        cursor.go_to(start);
        if !cursor.take(b'{') {
            return Err(cursor.unexpected("an object").into());
        }
        let mut places: Vec<Place> = Vec::new();
        let mut is_plain = true;
        if !cursor.take(b'}') {
            let mut lead = start;
            loop {
                let member = self.key(cursor)?;
                // The value's own first byte is not part of what stands before it.
                cursor.next_token();
                is_plain &= places.len() < PLACES_MAX
                    && (member.is_none() || places.iter().all(|place| place.member != member));
                if is_plain {
                    places.push(Place { lead: Pattern::new(cursor.bytes_since(lead)), member });
                }
                self.read_member(cursor, member, row)?;
                lead = cursor.position();
                if !cursor.take(b',') {
                    cursor.expect(b'}', "or `,`")?;
                    break;
                }
            }
        }
        self.complete(row)?;
        if is_plain {
            let is_whole = self.members.len() == places.iter().filter(|place| place.member.is_some()).count();
            self.layout = Layout { places, is_whole, misses: 0 };
        }
        Ok(())
    }

    /// Cuts every column back to `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.members.iter_mut().for_each(|member| member.truncate(rows));
    }

    /// Appends a row of nulls, under a parent that is null itself.
    pub(super) fn append_null(&mut self) {
        self.members.iter_mut().for_each(Member::append_null);
    }

    /// Gives the columns out and starts anew.
    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.members.iter_mut().map(Member::finish).collect()
    }

    /// Takes a key and its colon; answers whose it is.
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<usize>, Fault> {
        let key = cursor.text(&mut self.scratch)?;
        let member = self.keys.find(key);
        cursor.expect(b':', "after a key")?;
        Ok(member)
    }

    /// Takes the value of a member that may have been read before, or of none.
    fn read_member(&mut self, cursor: &mut Cursor<'_>, member: Option<usize>, row: usize) -> Result<(), Fault> {
        let Some(member) = member.and_then(|member| self.members.get_mut(member)) else {
            return Ok(cursor.skip_value(&mut self.scratch)?);
        };
        if member.len() > row {
            member.truncate(row);
        }
        member.read(cursor)
    }

    /// Fills the columns the object did not mention.
    fn complete(&mut self, row: usize) -> Result<(), Fault> {
        for member in &mut self.members {
            if member.len() <= row {
                member.miss(self.fail_on_missing)?;
            }
        }
        Ok(())
    }
}
