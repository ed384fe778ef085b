//! A batch of a peer's transactions, applied the way DESIGN's lock-then-look says.

use std::collections::BTreeMap;
use std::rc::Rc;

use transaction::{Hlc, Sequence};

use super::change::{Change, Commit, Key, hash, name};
use super::mistake::{Mistake, without_law_2};
use super::region::{Logs, Region};
use super::rng::Rng;
use super::row::Row;
use super::rule::{Verdict, fold};
use super::twin::Batch;

impl Region {
    /// Applies up to `count` transactions of `origin` in one batch.
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
        let conflicts = self.look(&ready, &mut batch);

        // Clients may write until the locks are taken; then the extractor passes the end of the binlog.
        if let Some((now, keys)) = clients {
            self.local(now, keys, rng);
        }
        self.extract(&mut logs[self.me]);

        let wanted = self.look_again(&ready, &mut batch, &conflicts);
        if rng.percent(10) {
            let before = self.index.stats();
            batch.clear();
            batch.commit(&mut self.index).unwrap();
            assert_eq!(self.index.stats(), before, "a batch that was rolled back leaves nothing behind");
            return;
        }
        let losers = self.settle(wanted, &batch, &ready[0].changes[0]);
        batch.commit(&mut self.index).unwrap();
        for commit in &ready {
            self.remember(commit);
            self.applied[origin] = commit.sequence;
            self.hlc = self.hlc.max(Hlc(commit.hlc));
            self.observe(origin, &commit.seen, commit.sequence);
        }
        self.repair(losers);
    }

    fn ready(&self, commit: &Commit) -> bool {
        let others = (0..self.regions).filter(|other| *other != self.me && *other != commit.origin);
        others.into_iter().all(|other| self.applied[other] >= commit.seen[other])
    }

    /// The first look: resolves every write, and holds the answers against the oracle where nothing is still unread.
    /// Returns per key whether any of its writes conflicts.
    fn look(&mut self, commits: &[Rc<Commit>], batch: &mut Batch) -> BTreeMap<Key, bool> {
        let complete = self.extracted == self.binlog.len() && self.mistake.is_none();
        let mut conflicts = BTreeMap::new();
        let mut before: Vec<Change> = Vec::new();
        for commit in commits {
            let (origin, sequence) = (name(commit.origin), Sequence(commit.sequence));
            let (context, repairs) = (commit.context(), commit.repairs());
            let mut transaction =
                batch.transaction(origin, sequence, Hlc(commit.hlc), &context, &repairs).unwrap();
            for change in &commit.changes {
                let live = change.after.is_some();
                let resolution =
                    transaction.resolve(&self.index, hash(change.key), change.index, live).unwrap();
                let all = self.changes_of(change.key, &before);
                if complete {
                    let expected = all.iter().any(|other| !change.saw(other));
                    assert_eq!(resolution.conflict, expected, "conflicts are exact");
                }
                before.push(change.clone());
                if complete {
                    let all = self.changes_of(change.key, &before);
                    let story = transaction.story(&self.index, hash(change.key)).unwrap();
                    let (verdict, _) = self.judge(&story, &all, &mut Default::default());
                    assert_eq!(verdict, self.oracle(&all), "the first look is the fold");
                    if !resolution.conflict {
                        assert_eq!(verdict, Verdict::Row(change.after), "without a conflict, it is taken");
                    }
                }
                *conflicts.entry(change.key).or_insert(false) |= resolution.conflict;
            }
        }
        conflicts
    }

    /// The look under locks: what each row of the batch must become.
    fn look_again(
        &mut self,
        commits: &[Rc<Commit>],
        batch: &mut Batch,
        first_look: &BTreeMap<Key, bool>,
    ) -> BTreeMap<Key, Option<Row>> {
        let changes: Vec<Change> = commits.iter().flat_map(|commit| commit.changes.iter().cloned()).collect();
        let mut wanted = BTreeMap::new();
        let mut counts = self.counts;
        for (key, conflict_before) in first_look {
            let key = *key;
            let all = self.changes_of(key, &changes);
            let own: Vec<&Change> = changes.iter().filter(|change| change.key == key).collect();
            let existing = &all[..all.len() - own.len()];
            let conflict = own.iter().any(|change| existing.iter().any(|other| !change.saw(other)));
            counts.conflicts += u64::from(conflict);
            match self.mistake {
                Some(Mistake::PruneAlone) => {
                    wanted.insert(key, self.fold_unstable(&all));
                    continue;
                }
                Some(Mistake::Pairwise) => {
                    let row = pairwise(self, key, &own);
                    wanted.insert(key, row);
                    continue;
                }
                _ => {}
            }
            match batch.look_again(&self.index, hash(key)) {
                Some(again) => {
                    if self.mistake.is_none() {
                        assert_eq!(again, conflict, "conflicts are exact under locks");
                    }
                    assert_eq!(batch.look_again(&self.index, hash(key)), None);
                    counts.corrected += 1;
                }
                // The answer of the first look must stand, since nothing turned up.
                None if self.mistake.is_none() => assert_eq!(*conflict_before, conflict),
                None => {}
            }
            let mut story = batch.story(&self.index, hash(key)).unwrap();
            assert_eq!(
                batch.newest(&self.index, hash(key)),
                story.writes.last().map(|chapter| (chapter.write, chapter.from_batch))
            );
            if self.mistake == Some(Mistake::NotTaken) {
                story = without_law_2(story);
            }
            let (verdict, row) = self.judge(&story, &all, &mut counts);
            wanted.insert(key, row);
            if self.mistake.is_some() {
                continue;
            }
            assert_eq!(verdict, self.oracle(&all), "a row is the fold of everything ever written to it");
            if !conflict {
                let here = self.rows.get(&key).copied();
                assert_eq!(own[0].before, here, "the writer saw the row as it is here");
            }
        }
        self.counts = counts;
        wanted
    }

    /// The mistake of forgetting each write by itself.
    fn fold_unstable(&self, changes: &[&Change]) -> Option<Row> {
        let unstable =
            |change: &&Change| !self.index.is_stable(name(change.origin), Sequence(change.sequence)).unwrap();
        let left: Vec<&Change> = changes.iter().copied().filter(unstable).collect();
        row_of(fold(self.rule, &left))
    }
}

fn row_of(verdict: Verdict) -> Option<Row> {
    match verdict {
        Verdict::Row(row) => row,
        Verdict::Halted => None,
    }
}

/// The mistake of asking who wins between the present row's writer and the incoming write.
fn pairwise(region: &mut Region, key: Key, own: &[&Change]) -> Option<Row> {
    let mut row = region.rows.get(&key).copied();
    for change in own.iter().copied() {
        let pair: Vec<&Change> = region.authors.get(&key).into_iter().chain([change]).collect();
        row = row_of(fold(region.rule, &pair));
        if row == change.after {
            region.authors.insert(key, change.clone());
        }
    }
    row
}
