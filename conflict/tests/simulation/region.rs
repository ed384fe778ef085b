//! One region: a table, its binlog, the index under test, and everything it ever applied, for the oracle.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use conflict::{NoImages, Outcome, Policy, SpillLimits, Story};
use transaction::{Hlc, RegionName, Sequence};

use super::change::{Change, Commit, Held, Key, REGIONS_MAX, Seen, context, hash, name};
use super::client::{Habit, mutate};
use super::mistake::{Mistake, Partial};
use super::rng::Rng;
use super::row::Row;
use super::rule::{Rule, Verdict, fold};
use super::twin::Index;

/// Logs of all regions, as far as they have been extracted.
pub(crate) type Logs = Vec<Vec<Rc<Commit>>>;

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) conflicts: u64,
    pub(crate) corrected: u64,
    pub(crate) pruned: u64,
    pub(crate) deleted: u64,
    pub(crate) merged: u64,
    /// Merged rows that did not fit or that a CHECK refused.
    pub(crate) refused: u64,
    pub(crate) halted: u64,
    pub(crate) repairs: u64,
    /// Transactions that restarts did not have to read again.
    pub(crate) spared: u64,
    /// Runs of spilled writes that were there when pruning began.
    pub(crate) runs: u64,
}

pub(crate) struct Region {
    pub(crate) me: usize,
    pub(crate) regions: usize,
    pub(crate) rule: Rule,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) habit: Habit,
    pub(crate) mistake: Option<Mistake>,
    /// How far this region's clock is off; it may jump back.
    pub(crate) skew: i64,
    pub(crate) hlc: Hlc,
    pub(crate) rows: BTreeMap<Key, Row>,
    /// Own transactions in binlog order; those from `extracted` on are committed, but not read from the binlog yet.
    pub(crate) binlog: Vec<Rc<Commit>>,
    pub(crate) extracted: usize,
    pub(crate) applied: Seen,
    pub(crate) index: Index,
    pub(crate) spill: Option<SpillLimits>,
    /// Every change that is extracted or applied here, for ever.
    pub(crate) known: BTreeMap<Key, Vec<Change>>,
    /// Who wrote the present row, for [`Mistake::Pairwise`].
    pub(crate) authors: BTreeMap<Key, Change>,
    pub(crate) kept_from: Seen,
    /// The first transaction of each origin that the index was given since the last restart.
    pub(crate) read_from: Seen,
    pub(crate) counts: Counts,
}

impl Region {
    pub(crate) fn new(me: usize, regions: usize, rule: Rule, habit: Habit, mistake: Option<Mistake>) -> Self {
        let policy = match mistake {
            Some(Mistake::Impure) => Arc::new(Partial { me }),
            _ => rule.policy(),
        };
        Self {
            me,
            regions,
            rule,
            policy,
            habit,
            mistake,
            skew: 0,
            hlc: Hlc(0),
            rows: BTreeMap::new(),
            binlog: Vec::new(),
            extracted: 0,
            applied: [0; REGIONS_MAX],
            index: empty(me, regions, None),
            spill: None,
            known: BTreeMap::new(),
            authors: BTreeMap::new(),
            kept_from: [1; REGIONS_MAX],
            read_from: [1; REGIONS_MAX],
            counts: Counts::default(),
        }
    }

    /// A change of this region's next transaction, to be filled in.
    pub(crate) fn blank(&self, hlc: Hlc) -> Change {
        Change {
            hlc: hlc.0,
            origin: self.me,
            sequence: self.binlog.len() as u64 + 1,
            index: 0,
            seen: self.applied,
            key: 0,
            before: None,
            after: None,
            images: [None, None],
            repair: None,
        }
    }

    /// A client commits a transaction.
    pub(crate) fn local(&mut self, now: i64, keys: usize, rng: &mut Rng) {
        let hlc = self.hlc.tick((now + self.skew) as u64);
        let blank = self.blank(hlc);
        let mut changes: Vec<Change> = Vec::new();
        for index in 0..rng.pick(&[1, 1, 2, 3]) {
            let key = rng.below(keys) as Key;
            let before = self.rows.get(&key).copied();
            let moved_to = rng.below(keys) as Key;
            let moves = self.habit != Habit::Calm && rng.percent(8);
            let first = changes.len();
            if before.is_some() && moves && !self.rows.contains_key(&moved_to) {
                // A primary-key update: two keys, one index.
                changes.push(blank.with(index, key, before, None));
                changes.push(blank.with(index, moved_to, None, before));
            } else {
                let after = mutate(before, self.habit, rng);
                let refused =
                    after.is_some_and(|row| !row.passes() || self.clashing(key, &row).next().is_some());
                if after == before || refused {
                    continue;
                }
                changes.push(blank.with(index, key, before, after));
            }
            for change in &changes[first..] {
                self.set(change.key, change.after);
                if self.mistake == Some(Mistake::Pairwise) {
                    self.authors.insert(change.key, change.clone());
                }
            }
        }
        if !changes.is_empty() {
            self.hlc = hlc;
            self.commit(changes);
        }
    }

