//! What tests of sources share: a clock set by hand, and an output that keeps everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use millstream_core::{
    BoxFuture, Clock, Duration, EventTime, Offsets, Resume, Source, SourceError, SourceEvent, SourceOutput, Stopped,
};

/// A clock whose sleepers wake at once, and whose time moves on by what they slept.
#[derive(Clone)]
pub(crate) struct StepClock(Arc<Mutex<i64>>);

impl StepClock {
    pub(crate) fn at(start: i64) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }
}

impl Clock for StepClock {
    fn now(&self) -> EventTime {
        EventTime(*self.0.lock().unwrap())
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        let now = Arc::clone(&self.0);
        Box::pin(async move {
            *now.lock().unwrap() += length.0;
            // Lets others run, as a real sleep does.
            tokio::task::yield_now().await;
        })
    }
}

type Enough = dyn Fn(&[SourceEvent]) -> bool + Send + Sync;

/// Keeps what a source sends, checks its offsets, and stops it when `enough` says so.
pub(crate) struct Collected {
    events: Mutex<Vec<SourceEvent>>,
    offsets: Mutex<Offsets>,
    enough: Box<Enough>,
}

impl SourceOutput for Collected {
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        if let SourceEvent::Chunk(chunk) = &event {
            assert!(!chunk.is_empty());
            assert_eq!(chunk.arrivals.len(), chunk.len());
            self.offsets.lock().unwrap().advance(&chunk.shard, chunk.from.as_ref(), &chunk.to).unwrap();
        }
        let mut events = self.events.lock().unwrap();
        events.push(event);
        let enough = (self.enough)(&events);
        Box::pin(std::future::ready(if enough { Err(Stopped) } else { Ok(()) }))
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Everything a bounded source sends.
pub(crate) async fn collect(
    source: Box<dyn Source>,
    resume: impl Into<Resume>,
) -> Result<Vec<SourceEvent>, SourceError> {
    collect_until(source, resume, |_| false).await
}

/// What a source sends until `enough` is true of it.
pub(crate) async fn collect_until(
    source: Box<dyn Source>,
    resume: impl Into<Resume>,
    enough: impl Fn(&[SourceEvent]) -> bool + Send + Sync + 'static,
) -> Result<Vec<SourceEvent>, SourceError> {
    let resume = resume.into();
    let offsets = Mutex::new(resume.offsets.clone());
    let output = Collected { events: Mutex::default(), offsets, enough: Box::new(enough) };
    source.run(resume, &output).await?;
    Ok(output.events.into_inner().unwrap())
}

/// The payloads of each shard, in order.
pub(crate) fn payloads(events: &[SourceEvent]) -> BTreeMap<String, Vec<String>> {
    let mut payloads: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        if let SourceEvent::Chunk(chunk) = event {
            let of_shard = payloads.entry(chunk.shard.to_string()).or_default();
            of_shard.extend(chunk.data.iter().flatten().map(|data| String::from_utf8(data.to_vec()).unwrap()));
        }
    }
    payloads
}

/// An embedded stream in a folder that lives as long as the answer.
pub(crate) fn store(clock: &StepClock) -> (millstream_local_kinesis::Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock.clone();
    let now = Arc::new(move || clock.now().0);
    let store =
        millstream_local_kinesis::Store::open(folder.path(), &millstream_local_kinesis::Settings::default(), now)
            .unwrap();
    (store, folder)
}

/// Puts JSON records `{"n":…}`, each with the key `k<n>`.
pub(crate) async fn put(store: &millstream_local_kinesis::Store, stream: &str, numbers: std::ops::Range<u32>) {
    let record = |n: u32| millstream_local_kinesis::PutRecord {
        partition_key: format!("k{n}"),
        explicit_hash_key: None,
        data: format!("{{\"n\":{n}}}").into(),
    };
    store.put(stream, numbers.map(record).collect()).await.unwrap();
}

/// How many records were sent.
pub(crate) fn records(events: &[SourceEvent]) -> usize {
    let count = |event: &SourceEvent| if let SourceEvent::Chunk(chunk) = event { chunk.len() } else { 0 };
    events.iter().map(count).sum()
}

/// Where to resume after these events.
pub(crate) fn offsets(events: &[SourceEvent]) -> Offsets {
    let position = |event: &SourceEvent| match event {
        SourceEvent::Chunk(chunk) => Some((chunk.shard.clone(), chunk.to.clone())),
        _ => None,
    };
    events.iter().filter_map(position).collect()
}

/// Opening and closing of shards and their records, without tips and lags: `+a`, `a:3`, `-a`.
pub(crate) fn story(events: &[SourceEvent]) -> Vec<String> {
    let number =
        |shard: &millstream_core::ShardId| shard.as_str().trim_start_matches("shardId-").parse::<u32>().unwrap();
    let mut story: Vec<String> = Vec::new();
    for event in events {
        match event {
            SourceEvent::ShardOpened { shard, .. } => story.push(format!("+{}", number(shard))),
            SourceEvent::ShardClosed { shard } => story.push(format!("-{}", number(shard))),
            SourceEvent::Chunk(chunk) => story.push(format!("{}:{}", number(&chunk.shard), chunk.len())),
            SourceEvent::Tip { .. } | SourceEvent::Behind { .. } | SourceEvent::Watermark { .. } => {}
        }
    }
    story
}

/// Serves requests on a free port of 127.0.0.1; answers the address.
#[expect(clippy::disallowed_methods, reason = "a server of a test's own")]
pub(crate) async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(tokio::spawn(async move { axum::serve(listener, router).await }));
    address
}

/// A registry that reaches AWS at this address.
pub(crate) fn registry_at(endpoint: &str, clock: &StepClock) -> crate::Registry {
    let access_key = Some(crate::AccessKey { id: "id".into(), secret: "secret".into() });
    let aws = crate::AwsSettings { region: None, endpoint_url: Some(endpoint.to_owned()), access_key };
    crate::Registry::new(crate::Context { aws, ..crate::Context::new(Arc::new(clock.clone())) })
}
