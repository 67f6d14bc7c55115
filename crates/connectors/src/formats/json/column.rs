//! The columns a JSON record is written into, one value at a time.
//!
//! A column can be cut back to an earlier length: that is how a record that turns out bad halfway leaves no trace.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, PrimitiveArray, StringArray, StringViewBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cursor::{Cursor, Scalar};
use super::plain::{self, End};

/// Why a value was refused: the path of the column, and what is wrong.
#[derive(Debug)]
pub(in crate::formats) struct Fault {
    pub(super) path: String,
    pub(super) message: String,
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self { path: String::new(), message }
    }
}

impl Fault {
    /// Puts the name of an enclosing column in front.
    pub(in crate::formats) fn within(mut self, name: &str) -> Self {
        self.path = if self.path.is_empty() { name.to_owned() } else { format!("{name}.{}", self.path) };
        self
    }
}

/// A column under construction.
pub(in crate::formats) trait Column: Send {
    fn len(&self) -> usize;

    /// Appends the value at a place of a text (or does not `keep` it) if it is in its common form and not null.
    fn take(&mut self, text: &str, at: usize, keep: bool) -> End {
        let _ = (text, at, keep);
        None
    }

    /// Takes the next value, in whatever form, and appends it; answers whether it is other than null. After an error the column may
    /// hold part of the value: cut it back.
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault>;

    /// Takes the next value as `read` does and does not append it.
    fn check(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let len = self.len();
        let present = self.read(cursor)?;
        self.truncate(len);
        Ok(present)
    }

    fn append_null(&mut self);

    fn truncate(&mut self, len: usize);

    /// Gives the column out and starts anew.
    fn finish(&mut self) -> Result<ArrayRef, ArrowError>;
}

/// One bit a value. Unlike Arrow's builder it is cut back cheaply, and costs nothing while there is no null.
#[derive(Default)]
pub(super) struct Validity {
    valid: Option<Vec<bool>>,
}

impl Validity {
    /// Notes the value that makes the column `len` long.
    #[inline]
    pub(super) fn push(&mut self, valid: bool, len: usize) {
        match &mut self.valid {
            None if valid => {}
            None => {
                let mut all = vec![true; len - 1];
                all.push(false);
                self.valid = Some(all);
            }
            Some(all) => all.push(valid),
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        if let Some(all) = &mut self.valid {
            all.truncate(len);
        }
    }

    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
        self.valid.take().map(NullBuffer::from).filter(|nulls| nulls.null_count() > 0)
    }
}

/// Reads the values of one type.
pub(super) trait Reader<N>: Send {
    /// A value in its common form, and where it ends.
    fn common(&mut self, text: &str, at: usize) -> Option<(N, usize)>;

    /// Takes a value in any form.
    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<N>, String>;
}

/// A column of numbers or times.
pub(super) struct PrimitiveColumn<T: ArrowPrimitiveType, R> {
    values: Vec<T::Native>,
    validity: Validity,
    data_type: DataType,
    reader: R,
}

impl<T: ArrowPrimitiveType, R> PrimitiveColumn<T, R> {
    pub(super) fn new(data_type: &DataType, reader: R) -> Self {
        Self { values: Vec::new(), validity: Validity::default(), data_type: data_type.clone(), reader }
    }
}

impl<T: ArrowPrimitiveType, R: Reader<T::Native>> Column for PrimitiveColumn<T, R> {
    fn len(&self) -> usize {
        self.values.len()
    }

    #[inline]
    fn take(&mut self, text: &str, at: usize, keep: bool) -> End {
        let (value, end) = self.reader.common(text, at)?;
        if keep {
            self.values.push(value);
            self.validity.push(true, self.values.len());
        }
        NonZeroUsize::new(end)
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let value = self.reader.any(cursor)?;
        self.values.push(value.unwrap_or_default());
        self.validity.push(value.is_some(), self.values.len());
        Ok(value.is_some())
    }

    fn check(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        Ok(self.reader.any(cursor)?.is_some())
    }

    fn append_null(&mut self) {
        self.values.push(T::Native::default());
        self.validity.push(false, self.values.len());
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.validity.truncate(len);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let fresh = Vec::with_capacity(self.values.len());
        let values = std::mem::replace(&mut self.values, fresh);
        let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), self.validity.finish())?;
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }
}

