//! A lease table in DynamoDB, with the attributes of the Kinesis Client Library: each can read what the other wrote.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use millstream_core::{BoxFuture, EventTime, ShardId};

use super::lease::{Checkpoint, Lease};
use super::table::{LeaseTable, TableError};
use crate::aws::faults::words;

const KEY: &str = "leaseKey";
const OWNER: &str = "leaseOwner";
const COUNTER: &str = "leaseCounter";
const SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
const CHECKPOINT: &str = "checkpoint";
const SUB_SEQUENCE: &str = "checkpointSubSequenceNumber";
const PARENTS: &str = "parentShardId";
const CHILDREN: &str = "childShardIds";
const FIRST_HASH: &str = "startingHashKey";
const LAST_HASH: &str = "endingHashKey";
const CHECKPOINT_OWNER: &str = "checkpointOwner";
const ENTITY: &str = "entityType";
/// Of tables of several streams.
const SHARD: &str = "shardId";
const STREAM: &str = "streamName";
/// What the KCL's newer versions keep beside leases has other words here.
const LEASE: &str = "LEASE";
/// Ours: when the lease was made, in milliseconds.
const SINCE: &str = "millstreamSince";

type Item = HashMap<String, AttributeValue>;

/// One table.
pub(crate) struct DynamoTable {
    client: Client,
    pub(super) name: String,
}

