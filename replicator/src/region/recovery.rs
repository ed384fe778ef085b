//! What this region has lost of the own log, or of the copies of others: peers hold it.

use std::sync::Arc;
use std::time::Duration;

use applier::code::of_record;
use applier::tables::Applied;
use link::Target;
use log_store::Log;
use log_store::code::LOG_DAMAGED_LAST;
use transaction::record::{Body, Record, RecordKind};
use transaction::{RecordNumber, RegionName, Sequence};

use super::board::{Board, ExtractorState};
use super::logs::LogSet;
use super::peer_copy::PeerCopy;
use super::quota::Quota;
use super::sink::Sink;
use super::{Region, RegionError};

/// How often it is looked who has been heard.
const LOOK: Duration = Duration::from_millis(50);
/// A peer that has not answered for so long, nor refused a connection, is not waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Takes back the end of a whole own log that this disk lost though it had said that it was written. Returns false if the shutdown came
/// first.
///
/// Linux can say so: an `fdatasync` of ext4 that meets the moment in which the file system turns read-only may return without an
/// error. So can a disk that keeps writes in a cache of its own, and a data directory that was put back. Only peers know; those that
/// are there are asked before anything new is given a number that they hold. Where one that is away holds such a record, it is told
/// when it comes back (`held`).
pub(crate) async fn take_back_lost_end(region: &Region) -> Result<bool, RegionError> {
    let own = region.board.logs.own().clone();
    if own.log.recovery().damaged_last.is_some() || own.log.durable() == RecordNumber(0) {
        // All peers are asked for that.
        return Ok(true);
    }
    let until = tokio::time::Instant::now() + ANSWER_WITHIN;
    let may_answer =
        |board: &Board, peer| board.pulls.lock().get(&peer).is_none_or(|pull| pull.error.is_none());
    let asked = ask(region, |board, peer| tokio::time::Instant::now() < until && may_answer(board, peer));
    let Some(best) = asked.await else { return Ok(false) };
    let Some((target, durable)) = best.filter(|(_, durable)| *durable > own.log.durable()) else {
        return Ok(true);
    };
    tracing::warn!(
        "the log of {} ends with record {}, and region {} holds {durable}: the disk lost what it had said was written, or the data \
         directory was put back; the rest is taken back from there",
        own.log.origin(),
        own.log.durable(),
        target.region
    );
    fetch(region, &target, durable).await
}

