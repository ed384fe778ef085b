//! What the running region knows of itself: written by its parts, read by status, health and metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use applier::tables::Suspension;
use applier::{OriginProgress, Shared, Wishes};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use transaction::{Halt, HaltCode, RecordNumber, RegionName, Sequence};

use super::clock::now_us;
use super::failover::Tail;
use super::journal::ConflictJournal;
use super::logs::LogSet;
use super::quota::Quota;
use super::server::Claimed;

/// What the extractor does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ExtractorState {
    /// It waits for something before it may begin, or for the server to come back.
    Waiting {
        /// For what.
        reason: String,
    },
    /// It reads the binlog.
    Running,
    /// A person must act.
    Halted(Halt),
    /// Not begun yet.
    #[default]
    Starting,
}

/// How far the extractor is.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExtractorProgress {
    /// What it does.
    pub(crate) state: ExtractorState,
    /// The incarnation of the own origin; 0 until it is known.
    pub(crate) incarnation: u32,
    /// The last local transaction.
    pub(crate) sequence: Sequence,
    /// The last record handed to the log.
    pub(crate) record: RecordNumber,
    /// Binlog file.
    pub(crate) file: String,
    /// Offset in it.
    pub(crate) offset: u64,
    /// The first binlog file that a restart would need; empty until a position record of this process is durable.
    pub(crate) restart_file: String,
    /// Version of the server.
    pub(crate) server_version: String,
    /// UUID of the server.
    pub(crate) server_uuid: String,
}

/// The pull of one origin's log.
#[derive(Debug, Clone, Default)]
pub(crate) struct PullState {
    /// Through whom; `None` while not connected.
    pub(crate) connected_via: Option<RegionName>,
    /// The last error, until connected again.
    pub(crate) error: Option<String>,
    /// What a person is to do about it; `None`: it heals by itself.
    pub(crate) refused: Option<HaltCode>,
    /// The last record that the provider holds durably.
    pub(crate) offered: RecordNumber,
    /// The last record received, durable here or not.
    pub(crate) received: RecordNumber,
}

/// What was heard from a peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerState {
    /// Its last beat.
    pub(crate) beat: link::Beat,
    /// When it was heard, this region's clock, microseconds; 0 for never.
    pub(crate) heard_us: u64,
    /// How far its clock is ahead of ours, microseconds.
    pub(crate) ahead_us: Option<i64>,
    /// Round trip, microseconds.
    pub(crate) round_trip_us: Option<u64>,
    /// The last record of *our* log that it has made durable.
    pub(crate) acknowledged: RecordNumber,
}

impl PeerState {
    /// Whether something was heard so lately that it counts as being there: ten seconds, twice what a link lasts without a beat.
    pub(crate) fn is_heard(&self) -> bool {
        const SILENT_US: u64 = 10_000_000;
        now_us().saturating_sub(self.heard_us) <= SILENT_US
    }

    /// The last record of a region's log that it holds, as it says.
    pub(crate) fn holds(&self, origin: RegionName) -> RecordNumber {
        let holding = self.beat.holdings.iter().find(|holding| holding.origin == origin);
        holding.map(|holding| holding.durable).unwrap_or_default()
    }
}

/// Everything that status, health and metrics show.
pub(crate) struct Board {
    /// This region.
    pub(crate) region: RegionName,
    /// The other regions of the mesh but those that are lost.
    pub(crate) peers: Vec<RegionName>,
    /// Those that are lost, and whether nothing waits for them any more.
    pub(crate) lost: Mutex<BTreeMap<RegionName, bool>>,
    /// The mesh's name.
    pub(crate) mesh: String,
    /// Its fingerprint, in hexadecimal.
    pub(crate) fingerprint: String,
    /// The server that everything works on.
    pub(crate) server: Arc<Claimed>,
    /// The extractor.
    pub(crate) extractor: watch::Sender<ExtractorProgress>,
    /// Per origin, its application here.
    pub(crate) origins: BTreeMap<RegionName, watch::Sender<OriginProgress>>,
    /// The own transactions that MySQL lacked at the start; `None`: none.
    pub(crate) tail: OnceLock<Tail>,
    /// How they are applied.
    pub(crate) tail_progress: watch::Sender<OriginProgress>,
    /// Per origin, the pull of its log.
    pub(crate) pulls: Mutex<BTreeMap<RegionName, PullState>>,
    /// Per peer, what was heard.
    pub(crate) heard: Mutex<BTreeMap<RegionName, PeerState>>,
    /// The logs.
    pub(crate) logs: Arc<LogSet>,
    /// How much of the disk each of them may take.
    pub(crate) quota: Quota,
    /// The conflict journal.
    pub(crate) conflicts: Arc<ConflictJournal>,
    /// History index and extractor watermark.
    pub(crate) shared: Arc<Shared>,
    /// Tables that are not applied for now.
    pub(crate) suspensions: watch::Sender<Vec<Suspension>>,
    /// What people wish of the lane.
    pub(crate) wishes: Arc<Wishes>,
    /// Wakes the lanes.
    pub(crate) wake: Arc<Notify>,
}

impl Board {
    /// Pauses or resumes the application of `origin`, or of every origin. A resume also tries again after a halt.
    ///
    /// Returns false if there is no such origin.
    pub(crate) fn pause(&self, origin: Option<RegionName>, paused: bool) -> bool {
        let own = self.tail.get().map(|_| (&self.region, &self.tail_progress));
        let all = self.origins.iter().chain(own);
        let chosen: Vec<_> = all.filter(|(name, _)| origin.is_none_or(|origin| origin == **name)).collect();
        for (_, sender) in &chosen {
            sender.send_modify(|progress| {
                progress.paused = paused;
                progress.retry |= !paused;
            });
        }
        self.wake.notify_waiters();
        !chosen.is_empty()
    }

    /// Whether every write that this region knows is causally stable, and nothing durable waits to be applied.
    pub(crate) fn stable(&self) -> bool {
        let drained = self.origins.iter().all(|(origin, progress)| {
            let applied = progress.borrow().applied_record;
            let log = self.logs.get(*origin);
            let pulled = self.pulls.lock().get(origin).is_none_or(|pull| pull.offered <= log.log.durable());
            pulled && applied >= log.log.durable()
        });
        // What is held back of a suspended table may yet meet anything; so may what a failover lost.
        let back = |tail: &Tail| self.tail_progress.borrow().applied_sequence >= tail.end;
        let whole = self.suspensions.borrow().is_empty() && self.tail.get().is_none_or(back);
        drained && whole && self.shared.index.lock().stats().keys == 0
    }

    /// The last record of our own log that `peer` is known to have made durable, by what it acknowledged and by its beat.
    pub(crate) fn acknowledged(&self, peer: RegionName, heard: &PeerState) -> RecordNumber {
        heard.holds(self.region).max(heard.acknowledged).max(self.logs.acknowledged(peer))
    }

    /// Whether something stands still until a person acts.
    pub(crate) fn blocked(&self) -> bool {
        let extractor_halted = matches!(self.extractor.borrow().state, ExtractorState::Halted { .. });
        let stands = |sender: &watch::Sender<OriginProgress>| {
            let progress = sender.borrow();
            progress.paused || matches!(progress.state, applier::State::Halted { .. })
        };
        extractor_halted || self.origins.values().any(stands) || !self.suspensions.borrow().is_empty()
    }

    /// Whether every region says that all of its histories are stable, as far as heard.
    pub(crate) fn stable_everywhere(&self) -> bool {
        let heard = self.heard.lock();
        self.stable() && self.peers.iter().all(|peer| heard.get(peer).is_some_and(|state| state.beat.stable))
    }
}
