//! A run that is read from its first record to its last.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use transaction::KeyHash;

use super::{Entry, Part, RunPlace};
use crate::Error;

/// Records that are read in one go.
const AHEAD: usize = 64;

/// A place in a run that is written anew, and the records from there on, as far as they were read.
#[derive(Debug)]
pub(crate) struct Input {
    /// The number of the part.
    pub(crate) part: u64,
    regions: usize,
    ahead: VecDeque<(KeyHash, RunPlace, Entry)>,
    /// Behind what was read.
    next: RunPlace,
    ended: bool,
}

impl Input {
    /// The beginning of a part.
    pub(crate) fn of(part: &Part, regions: usize) -> Result<Self, Error> {
        let (ahead, next) = (VecDeque::with_capacity(AHEAD), RunPlace::default());
        let mut input = Self { part: part.number, regions, ahead, next, ended: false };
        input.fill(part)?;
        Ok(input)
    }

    /// Sees to it that two records are known, unless the run ends before.
    fn fill(&mut self, part: &Part) -> Result<(), Error> {
        if self.ahead.len() > 1 || self.ended {
            return Ok(());
        }
        let (mut malformed, mut ended) = (false, true);
        let Self { regions, ahead, next, .. } = self;
        part.run.read(*next, &mut |following, key, record| {
            let Some(entry) = Entry::decode(record, *regions) else {
                malformed = true;
                return ControlFlow::Break(());
            };
            ahead.push_back((key, *next, entry));
            *next = following;
            ended = ahead.len() < AHEAD;
            if ended { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        self.ended = ended;
        if malformed { Err(part.malformed()) } else { Ok(()) }
    }

    /// The key of the next record; `None` at the end.
    pub(crate) fn key(&self) -> Option<KeyHash> {
        self.ahead.front().map(|(key, ..)| *key)
    }

    /// Where the next record is; at the end, behind the last.
    pub(crate) fn place(&self) -> RunPlace {
        self.ahead.front().map_or(self.next, |(_, place, _)| *place)
    }

    /// Whether the next record is the only one of its key from here on.
    pub(crate) fn is_only(&self) -> bool {
        self.ahead.get(1).map(|(key, ..)| *key) != self.key()
    }

    /// The next record, which is passed.
    pub(crate) fn take(&mut self, part: &Part) -> Result<Option<Entry>, Error> {
        let taken = self.ahead.pop_front();
        self.fill(part)?;
        Ok(taken.map(|(.., entry)| entry))
    }

    /// Goes on at a later place.
    pub(crate) fn seek(&mut self, part: &Part, place: RunPlace) -> Result<(), Error> {
        while self.ahead.front().is_some_and(|(_, at, _)| *at != place) {
            self.ahead.pop_front();
        }
        if self.ahead.is_empty() {
            (self.next, self.ended) = (place, false);
        }
        self.fill(part)
    }
}
