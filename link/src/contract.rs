//! What the link needs from its owner: logs to read, logs to write, and somebody to ask.
//!
//! All methods are called from the runtime's threads: one that may block on a disk hands its work to a thread for it.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::sync::mpsc;
use transaction::{Halt, RecordNumber, RegionName};

use crate::beat::{Beat, Heard};
use crate::error::LinkError;
use crate::identity::Peer;

/// A future on the heap, so that the traits can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Consecutive records of one log, as they lie on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    /// Whole records, back to back.
    pub bytes: Vec<u8>,
    /// How many.
    pub count: u32,
    /// Number of the first.
    pub first: RecordNumber,
    /// Number of the last: `first + count - 1`.
    pub last: RecordNumber,
    /// Last durable record of the whole log at the sender, so that the receiver can tell how far behind it is.
    pub durable: RecordNumber,
}

/// A record that somebody holds, told apart from any other that ever had its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRecord {
    /// Its number.
    pub number: RecordNumber,
    /// Its checksum.
    pub checksum: u64,
}

/// How many records before the first one wanted a receiver tells of, at most.
pub const HELD_MAX: usize = 16;

/// The logs that this region holds, its own and copies of others.
pub trait LogProvider: Send + Sync + 'static {
    /// Opens `origin`'s log for `peer` at record `from`; 0 means the earliest record held.
    ///
    /// `from` may be one more than the last record held, or further on when this is a copy that lags behind the
    /// caller's: the stream then waits. `held` are the records before it as `peer` has them, at most [`HELD_MAX`], the last of
    /// them `from - 1`: where one is another record here, the logs differ and nothing may follow on it.
    fn open(
        &self,
        peer: RegionName,
        origin: RegionName,
        from: RecordNumber,
        held: Vec<HeldRecord>,
    ) -> BoxFuture<'_, Result<Box<dyn RecordStream>, ProviderError>>;

    /// `peer`'s copy of `origin`'s log is durable up to and including `durable`. Called when a pull opens and on each
    /// acknowledgement; the numbers of one connection never fall.
    fn acknowledged(&self, peer: RegionName, origin: RegionName, durable: RecordNumber);
}

/// A log, read forward by one peer.
pub trait RecordStream: Send {
    /// The next records, at least one and at most `bytes_max` bytes of them, unless the first alone is longer.
    ///
    /// Waits until there is a record that is *durable here*, then returns at once with what there is.
    fn next_batch(&mut self, bytes_max: usize) -> BoxFuture<'_, Result<RecordBatch, ProviderError>>;
}

/// Why a log cannot be sent. The peer is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No log of that origin is held.
    #[error("no log of this origin is held here")]
    UnknownOrigin,
    /// Retention has deleted the record asked for.
    #[error(
        "record {asked} has been deleted by retention; the first one held is {first}: pull from another region, or seed anew"
    )]
    Gone {
        /// Record asked for.
        asked: RecordNumber,
        /// First record held.
        first: RecordNumber,
    },
    /// The caller holds more of this log than its very origin does.
    #[error(
        "record {asked} is beyond the end of this log, whose last record is {last}: the log's own region has lost records \
         that its peers hold, and must take them back before it goes on"
    )]
    Ahead {
        /// Record asked for.
        asked: RecordNumber,
        /// Last record held.
        last: RecordNumber,
    },
    /// The caller holds another record under that number.
    #[error(
        "record {number} is another one here than the caller holds: the log's own region lost it and gave its number out again, or a data \
         directory was put back as it once was (RUNBOOK.md, link-log-differs)"
    )]
    Differs {
        /// The first such record.
        number: RecordNumber,
    },
    /// The log cannot be read.
    #[error("{0}")]
    Unavailable(String),
}

/// This region's copy of one origin's log, being written.
pub trait RecordSink: Send + Sync {
    /// The record to go on with: one more than the last one stored; 0 if the copy is empty and may begin anywhere.
    fn next_number(&self) -> RecordNumber;

    /// The last records before `next`, at most [`HELD_MAX`], in order, so that the peer can tell whether it holds the same; none if
    /// there are none or if it does not matter.
    fn held(&self, next: RecordNumber) -> BoxFuture<'_, Result<Vec<HeldRecord>, SinkError>> {
        let _ = next;
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Stores the batches, in order, and returns the last record that is durable then.
    ///
    /// They are dense, follow on what was stored before, and their checksums are right. Several batches come in one call
    /// when they arrived while the last call was under way, so one sync covers them. At most one call is under way
    /// per pull. A pull that ends with an error has awaited the call; one that is *dropped* has not, so a sink that
    /// works on a thread answers `next_number` only when that thread is done.
    fn store(&self, batches: Vec<RecordBatch>) -> BoxFuture<'_, Result<RecordNumber, SinkError>>;

    /// The peer has accepted the pull; its log of the origin is durable up to `durable` (0: it holds nothing yet).
    fn connected(&self, peer: &Peer, durable: RecordNumber) {
        let _ = (peer, durable);
    }

    /// Records up to `last` have arrived, the peer holds them up to `durable`.
    fn received(&self, last: RecordNumber, durable: RecordNumber) {
        let _ = (last, durable);
    }
}

/// Why a sink could not store. It has stored a prefix of the batches, maybe none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkError(
    /// Names the thing, the reason and the remedy.
    pub Halt,
);

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SinkError {}

/// What a region says about itself, hears from its peers, and answers.
pub trait Control: Send + Sync + 'static {
    /// The wall clock, microseconds since 1970.
    fn wall_us(&self) -> u64;

    /// What to tell a peer now. Called once per connection and heartbeat: it must be cheap.
    fn beat(&self) -> Beat;

    /// What a peer told.
    fn on_beat(&self, peer: RegionName, heard: Heard);

    /// Answers a question of `peer`.
    ///
    /// The answer's parts come through the channel, at any pace; its last item is [`Answer::End`] or
    /// [`Answer::Failed`]. A channel that closes before is an answer that broke off, and the peer is told so. When
    /// the peer goes away the receiver is dropped, so that sending fails and the producer can stop. A channel of
    /// [`ANSWER_QUEUE`](crate::ANSWER_QUEUE) items is a good size.
    fn ask(&self, peer: RegionName, kind: String, payload: Vec<u8>) -> mpsc::Receiver<Answer>;

    /// A connection that a peer made has ended with an error. The link has logged it already.
    fn on_server_error(&self, peer: Option<RegionName>, address: SocketAddr, error: &LinkError) {
        let _ = (peer, address, error);
    }
}

/// One item of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A part, of any length up to 1 GiB; parts keep their boundaries and order.
    Part(Vec<u8>),
    /// The answer is complete.
    End,
    /// The answer cannot be completed, with the reason and the remedy.
    Failed(String),
}
