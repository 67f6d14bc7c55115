//! The binary of Millstream as a library: commands, configuration, and the HTTP API over an engine.
//!
//! Everything that is decided once for a process is decided here: the clock, the random seeds, the folders, who may
//! do what. Queries are the engine's, streams the store's; this crate only carries requests to them and answers back.
//!
//! ```text
//! cli ──► commands ──► config, scripts ──► service { engine, store } ──► http
//! ```

mod bounded_run;
mod callers;
pub mod cli;
mod clock;
mod commands;
mod config;
mod data_folder;
mod demo_data;
mod examples;
mod http;
mod logging;
mod offline;
mod printer;
mod rates;
mod report;
mod rows;
mod scripts;
mod secrets;
mod select;
mod service;
mod sql_tests;
mod tasks;
mod usage;
