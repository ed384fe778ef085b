//! `concord log repair`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use link::Target;
use log_store::{Identity, MendError, MendReport, Store};
use tokio::runtime::Handle;
use transaction::RegionName;

use super::failure::Failure;
use super::verify::{advance, progress_bar};
use crate::cli::LogRepairArgs;
use crate::commands::check::peers::Nobody;
use crate::commands::{CommandError, Outcome, run};
use crate::config::Config;
use crate::region::identity::link_of;
use crate::region::peer_copy::{Blocking, PeerCopy};

/// Takes the damaged records of one log, or of all, from a peer's copies; ends with 1 if damage is left.
pub(crate) async fn execute(args: &LogRepairArgs, config: &Config) -> Outcome {
    let refused = |error: &dyn std::fmt::Display| CommandError::Refused(error.to_string());
    let store_refused = |error: log_store::Error| refused(&Failure::Store(error));
    let Some((from, peer)) = config.peers().find(|(region, _)| *region == args.from) else {
        let peers: Vec<String> = config.peers().map(|(region, _)| region.to_string()).collect();
        return Err(CommandError::Refused(format!(
            "--from names {}, which is no peer of {}; its peers are {}",
            args.from,
            config.region.name,
            peers.join(", ")
        )));
    };
    let dir = &config.region.data_dir;
    if !dir.exists() {
        return Err(refused(&Failure::NoData { dir: dir.clone() }));
    }
    run::keep_files_private(config);
    let link = link_of(config, link::Options::default(), Arc::new(Nobody)).map_err(|e| refused(&e))?;
    let identity = Identity { mesh: config.mesh.name.clone(), region: config.region.name };
    // Locked as long as it is open, so that no `concord run` begins meanwhile.
    let store = Store::open(dir, identity, log_store::Options::default()).map_err(store_refused)?;
    let store = Arc::new(store);
    let origins = match args.origin {
        Some(origin) => vec![origin],
        None => store.origins().map_err(store_refused)?,
    };
    let mut whole = true;
    for origin in origins {
        let target = Target { region: from, address: peer.link.to_string() };
        let source = Blocking(PeerCopy::new(link.clone(), target, origin), Handle::current());
        let held = store.clone();
        let mended = tokio::task::spawn_blocking(move || mend(&held, origin, source)).await;
        let (report, left) = mended.map_err(|e| refused(&e))?.map_err(|e| match e {
            MendError::Store(error) => store_refused(error),
            MendError::Source(error) => {
                CommandError::Refused(format!("the log of {origin} was not mended: {error}"))
            }
        })?;
        whole &= left.is_empty();
        say(origin, from, &report, &left).map_err(|e| refused(&Failure::Output(e)))?;
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Mends a log, then reads it all; what was done, and the damage that is left.
fn mend(
    store: &Store,
    origin: RegionName,
    mut source: Blocking,
) -> Result<(MendReport, Vec<log_store::Damage>), MendError<String>> {
    let bar = progress_bar(origin);
    let mut show = |progress| advance(&bar, progress);
    let report = store.mend(origin, &mut source, &mut show)?;
    let left = store.verify(origin, &mut show)?.damages;
    bar.finish_and_clear();
    Ok((report, left))
}

fn say(
    origin: RegionName,
    from: RegionName,
    report: &MendReport,
    left: &[log_store::Damage],
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if report.segments.is_empty() {
        writeln!(out, "{origin}: whole; nothing was to be mended")?;
    } else {
        let (records, bytes) = (report.records, report.bytes);
        writeln!(
            out,
            "{origin}: mended; {records} records ({bytes} bytes) taken from {from}, written anew:"
        )?;
        for path in &report.segments {
            writeln!(out, "  {}", path.display())?;
        }
    }
    for damage in left {
        writeln!(out, "  LEFT: {damage}")?;
    }
    if !left.is_empty() {
        writeln!(
            out,
            "  {from} does not hold that; try another region with --from, or start concord, which asks all of them"
        )?;
    }
    Ok(())
}
