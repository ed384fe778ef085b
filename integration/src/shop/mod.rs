//! A small shop that writes in every region at once, and the referee of what became of its writes.
//!
//! Each [`writer`] keeps a [`ledger`] of what the server said it committed. Most rows belong to the writer that made them;
//! some are written by all on purpose. The [`checker`] reads the ledgers and the tables and shares nothing with Concord.
//! [`probe`] measures how long a commit takes to be seen elsewhere, with one clock: its own.

pub mod checker;
pub mod dice;
pub mod ledger;
pub mod probe;
pub mod schema;
pub mod writer;
