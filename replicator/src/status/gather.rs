//! From the board to a status.

use std::sync::Arc;

use applier::tables::Suspension;
use applier::{OriginProgress, State as ApplierProgress};
use log_store::Log;
use transaction::{RecordNumber, RegionName, Sequence};

use super::{
    Applier, ApplierState, Extractor, ExtractorState, History, Lag, Link, LinkState, LostRegion, LostTail,
    Origin, Peer, Server, State, Status, SuspendedTable, reasons,
};
use crate::region::board::{self, Board, PeerState, PullState};

/// The status at `now_us`, this region's clock. Looks into the logs for the ages of what waits, so it may block on
/// the disk.
pub(crate) fn status(board: &Board, now_us: u64) -> Status {
    let mut status = at_a_glance(board, now_us);
    let elsewhere = status.peers.iter().map(|peer| peer.acknowledged_record).max().unwrap_or_default();
    for origin in &mut status.origins {
        let log = &board.logs.get(origin.origin).log;
        let oldest = if origin.own {
            oldest_beyond_record(log, elsewhere)
        } else {
            oldest_beyond_sequence(log, origin.applied_sequence)
        };
        match oldest {
            Ok(None) => {}
            Ok(Some(Oldest { sequence, hlc_us })) if origin.own => {
                let last = origin.durable_sequence.0;
                status.transactions_not_durable_elsewhere = (last + 1).saturating_sub(sequence.0);
                status.seconds_not_durable_elsewhere = now_us.saturating_sub(hlc_us) as f64 / 1e6;
            }
            Ok(Some(oldest)) => origin.oldest_unapplied_us = now_us.saturating_sub(oldest.hlc_us),
            Err(error) => origin.log_error = Some(error.to_string()),
        }
    }
    status.state = reasons::worst(&status);
    status
}

/// What can be said from memory: all but the ages. Enough for health, which must not wait for a disk.
pub(crate) fn at_a_glance(board: &Board, now_us: u64) -> Status {
    let extractor = board.extractor.borrow().clone();
    let pulls = board.pulls.lock().clone();
    let heard = board.heard.lock().clone();
    let applied: Vec<(RegionName, OriginProgress)> =
        board.origins.iter().map(|(origin, progress)| (*origin, progress.borrow().clone())).collect();
    // A copy, as of all that is locked here: `stable` reads it again, and a second lock for reading waits for a writer that
    // waits for the first.
    let suspensions = board.suspensions.borrow().clone();
    let lost = board.lost.lock().clone();
    let stats = board.shared.index.lock().stats();
    let own_durable = board.logs.own().log.durable();

    let origins = board.logs.iter().map(|(name, entry)| {
        let progress = applied.iter().find(|(origin, _)| *origin == name).map(|(_, progress)| progress);
        let pull = pulls.get(&name);
        let own = name == board.region;
        let rtt_us = pull.and_then(|pull| heard.get(&pull.connected_via?)?.round_trip_us);
        Origin {
            link: (!own && !lost.contains_key(&name)).then(|| link(pull, rtt_us)),
            log_quota_bytes: board.quota.0,
            ..origin(name, own, &entry.log, progress, pull)
        }
    });
    let peers = board.peers.iter().map(|region| {
        let state = heard.get(region).cloned().unwrap_or_default();
        peer(*region, &state, board.acknowledged(*region, &state))
    });
    let progress = board.tail_progress.borrow().clone();
    let lost_tail = board.tail.get().map(|tail| LostTail {
        applied_sequence: progress.applied_sequence.max(tail.applied),
        end_sequence: tail.end,
        applier: applier(&progress),
    });
    let mut status = Status {
        region: board.region,
        mesh: board.mesh.clone(),
        fingerprint: board.fingerprint.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: State::Running,
        now_us,
        server: Server { version: extractor.server_version.clone(), uuid: extractor.server_uuid.clone() },
        extractor: extractor_of(&extractor, own_durable),
        lost_regions: lost
            .iter()
            .map(|(region, settled)| LostRegion { region: *region, settled: *settled })
            .collect(),
        lost_tail: lost_tail.filter(|tail| tail.applied_sequence < tail.end_sequence),
        origins: origins.collect(),
        suspended_tables: suspensions.iter().map(suspended_table).collect(),
        history: History {
            keys: stats.keys as u64,
            writes: stats.writes as u64,
            transactions: stats.transactions as u64,
            bytes: stats.bytes as u64,
        },
        peers: peers.collect(),
        lag_us: Lag::of(applied.iter().flat_map(|(_, progress)| progress.lags())),
        transactions_not_durable_elsewhere: 0,
        seconds_not_durable_elsewhere: 0.0,
        stable: board.stable(),
        stable_everywhere: board.stable_everywhere(),
    };
    status.state = reasons::worst(&status);
    status
}

