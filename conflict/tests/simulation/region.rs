//! One region: a table, its binlog, the index under test, and everything it ever applied, for the oracle.

use std::collections::BTreeMap;
use std::rc::Rc;

use conflict::{Batch, Index, LastWriterWins, Presence, Resolution, Winner};
use transaction::{Hlc, RegionName, Sequence};

use super::change::{Change, Commit, Image, Key, REGIONS_MAX, Seen, context, hash, name};
use super::rng::Rng;
use super::rule::{Merging, Rule, fold};

/// A mistake made on purpose, which must make some schedule diverge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// A write is forgotten as soon as it alone is stable.
    PruneAlone,
    /// Contexts of records that are received but not applied count for stability.
    ReadAhead,
}

/// Logs of all regions, as far as they have been extracted.
pub(crate) type Logs = Vec<Vec<Rc<Commit>>>;

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) conflicts: u64,
    pub(crate) corrected: u64,
    pub(crate) pruned: u64,
    pub(crate) deleted: u64,
}

pub(crate) struct Region {
    me: usize,
    regions: usize,
    rule: Rule,
    mistake: Option<Mistake>,
    /// How far this region's clock is off; it may jump back.
    pub(crate) skew: i64,
    hlc: Hlc,
    pub(crate) rows: BTreeMap<Key, Image>,
    /// Own transactions in binlog order; those from `extracted` on are committed, but not read from the binlog yet.
    binlog: Vec<Rc<Commit>>,
    extracted: usize,
    pub(crate) applied: Seen,
    pub(crate) index: Index,
    /// Every change that is extracted or applied here, for ever.
    known: BTreeMap<Key, Vec<Change>>,
    kept_from: Seen,
    pub(crate) counts: Counts,
}

impl Region {
    pub(crate) fn new(me: usize, regions: usize, rule: Rule, mistake: Option<Mistake>, skew: i64) -> Self {
        Self {
            me,
            regions,
            rule,
            mistake,
            skew,
            hlc: Hlc(0),
            rows: BTreeMap::new(),
            binlog: Vec::new(),
            extracted: 0,
            applied: [0; REGIONS_MAX],
            index: empty(me, regions),
            known: BTreeMap::new(),
            kept_from: [1; REGIONS_MAX],
            counts: Counts::default(),
        }
    }

    /// A client commits a transaction.
    pub(crate) fn local(&mut self, now: i64, keys: usize, rng: &mut Rng) {
        let sequence = self.binlog.len() as u64 + 1;
        let mut changes: Vec<Change> = Vec::new();
        let hlc = self.hlc.tick((now + self.skew) as u64);
        let blank = Change {
            hlc: hlc.0,
            origin: self.me,
            sequence,
            index: 0,
            seen: self.applied,
            key: 0,
            before: None,
            after: None,
        };
        for index in 0..rng.pick(&[1, 1, 2, 3]) {
            let key = rng.below(keys) as Key;
            let before = self.rows.get(&key).copied();
            let moved_to = rng.below(keys) as Key;
            if before.is_some() && rng.percent(8) && !self.rows.contains_key(&moved_to) {
                // A primary-key update: two keys, one index.
                changes.push(Change { index, key, before, ..blank });
                changes.push(Change { index, key: moved_to, after: before, ..blank });
            } else {
                let after = mutate(before, rng);
                if after == before {
                    continue;
                }
                changes.push(Change { index, key, before, after, ..blank });
            }
            for change in &changes {
                self.set(change.key, change.after);
            }
        }
        if !changes.is_empty() {
            self.hlc = hlc;
            self.binlog.push(Rc::new(Commit {
                hlc: hlc.0,
                origin: self.me,
                sequence,
                seen: self.applied,
                changes,
            }));
        }
    }

