//! Splitting a shard: it is closed, and two children share its hash keys.

use crate::limits::OPEN_SHARDS_MAX;
use crate::stream::Stream;
use crate::writer::Writer;
use crate::{ControlError, HashKey, HashRange, SequenceNumber, ShardId, ShardInfo, Store, StreamInfo};

impl Store {
    /// Splits an open shard so that the second child starts with hash key `at`; answers the children.
    pub async fn split_shard(&self, stream: &str, shard: ShardId, at: HashKey) -> Result<[ShardId; 2], ControlError> {
        let stream = stream.to_owned();
        self.on_writer(move |writer| writer.split(&stream, shard, at)).await
    }
}

impl Writer {
    fn split(&mut self, name: &str, shard: ShardId, at: HashKey) -> Result<[ShardId; 2], ControlError> {
        let stream = self.stream(name)?;
        let mut info = StreamInfo::clone(&stream.info);
        let HashRange { start, end } = open_shard(&info, shard)?.range;
        if at <= start || at > end {
            let reason = format!("{shard} owns the hash keys {start} to {end}, so that it cannot be split at {at}");
            return Err(ControlError::Invalid(format!("{reason}: choose a key above the first")));
        }
        let ranges = [HashRange { start, end: HashKey(at.0 - 1) }, HashRange { start: at, end }];
        check_limit(&info, 1, 2)?;
        let children = stream.replace_shards(&mut info, &[shard], &ranges, self.now_ms())?;
        self.publish_reshard(&stream, info, &[shard])?;
        children.try_into().map_err(|_| ControlError::Invalid("a split makes two shards".into()))
    }

    /// Stores and publishes what came of closing those shards, and lastly wakes their readers.
    pub(crate) fn publish_reshard(
        &mut self,
        stream: &Stream,
        info: StreamInfo,
        closed: &[ShardId],
    ) -> Result<(), ControlError> {
        self.replace(stream, info)?;
        for tip in closed.iter().filter_map(|shard| stream.tips.get(shard)) {
            tip.send_modify(|tip| tip.is_closed = true);
        }
        Ok(())
    }
}

impl Stream {
    /// Closes the parents in a description, and adds a child for each range.
    pub(crate) fn replace_shards(
        &self,
        info: &mut StreamInfo,
        parents: &[ShardId],
        ranges: &[HashRange],
        now_ms: i64,
    ) -> Result<Vec<ShardId>, ControlError> {
        let mut highest: Option<SequenceNumber> = None;
        for shard in info.shards.iter_mut().filter(|shard| parents.contains(&shard.id)) {
            // One that was made a moment ago has no tip yet.
            let last = self.tips.get(&shard.id).map_or(shard.floor(), |tip| tip.borrow().last);
            let ending = last.next(now_ms);
            shard.close(ending);
            // The arrival may be one parent's and the counter the other's: a child is above both.
            let above = |high: SequenceNumber| {
                let arrival_ms = high.arrival_ms().max(ending.arrival_ms());
                SequenceNumber::new(arrival_ms, high.counter().max(ending.counter()), 0)
            };
            highest = Some(highest.map_or(ending, above));
        }
        let highest = highest.ok_or_else(|| ControlError::Invalid("no shard to reshard".into()))?;
        let mut children = Vec::new();
        for range in ranges {
            let number = info.take_shard_number();
            let starting = SequenceNumber::new(highest.arrival_ms(), highest.counter() + 1, number);
            info.shards.push(ShardInfo::new(parents.to_vec(), *range, starting));
            children.push(ShardId(number));
        }
        Ok(children)
    }
}

/// The shard, if it can be split or merged.
pub(crate) fn open_shard(info: &StreamInfo, shard: ShardId) -> Result<&ShardInfo, ControlError> {
    let stream = || info.name.clone();
    let found = info.shard(shard).ok_or_else(|| ControlError::NoShard { stream: stream(), shard })?;
    if !found.is_open() {
        return Err(ControlError::ShardClosed { stream: stream(), shard });
    }
    Ok(found)
}

fn check_limit(info: &StreamInfo, closed: usize, opened: usize) -> Result<(), ControlError> {
    let wanted = info.open_shards().count() + opened - closed;
    if wanted > OPEN_SHARDS_MAX {
        let stream = info.name.clone();
        return Err(ControlError::Limit { stream, what: "open shards", wanted, limit: OPEN_SHARDS_MAX });
    }
    Ok(())
}
