//! Replays: a file of records with their arrival times, standing in for every stream source of a script.
//!
//! A replay is computed in rounds: records of all streams in order of arrival. All readers of one replay go through its
//! rounds together: each sends its records of a round, and then those that had some wait until the engine has computed
//! them. So the time of a query passes with the records of what it reads. With [`ReplayClock`] as the engine's clock a run is deterministic: time is the arrival of what has been sent. A small
//! replay has a round for each arrival, so that rows are late by exactly what arrived before them.

mod clock;
mod file;
mod line;
mod rounds;
mod turnstile;

use std::sync::Arc;

use millstream_core::{
    BoxFuture, EventTime, Offset, Offsets, Resume, ShardId, Source, SourceError, SourceEvent, SourceOutput, Start,
    Stopped,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

pub use clock::ReplayClock;
pub use file::{Replay, ReplayError};

use super::chunks::ChunkBuilder;
use rounds::{Round, Step};
use turnstile::Reader;

/// A replay of up to so many records has a round for each arrival. A round costs a conversation of all threads, some
/// 100 µs of them: this many take a second or two.
const EXACT_RECORDS: usize = 10_000;

/// How a replay is cut. But for late rows, results must not depend on it; tests vary it to show that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayPlan {
    /// A replay of up to so many records has a round for each arrival.
    pub exact_records: usize,
    /// In larger ones a round ends after so many bytes of payload…
    pub round_bytes: usize,
    /// …or so many records.
    pub round_records: usize,
    /// With a seed, rounds and chunks end at random places instead, and event time may advance within a round, as it
    /// does in the service.
    pub cut_seed: Option<u64>,
    /// How many shards the keys of records without a `shard` are spread over.
    pub shards: u32,
}

impl Default for ReplayPlan {
    fn default() -> Self {
        Self { exact_records: EXACT_RECORDS, round_bytes: 1 << 20, round_records: 8192, cut_seed: None, shards: 1 }
    }
}

impl ReplayPlan {
    fn is_exact(&self, records: usize) -> bool {
        self.cut_seed.is_none() && records <= self.exact_records
    }
}

/// Reads one stream of a replay.
pub(crate) struct ReplaySource {
    replay: Arc<Replay>,
    /// `None`: it has no records.
    stream: Option<u32>,
    reader: Reader,
}

impl ReplaySource {
    /// A reader of one stream. From now on the other readers of the replay wait for it, until it is dropped.
    pub(crate) fn new(replay: &Arc<Replay>, stream: &str) -> Self {
        let reader = Reader::register(&replay.turnstile);
        Self { replay: Arc::clone(replay), stream: replay.find(stream), reader }
    }
}

impl Source for ReplaySource {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            resume.refuse_only("the replay")?;
            let shards = self.stream.map_or(&[][..], |stream| &self.replay.stream(stream).shards);
            if let Some((shard, offset)) = resume.offsets.iter().find(|(shard, _)| !shards.contains(shard)) {
                let reason = "the replay has no record of this shard: it is another one".to_owned();
                return Err(SourceError::Position { shard: shard.clone(), offset: offset.clone(), reason });
            }
            let mut sending = Sending {
                replay: &self.replay,
                stream: self.stream,
                builders: shards
                    .iter()
                    .map(|shard| ChunkBuilder::new(shard.clone(), resume.offsets.get(shard).cloned()))
                    .collect(),
                resume: &resume.offsets,
                start: match resume.start {
                    Some(Start::At(at)) => at,
                    // All of a replay is still to come.
                    None | Some(Start::Beginning | Start::Latest) => EventTime::MIN,
                },
                cuts: self.replay.plan.cut_seed.map(SmallRng::seed_from_u64),
                output,
            };
            match sending.all(&self.reader).await {
                Ok(()) | Err(Stopped) => Ok(()),
            }
        })
    }
}

/// A reader at work.
struct Sending<'a> {
    replay: &'a Replay,
    stream: Option<u32>,
    /// One a shard.
    builders: Vec<ChunkBuilder>,
    resume: &'a Offsets,
    /// What arrived before is left out.
    start: EventTime,
    /// Ends chunks early.
    cuts: Option<SmallRng>,
    output: &'a dyn SourceOutput,
}

