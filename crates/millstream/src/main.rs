//! The program: reads its arguments, runs the command they name, and says in words what went wrong.

use std::process::ExitCode;

use clap::Parser;
use millstream::cli::{Cli, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millstream: {error:#}");
            ExitCode::FAILURE
        }
    }
}
