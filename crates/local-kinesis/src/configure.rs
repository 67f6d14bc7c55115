//! What can be set of a stream besides its shards and its retention.
//!
//! The largest record and the distribution of records have an effect here. Encryption, metrics, policies, warm
//! throughput and the mode are kept and told, so that tools which set them find them set.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::limits::{POLICY_BYTES_MAX, RECORD_BYTES_DEFAULT, RECORD_BYTES_MAX, WARM_THROUGHPUT_MIB_MAX};
use crate::{ControlError, NewStream, Resource, Store, StreamMode};

/// What is set of a stream. Stores of earlier releases have none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamSettings {
    /// The key that records are encrypted with on AWS. Here they are not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<String>,
    /// Metrics that AWS would keep of each shard.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub shard_metrics: BTreeSet<ShardMetric>,
    /// Who may use the stream, as its owner wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The write throughput that AWS would keep ready, MiB a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_throughput_mib: Option<u32>,
    /// What chooses the shard of a record.
    pub distribution: Distribution,
}

/// What chooses the shard of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Distribution {
    /// Its partition key, or its explicit hash key.
    #[default]
    #[serde(rename = "USER_PARTITION_KEY")]
    PartitionKey,
    /// The stream: evenly, whatever the keys are.
    #[serde(rename = "AUTO")]
    Even,
}

/// A metric of a shard, as AWS names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "AWS's names say it")]
pub enum ShardMetric {
    IncomingBytes,
    IncomingRecords,
    OutgoingBytes,
    OutgoingRecords,
    WriteProvisionedThroughputExceeded,
    ReadProvisionedThroughputExceeded,
    IteratorAgeMilliseconds,
}

impl ShardMetric {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::IncomingBytes,
        Self::IncomingRecords,
        Self::OutgoingBytes,
        Self::OutgoingRecords,
        Self::WriteProvisionedThroughputExceeded,
        Self::ReadProvisionedThroughputExceeded,
        Self::IteratorAgeMilliseconds,
    ];
}

impl Store {
    /// Changes who decides how many shards there are. Nothing is resharded by that.
    pub async fn set_mode(
        &self,
        stream: &str,
        mode: StreamMode,
        warm_throughput_mib: Option<u32>,
    ) -> Result<(), ControlError> {
        self.check_warm_throughput(stream, warm_throughput_mib)?;
        self.change_stream(stream, move |info| {
            info.mode = mode;
            if mode == StreamMode::Provisioned {
                if warm_throughput_mib.is_some() {
                    return Err(not_on_demand(&info.name, "warm throughput"));
                }
                // Both are of the other mode.
                (info.settings.warm_throughput_mib, info.settings.distribution) = (None, Distribution::default());
            } else if warm_throughput_mib.is_some() {
                info.settings.warm_throughput_mib = warm_throughput_mib;
            }
            Ok(())
        })
        .await
    }

    /// Changes the largest record, partition key included. Records that are stored already stay.
    pub async fn set_record_bytes_max(&self, stream: &str, bytes: usize) -> Result<(), ControlError> {
        check_record_bytes_max(stream, bytes)?;
        self.change_stream(stream, move |info| {
            info.record_bytes_max = bytes;
            Ok(())
        })
        .await
    }

    /// Sets the throughput that AWS would keep ready; answers what it was.
    pub async fn set_warm_throughput(&self, stream: &str, mib: u32) -> Result<Option<u32>, ControlError> {
        self.check_warm_throughput(stream, Some(mib))?;
        self.change_stream(stream, move |info| {
            if info.mode == StreamMode::Provisioned {
                return Err(not_on_demand(&info.name, "warm throughput"));
            }
            Ok(info.settings.warm_throughput_mib.replace(mib))
        })
        .await
    }

    /// Sets what chooses the shard of the records to come.
    pub async fn set_distribution(&self, stream: &str, distribution: Distribution) -> Result<(), ControlError> {
        self.change_stream(stream, move |info| {
            if distribution == Distribution::Even && info.mode == StreamMode::Provisioned {
                return Err(not_on_demand(&info.name, AUTO));
            }
            info.settings.distribution = distribution;
            Ok(())
        })
        .await
    }

