//! `rivals`: libraries that the benches measure ours beside, and that the product's workspace does not take in.
//!
//! **What it is.** One measurement per call, told as one line of JSON on standard output: what was done, and the seconds that it took.
//! `bench` runs it in turn with ours and compares (`benches/src/rivals.rs`).
//!
//! **What it is not.** No judge: it knows nothing of ours, of rounds or of targets.
//!
//! **Invariants.**
//! - The clock runs around the library's own work alone: not around starting, opening, making data or closing.
//! - A library runs as its documentation shows it; where a setting differs from its default, it is for the library's good.

mod append;
mod walk;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Libraries that the benches measure Concord's own code beside: one line of JSON a call.
#[derive(Debug, Parser)]
#[command(name = "rivals", max_term_width = 100)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Walk over a binlog file and count its row changes: {"rows": N, "seconds": S}
    Walk {
        /// A file of row events that begins with the magic bytes and a Format_description event
        file: PathBuf,
        /// What walks
        #[arg(long, value_enum, default_value_t = walk::Walker::MysqlCdc)]
        by: walk::Walker,
    },
    /// Insert records to sled, in the order of their keys: {"bytes": N, "seconds": S}
    Append {
        /// The database's folder, which must not exist yet
        dir: PathBuf,
        /// How many
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
        records: u64,
        /// Bytes of each, the key of eight bytes not counted
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
        bytes: u32,
        /// Records between two flushes
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        step: u64,
    },
}

fn main() -> ExitCode {
    let answer = match Options::parse().task {
        Task::Walk { file, by } => walk::run(&file, by),
        Task::Append { dir, records, bytes, step } => {
            append::run(&dir, append::Work { records, bytes: bytes as usize, step })
        }
    };
    match answer {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("rivals: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// What both tasks answer: `count` of something, and the seconds that it took.
fn answer(counted: &str, count: u64, seconds: f64) -> String {
    format!("{{\"{counted}\": {count}, \"seconds\": {seconds}}}")
}
