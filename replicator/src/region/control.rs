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
    /// The carried tables, unless the asker has a marker here.
    pub(crate) digest: Option<Digest>,
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
        Beat { holdings: board.logs.holdings(), unstable, stable: board.stable() }
    }

    fn on_beat(&self, peer: RegionName, heard: Heard) {
        let Some(Parts { board, .. }) = self.parts.get() else { return };
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
        digest,
    };
    let bytes = serde_json::to_vec(&introduction).map_err(|e| e.to_string())?;
    sender.send(Answer::Part(bytes)).await.map_err(|_| "the asker is gone".to_owned())
}
