//! One module per command. Each has `execute`, which answers the command and says with which code the process ends.

pub(crate) mod accept_skew;
pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod conflicts;
pub(crate) mod drain;
pub(crate) mod grants;
pub(crate) mod init;
pub(crate) mod log;
pub(crate) mod pause;
pub(crate) mod promote;
pub(crate) mod run;
pub(crate) mod running;
pub(crate) mod seed;
pub(crate) mod skip;
pub(crate) mod status;

use std::future::Future;
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::config::{Config, ConfigError};

/// Why a command failed. Each message names the thing, the reason and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command refuses, or its effect failed.
    #[error("{0}")]
    Refused(String),
}

/// How a command ends.
pub(crate) type Outcome = Result<ExitCode, CommandError>;

/// Answers the command line.
pub(crate) fn execute(cli: &Cli) -> Outcome {
    let (file, named) = cli.config_file();
    let config = || Config::load(&file);
    match &cli.command {
        Command::Init(args) => init::execute(args),
        Command::Certs(args) => certs::execute(args),
        // The statements for every schema are of use before there is a configuration.
        Command::Grants(args) if !named && !file.exists() => grants::execute(args, None),
        Command::Grants(args) => grants::execute(args, Some(&config()?)),
        Command::Log(command) => log::execute(command, &config()?),
        Command::Conflicts(command) => conflicts::execute(command, &config()?),
        Command::Check(args) => block_on(check::execute(args, &config()?)),
        Command::Run(args) => block_on(run::execute(args, config()?)),
        Command::Status(args) => status::execute(args, &config()?),
        Command::Pause(args) => pause::pause(args, &config()?),
        Command::Resume(args) => pause::resume(args, &config()?),
        Command::Skip(args) => skip::skip(args, &config()?),
        Command::AcceptSkew(args) => accept_skew::execute(args, &config()?),
        Command::Drain(args) => drain::execute(args, &config()?),
        Command::Promote(args) => block_on(promote::execute(args, &config()?)),
        Command::Seed(args) => block_on(seed::execute(args, config()?)),
    }
}

/// Runs one command on a runtime of its own.
fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| {
            CommandError::Refused(format!("cannot start threads: {e}; raise the limit on processes"))
        })?
        .block_on(command)
}
