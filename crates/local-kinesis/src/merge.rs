//! Merging two shards whose hash keys touch: both are closed, and one child owns the keys of both.

use crate::split::open_shard;
use crate::writer::Writer;
use crate::{ControlError, HashRange, ShardId, Store, StreamInfo};

impl Store {
    /// Merges two open shards, in either order; answers the child.
    pub async fn merge_shards(&self, stream: &str, one: ShardId, other: ShardId) -> Result<ShardId, ControlError> {
        let stream = stream.to_owned();
        self.on_writer(move |writer| writer.merge(&stream, one, other)).await
    }
}

impl Writer {
    fn merge(&mut self, name: &str, one: ShardId, other: ShardId) -> Result<ShardId, ControlError> {
        let stream = self.stream(name)?;
        let mut info = StreamInfo::clone(&stream.info);
        let (first, second) = (open_shard(&info, one)?.range, open_shard(&info, other)?.range);
        let range = if first.touches(&second) {
            HashRange { start: first.start, end: second.end }
        } else if second.touches(&first) {
            HashRange { start: second.start, end: first.end }
        } else {
            let reason = format!("the hash keys of {one} and {other} of stream {name} do not touch");
            return Err(ControlError::Invalid(format!("{reason}: merge neighbours only")));
        };
        let parents = [one, other];
        let children = stream.replace_shards(&mut info, &parents, &[range], self.now_ms())?;
        self.publish_reshard(&stream, info, &parents)?;
        children.first().copied().ok_or_else(|| ControlError::Invalid("a merge makes one shard".into()))
    }
}
