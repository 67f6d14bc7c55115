//! Sequence numbers and arrivals: increasing within a shard whatever the clock does and whoever writes.

use std::sync::atomic::Ordering;

use futures::future::join_all;
use millstream_local_kinesis::{HashKey, Position, PutError, PutRecord, SequenceNumber, ShardId};

use crate::crash::crash_image;
use crate::fixture::{Fixture, HOUR_MS, START_MS, open, record, texts};

#[tokio::test]
async fn numbers_and_arrivals_only_grow() {
    let mut fixture = Fixture::with_stream(1).await;
    let starting = fixture.store.describe("s").unwrap().shards[0].starting;
    let mut numbers: Vec<SequenceNumber> = vec![starting];
    for (round, clock_ms) in [START_MS, START_MS - HOUR_MS, START_MS + 5, 0, START_MS + 6].into_iter().enumerate() {
        fixture.clock.store(clock_ms, Ordering::SeqCst);
        let pair = vec![record("k", "x"), record("k", "y")];
        numbers.extend(fixture.store.put("s", pair).await.unwrap().iter().map(|stored| stored.sequence_number));
        if round % 2 == 0 {
            fixture = fixture.reopened();
        }
    }
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert!(numbers.iter().all(|number| number.to_string().len() == 56));
    let page = fixture.read(0, Position::TrimHorizon);
    let read: Vec<_> = page.records().map(|record| record.sequence_number).collect();
    assert_eq!(read, numbers[1..]);
    assert!(page.records().map(|record| record.arrival_ms).is_sorted());
}

#[tokio::test]
async fn records_of_a_call_keep_their_order_and_go_where_their_hash_says() {
    let fixture = Fixture::with_stream(4).await;
    let keys: Vec<_> = (0..200).map(|number| format!("key-{number}")).collect();
    let stored = fixture.store.put("s", keys.iter().map(|key| record(key, key)).collect()).await.unwrap();
    let info = fixture.store.describe("s").unwrap();
    for shard in &info.shards {
        let mine = |(key, stored): (&String, _)| {
            let hash = HashKey::of_partition_key(key);
            assert_eq!(shard.range.start <= hash && hash <= shard.range.end, stored == shard.id, "{key}");
            (stored == shard.id).then(|| key.clone())
        };
        let expected: Vec<_> = keys.iter().zip(stored.iter().map(|stored| stored.shard)).filter_map(mine).collect();
        assert_eq!(texts(&fixture.read(shard.id.0, Position::TrimHorizon)), expected);
    }
    for shard in &info.shards {
        for key in [shard.range.start, shard.range.end] {
            let record = PutRecord { explicit_hash_key: Some(key), ..record("any", "any") };
            assert_eq!(fixture.store.put("s", vec![record]).await.unwrap()[0].shard, shard.id);
        }
    }
}

/// Many producers and a reader for each shard at once: a reader sees every record once and in order, none above the
/// committed tip, and what it sees is in the folder: a store opened from a copy of it has it too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn producers_and_readers_agree_on_one_order() {
    const PRODUCERS: usize = 8;
    const CALLS: usize = 40;
    const IMAGES: usize = 3;
    let fixture = Fixture::with_stream(2).await;
    let readers = [0, 1].map(|shard| {
        let (store, clock, folder) = (fixture.store.clone(), &fixture.clock, fixture.folder.path());
        async move {
            let (mut position, mut seen, mut images) = (Position::TrimHorizon, Vec::new(), 0);
            loop {
                store.wait_for_records("s", ShardId(shard), position).await.unwrap();
                let page = store.read("s", ShardId(shard), position, 7, 1 << 20).unwrap();
                assert!(page.records().all(|record| record.sequence_number <= page.tip));
                if images < IMAGES {
                    images += 1;
                    let image = crash_image(folder);
                    let copied = open(image.path(), clock).read("s", ShardId(shard), position, page.len(), 1 << 20);
                    assert_eq!(texts(&copied.unwrap()), texts(&page));
                }
                seen.extend(page.records().map(|record| (record.sequence_number, record.data.to_vec())));
                position = page.next;
                if page.end_of_shard {
                    return seen;
                }
            }
        }
    });
    let producers = async {
        let calls = (0..PRODUCERS).map(|producer| {
            let store = fixture.store.clone();
            async move {
                let mut acknowledged = Vec::new();
                for call in 0..CALLS {
                    let text = format!("{producer}/{call}");
                    let stored = store.put("s", vec![record(&text, &text)]).await.unwrap()[0];
                    // What was acknowledged can be read at once.
                    let page = store.read("s", stored.shard, Position::At(stored.sequence_number), 1, 1).unwrap();
                    assert_eq!(page.records().next().unwrap().data, text.as_bytes());
                    acknowledged.push((stored.shard, stored.sequence_number, text.into_bytes()));
                }
                acknowledged
            }
        });
        let acknowledged: Vec<_> = join_all(calls).await.into_iter().flatten().collect();
        for shard in [0, 1] {
            let start = fixture.store.describe("s").unwrap().shards[shard].range.start.0;
            let shard = ShardId(u32::try_from(shard).unwrap());
            fixture.store.split_shard("s", shard, HashKey(start + 1)).await.unwrap();
        }
        acknowledged
    };
    let (seen, acknowledged) = futures::join!(join_all(readers), producers);
    for (shard, seen) in (0..).map(ShardId).zip(seen) {
        assert!(seen.is_sorted_by(|a, b| a.0 < b.0));
        let mine = acknowledged.iter().filter(|(of, ..)| *of == shard);
        let mut mine: Vec<_> = mine.map(|(_, number, data)| (*number, data.clone())).collect();
        mine.sort();
        assert_eq!(seen, mine);
    }
}

#[tokio::test]
async fn a_put_is_refused_whole() {
    let fixture = Fixture::with_stream(1).await;
    let long_key = "ü".repeat(257);
    let large = "x".repeat(1024 * 1024);
    let put = async |bad| fixture.store.put("s", vec![record("good", "good"), bad]).await.unwrap_err();
    assert!(matches!(put(record("", "x")).await, PutError::PartitionKey { index: 1, characters: 0, .. }));
    assert!(matches!(put(record(&long_key, "x")).await, PutError::PartitionKey { characters: 257, .. }));
    assert!(matches!(put(record("k", &large)).await, PutError::RecordTooLarge { bytes: 1_048_577, .. }));
    assert!(matches!(fixture.store.put("x", vec![record("k", "x")]).await, Err(PutError::NoStream(_))));
    assert!(fixture.read(0, Position::TrimHorizon).is_empty());
    fixture.store.put("s", vec![record(&"ü".repeat(256), &large[..1024 * 1024 - 512])]).await.unwrap();
}
