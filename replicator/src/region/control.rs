//! What this region tells its peers, hears from them, and answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use applier::Connect;
use link::{Answer, Beat, Control, Heard};
use tokio::sync::mpsc;
use transaction::{RecordNumber, RegionName, Sequence};

use super::board::Board;
use super::clock::now_us;
use super::tables::{self, Digest};

/// Asks whether this region has a marker for the asker, and what its tables hold.
pub(crate) const ASK_INTRODUCTION: &str = "introduction";
/// Asks for a consistent copy of the tables; see `seeding`.
pub(crate) const ASK_SNAPSHOT: &str = "snapshot";
/// Asks for the wall clock. One part answers: microseconds since 1970, 8 bytes, little-endian.
pub(crate) const ASK_CLOCK: &str = "clock";

/// What a region says of itself to one that has no marker for it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Introduction {
    /// The marker that this region has for the asker: its data descends from the asker's.
    pub(crate) marker: Option<Sequence>,
    /// The last own transaction when the digest was begun, and its record.
    pub(crate) sequence: Sequence,
    /// See `sequence`.
    pub(crate) record: RecordNumber,
    /// The same when the digest was done; unequal means that clients wrote meanwhile.
    pub(crate) sequence_after: Sequence,
    /// The carried tables, unless the asker has a marker here; without those that filters make.
    pub(crate) digest: Option<Digest>,
    /// Patterns of tables that are seen through filters there.
    #[serde(default)]
    pub(crate) filtered: Vec<String>,
}

/// The link's other half: needs the board and the server once they are there.
pub(crate) struct RegionControl {
    /// Set when the region is assembled.
    pub(crate) parts: Arc<OnceLock<Parts>>,
}

/// What answers are made of.
pub(crate) struct Parts {
    pub(crate) board: Arc<Board>,
    pub(crate) connect: Connect,
    pub(crate) carries: applier::effect::Carries,
    pub(crate) ready: Arc<AtomicBool>,
}

impl Control for RegionControl {
    fn wall_us(&self) -> u64 {
        now_us()
    }

    fn beat(&self) -> Beat {
        let Some(Parts { board, .. }) = self.parts.get() else { return Beat::default() };
        let unstable = board.shared.index.lock().stats().transactions as u64;
        Beat { holdings: board.logs.holdings(), unstable, stable: board.stable(), blocked: board.blocked() }
    }

    fn on_beat(&self, peer: RegionName, heard: Heard) {
        let Some(Parts { board, .. }) = self.parts.get() else { return };
        // A region that runs holds at least its own log. This one does not run but is being checked, so it says nothing
        // of its logs: to take that for "holds nothing" could cost us what it does hold.
        if heard.beat.holdings.is_empty() {
            return;
        }
        let mut states = board.heard.lock();
        let state = states.entry(peer).or_default();
        state.heard_us = now_us();
        state.beat = heard.beat;
        if let Some(measure) = heard.measure {
            state.ahead_us = Some(measure.ahead_us);
            state.round_trip_us = Some(measure.round_trip.as_micros() as u64);
        }
    }

    fn ask(&self, peer: RegionName, kind: String, payload: Vec<u8>) -> mpsc::Receiver<Answer> {
        let (sender, receiver) = mpsc::channel(link::ANSWER_QUEUE);
        let parts = self.parts.clone();
        tokio::spawn(async move {
            let result = match parts.get() {
                // Needs neither logs nor server, and tells whoever checks the mesh that this region answers.
                _ if kind == ASK_CLOCK => tell_clock(&sender).await,
                None => Err("this region is starting; ask again".to_owned()),
                Some(parts) if !parts.ready.load(Ordering::Acquire) => {
                    Err("this region is starting, or being seeded; ask again".to_owned())
                }
                Some(parts) => match kind.as_str() {
                    ASK_INTRODUCTION => introduce(parts, peer, &sender).await,
                    ASK_SNAPSHOT => super::snapshot::send(parts, peer, &payload, &sender).await,
                    other => {
                        Err(format!("questions of kind {other:?} are not known here; upgrade this region"))
                    }
                },
            };
            let last = match result {
                Ok(()) => Answer::End,
                Err(reason) => Answer::Failed(reason),
            };
            // Nobody left to hear it is no error.
            let _ = sender.send(last).await;
        });
        receiver
    }
}

async fn tell_clock(sender: &mpsc::Sender<Answer>) -> Result<(), String> {
    let part = now_us().to_le_bytes().to_vec();
    sender.send(Answer::Part(part)).await.map_err(|_| "the asker is gone".to_owned())
}

async fn introduce(parts: &Parts, asker: RegionName, sender: &mpsc::Sender<Answer>) -> Result<(), String> {
    let mut conn = (parts.connect)().await.map_err(|e| format!("MySQL of this region: {e}"))?;
    let markers =
        applier::tables::applied(&mut conn).await.map_err(|e| format!("markers of this region: {e}"))?;
    let marker = markers.iter().find(|marker| marker.origin == asker).map(|marker| marker.sequence);
    let log = &parts.board.logs.own().log;
    let tail = log.tail();
    let digest = match marker {
        Some(_) => None,
        None => Some(tables::digest(&mut conn, &parts.board.shared, &parts.carries).await?),
    };
    let introduction = Introduction {
        marker,
        sequence: tail.last_sequence,
        record: tail.last,
        sequence_after: log.tail().last_sequence,
        digest: digest.map(|digest| tables::unfiltered_here(digest, parts.board.logs.filters())),
        filtered: tables::filtered(parts.board.logs.filters()),
    };
    let bytes = serde_json::to_vec(&introduction).map_err(|e| e.to_string())?;
    sender.send(Answer::Part(bytes)).await.map_err(|_| "the asker is gone".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::status::sample;

    #[tokio::test]
    async fn a_region_that_is_only_checked_is_not_heard_to_hold_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let board = sample::board(dir.path());
        let parts = Parts {
            board: board.clone(),
            connect: Arc::new(|| Box::pin(async { Err(mysql_async::Error::Other("no server".into())) })),
            carries: Arc::new(|_, _| true),
            ready: Arc::default(),
        };
        let control = RegionControl { parts: Arc::new(OnceLock::from(parts)) };
        let us: RegionName = "us".parse().unwrap();
        let heard = |beat| Heard { beat, wall_us: 1, measure: None };
        control.on_beat(us, heard(Beat::default()));
        assert!(board.heard.lock().is_empty());

        let of_a_running_region = control.beat();
        assert!(!of_a_running_region.holdings.is_empty());
        control.on_beat(us, heard(of_a_running_region.clone()));
        assert_eq!(board.heard.lock()[&us].beat, of_a_running_region);
        // A check in between changes nothing.
        control.on_beat(us, heard(Beat::default()));
        assert_eq!(board.heard.lock()[&us].beat, of_a_running_region);
    }

    #[tokio::test]
    async fn a_region_that_starts_tells_its_clock_and_nothing_else() {
        let control = RegionControl { parts: Arc::default() };
        let us: RegionName = "us".parse().unwrap();
        let before = now_us();
        let mut answer = control.ask(us, ASK_CLOCK.to_owned(), Vec::new());
        let Some(Answer::Part(part)) = answer.recv().await else { unreachable!("the clock is always told") };
        assert!(u64::from_le_bytes(part.try_into().unwrap()) >= before);
        assert_eq!(answer.recv().await, Some(Answer::End));
        let mut answer = control.ask(us, ASK_INTRODUCTION.to_owned(), Vec::new());
        assert!(matches!(answer.recv().await, Some(Answer::Failed(reason)) if reason.contains("starting")));
    }
}