impl DynamoTable {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Every row that is a lease.
    pub(super) async fn scan(&self) -> Result<Vec<(Lease, Option<String>)>, TableError> {
        let (mut leases, mut start) = (Vec::new(), None);
        loop {
            let scan = self.client.scan().table_name(&self.name).consistent_read(true);
            let page = scan.set_exclusive_start_key(start).send().await.map_err(|error| failed(&error))?;
            for item in page.items() {
                if item.get(ENTITY).and_then(|kind| kind.as_s().ok()).is_none_or(|kind| kind == LEASE) {
                    let lease = read(item).map_err(|reason| self.unreadable(item, &reason))?;
                    leases.push((lease, text(item, STREAM)));
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(leases);
            }
        }
    }

    fn unreadable(&self, item: &Item, reason: &str) -> TableError {
        let key = text(item, KEY).unwrap_or_default();
        TableError::Permanent(format!("the row `{key}` of table `{}` is no lease: {reason}", self.name))
    }

    async fn get(&self, key: &str) -> Result<Option<Lease>, TableError> {
        let get = self.client.get_item().table_name(&self.name).key(KEY, string(key)).consistent_read(true);
        match get.send().await.map_err(|error| failed(&error))?.item {
            Some(item) => read(&item).map(Some).map_err(|reason| self.unreadable(&item, &reason)),
            None => Ok(None),
        }
    }

    /// Writes all of a lease in the place of another, if the table has that with its counter.
    pub(super) async fn put(&self, before: &Lease, after: &Lease) -> Result<bool, TableError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(written(after)));
        let put = put
            .condition_expression("#counter = :before")
            .expression_attribute_names("#counter", COUNTER)
            .expression_attribute_values(":before", number(before.counter));
        unless_otherwise(put.send().await)
    }

    async fn make(&self) -> Result<(), TableError> {
        let attribute =
            AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S).build();
        let key = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build();
        let wrong = |error: &dyn std::fmt::Display| TableError::Permanent(error.to_string());
        let create = self
            .client
            .create_table()
            .table_name(&self.name)
            .attribute_definitions(attribute.map_err(|error| wrong(&error))?)
            .key_schema(key.map_err(|error| wrong(&error))?)
            .billing_mode(BillingMode::PayPerRequest);
        match create.send().await {
            Ok(_) => Ok(()),
            // Another worker makes it.
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Whether the table is there and can be used; it is made where it is not there and `make` is said.
    pub(super) async fn check(&self, make: bool) -> Result<(), TableError> {
        let being_made = || TableError::Retry(format!("table `{}` is being made", self.name));
        match self.client.describe_table().table_name(&self.name).send().await {
            Ok(described) => match described.table.and_then(|table| table.table_status) {
                Some(TableStatus::Active | TableStatus::Updating) | None => Ok(()),
                Some(_) => Err(being_made()),
            },
            Err(error) if error.code() == Some("ResourceNotFoundException") => {
                if make {
                    self.make().await?;
                    return Err(being_made());
                }
                Err(TableError::Permanent(format!("there is no table `{}`", self.name)))
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

impl LeaseTable for DynamoTable {
    fn ensure(&self) -> BoxFuture<'_, Result<(), TableError>> {
        Box::pin(self.check(true))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Lease>, TableError>> {
        Box::pin(async move { Ok(self.scan().await?.into_iter().map(|(lease, _)| lease).collect()) })
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(async move {
            let put = self.client.put_item().table_name(&self.name).set_item(Some(written(lease)));
            let put = put.condition_expression("attribute_not_exists(leaseKey)");
            unless_otherwise(put.send().await).map(drop)
        })
    }

    fn replace<'a>(&'a self, before: &'a Lease, after: &'a Lease) -> BoxFuture<'a, Result<bool, TableError>> {
        Box::pin(async move {
            let (sequence, sub_sequence) = after.checkpoint.written();
            let mut set = vec![
                (COUNTER, number(after.counter)),
                (SWITCHES, number(after.owner_switches)),
                (CHECKPOINT, string(sequence)),
                (SUB_SEQUENCE, number(sub_sequence)),
            ];
            let mut remove = Vec::new();
            for (name, value) in [(OWNER, &after.owner), (CHECKPOINT_OWNER, &after.checkpoint_owner)] {
                match value {
                    Some(value) => set.push((name, string(value))),
                    None => remove.push(name),
                }
            }
            // Names may be words of DynamoDB's own: each has a place.
            let mut update = self
                .client
                .update_item()
                .table_name(&self.name)
                .key(KEY, string(&after.key))
                .condition_expression("#counter = :before")
                .expression_attribute_names("#counter", COUNTER)
                .expression_attribute_values(":before", number(before.counter));
            let (mut sets, mut removes) = (Vec::new(), Vec::new());
            for (place, (name, value)) in set.into_iter().enumerate() {
                sets.push(format!("#s{place} = :s{place}"));
                update = update.expression_attribute_names(format!("#s{place}"), name);
                update = update.expression_attribute_values(format!(":s{place}"), value);
            }
            for (place, name) in remove.into_iter().enumerate() {
                removes.push(format!("#r{place}"));
                update = update.expression_attribute_names(format!("#r{place}"), name);
            }
            let mut expression = format!("SET {}", sets.join(", "));
            if !removes.is_empty() {
                expression = format!("{expression} REMOVE {}", removes.join(", "));
            }
            if unless_otherwise(update.update_expression(expression).send().await)? {
                return Ok(true);
            }
            // It may have been written by a call whose answer was lost.
            let found = self.get(&after.key).await?;
            Ok(found.is_some_and(|found| found.counter == after.counter && found.owner == after.owner))
        })
    }

    fn delete<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(async move {
            let delete = self.client.delete_item().table_name(&self.name).key(KEY, string(&lease.key));
            let delete = delete
                .condition_expression("#counter = :before")
                .expression_attribute_names("#counter", COUNTER)
                .expression_attribute_values(":before", number(lease.counter));
            unless_otherwise(delete.send().await).map(drop)
        })
    }
}

/// Whether it was done; `false` where its condition does not hold.
fn unless_otherwise<T, E>(sent: Result<T, SdkError<E, HttpResponse>>) -> Result<bool, TableError>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match sent {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(failed(&error)),
    }
}

fn failed<E>(error: &SdkError<E, HttpResponse>) -> TableError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let reason = words(error);
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    match (error, error.code().unwrap_or_default()) {
        (
            SdkError::ServiceError(_),
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "InternalServerError"
            | "ResourceInUseException"
            | "ExpiredTokenException",
        ) => TableError::Retry(reason),
        (SdkError::ServiceError(_), _) if status < 500 => TableError::Permanent(reason),
        (SdkError::ConstructionFailure(_), _) => TableError::Permanent(reason),
        _ => TableError::Retry(reason),
    }
}

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn shards(item: &Item, name: &str) -> BTreeSet<ShardId> {
    let set = item.get(name).and_then(|value| value.as_ss().ok());
    set.into_iter().flatten().map(|shard| ShardId::from(shard.as_str())).collect()
}

