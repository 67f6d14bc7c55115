//! The manifest of a checkpoint: everything a process needs to go on, as JSON behind a line with its checksum.

use std::collections::BTreeMap;

use millstream_core::Offset;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chunk::ChunkPlace;
use super::saver::Entry;

/// The version of the format. A manifest of another is refused in words.
pub(crate) const FORMAT: u32 = 1;
/// How the first line begins.
const MAGIC: &str = "millstream-checkpoint";

/// One checkpoint of one query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) query: String,
    /// Counts from 1 over the life of the query, whatever process takes them.
    pub(crate) number: u64,
    /// The process that wrote it: only it may write the next, unless another has taken over.
    pub(crate) writer: String,
    /// When, in milliseconds of Unix time.
    pub(crate) taken_at: i64,
    /// States of aggregates are DataFusion's own.
    pub(crate) datafusion: String,
    pub(crate) millstream: String,
    /// The statement, for people.
    pub(crate) definition: String,
    /// What must be equal for the state to be usable.
    pub(crate) signature: Value,
    /// Where it was told to start: said again, it does not start again.
    pub(crate) start: Option<String>,
    /// When the query first began to read.
    pub(crate) since: i64,
    /// Its input has ended and everything was handed on.
    pub(crate) is_finished: bool,
    pub(crate) watermark: i64,
    /// What was due by this has been emitted: it is not emitted again.
    pub(crate) emitted_until: i64,
    pub(crate) sources: Vec<SourcePosition>,
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) sink: Option<SinkPosition>,
    pub(crate) chunks: BTreeMap<u64, ChunkPlace>,
    pub(crate) next_chunk: u64,
}

/// How far a source was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourcePosition {
    pub(crate) source: String,
    pub(crate) watermark: i64,
    pub(crate) shards: Vec<ShardPosition>,
}

/// How far a shard was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardPosition {
    pub(crate) shard: String,
    pub(crate) state: String,
    pub(crate) watermark: i64,
    /// `None`: no record has been read yet.
    pub(crate) sequence: Option<String>,
    #[serde(default)]
    pub(crate) sub_sequence: u64,
}

/// What the sink prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SinkPosition {
    pub(crate) note: String,
    pub(crate) pending: Vec<PendingPlace>,
}

/// A run of rows that the sink had not written for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingPlace {
    pub(crate) id: u64,
    pub(crate) window: Option<(i64, i64)>,
    pub(crate) chunk: u64,
}

impl ShardPosition {
    /// The last record that was read.
    pub(crate) fn offset(&self) -> Result<Option<Offset>, String> {
        let offset = self.sequence.as_deref().map(|sequence| Offset::parse(sequence, self.sub_sequence));
        offset.transpose().map_err(|error| error.to_string())
    }
}

impl Manifest {
    /// As it is stored.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let body = serde_json::to_vec(self)?;
        let mut bytes = format!("{MAGIC} format={FORMAT} crc32={:08x}\n", crc32fast::hash(&body)).into_bytes();
        bytes.extend_from_slice(&body);
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads what [`Self::encode`] wrote; an error says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
        let (head, body) = text.split_once('\n').ok_or_else(|| "it is cut short".to_owned())?;
        let mut words = head.split(' ');
        if words.next() != Some(MAGIC) {
            return Err("it is not a manifest of Millstream".to_owned());
        }
        let mut word = |key: &str| words.next().and_then(|word| word.strip_prefix(key)?.strip_prefix('='));
        let format = word("format").ok_or_else(|| "its first line does not say its format".to_owned())?;
        if format != FORMAT.to_string() {
            return Err(format!("its format is {format}; this version of Millstream reads format {FORMAT}"));
        }
        let checksum = word("crc32").ok_or_else(|| "its first line has no checksum".to_owned())?;
        let body = body.strip_suffix('\n').ok_or_else(|| "it is cut short".to_owned())?;
        if checksum != format!("{:08x}", crc32fast::hash(body.as_bytes())) {
            return Err("it is damaged: its checksum is not what was written".to_owned());
        }
        serde_json::from_str(body).map_err(|error| format!("it cannot be read: {error}"))
    }
}