/// Takes a value, in whatever form, as a boolean.
type ToBoolean = fn(&mut Cursor<'_>, &mut String) -> Result<Option<bool>, String>;

/// A BOOLEAN column.
pub(super) struct BooleanColumn {
    values: Vec<bool>,
    validity: Validity,
    read: ToBoolean,
    scratch: String,
}

impl BooleanColumn {
    pub(super) fn new(read: ToBoolean) -> Self {
        Self { values: Vec::new(), validity: Validity::default(), read, scratch: String::new() }
    }
}

/// `true` and `false`, also in quotes.
pub(super) fn boolean(cursor: &mut Cursor<'_>, scratch: &mut String) -> Result<Option<bool>, String> {
    match cursor.scalar(scratch)? {
        Scalar::Null => Ok(None),
        Scalar::Bool(value) => Ok(Some(value)),
        Scalar::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Scalar::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Scalar::Text(other) | Scalar::Number(other) => Err(format!("expected true or false, found `{other}`")),
    }
}

impl Column for BooleanColumn {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let value = (self.read)(cursor, &mut self.scratch)?;
        self.values.push(value.unwrap_or_default());
        self.validity.push(value.is_some(), self.values.len());
        Ok(value.is_some())
    }

    fn append_null(&mut self) {
        self.values.push(false);
        self.validity.push(false, self.values.len());
    }

    fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.validity.truncate(len);
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(BooleanArray::new(std::mem::take(&mut self.values).into(), self.validity.finish())))
    }
}

/// What the bytes of a [`BytesColumn`] become.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum BytesKind {
    Text,
    TextView,
    /// Base64 in JSON, as in Flink.
    Binary,
}

/// A STRING or BYTES column.
pub(super) struct BytesColumn {
    kind: BytesKind,
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    validity: Validity,
    scratch: String,
}

impl BytesColumn {
    pub(super) fn new(kind: BytesKind) -> Self {
        Self { kind, bytes: Vec::new(), offsets: vec![0], validity: Validity::default(), scratch: String::new() }
    }

    /// Appends a value.
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), String> {
        self.bytes.extend_from_slice(value);
        self.end_value(true)
    }

    fn end_value(&mut self, valid: bool) -> Result<(), String> {
        let end = i32::try_from(self.bytes.len()).map_err(|_| "the chunk holds more than 2 GiB of text".to_owned())?;
        self.offsets.push(end);
        self.validity.push(valid, self.offsets.len() - 1);
        Ok(())
    }
}

impl Column for BytesColumn {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    fn take(&mut self, text: &str, at: usize, keep: bool) -> End {
        if self.kind == BytesKind::Binary {
            return None;
        }
        let (plain, end) = plain::text(text, at)?;
        if keep {
            self.bytes.extend_from_slice(plain.as_bytes());
            self.end_value(true).ok()?;
        }
        NonZeroUsize::new(end)
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        if cursor.next_token() == Some(b'"') {
            let text = cursor.text(&mut self.scratch)?;
            if self.kind == BytesKind::Binary {
                if let Err(error) = STANDARD.decode_vec(text, &mut self.bytes) {
                    return Err(format!("expected base64: {error}").into());
                }
            } else {
                self.bytes.extend_from_slice(text.as_bytes());
            }
        } else if cursor.null() {
            self.append_null();
            return Ok(false);
        } else if self.kind == BytesKind::Binary {
            return Err(cursor.unexpected("a text in base64").into());
        } else {
            // Any other value as its JSON text, as in Flink: numbers, booleans, whole objects and arrays.
            let text = cursor.skip(&mut self.scratch)?;
            self.bytes.extend_from_slice(text.as_bytes());
        }
        self.end_value(true)?;
        Ok(true)
    }

    fn append_null(&mut self) {
        let end = self.offsets.last().copied().unwrap_or(0);
        self.offsets.push(end);
        self.validity.push(false, self.offsets.len() - 1);
    }

    fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.validity.truncate(len);
        self.bytes.truncate(self.offsets.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0)));
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let (bytes, offsets) = (self.bytes.len(), self.offsets.len());
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(bytes));
        let offsets = std::mem::replace(&mut self.offsets, Vec::with_capacity(offsets));
        self.offsets.push(0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = self.validity.finish();
        Ok(match self.kind {
            BytesKind::Binary => Arc::new(BinaryArray::try_new(offsets, bytes.into(), nulls)?),
            BytesKind::Text => Arc::new(StringArray::try_new(offsets, bytes.into(), nulls)?),
            BytesKind::TextView => {
                let texts = StringArray::try_new(offsets, bytes.into(), nulls)?;
                let mut views = StringViewBuilder::with_capacity(texts.len());
                texts.iter().for_each(|text| views.append_option(text));
                Arc::new(views.finish())
            }
        })
    }
}