impl Sending<'_> {
    async fn all(&mut self, reader: &Reader) -> Result<(), Stopped> {
        reader.turn(0).await;
        for builder in &self.builders {
            let opened = SourceEvent::ShardOpened { shard: builder.shard().clone(), parents: Vec::new() };
            self.output.send(opened).await?;
        }
        self.output.settle().await?;
        let replay = self.replay;
        let (mut place, mut start) = (0, 0);
        for round in &replay.rounds {
            // All readers send before the first one settles: what is in a round is simultaneous in all streams.
            place += 1;
            reader.turn(place).await;
            let is_concerned = self.send(start, round).await? > 0 || round.step.is_some();
            start = round.end;
            place += 1;
            if is_concerned {
                reader.turn(place).await;
                self.output.settle().await?;
            }
        }
        // All end together: an input that has ended no longer holds back those that it is joined with.
        reader.turn(place + 1).await;
        Ok(())
    }

    /// Sends this stream's part of a round, and that every shard has been read up to its time. Answers how many records
    /// there were.
    async fn send(&mut self, start: usize, round: &Round) -> Result<usize, Stopped> {
        self.replay.clock().advance(round.now);
        let mut sent = 0;
        for record in &self.replay.records[start..round.end] {
            if Some(record.stream) != self.stream {
                continue;
            }
            let builder = &mut self.builders[record.shard as usize];
            let is_read = self.resume.get(builder.shard()).is_some_and(|read| Offset::from(record.line) <= *read);
            if is_read || record.arrival < self.start {
                continue;
            }
            sent += 1;
            builder.push(&record.data, record.arrival, record.key.as_deref(), &record.line.to_string());
            if self.cuts.as_mut().is_some_and(|cuts| cuts.random_ratio(1, 20)) {
                send_chunk(builder, self.output).await?;
            }
        }
        for builder in &mut self.builders {
            send_chunk(builder, self.output).await?;
        }
        for builder in &self.builders {
            self.output.send(SourceEvent::Tip { shard: builder.shard().clone(), as_of: round.now }).await?;
        }
        match round.step {
            Some(Step::Watermark { stream, shard, time }) if Some(stream) == self.stream => {
                let is_meant = |place: usize| shard.is_none_or(|shard| shard as usize == place);
                for (_, builder) in self.builders.iter().enumerate().filter(|(place, _)| is_meant(*place)) {
                    let shard: ShardId = builder.shard().clone();
                    self.output.send(SourceEvent::Watermark { shard, time }).await?;
                }
            }
            Some(Step::Watermark { .. } | Step::Idle) | None => {}
        }
        Ok(sent)
    }
}