fn suspended_table(suspension: &Suspension) -> SuspendedTable {
    let Suspension { table, reason, since_us } = suspension;
    SuspendedTable {
        table: format!("{}.{}", table.schema, table.table),
        reason: reason.clone(),
        since_us: *since_us,
        applied: table.applied.iter().collect(),
    }
}

fn extractor_of(progress: &board::ExtractorProgress, durable_record: RecordNumber) -> Extractor {
    let (state, halt, waiting_for) = match &progress.state {
        board::ExtractorState::Running => (ExtractorState::Running, None, None),
        board::ExtractorState::Starting => (ExtractorState::Connecting, None, None),
        board::ExtractorState::Waiting { reason } => (ExtractorState::Connecting, None, Some(reason.clone())),
        board::ExtractorState::Halted(halt) => (ExtractorState::Halted, Some(halt), None),
    };
    Extractor {
        state,
        incarnation: progress.incarnation,
        sequence: progress.sequence,
        record: progress.record,
        durable_record,
        file: progress.file.clone(),
        offset: progress.offset,
        restart_file: progress.restart_file.clone(),
        behind_bytes: 0,
        error: halt.map(|halt| halt.reason.clone()),
        code: halt.map(|halt| halt.code.to_string()),
        waiting_for,
    }
}

/// All but the link and the quota.
fn origin(
    name: RegionName,
    own: bool,
    log: &Log,
    progress: Option<&OriginProgress>,
    pull: Option<&PullState>,
) -> Origin {
    let tail = log.tail();
    let durable_record = log.durable();
    let none = OriginProgress::default();
    let counts = progress.unwrap_or(&none);
    // What a region wrote itself is in its MySQL before it is in its log.
    let (applied_sequence, applied_record) = match progress {
        Some(progress) => (progress.applied_sequence, progress.applied_record),
        None if own => (tail.last_sequence, durable_record),
        None => Default::default(),
    };
    Origin {
        origin: name,
        own,
        received_record: pull.map_or(tail.last, |pull| pull.received.max(tail.last)),
        durable_record,
        durable_sequence: tail.last_sequence,
        origin_sequence: tail.last_sequence,
        applied_sequence,
        applied_record,
        lag_us: counts.lag_us,
        paused: counts.paused,
        link: None,
        applier: progress.filter(|_| !own).map(applier),
        transactions_applied: counts.transactions,
        rows_applied: counts.row_changes,
        conflicts: counts.conflicts,
        conflicts_won: counts.conflicts_won,
        offered_record: pull.map(|pull| pull.offered).unwrap_or_default(),
        oldest_unapplied_us: 0,
        lag_us_sum: counts.lag_us_sum,
        first_record: log.first(),
        log_bytes: log.bytes(),
        log_quota_bytes: 0,
        log_error: None,
    }
}

fn link(pull: Option<&PullState>, rtt_us: Option<u64>) -> Link {
    let Some(pull) = pull else {
        return Link { state: LinkState::Connecting, via: None, error: None, code: None, rtt_us: None };
    };
    let state = match (pull.connected_via, pull.refused) {
        (Some(_), _) => LinkState::Connected,
        (None, Some(_)) => LinkState::Refused,
        (None, None) => LinkState::Connecting,
    };
    let code = pull.refused.map(|code| code.to_string());
    Link { state, via: pull.connected_via, error: pull.error.clone(), code, rtt_us }
}

