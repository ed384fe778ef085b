//! Regions that `[mesh]` declares lost, since they stay away for longer than the others can wait.
//!
//! All that stay have the same `[mesh]`, so none of them takes anything from the lost region any more, and what any of them holds of its
//! log is all of it that will ever count. Once this region has applied that, nothing that it may yet meet comes from there, and it need
//! not wait for what the lost region has seen: histories and logs become short. SEMANTICS.md, "A lost region", has the argument.

use std::sync::Arc;
use std::time::Duration;

use log_store::Log;
use tokio::sync::watch;
use transaction::record::Record;
use transaction::{Epoch, RecordNumber, RegionName};

use super::RegionError;
use super::board::Board;
use crate::code::REGION_GIVEN_UP;
use crate::config::Config;

/// Leaves lost regions out of what is waited for, as soon as each may be, until there is none left or the shutdown comes.
pub(crate) async fn settle(board: Arc<Board>, mut shutdown: watch::Receiver<bool>) {
    while !*shutdown.borrow() {
        let pending: Vec<RegionName> =
            board.lost.lock().iter().filter(|(_, settled)| !**settled).map(|(name, _)| *name).collect();
        if pending.is_empty() {
            return;
        }
        for name in pending.into_iter().filter(|name| has_all(&board, *name)) {
            if let Err(error) = board.shared.index.lock().leave_out(name) {
                // Only a region that is not in [mesh] is unknown to the index.
                tracing::error!("{error}");
                return;
            }
            board.lost.lock().insert(name, true);
            tracing::warn!(
                "region {name} is lost: all that any region holds of its log is applied, and nothing waits for it"
            );
        }
        tokio::select! {
            _ = shutdown.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}

/// Whether all that any live region holds of the lost region's log is applied here. False as long as one of them was not heard.
fn has_all(board: &Board, lost: RegionName) -> bool {
    let heard = board.heard.lock();
    let held = |peer: &RegionName| Some(heard.get(peer).filter(|state| state.heard_us > 0)?.holds(lost));
    let Some(elsewhere) = board.peers.iter().map(held).collect::<Option<Vec<RecordNumber>>>() else {
        return false;
    };
    let all = elsewhere.into_iter().max().unwrap_or_default().max(board.logs.get(lost).log.durable());
    let Some(progress) = board.origins.get(&lost) else { return false };
    let progress = progress.borrow();
    // What is held back of a suspended table is not applied though the marker has passed it.
    progress.has_marker && progress.applied_record >= all && board.suspensions.borrow().is_empty()
}

/// Refuses to go on with an own log that the others have gone on without: before anyone is sent a record of it, and once more when it was
/// taken back from their copies, since then it is the server that they have gone on without.
pub(crate) fn refuse_if_given_up(config: &Config, own: &Arc<Log>) -> Result<(), RegionError> {
    let (name, mesh) = (config.region.name, &config.mesh);
    let remedy = "Seed it anew (RUNBOOK, \"Give a region up\")";
    if mesh.regions[&name].lost {
        return Err(REGION_GIVEN_UP
            .halt(format_args!("[mesh] declares this region, {name}, lost. {remedy}"))
            .into());
    }
    match last_epoch(own)? {
        Some(Epoch(last)) if last.saturating_add(1) < mesh.epoch.0 => Err(REGION_GIVEN_UP.halt(format_args!(
            "the log of this region, {name}, ends in epoch {last}, and [mesh] is in epoch {}: the others may have given it up in \
             between, so that what only it has must not be applied any more. {remedy}",
            mesh.epoch.0
        )).into()),
        _ => Ok(()),
    }
}

/// The epoch of the last record.
fn last_epoch(log: &Arc<Log>) -> Result<Option<Epoch>, RegionError> {
    let last = log.durable();
    if last == RecordNumber(0) || log.first() == RecordNumber(0) {
        return Ok(None);
    }
    let mut reader = log.read_from(last)?;
    let Some(raw) = reader.next_record()? else { return Ok(None) };
    let record = Record::decode(raw.bytes).map_err(|e| RegionError::new(e.to_string()))?;
    Ok(Some(record.lineage.epoch))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use link::Holding;

    use super::*;
    use crate::region::clock::now_us;
    use crate::status::sample;

    #[test]
    fn a_lost_region_is_waited_for_until_all_that_a_live_one_holds_of_it_is_applied() {
        let dir = tempfile::tempdir().unwrap();
        let mut board = Arc::into_inner(sample::board(dir.path())).unwrap();
        let (us, ap): (RegionName, RegionName) = ("us".parse().unwrap(), "ap".parse().unwrap());
        board.peers = vec![ap];
        let log = board.logs.get(us).log.clone();
        for number in 1..=3 {
            log.append(&sample::transaction(number, number, number)).unwrap();
        }
        log.sync().unwrap();
        let apply = |record: u64| {
            board.origins[&us].send_modify(|progress| {
                progress.has_marker = true;
                progress.applied_record = RecordNumber(record);
            });
        };
        let hear = |durable: u64| {
            let holding = Holding { origin: us, first: RecordNumber(1), durable: RecordNumber(durable) };
            let mut heard = board.heard.lock();
            let state = heard.entry(ap).or_default();
            (state.heard_us, state.beat.holdings) = (now_us(), vec![holding]);
        };
        apply(3);
        assert!(!has_all(&board, us), "ap was not heard, and may hold more");
        hear(4);
        assert!(!has_all(&board, us), "ap holds more");
        hear(2);
        assert!(has_all(&board, us));
        apply(2);
        assert!(!has_all(&board, us), "not all that is held here is applied");
    }
}