    /// The next transaction of this region's binlog.
    pub(crate) fn commit(&mut self, changes: Vec<Change>) {
        let Change { hlc, origin, sequence, seen, .. } = changes[0].clone();
        self.binlog.push(Rc::new(Commit { hlc, origin, sequence, seen, changes }));
    }

    /// The keys of other rows that `row` of `key` cannot stand beside.
    pub(crate) fn clashing<'a>(&'a self, key: Key, row: &'a Row) -> impl Iterator<Item = Key> + 'a {
        self.rows
            .iter()
            .filter(move |(other, held)| **other != key && row.clashes(held))
            .map(|(other, _)| *other)
    }

    pub(crate) fn set(&mut self, key: Key, row: Option<Row>) {
        match row {
            Some(row) => {
                assert!(self.clashing(key, &row).next().is_none(), "a unique key is violated");
                self.rows.insert(key, row);
            }
            None => {
                self.rows.remove(&key);
            }
        }
    }

    /// The extractor reads the binlog to its end.
    pub(crate) fn extract(&mut self, log: &mut Vec<Rc<Commit>>) {
        while let Some(commit) = self.binlog.get(self.extracted).cloned() {
            self.extracted += 1;
            assert!(self.insert(&commit));
            self.remember(&commit);
            self.observe(self.me, &commit.seen, commit.sequence);
            for change in &commit.changes {
                let last = commit.changes.iter().rfind(|other| other.key == change.key).unwrap();
                if self.mistake.is_none() {
                    assert_eq!(
                        self.folded(change.key),
                        Some((Verdict::Row(last.after), last.after)),
                        "a local write is taken as it is"
                    );
                }
            }
            log.push(commit);
        }
        let applied = self.applied;
        self.observe(self.me, &applied, self.extracted as u64);
    }

    pub(crate) fn insert(&mut self, commit: &Commit) -> bool {
        let (origin, sequence) = (name(commit.origin), Sequence(commit.sequence));
        let (context, repairs) = (commit.context(), commit.repairs());
        self.index.insert(origin, sequence, Hlc(commit.hlc), &context, &repairs, commit.writes()).unwrap()
    }

    pub(crate) fn remember(&mut self, commit: &Commit) {
        for change in &commit.changes {
            self.known.entry(change.key).or_default().push(change.clone());
        }
    }

    pub(crate) fn observe(&mut self, region: usize, seen: &Seen, own_last: u64) {
        self.index.observe(name(region), &context(region, seen), Sequence(own_last)).unwrap();
    }

    /// Reads the position records of `region`: each says what it had applied after its own transaction of that number.
    pub(crate) fn read_positions(&mut self, region: usize, positions: &[(u64, Seen)]) {
        let ahead = self.mistake == Some(Mistake::ReadAhead);
        let due = |(after, _): &&(u64, Seen)| ahead || *after <= self.applied[region];
        if let Some((after, seen)) = positions.iter().rfind(due).copied() {
            self.observe(region, &seen, after);
        }
    }

    /// A transaction that is here already is delivered again.
    pub(crate) fn repeat(&mut self, logs: &Logs, rng: &mut Rng) {
        let origin = rng.below(self.regions);
        let here = if origin == self.me { self.extracted } else { self.applied[origin] as usize };
        let first = self.kept_from[origin].max(self.read_from[origin]) as usize - 1;
        if here > first {
            let before = self.index.stats();
            assert!(!self.insert(&logs[origin][first + rng.below(here - first)]));
            assert_eq!(self.index.stats(), before);
        }
    }

    /// Everything known of `key`, and the batch's changes of it.
    pub(crate) fn changes_of<'a>(&'a self, key: Key, batch: &'a [Change]) -> Vec<&'a Change> {
        let pending = batch.iter().filter(|change| change.key == key);
        self.known.get(&key).into_iter().flatten().chain(pending).collect()
    }

