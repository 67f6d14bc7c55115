//! Takes over where an application of the Kinesis Client Library stands: its lease table becomes ours, or is copied.
//!
//! Tables of versions 1, 2 and 3 are read, those of several streams and those that hold more than leases too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration as Timeout;

use aws_sdk_dynamodb::Client;
use millstream_core::{Clock, Duration, Options, ShardId};

use super::dynamodb::DynamoTable;
use super::lease::{Checkpoint, Lease};
use super::lifecycle::StreamShard;
use super::table::{LeaseTable, TableError};
use crate::aws::AwsAccess;
use crate::context::AwsSettings;
use crate::sources::kinesis::{Settings, Shards};

/// Of one call.
const TIMEOUT: Timeout = Timeout::from_secs(30);
/// How long a new table may take to be there.
const TABLE_PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration(500);

/// What is to be taken over.
#[derive(Clone, Debug)]
pub struct ImportKcl {
    /// The application's lease table.
    pub table: String,
    pub stream: String,
    /// A table that is made; `None`: the application's own goes on.
    pub into: Option<String>,
    /// The application's `failoverTimeMillis`: workers that live renew within it.
    pub failover: Duration,
    /// Also while workers live.
    pub force: bool,
    /// Where DynamoDB is, if it is not where Kinesis is.
    pub dynamodb: Option<String>,
}

/// A shard, and where it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedShard {
    pub shard: String,
    pub position: String,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The table that is to be named in `'source.lease.table'`.
    pub table: String,
    pub shards: Vec<ImportedShard>,
    /// What deserves a second look.
    pub remarks: Vec<String>,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{0}")]
    Wrong(String),
    #[error("the lease table cannot be used: {0}")]
    Table(String),
    #[error("the stream cannot be listed: {0}")]
    Stream(String),
}

impl From<TableError> for ImportError {
    fn from(error: TableError) -> Self {
        Self::Table(error.to_string())
    }
}

/// Takes an application's position over.
pub async fn import_kcl(
    request: &ImportKcl,
    aws: &AwsSettings,
    clock: Arc<dyn Clock>,
) -> Result<Imported, ImportError> {
    let access = AwsAccess::read(&Options::default().reader(), aws, None)
        .map_err(|error| ImportError::Wrong(error.to_string()))?;
    let mut config = aws_sdk_dynamodb::config::Builder::from(&access.config(TIMEOUT).await);
    if let Some(endpoint) = &request.dynamodb {
        config.set_endpoint_url(Some(endpoint.clone()));
    }
    let client = Client::from_conf(config.build());
    let from = DynamoTable::new(client.clone(), request.table.clone());
    from.check(false).await?;
    let before = leases(&from, request).await?;
    if !request.force {
        clock.sleep(request.failover).await;
    }
    let leases = leases(&from, request).await?;
    let alive = alive(&before, &leases);
    if !alive.is_empty() && !request.force {
        return Err(ImportError::Wrong(format!(
            "the application is running: {} renewed leases within {} ms; stop it, or say --force",
            alive.join(", "),
            request.failover.0
        )));
    }
    let settings = Settings::of_stream(&request.stream, access);
    let shards = Shards::connect(&settings, Arc::clone(&clock), 0).await;
    let shards = shards.listed().await.map_err(|error| ImportError::Stream(error.to_string()))?;
    let Plan { leases: planned, remarks } = plan(&leases, &shards, &request.stream)?;
    let own = request.into.as_ref().filter(|into| **into != request.table);
    match own {
        None => take(&from, &planned).await?,
        Some(into) => copy(&DynamoTable::new(client, into.clone()), &planned, clock.as_ref()).await?,
    }
    let shards = planned
        .iter()
        .map(|(_, lease)| ImportedShard { shard: lease.shard.to_string(), position: words(&lease.checkpoint) });
    Ok(Imported { table: own.unwrap_or(&request.table).clone(), shards: shards.collect(), remarks })
}

