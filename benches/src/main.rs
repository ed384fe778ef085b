//! `bench`: runs what its options ask for and says where the report lies.

use benches::options::{Group, Options};
use clap::Parser as _;
use integration::namespace::Home;
use integration::server;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    // Before there is a second thread: each keeps the network in which it began. What is missed there is no reason to do without the
    // other groups, whose servers are reached over that network's own loopback.
    let home = options.wants(Group::Wan).then(|| {
        // May fetch a server, for which it takes the network out there. If it cannot, the run says so.
        let _ = server::installation();
        Home::enter_or_restart()
    });
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
            result = benches::run::run(&options, home) => match result {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("\nbench: {error}");
                    ExitCode::FAILURE
                }
            },
        }
    })
}
