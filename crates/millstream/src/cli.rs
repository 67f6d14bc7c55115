//! The commands and their flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::commands::streams::StreamsFlags;

/// A stream analytics engine: continuous SQL over streams.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service: streams, continuous queries, the HTTP API and the page.
    Serve(ServeFlags),
    /// Runs the service with the example queries and generated data, in a temporary folder unless --data is given.
    Demo(DemoFlags),
    /// Runs a script over bounded input to its end, prints the results, and exits.
    Run(RunFlags),
    /// Parses and plans scripts only: pipelines, warnings, errors.
    Check(CheckFlags),
    /// Runs or converts an application of Kinesis Data Analytics for SQL, as AWS describes it.
    #[command(subcommand)]
    Kda(KdaCommand),
    /// What has to do with other consumers of Kinesis.
    #[command(subcommand)]
    Kinesis(KinesisCommand),
    /// Runs SQL tests: every folder with query.sql, input.ndjson and expected.ndjson. Exits with 1 if one fails.
    Test(TestFlags),
    /// Looks after streams of AWS, of an emulator or of a running service: list, create, put, tail, reshard, measure.
    Streams(StreamsFlags),
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum KinesisCommand {
    /// Takes over where an application of the Kinesis Client Library stands, by its lease table.
    ImportKcl(ImportKclFlags),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ImportKclFlags {
    /// The application's lease table in DynamoDB; by default it has the application's name.
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: String,
    /// The stream that it reads.
    #[arg(long, value_name = "STREAM")]
    pub(crate) stream: String,
    /// Copies the leases into this table, which is made, and leaves the application's as it is.
    #[arg(long, value_name = "TABLE")]
    pub(crate) into: Option<String>,
    /// Where Kinesis and DynamoDB are spoken: an emulator's address [default: AWS].
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    pub(crate) endpoint: Option<String>,
    /// Where DynamoDB is spoken, if not there.
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_DYNAMODB")]
    pub(crate) dynamodb_endpoint: Option<String>,
    /// The region [default: `AWS_REGION`, `AWS_DEFAULT_REGION`, us-east-1].
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    pub(crate) region: Option<String>,
    /// The application's failoverTimeMillis: if a lease is renewed within it, a worker lives.
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(1..=600_000))]
    pub(crate) failover_ms: i64,
    /// Takes over although workers of the application live; they lose their leases.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Flags of `serve`; what is not given comes from the environment, then from the configuration file.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeFlags {
    /// The configuration file; `millstream.toml` in the working folder is read without being named.
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// A folder of .sql files that are loaded at the start, in path order.
    #[arg(long, value_name = "DIR")]
    pub(crate) queries: Option<PathBuf>,
    /// Where streams and definitions are kept [default: millstream-data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The address of the HTTP API and the page [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Worker threads [default: one for each core].
    #[arg(long, value_name = "COUNT")]
    pub(crate) workers: Option<usize>,
    /// Listens beyond this machine although no [auth] is configured.
    #[arg(long)]
    pub(crate) insecure: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DemoFlags {
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
    /// Generated records a second, for each stream.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RunFlags {
    /// The script.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) over: OverFlags,
    /// Runs the same plan as one batch query.
    #[arg(long)]
    pub(crate) batch: bool,
}

/// What a script is run over, and how its results are shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct OverFlags {
    /// Records, one JSON object a line, that stand in for every stream.
    #[arg(long, value_name = "RECORDS")]
    pub(crate) replay: Option<PathBuf>,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = ResultFormat::Ndjson)]
    pub(crate) format: ResultFormat,
    /// Prints one JSON line of counts and times to standard error at the end.
    #[arg(long)]
    pub(crate) stats: bool,
    /// Worker threads [default: one for each core].
    #[arg(long, value_name = "COUNT")]
    pub(crate) workers: Option<usize>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum KdaCommand {
    /// Runs the application over a replay, and prints the rows of the streams that its outputs name.
    ///
    /// The replay's records are those of the streams that the inputs' ARNs name. The object of a reference table is
    /// read from a file of its key's name beside APP.json. Functions are not called.
    Run(KdaRunFlags),
    /// Prints the application as a script, with its SQL unchanged; warnings go to standard error.
    Convert(KdaConvertFlags),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct KdaRunFlags {
    /// A `CreateApplication` request, a `DescribeApplication` reply, or a template or resource of AWS `CloudFormation`, in
    /// JSON.
    #[arg(value_name = "APP.json")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) over: OverFlags,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct KdaConvertFlags {
    /// As for `run`.
    #[arg(value_name = "APP.json")]
    pub(crate) file: PathBuf,
    /// Reads and writes embedded streams of the same names instead of AWS.
    #[arg(long)]
    pub(crate) embedded: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CheckFlags {
    /// The scripts; each is planned by itself.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub(crate) format: TextOrJson,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TestFlags {
    /// The folder that is searched for tests.
    #[arg(value_name = "DIR", default_value = "queries")]
    pub(crate) folder: PathBuf,
    /// Makes what the queries give the expected rows, and says which files have changed.
    #[arg(long)]
    pub(crate) update: bool,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub(crate) format: TextOrJson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultFormat {
    Ndjson,
    Table,
    Csv,
    Arrow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextOrJson {
    Text,
    Json,
}

/// What was asked for makes no sense: the process ends with 2, as for unknown flags.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub(crate) String);

/// Runs a command to its end; answers the status to exit with.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match run_command(cli.command) {
        // Whoever reads has seen enough, as in `millstream run … | head`.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        ran => ran,
    }
}

fn run_command(command: Command) -> anyhow::Result<ExitCode> {
    let ran = match command {
        Command::Test(flags) => return commands::test::run(&flags),
        Command::Serve(flags) => commands::serve::run(&flags),
        Command::Demo(flags) => commands::demo::run(&flags),
        Command::Run(flags) => commands::run::run(&flags),
        Command::Check(flags) => commands::check::run(&flags),
        Command::Kda(command) => commands::kda::run(&command),
        Command::Kinesis(KinesisCommand::ImportKcl(flags)) => commands::import_kcl::run(&flags),
        Command::Streams(flags) => commands::streams::run(&flags),
    };
    ran.map(|()| ExitCode::SUCCESS)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}
