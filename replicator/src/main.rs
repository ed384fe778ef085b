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
mod code;
mod commands;
mod config;
mod conflicts;
mod http;
mod metrics;
#[cfg(feature = "canary")]
mod mistake;
mod region;
mod status;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    bound_client_buffers();
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

/// Keeps the MySQL client's buffers from growing into a reserve that nothing bounds well.
///
/// `mysql_async` hands out up to 128 buffers in turn and keeps each at the size it once had, up to 4 MiB (its `buffer_pool.rs`), so that in
/// time the statements of one connection make all of them large. The environment is the only way to tell it otherwise.
#[expect(unsafe_code, reason = "no safe call sets a variable of the own environment")]
fn bound_client_buffers() {
    const KEPT_AT_MOST: &str = "MYSQL_ASYNC_BUFFER_SIZE_CAP";
    if std::env::var_os(KEPT_AT_MOST).is_none() {
        // SAFETY: this is the first thing that the process does; there is no other thread that could read the environment.
        unsafe { std::env::set_var(KEPT_AT_MOST, "65536") };
    }
}
