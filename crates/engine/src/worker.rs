//! A worker: one thread that decodes the chunks of its shards and feeds the panes of every query that reads them.
//!
//! It owns its panes and shares them with nobody: it hands deltas over when a closer asks. It never waits for a timer; it
//! takes what is in its inbox, does it, and takes the next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crossbeam_channel::{Receiver, select};
use millstream_core::{Chunk, Duration, EventTime, FormatError, Offset, Offsets, ShardId, SourceEvent};

use crate::ahead::{Ahead, AheadQueue, Decoded};
use crate::attached::{Attached, Attachment};
use crate::drift::Drift;
use crate::errors::ERROR_STREAM;
use crate::faults::FaultLog;
use crate::merge::{Merge, cut_after};
use crate::message::{LaneId, Progress, ProgressKind, QueryId, ToCloser, ToWorker};
use crate::source::{SourceDecoder, SourceRows};
use crate::stats::SourceStats;
use crate::threads;

struct Lane {
    source: Arc<str>,
    decoder: SourceDecoder,
    /// The columns that queries read, of those of its table.
    wanted: Arc<[bool]>,
    stats: Arc<SourceStats>,
    offsets: Offsets,
    watermarks: HashMap<ShardId, EventTime>,
    /// Queries that read all of it.
    queries: Vec<QueryId>,
    /// Queries of lanes that have caught up in a shard, and read it here from then on.
    joined: HashMap<ShardId, Vec<QueryId>>,
    /// Queries that begin further on in a shard than the lane does.
    waiting: HashMap<ShardId, Vec<(Offset, QueryId)>>,
    merge: Option<Arc<Merge>>,
    drift: Arc<Drift>,
    /// Shards that were handed to the lane it merges into.
    handed_over: HashSet<ShardId>,
    /// Shards that were read to their end.
    closed: HashSet<ShardId>,
    /// Shards that its reader has opened.
    opened: HashSet<ShardId>,
    failed: bool,
}

/// The thread's state.
pub(crate) struct Worker {
    pub(crate) inbox: Receiver<ToWorker>,
    ahead: AheadQueue,
    faults: FaultLog,
    lanes: HashMap<LaneId, Lane>,
    queries: HashMap<QueryId, Attached>,
}

impl Worker {
    pub(crate) fn new(inbox: Receiver<ToWorker>, ahead: AheadQueue, faults: FaultLog) -> Self {
        Self { inbox, ahead, faults, lanes: HashMap::new(), queries: HashMap::new() }
    }

