//! Opening a folder: reads the catalog, and finds every shard's tip by its last block.
//!
//! Nothing needs repair. A batch is in the journal whole or not at all, and its records were acknowledged only after
//! it was synced; so what is found is what was acknowledged, and perhaps a last group nobody got an answer for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use tokio::sync::watch;

use crate::error::StorageError;
use crate::layout::{BLOCKS_PREFIX, CATALOG, account_key, block_key, blocks_keyspace, next_id_key, stream_key};
use crate::store::{Now, Settings};
use crate::stream::{Catalog, Stream, Tip};
use crate::writer::Writer;
use crate::{AccountSettings, OpenError, SequenceNumber, ShardInfo, StreamInfo};

pub(crate) fn open(folder: &Path, settings: &Settings, now: Now) -> Result<Writer, OpenError> {
    // One background thread: of several, the first hands every compaction on to the others, over and over while they are
    // busy, which took a fifth of the CPU under load (fjall 3.1).
    let database = match Database::builder(folder).cache_size(settings.cache_bytes).worker_threads(1).open() {
        Err(fjall::Error::Locked) => return Err(OpenError::InUse { folder: folder.to_owned() }),
        opened => opened.map_err(StorageError::from),
    };
    let failed = |error| OpenError::Storage { folder: folder.to_owned(), error };
    recover(folder, database.map_err(failed)?, settings, now).map_err(failed)
}

fn recover(folder: &Path, database: Database, settings: &Settings, now: Now) -> Result<Writer, StorageError> {
    let descriptions = database.keyspace(CATALOG, KeyspaceCreateOptions::default)?;
    let mut catalog = Catalog::new();
    for entry in descriptions.prefix(stream_key::prefix()) {
        let (key, value) = entry.into_inner()?;
        let unreadable = |error| StorageError::Unreadable {
            what: format!("the description {} ({error})", String::from_utf8_lossy(&key)),
        };
        let info = stream_key::decode_value(&value).map_err(unreadable)?;
        let stream = open_stream(&database, settings, info)?;
        catalog.insert(stream.info.name.clone(), Arc::new(stream));
    }
    let next_stream_id = match descriptions.get(next_id_key::KEY)? {
        None => 1,
        Some(value) => next_id_key::decode_value(&value)
            .ok_or_else(|| StorageError::Unreadable { what: "the id of the next stream".into() })?,
    };
    let account = match descriptions.get(account_key::KEY)? {
        None => AccountSettings::default(),
        Some(value) => account_key::decode_value(&value)
            .map_err(|error| StorageError::Unreadable { what: format!("the settings of the account ({error})") })?,
    };
    delete_orphans(&database, &catalog)?;
    let catalog = watch::Sender::new(Arc::new(catalog));
    Ok(Writer {
        folder: folder.to_owned(),
        database,
        descriptions,
        catalog,
        account: watch::Sender::new(account),
        next_stream_id,
        settings: settings.clone(),
        now,
    })
}

fn open_stream(database: &Database, settings: &Settings, info: StreamInfo) -> Result<Stream, StorageError> {
    let blocks = open_blocks(database, settings, info.id)?;
    let mut tips = BTreeMap::new();
    for shard in &info.shards {
        let tip = Tip { last: last_record(&blocks, shard)?, is_closed: !shard.is_open() };
        tips.insert(shard.id, watch::Sender::new(tip));
    }
    Ok(Stream { info: Arc::new(info), blocks, tips })
}

fn last_record(blocks: &Keyspace, shard: &ShardInfo) -> Result<SequenceNumber, StorageError> {
    let Some(entry) = blocks.prefix(shard.id.0.to_be_bytes()).next_back() else {
        return Ok(shard.floor());
    };
    let key = entry.key()?;
    let (_, last) = block_key::decode(&key)
        .ok_or_else(|| StorageError::Unreadable { what: format!("a block of {} with a strange key", shard.id) })?;
    Ok(last.max(shard.floor()))
}

/// The records of a stream; made if they are not there yet.
pub(crate) fn open_blocks(database: &Database, settings: &Settings, id: u64) -> Result<Keyspace, fjall::Error> {
    let options = || KeyspaceCreateOptions::default().max_memtable_size(settings.stream_buffer_bytes);
    database.keyspace(&blocks_keyspace(id), options)
}

/// Records whose stream is not in the catalog: a crash came between the two halves of a creation or deletion.
fn delete_orphans(database: &Database, catalog: &Catalog) -> Result<(), StorageError> {
    let known: Vec<String> = catalog.values().map(|stream| blocks_keyspace(stream.info.id)).collect();
    for name in database.list_keyspace_names() {
        if name.starts_with(BLOCKS_PREFIX) && !known.iter().any(|known| **known == *name) {
            tracing::info!(keyspace = %name, "deleting the records of a stream that is gone");
            database.delete_keyspace(database.keyspace(&name, KeyspaceCreateOptions::default)?)?;
        }
    }
    Ok(())
}
