//! Policies of the simulation, each twice: by images, as the independent oracle folds, and as the crate's trait.

use conflict::policy::{LastWriterWins, Policy};
use conflict::{Concurrent, Write};

use super::change::{Change, Image, Seen, name};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    LastWriter,
    Owner,
    DeleteWins,
    UpdateWins,
    Columns,
    Highest,
}

impl Rule {
    pub(crate) const ALL: [Rule; 6] =
        [Self::LastWriter, Self::Owner, Self::DeleteWins, Self::UpdateWins, Self::Columns, Self::Highest];

    /// The row after `next`, by images, given what it is concurrent with.
    fn step(self, row: Option<Image>, next: &Change, concurrent: &[&Change]) -> Option<Image> {
        match self {
            Self::LastWriter => next.after,
            Self::Owner if next.origin != 0 && concurrent.iter().any(|other| other.origin == 0) => row,
            Self::DeleteWins if row.is_none() && concurrent.iter().any(|other| other.after.is_none()) => None,
            Self::UpdateWins
                if next.after.is_none()
                    && row.is_some()
                    && concurrent.iter().any(|other| other.after.is_some()) =>
            {
                row
            }
            Self::Owner | Self::DeleteWins | Self::UpdateWins => next.after,
            Self::Columns => merge(row, next),
            Self::Highest => highest(row, next),
        }
    }

    /// The policy that takes one write's image whole, if the rule is of that kind.
    pub(crate) fn whole(self) -> Option<&'static dyn Policy<Row = Write>> {
        match self {
            Self::LastWriter => Some(&LastWriterWins),
            Self::Owner => Some(&Owner),
            Self::DeleteWins => Some(&DeleteWins),
            Self::UpdateWins => Some(&UpdateWins),
            Self::Columns | Self::Highest => None,
        }
    }
}

fn merge(row: Option<Image>, next: &Change) -> Option<Image> {
    let after = next.after?;
    let (Some(row), Some(before)) = (row, next.before) else { return Some(after) };
    Some(Image {
        a: if after.a == before.a { row.a } else { after.a },
        b: if after.b == before.b { row.b } else { after.b },
        count: row.count + after.count - before.count,
    })
}

fn highest(row: Option<Image>, next: &Change) -> Option<Image> {
    let after = next.after?;
    let a = row.map_or(after.a, |row| row.a.max(after.a));
    Some(Image { a, ..after })
}

/// The oracle: sorts all changes ever made to a key, and folds them.
pub(crate) fn fold(rule: Rule, changes: &[&Change]) -> Option<Image> {
    let mut sorted = changes.to_vec();
    sorted.sort_by_key(|change| change.order());
    let concurrent = |at: usize| {
        let next = sorted[at];
        sorted[..at].iter().copied().filter(move |other| next.concurrent(other))
    };
    // What came before a write that is concurrent with nothing does not matter, so the fold may as well start there.
    let start = (0..sorted.len()).rev().find(|at| concurrent(*at).next().is_none())?;
    (start + 1..sorted.len()).fold(sorted[start].after, |row, at| {
        let rivals: Vec<&Change> = concurrent(at).collect();
        if rivals.is_empty() { sorted[at].after } else { rule.step(row, sorted[at], &rivals) }
    })
}

struct Owner;

impl Policy for Owner {
    type Row = Write;
    fn take(&self, next: &Write) -> Write {
        *next
    }
    fn step(&self, row: Write, next: &Write, mut concurrent: Concurrent<'_>) -> Write {
        let loses = !self.decides(next) && concurrent.any(|other| other.id.origin == name(0));
        if loses { row } else { *next }
    }
    fn decides(&self, next: &Write) -> bool {
        next.id.origin == name(0)
    }
}

struct DeleteWins;

impl Policy for DeleteWins {
    type Row = Write;
    fn take(&self, next: &Write) -> Write {
        *next
    }
    fn step(&self, row: Write, next: &Write, mut concurrent: Concurrent<'_>) -> Write {
        let loses = next.live && !row.live && concurrent.any(|other| !other.live);
        if loses { row } else { *next }
    }
    fn decides(&self, next: &Write) -> bool {
        !next.live
    }
}

struct UpdateWins;

impl Policy for UpdateWins {
    type Row = Write;
    fn take(&self, next: &Write) -> Write {
        *next
    }
    fn step(&self, row: Write, next: &Write, mut concurrent: Concurrent<'_>) -> Write {
        let loses = !next.live && row.live && concurrent.any(|other| other.live);
        if loses { row } else { *next }
    }
    fn decides(&self, next: &Write) -> bool {
        next.live
    }
}

/// A rule that merges images, which it reads from the logs.
pub(crate) struct Merging<'a> {
    pub(crate) rule: Rule,
    pub(crate) changes: &'a [&'a Change],
    /// The first sequence number that each log still holds.
    pub(crate) kept_from: Seen,
}

impl Merging<'_> {
    fn read(&self, write: &Write) -> &Change {
        let change = self.changes.iter().find(|change| change.is(write)).unwrap();
        assert!(
            change.sequence >= self.kept_from[change.origin],
            "an image was deleted that is still needed"
        );
        change
    }
}

impl Policy for Merging<'_> {
    type Row = Option<Image>;
    fn take(&self, next: &Write) -> Option<Image> {
        self.read(next).after
    }
    fn step(&self, row: Option<Image>, next: &Write, concurrent: Concurrent<'_>) -> Option<Image> {
        let concurrent: Vec<&Change> = concurrent.map(|write| self.read(&write)).collect();
        self.rule.step(row, self.read(next), &concurrent)
    }
}
