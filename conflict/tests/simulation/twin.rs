//! Two indexes that are fed alike: one keeps everything in memory, the other moves nearly all of it to runs. Every answer is
//! compared.

use std::sync::Arc;

use conflict::{Error, Floor, Lacks, Pruned, Resolution, SpillLimits, Stats, Story, Write};
use transaction::{Context, Hlc, KeyHash, RegionName, RepairPlace, Sequence};

use super::runs::MemoryRuns;

/// An index, and beside it one that spills, if it was asked for.
#[derive(Debug)]
pub(crate) struct Index {
    plain: conflict::Index,
    spilling: Option<Spilling>,

    /// Nothing has happened since both said that there is nothing more to prune.
    settled: bool,
}

#[derive(Debug)]
struct Spilling {
    index: conflict::Index,
    runs: Arc<MemoryRuns>,
    eager: bool,
}

impl Index {
    pub(crate) fn new(regions: &[RegionName], own: RegionName, limits: Option<SpillLimits>) -> Self {
        let new = || conflict::Index::new(regions, own).unwrap();
        let spilling = limits.map(|limits| {
            let runs = Arc::new(MemoryRuns::default());
            Spilling { index: new().spilling(runs.clone(), limits), runs, eager: limits.eager }
        });
        Self { plain: new(), spilling, settled: false }
    }

    pub(crate) fn insert(
        &mut self,
        origin: RegionName,
        sequence: Sequence,
        hlc: Hlc,
        context: &Context,
        repairs: &[RepairPlace],
        writes: impl IntoIterator<Item = (KeyHash, u32, bool)>,
    ) -> Result<bool, Error> {
        self.settled = false;
        let writes: Vec<_> = writes.into_iter().collect();
        let new = self.plain.insert(origin, sequence, hlc, context, repairs, writes.clone())?;
        if let Some(Spilling { index, .. }) = &mut self.spilling {
            assert_eq!(new, index.insert(origin, sequence, hlc, context, repairs, writes)?);
        }
        Ok(new)
    }

    pub(crate) fn observe(
        &mut self,
        region: RegionName,
        context: &Context,
        own_last: Sequence,
    ) -> Result<(), Error> {
        self.settled = false;
        if let Some(Spilling { index, .. }) = &mut self.spilling {
            index.observe(region, context, own_last)?;
        }
        self.plain.observe(region, context, own_last)
    }

    pub(crate) fn stable(&self, origin: RegionName) -> Result<Sequence, Error> {
        self.plain.stable(origin)
    }

    pub(crate) fn is_stable(&self, origin: RegionName, sequence: Sequence) -> Result<bool, Error> {
        self.plain.is_stable(origin, sequence)
    }

    pub(crate) fn prune(&mut self, keys_max: usize) -> Pruned {
        let mut done = self.plain.prune(keys_max).unwrap();
        let Some(Spilling { index, eager, .. }) = &mut self.spilling else { return done };
        let mut more = index.prune(keys_max).unwrap().more;
        while keys_max > 3 && (more || done.more) {
            let again = self.plain.prune(keys_max).unwrap();
            done.writes += again.writes;
            done.more = again.more;
            more = index.prune(keys_max).unwrap().more;
        }
        self.settled = !more && !done.more;
        // A lazy one leaves a run as it is until enough of it may leave, or it has been passed over often enough.
        let mut passes = 256 * index.stats().writes;
        while self.settled && self.plain.stats().writes == 0 && index.stats().writes > 0 && passes > 0 {
            index.prune(keys_max).unwrap();
            passes -= 1;
        }
        if self.settled && *eager {
            assert_eq!(self.plain.stats().writes, index.stats().writes, "the same writes are left");
        }
        done
    }

    pub(crate) fn floor(&self) -> Floor {
        let plain = self.plain.floor();
        let Some(Spilling { index, eager, .. }) = &self.spilling else { return plain };
        let floor = index.floor();
        for ((_, plain), (_, spilling)) in plain.sequences().zip(floor.sequences()) {
            assert!(!self.settled || spilling <= plain, "what has to stay in memory has to stay in a run");
        }
        if self.settled && *eager {
            assert_eq!(plain, floor);
        }
        floor
    }

    pub(crate) fn lacks(&mut self) -> Option<Lacks> {
        let plain = self.plain.lacks().unwrap();
        if let Some(Spilling { index, .. }) = &mut self.spilling {
            assert_eq!(index.lacks().unwrap(), plain);
            while index.tidy(3).unwrap() {}
            assert_eq!(index.lacks().unwrap(), plain);
        }
        plain
    }

    pub(crate) fn stats(&self) -> Stats {
        let stats = self.plain.stats();
        if let Some(Spilling { index, runs, .. }) = &self.spilling {
            let spilling = index.stats();
            assert_eq!(spilling.writes == 0, spilling.keys == 0);
            if self.settled && stats.writes == 0 {
                assert_eq!((spilling.keys, spilling.writes, spilling.transactions), (0, 0, 0));
                assert_eq!(runs.kept(), 0, "a run that nobody needs is deleted");
            }
        }
        stats
    }

