//! The binary `concord`: stands beside one region's MySQL primary and keeps it equal to its peers.
//!
//! **What it is.** Configuration, command line, wiring, supervision and HTTP. It is the sole owner of clock,
//! environment and signals: the other crates get these as arguments.
//!
//! **What it is not.** It reads no binlog (`extractor`), stores no record (`log-store`), knows no wire format (`link`),
//! decides no conflict (`conflict`) and writes no row (`applier`).
//!
//! **Invariants.**
//! - A bad configuration ends the process before a port is opened or a file is written.
//! - Exit codes: 0 done, 1 refused or failed, 2 wrong usage. The reason goes to stderr, once, with its remedy.
//! - No secret is printed, logged or put into a configuration file.
//!
//! **Where to start.** [`cli`] for what can be asked, [`config`] for what can be set, [`commands`] for the answers.

mod cli;
mod commands;
mod config;
mod conflicts;
mod http;
mod metrics;
mod region;
mod status;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // One crypto library serves every TLS connection of the process; a second call could only repeat the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match commands::execute(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("concord: {error}");
            ExitCode::FAILURE
        }
    }
}
