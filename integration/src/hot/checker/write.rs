//! One write of one row, and what is certain about the order of two.

use super::super::ledger::{Change, Image, Transaction};
use super::shown;
use std::fmt;

/// By how much two clock readings must differ to say which came first, in microseconds. Stamps are commit times made monotonic, which may
/// put one a few microseconds later than its commit.
const MARGIN_US: u64 = 2_000;

/// One write of one row.
#[derive(Debug, Clone)]
pub struct Write<'a> {
    /// Where it was written; empty for the state at the beginning.
    pub region: &'a str,
    /// Who wrote it, and which of the writer's transactions it was in.
    pub writer: (&'a str, u64),
    /// Its place among its region's writes of this row.
    pub ticket: u64,
    /// The row before.
    pub before: Option<&'a Image>,
    /// The row after.
    pub after: Option<&'a Image>,
    /// When its COMMIT was sent, in microseconds.
    pub sent_us: u64,
    /// When it was acknowledged, in microseconds; `None`: it is in doubt.
    pub acknowledged_us: Option<u64>,
}

impl<'a> Write<'a> {
    /// A change of a ledger.
    pub fn of(transaction: &'a Transaction, change: &'a Change) -> Self {
        Self {
            region: &transaction.region,
            writer: (&transaction.writer, transaction.number),
            ticket: change.ticket,
            before: change.before.as_ref(),
            after: change.after.as_ref(),
            sent_us: transaction.sent_us,
            acknowledged_us: transaction.acknowledged_us,
        }
    }

    /// The state at the beginning, which every region has seen before anybody wrote.
    pub fn start(image: Option<&'a Image>) -> Self {
        Self {
            region: "",
            writer: ("the beginning", 0),
            ticket: 0,
            before: None,
            after: image,
            sent_us: 0,
            acknowledged_us: Some(0),
        }
    }

    /// Whether it is certain that it happened.
    pub fn is_certain(&self) -> bool {
        self.acknowledged_us.is_some()
    }

    /// Whether it is certain that this write happened and that it comes after `earlier` in fold order, if that one happened.
    pub fn follows(&self, earlier: &Write<'_>) -> bool {
        if !self.is_certain() || self.is(earlier) {
            return false;
        }
        let in_its_region = self.region == earlier.region && self.ticket > earlier.ticket;
        // Images with their tokens are unique, so whoever found this one had seen who left it.
        let saw_it = self.before.is_some() && self.before == earlier.after;
        in_its_region || saw_it || self.is_later_by_the_clock(earlier)
    }

    /// Whether `earlier` was acknowledged before this write's COMMIT was sent.
    pub fn is_later_by_the_clock(&self, earlier: &Write<'_>) -> bool {
        earlier.acknowledged_us.is_some_and(|acknowledged| acknowledged + MARGIN_US < self.sent_us)
    }

    /// Whether both are the same write.
    pub fn is(&self, other: &Write<'_>) -> bool {
        self.ticket == other.ticket
    }
}

impl fmt::Display for Write<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (writer, number) = self.writer;
        let doubt = if self.is_certain() { "" } else { " (in doubt)" };
        let (before, after) = (shown(self.before), shown(self.after));
        write!(
            out,
            "#{} {writer} transaction {number} at {}{doubt}: {before} -> {after}",
            self.ticket, self.sent_us
        )
    }
}
