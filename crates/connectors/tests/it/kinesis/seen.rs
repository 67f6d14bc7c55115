//! What a source has sent, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use millstream_core::{BoxFuture, Offsets, Resume, ShardId, Source, SourceEvent, SourceOutput, Stopped};
use serde_json::Value;
use tokio::sync::watch;

/// Every record once, and each key's in the order they were put.
#[track_caller]
pub(super) fn assert_exactly(events: &[SourceEvent], expected: &BTreeSet<(u32, u32)>, context: &str) {
    let records = read(events);
    let mut last = BTreeMap::new();
    for &(key, n) in &records {
        let before = last.insert(key, n);
        assert!(before < Some(n), "{context}: key {key}: {n} was read after {before:?}");
    }
    assert_eq!(&records.iter().copied().collect::<BTreeSet<_>>(), expected, "{context}");
    assert_eq!(records.len(), expected.len(), "{context}: nothing is read twice");
}

/// Answers how many shards had parents.
pub(super) fn assert_parents_come_first(events: &[SourceEvent]) -> usize {
    let mut children = 0;
    for (at, event) in events.iter().enumerate() {
        let SourceEvent::ShardOpened { parents, .. } = event else { continue };
        children += usize::from(!parents.is_empty());
        for later in &events[at..] {
            let late = matches!(later, SourceEvent::Chunk(chunk) if parents.contains(&chunk.shard));
            assert!(!late, "{parents:?} were read after their child was opened");
        }
    }
    children
}

/// Key and number of each record, in the order they were read.
pub(super) fn read(events: &[SourceEvent]) -> Vec<(u32, u32)> {
    let mut records = Vec::new();
    for event in events {
        let SourceEvent::Chunk(chunk) = event else { continue };
        let keys = chunk.keys.as_ref().expect("Kinesis has partition keys");
        for (data, partition_key) in chunk.data.iter().zip(keys) {
            let record: Value = serde_json::from_slice(data.unwrap()).unwrap();
            let number = |field: &str| u32::try_from(record[field].as_u64().unwrap()).unwrap();
            assert_eq!(partition_key, Some(format!("key-{}", number("key")).as_str()));
            records.push((number("key"), number("n")));
        }
    }
    records
}

/// Whether every shard being read has said that nothing is left, after its last record.
pub(super) fn is_at_tip(events: &[SourceEvent]) -> bool {
    let mut at_tip: BTreeMap<&ShardId, bool> = BTreeMap::new();
    for event in events {
        match event {
            SourceEvent::ShardOpened { shard, .. } => drop(at_tip.insert(shard, false)),
            SourceEvent::Chunk(chunk) => drop(at_tip.insert(&chunk.shard, false)),
            SourceEvent::Tip { shard, .. } => drop(at_tip.insert(shard, true)),
            SourceEvent::ShardClosed { shard } => drop(at_tip.remove(shard)),
            SourceEvent::Behind { .. } | SourceEvent::Watermark { .. } => {}
        }
    }
    !at_tip.is_empty() && at_tip.values().all(|&is_at_tip| is_at_tip)
}

/// Where to resume after these events.
pub(super) fn offsets(events: &[SourceEvent]) -> Offsets {
    let position = |event: &SourceEvent| match event {
        SourceEvent::Chunk(chunk) => Some((chunk.shard.clone(), chunk.to.clone())),
        _ => None,
    };
    events.iter().filter_map(position).collect()
}

/// Runs a source until `meanwhile` is done.
pub(super) async fn run(source: Box<dyn Source>, resume: Resume, output: &Output, meanwhile: impl Future<Output = ()>) {
    tokio::select! {
        ended = source.run(resume, output) => panic!("the source ended: {ended:?}"),
        () = meanwhile => {}
    }
}

/// Keeps what a source sends, and checks that its offsets have no gaps and no overlaps.
#[derive(Default)]
pub(super) struct Output(pub(super) watch::Sender<Vec<SourceEvent>>, pub(super) Mutex<Offsets>);

impl Output {
    pub(super) async fn wait(&self, enough: impl Fn(&[SourceEvent]) -> bool) {
        self.0.subscribe().wait_for(|events| enough(events)).await.expect("the sender is here");
    }

    pub(super) fn events(&self) -> Vec<SourceEvent> {
        self.0.borrow().clone()
    }
}

impl SourceOutput for Output {
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        if let SourceEvent::Chunk(chunk) = &event {
            self.1.lock().unwrap().advance(&chunk.shard, chunk.from.as_ref(), &chunk.to).unwrap();
        }
        self.0.send_modify(|events| events.push(event));
        Box::pin(std::future::ready(Ok(())))
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
