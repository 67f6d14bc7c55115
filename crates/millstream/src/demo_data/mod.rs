//! The demo's producers: they put made-up records into the embedded streams, as programs elsewhere would.

mod trucks;
mod users;

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::{Duration, EventTime};
use millstream_local_kinesis::{ControlError, NewStream, PutRecord, Store};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::service::Service;
use crate::tasks;

/// How often records are put: often enough that tables move smoothly.
const PUT_EVERY: Duration = Duration(100);
const PUTS_PER_SECOND: u32 = 10;
/// Shards of each stream: the demo shows more than one.
const SHARDS: u32 = 2;

/// Makes records of one stream.
trait Producer: Send {
    fn stream(&self) -> &'static str;
    /// The next record's partition key and payload.
    fn next(&mut self, now: EventTime) -> (String, String);
}

/// Starts the producers: `rate` records a second each, until the service stops.
pub(crate) fn start(service: &Arc<Service>, rate: u32) {
    let seed = service.started.0.unsigned_abs();
    let users = users::Users::new(SmallRng::seed_from_u64(seed));
    let trucks = trucks::Trucks::new(SmallRng::seed_from_u64(seed ^ 1), service.started);
    let producers: [Box<dyn Producer>; 2] = [Box::new(users), Box::new(trucks)];
    for producer in producers {
        let service = Arc::clone(service);
        tasks::start(async move {
            let stream = producer.stream();
            tokio::select! {
                produced = produce(producer, &service, rate) => if let Err(reason) = produced {
                    tracing::warn!(stream, %reason, "the demo's producer ended");
                },
                () = service.stopped() => {}
            }
        });
    }
}

async fn produce(mut producer: Box<dyn Producer>, service: &Service, rate: u32) -> Result<(), String> {
    let stream = producer.stream();
    ensure(&service.store, stream).await.map_err(|error| error.to_string())?;
    let mut due = 0;
    loop {
        due += rate;
        let now = service.clock.now();
        let record = |(partition_key, payload): (String, String)| PutRecord {
            partition_key,
            explicit_hash_key: None,
            data: Bytes::from(payload),
        };
        let records = (0..due / PUTS_PER_SECOND).map(|_| record(producer.next(now))).collect();
        due %= PUTS_PER_SECOND;
        service.store.put(stream, records).await.map_err(|error| error.to_string())?;
        service.clock.sleep(PUT_EVERY).await;
    }
}

/// The stream may be there from an earlier run, or made by a reader just now.
async fn ensure(store: &Store, stream: &str) -> Result<(), ControlError> {
    if store.describe(stream).is_some() {
        return Ok(());
    }
    match store.create_stream(NewStream::new(stream, SHARDS)).await {
        Ok(_) | Err(ControlError::Exists(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
