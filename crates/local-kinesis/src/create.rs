//! Creating a stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::configure::check_record_bytes_max;
use crate::error::StorageError;
use crate::layout::{next_id_key, stream_key};
use crate::limits::{OPEN_SHARDS_MAX, RETENTION_HOURS_MIN, STREAM_NAME_CHARACTERS_MAX};
use crate::recover::open_blocks;
use crate::stream::{Stream, Tip};
use crate::writer::Writer;
use crate::{ControlError, HashRange, NewStream, SequenceNumber, ShardInfo, Store, StreamInfo, tags};

impl Store {
    /// Creates a stream with records kept for 24 hours. It is on disk and takes records once this returns.
    pub async fn create_stream(&self, new: NewStream) -> Result<Arc<StreamInfo>, ControlError> {
        check(&new)?;
        self.check_settings(&new)?;
        self.on_writer(move |writer| writer.create(new)).await
    }
}

/// Whether a stream may have that name: 1 to 128 letters, digits, `_`, `.` and `-`.
pub fn is_stream_name(name: &str) -> bool {
    (1..=STREAM_NAME_CHARACTERS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn check(new: &NewStream) -> Result<(), ControlError> {
    let name = &new.name;
    if !is_stream_name(name) {
        let rule = format!("1 to {STREAM_NAME_CHARACTERS_MAX} letters, digits, `_`, `.` or `-`");
        return Err(ControlError::Invalid(format!("`{name}` cannot name a stream: it takes {rule}")));
    }
    if new.shards == 0 {
        return Err(ControlError::Invalid(format!("stream {name} needs at least one shard")));
    }
    let wanted = usize::try_from(new.shards).unwrap_or(usize::MAX);
    if wanted > OPEN_SHARDS_MAX {
        return Err(ControlError::Limit { stream: name.clone(), what: "open shards", wanted, limit: OPEN_SHARDS_MAX });
    }
    check_record_bytes_max(name, new.record_bytes_max)?;
    tags::check(name, &new.tags)
}

impl Writer {
    fn create(&mut self, new: NewStream) -> Result<Arc<StreamInfo>, ControlError> {
        if self.stream(&new.name).is_ok() {
            return Err(ControlError::Exists(new.name));
        }
        let (id, created_ms) = (self.next_stream_id, self.now_ms());
        let shard = |(number, range)| ShardInfo::new(Vec::new(), range, SequenceNumber::new(created_ms, 0, number));
        let info = StreamInfo {
            id,
            name: new.name,
            created_ms,
            retention_hours: RETENTION_HOURS_MIN,
            record_bytes_max: new.record_bytes_max,
            mode: new.mode,
            tags: new.tags,
            shards: (0..new.shards).zip(HashRange::split_evenly(new.shards)).map(shard).collect(),
            next_shard: new.shards,
            consumers: BTreeMap::new(),
            settings: new.settings,
        };
        // Made first: should the process die before the catalog knows of it, the next start deletes it.
        let blocks = open_blocks(&self.database, &self.settings, id).map_err(StorageError::from)?;
        let mut batch = self.durable_batch();
        batch.insert(&self.descriptions, next_id_key::KEY, next_id_key::encode_value(id + 1));
        batch.insert(&self.descriptions, stream_key::encode(&info.name), stream_key::encode_value(&info));
        batch.commit().map_err(StorageError::from)?;
        self.next_stream_id = id + 1;

        let tip = |shard: &ShardInfo| (shard.id, watch::Sender::new(Tip { last: shard.starting, is_closed: false }));
        let tips: BTreeMap<_, _> = info.shards.iter().map(tip).collect();
        let info = Arc::new(info);
        self.publish(Stream { info: Arc::clone(&info), blocks, tips });
        Ok(info)
    }
}
