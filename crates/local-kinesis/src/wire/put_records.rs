//! `PutRecord` and `PutRecords`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Api;
use super::arguments::{StreamArguments, check_dry_run, required, sequence_number};
use super::error::{ApiError, THROUGHPUT_EXCEEDED};
use super::scalars::Blob;
use super::shapes::EncryptionType;
use crate::limits::{PUT_BYTES_MAX, PUT_RECORDS_MAX};
use crate::{HashKey, PutError, PutRecord, SequenceNumber, ShardId, Stored, StreamInfo};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutOne {
    #[serde(flatten)]
    stream: StreamArguments,
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
    sequence_number_for_ordering: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutAll {
    #[serde(flatten)]
    stream: StreamArguments,
    records: Option<Vec<Entry>>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Put {
    #[serde(flatten)]
    place: Place,
    encryption_type: EncryptionType,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Place {
    shard_id: ShardId,
    sequence_number: SequenceNumber,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutMany {
    failed_record_count: usize,
    records: Vec<Outcome>,
    encryption_type: EncryptionType,
}

/// What became of one record.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Stored(Place),
    #[serde(rename_all = "PascalCase")]
    Failed {
        error_code: &'static str,
        error_message: String,
    },
}

impl From<Stored> for Place {
    fn from(stored: Stored) -> Self {
        Self { shard_id: stored.shard, sequence_number: stored.sequence_number }
    }
}

/// Numbers only ever grow in a shard, so that `SequenceNumberForOrdering` is met by itself.
pub(super) async fn put_one(api: &Api, request: PutOne) -> Result<Put, ApiError> {
    if let Some(number) = request.sequence_number_for_ordering {
        sequence_number(&number, "SequenceNumberForOrdering")?;
    }
    let PutOne { data, partition_key, explicit_hash_key, .. } = request;
    let record = Entry { data, partition_key, explicit_hash_key }.read("")?;
    let info = request.stream.find_ready(api)?;
    check_dry_run(request.dry_run)?;
    api.quotas.take_write(&info, &record, api.store.now_ms()).map_err(ApiError::throughput)?;
    let stored = api.store.put(&info.name, vec![record]).await?;
    let stored = stored.first().copied().ok_or_else(|| ApiError::internal("the record got no sequence number"))?;
    Ok(Put { place: stored.into(), encryption_type: (&*info).into() })
}

pub(super) async fn put_all(api: &Api, request: PutAll) -> Result<PutMany, ApiError> {
    let entries = required(request.records, "records")?;
    let count = entries.len();
    if !(1..=PUT_RECORDS_MAX).contains(&count) {
        let rule = match count {
            0 => "Member must have length greater than or equal to 1".to_owned(),
            _ => format!("Member must have length less than or equal to {PUT_RECORDS_MAX}"),
        };
        return Err(ApiError::constraint(&format!("{count} records"), "records", &rule));
    }
    let read = |(index, entry): (usize, Entry)| entry.read(&format!("records.{}.member.", index + 1));
    let records = entries.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = records.iter().map(|record| record.data.len() + record.partition_key.len()).sum();
    if bytes > PUT_BYTES_MAX {
        return Err(ApiError::argument(format!("the records have {bytes} bytes, and {PUT_BYTES_MAX} is the limit")));
    }
    let info = request.stream.find_ready(api)?;
    check_dry_run(request.dry_run)?;
    let (admitted, mut refused) = admit(api, &info, records);
    let mut stored = match api.store.put(&info.name, admitted).await {
        Ok(stored) => Ok(stored.into_iter()),
        // The request was right and the disk was not: AWS tells so for each record.
        Err(PutError::Storage(error)) => Err(error.to_string()),
        Err(refused) => return Err(refused.into()),
    };
    let outcome = |index| match (refused.remove(&index), &mut stored) {
        (Some(error_message), _) => Outcome::Failed { error_code: THROUGHPUT_EXCEEDED, error_message },
        (None, Ok(stored)) => stored.next().map_or_else(|| failed("the record got no sequence number"), stored_at),
        (None, Err(message)) => failed(message),
    };
    let records: Vec<Outcome> = (0..count).map(outcome).collect();
    let failed_record_count = records.iter().filter(|record| matches!(record, Outcome::Failed { .. })).count();
    Ok(PutMany { failed_record_count, records, encryption_type: (&*info).into() })
}

fn stored_at(stored: Stored) -> Outcome {
    Outcome::Stored(stored.into())
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed { error_code: "InternalFailure", error_message: message.to_owned() }
}

/// The records that their shards take now, and why not the others, by their index.
fn admit(api: &Api, info: &StreamInfo, records: Vec<PutRecord>) -> (Vec<PutRecord>, BTreeMap<usize, String>) {
    if !api.quotas.are_enforced() {
        return (records, BTreeMap::new());
    }
    let (mut admitted, mut refused, now_ms) = (Vec::new(), BTreeMap::new(), api.store.now_ms());
    for (index, record) in records.into_iter().enumerate() {
        match api.quotas.take_write(info, &record, now_ms) {
            Ok(()) => admitted.push(record),
            Err(reason) => drop(refused.insert(index, reason)),
        }
    }
    (admitted, refused)
}

impl Entry {
    fn read(self, path: &str) -> Result<PutRecord, ApiError> {
        let hash_key = |text: String| {
            let range = "it must be in the range [0, 2^128-1]";
            text.parse::<HashKey>()
                .map_err(|error| ApiError::argument(format!("Invalid ExplicitHashKey: {error}; {range}")))
        };
        Ok(PutRecord {
            data: required(self.data, &format!("{path}data"))?.0,
            partition_key: required(self.partition_key, &format!("{path}partitionKey"))?,
            explicit_hash_key: self.explicit_hash_key.map(hash_key).transpose()?,
        })
    }
}
