//! Fifty rows that clients of all regions fight over, and a referee who knows what each policy allows.
//!
//! Each [`writer`] keeps a [`ledger`]: per committed transaction, what every row was before and after. The [`checker`] reads the
//! ledgers and the final tables, nothing else, and says which rows hold something that their table's policy cannot have left there.
//! [`run`] is the whole course: servers, writers, kills, quiet, judgement. [`stage`] is for the short plays in `tests/`: it holds
//! regions back, so that writes are concurrent by construction and arrive in a chosen order. [`conflicts`] reads what
//! `concord conflicts list` says.
//!
//! A new table or policy is an entry in [`schema::TABLES`], what writers do with it in [`writer`], and a rule in [`checker`].

pub mod checker;
pub mod conflicts;
pub mod ledger;
pub mod run;
pub mod schema;
pub mod stage;
pub mod writer;
