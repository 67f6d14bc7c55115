//! Changing the number of shards: splits and merges until every open shard has the same share of the hash keys.

use crate::limits::OPEN_SHARDS_MAX;
use crate::writer::Writer;
use crate::{ControlError, HashKey, HashRange, ShardId, ShardInfo, Store, StreamInfo, StreamMode};

impl Store {
    /// Splits and merges until there are `target` open shards of the same width; answers how many there were. At most
    /// to the double and at least to the half, as on AWS. All of it takes effect at once; shards that live only in
    /// between are listed, closed and empty.
    pub async fn scale_shards(&self, stream: &str, target: u32) -> Result<usize, ControlError> {
        let stream = stream.to_owned();
        self.on_writer(move |writer| writer.scale(&stream, target)).await
    }
}

impl Writer {
    fn scale(&mut self, name: &str, target: u32) -> Result<usize, ControlError> {
        let stream = self.stream(name)?;
        let mut info = StreamInfo::clone(&stream.info);
        let current = info.open_shards().count();
        check(&info, current, usize::try_from(target).unwrap_or(usize::MAX))?;
        let wanted: Vec<HashRange> = HashRange::split_evenly(target).collect();
        let before: Vec<ShardId> = info.open_shards().map(|shard| shard.id).collect();
        let now_ms = self.now_ms();
        for at in wanted.iter().map(|range| range.start) {
            if let Some((shard, HashRange { start, end })) =
                info.shard_of(at).map(piece).filter(|(_, range)| range.start < at)
            {
                let halves = [HashRange { start, end: HashKey(at.0 - 1) }, HashRange { start: at, end }];
                stream.replace_shards(&mut info, &[shard], &halves, now_ms)?;
            }
        }
        for range in &wanted {
            while let Some([first, second]) = first_two_within(&info, range) {
                let merged = HashRange { start: first.1.start, end: second.1.end };
                stream.replace_shards(&mut info, &[first.0, second.0], &[merged], now_ms)?;
            }
        }
        let closed: Vec<ShardId> =
            before.into_iter().filter(|id| info.shard(*id).is_none_or(|shard| !shard.is_open())).collect();
        if !closed.is_empty() {
            self.publish_reshard(&stream, info, &closed)?;
        }
        Ok(current)
    }
}

fn check(info: &StreamInfo, current: usize, target: usize) -> Result<(), ControlError> {
    let name = &info.name;
    if info.mode == StreamMode::OnDemand {
        let rule = "UpdateShardCount is for streams in PROVISIONED mode";
        return Err(ControlError::Mode(format!("{rule}, and {name} is in ON_DEMAND mode")));
    }
    if target == 0 {
        return Err(ControlError::Invalid(format!("stream {name} needs at least one shard")));
    }
    let limit = |what, limit| Err(ControlError::Limit { stream: name.clone(), what, wanted: target, limit });
    if target > OPEN_SHARDS_MAX {
        return limit("open shards", OPEN_SHARDS_MAX);
    }
    if target > current * 2 {
        return limit("open shards, more than double", current * 2);
    }
    if target < current.div_ceil(2) {
        return limit("open shards, less than half", current.div_ceil(2));
    }
    Ok(())
}

type Piece = (ShardId, HashRange);

fn piece(shard: &ShardInfo) -> Piece {
    (shard.id, shard.range)
}

/// The first two of the open shards within a range, if there are two.
fn first_two_within(info: &StreamInfo, range: &HashRange) -> Option<[Piece; 2]> {
    let is_within = |piece: &Piece| range.start <= piece.1.start && piece.1.end <= range.end;
    let mut pieces: Vec<Piece> = info.open_shards().map(piece).filter(is_within).collect();
    pieces.sort_unstable_by_key(|piece| piece.1.start);
    pieces.first_chunk().copied()
}
