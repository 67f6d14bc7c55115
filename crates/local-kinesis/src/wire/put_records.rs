//! `PutRecord` and `PutRecords`.

use serde::{Deserialize, Serialize};

use super::arguments::{Blob, required, sequence_number, stream_name};
use super::error::ApiError;
use crate::limits::{PUT_BYTES_MAX, PUT_RECORDS_MAX};
use crate::{HashKey, PutError, PutRecord, SequenceNumber, ShardId, Store, Stored};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutOne {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
    sequence_number_for_ordering: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutAll {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    records: Option<Vec<Entry>>,
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
    shard_id: ShardId,
    sequence_number: SequenceNumber,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutMany {
    failed_record_count: usize,
    records: Vec<Outcome>,
}

/// What became of one record.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Stored(Put),
    #[serde(rename_all = "PascalCase")]
    Failed {
        error_code: &'static str,
        error_message: String,
    },
}

impl From<Stored> for Put {
    fn from(stored: Stored) -> Self {
        Self { shard_id: stored.shard, sequence_number: stored.sequence_number }
    }
}

/// Numbers only ever grow in a shard, so that `SequenceNumberForOrdering` is met by itself.
pub(super) async fn put_one(store: &Store, request: PutOne) -> Result<Put, ApiError> {
    let stream = stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
    if let Some(number) = request.sequence_number_for_ordering {
        sequence_number(&number, "SequenceNumberForOrdering")?;
    }
    let PutOne { data, partition_key, explicit_hash_key, .. } = request;
    let record = Entry { data, partition_key, explicit_hash_key }.read("")?;
    let stored = store.put(&stream, vec![record]).await?;
    let stored = stored.first().copied().ok_or_else(|| ApiError::internal("the record got no sequence number"))?;
    Ok(stored.into())
}

pub(super) async fn put_all(store: &Store, request: PutAll) -> Result<PutMany, ApiError> {
    let stream = stream_name(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
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
    match store.put(&stream, records).await {
        Ok(stored) => {
            let records = stored.into_iter().map(|stored| Outcome::Stored(stored.into())).collect();
            Ok(PutMany { failed_record_count: 0, records })
        }
        // The request was right and the disk was not: AWS tells so for each record.
        Err(PutError::Storage(error)) => {
            let message = error.to_string();
            let failed = || Outcome::Failed { error_code: "InternalFailure", error_message: message.clone() };
            Ok(PutMany { failed_record_count: count, records: (0..count).map(|_| failed()).collect() })
        }
        Err(refused) => Err(refused.into()),
    }
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
