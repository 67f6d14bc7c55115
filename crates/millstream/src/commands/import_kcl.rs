//! `millstream kinesis import-kcl`: goes on where an application of the Kinesis Client Library stands.

use std::io::{Write, stdout};
use std::sync::Arc;

use millstream_connectors::{ImportKcl, Imported, import_kcl};
use millstream_core::Duration;

use super::aws;
use super::serve::block_on;
use crate::cli::ImportKclFlags;
use crate::clock::SystemClock;
use crate::logging;

/// Takes the leases over, and says what will be read from where.
pub(crate) fn run(flags: &ImportKclFlags) -> anyhow::Result<()> {
    logging::start_quiet();
    let aws = aws::settings(flags.endpoint.as_deref(), flags.region.as_deref());
    let request = ImportKcl {
        table: flags.table.clone(),
        stream: flags.stream.clone(),
        into: flags.into.clone(),
        failover: Duration(flags.failover_ms),
        force: flags.force,
        dynamodb: flags.dynamodb_endpoint.clone(),
    };
    block_on(async {
        let imported = Box::pin(import_kcl(&request, &aws, Arc::new(SystemClock))).await?;
        stdout().write_all(text_of(&imported).as_bytes())?;
        Ok(())
    })
}

fn text_of(imported: &Imported) -> String {
    let lines = imported.shards.iter().map(|shard| format!("{}: {}\n", shard.shard, shard.position));
    let remarks = imported.remarks.iter().map(|remark| format!("look: {remark}\n"));
    let table = format!("declare the stream with 'source.lease.table' = '{}'\n", imported.table);
    lines.chain(remarks).chain([table]).collect()
}
