//! A stream that splits and merges, made from the seed, and its reader.

use std::collections::BTreeSet;

use arrow::array::{BinaryArray, StringArray, TimestampMillisecondArray};
use millstream_core::{
    BoxFuture, Chunk, EventTime, Offset, Resume, ShardId, Source, SourceError, SourceEvent, SourceOutput, Stopped,
};

use super::random::Random;
use super::world::{Shared, pause};

/// The declared disorder; rows are less disordered than that, so that none is late.
pub(super) const DELAY_MS: i64 = 5000;
/// The most records of a chunk.
const CHUNK_RECORDS_MAX: usize = 9;

pub(super) struct Stream {
    shards: Vec<Shard>,
}

#[derive(Default)]
struct Shard {
    parents: Vec<usize>,
    records: Vec<Record>,
    is_open: bool,
}

struct Record {
    sequence: u64,
    arrival: i64,
    payload: String,
}

impl Stream {
    /// Records in up to four shards at a time. `late_ms`: so much more disorder than is declared.
    pub(super) fn make(random: &mut Random, records: usize, late_ms: i64, start: i64) -> Self {
        let roots = random.between(1, 4);
        let open = || Shard { is_open: true, ..Shard::default() };
        let mut shards: Vec<Shard> = (0..roots).map(|_| open()).collect();
        let step = random.millis(30, 300);
        let keys = random.between(1, 5);
        let mut used = BTreeSet::new();
        let mut base = start;
        for id in 0..records {
            base += random.millis(1, 2 * step);
            let at: Vec<usize> = (0..shards.len()).filter(|shard| shards[*shard].is_open).collect();
            if random.chance(25) {
                let parent = *random.pick(&at);
                shards[parent].is_open = false;
                let is_merge = at.len() > 1 && random.chance(500);
                let other = *random.pick(&at);
                if is_merge && other != parent {
                    shards[other].is_open = false;
                    shards.push(Shard { parents: vec![parent, other], ..open() });
                } else {
                    shards.push(Shard { parents: vec![parent], ..open() });
                    shards.push(Shard { parents: vec![parent], ..open() });
                }
            }
            let at: Vec<usize> = (0..shards.len()).filter(|shard| shards[*shard].is_open).collect();
            let shard = &mut shards[*random.pick(&at)];
            let mut time = base - random.millis(0, DELAY_MS - 1 + late_ms);
            // No two rows have the same time: their order would be another in every run.
            while !used.insert(time) {
                time += 1;
            }
            let sequence = shard.records.last().map_or(0, |last| last.sequence) + random.next() % 5 + 1;
            let (key, number) = (random.below(keys), random.below(100));
            shard.records.push(Record { sequence, arrival: base, payload: format!("{id},k{key},{number},{time}") });
        }
        Self { shards }
    }

    fn name(shard: usize) -> ShardId {
        ShardId::from(format!("shard-{shard:03}"))
    }

    fn has_children(&self, shard: usize) -> bool {
        self.shards.iter().any(|other| other.parents.contains(&shard))
    }

    fn chunk(&self, shard: usize, records: std::ops::Range<usize>) -> Chunk {
        let of = &self.shards[shard].records[records.clone()];
        let before = records.start.checked_sub(1).map(|index| self.shards[shard].records[index].sequence);
        Chunk {
            shard: Self::name(shard),
            from: before.map(Offset::from),
            to: Offset::from(of[of.len() - 1].sequence),
            data: BinaryArray::from_iter_values(of.iter().map(|record| &record.payload)),
            arrivals: of.iter().map(|record| Some(record.arrival)).collect::<TimestampMillisecondArray>(),
            keys: None,
            sequence_numbers: Some(StringArray::from_iter_values(of.iter().map(|record| record.sequence.to_string()))),
            sub_sequence_numbers: None,
            verdicts: None,
        }
    }
}

/// One reading; `is_calm`: nothing goes wrong and nothing waits.
pub(super) struct Reader {
    pub(super) world: Shared,
    pub(super) stream: String,
    pub(super) is_calm: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Waiting,
    At(usize),
    /// Read to its end; its children may not be open yet.
    Drained,
    Closed,
}

impl Source for Reader {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move {
            resume.refuse_only(&self.stream)?;
            match self.read(&resume, output).await {
                Err(Ended::Failed(error)) => Err(error),
                Err(Ended::Stopped) | Ok(()) => Ok(()),
            }
        })
    }
}

