//! The writes of one key in one run, newest first.

use std::ops::ControlFlow;

use transaction::KeyHash;

use super::{Entry, Part, RunPlace};
use crate::Error;
use crate::write::Standing;

/// A point in a run: a write, and everything older of the same key.
#[derive(Debug, Clone)]
pub(crate) struct SpilledCursor<'a> {
    pub(crate) part: &'a Part,
    key: KeyHash,
    regions: usize,
    /// `None` at the end.
    pub(crate) head: Option<Entry>,
    /// Behind the head; at the end, behind all of this key.
    next: RunPlace,
    /// Whether the run is a batch's.
    pub(crate) from_batch: bool,
}

impl<'a> SpilledCursor<'a> {
    /// The newest write of the key; `None` if the run has none.
    pub(crate) fn find(part: &'a Part, key: KeyHash, regions: usize) -> Result<Option<Self>, Error> {
        match part.run.find(key)? {
            Some(place) => Self::at(part, key, place, regions).map(Some),
            None => Ok(None),
        }
    }

    /// The write at this place.
    pub(crate) fn at(part: &'a Part, key: KeyHash, place: RunPlace, regions: usize) -> Result<Self, Error> {
        let mut cursor = Self { part, key, regions, head: None, next: place, from_batch: false };
        cursor.advance()?;
        Ok(cursor)
    }

    /// Goes on to the next older write.
    pub(crate) fn advance(&mut self) -> Result<(), Error> {
        let Self { part, key, regions, head, next, .. } = self;
        *head = None;
        let mut malformed = false;
        part.run.read(*next, &mut |following, found, record| {
            if found == *key {
                *head = Entry::decode(record, *regions);
                *next = following;
                malformed = head.is_none();
            }
            ControlFlow::Break(())
        })?;
        match malformed {
            false => Ok(()),
            true => Err(part.malformed()),
        }
    }

    /// Passes what is left of the key, and says where the next one begins.
    pub(crate) fn end(mut self) -> Result<RunPlace, Error> {
        while self.head.is_some() {
            self.advance()?;
        }
        Ok(self.next)
    }

    pub(crate) fn place(&self) -> Option<Standing> {
        self.head.as_ref().map(|head| head.place)
    }

    /// As of a chain in memory: whether a writer at `place`, which had seen `seen`, had seen every write from here down.
    pub(crate) fn covered_by(&self, seen: &[u64], place: &Standing) -> Result<bool, Error> {
        let covers = |head: &Entry| head.place.is(place) || place.covers(seen, &head.place);
        let ends = |head: &Entry| head.covers && !head.place.is(place);
        let Some(head) = &self.head else { return Ok(true) };
        if !covers(head) {
            return Ok(false);
        }
        if ends(head) {
            return Ok(true);
        }
        let mut rest = self.clone();
        loop {
            rest.advance()?;
            match &rest.head {
                None => return Ok(true),
                Some(head) if !covers(head) => return Ok(false),
                Some(head) if ends(head) => return Ok(true),
                Some(_) => {}
            }
        }
    }
}