async fn send_chunk(builder: &mut ChunkBuilder, output: &dyn SourceOutput) -> Result<(), Stopped> {
    match builder.take() {
        Ok(Some(chunk)) => output.send(SourceEvent::Chunk(Box::new(chunk))).await,
        // A line's number is always an offset.
        Ok(None) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;
    use crate::testing::{collect, payloads, records};
    use futures::future::join;
    use millstream_core::{Clock, EventTime};

    fn content(records: usize) -> bytes::Bytes {
        let line = |n: usize| {
            let (key, millis) = (n % 7, 1_767_225_600_000 + n * 10);
            format!("{{\"stream\":\"s\",\"arrival\":{millis},\"key\":\"u{key}\",\"data\":{{\"n\":{n}}}}}\n")
        };
        (0..records).map(line).collect::<String>().into()
    }

    async fn replay(plan: ReplayPlan, resume: Offsets) -> Vec<SourceEvent> {
        let replay = Arc::new(Replay::parse(&content(200), plan).unwrap());
        let events = collect(Box::new(ReplaySource::new(&replay, "s")), resume).await.unwrap();
        assert_eq!(replay.clock().now(), EventTime(1_767_225_600_000 + 1990));
        events
    }

    #[tokio::test]
    async fn cuts_change_chunks_and_nothing_else() {
        let plain = ReplayPlan { shards: 3, ..ReplayPlan::default() };
        let expected = payloads(&replay(plain, Offsets::default()).await);
        assert_eq!((expected.len(), expected.values().map(Vec::len).sum::<usize>()), (3, 200));
        for seed in 0..20 {
            let cut = ReplayPlan { cut_seed: Some(seed), round_records: 64, ..plain };
            let events = replay(cut, Offsets::default()).await;
            assert_eq!(payloads(&events), expected, "seed {seed}");
        }
        let large = ReplayPlan { exact_records: 199, round_records: 64, ..plain };
        assert_eq!(payloads(&replay(large, Offsets::default()).await), expected);
    }

    #[tokio::test]
    async fn a_replay_resumes_after_its_offsets() {
        let plan = ReplayPlan { shards: 3, exact_records: 0, round_records: 16, ..ReplayPlan::default() };
        let whole = replay(plan, Offsets::default()).await;
        let expected = payloads(&whole);
        for cut in 1..whole.len() {
            let (mut offsets, mut before) = (Offsets::default(), payloads(&whole[..cut]));
            for event in &whole[..cut] {
                if let SourceEvent::Chunk(chunk) = event {
                    offsets.advance(&chunk.shard, chunk.from.as_ref(), &chunk.to).unwrap();
                }
            }
            for (shard, rest) in payloads(&replay(plan, offsets).await) {
                before.entry(shard).or_default().extend(rest);
            }
            assert_eq!(before, expected, "cut {cut}");
        }
    }

    #[tokio::test]
    async fn a_time_to_start_at_leaves_out_what_arrived_before() {
        let replay = |start| {
            let replay = Arc::new(Replay::parse(&content(200), ReplayPlan::default()).unwrap());
            collect(Box::new(ReplaySource::new(&replay, "s")), Resume { start: Some(start), ..Resume::default() })
        };
        let at = Start::At(EventTime(1_767_225_600_000 + 1500));
        for (start, expected) in [(Start::Beginning, 200), (Start::Latest, 200), (at, 50)] {
            assert_eq!(records(&replay(start).await.unwrap()), expected, "{start:?}");
        }
        let other = Offsets::from_iter([(ShardId::from("other"), Offset::from(1))]);
        let replay = Arc::new(Replay::parse(&content(1), ReplayPlan::default()).unwrap());
        let error = collect(Box::new(ReplaySource::new(&replay, "s")), other).await.unwrap_err();
        assert!(matches!(error, SourceError::Position { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_stream_without_records_gives_nothing() {
        let replay = Arc::new(Replay::parse(&content(1), ReplayPlan::default()).unwrap());
        let events = collect(Box::new(ReplaySource::new(&replay, "other")), Offsets::default()).await.unwrap();
        assert_eq!(payloads(&events), BTreeMap::new());
        assert!(events.is_empty());
    }

    /// Notes what readers send, in the order in which they do.
    struct Noted<'a> {
        reader: &'static str,
        notes: &'a Mutex<Vec<String>>,
        /// Settles that are allowed; then it stops.
        settles: Mutex<usize>,
    }

    impl SourceOutput for Noted<'_> {
        fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
            if let SourceEvent::Chunk(chunk) = event {
                let arrivals: Vec<_> = chunk.arrivals.values().iter().map(ToString::to_string).collect();
                self.notes.lock().unwrap().push(format!("{} {}", self.reader, arrivals.join(",")));
            }
            Box::pin(std::future::ready(Ok(())))
        }

        fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
            let mut left = self.settles.lock().unwrap();
            let goes_on = left.checked_sub(1).map(|fewer| *left = fewer).ok_or(Stopped);
            self.notes.lock().unwrap().push(format!("{} settles", self.reader));
            Box::pin(async move {
                tokio::task::yield_now().await;
                goes_on
            })
        }
    }

    const TWO_STREAMS: &str = r#"{"stream":"b","arrival":1,"data":1}
        {"stream":"a","arrival":2,"data":1}
        {"stream":"b","arrival":2,"data":1}
        {"stream":"a","arrival":3,"data":1}"#;

    async fn two_readers(settles_of_a: usize) -> Vec<String> {
        let replay = Arc::new(Replay::parse(&TWO_STREAMS.into(), ReplayPlan::default()).unwrap());
        let notes = Mutex::default();
        let noted = |reader, settles| Noted { reader, notes: &notes, settles: Mutex::new(settles) };
        let (a, b) = (Box::new(ReplaySource::new(&replay, "a")), Box::new(ReplaySource::new(&replay, "b")));
        let (to_a, to_b) = (noted("a", settles_of_a), noted("b", 100));
        let (of_b, of_a) = join(b.run(Resume::default(), &to_b), a.run(Resume::default(), &to_a)).await;
        of_b.and(of_a).unwrap();
        notes.into_inner().unwrap()
    }

    #[tokio::test]
    async fn readers_go_together_in_order_of_arrival() {
        let (a, b) = (&["a settles"][..], &["b settles"][..]);
        let expected = [a, b, &["b 1"], b, &["a 2", "b 2"], a, b, &["a 3"], a].concat();
        assert_eq!(two_readers(100).await, expected);
    }

    #[tokio::test]
    async fn a_reader_that_is_stopped_holds_nobody_back() {
        let expected = ["a settles", "b settles", "b 1", "b settles", "a 2", "b 2", "a settles", "b settles"];
        assert_eq!(two_readers(1).await, expected);
    }

    #[tokio::test]
    async fn steps_say_what_passes_without_records() {
        let lines = r#"{"stream":"s","shard":"x","arrival":10,"data":1}
            {"stream":"s","shard":"y","arrival":10,"data":1}
            {"arrival":20,"step":"idle"}
            {"arrival":30,"step":"watermark","stream":"s","shard":"y","time":7}"#;
        let replay = Arc::new(Replay::parse(&lines.into(), ReplayPlan::default()).unwrap());
        let events = collect(Box::new(ReplaySource::new(&replay, "s")), Offsets::default()).await.unwrap();
        let story = events.iter().filter_map(|event| match event {
            SourceEvent::Tip { shard, as_of } => Some(format!("{shard} tip {}", as_of.0)),
            SourceEvent::Watermark { shard, time } => Some(format!("{shard} watermark {}", time.0)),
            _ => None,
        });
        let expected = ["x tip 10", "y tip 10", "x tip 20", "y tip 20", "x tip 30", "y tip 30", "y watermark 7"];
        assert_eq!(story.collect::<Vec<_>>(), expected);
        assert_eq!(replay.clock().now(), EventTime(30));
    }
}