enum Ended {
    Stopped,
    Failed(SourceError),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Reader {
    fn failed(&self, reason: &str) -> Ended {
        Ended::Failed(SourceError::Failed { what: self.stream.clone(), reason: reason.to_owned() })
    }

    async fn read(&self, resume: &Resume, output: &dyn SourceOutput) -> Result<(), Ended> {
        let stream = std::sync::Arc::clone(&self.world.lock().streams[&self.stream]);
        let mut shards = self.begin(&stream, resume)?;
        loop {
            for shard in 0..shards.len() {
                let parents = &stream.shards[shard].parents;
                let is_ready = |parent: &usize| matches!(shards[*parent], Reading::Drained | Reading::Closed);
                let at = resume.offsets.get(&Stream::name(shard));
                if shards[shard] == Reading::Waiting && parents.iter().all(is_ready) {
                    let parents = parents.iter().map(|parent| Stream::name(*parent)).collect();
                    output.send(SourceEvent::ShardOpened { shard: Stream::name(shard), parents }).await?;
                    let after = |record: &Record| at.is_some_and(|at| Offset::from(record.sequence) <= *at);
                    shards[shard] = Reading::At(stream.shards[shard].records.iter().filter(|r| after(r)).count());
                }
            }
            for shard in 0..shards.len() {
                let is_waited_for = (0..shards.len())
                    .any(|child| stream.shards[child].parents.contains(&shard) && shards[child] == Reading::Waiting);
                if shards[shard] == Reading::Drained && !is_waited_for {
                    output.send(SourceEvent::ShardClosed { shard: Stream::name(shard) }).await?;
                    shards[shard] = Reading::Closed;
                }
            }
            let mut read: Vec<(usize, usize)> = Vec::new();
            let mut has_drained = false;
            for (shard, state) in shards.iter_mut().enumerate() {
                if let Reading::At(next) = *state {
                    if next < stream.shards[shard].records.len() {
                        read.push((shard, next));
                    } else if stream.has_children(shard) {
                        *state = Reading::Drained;
                        has_drained = true;
                    }
                }
            }
            if has_drained {
                continue;
            }
            if read.is_empty() {
                return Ok(());
            }
            if self.is_calm {
                for (shard, next) in read {
                    let end = stream.shards[shard].records.len();
                    output.send(SourceEvent::Chunk(Box::new(stream.chunk(shard, next..end)))).await?;
                    shards[shard] = Reading::At(end);
                }
                continue;
            }
            self.idle(&stream, &shards, output).await?;
            let (shard, next) = *self.world.lock().random.pick(&read);
            let left = stream.shards[shard].records.len() - next;
            let records = self.world.lock().random.between(1, left.min(CHUNK_RECORDS_MAX));
            self.world.log(format!("  {}: {} gives {records} after {next}", self.stream, Stream::name(shard)));
            output.send(SourceEvent::Chunk(Box::new(stream.chunk(shard, next..next + records)))).await?;
            shards[shard] = Reading::At(next + records);
            let rate = self.world.lock().faults.reader;
            if self.world.lock().random.chance(rate) {
                if self.world.lock().random.chance(500) {
                    self.world.log("  it sends that again");
                    output.send(SourceEvent::Chunk(Box::new(stream.chunk(shard, next..next + records)))).await?;
                } else {
                    return Err(self.failed("simulated: the network is down"));
                }
            }
            pause().await;
        }
    }

    /// Which shards are read from where: those before resumed ones count as read.
    fn begin(&self, stream: &Stream, resume: &Resume) -> Result<Vec<Reading>, Ended> {
        let mut shards = vec![Reading::Waiting; stream.shards.len()];
        // Parents come before children.
        for shard in (0..stream.shards.len()).rev() {
            let is_resumed = resume.offsets.get(&Stream::name(shard)).is_some();
            if is_resumed || shards[shard] == Reading::Closed {
                for parent in &stream.shards[shard].parents {
                    shards[*parent] = Reading::Closed;
                }
            }
        }
        for (shard, at) in resume.offsets.iter() {
            let known = (0..stream.shards.len()).find(|known| Stream::name(*known) == *shard);
            let records = known.map(|known| &stream.shards[known].records);
            if !records.is_some_and(|records| records.iter().any(|record| Offset::from(record.sequence) == *at)) {
                return Err(self.failed(&format!("{shard} has no record {at}")));
            }
        }
        Ok(shards)
    }

    /// What a reader says while nothing comes.
    async fn idle(&self, stream: &Stream, shards: &[Reading], output: &dyn SourceOutput) -> Result<(), Ended> {
        for (shard, state) in shards.iter().enumerate() {
            let Reading::At(next) = state else { continue };
            let (says, lag_ms, as_of) = {
                let mut world = self.world.lock();
                (world.random.chance(100), world.random.next() % 1000, EventTime(world.now))
            };
            let shard_name = Stream::name(shard);
            match says {
                true if *next == stream.shards[shard].records.len() => {
                    output.send(SourceEvent::Tip { shard: shard_name, as_of }).await?;
                }
                true => output.send(SourceEvent::Behind { shard: shard_name, lag_ms }).await?,
                false => {}
            }
        }
        Ok(())
    }
}
