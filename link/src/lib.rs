//! Ships log records between regions. `PROTOCOL.md` beside this crate is the promise; this is its code.
//!
//! **What it is.** A receiver connects to a peer, both say who they are, and the receiver pulls: "send me the log of
//! origin `o` from record `n`". Batches of records travel as they lie on disk, compressed, within a credit that the receiver
//! grants; the receiver verifies them, hands them to its [`RecordSink`] and acknowledges what the sink calls durable. On the
//! same port a region can ask a peer a question ([`Link::ask`]) and gets a stream of bytes back: table digests, snapshots.
//!
//! **What it is not.** It never looks into a record beyond its header and checksum, stores nothing, decides nothing
//! about retries ([`Backoff`] only computes) and does not know what a question means. It reads no configuration and
//! no clock: wall time comes from [`Control::wall_us`], all waiting is on the clock of the runtime.
//!
//! **Invariants.**
//! - Nothing but two hellos passes before both sides have compared protocol, log format, mesh, regions and epoch.
//! - With [`Security::Mutual`], each side's certificate names the region that it claims to be, and no connection outlives a
//!   renewal of this side's certificates.
//! - What is sent and not yet acknowledged never exceeds the receiver's window, except that one record larger than the
//!   window may travel alone. The sender asserts it, the receiver checks it.
//! - A sink is handed only records that are dense, in order, and whose checksums are right.
//! - An acknowledgement names only what the sink has called durable.
//! - A frame's memory is allocated as its bytes arrive, up to a limit that depends on its kind and on the state.
//! - An answer that breaks off is an error, never a shorter answer.
//!
//! **Where to start.** [`Link`] for what it does, [`contract`] for what it needs, `PROTOCOL.md` for what travels,
//! `sender.rs` and `receiver.rs` for the two ends of a pull.

mod answer;
mod backoff;
mod beat;
pub mod code;
mod congestion;
pub mod contract;
mod credit;
mod error;
pub mod foreign;
#[cfg(test)]
mod foul_play;
mod frame;
mod greetings;
mod handshake;
mod identity;
mod link;
mod message;
mod pack;
mod question;
mod receiver;
mod records;
mod refusal;
mod renewal;
mod sender;
mod server;
mod socket;
mod speaker;
mod tls;
mod wire;

pub use answer::ANSWER_QUEUE;
pub use backoff::Backoff;
pub use beat::{Beat, ClockMeasure, Heard, Holding};
pub use contract::{
    Answer, BoxFuture, Control, HELD_MAX, HeldRecord, LogProvider, ProviderError, RecordBatch, RecordSink,
    RecordStream, SinkError,
};
pub use error::{LinkError, Trouble};
pub use identity::{Formats, Identity, PROTOCOL_NEWEST, PROTOCOL_OLDEST, Peer};
pub use link::{Link, Options, Target};
pub use question::AnswerStream;
pub use refusal::{Refusal, RefusalCode};
pub use renewal::{Renewal, Tls};
pub use tls::{Security, TlsFiles};
