//! How much of the disk a log may take, and what stops when it takes that much.
//!
//! What a region has not applied stays in every log for as long as it is away, halted or paused. So a log has a quota. Beyond it the
//! extractor goes on only while every region is at work: then they catch up, tell what they have applied, and so let the log become
//! short again. While one is not, the extractor stands still, and with it the lanes, which wait for it after each batch: nothing
//! is applied here either, so histories do not grow. Twice the quota is never passed, by a copy neither.

use log_store::Log;
use transaction::{Halt, RegionName};

use super::board::Board;
use crate::code::LOG_QUOTA;

/// `[region.log] quota`: bytes that one log may take on this region's disk while a region is not at work; twice as much otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota(pub(crate) u64);

/// What a log's length leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    /// Enough.
    Ample,
    /// Enough still, but people should know.
    Scarce,
    /// Only what is kept for the return of a region.
    Reserve,
    /// Nothing.
    None,
}

impl Quota {
    /// What a log of so many bytes leaves.
    pub(crate) fn room(self, bytes: u64) -> Room {
        match bytes {
            _ if bytes / 2 >= self.0 => Room::None,
            _ if bytes >= self.0 => Room::Reserve,
            _ if bytes >= self.0 / 5 * 3 => Room::Scarce,
            _ => Room::Ample,
        }
    }

    /// Whether a copy may take more. The error says why not.
    pub(crate) fn may_store(self, log: &Log) -> Result<(), Halt> {
        let bytes = log.bytes();
        match self.room(bytes) {
            Room::None => Err(LOG_QUOTA.halt(self.reached(log, bytes, "twice is the most"))),
            _ => Ok(()),
        }
    }

    fn reached(self, log: &Log, bytes: u64, why: &str) -> String {
        format!(
            "the log of {} takes {} MiB, [region.log] quota is {} MiB, and {why}. Nothing may go that a region has not applied: bring \
             it back, resume it, or raise the quota (RUNBOOK, \"A log that reaches its quota\")",
            log.origin(),
            bytes >> 20,
            self.0 >> 20
        )
    }
}

/// Whether the extractor may go on. `between`: it is inside no transaction, so that nothing of it must be read again if it stops. The
/// error says what it waits for.
pub(crate) fn may_extract(board: &Board, between: bool) -> Result<(), String> {
    let (log, quota) = (&board.logs.own().log, board.quota);
    let bytes = log.bytes();
    match quota.room(bytes) {
        Room::None => Err(quota.reached(log, bytes, "twice is the most")),
        Room::Reserve if between => match not_at_work(board) {
            Some(why) => Err(quota.reached(log, bytes, &why)),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// A region that is away, or in which something stands still.
fn not_at_work(board: &Board) -> Option<String> {
    if board.blocked() {
        return Some("something stands still here until a person acts".to_owned());
    }
    let heard = board.heard.lock();
    let of_peer = |peer: &RegionName| match heard.get(peer) {
        Some(state) if state.is_heard() => {
            state.beat.blocked.then(|| format!("in region {peer} something stands still until a person acts"))
        }
        _ => Some(format!("region {peer} is away")),
    };
    board.peers.iter().find_map(of_peer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::region::clock::now_us;
    use crate::status::sample;

    /// A region whose own log takes some kilobytes.
    fn board(dir: &std::path::Path, quota: impl Fn(u64) -> u64) -> Board {
        let mut board = std::sync::Arc::into_inner(sample::board(dir)).unwrap();
        for number in 1..=20 {
            board.logs.own().log.append(&sample::transaction(number, number, number)).unwrap();
        }
        board.quota = Quota(quota(board.logs.own().log.bytes()));
        board
    }

    fn hear(board: &Board, heard_us: u64, blocked: bool) {
        let mut heard = board.heard.lock();
        let state = heard.entry(board.peers[0]).or_default();
        (state.heard_us, state.beat.blocked) = (heard_us, blocked);
    }

    #[test]
    fn beyond_the_quota_it_goes_on_only_while_every_region_is_at_work() {
        let dir = tempfile::tempdir().unwrap();
        let board = board(dir.path(), |bytes| bytes);
        let refusal = || may_extract(&board, true).unwrap_err();
        assert!(refusal().contains("region us is away"), "{}", refusal());
        hear(&board, now_us(), false);
        may_extract(&board, true).unwrap();
        hear(&board, now_us() - 10_100_000, false);
        assert!(refusal().contains("region us is away"), "{}", refusal());
        hear(&board, now_us(), true);
        assert!(refusal().contains("in region us something stands still"), "{}", refusal());
        hear(&board, now_us(), false);
        board.origins[&board.peers[0]].send_modify(|progress| progress.paused = true);
        assert!(refusal().contains("stands still here"), "{}", refusal());
        // It ends the transaction that it has begun.
        may_extract(&board, false).unwrap();
    }

    #[test]
    fn below_the_quota_nobody_is_asked_and_at_twice_the_quota_all_ends() {
        let dir = tempfile::tempdir().unwrap();
        may_extract(&board(dir.path(), |bytes| bytes + 1), true).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let board = board(dir.path(), |bytes| bytes / 2);
        hear(&board, now_us(), false);
        for between in [true, false] {
            assert!(may_extract(&board, between).unwrap_err().contains("twice is the most"));
        }
        assert_eq!(board.quota.may_store(&board.logs.own().log).unwrap_err().code, LOG_QUOTA);
    }
}
