//! `millstream streams measure`: what arrives within a time, and the arithmetic of shards.

use std::io::Write;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{Either, select};
use millstream_connectors::administration::{Advice, Rates};
use millstream_core::{BoxFuture, Clock, Duration, Resume, Source, SourceEvent, SourceOutput, Stopped};

use crate::clock::Stopwatch;

/// Reads what comes in this time, and prints what follows.
pub(super) async fn run(
    source: Box<dyn Source>,
    stream: &str,
    length: Duration,
    headroom_percent: u32,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<()> {
    let measured = Measured::default();
    let stopwatch = Stopwatch::start();
    match select(source.run(Resume::default(), &measured), pin!(clock.sleep(length))).await {
        Either::Left((ended, _)) => ended?,
        Either::Right(_) => {}
    }
    let seconds = stopwatch.seconds();
    let rates = std::mem::take(&mut *measured.rates.lock().unwrap_or_else(PoisonError::into_inner));
    let advice = rates.advice(seconds, f64::from(headroom_percent) / 100.0);
    print(&mut std::io::stdout().lock(), stream, seconds, headroom_percent, &advice)?;
    Ok(())
}

#[derive(Default)]
struct Measured {
    rates: Mutex<Rates>,
}

impl SourceOutput for Measured {
    fn send(&self, event: SourceEvent) -> BoxFuture<'_, Result<(), Stopped>> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            SourceEvent::ShardOpened { shard, .. } => rates.add_shard(&shard),
            SourceEvent::Chunk(chunk) => rates.add(&chunk),
            _ => {}
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Stopped>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn print(out: &mut impl Write, stream: &str, seconds: f64, headroom: u32, advice: &Advice) -> std::io::Result<()> {
    let percent = |part: f64| part * 100.0;
    writeln!(out, "stream `{stream}`, {seconds:.0} s")?;
    writeln!(out, "{:30} {:>12} {:>12} {:>10}", "shard", "records/s", "kB/s", "of a shard")?;
    let total = ("all".to_owned(), &advice.total);
    let shards = advice.shards.iter().map(|(shard, rate)| (shard.to_string(), rate));
    for (name, rate) in shards.chain([total]) {
        let (records, kilobytes) = (rate.records_per_second, rate.bytes_per_second / 1000.0);
        writeln!(out, "{name:30} {records:>12.1} {kilobytes:>12.1} {:>9.1}%", percent(rate.of_one_shard()))?;
    }
    writeln!(out, "\nshards needed with {headroom} % headroom: {}", advice.shards_needed)?;
    if let Some((key, rate)) = &advice.hottest_key {
        let part = rate.of_one_shard();
        writeln!(out, "hottest partition key: `{key}`, {:.1} % of what a shard takes", percent(part))?;
        if part > 1.0 {
            writeln!(out, "a key is in one shard whatever their number: spread it over several keys")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, StringArray, TimestampMillisecondArray};
    use millstream_core::{Chunk, Offset};

    #[test]
    fn what_is_printed_names_shards_totals_and_the_key_that_is_too_hot() {
        let mut rates = Rates::default();
        rates.add(&Chunk {
            shard: "shardId-000000000000".into(),
            from: None,
            to: Offset::from(1),
            data: BinaryArray::from_iter_values([vec![0; 2_999_997]]),
            arrivals: TimestampMillisecondArray::from(vec![0]),
            keys: Some(StringArray::from_iter_values(["hot"])),
            sequence_numbers: None,
            sub_sequence_numbers: None,
            verdicts: None,
        });
        let mut printed = Vec::new();
        print(&mut printed, "s", 2.0, 25, &rates.advice(2.0, 0.25)).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        for expected in [
            "shardId-000000000000                    0.5       1500.0     150.0%",
            "shards needed with 25 % headroom: 2",
            "hottest partition key: `hot`, 150.0 % of what a shard takes\na key is in one shard",
        ] {
            assert!(printed.contains(expected), "{printed}");
        }
    }
}