/// Waits until each copy holds all that its marker says is applied here. Returns false if the shutdown came first.
///
/// A copy that was lost, or its end, comes again by its pull. Until then the histories lack what this region's rows have, and what is
/// concurrent with that would pass for something that follows it.
pub(crate) async fn await_copies(region: &Region, markers: &[Applied]) -> Result<bool, RegionError> {
    let mut shutdown = region.shutdown.clone();
    while !*shutdown.borrow() {
        let Some((Applied { origin, sequence, .. }, held)) = lacking(&region.board.logs, markers)? else {
            return Ok(true);
        };
        let reason = format!(
            "transactions of {origin} are applied here up to {sequence}, and the copy of its log ends with {held}; the rest is awaited from \
             {origin}, or from another region that holds it"
        );
        region.report_waiting(reason);
        tokio::select! {
            _ = shutdown.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    Ok(false)
}

/// The marker of a copy that does not hold all that is applied, and what it holds.
pub(crate) fn lacking(
    logs: &LogSet,
    markers: &[Applied],
) -> Result<Option<(Applied, Sequence)>, RegionError> {
    for marker in markers {
        let Some(copy) = logs.copy(marker.origin) else { continue };
        // What is not durable yet is not read yet, either.
        if copy.log.find_sequence(marker.sequence)?.is_some() {
            continue;
        }
        let (held, is_durable) = (reaches(&copy.log)?, copy.log.durable() == copy.log.last_appended());
        if held < marker.sequence || !is_durable {
            return Ok(Some((*marker, held)));
        }
    }
    Ok(None)
}

/// The last transaction that the log holds, durable or not, or held before retention took it.
fn reaches(log: &Arc<Log>) -> Result<Sequence, RegionError> {
    let held = log.tail().last_sequence;
    if held > Sequence(0) {
        return Ok(held);
    }
    let Some(number) = log.find_last(RecordKind::Position)? else { return Ok(held) };
    let mut reader = log.read_held_from(number);
    let Some(record) = reader.next_record()? else { return Ok(held) };
    match Record::decode(record.bytes).map_err(of_record)?.body {
        Body::Position(position) => Ok(position.last_sequence),
        _ => Ok(held),
    }
}

/// Makes sure that the own log holds all that any peer holds of it. `existed`: the server shows that this region has
/// run before. Returns false if the shutdown came first.
///
/// A log that is whole needs nothing (but [`take_back_lost_end`]): no peer is sent what is not durable here. One that is gone, or whose last record is
/// damaged, is completed from the longest copy among *all* peers; so all must be asked.
pub(crate) async fn recover_own_log(region: &Region, existed: bool) -> Result<bool, RegionError> {
    let own = region.board.logs.own().clone();
    let damaged = own.log.recovery().damaged_last.is_some();
    let lost = own.log.durable() == RecordNumber(0) && existed;
    if !damaged && !lost {
        return Ok(true);
    }
    let name = region.config.region.name;
    let what = if damaged { "its last record is damaged" } else { "this data directory does not have it" };
    tracing::warn!("the log of {name} is to be completed from the peers' copies: {what}");
    let Some(best) = ask_all(region).await else { return Ok(false) };
    if damaged {
        settle_damaged_last(region, best.as_ref()).await?;
    }
    match best {
        Some((target, durable)) if durable > own.log.durable() => fetch(region, &target, durable).await,
        _ => Ok(true),
    }
}

/// Replaces the damaged last record of the own log by the copy of `best`, the peer that holds most of it, or drops it if no
/// peer has it: then it was never given out.
async fn settle_damaged_last(
    region: &Region,
    best: Option<&(Target, RecordNumber)>,
) -> Result<(), RegionError> {
    let own = region.board.logs.own();
    let Some(last) = own.log.recovery().damaged_last.map(|damage| damage.number) else { return Ok(()) };
    let Some((target, _)) = best.filter(|(_, durable)| *durable >= last) else {
        own.log.drop_damaged_last()?;
        return Ok(());
    };
    let mut copy = PeerCopy::new(region.link.clone(), target.clone(), own.log.origin());
    let what =
        format!("record {last} of this region's own log is damaged, and region {} holds it", target.region);
    let lost = |why: String| RegionError::from(LOG_DAMAGED_LAST.halt(why));
    match copy.records(last).await {
        Ok(Some(records)) => {
            own.log.replace_damaged_last(&records)?;
            tracing::warn!("{what}: it was taken back from there");
            Ok(())
        }
        Ok(None) => Err(lost(format!("{what} no longer; start again once its log is whole"))),
        Err(error) => Err(lost(format!("{what}, but could not send it: {error}; then start again"))),
    }
}

/// The peer that holds most of our log; waits until every peer has been heard. `None`: the shutdown came first.
pub(crate) async fn ask_all(region: &Region) -> Option<Option<(Target, RecordNumber)>> {
    ask(region, |_, _| true).await
}

/// The peer that holds most of our log, among those that are heard; `waits` tells whether one that is not is to be waited for.
async fn ask(
    region: &Region,
    waits: impl Fn(&Board, RegionName) -> bool,
) -> Option<Option<(Target, RecordNumber)>> {
    let mut shutdown = region.shutdown.clone();
    let name = region.config.region.name;
    while !*shutdown.borrow() {
        let (mut silent, mut best) = (Vec::new(), None);
        for target in &region.targets {
            let heard =
                region.board.heard.lock().get(&target.region).filter(|state| state.is_heard()).cloned();
            match heard.map(|state| state.holds(name)) {
                Some(durable) if best.as_ref().is_none_or(|(_, most)| durable > *most) => {
                    best = Some((target.clone(), durable));
                }
                Some(_) => {}
                None if waits(&region.board, target.region) => silent.push(target.region.to_string()),
                None => {}
            }
        }
        if silent.is_empty() {
            return Some(best);
        }
        let reason =
            format!("region {} must be asked what it holds of this region's own log", silent.join(", "));
        region.board.extractor.send_modify(|shown| shown.state = ExtractorState::Waiting { reason });
        tokio::select! {
            _ = shutdown.changed() => return None,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    None
}

/// Pulls our own log from a peer until it holds `until`.
pub(crate) async fn fetch(
    region: &Region,
    target: &Target,
    until: RecordNumber,
) -> Result<bool, RegionError> {
    let own = region.board.logs.own().clone();
    let mut shutdown = region.shutdown.clone();
    let mut durable = own.durable.subscribe();
    // Whatever its length, the region cannot begin without it.
    let sink = Sink::new(own, Quota(u64::MAX), |_, _| {}, |_, _| {});
    let name = region.config.region.name;
    loop {
        let pulled = tokio::select! {
            _ = shutdown.changed() => return Ok(false),
            reached = durable.wait_for(|durable| *durable >= until) => {
                let _ = reached;
                None
            }
            result = region.link.pull(target, name, &sink) => Some(result),
        };
        match pulled {
            None => {
                tracing::info!(
                    "the log of {name} is complete again: taken from {} up to record {until}",
                    target.region
                );
                return Ok(true);
            }
            Some(Err(error)) if error.trouble() == link::Trouble::Away => {
                tracing::warn!("{error}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(never)) => match never {},
        }
    }
}
