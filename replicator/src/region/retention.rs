//! Forgetting: writes that nothing can be concurrent with any more, and segments that no one needs.

use std::sync::Arc;
use std::time::Duration;

use conflict::Floor;
use log_store::{Log, Retention};
use tokio::sync::watch;
use transaction::record::{Record, RecordKind};
use transaction::{Hlc, RecordNumber, RegionName};

use super::board::Board;
use super::clock::now_us;

/// What the operator wants kept beyond need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    /// At least so long, microseconds.
    pub(crate) age_us: u64,
    /// Per log, or for the conflict journal, at most so many bytes.
    pub(crate) bytes: u64,
}

/// Prunes the history index until shutdown.
pub(crate) async fn prune(board: Arc<Board>, mut shutdown: watch::Receiver<bool>) {
    const KEYS_AT_A_TIME: usize = 10_000;
    while !*shutdown.borrow() {
        // The lock is let go between the portions: lanes and extractor need it.
        loop {
            let pruned = board.shared.index.lock().prune(KEYS_AT_A_TIME);
            match pruned {
                Ok(pruned) if pruned.more => tokio::task::yield_now().await,
                Ok(_) => break,
                Err(error) => {
                    // From now on the index refuses every look, so that extractor and lanes halt by themselves.
                    tracing::error!("the history index cannot be pruned: {error}");
                    return;
                }
            }
        }
        tokio::select! {
            _ = shutdown.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

/// Deletes segments, and files of the conflict journal, until shutdown.
pub(crate) async fn retain(
    board: Arc<Board>,
    keep: Keep,
    journal: Keep,
    mut shutdown: watch::Receiver<bool>,
) {
    while !*shutdown.borrow() {
        let board = board.clone();
        let swept = tokio::task::spawn_blocking(move || {
            sweep(&board, keep);
            board.conflicts.retain(journal);
        })
        .await;
        if let Err(error) = swept {
            tracing::error!("retention: {error}");
        }
        tokio::select! {
            _ = shutdown.changed() => {}
            () = tokio::time::sleep(Duration::from_secs(10)) => {}
        }
    }
}

/// Deletes what may go now.
pub(crate) fn sweep(board: &Board, keep: Keep) {
    let floor = board.shared.index.lock().floor();
    for (origin, entry) in board.logs.iter() {
        let policy = Retention {
            hlc_floor: Some(Hlc(now_us().saturating_sub(keep.age_us))),
            bytes_max: Some(keep.bytes),
        };
        match keep_from(&entry.log, origin, &floor).and_then(|from| match from {
            None => Ok(Vec::new()),
            Some(from) => entry.log.retain(from, policy).map_err(|e| e.to_string()),
        }) {
            Ok(deleted) => {
                for segment in deleted {
                    tracing::info!(
                        "retention: {} is gone, every region has applied it",
                        segment.path.display()
                    );
                }
            }
            Err(error) => tracing::warn!("retention of the log of {origin}: {error}"),
        }
    }
}

/// The latest record with which the log may begin: `None` if it has to stay as it is.
fn keep_from(log: &Arc<Log>, origin: RegionName, floor: &Floor) -> Result<Option<RecordNumber>, String> {
    let fail = |e: log_store::Error| e.to_string();
    // A restart goes on from the last position record.
    let Some(position) = log.find_last(RecordKind::Position).map_err(fail)? else { return Ok(None) };
    let segments = log.segments();
    for segment in segments.iter().skip(1).rev() {
        let Some((sequence, _)) = segment.sequences else { continue };
        let Some(number) = log.find_sequence(sequence).map_err(fail)? else { continue };
        let mut reader = log.read_from(number).map_err(fail)?;
        let Some(raw) = reader.next_record().map_err(fail)? else { continue };
        let record = Record::decode(raw.bytes).map_err(|e| e.to_string())?;
        let chunks = record.transaction().map_or(0, |transaction| u64::from(transaction.chunks));
        if sequence <= floor.sequence(origin) {
            // A chain that reaches back into the segment before keeps that one too.
            let first = RecordNumber(number.0 - chunks).min(segment.first);
            return Ok(Some(first.min(position)));
        }
    }
    Ok(None)
}
