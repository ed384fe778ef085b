//! A raw replica connection: speaks to a MySQL server as a replica does and hands out the bytes of its binlog events.
//!
//! **What it is.** Blocking code for a thread of its own: log in ([`ReplicaConnection::connect`]), ask small questions
//! ([`ReplicaConnection::query`]), then read events for ever ([`ReplicaConnection::dump`], [`BinlogStream::next_event`]).
//!
//! **What it is not.** It does not look into events beyond their header, checksum and rotation, keeps nothing, never
//! reconnects by itself and never acknowledges (semi-synchronous replication is not asked for).
//!
//! **Invariants.**
//! - An event that is handed out has the length that its header says and, if the source writes checksums, a right one.
//! - Foreign bytes never panic, and memory grows as bytes arrive, not as a header promises.
//! - The password crosses the wire only scrambled, under TLS, or encrypted with the server's key.
//! - Every wait has an end: the heartbeat period is set, and silence beyond the read timeout is an error.
//!
//! **Where to start.** [`connection`](ReplicaConnection), then [`stream`](BinlogStream); below them `channel` (errors),
//! `packet` (frames) and `socket` (TCP and TLS). `handshake`, `auth` and `track` decide and touch no socket.

mod auth;
mod bytes;
mod channel;
mod connection;
mod error;
pub mod foreign;
mod handshake;
mod options;
mod packet;
mod query;
mod rsa_key;
mod scramble;
mod server_error;
mod socket;
mod stream;
mod tls;
mod track;

pub use connection::{ReplicaConnection, Server};
pub use error::{Remedy, ReplicaError};
pub use options::{ReplicaOptions, TlsMode};
pub use query::Row;
pub use server_error::ServerError;
pub use socket::Interrupt;
pub use stream::BinlogStream;
