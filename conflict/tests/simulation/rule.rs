//! The policies a second time, by values and from their tables alone: the oracle that the crate is held against.

use std::sync::Arc;

use conflict::{Columns, Deletes, Halt, LastWriterWins, Policy, RegionOwned};

use super::change::{Change, name};
use super::row::{CENTS_MAX, Row};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    LastWriter,
    /// Region 1 owns every row.
    Owner,
    OwnerColumn,
    Columns,
    Halt,
}

/// A policy with its modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    pub(crate) deletes: Deletes,
}

/// What a fold makes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Row(Option<Row>),
    Halted,
}

/// The row during a fold of the oracle; counters may be beyond their columns.
#[derive(Debug, Clone, Copy)]
enum State {
    Gone,
    Whole(Row),
    Merged { row: Row, count: i64, cents: i64 },
    Halted,
}

impl Rule {
    pub(crate) const COUNT: usize = 15;

    pub(crate) fn number(number: usize) -> Self {
        use Kind::*;
        let kind = [LastWriter, Owner, OwnerColumn, Columns, Halt][number % 5];
        let deletes = [Deletes::ByRule, Deletes::Win, Deletes::Lose][number / 5 % 3];
        Self { kind, deletes }
    }

    pub(crate) const fn plain(kind: Kind) -> Self {
        Self { kind, deletes: Deletes::ByRule }
    }

    /// The crate's policy.
    pub(crate) fn policy(self) -> Arc<dyn Policy> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        self.deletes.around(match self.kind {
            Kind::LastWriter => Arc::new(LastWriterWins),
            Kind::Owner => Arc::new(RegionOwned::Fixed(name(1))),
            Kind::OwnerColumn => Arc::new(RegionOwned::Column("Owner".into())),
            Kind::Columns => Arc::new(Columns {
                counter: names(&["count", "cents"]),
                max: names(&["high"]),
                min: names(&["LOW"]),
                set_union: names(&["tags"]),
            }),
            Kind::Halt => Arc::new(Halt),
        })
    }

    fn owns(self, change: &Change) -> bool {
        match self.kind {
            Kind::Owner => change.origin == 1,
            _ => change.before.or(change.after).is_some_and(|row| row.owner == change.origin),
        }
    }

    fn step(self, state: State, next: &Change, rivals: &[&Change]) -> State {
        let whole = next.after.map_or(State::Gone, State::Whole);
        let client_deletes = |change: &Change| change.after.is_none() && change.repair.is_none();
        let gone = matches!(state, State::Gone);
        let decides = self.kind == Kind::Halt && next.repair.is_some();
        if matches!(state, State::Halted) {
            return if decides { whole } else { State::Halted };
        }
        match self.deletes {
            Deletes::Win if client_deletes(next) => return State::Gone,
            Deletes::Win if gone && next.after.is_some() && rivals.iter().any(|p| client_deletes(p)) => {
                return State::Gone;
            }
            Deletes::Lose if client_deletes(next) && !gone && rivals.iter().any(|p| p.after.is_some()) => {
                return state;
            }
            Deletes::Lose if gone && next.after.is_some() && rivals.iter().any(|p| client_deletes(p)) => {
                return whole;
            }
            _ => {}
        }
        match self.kind {
            Kind::LastWriter => whole,
            Kind::Owner | Kind::OwnerColumn => {
                if !self.owns(next) && rivals.iter().any(|p| self.owns(p)) {
                    state
                } else {
                    whole
                }
            }
            Kind::Columns => merge(state, next, rivals),
            Kind::Halt => {
                if decides {
                    whole
                } else {
                    State::Halted
                }
            }
        }
    }
}

fn merge(state: State, next: &Change, rivals: &[&Change]) -> State {
    let Some(after) = next.after else { return State::Gone };
    let (row, count, cents) = match state {
        State::Whole(row) => (row, i64::from(row.count), i64::from(row.cents)),
        State::Merged { row, count, cents } => (row, count, cents),
        State::Gone | State::Halted => return State::Whole(after),
    };
    if next.repair.is_some() {
        return State::Whole(after);
    }
    let mut merged = row;
    let before = next.before;
    macro_rules! changed {
        ($($column:ident),*) => {$(
            if before.is_none_or(|before| before.$column != after.$column) {
                merged.$column = after.$column;
            }
        )*};
    }
    changed!(a, b, owner, u, v);
    merged.high = row.high.max(after.high);
    merged.low = row.low.min(after.low);
    let found = before.map_or(0, |before| before.tags);
    let mut added = 0;
    for rival in rivals.iter().filter(|rival| rival.repair.is_none()) {
        if let Some(after) = rival.after {
            added |= after.tags & !rival.before.map_or(0, |before| before.tags);
        }
    }
    merged.tags = (row.tags | (after.tags & !found)) & !(found & !after.tags & !added);
    State::Merged {
        row: merged,
        count: count + i64::from(after.count) - before.map_or(0, |before| i64::from(before.count)),
        cents: cents + i64::from(after.cents) - before.map_or(0, |before| i64::from(before.cents)),
    }
}

/// Sorts all changes ever made to a key, and folds them.
pub(crate) fn fold(rule: Rule, changes: &[&Change]) -> Verdict {
    let mut sorted = changes.to_vec();
    sorted.sort_by_key(|change| change.order());
    let rivals = |at: usize| -> Vec<&Change> {
        let next = sorted[at];
        sorted[..at].iter().copied().filter(|other| next.concurrent(other)).collect()
    };
    // What came before a write that is concurrent with nothing does not matter, so the fold may as well start there.
    let Some(start) = (0..sorted.len()).rev().find(|at| rivals(*at).is_empty()) else {
        return Verdict::Row(None);
    };
    let whole = |change: &Change| change.after.map_or(State::Gone, State::Whole);
    let last = (start + 1..sorted.len())
        .fold(whole(sorted[start]), |state, at| rule.step(state, sorted[at], &rivals(at)));
    match last {
        State::Gone => Verdict::Row(None),
        State::Whole(row) => Verdict::Row(Some(row)),
        State::Halted => Verdict::Halted,
        State::Merged { row, count, cents } => {
            let fits = cents.abs() <= CENTS_MAX;
            let merged = i16::try_from(count).ok().filter(|_| fits);
            let merged = merged.map(|count| Row { count, cents: cents as i32, ..row });
            let newest = || sorted[start..].iter().rev().find_map(|change| change.after);
            Verdict::Row(merged.filter(Row::passes).or_else(newest))
        }
    }
}
