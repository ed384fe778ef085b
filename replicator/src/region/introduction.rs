//! The first meeting with a peer: nothing of it is applied before its tables are known to be equal to ours.

use std::sync::Arc;
use std::time::Duration;

use applier::effect::Carries;
use applier::tables::Applied;
use applier::{Connect, State};
use link::{Link, Target};
use tokio::sync::watch;
use transaction::{Hlc, RegionName, Sequence, Uuid};

use super::board::Board;
use super::control::{ASK_INTRODUCTION, Introduction};
use super::tables;
use crate::code::TABLES_DIFFER;

/// How the first meeting goes on from what both sides say.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The origin counts as applied up to here.
    Meet(Applied),
    /// Not yet: clients wrote while the tables were read.
    Busy,
    /// The tables differ.
    Differ(Vec<String>),
}

/// A peer that is to be met, and what that takes.
pub(crate) struct Meeting {
    pub(crate) link: Link,
    pub(crate) target: Target,
    pub(crate) connect: Connect,
    pub(crate) carries: Carries,
    /// Under which UUID the peer's DDL runs here.
    pub(crate) ddl_source: Uuid,
    pub(crate) owner: u64,
    pub(crate) lanes: u16,
    pub(crate) board: Arc<Board>,
}

/// Sets the marker for the peer as soon as that is right. Returns when it is set, or at shutdown.
pub(crate) async fn meet(meeting: Meeting, mut shutdown: watch::Receiver<bool>) {
    let (origin, board) = (meeting.target.region, &meeting.board);
    let pause = Duration::from_secs(1);
    let mut last = String::new();
    while !*shutdown.borrow() {
        let state = match try_once(&meeting).await {
            Ok(Verdict::Meet(applied)) => {
                tracing::info!(
                    "{origin}: its tables are equal to ours; applied from transaction {} on",
                    applied.sequence.next()
                );
                if let Some(sender) = board.origins.get(&origin) {
                    sender.send_modify(|progress| {
                        progress.state = State::Starting;
                        progress.retry = true;
                    });
                }
                board.wake.notify_waiters();
                return;
            }
            Ok(Verdict::Busy) => State::Waiting {
                reason: format!("clients wrote while the tables of {origin} were compared; comparing again"),
            },
            Ok(Verdict::Differ(differences)) => State::Halted(TABLES_DIFFER.halt(format_args!(
                    "the tables of {origin} differ from ours: {}. Nothing is applied between regions that do not begin equal: \
                     make one of them anew with `concord seed --from REGION`, or make the tables equal while no client writes",
                    differences.join("; ")
                ))),
            Err(reason) => State::Waiting { reason: format!("first meeting with {origin}: {reason}") },
        };
        if let State::Halted(halt) = &state
            && halt.reason != last
        {
            tracing::error!("origin {origin} is halted [{}]: {halt}", halt.code);
            last.clone_from(&halt.reason);
        }
        if let Some(sender) = board.origins.get(&origin) {
            sender.send_modify(|progress| progress.state = state);
        }
        tokio::select! {
            _ = shutdown.changed() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn try_once(meeting: &Meeting) -> Result<Verdict, String> {
    let Meeting { link, target, connect, carries, ddl_source, owner, lanes, board } = meeting;
    let mut answer = link.ask(target, ASK_INTRODUCTION, Vec::new()).await.map_err(|e| e.to_string())?;
    let bytes = match answer.next().await {
        Some(part) => part.map_err(|e| e.to_string())?,
        None => return Err("it broke its answer off".into()),
    };
    let there: Introduction =
        serde_json::from_slice(&bytes).map_err(|e| format!("its answer is malformed: {e}"))?;
    let mut conn = connect().await.map_err(|e| format!("MySQL of this region: {e}"))?;
    let log = &board.logs.own().log;
    let before = log.tail().last_sequence;
    let here = match there.marker {
        Some(_) => tables::Digest::new(),
        None => tables::digest(&mut conn, &board.shared, carries).await?,
    };
    let filters = board.logs.filters();
    let here = tables::unfiltered_there(tables::unfiltered_here(here, filters), &there.filtered);
    let digest = there.digest.map(|digest| tables::unfiltered_there(digest, &tables::filtered(filters)));
    let there = Introduction { digest, ..there };
    let verdict = judge(target.region, &there, &here, before == log.tail().last_sequence);
    if let Verdict::Meet(applied) = &verdict {
        applier::tables::insert_marker(&mut conn, *applied, *owner, *ddl_source, *lanes)
            .await
            .map_err(|e| format!("its marker: {e}"))?;
    }
    Ok(verdict)
}

fn judge(origin: RegionName, there: &Introduction, here: &tables::Digest, quiet_here: bool) -> Verdict {
    let met = |sequence, record| Verdict::Meet(Applied { origin, sequence, record, hlc: Hlc(0) });
    let Some(digest) = &there.digest else {
        // Its rows descend from ours, by a seed or by its own comparison; all that it wrote since is in its log.
        return met(Sequence(0), transaction::RecordNumber(0));
    };
    let differences = tables::differences(here, digest);
    let quiet = quiet_here && there.sequence == there.sequence_after;
    match (differences.is_empty(), quiet) {
        (true, true) => met(there.sequence, there.record),
        (_, false) => Verdict::Busy,
        (false, true) => Verdict::Differ(differences),
    }
}
