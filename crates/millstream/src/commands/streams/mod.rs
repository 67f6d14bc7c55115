//! `millstream streams`: looks after the streams of AWS, of an emulator, or of a running service.

mod measure;
mod put;
mod tail;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow::datatypes::{DataType, Field, Schema};
use clap::{Args, Subcommand};
use millstream_connectors::administration::{Capacity, Reshard, StreamSummary, Streams};
use millstream_connectors::{AwsSettings, Context, Registry};
use millstream_core::{Clock, Connectors, Duration, Source, TableDecl};

use super::aws;
use super::serve::block_on;
use crate::clock::SystemClock;
use crate::logging;

/// How long a stream may take to be made or resharded before the command no longer waits.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration(200);

/// Flags of `streams`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StreamsFlags {
    /// Where Kinesis is spoken: an emulator's address, or that of a running service, such as <http://127.0.0.1:8080>
    /// [default: AWS].
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    endpoint: Option<String>,
    /// The region [default: `AWS_REGION`, `AWS_DEFAULT_REGION`, us-east-1].
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    region: Option<String>,
    #[command(subcommand)]
    command: StreamsCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum StreamsCommand {
    /// Lists streams: status, mode, open shards, hours of retention, ARN.
    List,
    /// Makes a stream, and waits until it is there.
    Create {
        stream: String,
        #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
        shards: i32,
        /// AWS chooses the number of shards.
        #[arg(long, conflicts_with = "shards")]
        on_demand: bool,
    },
    /// Puts each line of a file, or of standard input, as a record.
    Put {
        stream: String,
        file: Option<PathBuf>,
        /// The member of each line's JSON object that is the partition key [default: lines are spread].
        #[arg(long, value_name = "FIELD")]
        key: Option<String>,
    },
    /// Prints records as they come, as the lines of a replay file.
    Tail {
        stream: String,
        /// `LATEST`, `TRIM_HORIZON`, or a time such as 2026-01-01T00:00:00Z.
        #[arg(long, value_name = "POSITION", default_value = "LATEST")]
        from: String,
        /// Ends after so many records.
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
    },
    /// Splits or merges shards, and waits until it is done.
    #[command(group = clap::ArgGroup::new("how").required(true))]
    Reshard {
        stream: String,
        /// So many shards of the same width.
        #[arg(long, value_name = "COUNT", group = "how", value_parser = clap::value_parser!(i32).range(1..))]
        shards: Option<i32>,
        /// Splits this shard in its middle.
        #[arg(long, value_name = "SHARD", group = "how")]
        split: Option<String>,
        /// Merges these two shards, which lie side by side.
        #[arg(long, value_names = ["SHARD", "SHARD"], num_args = 2, group = "how")]
        merge: Option<Vec<String>>,
    },
    /// Measures what arrives, and says how many shards that takes.
    Measure {
        stream: String,
        #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=3600))]
        seconds: i64,
        /// What is to be left free, in percent of what is used.
        #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u32).range(..=1000))]
        headroom: u32,
    },
}

/// Does what was asked for.
pub(crate) fn run(flags: &StreamsFlags) -> anyhow::Result<()> {
    logging::start_quiet();
    let aws = aws::settings(flags.endpoint.as_deref(), flags.region.as_deref());
    block_on(execute(flags.command.clone(), aws, Arc::new(SystemClock)))
}

async fn execute(command: StreamsCommand, aws: AwsSettings, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
    match command {
        StreamsCommand::List => print(&Streams::connect(&aws).await?.list().await?),
        StreamsCommand::Create { stream, shards, on_demand } => {
            let streams = Streams::connect(&aws).await?;
            let capacity = if on_demand { Capacity::OnDemand } else { Capacity::Shards(shards) };
            streams.create(&stream, capacity).await?;
            print(&[wait(&streams, &stream, &*clock).await?])
        }
        StreamsCommand::Reshard { stream, shards, split, merge } => {
            let streams = Streams::connect(&aws).await?;
            let how = match (shards, split, merge.as_deref()) {
                (Some(count), _, _) => Reshard::Count(count),
                (_, Some(shard), _) => Reshard::Split { shard, at: None },
                (_, _, Some([first, second])) => Reshard::Merge { first: first.clone(), second: second.clone() },
                _ => bail!("say --shards, --split or --merge"),
            };
            streams.reshard(&stream, &how).await?;
            print(&[wait(&streams, &stream, &*clock).await?])
        }
        StreamsCommand::Put { stream, file, key } => {
            put::run(&aws, &stream, file.as_deref(), key.as_deref(), clock).await
        }
        StreamsCommand::Tail { stream, from, limit } => {
            tail::run(reader(&stream, &from, aws, clock)?, &stream, limit).await
        }
        StreamsCommand::Measure { stream, seconds, headroom } => {
            let source = reader(&stream, "LATEST", aws, Arc::clone(&clock))?;
            measure::run(source, &stream, Duration::from_secs(seconds), headroom, clock).await
        }
    }
}

/// A reader of the raw records of a stream.
fn reader(stream: &str, from: &str, aws: AwsSettings, clock: Arc<dyn Clock>) -> anyhow::Result<Box<dyn Source>> {
    let mut options = vec![("connector", "kinesis"), ("stream", stream), ("format", "raw")];
    let is_time = !["LATEST", "TRIM_HORIZON"].contains(&from.to_uppercase().as_str());
    if is_time {
        options.extend([("source.init.position", "AT_TIMESTAMP"), ("source.init.timestamp", from)]);
    } else {
        options.push(("source.init.position", from));
    }
    let schema = Arc::new(Schema::new(vec![Field::new("data", DataType::Binary, true)]));
    let options = options.into_iter().collect();
    let table = TableDecl { name: stream.to_owned(), schema, primary_key: Vec::new(), options };
    let registry = Registry::new(Context { aws, ..Context::new(clock) });
    registry.check(&table).and_then(|_| registry.source(&table)).with_context(|| format!("stream `{stream}`"))
}

/// Waits until nothing is being made or changed.
async fn wait(streams: &Streams, stream: &str, clock: &dyn Clock) -> anyhow::Result<StreamSummary> {
    let started = clock.now();
    loop {
        let summary = streams.describe(stream).await?;
        if summary.status == "ACTIVE" {
            return Ok(summary);
        }
        if clock.now() - started >= PATIENCE {
            bail!("stream `{stream}` is still {}; it goes on without this command", summary.status);
        }
        clock.sleep(LOOK_EVERY).await;
    }
}

fn print(streams: &[StreamSummary]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let width = streams.iter().map(|stream| stream.name.len()).max().unwrap_or(0).max("stream".len());
    writeln!(out, "{:width$}  {:9} {:11} {:>6} {:>7}  arn", "stream", "status", "mode", "shards", "hours")?;
    for StreamSummary { name, arn, status, mode, open_shards, retention_hours } in streams {
        writeln!(out, "{name:width$}  {status:9} {mode:11} {open_shards:>6} {retention_hours:>7}  {arn}")?;
    }
    Ok(())
}
