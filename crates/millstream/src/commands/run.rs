//! `millstream run`: a script over bounded input, to its end.

use std::io::stdout;
use std::sync::Arc;

use millstream_connectors::{Replay, ReplayPlan};
use serde::Serialize;

use super::serve::block_on;
use crate::bounded_run::{BoundedRun, Counts};
use crate::cli::{OverFlags, RunFlags};
use crate::clock::Stopwatch;
use crate::printer::Printer;
use crate::{config, logging, scripts, usage};

/// What `--stats` prints.
#[derive(Serialize)]
struct Stats {
    rows_in: u64,
    bytes_in: u64,
    rows_out: u64,
    late: u64,
    rejected: u64,
    seconds: f64,
    cpu_seconds: f64,
    rss_max_bytes: u64,
}

/// Runs the script and prints its results.
pub(crate) fn run(flags: &RunFlags) -> anyhow::Result<()> {
    logging::start_quiet();
    block_on(run_script(flags))
}

async fn run_script(flags: &RunFlags) -> anyhow::Result<()> {
    let script = scripts::read(&flags.file)?;
    run_text(&flags.file.display().to_string(), &script, &flags.over, flags.batch).await
}

/// Runs a script of this name, and prints its results.
pub(super) async fn run_text(name: &str, script: &str, flags: &OverFlags, is_batch: bool) -> anyhow::Result<()> {
    let stopwatch = Stopwatch::start();
    let replay = match &flags.replay {
        Some(file) => Some(Arc::new(Replay::open(file, ReplayPlan::default())?)),
        None => None,
    };
    let run = BoundedRun { name, script, replay };
    let mut printer = Printer::new(stdout(), flags.format);
    let counts = if is_batch {
        run.batch(&mut printer).await?
    } else {
        run.stream(config::workers(flags.workers)?, &mut printer).await?
    };
    let rows_out = printer.rows() + counts.unprinted;
    printer.finish()?;
    if counts.rejected + counts.late > 0 && !flags.stats {
        let Counts { rejected, late, .. } = counts;
        eprintln!(
            "{rejected} records could not be used, {late} rows were late: end the script with SELECT * FROM error_stream"
        );
    }
    if flags.stats {
        let stats = Stats {
            rows_in: counts.records,
            bytes_in: counts.bytes,
            rows_out,
            late: counts.late,
            rejected: counts.rejected,
            seconds: stopwatch.seconds(),
            cpu_seconds: usage::cpu_seconds(),
            rss_max_bytes: usage::rss_max_bytes(),
        };
        eprintln!("{}", serde_json::to_string(&stats)?);
    }
    Ok(())
}
