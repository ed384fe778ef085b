//! The own log, when this region has lost it or its last record: peers hold copies.

use std::time::Duration;

use link::Target;
use log_store::code::LOG_DAMAGED_LAST;
use transaction::RecordNumber;

use super::board::ExtractorState;
use super::clock::now_us;
use super::logs::Sink;
use super::peer_copy::PeerCopy;
use super::quota::Quota;
use super::{Region, RegionError};

/// Makes sure that the own log holds all that any peer holds of it. `existed`: the server shows that this region has
/// run before. Returns false if the shutdown came first.
///
/// A log that is whole needs nothing: no peer is sent what is not durable here. One that is gone, or whose last record is
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

/// The peer that holds most of our log; waits until every peer has been heard.
pub(crate) async fn ask_all(region: &Region) -> Option<Option<(Target, RecordNumber)>> {
    let mut shutdown = region.shutdown.clone();
    let name = region.config.region.name;
    const FRESH_US: u64 = 10_000_000;
    while !*shutdown.borrow() {
        let (mut silent, mut best) = (Vec::new(), None);
        {
            let heard = region.board.heard.lock();
            for target in &region.targets {
                match heard
                    .get(&target.region)
                    .filter(|state| now_us().saturating_sub(state.heard_us) < FRESH_US)
                {
                    None => silent.push(target.region.to_string()),
                    Some(state) => {
                        let durable =
                            state.beat.holdings.iter().find(|h| h.origin == name).map(|h| h.durable);
                        let durable = durable.unwrap_or_default();
                        if best.as_ref().is_none_or(|(_, most)| durable > *most) {
                            best = Some((target.clone(), durable));
                        }
                    }
                }
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
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
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
