//! What an index that moves histories to runs promises beyond equal answers, one claim each. That answers are equal is tested
//! in `convergence.rs`.
#![allow(clippy::unwrap_used)]

#[path = "simulation/runs.rs"]
mod runs;

use std::sync::Arc;

use conflict::{Index, SpillLimits};
use runs::{MemoryRuns, broken};
use transaction::{Context, Hlc, KeyHash, RegionName, Sequence};

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

fn spilling(limits: SpillLimits) -> (Index, Arc<MemoryRuns>) {
    let runs = Arc::new(MemoryRuns::default());
    let index = Index::new(&["eu", "us", "ap"].map(region), region("eu")).unwrap();
    (index.spilling(runs.clone(), limits), runs)
}

const EVERYTHING: SpillLimits = SpillLimits { bytes: 0, run_writes_max: 1 << 20, eager: false };

fn context(entries: &[(&str, u64)]) -> Context {
    entries.iter().map(|(name, sequence)| (region(name), Sequence(*sequence))).collect()
}

fn key(number: u64) -> KeyHash {
    KeyHash::of(&number.to_le_bytes())
}

/// Inserts a transaction of eu with these keys.
fn insert(index: &mut Index, sequence: u64, keys: impl Iterator<Item = KeyHash>) {
    let writes = keys.enumerate().map(|(at, key)| (key, at as u32, true));
    let (eu, hlc) = (region("eu"), Hlc(1_000 + sequence));
    assert!(index.insert(eu, Sequence(sequence), hlc, &Context::new(), &[], writes).unwrap());
}

/// Whether a write of us that has seen nothing conflicts.
fn conflicts(index: &Index, key: KeyHash) -> Result<bool, conflict::Error> {
    let mut batch = index.batch();
    let mut transaction = batch.transaction(region("us"), Sequence(1), Hlc(1), &Context::new(), &[])?;
    Ok(transaction.resolve(index, key, 0, true)?.conflict)
}

#[test]
fn memory_stays_within_its_bound_however_many_writes_are_unstable() {
    const BOUND: usize = 1 << 20;
    let (mut index, _) = spilling(SpillLimits::within(BOUND));
    let mut most = 0;
    for sequence in 1..=50_000 {
        insert(&mut index, sequence, (0..4).map(|at| key(4 * sequence + at)));
        let stats = index.stats();
        most = most.max(stats.bytes - stats.bytes_for_runs);
        if sequence % 100 == 0 {
            while index.prune(1_000).unwrap().more {}
        }
    }
    let stats = index.stats();
    assert!(most <= BOUND, "{most} bytes");
    assert_eq!((stats.writes, stats.transactions), (200_000, 50_000));
    // What it remembers of runs beside filters and signposts is a bit per transaction.
    assert!(stats.bytes_for_runs < 20_000, "{stats:?}");
    assert!(stats.runs <= 12, "{stats:?}");
    assert!((1..=50_000).all(|sequence| conflicts(&index, key(4 * sequence)).unwrap()));
}

#[test]
fn one_transaction_larger_than_memory_goes_to_runs_while_it_is_inserted() {
    const BOUND: usize = 1 << 20;
    let (mut index, _) = spilling(SpillLimits::within(BOUND));
    insert(&mut index, 1, (0..300_000).map(key));
    let stats = index.stats();
    assert!(stats.bytes - stats.bytes_for_runs <= BOUND && stats.writes == 300_000, "{stats:?}");
    assert!((0..300_000).all(|number| conflicts(&index, key(number)).unwrap()));
    let again =
        index.insert(region("eu"), Sequence(1), Hlc(1_001), &Context::new(), &[], [(key(1), 0, true)]);
    assert!(!again.unwrap(), "it is known");
}

#[test]
fn runs_stay_few_while_a_rebuild_may_not_forget_anything() {
    let (mut index, runs) = spilling(SpillLimits { bytes: 20_000, ..EVERYTHING });
    for sequence in 1..=20_000 {
        insert(&mut index, sequence, [key(sequence)].into_iter());
        while index.tidy(100).unwrap() {}
        assert!(runs.kept() <= 17, "{} runs", runs.kept());
    }
    assert_eq!(index.stats().writes, 20_000);
}

