//! Runs that lie in memory, and fail when they are told to.
// No test binary uses all of it.
#![allow(dead_code)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use conflict::{Error, Run, RunPlace, RunWriter, Runs, Visit};
use transaction::KeyHash;

/// Where the runs of one index are.
#[derive(Debug, Default)]
pub(crate) struct MemoryRuns {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: AtomicUsize,
    read: AtomicUsize,
    broken: AtomicBool,
}

#[derive(Debug)]
struct MemoryRun {
    records: Vec<(KeyHash, Vec<u8>)>,
    state: Arc<State>,
}

impl MemoryRuns {
    /// How many there are.
    pub(crate) fn kept(&self) -> usize {
        self.state.kept.load(Ordering::Relaxed)
    }

    /// How many records were read.
    pub(crate) fn read(&self) -> usize {
        self.state.read.load(Ordering::Relaxed)
    }

    /// From now on nothing can be written or read, or again it can.
    pub(crate) fn break_down(&self, broken: bool) {
        self.state.broken.store(broken, Ordering::Relaxed);
    }
}

impl State {
    fn check(&self) -> Result<(), Error> {
        match self.broken.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(broken()),
        }
    }
}

pub(crate) fn broken() -> Error {
    Error::Run { file: "memory".to_owned(), reason: "it was broken on purpose".to_owned() }
}

impl Runs for MemoryRuns {
    fn begin(&self, records_max: u64) -> Result<Box<dyn RunWriter>, Error> {
        self.state.check()?;
        assert!(records_max > 0);
        self.state.kept.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(MemoryRun { records: Vec::new(), state: self.state.clone() }))
    }

    fn bytes(&self) -> usize {
        0
    }
}

impl RunWriter for MemoryRun {
    fn push(&mut self, key: KeyHash, record: &[u8]) -> Result<(), Error> {
        self.state.check()?;
        assert!(record.len() <= conflict::RECORD_BYTES_MAX);
        assert!(self.records.last().is_none_or(|(last, _)| *last <= key), "keys come in order");
        self.records.push((key, record.to_vec()));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Arc<dyn Run>, Error> {
        self.state.check()?;
        assert!(!self.records.is_empty());
        Ok(Arc::from(self as Box<dyn Run>))
    }
}

impl Run for MemoryRun {
    fn find(&self, key: KeyHash) -> Result<Option<RunPlace>, Error> {
        self.state.check()?;
        let at = self.records.partition_point(|(other, _)| *other < key);
        Ok(self.records.get(at).filter(|(found, _)| *found == key).map(|_| RunPlace(at as u64)))
    }

    fn read(&self, from: RunPlace, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.state.check()?;
        for (at, (key, record)) in self.records.iter().enumerate().skip(from.0 as usize) {
            self.state.read.fetch_add(1, Ordering::Relaxed);
            if let ControlFlow::Break(()) = visit(RunPlace(at as u64 + 1), *key, record) {
                break;
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn bytes(&self) -> usize {
        0
    }

    fn disk_bytes(&self) -> u64 {
        self.records.iter().map(|(_, record)| record.len() as u64).sum()
    }
}

impl Drop for MemoryRun {
    fn drop(&mut self) {
        self.state.kept.fetch_sub(1, Ordering::Relaxed);
    }
}
