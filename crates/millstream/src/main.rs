//! The program: reads its arguments, runs the command they name, and says in words what went wrong.

use std::process::ExitCode;

use clap::Parser;
use millstream::cli::{Cli, WrongUsage, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("millstream: {error:#}");
            if error.is::<WrongUsage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
