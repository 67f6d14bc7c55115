//! What a transform says of records, as queries see it: where they stand, and that all are accounted for.

use std::sync::Arc;

use millstream_connectors::{Registry, ReplayPlan};
use millstream_core::{
    BoxFuture, Connectors, Decoder, OptionError, Reference, Resume, Roles, Sink, Source, SourceError, SourceEvent,
    SourceOutput, Stopped, TableDecl, Verdict,
};
use millstream_engine::{MemorySettings, Settings};
use serde_json::json;

use crate::harness::{Printed, Run, registry, stream_on};

/// Every third record is dropped, and every fifth of the others is rejected.
fn verdict(record: i64) -> Verdict {
    match record {
        record if record % 3 == 0 => Verdict::Drop,
        record if record % 5 == 0 => Verdict::Reject("not wanted".into()),
        _ => Verdict::Use,
    }
}

/// Connectors whose sources have a transform.
struct WithVerdicts(Arc<Registry>);

impl Connectors for WithVerdicts {
    fn check(&self, table: &TableDecl) -> Result<Roles, OptionError> {
        self.0.check(table)
    }

    fn source(&self, table: &TableDecl) -> Result<Box<dyn Source>, OptionError> {
        Ok(Box::new(Judged(self.0.source(table)?)))
    }

    fn decoder(&self, table: &TableDecl) -> Result<Box<dyn Decoder>, OptionError> {
        self.0.decoder(table)
    }

    fn sink(&self, table: &TableDecl, query: &str) -> Result<Box<dyn Sink>, OptionError> {
        self.0.sink(table, query)
    }

    fn reference(&self, table: &TableDecl) -> Result<Box<dyn Reference>, OptionError> {
        self.0.reference(table)
    }
}

struct Judged(Box<dyn Source>);

impl Source for Judged {
    fn run(self: Box<Self>, resume: Resume, output: &dyn SourceOutput) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async move { self.0.run(resume, &Judging(output)).await })
    }
}

struct Judging<'a>(&'a dyn SourceOutput);

impl SourceOutput for Judging<'_> {
    fn send(&self, mut event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        if let SourceEvent::Chunk(chunk) = &mut event {
            // A record arrives at its number.
            chunk.verdicts = Some(chunk.arrivals.values().iter().copied().map(verdict).collect());
        }
        self.0.send(event)
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        self.0.settle()
    }
}

fn run(records: i64) -> Run {
    let line = |n: i64| {
        // One of them is used, and cannot be decoded.
        let data = if n == 7 { json!({"n": "x", "ts": n}) } else { json!({"n": n, "ts": n}) };
        json!({"stream": "s", "arrival": n, "key": "k", "data": data}).to_string() + "\n"
    };
    let replay: String = (0..records).map(line).collect();
    let printed = Printed::default();
    let (registry, clock) = registry(&replay, ReplayPlan::default(), &printed);
    let memory = MemorySettings { limit: 1 << 30, spill: None };
    let settings = Settings { workers: 1, queue_bytes: 1 << 24, replay_time: true, checkpoints: None, memory };
    let script = "CREATE TABLE s (n BIGINT, ts TIMESTAMP(3), sequence STRING METADATA FROM 'sequence-number' VIRTUAL,
            WATERMARK FOR ts AS ts) WITH ('connector' = 'stream', 'format' = 'json', 'json.timestamp-format' = 'epoch-millis');
        CREATE MATERIALIZED VIEW r AS SELECT n, sequence FROM s WHERE n < 100;";
    stream_on(Arc::new(WithVerdicts(registry)), clock, settings, script, None, &printed).unwrap()
}

#[test]
fn records_that_a_transform_drops_are_filtered_and_those_it_rejects_are_told() {
    let run = run(20);
    let numbers: Vec<i64> = run.results["r"].iter().map(|row| row["n"].as_i64().unwrap()).collect();
    let used = |n: &i64| verdict(*n) == Verdict::Use && *n != 7;
    assert_eq!(numbers, (0..20).filter(used).collect::<Vec<_>>());
    // The envelope of a row is that of its own record.
    let sequence = |n: usize| run.results["r"][n]["sequence"].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(sequence(1) - sequence(0), numbers[1] - numbers[0]);
    let stats = &run.stats["r"];
    let counts = [&stats.rows_in, &stats.filtered, &stats.rejected, &stats.used, &stats.late]
        .map(millstream_engine::Counter::get);
    assert_eq!(counts, [20, 7, 3, 10, 0]);
    let told: Vec<_> = run.errors.iter().map(|error| error["error_name"].as_str().unwrap()).collect();
    assert_eq!(told.iter().filter(|name| **name == "transform").count(), 2);
    let refused = run.errors.iter().find(|error| error["error_name"] == "transform").unwrap();
    assert_eq!((&refused["message"], &refused["source"]), (&"not wanted".into(), &"s".into()));
    assert!(refused["raw"].is_string() && refused["sequence_number"].is_string(), "{refused}");
}
