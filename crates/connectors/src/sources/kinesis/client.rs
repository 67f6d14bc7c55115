//! A stream on a Kinesis server: who is asked, for which stream, and when again.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::StalledStreamProtectionConfig;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use millstream_core::{Clock, Duration, EventTime, ShardId, SourceError};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::fault::ReadFault;
use super::settings::Settings;
use super::starting::Opening;
use crate::aws::faults::{Call, Fault};

/// A reply may hold 10 MB, which takes its time on a thin line.
const TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

/// One stream on a Kinesis server.
pub(super) struct StreamClient {
    client: Client,
    name: Option<String>,
    arn: Option<String>,
    /// For messages.
    what: String,
    clock: Arc<dyn Clock>,
    chance: Mutex<SmallRng>,
}

impl StreamClient {
    /// A client; no call is made yet, except for credentials.
    pub(super) async fn connect(settings: &Settings, clock: Arc<dyn Clock>, seed: u64) -> Self {
        let config = Box::pin(settings.access.config(TIMEOUT)).await;
        // A subscription may be silent for long; readers say themselves when it is too long.
        let patient = StalledStreamProtectionConfig::disabled();
        let config = aws_sdk_kinesis::config::Builder::from(&config).stalled_stream_protection(patient).build();
        Self {
            client: Client::from_conf(config),
            // Either is enough; the ARN also reaches streams of other accounts.
            name: settings.arn.is_none().then(|| settings.name.clone()),
            arn: settings.arn.clone(),
            what: format!("Kinesis stream `{}`", settings.arn.as_ref().unwrap_or(&settings.name)),
            clock,
            chance: Mutex::new(SmallRng::seed_from_u64(seed)),
        }
    }

    pub(super) fn sdk(&self) -> &Client {
        &self.client
    }

    pub(super) fn name(&self) -> Option<String> {
        self.name.clone()
    }

    pub(super) fn arn(&self) -> Option<String> {
        self.arn.clone()
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// A number from 0 to 1.
    pub(super) fn chance(&self) -> f64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// An iterator.
    pub(super) async fn iterator(&self, shard: &ShardId, opening: &Opening) -> Result<Option<String>, Fault> {
        let request = self.client.get_shard_iterator().set_stream_name(self.name()).set_stream_arn(self.arn());
        let reply = opening.iterator(request.shard_id(shard.as_str())).send().await;
        reply.map(|reply| reply.shard_iterator).map_err(|error| ReadFault::of(&error).plain())
    }

    /// One page of records.
    pub(super) async fn records(&self, iterator: &str, most: i32) -> Result<GetRecordsOutput, ReadFault> {
        let request = self.client.get_records().shard_iterator(iterator).limit(most);
        request.set_stream_arn(self.arn()).send().await.map_err(|error| ReadFault::of(&error))
    }

    /// Waits before the next try; gives back what is not to be tried again.
    pub(super) async fn wait(&self, call: &mut Call, fault: Fault) -> Result<(), Fault> {
        match fault {
            Fault::Retry { reason, least } => {
                let wait = call.failed(least, self.chance());
                tracing::warn!(stream = self.what, tries = call.tries(), wait_ms = wait.0, reason, "trying again");
                self.clock.sleep(wait).await;
                Ok(())
            }
            fault => Err(fault),
        }
    }

    /// Waits before the next try, or gives up.
    pub(super) async fn wait_or_fail(&self, call: &mut Call, fault: Fault) -> Result<(), SourceError> {
        self.wait(call, fault).await.map_err(|fault| self.failed(fault))
    }

    /// The end of a reading.
    pub(super) fn failed(&self, fault: Fault) -> SourceError {
        let what = self.what.clone();
        match fault {
            Fault::Missing(reason) => {
                SourceError::NotFound { what, remedy: format!("check its name, region and endpoint ({reason})") }
            }
            Fault::Permanent(reason) | Fault::Retry { reason, .. } => SourceError::Failed { what, reason },
            Fault::ExpiredIterator | Fault::ExpiredToken => {
                SourceError::Failed { what, reason: "the server says of a call that cannot expire that it has".into() }
            }
        }
    }

    /// Waits until `length` has passed since `since`, and never longer than that.
    pub(super) async fn wait_since(&self, since: EventTime, length: Duration) {
        let rest = (length.0 - (self.clock.now() - since).0).min(length.0);
        if rest > 0 {
            self.clock.sleep(Duration(rest)).await;
        }
    }
}
