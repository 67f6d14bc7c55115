//! Reading a shard within the process: pages of committed records, without a copy and without HTTP.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::StorageError;
use crate::layout::block::Block;
use crate::layout::block_key;
use crate::stream::{Stream, Tip};
use crate::{ReadError, SequenceNumber, ShardId, ShardInfo, Store};

/// Where to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// The oldest record that retention has left.
    TrimHorizon,
    /// What is committed from now on.
    Latest,
    /// The first record that arrived then (ms since 1970) or later; a time to come is `Latest`.
    AtTimestamp(i64),
    /// That record.
    At(SequenceNumber),
    /// The record that follows. How a reader goes on.
    After(SequenceNumber),
}

/// One record of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the shard.
    pub sequence_number: SequenceNumber,
    /// When it arrived, ms since 1970; never decreases within a shard.
    pub arrival_ms: i64,
    /// What its producer called it.
    pub partition_key: &'a str,
    /// The payload.
    pub data: &'a [u8],
    /// Who signed it ([`Store::put_as`]). For sinks that look for their own records; no reader of a stream is told.
    pub writer: Option<&'a str>,
}

/// Consecutive records of one shard.
#[derive(Clone, Debug)]
pub struct Page {
    blocks: Vec<(Block, Range<usize>)>,
    len: usize,
    /// Where to read on. After records it is `After` the last of them.
    pub next: Position,
    /// Nothing will ever follow `next`: the shard was closed and has been read.
    pub end_of_shard: bool,
    /// With `end_of_shard`: the shards to read from now on.
    pub children: Vec<ShardInfo>,
    /// How far `next` is behind the tip; 0 at the tip only.
    pub millis_behind_latest: i64,
    /// The newest committed record of the shard (or one below its first) when the page was read.
    pub tip: SequenceNumber,
}

