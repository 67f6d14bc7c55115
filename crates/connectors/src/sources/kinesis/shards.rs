//! The shards of a stream: listing them, and in which of them a reading starts.

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ChildShard, HashKeyRange, Shard, ShardFilter, ShardFilterType};
use millstream_core::{Duration, Offset, Offsets, ShardId, SourceError};
use millstream_local_kinesis::HashRange;

use super::client::StreamClient;
use super::fault::ReadFault;
use crate::aws::faults::{Call, Fault};
use crate::aws::shards::list_shards;
use crate::sources::lineage::{ANEW, Listed};
use crate::sources::position::InitPosition;

/// Arrivals are approximate: shards that ended this much before a time are asked for, too, and found to hold nothing.
const TIME_MARGIN: Duration = Duration(1000);

/// A shard as the server lists it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListedShard {
    pub(super) id: ShardId,
    pub(super) parents: Vec<ShardId>,
    pub(super) is_open: bool,
    /// Not above its first record.
    pub(super) starting: Option<Offset>,
    pub(super) range: Option<HashRange>,
}

/// A shard that follows one that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Child {
    pub(super) id: ShardId,
    pub(super) parents: Vec<ShardId>,
    pub(super) range: Option<HashRange>,
}

impl From<ListedShard> for Child {
    fn from(ListedShard { id, parents, range, .. }: ListedShard) -> Self {
        Self { id, parents, range }
    }
}

impl From<ChildShard> for Child {
    fn from(child: ChildShard) -> Self {
        Self {
            id: ShardId::from(child.shard_id),
            parents: child.parent_shards.into_iter().map(ShardId::from).collect(),
            range: child.hash_key_range.as_ref().and_then(range_of),
        }
    }
}

impl StreamClient {
    /// The shards in which a reading from `position` can start, or can have gone on since. Servers that have no filters
    /// list all.
    pub(super) async fn list_starts(&self, position: InitPosition) -> Result<Vec<ListedShard>, SourceError> {
        let filter = match position {
            InitPosition::TrimHorizon => return self.list_shards().await,
            InitPosition::Latest => ShardFilter::builder().r#type(ShardFilterType::AtLatest),
            InitPosition::AtTimestamp(at) => {
                let since = DateTime::from_millis(at.0.saturating_sub(TIME_MARGIN.0));
                ShardFilter::builder().r#type(ShardFilterType::FromTimestamp).timestamp(since)
            }
        };
        match self.list(filter.build().ok()).await {
            // A server that refuses a filter may yet list without one; what it refuses either way is said then.
            Err(Fault::Permanent(reason)) => {
                tracing::debug!(stream = self.what(), reason, "listing all shards");
                self.list_shards().await
            }
            listed => listed.map_err(|fault| self.failed(fault)),
        }
    }

    /// All shards, closed ones included.
    pub(super) async fn list_shards(&self) -> Result<Vec<ListedShard>, SourceError> {
        self.list(None).await.map_err(|fault| self.failed(fault))
    }

    /// What fails, or has taken too long between two pages, is listed again from its start.
    async fn list(&self, filter: Option<ShardFilter>) -> Result<Vec<ListedShard>, Fault> {
        let mut call = Call::default();
        loop {
            match list_shards(self.sdk(), self.name(), self.arn(), filter.clone()).await {
                Ok(shards) => return Ok(shards.iter().map(listed).collect()),
                Err(error) => match ReadFault::of(&error).plain() {
                    Fault::ExpiredToken => {}
                    fault => self.wait(&mut call, fault).await?,
                },
            }
        }
    }

    /// Whether retention has taken a shard; fails where the whole stream is gone.
    pub(super) async fn is_gone(&self, shard: &ShardId) -> Result<bool, SourceError> {
        Ok(!self.list_shards().await?.iter().any(|listed| listed.id == *shard))
    }
}

/// What a listing says of where a first reading starts. One from a time starts in all shards: those that end before it
/// have nothing to read.
pub(super) fn starts(shards: &[ListedShard], position: InitPosition) -> Vec<Listed> {
    let is_start = |shard: &ListedShard| shard.is_open || position != InitPosition::Latest;
    let listed = |shard: &ListedShard| Listed {
        shard: shard.id.clone(),
        parents: shard.parents.clone(),
        is_start: is_start(shard),
    };
    shards.iter().map(listed).collect()
}

/// Fails where a shard begins above the offset it is to be resumed from: then it is one of another stream that has the
/// name of the former.
pub(super) fn check_starts(shards: &[ListedShard], resume: &Offsets) -> Result<(), SourceError> {
    for shard in shards {
        if let (Some(offset), Some(starting)) = (resume.get(&shard.id), &shard.starting)
            && offset < starting
        {
            let reason = format!("the shard begins at {starting}: the stream was made anew; {ANEW}");
            return Err(SourceError::Position { shard: shard.id.clone(), offset: offset.clone(), reason });
        }
    }
    Ok(())
}

fn listed(shard: &Shard) -> ListedShard {
    let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id].into_iter().flatten();
    let range = shard.sequence_number_range.as_ref();
    ListedShard {
        id: ShardId::from(shard.shard_id.as_str()),
        parents: parents.map(|parent| ShardId::from(parent.as_str())).collect(),
        is_open: range.is_none_or(|range| range.ending_sequence_number.is_none()),
        starting: range.and_then(|range| Offset::parse(&range.starting_sequence_number, 0).ok()),
        range: shard.hash_key_range.as_ref().and_then(range_of),
    }
}

fn range_of(range: &HashKeyRange) -> Option<HashRange> {
    let (start, end) = (range.starting_hash_key.parse().ok()?, range.ending_hash_key.parse().ok()?);
    Some(HashRange { start, end })
}
