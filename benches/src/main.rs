//! `bench`: runs what its options ask for and says where the report lies.

use benches::options::Options;
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bench: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // One blocking wait on the main thread, since servers live exactly as long as the thread that started them.
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {
                eprintln!("\nbench: stopped by hand; servers and processes are stopped too");
                ExitCode::from(130)
            }
            result = benches::run::run(&options) => match result {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("\nbench: {error}");
                    ExitCode::FAILURE
                }
            },
        }
    })
}