fn applier(progress: &OriginProgress) -> Applier {
    let (state, waiting_for, halt) = match &progress.state {
        ApplierProgress::Running => (ApplierState::Running, None, None),
        ApplierProgress::Starting => (ApplierState::Waiting, None, None),
        ApplierProgress::Waiting { reason } => (ApplierState::Waiting, Some(reason.clone()), None),
        ApplierProgress::Paused => (ApplierState::Paused, None, None),
        ApplierProgress::Halted(halt) => (ApplierState::Halted, None, Some(halt)),
    };
    Applier {
        state,
        has_marker: progress.has_marker,
        waiting_for,
        error: halt.map(|halt| halt.reason.clone()),
        code: halt.map(|halt| halt.code.to_string()),
    }
}

fn peer(region: RegionName, state: &PeerState, acknowledged_record: RecordNumber) -> Peer {
    Peer {
        region,
        acknowledged_record,
        clock_difference_us: state.ahead_us,
        unstable: state.beat.unstable,
        stable: state.beat.stable,
        heard_us: state.heard_us,
        rtt_us: state.round_trip_us,
    }
}

/// The first transaction beyond some point of a log.
struct Oldest {
    sequence: Sequence,
    /// Its stamp: its commit time, unless a clock ran backwards.
    hlc_us: u64,
}

/// The first durable transaction after `sequence`, if any is held.
fn oldest_beyond_sequence(log: &Arc<Log>, sequence: Sequence) -> Result<Option<Oldest>, log_store::Error> {
    let last = log.tail().last_sequence;
    let first_held = log.segments().iter().find_map(|segment| segment.sequences).map(|(first, _)| first);
    let Some(first_held) = first_held.filter(|_| sequence < last) else { return Ok(None) };
    let sequence = sequence.next().max(first_held);
    let Some(record) = log.find_sequence(sequence)? else { return Ok(None) };
    let mut reader = log.read_from(record)?;
    Ok(reader.next_record()?.map(|record| Oldest { sequence, hlc_us: record.header.hlc.0 }))
}

/// The first durable transaction whose record comes after `record`, if any is held.
fn oldest_beyond_record(log: &Arc<Log>, record: RecordNumber) -> Result<Option<Oldest>, log_store::Error> {
    if record >= log.durable() {
        return Ok(None);
    }
    let last = log.tail().last_sequence;
    let mut failed = None;
    let within = last_within(last.0, |sequence| match log.find_sequence(Sequence(sequence)) {
        Ok(Some(found)) => found <= record,
        // Not durable yet, or long removed: retention removes only what every peer has.
        Ok(None) => {
            Some(Sequence(sequence)) < log.segments().iter().find_map(|s| s.sequences).map(|(first, _)| first)
        }
        Err(error) => {
            failed = Some(error);
            true
        }
    });
    match failed {
        Some(error) => Err(error),
        None => oldest_beyond_sequence(log, Sequence(within)),
    }
}