/// A lease from its row.
fn read(item: &Item) -> Result<Lease, String> {
    let required = |name: &str| text(item, name).ok_or_else(|| format!("it has no text `{name}`"));
    let number = |name: &str| match item.get(name).map(AttributeValue::as_n) {
        None => Ok(0),
        Some(Ok(number)) => number.parse::<u64>().map_err(|_| format!("`{name}` is {number}")),
        Some(Err(_)) => Err(format!("`{name}` is no number")),
    };
    let hash = |name: &str| text(item, name).and_then(|hash| hash.parse::<u128>().ok());
    let key = required(KEY)?;
    Ok(Lease {
        shard: ShardId::from(text(item, SHARD).unwrap_or_else(|| key.clone())),
        owner: text(item, OWNER),
        counter: number(COUNTER)?,
        owner_switches: number(SWITCHES)?,
        checkpoint: Checkpoint::read(&required(CHECKPOINT)?, number(SUB_SEQUENCE)?)?,
        parents: shards(item, PARENTS),
        children: shards(item, CHILDREN),
        hashes: hash(FIRST_HASH).zip(hash(LAST_HASH)),
        checkpoint_owner: text(item, CHECKPOINT_OWNER),
        since: match number(SINCE)? {
            0 => None,
            since => i64::try_from(since).ok().map(EventTime),
        },
        key,
    })
}

/// A lease as a row.
fn written(lease: &Lease) -> Item {
    let (sequence, sub_sequence) = lease.checkpoint.written();
    let mut item: Item = [
        (KEY, string(&lease.key)),
        (ENTITY, string(LEASE)),
        (COUNTER, number(lease.counter)),
        (SWITCHES, number(lease.owner_switches)),
        (CHECKPOINT, string(sequence)),
        (SUB_SEQUENCE, number(sub_sequence)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (name, value) in [(OWNER, &lease.owner), (CHECKPOINT_OWNER, &lease.checkpoint_owner)] {
        if let Some(value) = value {
            item.insert(name.to_owned(), string(value));
        }
    }
    for (name, shards) in [(PARENTS, &lease.parents), (CHILDREN, &lease.children)] {
        if !shards.is_empty() {
            let shards = shards.iter().map(ToString::to_string).collect();
            item.insert(name.to_owned(), AttributeValue::Ss(shards));
        }
    }
    if let Some((first, last)) = lease.hashes {
        item.insert(FIRST_HASH.to_owned(), string(&first.to_string()));
        item.insert(LAST_HASH.to_owned(), string(&last.to_string()));
    }
    if let Some(since) = lease.since {
        item.insert(SINCE.to_owned(), number(since.0));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::Offset;

    #[test]
    fn a_row_holds_all_of_a_lease() {
        let lease = Lease {
            owner: Some("host-1".into()),
            counter: 12,
            owner_switches: 2,
            parents: ["p".into(), "q".into()].into(),
            children: ["c".into()].into(),
            hashes: Some((0, u128::MAX)),
            checkpoint_owner: Some("host-0".into()),
            since: Some(EventTime(1_767_225_600_000)),
            ..Lease::new("shardId-000000000001".into(), Checkpoint::At(Offset::parse("4959", 3).unwrap()))
        };
        assert_eq!(read(&written(&lease)).unwrap(), lease);
        let bare = Lease::new("s".into(), Checkpoint::Latest);
        assert_eq!(read(&written(&bare)).unwrap(), bare);
    }

    #[test]
    fn rows_of_several_streams_name_their_shard() {
        let mut item = written(&Lease::new("s".into(), Checkpoint::TrimHorizon));
        item.insert(KEY.into(), string("123456789012:orders:1700000000:shardId-000000000000"));
        item.insert(SHARD.into(), string("shardId-000000000000"));
        assert_eq!(read(&item).unwrap().shard.as_str(), "shardId-000000000000");
        item.remove(CHECKPOINT);
        assert!(read(&item).unwrap_err().contains("`checkpoint`"));
    }
}