    /// Sets the key that the stream says it is encrypted with; none: it says that it is not.
    pub async fn set_encryption(&self, stream: &str, key: Option<String>) -> Result<(), ControlError> {
        self.change_stream(stream, move |info| {
            info.settings.encryption_key = key;
            Ok(())
        })
        .await
    }

    /// Changes the metrics that the stream says it keeps; answers those before and after.
    pub async fn set_shard_metrics(
        &self,
        stream: &str,
        change: impl FnOnce(&mut BTreeSet<ShardMetric>) + Send + 'static,
    ) -> Result<[BTreeSet<ShardMetric>; 2], ControlError> {
        self.change_stream(stream, move |info| {
            let before = info.settings.shard_metrics.clone();
            change(&mut info.settings.shard_metrics);
            Ok([before, info.settings.shard_metrics.clone()])
        })
        .await
    }

    /// Keeps a policy with a stream or consumer, or removes it.
    pub async fn set_policy(&self, resource: Resource, policy: Option<String>) -> Result<(), ControlError> {
        if let Some(bytes) = policy.as_ref().map(String::len).filter(|bytes| *bytes > POLICY_BYTES_MAX) {
            let limit = format!("{POLICY_BYTES_MAX} is the limit");
            return Err(ControlError::Invalid(format!("the policy has {bytes} bytes, and {limit}")));
        }
        let stream = resource.stream().to_owned();
        self.change_stream(&stream, move |info| {
            match resource {
                Resource::Stream(_) => info.settings.policy = policy,
                Resource::Consumer(consumer) => info.consumer_mut(&consumer)?.policy = policy,
            }
            Ok(())
        })
        .await
    }

    /// Whether a stream may be created with these.
    pub(crate) fn check_settings(&self, new: &NewStream) -> Result<(), ControlError> {
        let NewStream { name, mode, settings, .. } = new;
        self.check_warm_throughput(name, settings.warm_throughput_mib)?;
        if *mode == StreamMode::Provisioned {
            if settings.warm_throughput_mib.is_some() {
                return Err(not_on_demand(name, "warm throughput"));
            }
            if settings.distribution == Distribution::Even {
                return Err(not_on_demand(name, AUTO));
            }
        }
        Ok(())
    }

    fn check_warm_throughput(&self, stream: &str, mib: Option<u32>) -> Result<(), ControlError> {
        let Some(mib) = mib else { return Ok(()) };
        if mib > WARM_THROUGHPUT_MIB_MAX {
            let range = format!("at most {WARM_THROUGHPUT_MIB_MAX} MiB a second");
            return Err(ControlError::Invalid(format!("the warm throughput of stream {stream} may be {range}")));
        }
        if !self.account().has_commitment(self.now_ms()) {
            let remedy = "UpdateAccountSettings enables it";
            let what = "warm throughput takes an account with MinimumThroughputBillingCommitment";
            return Err(ControlError::Invalid(format!("{what}: {remedy}")));
        }
        Ok(())
    }
}

/// Whether a stream may be given that limit.
pub(crate) fn check_record_bytes_max(stream: &str, bytes: usize) -> Result<(), ControlError> {
    if (RECORD_BYTES_DEFAULT..=RECORD_BYTES_MAX).contains(&bytes) {
        return Ok(());
    }
    let range = format!("{RECORD_BYTES_DEFAULT} to {RECORD_BYTES_MAX}");
    Err(ControlError::Invalid(format!("records of stream {stream} may be {range} bytes, not {bytes}")))
}

const AUTO: &str = "the record distribution strategy AUTO";

fn not_on_demand(stream: &str, what: &str) -> ControlError {
    ControlError::Mode(format!("{what} is for streams in ON_DEMAND mode, and {stream} is in PROVISIONED mode"))
}