#[test]
fn a_look_at_a_row_with_a_long_history_reads_only_as_far_as_it_must() {
    let (mut index, runs) = spilling(SpillLimits { bytes: 100_000, ..EVERYTHING });
    const HOT: KeyHash = KeyHash(7 << 64 | 7);
    for sequence in 1..=20_000 {
        insert(&mut index, sequence, [HOT].into_iter());
        if sequence % 100 == 0 {
            while index.prune(1_000).unwrap().more {}
        }
    }
    let stats = index.stats();
    assert!(stats.writes_in_runs > 15_000 && stats.runs > 1, "{stats:?}");
    let before = runs.read();
    // us has seen all but the last: what lies in runs is covered, as each newest write there says for those before it.
    let mut batch = index.batch();
    let seen = context(&[("eu", 19_999)]);
    let mut transaction = batch.transaction(region("us"), Sequence(1), Hlc(30_000), &seen, &[]).unwrap();
    assert!(transaction.resolve(&index, HOT, 0, true).unwrap().conflict);
    assert_eq!(batch.story(&index, HOT).unwrap().unwrap().writes.len(), 2);
    let read = runs.read() - before;
    assert!(read <= 20 * stats.runs, "{read} records of {} runs", stats.runs);
}

#[test]
fn a_write_that_came_and_was_moved_to_a_run_between_two_looks_is_seen_by_the_second() {
    let (mut index, _) = spilling(EVERYTHING);
    let mut batch = index.batch();
    let mut transaction = batch.transaction(region("us"), Sequence(1), Hlc(1), &Context::new(), &[]).unwrap();
    assert!(!transaction.resolve(&index, key(1), 0, true).unwrap().conflict);
    assert_eq!(batch.look_again(&index, key(1)).unwrap(), None);
    insert(&mut index, 1, [key(1)].into_iter());
    assert_eq!(index.stats().writes_in_runs, 1);
    assert_eq!(batch.look_again(&index, key(1)).unwrap(), Some(true));
    assert_eq!(batch.look_again(&index, key(1)).unwrap(), None, "it is known now");
}

#[test]
fn a_batch_larger_than_its_share_of_memory_goes_to_runs_which_become_the_indexs_own() {
    const BOUND: usize = 1 << 20;
    const ROWS: u64 = 100_000;
    let (mut index, runs) = spilling(SpillLimits::within(BOUND));
    insert(&mut index, 1, [key(0), key(50_000)].into_iter());
    let mut batch = index.batch();
    let mut conflicts = 0;
    // A chain of chunks: one transaction, registered again for each.
    for chunk in 0..100 {
        let mut transaction =
            batch.transaction(region("us"), Sequence(1), Hlc(5_000), &Context::new(), &[]).unwrap();
        for at in chunk * ROWS / 100..(chunk + 1) * ROWS / 100 {
            let resolution = transaction.resolve(&index, key(at), at as u32, true).unwrap();
            conflicts += u64::from(resolution.conflict);
        }
    }
    assert_eq!(conflicts, 2);
    assert!((1..8).contains(&runs.kept()), "{} runs", runs.kept());
    assert_eq!(batch.look_again_at_all(&index).unwrap(), []);
    insert(&mut index, 2, [key(7), key(ROWS - 1), key(ROWS + 1)].into_iter());
    let mut again = batch.look_again_at_all(&index).unwrap();
    again.sort();
    let mut expected = [(key(7), true), (key(ROWS - 1), true)];
    expected.sort();
    assert_eq!(again, expected);
    assert_eq!(batch.look_again_at_all(&index).unwrap(), [], "it is known now");
    assert_eq!(batch.story(&index, key(7)).unwrap().unwrap().writes.len(), 2);

    batch.commit(&mut index).unwrap();
    let stats = index.stats();
    assert_eq!(stats.writes as u64, ROWS + 5);
    assert!(stats.bytes - stats.bytes_for_runs <= BOUND && stats.writes_in_runs > ROWS / 2, "{stats:?}");
    let again =
        index.insert(region("us"), Sequence(1), Hlc(5_000), &Context::new(), &[], [(key(1), 1, true)]);
    assert!(!again.unwrap(), "it is known");
    for who in ["eu", "us", "ap"] {
        index.observe(region(who), &context(&[("eu", 2), ("us", 1)]), Sequence(2)).unwrap();
    }
    while index.prune(10_000).unwrap().more {}
    assert_eq!((index.stats().writes, index.stats().transactions, runs.kept()), (0, 0, 0));
}

