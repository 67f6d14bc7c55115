//! How many durable records a second, and how fast they are read again:
//! `cargo run --release --example throughput -- <folder> <producers> <records per call> <bytes> <seconds>`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millstream_local_kinesis::{NewStream, Position, PutRecord, Settings, ShardId, Store};

#[tokio::main]
#[expect(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "a program's clock starts somewhere")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, producers, per_call, bytes, seconds] = &arguments[..] else {
        return Err("usage: throughput <folder> <producers> <records per call> <bytes> <seconds>".into());
    };
    let (producers, per_call, bytes): (u64, u64, usize) = (producers.parse()?, per_call.parse()?, bytes.parse()?);
    let length = Duration::from_secs(seconds.parse()?);
    let now = || {
        let age = SystemTime::now().duration_since(UNIX_EPOCH);
        age.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    };
    let store = Store::open(folder.as_ref(), &Settings::default(), Arc::new(now))?;
    store.create_stream(NewStream::new("s", 4)).await?;
    let (start, calls) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut running = tokio::task::JoinSet::new();
    for producer in 0..producers {
        let (store, calls, data) = (store.clone(), Arc::clone(&calls), bytes::Bytes::from(vec![b'x'; bytes]));
        running.spawn(async move {
            let mut next = producer;
            while start.elapsed() < length {
                let record = |number: u64| PutRecord {
                    partition_key: format!("key-{}", next.wrapping_mul(31) + number),
                    explicit_hash_key: None,
                    data: data.clone(),
                };
                let records = (0..per_call).map(record).collect();
                store.put("s", records).await?;
                calls.fetch_add(1, Ordering::Relaxed);
                next += producers;
            }
            Ok::<_, millstream_local_kinesis::PutError>(())
        });
    }
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    let calls = calls.load(Ordering::Relaxed);
    let rate = (calls * per_call) as f64 / start.elapsed().as_secs_f64();
    println!(
        "put: {rate:.0} records/s, mean call {:.2} ms",
        length.as_secs_f64() * 1e3 * producers as f64 / calls as f64
    );

    let (start, mut records) = (Instant::now(), 0);
    for shard in (0..4).map(ShardId) {
        let mut position = Position::TrimHorizon;
        loop {
            let page = store.read("s", shard, position, 10_000, 1 << 20)?;
            records += page.records().filter(|record| record.data.len() == bytes).count();
            position = page.next;
            if page.millis_behind_latest == 0 {
                break;
            }
        }
    }
    println!("read: {:.0} records/s", records as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
