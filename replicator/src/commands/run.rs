//! `concord run`: runs the region until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::watch;

use super::{CommandError, Outcome, check};
use crate::cli::RunArgs;
use crate::config::Config;
use crate::region::{Region, Until};

/// Runs until SIGTERM or SIGINT, or until all that `--until` names is applied.
pub(crate) async fn execute(args: &RunArgs, config: Config) -> Outcome {
    start_logging();
    #[cfg(feature = "canary")]
    crate::mistake::make_as_asked()?;
    keep_files_private(&config);
    let (stop, shutdown) = watch::channel(false);
    let mut signals = Signals::listen()?;
    let name = config.region.name;
    let refused = |e: &dyn std::fmt::Display| CommandError::Refused(e.to_string());

    let until: Until = args.until.iter().copied().collect();
    if let Some(origin) = until.keys().find(|origin| config.peers().all(|(name, _)| name != **origin)) {
        let peers: Vec<_> = config.peers().map(|(name, _)| name.to_string()).collect();
        return Err(CommandError::Refused(format!(
            "--until names {origin}, whose transactions {name} does not apply; it applies: {}",
            peers.join(", ")
        )));
    }
    let mut region = Region::open(config.clone(), shutdown).await.map_err(|e| refused(&e))?;
    let server = region.server();
    let running = async {
        preflight(args.untested_server, &config, check::Purpose::Run).await?;
        region.start(&until).await.map_err(|e| refused(&e))
    };
    // Whether another server has taken the place of the one that the region works on.
    let ended = tokio::select! {
        started = running => match started {
            Ok(()) => {
                tracing::info!("region {name} runs");
                tokio::select! {
                    () = signals.next() => Ok(false),
                    () = server.replaced() => Ok(true),
                    () = region.reached(&until) => {
                        tracing::info!("region {name} has applied all that --until names");
                        Ok(false)
                    }
                }
            }
            Err(error) => Err(error),
        },
        () = signals.next() => Ok(false),
        () = server.replaced() => Ok(true),
    };
    tracing::info!("region {name} stops");
    stop.send_replace(true);
    region.stop().await;
    match ended? {
        true => Err(begin_anew()),
        false => Ok(ExitCode::SUCCESS),
    }
}

/// The same program with the same arguments, in this process: everything that it knew is of another server. Returns only if that
/// fails; whoever watches over the process starts it again then.
fn begin_anew() -> CommandError {
    use std::os::unix::process::CommandExt;
    let failed = |error: std::io::Error| {
        CommandError::Refused(format!(
            "another server answers as this region's MySQL, and this process cannot begin anew by itself: {error}; start it again"
        ))
    };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    match std::env::current_exe() {
        Ok(program) => failed(std::process::Command::new(program).arg0(name).args(arguments).exec()),
        Err(error) => failed(error),
    }
}

/// Refuses what `concord check` refuses of this region; a server that is away is waited for. Peers are met later, each by
/// itself.
pub(super) async fn preflight(
    untested_server: bool,
    config: &Config,
    purpose: check::Purpose,
) -> Result<(), CommandError> {
    let mut told = false;
    loop {
        let report = check::preflight(config, untested_server).await;
        let refusals: Vec<String> = report.refusals(purpose).map(|check| check.to_string()).collect();
        if !refusals.is_empty() {
            let list = refusals.join("\n  ");
            return Err(CommandError::Refused(format!(
                "this region cannot run (see `concord check`):\n  {list}"
            )));
        }
        if report.server.is_some() {
            for check in report.checks.iter().filter(|check| check.verdict == check::Verdict::Warn) {
                tracing::warn!("{}: {} ({})", check.name, check.detail, check.remedy);
            }
            return Ok(());
        }
        if !told {
            tracing::warn!("MySQL at {} is away; waiting for it", config.region.mysql.address());
            told = true;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, CommandError> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).map_err(|e| CommandError::Refused(format!("cannot listen for signals: {e}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Lines to stderr: ERROR means that a person must act, WARN that something waits and heals by itself, INFO what happened.
/// CONCORD_LOG sets the level (such as `debug` or `link=debug`), CONCORD_LOG_FORMAT=json the form.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CONCORD_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if std::env::var("CONCORD_LOG_FORMAT").is_ok_and(|form| form == "json") {
        lines.json().init();
    } else {
        lines.init();
    }
}

/// Logs hold the rows of every region: what this process writes, and the folder that it lies in, are for its own account only.
pub(super) fn keep_files_private(config: &Config) {
    use nix::sys::stat::{Mode, umask};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    umask(Mode::from_bits_truncate(0o077));
    let dir = &config.region.data_dir;
    // Made later if it is not there. That of another account stays as it is: the preflight says so.
    let Ok(found) = std::fs::metadata(dir) else { return };
    if found.mode() & 0o077 != 0 && found.uid() == nix::unistd::geteuid().as_raw() {
        match std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)) {
            Ok(()) => {
                tracing::warn!("{} was open to other accounts; its mode is 0700 now", dir.display());
            }
            Err(error) => tracing::warn!("{} is open to other accounts: chmod: {error}", dir.display()),
        }
    }
}
