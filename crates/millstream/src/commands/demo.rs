//! `millstream demo`: the service with the example queries, and data that a generator puts into the embedded streams.

use std::sync::Arc;

use anyhow::Context;

use super::serve::{block_on, serve};
use crate::cli::DemoFlags;
use crate::scripts::Scripts;
use crate::service::Service;
use crate::{config, demo_data, examples, logging};

/// Runs the demo until it is told to stop.
pub(crate) fn run(flags: &DemoFlags) -> anyhow::Result<()> {
    logging::start();
    let mut config = config::load(&flags.serve)?;
    let temporary = tempfile::Builder::new().prefix("millstream-demo-").tempdir();
    let temporary = temporary.context("a temporary folder cannot be made: give one with --data")?;
    if flags.serve.data.is_none() {
        temporary.path().clone_into(&mut config.data);
    }
    let mut scripts = Scripts::default();
    match &config.queries {
        Some(folder) => scripts.add_folder(folder)?,
        None => examples::add_to(&mut scripts),
    }
    let rate = flags.rate;
    let then = move |service: &Arc<Service>| {
        demo_data::start(service, rate);
        Ok(())
    };
    block_on(serve(config, scripts, then))
}
