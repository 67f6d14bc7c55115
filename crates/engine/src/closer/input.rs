//! One source, as the closer of a query sees it: how far each shard is.

use std::collections::HashMap;

use millstream_core::{EventTime, Offset, ShardId, ShardState, Watermarks};

use crate::checkpoint::{ShardPosition, SourcePosition};

/// One source, seen from a query.
pub(crate) struct Input {
    pub(super) watermarks: Watermarks,
    /// Workers that have seen the end of it.
    pub(super) ended: usize,
    pub(super) offsets: HashMap<ShardId, (Option<Offset>, u64)>,
}

impl Input {
    pub(crate) fn new(watermarks: Watermarks) -> Self {
        Self { watermarks, ended: 0, offsets: HashMap::new() }
    }

    /// Goes on where a checkpoint was.
    pub(crate) fn restore(&mut self, position: &SourcePosition, now: EventTime) -> Result<(), String> {
        let mut shards = Vec::new();
        for at in &position.shards {
            let shard = ShardId::from(at.shard.as_str());
            let state = ShardState::of_word(&at.state).ok_or_else(|| format!("a shard cannot be `{}`", at.state))?;
            self.offsets.insert(shard.clone(), (at.offset()?, 0));
            shards.push((shard, state, EventTime(at.watermark)));
        }
        self.watermarks.restore(EventTime(position.watermark), shards, now);
        Ok(())
    }

    pub(super) fn position(&self, source: &str) -> SourcePosition {
        let shards = self.watermarks.shards().map(|(shard, progress)| {
            let offset = self.offsets.get(shard).and_then(|(offset, _)| offset.as_ref());
            ShardPosition {
                shard: shard.as_str().to_owned(),
                state: progress.state.word().to_owned(),
                watermark: progress.watermark.0,
                sequence: offset.map(|offset| offset.sequence().to_owned()),
                sub_sequence: offset.map_or(0, Offset::sub_sequence),
            }
        });
        SourcePosition { source: source.to_owned(), watermark: self.watermarks.global().0, shards: shards.collect() }
    }
}