#[test]
fn runs_of_a_batch_that_commits_between_two_looks_of_another_are_seen_by_the_second() {
    // The index has memory for the rows' older writes, and the batch's quarter of it does not hold the batch.
    let (mut index, runs) = spilling(SpillLimits { bytes: 100_000, ..EVERYTHING });
    insert(&mut index, 1, [key(1), key(2)].into_iter());
    let seen = context(&[("eu", 1)]);
    let mut waiting = index.batch();
    let mut transaction = waiting.transaction(region("ap"), Sequence(1), Hlc(5_000), &seen, &[]).unwrap();
    for (at, number) in [1, 2, 3].into_iter().enumerate() {
        assert!(!transaction.resolve(&index, key(number), at as u32, true).unwrap().conflict);
    }
    let mut large = index.batch();
    let mut transaction = large.transaction(region("us"), Sequence(1), Hlc(5_000), &seen, &[]).unwrap();
    for (at, number) in [1, 3].into_iter().chain(100..2_000).enumerate() {
        assert!(!transaction.resolve(&index, key(number), at as u32, true).unwrap().conflict);
    }
    assert!(runs.kept() > 0);
    assert_eq!(waiting.look_again_at_all(&index).unwrap(), [], "nothing has committed");

    large.commit(&mut index).unwrap();
    let stats = index.stats();
    assert!((1..=1_902).contains(&stats.writes_in_runs), "those of eu are in memory: {stats:?}");
    assert_eq!(waiting.look_again(&index, key(1)).unwrap(), Some(true), "it has a write in memory, too");
    assert_eq!(waiting.look_again(&index, key(3)).unwrap(), Some(true), "only runs have it");
    assert_eq!(waiting.look_again(&index, key(2)).unwrap(), None, "us did not write it");
    assert_eq!(waiting.look_again_at_all(&index).unwrap(), [], "it is known now");
    let story = waiting.story(&index, key(1)).unwrap().unwrap();
    assert_eq!(story.writes.len(), 2, "those of us and ap: both cover that of eu");
    // What joins in memory counts after that as ever.
    insert(&mut index, 2, [key(1)].into_iter());
    assert_eq!(waiting.look_again_at_all(&index).unwrap(), [(key(1), true)]);
}

#[test]
fn a_batch_that_is_rolled_back_leaves_no_run_behind() {
    let (index, runs) = spilling(EVERYTHING);
    let mut batch = index.batch();
    for sequence in 1..=3 {
        let mut transaction =
            batch.transaction(region("us"), Sequence(sequence), Hlc(5), &Context::new(), &[]).unwrap();
        assert!(!transaction.resolve(&index, key(1), 0, true).unwrap().conflict);
    }
    assert!(runs.kept() > 0);
    assert_eq!(batch.newest(&index, key(1)).unwrap().unwrap().0.id.sequence, Sequence(3));
    batch.clear();
    assert_eq!(runs.kept(), 0);
}

#[test]
fn a_run_that_cannot_be_read_fails_the_look_and_nothing_else() {
    let (mut index, runs) = spilling(EVERYTHING);
    insert(&mut index, 1, (0..10).map(key));
    runs.break_down(true);
    assert_eq!(conflicts(&index, key(3)), Err(broken()));
    assert_eq!(index.story(key(3)), Err(broken()));
    assert_eq!(index.newest(key(3)), Err(broken()));
    assert_eq!(index.lacks(), Err(broken()));
    assert!(broken().to_string().contains("memory"), "it names the file");
    runs.break_down(false);
    assert!(conflicts(&index, key(3)).unwrap());
}

#[test]
fn an_index_that_could_not_move_writes_refuses_to_go_on() {
    let (mut index, runs) = spilling(EVERYTHING);
    insert(&mut index, 1, (0..10).map(key));
    runs.break_down(true);
    let one = |index: &mut Index| {
        index.insert(region("eu"), Sequence(2), Hlc(9), &Context::new(), &[], [(key(1), 0, true)])
    };
    assert_eq!(one(&mut index), Err(broken()));
    runs.break_down(false);
    // A batch that was being committed then may be in the index by half.
    assert_eq!(conflicts(&index, key(100)), Err(broken()));
    assert_eq!(index.prune(10), Err(broken()));
    assert_eq!(index.batch().look_again(&index, key(1)), Ok(None), "it has nothing to look at");
    assert_eq!(
        index.insert(region("eu"), Sequence(3), Hlc(9), &Context::new(), &[], [(key(1), 0, true)]),
        Err(broken())
    );
    drop(index);
    assert_eq!(runs.kept(), 0);
}

#[test]
fn a_merge_that_fails_stops_the_index_as_well() {
    let (mut index, runs) = spilling(SpillLimits { eager: true, ..EVERYTHING });
    for sequence in 1..=20 {
        insert(&mut index, sequence, [key(sequence)].into_iter());
    }
    runs.break_down(true);
    assert_eq!(index.prune(100), Err(broken()));
    runs.break_down(false);
    assert_eq!(index.prune(100), Err(broken()));
    assert_eq!(conflicts(&index, key(1)), Err(broken()));
}
