//! Reading by polling: iterator, records, iterator, … to the shard's end.

use super::Ended;
use super::fault::ReadFault;
use super::pace::{Given, Pace};
use super::shard::{Distance, ShardReader};
use super::shards::Child;
use crate::aws::faults::{Call, Fault};

impl ShardReader<'_> {
    /// Reads to the end of the shard; answers the shards that follow it, as far as they were told.
    pub(super) async fn poll(&mut self) -> Result<Vec<Child>, Ended> {
        let (client, polling) = (&self.reading.client, self.reading.settings.polling);
        let mut pace = Pace::new(polling.interval_min, polling.interval_max);
        let (mut call, mut opened) = (Call::default(), self.pinned.take());
        loop {
            let iterator = match opened.take() {
                Some(iterator) => iterator,
                None => match self.open().await? {
                    Some(iterator) => iterator,
                    None => return Ok(Vec::new()),
                },
            };
            // Before the read: what arrived until now is in it.
            let at = client.clock().now();
            let page = match client.records(&iterator, polling.records_max).await {
                Ok(page) => page,
                Err(ReadFault::Throttled { reason }) => {
                    let least = pace.refused(at, client.chance());
                    client.wait_or_fail(&mut call, Fault::Retry { reason, least }).await?;
                    opened = Some(iterator);
                    continue;
                }
                Err(ReadFault::Plain(Fault::ExpiredIterator)) => continue,
                Err(ReadFault::Plain(Fault::Missing(_))) if client.is_gone(&self.shard).await? => {
                    return Ok(Vec::new());
                }
                Err(ReadFault::Plain(Fault::Missing(reason))) => {
                    client.wait_or_fail(&mut call, Fault::Retry { reason, least: polling.interval_min }).await?;
                    continue;
                }
                Err(fault) => {
                    client.wait_or_fail(&mut call, fault.plain()).await?;
                    opened = Some(iterator);
                    continue;
                }
            };
            call.worked();
            let lag_ms = page.millis_behind_latest.unwrap_or(0);
            let distance = if lag_ms > 0 { Distance::Behind { lag_ms } } else { Distance::AtTip { as_of: Some(at) } };
            self.take(&page.records, distance).await?;
            let Some(next) = page.next_shard_iterator else {
                return Ok(page.child_shards.unwrap_or_default().into_iter().map(Child::from).collect());
            };
            opened = Some(next);
            let bytes = page
                .records
                .iter()
                .map(|record| record.data.as_ref().len() + record.partition_key.as_deref().map_or(0, str::len));
            let given = Given { bytes: bytes.sum(), has_more: lag_ms > 0 || !page.records.is_empty() };
            client.wait_since(at, pace.answered(at, given)).await;
        }
    }
}
