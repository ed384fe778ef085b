//! `make demo`: real servers, all of them written to, become and stay equal through Concord.
//!
//! It starts a MySQL server and a `concord run` per region, lets clients write in all regions at once, waits for quiet,
//! and then judges by its own means: checksums and rows of every table, and the ledgers of the clients. It exits 0
//! only if everything is equal and nothing was lost, doubled or carried round twice.

mod keep;
mod report;
mod run;

use clap::Parser;
use integration::{Error, Result};
use std::path::PathBuf;
use std::process::ExitCode;

/// Two or more real MySQL servers, written to all at once, become and stay equal.
#[derive(Debug, Clone, Parser)]
#[command(name = "demo")]
struct Options {
    /// How many regions, 2 to 6.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(2..=6))]
    regions: u64,
    /// How long clients write, in seconds.
    #[arg(long, default_value_t = 20)]
    duration: u64,
    /// How often a `concord` is killed with `kill -9` while clients write.
    #[arg(long, default_value_t = 0)]
    kills: u64,
    /// Clients in each region.
    #[arg(long, default_value_t = 2)]
    writers: u64,
    /// Transactions a second and client at most; 0 is as fast as the servers answer.
    #[arg(long, default_value_t = 60)]
    rate: u64,
    /// Of a hundred transactions, how many also change a row that all clients change.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
    shared: u64,
    /// Where all randomness begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave everything running at the end: 1 or 0.
    #[arg(long, default_value_t = 0)]
    keep: u8,
    /// Where everything lies; by default `demo` beside the build's output.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // One blocking wait on the main thread, since the children are to live exactly as long as the thread that started them.
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {
                eprintln!("\ndemo: stopped by hand; servers and processes are stopped too");
                ExitCode::from(130)
            }
            result = run::demo(&options) => match result {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => {
                    eprintln!("\ndemo: {error}");
                    ExitCode::FAILURE
                }
            },
        }
    })
}

/// The folder of this run, empty.
fn fresh_dir(options: &Options) -> Result<PathBuf> {
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => {
            let here = std::env::current_exe().map_err(Error::io("find the running program"))?;
            here.ancestors().nth(2).map(|target| target.join("demo")).unwrap_or_else(|| PathBuf::from("demo"))
        }
    };
    keep::stop_earlier(&dir)?;
    if dir.exists() {
        // Only a folder that an earlier run has made is taken away.
        if !dir.join(keep::MARK).exists() {
            let dir = dir.display();
            return Err(Error::Unexpected(format!(
                "{dir} exists and is no folder of this demo; give another with --dir"
            )));
        }
        std::fs::remove_dir_all(&dir).map_err(Error::io(format!("remove {}", dir.display())))?;
    }
    std::fs::create_dir_all(&dir).map_err(Error::io(format!("create {}", dir.display())))?;
    let mark = dir.join(keep::MARK);
    std::fs::write(&mark, "").map_err(Error::io(format!("write {}", mark.display())))?;
    dir.canonicalize().map_err(Error::io(format!("find {}", dir.display())))
}