/// The leases of the stream.
async fn leases(table: &DynamoTable, request: &ImportKcl) -> Result<BTreeMap<ShardId, Lease>, ImportError> {
    let rows = table.scan().await?;
    let has_streams = rows.iter().any(|(_, stream)| stream.is_some());
    // account:stream:epoch
    let is_of_stream = |stream: &Option<String>| match stream {
        Some(stream) => stream.split(':').nth(1).unwrap_or(stream) == request.stream,
        None => !has_streams,
    };
    let own: Vec<Lease> = rows.into_iter().filter(|(_, stream)| is_of_stream(stream)).map(|(lease, _)| lease).collect();
    if own.is_empty() {
        let (table, stream) = (&request.table, &request.stream);
        return Err(ImportError::Wrong(format!("table `{table}` has no lease of stream `{stream}`")));
    }
    if has_streams && request.into.as_ref().is_none_or(|into| *into == request.table) {
        let table = &request.table;
        return Err(ImportError::Wrong(format!("`{table}` is of several streams: say --into, for a table of its own")));
    }
    Ok(own.into_iter().map(|lease| (lease.shard.clone(), lease)).collect())
}

/// The owners whose leases have moved.
fn alive(before: &BTreeMap<ShardId, Lease>, after: &BTreeMap<ShardId, Lease>) -> Vec<String> {
    let moved = after.iter().filter(|(shard, lease)| {
        before.get(*shard).is_some_and(|before| before.counter != lease.counter) && lease.owner.is_some()
    });
    let mut owners: Vec<String> = moved.filter_map(|(_, lease)| lease.owner.clone()).collect();
    owners.sort();
    owners.dedup();
    owners
}

/// Leases as they are and as they are to be.
struct Plan {
    leases: Vec<(Lease, Lease)>,
    remarks: Vec<String>,
}

fn plan(leases: &BTreeMap<ShardId, Lease>, shards: &[StreamShard], stream: &str) -> Result<Plan, ImportError> {
    if !shards.iter().any(|shard| leases.contains_key(&shard.shard)) {
        let message = format!("no lease is of a shard that `{stream}` has: it is the table of another stream");
        return Err(ImportError::Wrong(message));
    }
    let (mut planned, mut remarks) = (Vec::new(), Vec::new());
    for lease in leases.values() {
        let listed = shards.iter().find(|listed| listed.shard == lease.shard);
        if listed.is_none() && lease.is_ended() {
            // It is of no use to anybody: neither it nor what it was is there.
            continue;
        }
        let shard = &lease.shard;
        if listed.is_none() {
            remarks.push(format!("{shard} has expired: what was not read of it is lost"));
        }
        if lease.checkpoint == Checkpoint::AtTimestamp {
            remarks.push(format!(
                "{shard} begins AT_TIMESTAMP: say which with 'source.init.position' and 'source.init.timestamp'"
            ));
        }
        let parents = listed.map_or_else(|| lease.parents.clone(), |listed| listed.parents.iter().cloned().collect());
        let taken = Lease {
            key: shard.as_str().to_owned(),
            owner: None,
            checkpoint_owner: None,
            counter: lease.counter + 1,
            parents,
            hashes: listed.and_then(|listed| listed.hashes).or(lease.hashes),
            ..lease.clone()
        };
        planned.push((lease.clone(), taken));
    }
    Ok(Plan { leases: planned, remarks })
}

/// The application's own table goes on.
async fn take(table: &DynamoTable, leases: &[(Lease, Lease)]) -> Result<(), ImportError> {
    for (before, after) in leases {
        if !table.put(before, after).await? {
            let shard = &before.shard;
            return Err(ImportError::Wrong(format!("the lease of {shard} was written meanwhile: a worker lives")));
        }
    }
    Ok(())
}