/// The last of 1 to `last` for which `within` holds, 0 if none: it holds up to some number, and not beyond it.
///
/// Searches from the end in doubling steps, since the answer is mostly near it.
fn last_within(last: u64, mut within: impl FnMut(u64) -> bool) -> u64 {
    let (mut low, mut high, mut step) = (0, last + 1, 1);
    while high > 1 {
        let probe = high.saturating_sub(step).max(1);
        if within(probe) {
            low = probe;
            break;
        }
        (high, step) = (probe, step * 2);
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if within(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::sample;
    use super::*;

    /// Appends and syncs.
    fn store(board: &Board, origin: &str, records: &[Vec<u8>]) {
        let log = &board.logs.get(origin.parse().unwrap()).log;
        log.append(&records.concat()).unwrap();
        log.sync().unwrap();
    }

    fn peer_has(board: &Board, record: u64) {
        let us = "us".parse().unwrap();
        board.heard.lock().entry(us).or_default().acknowledged = RecordNumber(record);
    }

    #[test]
    fn a_region_that_has_just_begun_waits_for_its_parts() {
        let dir = tempfile::tempdir().unwrap();
        let status = status(&sample::board(dir.path()), 1);
        assert_eq!(status.state, State::Waiting);
        assert_eq!(status.extractor.state, ExtractorState::Connecting);
        assert_eq!(status.lag_us.count, 0);
        let names: Vec<_> =
            status.origins.iter().map(|o| (o.origin.as_str(), o.own, o.link.is_some())).collect();
        assert_eq!(names, [("eu", true, false), ("us", false, true)]);
        assert_eq!(status.peers[0].clock_difference_us, None);
    }

    #[test]
    fn a_look_ends_while_the_lane_shows_what_is_suspended() {
        const LOOKS: u32 = 20_000;
        let dir = tempfile::tempdir().unwrap();
        let board = sample::board(dir.path());
        let (told, ended) = std::sync::mpsc::channel();
        let (looked, shown) = (board.clone(), Arc::downgrade(&board));
        drop(board);
        std::thread::spawn(move || {
            for _ in 0..LOOKS {
                at_a_glance(&looked, 1);
            }
            told.send(()).unwrap();
        });
        std::thread::spawn(move || {
            while let Some(board) = shown.upgrade() {
                board.suspensions.send_replace(Vec::new());
            }
        });
        ended.recv_timeout(Duration::from_secs(60)).expect("a look and a change wait for each other");
    }

    #[test]
    fn own_transactions_that_no_peer_has_are_counted_and_aged_by_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let board = sample::board(dir.path());
        let records = [
            sample::position(1, 10),
            sample::transaction(2, 1, 1_000_000),
            sample::transaction(3, 2, 2_000_000),
            sample::position(4, 2_500_000),
            sample::transaction(5, 3, 3_000_000),
        ];
        store(&board, "eu", &records);
        for (acknowledged, transactions, seconds) in
            [(0, 3, 9.0), (1, 3, 9.0), (2, 2, 8.0), (3, 1, 7.0), (4, 1, 7.0), (5, 0, 0.0), (9, 0, 0.0)]
        {
            peer_has(&board, acknowledged);
            let status = status(&board, 10_000_000);
            let found = (status.transactions_not_durable_elsewhere, status.seconds_not_durable_elsewhere);
            assert_eq!(found, (transactions, seconds), "acknowledged up to {acknowledged}");
            assert_eq!(status.peers[0].acknowledged_record.0, acknowledged);
        }
    }

    #[test]
    fn what_lies_here_unapplied_is_aged_by_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let board = sample::board(dir.path());
        // A copy may begin later than its origin's first transaction.
        store(&board, "us", &[sample::transaction(7, 5, 1_000_000), sample::transaction(8, 6, 4_000_000)]);
        for (applied, behind, age_us) in [(0, 6, 9_000_000), (4, 2, 9_000_000), (5, 1, 6_000_000), (6, 0, 0)]
        {
            board.origins[&"us".parse().unwrap()]
                .send_modify(|progress| progress.applied_sequence = Sequence(applied));
            let status = status(&board, 10_000_000);
            let us = &status.origins[1];
            assert_eq!(
                (Status::behind(us), us.oldest_unapplied_us),
                (behind, age_us),
                "applied up to {applied}"
            );
            assert_eq!((us.received_record.0, us.durable_record.0, us.first_record.0), (8, 8, 7));
            assert!(us.log_bytes > 0);
        }
    }

    #[test]
    fn the_last_number_within_is_found_and_quickly_near_the_end() {
        for last in 0..40 {
            for bound in 0..=last {
                assert_eq!(last_within(last, |number| number <= bound), bound, "{bound} of {last}");
            }
        }
        let mut probes = 0;
        let found = last_within(1 << 40, |number| {
            probes += 1;
            number <= (1 << 40) - 3
        });
        assert_eq!((found, probes <= 5), ((1 << 40) - 3, true));
    }
}
