//! One reading of a stream: which shards are open when, parents before children.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use millstream_core::{
    BoxFuture, Clock, Duration, EventTime, Offsets, Resume, ShardId, Source, SourceError, SourceEvent, SourceOutput,
};
use millstream_local_kinesis::HashRange;

use super::Ended;
use super::client::StreamClient;
use super::settings::Settings;
use super::shard::{Drained, ShardReader};
use super::shards::{Child, ListedShard, check_starts, starts};
use crate::sources::lineage::{Lineage, Ready, Start, check_resumed};

/// Shards that are opened at the same time.
const OPENED_AT_ONCE: usize = 64;
/// How often a listing is asked for the shards that follow one that has ended.
const LIST_EVERY: Duration = Duration(1000);
/// A server that shows no shard that follows one for so many listings will not.
const LISTINGS_MAX: u32 = 60;

/// Reads the shards of one stream.
pub(super) struct KinesisSource {
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seed: u64,
}

/// What the readers of all shards share.
pub(super) struct Reading<'a> {
    pub(super) client: StreamClient,
    pub(super) settings: &'a Settings,
    /// As whom shards are subscribed to, where they are not polled.
    pub(super) consumer: Option<String>,
    /// When reading began: where LATEST goes on if it is lost before the first record.
    pub(super) started: EventTime,
    pub(super) output: &'a dyn SourceOutput,
}

impl Source for KinesisSource {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            let Self { settings, clock, seed } = *self;
            let settings = Settings { position: settings.position.of(&resume), ..settings };
            let read = async {
                let reading = Reading::begin(&settings, clock, seed, output).await?;
                match &resume.only {
                    None => reading.read_all(&resume.offsets).await,
                    Some(shard) => reading.read_one(shard, &resume.offsets).await,
                }
            };
            match read.await {
                Ok(()) | Err(Ended::Stopped) => Ok(()),
                Err(Ended::Failed(error)) => Err(error),
            }
        })
    }
}

impl<'a> Reading<'a> {
    async fn begin(
        settings: &'a Settings,
        clock: Arc<dyn Clock>,
        seed: u64,
        output: &'a dyn SourceOutput,
    ) -> Result<Self, SourceError> {
        let client = StreamClient::connect(settings, Arc::clone(&clock), seed).await;
        // A consumer may have to be made first, which takes seconds.
        let consumer = match &settings.consumer {
            Some(consumer) => client.consumer(consumer).await?,
            None => None,
        };
        // Before the listing: what arrives meanwhile is not to be missed.
        Ok(Self { client, settings, consumer, started: clock.now(), output })
    }

    async fn read_all(&self, resume: &Offsets) -> Result<(), Ended> {
        let is_resumed = resume.iter().next().is_some();
        let shards = if is_resumed {
            self.client.list_shards().await?
        } else {
            self.client.list_starts(self.settings.position).await?
        };
        check_starts(&shards, resume)?;
        let listed = starts(&shards, self.settings.position);
        check_resumed(&listed, resume)?;
        let mut lineage = Lineage::new(&listed, resume);
        let mut ranges = ranges(shards);
        let mut readers = FuturesUnordered::new();
        loop {
            for (ready, reader) in self.open(lineage.take_ready(), &ranges).await? {
                self.output.send(SourceEvent::ShardOpened { shard: ready.shard, parents: ready.parents }).await?;
                readers.push(reader.read());
            }
            for shard in lineage.take_closed() {
                ranges.remove(&shard);
                self.output.send(SourceEvent::ShardClosed { shard }).await?;
            }
            let Some(drained) = readers.next().await else { return Ok(()) };
            let Drained { shard, children } = drained?;
            let children = if children.is_empty() { self.followers(&shard, &lineage).await? } else { children };
            for Child { id, parents, range } in children {
                ranges.extend(range.map(|range| (id.clone(), range)));
                lineage.add_child(id, parents);
            }
            lineage.drained(&shard);
        }
    }

    /// Reads one shard to its end. One that has expired has ended.
    async fn read_one(&self, only: &ShardId, resume: &Offsets) -> Result<(), Ended> {
        let shards = self.client.list_shards().await?;
        check_starts(&shards, resume)?;
        let start = resume.get(only).map_or(Start::Configured, |offset| Start::After(offset.clone()));
        let parents = shards.iter().find(|listed| listed.id == *only).map(|listed| listed.parents.clone());
        let ready = Ready { shard: only.clone(), parents: parents.unwrap_or_default(), start };
        for (ready, reader) in self.open(vec![ready], &ranges(shards)).await? {
            self.output.send(SourceEvent::ShardOpened { shard: ready.shard, parents: ready.parents }).await?;
            let Drained { shard, .. } = reader.read().await?;
            self.output.send(SourceEvent::ShardClosed { shard }).await?;
        }
        Ok(())
    }

    /// Readers of these shards. Each that starts at the latest record is opened before anything else is waited for.
    async fn open(
        &self,
        ready: Vec<Ready>,
        ranges: &BTreeMap<ShardId, HashRange>,
    ) -> Result<Vec<(Ready, ShardReader<'_>)>, SourceError> {
        let open = |ready: Ready| async {
            let reader = ShardReader::new(self, &ready, ranges.get(&ready.shard).copied());
            Ok((ready, reader.pin().await?))
        };
        futures::stream::iter(ready).map(open).buffered(OPENED_AT_ONCE).try_collect().await
    }

    /// The shards that follow one that has ended, by listing: for servers that do not tell them with the last records.
    /// Where the shard has expired, so may those have that followed it: then it is whatever came later.
    async fn followers(&self, shard: &ShardId, lineage: &Lineage) -> Result<Vec<Child>, SourceError> {
        for _ in 0..LISTINGS_MAX {
            let listed = self.client.list_shards().await?;
            let is_gone = !listed.iter().any(|listed| listed.id == *shard);
            let has_child = listed.iter().any(|listed| listed.parents.contains(shard));
            if is_gone || has_child {
                let names: Vec<_> = listed.iter().map(|listed| (&listed.id, listed.parents.as_slice())).collect();
                let new = lineage.unknown(&names);
                return Ok(listed.into_iter().filter(|listed| new.contains(&listed.id)).map(Child::from).collect());
            }
            // A listing may lag behind.
            self.client.clock().sleep(LIST_EVERY).await;
        }
        let reason = format!("{shard} has ended, but the stream lists no shard that follows it");
        Err(SourceError::Failed { what: self.client.what().to_owned(), reason })
    }
}

fn ranges(shards: Vec<ListedShard>) -> BTreeMap<ShardId, HashRange> {
    shards.into_iter().filter_map(|shard| Some((shard.id, shard.range?))).collect()
}
