//! A run, and what the index remembers of it.

use std::sync::Arc;

use smallvec::SmallVec;
use transaction::KeyHash;

use super::{Entry, Run, RunWriter};
use crate::Error;
use crate::regions::OWN_ORDER;
use crate::stability::Stability;

/// A part of the index that lies in a run.
#[derive(Debug)]
pub(crate) struct Part {
    /// No other part has it.
    pub(crate) number: u64,
    pub(crate) run: Arc<dyn Run>,
    pub(crate) writes: u64,
    pub(crate) keys: u64,
    /// Per origin, what it holds.
    pub(crate) spans: SmallVec<[Span; 4]>,
    /// Per origin, the highest sequence number up to which all unstable writes in it cover everything, or less.
    pub(crate) covered: SmallVec<[u64; 4]>,
    /// Per origin, how much was stable when its histories were last looked at.
    pub(crate) checked: SmallVec<[u64; 4]>,
    /// How often pruning met since then a key that it holds.
    pub(crate) met: u64,
    /// What was left waiting, summed up over the calls of pruning.
    pub(crate) waited: u64,
}

/// The transactions of one origin in a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The lowest sequence number; `u64::MAX` if there is none.
    pub(crate) first: u64,
    /// The highest; 0 if there is none.
    pub(crate) last: u64,
    pub(crate) writes: u64,
}

impl Part {
    pub(crate) fn malformed(&self) -> Error {
        Error::Run { file: self.run.name(), reason: "a record is malformed".to_owned() }
    }

    /// About how many of its writes have become stable since they were last looked at; 0 only if none has.
    pub(crate) fn news(&self, stability: &Stability) -> u64 {
        let spans = self.spans.iter().zip(&self.checked).enumerate();
        let news = spans.map(|(origin, (span, checked))| {
            let from = span.first.max(checked.saturating_add(1));
            let to = span.last.min(stability.stable(origin as u8));
            if from > to {
                return 0;
            }
            let (part, whole) = (u128::from(to - from + 1), u128::from(span.last - span.first + 1));
            (u128::from(span.writes) * part).div_ceil(whole) as u64
        });
        news.sum()
    }

    /// Whether every write in it is stable.
    pub(crate) fn is_stable(&self, stability: &Stability) -> bool {
        self.spans.iter().enumerate().all(|(origin, span)| span.last <= stability.stable(origin as u8))
    }

    /// Whether enough of it may leave, or has waited for so long, that it is to be written anew.
    pub(crate) fn is_due(&self, stability: &Stability, eager: bool) -> bool {
        let news = self.news(stability);
        let found = news + self.met;
        found > 0
            && (eager
                || 2 * found >= self.writes
                || (news > 0 && self.is_stable(stability))
                || self.waited >= self.writes.saturating_mul(256))
    }
}

/// A part that is being written.
#[derive(Debug)]
pub(crate) struct PartWriter {
    run: Box<dyn RunWriter>,
    record: Vec<u8>,
    last: Option<KeyHash>,
    writes: u64,
    keys: u64,
    spans: SmallVec<[Span; 4]>,
    covered: SmallVec<[u64; 4]>,
}

impl PartWriter {
    pub(crate) fn new(run: Box<dyn RunWriter>, regions: usize) -> Self {
        let none = Span { first: u64::MAX, last: 0, writes: 0 };
        Self {
            run,
            record: Vec::new(),
            last: None,
            writes: 0,
            keys: 0,
            spans: SmallVec::from_elem(none, regions),
            covered: SmallVec::from_elem(u64::MAX, regions),
        }
    }

    /// Appends a write; those of one key come newest first.
    pub(crate) fn push(&mut self, key: KeyHash, entry: &Entry, stability: &Stability) -> Result<(), Error> {
        self.record.clear();
        entry.encode(&mut self.record);
        self.run.push(key, &self.record)?;
        self.writes += 1;
        self.keys += u64::from(self.last.replace(key) != Some(key));
        let (origin, sequence) = (entry.place.origin, entry.place.sequence);
        let span = &mut self.spans[usize::from(origin)];
        span.first = span.first.min(sequence);
        span.last = span.last.max(sequence);
        span.writes += 1;
        if sequence > stability.stable(origin) {
            for (covered, seen) in self.covered.iter_mut().zip(&entry.seen) {
                if *seen != OWN_ORDER {
                    *covered = (*covered).min(*seen);
                }
            }
        }
        Ok(())
    }

    /// `None` if nothing was written. `checked`: how much was stable when the histories were looked at.
    pub(crate) fn finish(self, number: u64, checked: SmallVec<[u64; 4]>) -> Result<Option<Part>, Error> {
        if self.writes == 0 {
            return Ok(None);
        }
        let Self { run, writes, keys, spans, covered, .. } = self;
        let run = run.finish()?;
        Ok(Some(Part { number, run, writes, keys, spans, covered, checked, met: 0, waited: 0 }))
    }
}