    fn set(&mut self, key: Key, row: Option<Image>) {
        match row {
            Some(image) => self.rows.insert(key, image),
            None => self.rows.remove(&key),
        };
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
                    assert_eq!(self.folded(change.key), last.after, "a local write is taken as it is");
                }
            }
            log.push(commit);
        }
        let applied = self.applied;
        self.observe(self.me, &applied, self.extracted as u64);
    }

    fn insert(&mut self, commit: &Commit) -> bool {
        let (origin, sequence) = (name(commit.origin), Sequence(commit.sequence));
        self.index.insert(origin, sequence, Hlc(commit.hlc), &commit.context(), commit.writes()).unwrap()
    }

    fn remember(&mut self, commit: &Commit) {
        for change in &commit.changes {
            self.known.entry(change.key).or_default().push(*change);
        }
    }

    fn observe(&mut self, region: usize, seen: &Seen, own_last: u64) {
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
        let first = self.kept_from[origin] as usize - 1;
        if here > first {
            let before = self.index.stats();
            assert!(!self.insert(&logs[origin][first + rng.below(here - first)]));
            assert_eq!(self.index.stats(), before);
        }
    }

    /// Applies up to `count` transactions of `origin` in one batch, the way DESIGN's lock-then-look says.
    pub(crate) fn apply(
        &mut self,
        logs: &mut Logs,
        origin: usize,
        count: usize,
        clients: Option<(i64, usize)>,
        rng: &mut Rng,
    ) {
        let from = self.applied[origin] as usize;
        let ready: Vec<Rc<Commit>> = logs[origin][from..]
            .iter()
            .take(count)
            .take_while(|commit| self.ready(commit))
            .cloned()
            .collect();
        if ready.is_empty() {
            return;
        }
        if self.mistake == Some(Mistake::ReadAhead)
            && let Some(last) = logs[origin].last()
        {
            self.observe(origin, &last.seen.clone(), last.sequence);
        }
        if rng.percent(50) {
            self.extract(&mut logs[self.me]);
        }
        let mut batch = self.index.batch();
        let resolved = self.look(&ready, &mut batch);

        // Clients may write until the locks are taken; then the extractor passes the end of the binlog.
        if let Some((now, keys)) = clients {
            self.local(now, keys, rng);
        }
        self.extract(&mut logs[self.me]);

        let rows = self.look_again(&ready, &mut batch, &resolved);
        if rng.percent(10) {
            let before = self.index.stats();
            batch.clear();
            batch.commit(&mut self.index).unwrap();
            assert_eq!(self.index.stats(), before, "a batch that was rolled back leaves nothing behind");
            return;
        }
        for (key, row) in rows {
            self.set(key, row);
        }
        batch.commit(&mut self.index).unwrap();
        for commit in &ready {
            self.remember(commit);
            self.applied[origin] = commit.sequence;
            self.hlc = self.hlc.max(Hlc(commit.hlc));
            self.observe(origin, &commit.seen, commit.sequence);
        }
    }

    fn ready(&self, commit: &Commit) -> bool {
        let others = (0..self.regions).filter(|other| *other != self.me && *other != commit.origin);
        others.into_iter().all(|other| self.applied[other] >= commit.seen[other])
    }

    /// The first look: resolves every write, and holds the answers against the oracle where nothing is still unread.
    fn look(&mut self, commits: &[Rc<Commit>], batch: &mut Batch) -> BTreeMap<Key, Resolution> {
        let complete = self.extracted == self.binlog.len() && self.mistake.is_none();
        let mut resolved = BTreeMap::new();
        let mut before: Vec<Change> = Vec::new();
        for commit in commits {
            let (origin, sequence) = (name(commit.origin), Sequence(commit.sequence));
            let mut transaction =
                batch.transaction(origin, sequence, Hlc(commit.hlc), &commit.context()).unwrap();
            for change in &commit.changes {
                let policy = self.rule.whole().unwrap_or(&LastWriterWins);
                let live = change.after.is_some();
                let resolution =
                    transaction.resolve(&self.index, policy, hash(change.key), change.index, live).unwrap();
                if complete && self.rule.whole().is_some() {
                    self.check(change, &before, &resolution);
                }
                before.push(*change);
                resolved.insert(change.key, resolution);
            }
        }
        resolved
    }

    /// Holds one resolution against everything ever written here.
    fn check(&self, change: &Change, batch: &[Change], resolution: &Resolution) {
        let mut all = self.changes_of(change.key, batch);
        assert_eq!(resolution.conflict, all.iter().any(|other| !change.saw(other)), "conflicts are exact");
        if resolution.conflict {
            let present = fold(self.rule, &all).is_some();
            let expected = if present { Presence::Present } else { Presence::Absent };
            assert_eq!(resolution.row_before, expected);
        }
        all.push(change);
        let row = match resolution.winner {
            Winner::Incoming => change.after,
            Winner::Existing(id) => {
                all.iter().find(|other| other.sequence == id.sequence.0 && other.id() == id).unwrap().after
            }
        };
        assert_eq!(row, fold(self.rule, &all), "a resolution is the fold");
    }

    /// The look under locks: what each row of the batch must become.
    fn look_again(
        &mut self,
        commits: &[Rc<Commit>],
        batch: &mut Batch,
        resolved: &BTreeMap<Key, Resolution>,
    ) -> BTreeMap<Key, Option<Image>> {
        let changes: Vec<Change> = commits.iter().flat_map(|commit| commit.changes.iter().copied()).collect();
        let mut rows = BTreeMap::new();
        let mut counts = self.counts;
        for key in resolved.keys().copied() {
            let all = self.changes_of(key, &changes);
            let own: Vec<&Change> = changes.iter().filter(|change| change.key == key).collect();
            let existing = &all[..all.len() - own.len()];
            let conflict = own.iter().any(|change| existing.iter().any(|other| !change.saw(other)));
            let policy = self.rule.whole().unwrap_or(&LastWriterWins);
            let again = batch.look_again(&self.index, policy, hash(key));
            let settled = batch.settle(&self.index, policy, hash(key)).unwrap();
            match again {
                Some(again) => {
                    assert_eq!(again, settled);
                    assert_eq!(batch.look_again(&self.index, policy, hash(key)), None);
                    counts.corrected += 1;
                }
                // The answer of the first look must stand, since nothing turned up.
                None => assert_eq!(
                    settled.taken.id,
                    match resolved[&key].winner {
                        Winner::Incoming => own[own.len() - 1].id(),
                        Winner::Existing(id) => id,
                    }
                ),
            }
            let row = if self.rule.whole().is_some() {
                let taken = all.iter().find(|change| change.is(&settled.taken)).unwrap();
                assert!(
                    taken.sequence >= self.kept_from[taken.origin],
                    "an image was deleted that is needed"
                );
                taken.after
            } else {
                let merging = Merging { rule: self.rule, changes: &all, kept_from: self.kept_from };
                batch.history(&self.index, hash(key)).fold(&merging).unwrap()
            };
            counts.conflicts += u64::from(conflict);
            if self.mistake == Some(Mistake::PruneAlone) {
                rows.insert(key, self.fold_unstable(&all));
                continue;
            }
            rows.insert(key, row);
            if self.mistake.is_some() {
                continue;
            }
            assert_eq!(settled.conflict, conflict, "conflicts are exact under locks");
            assert_eq!(row, fold(self.rule, &all), "a row is the fold of everything ever written to it");
            match settled.row_before {
                Presence::Unknown => {
                    assert!(!conflict);
                    assert_eq!(
                        own[0].before,
                        self.rows.get(&key).copied(),
                        "the writer saw the row as it is here"
                    );
                }
                presence if self.rule.whole().is_some() => {
                    assert_eq!(presence == Presence::Present, self.rows.contains_key(&key));
                }
                _ => {}
            }
        }
        self.counts = counts;
        rows
    }

    fn changes_of<'a>(&'a self, key: Key, batch: &'a [Change]) -> Vec<&'a Change> {
        let pending = batch.iter().filter(|change| change.key == key);
        self.known.get(&key).into_iter().flatten().chain(pending).collect()
    }

    /// The mistake of forgetting each write by itself.
    fn fold_unstable(&self, changes: &[&Change]) -> Option<Image> {
        let unstable =
            |change: &&Change| !self.index.is_stable(name(change.origin), Sequence(change.sequence)).unwrap();
        let left: Vec<&Change> = changes.iter().copied().filter(unstable).collect();
        fold(self.rule, &left)
    }

    /// The row that the index's own history of `key` makes.
    fn folded(&self, key: Key) -> Option<Image> {
        let all = self.changes_of(key, &[]);
        let look = self.index.look(hash(key), None).unwrap();
        match self.rule.whole() {
            Some(policy) => {
                let taken = look.history().fold(policy)?;
                all.iter().find(|change| change.is(&taken)).unwrap().after
            }
            None => {
                let merging = Merging { rule: self.rule, changes: &all, kept_from: self.kept_from };
                look.history().fold(&merging).flatten()
            }
        }
    }

    pub(crate) fn prune(&mut self, keys_max: usize) {
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

    /// The process dies and comes back: the index is rebuilt from what the logs hold, in any order of origins.
    pub(crate) fn restart(&mut self, logs: &Logs, rng: &mut Rng) {
        self.index = empty(self.me, self.regions);
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

fn empty(me: usize, regions: usize) -> Index {
    let names: Vec<RegionName> = (0..regions).map(name).collect();
    Index::new(&names, name(me)).unwrap()
}

fn mutate(before: Option<Image>, rng: &mut Rng) -> Option<Image> {
    let fresh = rng.next() >> 8;
    let Some(mut image) = before else {
        return Some(Image { a: fresh, b: fresh, count: 0 });
    };
    match rng.below(20) {
        0..3 => return None,
        3..10 => image.a = fresh,
        10..14 => image.b = fresh,
        _ => image.count += 1 + rng.below(9) as i64,
    }
    Some(image)
}
