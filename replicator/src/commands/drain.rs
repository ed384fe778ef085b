//! `concord drain`: waits until every history is causally stable in every region, so that `[mesh]` may change.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use transaction::RegionName;

use super::running::Running;
use super::{CommandError, Outcome};
use crate::cli::DrainArgs;
use crate::config::Config;
use crate::status::{Status, reasons};

/// How often the region is asked.
const PERIOD: Duration = Duration::from_millis(200);

/// How many beats of each peer must come while all is stable: the first may have been on its way already, or have been
/// sent before that peer had read its binlog to the end.
const BEATS: u32 = 2;

/// Asks again and again; exit code 1 when the time is up, with the regions that are not stable.
pub(crate) fn execute(args: &DrainArgs, config: &Config) -> Outcome {
    let running = Running::of(config)?;
    let until = Instant::now() + args.timeout.0;
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed}  {wide_msg}") {
        spinner.set_style(style);
    }
    let mut watch = Watch::default();
    loop {
        let status = running.status()?;
        let waits = watch.look(&status);
        spinner.set_message(waits.join("; "));
        spinner.tick();
        if waits.is_empty() {
            spinner.finish_and_clear();
            println!("stable everywhere: no conflict can come of what was written so far");
            return Ok(ExitCode::SUCCESS);
        }
        if Instant::now() >= until {
            spinner.finish_and_clear();
            let mut message = format!("not stable everywhere after {}: {}", args.timeout, waits.join("; "));
            for reason in reasons(&status) {
                message += &format!("\n  {reason}");
            }
            message += "\nStop the writers in all regions and see that every region runs, then drain again";
            return Err(CommandError::Refused(message));
        }
        std::thread::sleep(PERIOD);
    }
}

/// What was seen since all was stable.
#[derive(Default)]
struct Watch {
    /// Per peer, when its last beat was heard, and how many came.
    beats: BTreeMap<RegionName, (u64, u32)>,
}

impl Watch {
    /// What is still waited for; empty when all is stable.
    fn look(&mut self, status: &Status) -> Vec<String> {
        let mut waits = unstable(status);
        if !waits.is_empty() || !status.stable_everywhere {
            self.beats.clear();
            if waits.is_empty() {
                waits.push(format!("{} has not settled", status.region));
            }
            return waits;
        }
        for peer in &status.peers {
            let (heard_us, count) = self.beats.entry(peer.region).or_insert((peer.heard_us, 0));
            if *heard_us != peer.heard_us {
                (*heard_us, *count) = (peer.heard_us, *count + 1);
            }
            if *count < BEATS {
                waits.push(format!("{} is to say again that it is stable", peer.region));
            }
        }
        waits
    }
}

/// Which regions are not stable, and what is left there.
fn unstable(status: &Status) -> Vec<String> {
    let mut waits = Vec::new();
    if !status.stable {
        let mut left = Vec::new();
        if status.history.keys > 0 {
            left.push(format!("unstable histories of {} row(s)", status.history.keys));
        }
        for origin in status.origins.iter().filter(|origin| !origin.own) {
            match Status::behind(origin) {
                0 => {}
                behind => left.push(format!("{behind} transaction(s) of {} to apply", origin.origin)),
            }
            let missing = origin.offered_record.0.saturating_sub(origin.durable_record.0);
            if missing > 0 {
                left.push(format!("{missing} record(s) of {} to receive", origin.origin));
            }
        }
        let left = if left.is_empty() { "last records to pass".to_owned() } else { left.join(", ") };
        waits.push(format!("{} has {left}", status.region));
    }
    for peer in status.peers.iter().filter(|peer| !peer.stable) {
        waits.push(match (peer.heard_us, peer.unstable) {
            (0, _) => format!("{} was not heard yet", peer.region),
            (_, 0) => format!("{} has not settled", peer.region),
            (_, unstable) => format!("{} has {unstable} unstable transaction(s)", peer.region),
        });
    }
    waits
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::status::sample;

    #[test]
    fn it_ends_only_after_fresh_beats_of_every_peer_while_all_is_stable() {
        let (mut watch, mut status) = (Watch::default(), sample::status());
        let again = ["us is to say again that it is stable"];
        assert_eq!(watch.look(&status), again);
        assert_eq!(watch.look(&status), again, "the same beat seen twice is one beat");
        status.peers[0].heard_us += 1;
        assert_eq!(watch.look(&status), again);
        status.peers[0].heard_us += 1;
        assert!(watch.look(&status).is_empty());
    }

    #[test]
    fn whoever_becomes_unstable_meanwhile_makes_it_start_over() {
        let (mut watch, mut status) = (Watch::default(), sample::status());
        watch.look(&status);
        status.peers[0].heard_us += 1;
        watch.look(&status);
        (status.stable_everywhere, status.peers[0].stable, status.peers[0].unstable) = (false, false, 7);
        assert_eq!(watch.look(&status), ["us has 7 unstable transaction(s)"]);
        (status.stable_everywhere, status.peers[0].stable) = (true, true);
        status.peers[0].heard_us += 1;
        assert_eq!(watch.look(&status).len(), 1);
    }

    #[test]
    fn it_names_what_is_left_here_and_who_was_never_heard() {
        let mut status = sample::status();
        (status.stable, status.stable_everywhere) = (false, false);
        let origin = sample::origin(&mut status, "us");
        (origin.origin_sequence.0, origin.offered_record.0) = (12, 15);
        (status.peers[0].stable, status.peers[0].heard_us) = (false, 0);
        assert_eq!(
            unstable(&status),
            [
                "eu has unstable histories of 3 row(s), 3 transaction(s) of us to apply, 5 record(s) of us to receive",
                "us was not heard yet"
            ]
        );
    }
}