impl Page {
    /// The records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.blocks.iter().flat_map(|(block, range)| range.clone().map(|index| block.record(index)))
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What retention and the committer have left of a shard. For people: reading needs none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardExtent {
    /// How many records can be read.
    pub records: u64,
    /// The oldest of them.
    pub first: Option<SequenceNumber>,
    /// The newest of them.
    pub last: Option<SequenceNumber>,
}

impl Store {
    /// Records of a shard from a position on: at most `records_max`, at most `bytes_max` of data and keys (but at
    /// least one, if there is one), none that is not committed. Reads memory or disk and does not wait.
    pub fn read(
        &self,
        stream: &str,
        shard: ShardId,
        position: Position,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Page, ReadError> {
        let (stream, mut tip) = self.shard(stream, shard)?;
        let tip = *tip.borrow_and_update();
        let now_ms = self.now_ms();
        let info = info_of(&stream, shard)?;
        let after = lower_bound(info, position, tip, now_ms)?;
        let horizon = SequenceNumber::just_before_ms(stream.info.horizon_ms(now_ms));
        let mut taken = Taken { records_left: records_max, bytes_left: bytes_max, ..Taken::default() };
        taken.take_from(&stream, shard, after.max(info.floor()).max(horizon), tip.last)?;

        let next = match taken.last {
            Some(last) => Position::After(last),
            // Taking nothing means that there is nothing up to the tip, unless nothing was asked for.
            None if after <= tip.last && records_max > 0 => Position::After(tip.last),
            None => position,
        };
        let is_at_tip = next == Position::After(tip.last) || after >= tip.last;
        let end_of_shard = tip.is_closed && is_at_tip;
        let behind = || now_ms.saturating_sub(taken.last.unwrap_or(after).arrival_ms()).max(1);
        Ok(Page {
            next,
            end_of_shard,
            children: if end_of_shard { self.children(&stream.info.name, shard) } else { Vec::new() },
            millis_behind_latest: if is_at_tip { 0 } else { behind() },
            tip: tip.last,
            len: taken.len,
            blocks: taken.blocks,
        })
    }

    /// Waits until a read from there would find something: a record newer than the position, or the shard's end.
    /// Fails when the stream is deleted. `Latest` waits for the next commit after the call.
    pub async fn wait_for_records(&self, stream: &str, shard: ShardId, position: Position) -> Result<(), ReadError> {
        let (found, mut tip) = self.shard(stream, shard)?;
        let after = lower_bound(info_of(&found, shard)?, position, *tip.borrow(), self.now_ms())?;
        // Waiting must not keep the tip's sender alive: that it goes is how deletion shows.
        drop(found);
        let waited = tip.wait_for(|tip| tip.last > after || tip.is_closed).await.map(drop);
        let gone = |_| self.shard(stream, shard).err().unwrap_or_else(|| ReadError::NoStream(stream.to_owned()));
        waited.map_err(gone)
    }

    /// Turns `Latest`, and times to come, into the place they mean now; other positions stay.
    pub fn pin(&self, stream: &str, shard: ShardId, position: Position) -> Result<Position, ReadError> {
        let (stream, tip) = self.shard(stream, shard)?;
        let (tip, now_ms) = (*tip.borrow(), self.now_ms());
        lower_bound(info_of(&stream, shard)?, position, tip, now_ms)?;
        Ok(match position {
            Position::Latest => Position::After(tip.last),
            Position::AtTimestamp(ms) if ms > now_ms => Position::After(tip.last),
            other => other,
        })
    }

    /// The newest committed record of each shard, or one below its first.
    pub fn tips(&self, stream: &str) -> Result<BTreeMap<ShardId, SequenceNumber>, ReadError> {
        let found = self.stream(stream).ok_or_else(|| ReadError::NoStream(stream.to_owned()))?;
        Ok(found.tips.iter().map(|(shard, tip)| (*shard, tip.borrow().last)).collect())
    }

    /// Whether a reader that got as far as that record finds everything that follows it: fails where the shard never
    /// had the record, and where retention has taken some of what came after it.
    pub fn check_resume(&self, stream: &str, shard: ShardId, after: SequenceNumber) -> Result<(), ReadError> {
        let (found, tip) = self.shard(stream, shard)?;
        let (info, tip) = (info_of(&found, shard)?, *tip.borrow());
        lower_bound(info, Position::After(after), tip, self.now_ms())?;
        if after < info.starting || after > tip.last {
            return Err(ReadError::UnknownPosition { stream: stream.to_owned(), number: after.to_string(), shard });
        }
        // Counters of a shard have no gaps.
        let page = self.read(stream, shard, Position::After(after), 1, 1)?;
        let first = page.records().next().map_or(tip.last.counter() + 1, |record| record.sequence_number.counter());
        match first.saturating_sub(after.counter() + 1) {
            0 => Ok(()),
            lost => {
                let hours = found.info.retention_hours;
                Err(ReadError::Expired { stream: stream.to_owned(), shard, lost, hours })
            }
        }
    }

    /// How many records a shard holds, and the first and last of them.
    pub fn extent(&self, stream: &str, shard: ShardId) -> Result<ShardExtent, ReadError> {
        let page = self.read(stream, shard, Position::TrimHorizon, 1, 1)?;
        let Some(first) = page.records().next().map(|record| record.sequence_number) else {
            return Ok(ShardExtent { records: 0, first: None, last: None });
        };
        Ok(ShardExtent { records: page.tip.counter() - first.counter() + 1, first: Some(first), last: Some(page.tip) })
    }

    fn shard(&self, name: &str, shard: ShardId) -> Result<(Arc<Stream>, watch::Receiver<Tip>), ReadError> {
        let stream = self.stream(name).ok_or_else(|| ReadError::NoStream(name.to_owned()))?;
        let tip = stream.tips.get(&shard).map(watch::Sender::subscribe);
        let tip = tip.ok_or_else(|| ReadError::NoShard { stream: name.to_owned(), shard })?;
        Ok((stream, tip))
    }

    /// Looked up anew: a stream held since before the shard was closed does not know them.
    fn children(&self, stream: &str, parent: ShardId) -> Vec<ShardInfo> {
        let info = self.describe(stream);
        info.map(|info| info.children(parent).cloned().collect()).unwrap_or_default()
    }
}

fn info_of(stream: &Stream, shard: ShardId) -> Result<&ShardInfo, ReadError> {
    let missing = || ReadError::NoShard { stream: stream.info.name.clone(), shard };
    stream.info.shard(shard).ok_or_else(missing)
}

/// The records of a position are those above this number.
fn lower_bound(shard: &ShardInfo, position: Position, tip: Tip, now_ms: i64) -> Result<SequenceNumber, ReadError> {
    let own = |number: SequenceNumber| match ShardId(number.shard()) {
        of if of == shard.id => Ok(number),
        of => Err(ReadError::ForeignPosition { number: number.to_string(), of, shard: shard.id }),
    };
    match position {
        Position::TrimHorizon => Ok(shard.floor()),
        Position::Latest => Ok(tip.last),
        Position::AtTimestamp(ms) if ms > now_ms => Ok(tip.last),
        Position::AtTimestamp(ms) => Ok(SequenceNumber::just_before_ms(ms).min(tip.last)),
        Position::At(number) => own(number).map(SequenceNumber::predecessor),
        Position::After(number) => own(number),
    }
}

/// What a page has so far.
#[derive(Default)]
struct Taken {
    blocks: Vec<(Block, Range<usize>)>,
    last: Option<SequenceNumber>,
    len: usize,
    records_left: usize,
    bytes_left: usize,
}

impl Taken {
    fn take_from(
        &mut self,
        stream: &Stream,
        shard: ShardId,
        after: SequenceNumber,
        to: SequenceNumber,
    ) -> Result<(), StorageError> {
        if after >= to || self.records_left == 0 {
            return Ok(());
        }
        // A block is entered by its last record, so that none below `after` is seen and none above `to` is there yet.
        let keys = (
            std::ops::Bound::Excluded(block_key::encode(shard, after)),
            std::ops::Bound::Included(block_key::encode(shard, to)),
        );
        for entry in stream.blocks.range::<[u8; 28], _>(keys) {
            let (key, value) = entry.into_inner()?;
            let block = block_key::decode(&key).and_then(|(_, last)| Block::open(last, value.into()));
            let block =
                block.ok_or_else(|| StorageError::Unreadable { what: format!("a block of {shard} after {after}") })?;
            if !self.take(block, after) {
                break;
            }
        }
        Ok(())
    }

    /// Takes what fits; whether there is room for more.
    fn take(&mut self, block: Block, after: SequenceNumber) -> bool {
        let from = block.first_after(after);
        let mut to = from;
        while to < block.count() && self.records_left > 0 {
            let record = block.record(to);
            let bytes = record.data.len() + record.partition_key.len();
            if bytes > self.bytes_left && self.len > 0 {
                self.bytes_left = 0;
                break;
            }
            self.bytes_left = self.bytes_left.saturating_sub(bytes);
            self.records_left -= 1;
            self.len += 1;
            self.last = Some(record.sequence_number);
            to += 1;
        }
        let is_whole = to == block.count();
        if to > from {
            self.blocks.push((block, from..to));
        }
        is_whole && self.records_left > 0
    }
}