    /// Works until told to stop. While there is nothing to do it decodes for others.
    pub(crate) fn run(mut self) {
        loop {
            let message = match self.inbox.try_recv() {
                Ok(message) => Ok(message),
                Err(_) => select! {
                    recv(self.inbox) -> message => message,
                    recv(self.ahead.receiver) -> next => {
                        if let Some(chunk) = next.ok().and_then(|next| next.upgrade()) {
                            self.decode_ahead(&chunk);
                        }
                        continue;
                    }
                },
            };
            match message {
                Ok(message) => {
                    if !self.step(message) {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Does what one message asks for. Answers whether there is to be another.
    pub(crate) fn step(&mut self, message: ToWorker) -> bool {
        match message {
            ToWorker::OpenLane { lane, decoder, stats, resume, watermarks, merge, drift } => {
                let fresh = Lane {
                    source: decoder.spec().table.decl.name.as_str().into(),
                    decoder: *decoder,
                    wanted: Arc::default(),
                    stats,
                    offsets: resume,
                    watermarks,
                    queries: Vec::new(),
                    joined: HashMap::new(),
                    waiting: HashMap::new(),
                    merge,
                    drift,
                    handed_over: HashSet::new(),
                    closed: HashSet::new(),
                    opened: HashSet::new(),
                    failed: false,
                };
                self.lanes.insert(lane, fresh);
                self.want();
            }
            ToWorker::Chunk { lane, chunk, permit } => {
                self.take_chunk(lane, chunk);
                self.ahead.tidy();
                drop(permit);
            }
            ToWorker::Event { lane, event, permit } => {
                self.take(lane, event);
                drop(permit);
            }
            ToWorker::Attach(attachment) => self.attach(*attachment),
            ToWorker::Detach { query, keep_state, offsets } => {
                let read = self.detach(query, keep_state);
                if let Some(offsets) = offsets {
                    // Whoever asked may be gone; then nobody needs to know.
                    let _ = offsets.send(read);
                }
            }
            ToWorker::Snap { query, close, all, answer } => {
                if let Some(query) = self.queries.get_mut(&query) {
                    query.snap(close, all);
                }
                // Also of a query that reads nothing here.
                answer.tell(ToCloser::Snapped);
            }
            ToWorker::Settle { lane, token } => {
                let is_round = *self.source_of(lane) != *ERROR_STREAM;
                self.tell_readers(lane, None, || {
                    let token = token.clone();
                    if is_round { ToCloser::Settle(token) } else { ToCloser::HandOn(token) }
                });
            }
            ToWorker::Ended { lane } => {
                let source = self.source_of(lane);
                self.tell_readers(lane, None, || ToCloser::Ended { source: Arc::clone(&source) });
            }
            ToWorker::Promote { lane, into } => self.promote(lane, into),
            ToWorker::CloseLane { lane } => {
                self.lanes.remove(&lane);
            }
            ToWorker::Stop => return false,
        }
        true
    }

    fn attach(&mut self, attachment: Attachment) {
        let id = attachment.query;
        for lane in &attachment.lanes {
            if let Some(lane) = self.lanes.get_mut(lane)
                && !lane.queries.contains(&id)
            {
                lane.queries.push(id);
                let after = attachment.after.get(&*lane.source);
                for (shard, offset) in after.into_iter().flat_map(Offsets::iter) {
                    if lane.offsets.get(shard).is_none_or(|at| at < offset) {
                        lane.waiting.entry(shard.clone()).or_default().push((offset.clone(), id));
                    }
                }
            }
        }
        match self.queries.get_mut(&id) {
            // It was paused: its panes are as they were.
            Some(query) => query.attachment = attachment,
            None => {
                self.queries.insert(id, Attached::new(attachment));
            }
        }
        self.want();
    }

    /// Has the decoders write only the columns that some query reads.
    fn want(&mut self) {
        for lane in self.lanes.values_mut() {
            let mut wanted = lane.decoder.spec().always_wanted();
            let queries = self.queries.values().flat_map(|query| &query.attachment.parts);
            for part in queries.filter(|part| *part.source == *lane.source) {
                part.feed.hot().columns().iter().for_each(|column| wanted[*column] = true);
            }
            if *lane.wanted != *wanted {
                lane.wanted = wanted.into();
                lane.decoder.want(&lane.wanted);
            }
        }
    }

    fn detach(&mut self, query: QueryId, keep_state: bool) -> Vec<(String, Offsets)> {
        let mut read = Vec::new();
        for lane in self.lanes.values_mut() {
            let offsets = lane.offsets.iter().filter(|(shard, _)| lane.readers(shard).any(|reader| reader == query));
            let waiting = lane.waiting.iter().flat_map(|(shard, waiting)| waiting.iter().map(move |at| (shard, at)));
            let waiting =
                waiting.filter(|(_, (_, reader))| *reader == query).map(|(shard, (offset, _))| (shard, offset));
            let offsets: Offsets =
                offsets.chain(waiting).map(|(shard, offset)| (shard.clone(), offset.clone())).collect();
            read.push((lane.source.to_string(), offsets));
            lane.queries.retain(|reader| *reader != query);
            lane.joined.values_mut().for_each(|joined| joined.retain(|reader| *reader != query));
            lane.waiting.values_mut().for_each(|waiting| waiting.retain(|(_, reader)| *reader != query));
        }
        if !keep_state {
            self.queries.remove(&query);
        }
        read
    }

    /// Tells the queries that read a lane, or only those that read one shard of it.
    fn tell_readers(&self, lane: LaneId, shard: Option<&ShardId>, message: impl Fn() -> ToCloser) {
        let Some(lane) = self.lanes.get(&lane) else { return };
        let readers: Vec<QueryId> = match shard {
            Some(shard) => lane.readers(shard).collect(),
            None => lane.queries.clone(),
        };
        for query in readers.iter().filter_map(|query| self.queries.get(query)) {
            query.tell(message());
        }
    }

    fn promote(&mut self, lane: LaneId, into: LaneId) {
        let Some(merged) = self.lanes.remove(&lane) else { return };
        let Some(main) = self.lanes.get_mut(&into) else { return };
        for query in merged.queries {
            main.joined.values_mut().for_each(|joined| joined.retain(|reader| *reader != query));
            if !main.queries.contains(&query) {
                main.queries.push(query);
            }
        }
    }

    /// Hands a shard of a catching-up lane to the main one, if both have read up to the same record of it.
    fn try_hand_over(&mut self, lane: LaneId, shard: &ShardId) {
        for (from, into) in self.merging_pairs(lane) {
            let (Some(behind), Some(main)) = (self.lanes.get(&from), self.lanes.get(&into)) else { continue };
            if behind.handed_over.contains(shard) || behind.offsets.get(shard) != main.offsets.get(shard) {
                continue;
            }
            // A shard that the main lane has not opened, such as the drained parent of one that it began with, it will not
            // close either: the other reads that to its end by itself.
            if !main.opened.contains(shard) {
                continue;
            }
            if main.closed.contains(shard) {
                // The main lane has said so to its own readers, and does not say it again.
                let kind = ProgressKind::Closed;
                let closed = Progress { source: Arc::clone(&behind.source), shard: shard.clone(), kind };
                self.tell_readers(from, Some(shard), || ToCloser::Progress(closed.clone()));
            }
            let queries = behind.queries.clone();
            let waiting = behind.waiting.get(shard).cloned().unwrap_or_default();
            if let Some(main) = self.lanes.get_mut(&into) {
                main.joined.entry(shard.clone()).or_default().extend(queries);
                main.waiting.entry(shard.clone()).or_default().extend(waiting);
            }
            if let Some(behind) = self.lanes.get_mut(&from) {
                behind.handed_over.insert(shard.clone());
                behind.drift.closed(shard);
                behind.waiting.remove(shard);
                behind.merge.iter().for_each(|merge| merge.shard_done());
            }
        }
    }

    /// The merges a lane is part of, as (lane that catches up, main lane).
    fn merging_pairs(&self, lane: LaneId) -> Vec<(LaneId, LaneId)> {
        let pair = |(id, open): (&LaneId, &Lane)| open.merge.as_ref().map(|merge| (*id, merge.into));
        self.lanes.iter().filter_map(pair).filter(|(from, into)| *from == lane || *into == lane).collect()
    }

    /// Takes a chunk, cut where another lane of the source stands, so that they can meet there.
    fn take_chunk(&mut self, lane_id: LaneId, ahead: Arc<Ahead>) {
        let chunk = &ahead.chunk;
        let part = |chunk| Arc::new(Ahead::new(lane_id, chunk));
        for (from, into) in self.merging_pairs(lane_id) {
            let other = if from == lane_id { into } else { from };
            let Some(other) = self.lanes.get(&other).filter(|other| !other.handed_over.contains(&chunk.shard)) else {
                continue;
            };
            if let Some((head, tail)) = other.offsets.get(&chunk.shard).and_then(|at| cut_after(chunk, at)) {
                self.take_chunk(lane_id, part(head));
                return self.take_chunk(lane_id, part(tail));
            }
        }
        let Some(lane) = self.lanes.get_mut(&lane_id) else { return };
        if lane.failed || lane.handed_over.contains(&chunk.shard) {
            return;
        }
        // A query that begins inside it begins with a chunk of its own.
        let waiting = lane.waiting.get(&chunk.shard).into_iter().flatten();
        if let Some((head, tail)) = waiting.map(|(at, _)| at).min().and_then(|at| cut_after(chunk, at)) {
            self.take_chunk(lane_id, part(head));
            return self.take_chunk(lane_id, part(tail));
        }
        let rows = match lane.offsets.advance(&chunk.shard, chunk.from.as_ref(), &chunk.to) {
            Ok(()) => self.rows_of(lane_id, &ahead),
            Err(error) => Err(error.to_string()),
        };
        match rows {
            Ok(rows) => self.process(lane_id, chunk, rows),
            Err(reason) => {
                // A gap, an overlap or a broken decoder: no row after this could be trusted.
                if let Some(lane) = self.lanes.get_mut(&lane_id) {
                    lane.failed = true;
                }
                self.tell_readers(lane_id, Some(&chunk.shard), || ToCloser::Failed(reason.clone()));
            }
        }
        self.try_hand_over(lane_id, &chunk.shard);
    }

    /// The rows of a chunk, whoever decodes it.
    fn rows_of(&mut self, lane_id: LaneId, ahead: &Ahead) -> Decoded {
        if ahead.claim() {
            return self.decode(lane_id, &ahead.chunk);
        }
        let decoded = loop {
            if let Some(decoded) = ahead.take() {
                break decoded;
            }
            // Somebody is at it: rather than wait, do the same for the next one.
            match self.ahead.claim_next(|lane| self.lanes.contains_key(&lane)) {
                Some(next) => next.put(self.decode(next.lane, &next.chunk)),
                None => break ahead.wait(),
            }
        };
        match (&decoded, self.lanes.get(&lane_id)) {
            // A query that reads more has come meanwhile.
            (Ok(rows), Some(lane)) if !rows.have(&lane.wanted) => self.decode(lane_id, &ahead.chunk),
            _ => decoded,
        }
    }

    /// Decodes a chunk of another worker, unless somebody is at it.
    fn decode_ahead(&mut self, chunk: &Ahead) {
        if self.lanes.contains_key(&chunk.lane) && chunk.claim() {
            chunk.put(self.decode(chunk.lane, &chunk.chunk));
        }
    }

    fn decode(&mut self, lane: LaneId, chunk: &Chunk) -> Decoded {
        let Some(lane) = self.lanes.get_mut(&lane) else { return Err("the source is not open".to_owned()) };
        // Somebody may be waiting for it.
        threads::guarded(|| lane.decoder.decode(chunk).map_err(|error: FormatError| error.to_string()))?
    }

    fn open_shard(&mut self, lane_id: LaneId, shard: &ShardId) {
        // Queries whose own lane has done its work see new shards of the main one from their start.
        let joining: Vec<QueryId> = (self.merging_pairs(lane_id).into_iter())
            .filter(|(_, into)| *into == lane_id)
            .filter_map(|(from, _)| self.lanes.get(&from))
            .filter(|behind| behind.merge.as_ref().is_some_and(|merge| merge.is_complete()))
            // Readers that start together may open a shard when the other has handed it over already.
            .filter(|behind| !behind.handed_over.contains(shard))
            .flat_map(|behind| behind.queries.clone())
            .collect();
        let Some(lane) = self.lanes.get_mut(&lane_id) else { return };
        lane.opened.insert(shard.clone());
        if !joining.is_empty() {
            lane.joined.entry(shard.clone()).or_default().extend(joining);
        }
    }

    fn close_shard(&mut self, lane_id: LaneId, shard: &ShardId) {
        let Some(lane) = self.lanes.get_mut(&lane_id) else { return };
        lane.closed.insert(shard.clone());
        if let Some(merge) = &lane.merge
            && lane.handed_over.insert(shard.clone())
        {
            merge.shard_done();
        }
    }

    fn source_of(&self, lane: LaneId) -> Arc<str> {
        self.lanes.get(&lane).map_or_else(|| "".into(), |lane| Arc::clone(&lane.source))
    }

    fn take(&mut self, lane_id: LaneId, event: SourceEvent) {
        let source = self.source_of(lane_id);
        let tell = |worker: &Self, shard: &ShardId, kind: ProgressKind| {
            let progress = Progress { source: Arc::clone(&source), shard: shard.clone(), kind };
            worker.tell_readers(lane_id, Some(shard), || ToCloser::Progress(progress.clone()));
        };
        match event {
            SourceEvent::Chunk(chunk) => self.take_chunk(lane_id, Arc::new(Ahead::new(lane_id, *chunk))),
            SourceEvent::ShardOpened { shard, parents } => {
                self.open_shard(lane_id, &shard);
                tell(self, &shard, ProgressKind::Opened { parents });
            }
            SourceEvent::Tip { shard, as_of } => {
                // A shard without records can be handed over when both lanes know that.
                self.try_hand_over(lane_id, &shard);
                tell(self, &shard, ProgressKind::Tip { as_of });
            }
            SourceEvent::Watermark { shard, time } => {
                if let Some(lane) = self.lanes.get_mut(&lane_id) {
                    let watermark = lane.watermarks.entry(shard.clone()).or_insert(EventTime::MIN);
                    *watermark = (*watermark).max(time);
                    lane.drift.moved(&shard, *watermark);
                }
                tell(self, &shard, ProgressKind::Told { watermark: time });
            }
            SourceEvent::Behind { shard, lag_ms } => tell(self, &shard, ProgressKind::Behind { lag_ms }),
            SourceEvent::ShardClosed { shard } => {
                tell(self, &shard, ProgressKind::Closed);
                self.close_shard(lane_id, &shard);
            }
        }
    }

    fn process(&mut self, lane_id: LaneId, chunk: &Chunk, rows: SourceRows) {
        let Some(lane) = self.lanes.get_mut(&lane_id) else { return };
        let watermark = lane.watermarks.entry(chunk.shard.clone()).or_insert(EventTime::MIN);
        let mut source = match lane.decoder.spec().in_time(rows, &chunk.shard, *watermark) {
            Ok(source) => source,
            Err(error) => {
                lane.failed = true;
                return self.tell_readers(lane_id, Some(&chunk.shard), || ToCloser::Failed(error.to_string()));
            }
        };
        lane.stats.records.add(chunk.len() as u64);
        lane.stats.bytes.add(chunk.payload_bytes() as u64);
        lane.stats.rejected.add(source.faults.len() as u64);
        let rejected = source.faults.len() as u64;
        self.faults.report(std::mem::take(&mut source.faults));
        lane.stats.future.add(source.future.len() as u64);
        self.faults.report(std::mem::take(&mut source.future));
        let table = &lane.decoder.spec().table;
        let delay = table.time.map_or(Duration(0), |time| time.delay);
        *watermark = source.latest.map_or(*watermark, |latest| (*watermark).max(latest - delay));
        lane.drift.moved(&chunk.shard, *watermark);
        let arrival = chunk.last_arrival().unwrap_or(EventTime::MIN);
        let moved = ProgressKind::Moved {
            watermark: *watermark,
            offset: chunk.to.clone(),
            arrival,
            rows: source.rows.num_rows(),
        };
        for id in lane.readers(&chunk.shard).collect::<Vec<_>>() {
            let Some(query) = self.queries.get_mut(&id) else { continue };
            // Each aggregate of a query counts its own rows, so that they add up.
            let parts = query.attachment.parts.iter().filter(|part| *part.source == *lane.source).count() as u64;
            query.attachment.stats.rows_in.add(chunk.len() as u64 * parts);
            query.attachment.stats.rejected.add(rejected * parts);
            query.attachment.stats.filtered.add(source.dropped * parts);
            let fed = threads::guarded(|| query.feed(&lane.source, &chunk.shard, arrival, &source));
            if let Err(reason) = fed {
                query.tell(ToCloser::Failed(reason));
                self.queries.remove(&id);
                continue;
            }
            let progress =
                Progress { source: Arc::clone(&lane.source), shard: chunk.shard.clone(), kind: moved.clone() };
            // First the time, then what happened then: a time-to-live counts from it.
            query.tell(ToCloser::Progress(progress));
            query.hand_over_updates();
        }
        if let Some(lane) = self.lanes.get_mut(&lane_id) {
            lane.release(&chunk.shard);
        }
    }
}

impl Lane {
    /// The queries that read a shard here.
    fn readers(&self, shard: &ShardId) -> impl Iterator<Item = QueryId> {
        let own = if self.handed_over.contains(shard) { &[] } else { self.queries.as_slice() };
        let waiting = self.waiting.get(shard).map_or(&[][..], Vec::as_slice);
        let waits = |query: &QueryId| waiting.iter().any(|(_, waiting)| waiting == query);
        own.iter().chain(self.joined.get(shard).into_iter().flatten()).copied().filter(move |query| !waits(query))
    }

    /// Queries that waited for the place where the lane stands now read on with it.
    fn release(&mut self, shard: &ShardId) {
        let Some(waiting) = self.waiting.get_mut(shard) else { return };
        let at = self.offsets.get(shard);
        waiting.retain(|(offset, _)| at < Some(offset));
        if waiting.is_empty() {
            self.waiting.remove(shard);
        }
    }
}