    /// How many runs there are.
    pub(crate) fn runs(&self) -> usize {
        self.spilling.as_ref().map_or(0, |spilling| spilling.index.stats().runs)
    }

    pub(crate) fn story(&self, key: KeyHash) -> Option<Story> {
        let story = self.plain.story(key).unwrap();
        if let Some(Spilling { index, .. }) = &self.spilling {
            let other = index.story(key).unwrap();
            if self.settled || (story.is_some() && other.is_some()) {
                assert_eq!(other, story);
            }
            let newest = story.as_ref().and_then(|story| story.newest().copied());
            assert_eq!(self.plain.newest(key).unwrap(), newest);
            assert_eq!(index.newest(key).unwrap(), other.and_then(|story| story.newest().copied()));
        }
        story
    }

    pub(crate) fn batch(&self) -> Batch {
        Batch {
            plain: self.plain.batch(),
            spilling: self.spilling.as_ref().map(|spilling| spilling.index.batch()),
        }
    }
}

/// A batch over each of the two.
#[derive(Debug)]
pub(crate) struct Batch {
    plain: conflict::Batch,
    spilling: Option<conflict::Batch>,
}

impl Batch {
    fn pair<'a>(&'a self, index: &'a Index) -> Option<(&'a conflict::Batch, &'a conflict::Index)> {
        Some((self.spilling.as_ref()?, &index.spilling.as_ref()?.index))
    }

    pub(crate) fn transaction(
        &mut self,
        origin: RegionName,
        sequence: Sequence,
        hlc: Hlc,
        context: &Context,
        repairs: &[RepairPlace],
    ) -> Result<BatchTransaction<'_>, Error> {
        let spilling = match &mut self.spilling {
            Some(batch) => Some(batch.transaction(origin, sequence, hlc, context, repairs)?),
            None => None,
        };
        let plain = self.plain.transaction(origin, sequence, hlc, context, repairs)?;
        Ok(BatchTransaction { plain, spilling })
    }

    pub(crate) fn look_again(&mut self, index: &Index, key: KeyHash) -> Option<bool> {
        let again = self.plain.look_again(&index.plain, key).unwrap();
        if let Some((batch, Spilling { index: spilling, .. })) =
            self.spilling.as_mut().zip(index.spilling.as_ref())
        {
            let conflicts = self.plain.conflicts(&index.plain, key).unwrap();
            match batch.look_again(spilling, key).unwrap() {
                // Of a key that only runs hold, it is not known that nothing has changed.
                Some(other) => assert_eq!(other, conflicts),
                None => assert_eq!(again, None),
            }
            assert_eq!(batch.conflicts(spilling, key).unwrap(), conflicts);
        }
        again
    }

    pub(crate) fn story(&self, index: &Index, key: KeyHash) -> Option<Story> {
        let story = self.plain.story(&index.plain, key).unwrap();
        if let Some((batch, spilling)) = self.pair(index) {
            assert_eq!(batch.story(spilling, key).unwrap(), story);
        }
        story
    }

    pub(crate) fn newest(&self, index: &Index, key: KeyHash) -> Option<(Write, bool)> {
        let newest = self.plain.newest(&index.plain, key).unwrap();
        if let Some((batch, spilling)) = self.pair(index) {
            assert_eq!(batch.newest(spilling, key).unwrap(), newest);
        }
        newest
    }

    pub(crate) fn commit(&mut self, index: &mut Index) -> Result<(), Error> {
        index.settled = false;
        if let Some((batch, spilling)) = self.spilling.as_mut().zip(index.spilling.as_mut()) {
            batch.commit(&mut spilling.index)?;
        }
        self.plain.commit(&mut index.plain)
    }

    pub(crate) fn clear(&mut self) {
        self.plain.clear();
        self.spilling.iter_mut().for_each(conflict::Batch::clear);
    }
}

/// A source transaction of each of the two batches.
#[derive(Debug)]
pub(crate) struct BatchTransaction<'a> {
    plain: conflict::BatchTransaction<'a>,
    spilling: Option<conflict::BatchTransaction<'a>>,
}

impl BatchTransaction<'_> {
    pub(crate) fn resolve(
        &mut self,
        index: &Index,
        key: KeyHash,
        write: u32,
        live: bool,
    ) -> Result<Resolution, Error> {
        let resolution = self.plain.resolve(&index.plain, key, write, live)?;
        if let Some((spilling, other)) = self.spilling.as_mut().zip(index.spilling.as_ref()) {
            assert_eq!(spilling.resolve(&other.index, key, write, live)?, resolution);
        }
        Ok(resolution)
    }

    pub(crate) fn story(&self, index: &Index, key: KeyHash) -> Option<Story> {
        let story = self.plain.story(&index.plain, key).unwrap();
        if let Some((spilling, other)) = self.spilling.as_ref().zip(index.spilling.as_ref()) {
            assert_eq!(spilling.story(&other.index, key).unwrap(), story);
        }
        story
    }
}