async fn copy(table: &DynamoTable, leases: &[(Lease, Lease)], clock: &dyn Clock) -> Result<(), ImportError> {
    let started = clock.now();
    while let Err(error) = table.check(true).await {
        if matches!(error, TableError::Permanent(_)) || clock.now() - started > TABLE_PATIENCE {
            return Err(error.into());
        }
        clock.sleep(LOOK_EVERY).await;
    }
    if !LeaseTable::list(table).await?.is_empty() {
        let name = &table.name;
        return Err(ImportError::Wrong(format!("table `{name}` has leases already: name one that is not there yet")));
    }
    for (_, lease) in leases {
        table.create(lease).await?;
    }
    Ok(())
}

fn words(checkpoint: &Checkpoint) -> String {
    match checkpoint {
        Checkpoint::AtTimestamp => "at the time that the table's options say".to_owned(),
        Checkpoint::TrimHorizon => "at its oldest record".to_owned(),
        Checkpoint::Latest => "at what arrives from when it is first read".to_owned(),
        Checkpoint::At(offset) if offset.sub_sequence() == 0 => format!("after {}", offset.sequence()),
        Checkpoint::At(offset) => {
            format!("after record {} of the aggregate {}", offset.sub_sequence(), offset.sequence())
        }
        Checkpoint::ShardEnd => "has been read to its end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Offset;

    fn lease(shard: &str, checkpoint: Checkpoint, counter: u64) -> (ShardId, Lease) {
        let lease = Lease { owner: Some("kcl-1".into()), counter, ..Lease::new(shard.into(), checkpoint) };
        (shard.into(), lease)
    }

    fn shard(shard: &str, parents: &[&str]) -> StreamShard {
        let parents = parents.iter().copied().map(ShardId::from).collect();
        StreamShard { shard: shard.into(), parents, is_open: true, hashes: Some((0, 9)) }
    }

    #[test]
    fn leases_go_on_where_they_are_without_their_owners() {
        let at = Checkpoint::At(Offset::parse("4959", 2).unwrap());
        let leases = [lease("a", Checkpoint::ShardEnd, 5), lease("b", at, 7), lease("gone", Checkpoint::ShardEnd, 1)];
        let plan = plan(&leases.into(), &[shard("a", &[]), shard("b", &["a"])], "s").unwrap();
        let planned: Vec<(&str, String)> =
            plan.leases.iter().map(|(_, lease)| (lease.shard.as_str(), words(&lease.checkpoint))).collect();
        let b = "after record 2 of the aggregate 4959".to_owned();
        assert_eq!(planned, [("a", "has been read to its end".to_owned()), ("b", b)]);
        let b = &plan.leases[1].1;
        assert_eq!((b.owner.as_ref(), b.counter, b.hashes), (None, 8, Some((0, 9))));
        assert!(b.parents.contains(&ShardId::from("a")), "as the stream says: KCL 1 does not");
        assert!(plan.remarks.is_empty());
    }

    #[test]
    fn what_is_odd_is_told() {
        let (latest, at_time) = (lease("x", Checkpoint::Latest, 1), lease("a", Checkpoint::AtTimestamp, 1));
        let remarks = plan(&[latest.clone(), at_time].into(), &[shard("a", &[])], "s").unwrap().remarks;
        assert!(remarks.iter().any(|remark| remark.starts_with("x has expired")), "{remarks:?}");
        assert!(remarks.iter().any(|remark| remark.contains("'source.init.timestamp'")), "{remarks:?}");
        let other = plan(&[latest].into(), &[shard("a", &[])], "s").err().unwrap().to_string();
        assert!(other.contains("another stream"), "{other}");
    }

    #[test]
    fn workers_live_whose_leases_move() {
        let before = [lease("a", Checkpoint::Latest, 1), lease("b", Checkpoint::Latest, 1)].into();
        let after = [lease("a", Checkpoint::Latest, 1), lease("b", Checkpoint::Latest, 2)].into();
        assert_eq!(alive(&before, &after), ["kcl-1"]);
        assert_eq!(alive(&before, &before), [""; 0]);
    }
}