    /// What the crate makes of a story, and the row that the server then has.
    pub(crate) fn judge(
        &self,
        story: &Story,
        all: &[&Change],
        counts: &mut Counts,
    ) -> (Verdict, Option<Row>) {
        let held = Held { changes: all, kept_from: self.kept_from };
        if self.mistake.is_none() {
            self.check(story, all);
        }
        let outcome = if self.policy.reads_images() {
            conflict::fold(&*self.policy, story, &held).unwrap()
        } else {
            conflict::fold(&*self.policy, story, &NoImages).unwrap()
        };
        let after = |at: usize| held.find(&story.writes[at].write.id).after;
        let newest = story.writes.len() - 1;
        if self.policy.newest_decides() {
            assert_eq!(outcome, Outcome::As(newest));
        }
        match outcome {
            Outcome::As(at) => (Verdict::Row(after(at)), after(at)),
            Outcome::Merged { image, fallback } => {
                counts.merged += 1;
                let merged = Row::read(&image);
                counts.refused += u64::from(!merged.passes());
                let row = if merged.passes() { Some(merged) } else { after(fallback) };
                (Verdict::Row(row), row)
            }
            Outcome::Halt => {
                // What the table holds while it is suspended matters to no one, if only it is the same everywhere.
                counts.halted += 1;
                (Verdict::Halted, after(newest))
            }
        }
    }

    /// Holds against the oracle what a story says of who is concurrent with whom.
    fn check(&self, story: &Story, all: &[&Change]) {
        let find = |at: usize| all.iter().find(|change| change.is(&story.writes[at].write.id)).unwrap();
        let told: Vec<&&Change> = (0..story.writes.len()).map(find).collect();
        assert!(told.is_sorted_by_key(|change| change.order()));
        for (at, chapter) in story.writes.iter().enumerate() {
            let expected = (0..at).filter(|other| told[at].concurrent(told[*other])).collect();
            assert_eq!(chapter.concurrent, expected);
            if at >= story.start {
                let rivals =
                    all.iter().filter(|other| other.order() < told[at].order() && told[at].concurrent(other));
                assert_eq!(rivals.count(), chapter.concurrent.len(), "a rival is left out");
            }
        }
    }

    /// What the index's own history of `key` makes.
    fn folded(&self, key: Key) -> Option<(Verdict, Option<Row>)> {
        let story = self.index.story(hash(key))?;
        Some(self.judge(&story, &self.changes_of(key, &[]), &mut Counts::default()))
    }

    pub(crate) fn oracle(&self, changes: &[&Change]) -> Verdict {
        fold(self.rule, changes)
    }

    pub(crate) fn prune(&mut self, keys_max: usize) {
        self.counts.runs += self.index.runs() as u64;
        self.counts.pruned += self.index.prune(keys_max).writes as u64;
    }

    /// Deletes from this region's copies of the logs what the floor allows, or less.
    pub(crate) fn retain(&mut self, logs: &Logs, rng: &mut Rng) {
        let floor = self.index.floor();
        for (origin, log) in logs.iter().enumerate() {
            let from = self.kept_from[origin];
            let highest = floor.sequence(name(origin)).0.min(log.len() as u64 + 1);
            if highest > from {
                // Segments go as a whole, so less than allowed may go.
                let less = from + rng.next() % (highest - from + 1);
                let kept_from = rng.pick(&[highest, less]);
                self.counts.deleted += kept_from - from;
                self.kept_from[origin] = kept_from;
            }
        }
    }

    /// The first sequence number that each log still holds here.
    pub(crate) fn kept_from(&self) -> Seen {
        self.kept_from
    }

    /// The logs are lost, and taken again from the longest copies that the peers hold.
    pub(crate) fn lose_logs(&mut self, copies: &[Seen]) {
        for origin in 0..self.regions {
            let longest = copies.iter().map(|copy| copy[origin]).min();
            self.kept_from[origin] = longest.unwrap_or(1);
        }
    }

    /// What a restart begins with.
    pub(crate) fn empty(&self) -> Index {
        empty(self.me, self.regions, self.spill)
    }

    /// The process dies and comes back: the index is rebuilt from what the logs hold, in any order of origins.
    pub(crate) fn restart(&mut self, logs: &Logs, rng: &mut Rng) {
        self.index = self.empty();
        self.read_from = self.kept_from;
        let mut next = self.kept_from;
        let mut open: Vec<usize> = (0..self.regions).collect();
        while !open.is_empty() {
            let at = rng.below(open.len());
            let origin = open[at];
            let end = if origin == self.me { self.extracted as u64 } else { self.applied[origin] };
            if next[origin] > end {
                open.swap_remove(at);
                // What a region was known to have seen may be less after the restart than before.
                if end > 0 && rng.percent(70) {
                    let last = &logs[origin][end as usize - 1];
                    self.observe(origin, &last.seen.clone(), end);
                }
                continue;
            }
            self.insert(&logs[origin][next[origin] as usize - 1]);
            next[origin] += 1;
        }
    }
}

fn empty(me: usize, regions: usize, spill: Option<SpillLimits>) -> Index {
    let names: Vec<RegionName> = (0..regions).map(name).collect();
    Index::new(&names, name(me), spill)
}
