//! The tables of SEMANTICS.md, and the promises of the index, one claim each.
#![allow(clippy::unwrap_used)]

use conflict::{Batch, Error, Index, LastWriterWins, Presence, Resolution, Settled, Winner};
use transaction::{Context, Hlc, KeyHash, RegionName, Sequence, WriteId};

const KEY: KeyHash = KeyHash(7);
const OTHER: KeyHash = KeyHash(8);
const LIVE: bool = true;
const GONE: bool = false;

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

/// `"eu:3,us:4"`.
fn context(text: &str) -> Context {
    let entries = text.split(',').filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (name, sequence) = entry.split_once(':').unwrap();
            (region(name), Sequence(sequence.parse().unwrap()))
        })
        .collect()
}

fn index() -> Index {
    Index::new(&["eu", "us", "ap"].map(region), region("eu")).unwrap()
}

fn id(origin: &str, sequence: u64, hlc: u64) -> WriteId {
    WriteId { hlc: Hlc(hlc), origin: region(origin), sequence: Sequence(sequence), index: 0 }
}

/// Inserts a transaction with one write of `KEY`.
fn insert(index: &mut Index, write: WriteId, seen: &str, live: bool) {
    let writes = [(KEY, write.index, live)];
    assert!(index.insert(write.origin, write.sequence, write.hlc, &context(seen), writes).unwrap());
}

fn add(batch: &mut Batch, index: &Index, write: WriteId, seen: &str, key: KeyHash, live: bool) -> Resolution {
    let mut transaction = batch.transaction(write.origin, write.sequence, write.hlc, &context(seen)).unwrap();
    transaction.resolve(index, &LastWriterWins, key, write.index, live).unwrap()
}

fn resolve(index: &Index, write: WriteId, seen: &str, live: bool) -> Resolution {
    add(&mut index.batch(), index, write, seen, KEY, live)
}

#[test]
fn last_writer_wins_by_the_table() {
    use Presence::{Absent, Present};
    // Here stands eu:1 at HLC 100; us:1 arrives, and has not seen it. (what is here, what comes, HLC, who wins, the row before)
    let table = [
        ("insert/insert, newer comes", LIVE, LIVE, 101, true, Present),
        ("insert/insert, older comes", LIVE, LIVE, 99, false, Present),
        ("update/update, newer comes", LIVE, LIVE, 101, true, Present),
        ("update here, newer delete comes", LIVE, GONE, 101, true, Present),
        ("update here, older delete comes", LIVE, GONE, 99, false, Present),
        ("delete here, newer update comes", GONE, LIVE, 101, true, Absent),
        ("delete here, older update comes", GONE, LIVE, 99, false, Absent),
        ("delete/delete, newer comes", GONE, GONE, 101, true, Absent),
        ("delete/delete, older comes", GONE, GONE, 99, false, Absent),
        ("same HLC: the later name wins", LIVE, LIVE, 100, true, Present),
    ];
    for (case, here, comes, hlc, incoming_wins, row_before) in table {
        let mut index = index();
        insert(&mut index, id("eu", 1, 100), "", here);
        let winner = if incoming_wins { Winner::Incoming } else { Winner::Existing(id("eu", 1, 100)) };
        let expected = Resolution { winner, conflict: true, row_before };
        assert_eq!(resolve(&index, id("us", 1, hlc), "", comes), expected, "{case}");
    }
}

#[test]
fn three_concurrent_writers_end_with_the_newest_in_every_order_of_arrival() {
    let writes = [(id("ap", 1, 102), LIVE), (id("eu", 1, 100), LIVE), (id("us", 1, 101), GONE)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut index = index();
        for at in order {
            insert(&mut index, writes[at].0, "", writes[at].1);
        }
        let look = index.look(KEY, None).unwrap();
        assert_eq!(look.newest(), Some(id("ap", 1, 102)));
        let ids: Vec<WriteId> = look.history().writes().map(|write| write.id).collect();
        assert_eq!(ids, [id("ap", 1, 102), id("us", 1, 101), id("eu", 1, 100)], "newest first");
    }
}

#[test]
fn a_write_that_has_seen_everything_is_no_conflict_and_is_taken() {
    let mut index = index();
    insert(&mut index, id("eu", 4, 100), "", LIVE);
    let expected = Resolution { winner: Winner::Incoming, conflict: false, row_before: Presence::Unknown };
    assert_eq!(resolve(&index, id("us", 1, 101), "eu:4", LIVE), expected);
    assert!(resolve(&index, id("us", 1, 101), "eu:3", LIVE).conflict);
}

#[test]
fn a_value_changed_back_is_still_a_conflict() {
    // eu writes 1, 3, 1: by its values nothing happened. us has seen the first only.
    let mut index = index();
    for (sequence, hlc) in [(1, 100), (2, 110), (3, 120)] {
        insert(&mut index, id("eu", sequence, hlc), "", LIVE);
    }
    let incoming = id("us", 1, 115);
    let resolution = resolve(&index, incoming, "eu:1", LIVE);
    assert_eq!((resolution.conflict, resolution.winner), (true, Winner::Existing(id("eu", 3, 120))));
    let seen = context("eu:1");
    let look = index.look(KEY, Some((&incoming, &seen))).unwrap();
    let rivals: Vec<WriteId> = look.concurrent().map(|write| write.id).collect();
    assert_eq!(rivals, [id("eu", 3, 120), id("eu", 2, 110)]);
}

#[test]
fn a_primary_that_lacks_its_own_tail_has_not_seen_it() {
    let mut index = index();
    insert(&mut index, id("us", 5, 100), "", LIVE);
    // us:6 was written on a primary that holds us up to 4 only.
    assert!(resolve(&index, id("us", 6, 110), "us:4", LIVE).conflict);
    assert!(!resolve(&index, id("us", 6, 110), "us:5", LIVE).conflict);
    assert!(!resolve(&index, id("us", 6, 110), "", LIVE).conflict);
    // Nor is the tail stable, whatever the peers hold, until that primary has it back.
    for (who, seen, last) in [("eu", "us:6", 0), ("ap", "us:6", 0), ("us", "us:4", 6)] {
        index.observe(region(who), &context(seen), Sequence(last)).unwrap();
    }
    assert_eq!(index.stable(region("us")).unwrap(), Sequence(4));
    index.observe(region("us"), &Context::new(), Sequence(6)).unwrap();
    assert_eq!(index.stable(region("us")).unwrap(), Sequence(6));
}

#[test]
fn later_writes_of_a_batch_meet_the_earlier_ones() {
    let mut index = index();
    let mut batch = index.batch();
    assert!(!add(&mut batch, &index, id("us", 1, 100), "", KEY, LIVE).conflict);
    assert!(!add(&mut batch, &index, id("us", 2, 101), "", KEY, GONE).conflict);
    // A transaction of another origin in the same batch, which has seen only the first.
    let third = add(&mut batch, &index, id("ap", 1, 90), "us:1", KEY, LIVE);
    assert_eq!((third.conflict, third.winner), (true, Winner::Existing(id("us", 2, 101))));
    assert_eq!(third.row_before, Presence::Absent);
    assert!(index.look(KEY, None).unwrap().history().is_empty(), "nothing is in the index before the commit");
    batch.commit(&mut index).unwrap();
    assert_eq!(index.stats().writes, 3);
    assert_eq!(batch.keys().count(), 0);
}

#[test]
fn two_writes_of_one_transaction_to_one_key_do_not_conflict() {
    let mut index = index();
    let mut batch = index.batch();
    let mut transaction = batch.transaction(region("us"), Sequence(1), Hlc(100), &Context::new()).unwrap();
    for (write, live) in [(0, GONE), (1, LIVE)] {
        let resolution = transaction.resolve(&index, &LastWriterWins, KEY, write, live).unwrap();
        assert_eq!((resolution.conflict, resolution.winner), (false, Winner::Incoming));
    }
    batch.commit(&mut index).unwrap();
    let newest = index.look(KEY, None).unwrap().history().newest().unwrap();
    assert_eq!((newest.id.index, newest.live), (1, LIVE));
}

#[test]
fn a_primary_key_update_onto_an_equal_key_leaves_the_row_alive() {
    let mut index = index();
    let (at, none) = (id("us", 1, 100), Context::new());
    index.insert(at.origin, at.sequence, at.hlc, &none, [(KEY, 0, GONE), (KEY, 0, LIVE)]).unwrap();
    let look = index.look(KEY, None).unwrap();
    assert!(look.history().newest().unwrap().live && index.stats().writes == 1);
}

#[test]
fn a_local_write_that_turns_up_under_the_locks_changes_the_answer_once() {
    let mut index = index();
    let mut batch = index.batch();
    assert_eq!(add(&mut batch, &index, id("us", 1, 100), "", KEY, LIVE).winner, Winner::Incoming);
    assert_eq!(batch.look_again(&index, &LastWriterWins, KEY), None, "nothing has happened");
    insert(&mut index, id("eu", 1, 105), "", GONE);
    let settled = batch.look_again(&index, &LastWriterWins, KEY).unwrap();
    let taken = index.look(KEY, None).unwrap().history().newest().unwrap();
    let row_before = Presence::Absent;
    assert_eq!(settled, Settled { taken, from_batch: false, conflict: true, row_before });
    assert_eq!(batch.look_again(&index, &LastWriterWins, KEY), None, "it is known now");
    assert_eq!(batch.look_again(&index, &LastWriterWins, OTHER), None, "the batch does not write that key");
}

#[test]
fn a_transaction_inserted_twice_is_inserted_once_also_after_it_was_pruned() {
    let mut index = index();
    insert(&mut index, id("eu", 1, 100), "", LIVE);
    let again = |index: &mut Index| {
        index.insert(region("eu"), Sequence(1), Hlc(100), &Context::new(), [(KEY, 0, LIVE)]).unwrap()
    };
    assert!(!again(&mut index));
    agree(&mut index, "eu:1", 1);
    assert_eq!(index.prune(10).writes, 1);
    assert!(!again(&mut index));
    assert_eq!(index.stats().writes, 0);
}

/// Every region says that it holds `seen`, and eu up to `own_last`.
fn agree(index: &mut Index, seen: &str, own_last: u64) {
    for who in ["eu", "us", "ap"] {
        let others: Context = context(seen).iter().filter(|(name, _)| *name != region(who)).collect();
        let last = context(seen).get(region(who)).0.max(if who == "eu" { own_last } else { 0 });
        index.observe(region(who), &others, Sequence(last)).unwrap();
    }
}

#[test]
fn a_write_is_stable_only_when_every_region_has_it() {
    let mut index = index();
    insert(&mut index, id("eu", 1, 100), "", LIVE);
    for (who, own_last) in [("eu", 1), ("us", 0)] {
        let seen = if who == "eu" { "" } else { "eu:1" };
        index.observe(region(who), &context(seen), Sequence(own_last)).unwrap();
        assert!(!index.is_stable(region("eu"), Sequence(1)).unwrap());
        assert_eq!(index.prune(10).writes, 0);
    }
    index.observe(region("ap"), &context("eu:1"), Sequence(0)).unwrap();
    assert!(index.is_stable(region("eu"), Sequence(1)).unwrap());
    assert_eq!(index.prune(10).writes, 1);
}

#[test]
fn a_stable_write_stays_while_a_write_concurrent_with_it_is_not() {
    let mut index = index();
    insert(&mut index, id("eu", 1, 100), "", LIVE);
    insert(&mut index, id("us", 1, 110), "", LIVE);
    agree(&mut index, "eu:1", 1);
    assert!(index.is_stable(region("eu"), Sequence(1)).unwrap());
    assert_eq!((index.prune(10).writes, index.stats().writes), (0, 2));
    agree(&mut index, "eu:1,us:1", 1);
    assert_eq!((index.prune(10).writes, index.stats().transactions), (2, 0));
}

#[test]
fn a_stable_prefix_goes_when_all_that_stays_has_seen_it() {
    let mut index = index();
    insert(&mut index, id("eu", 1, 100), "", LIVE);
    insert(&mut index, id("us", 1, 110), "eu:1", LIVE);
    insert(&mut index, id("ap", 1, 120), "eu:1", LIVE);
    agree(&mut index, "eu:1", 1);
    assert_eq!(index.prune(10).writes, 1);
    assert_eq!(index.look(KEY, None).unwrap().history().writes().count(), 2);
}

#[test]
fn a_transaction_that_is_stable_when_it_comes_is_forgotten_too() {
    let mut index = index();
    agree(&mut index, "us:1", 0);
    index.prune(10);
    insert(&mut index, id("us", 1, 100), "", LIVE);
    assert_eq!((index.prune(10).writes, index.stats().transactions), (1, 0));
}

#[test]
fn pruning_looks_at_no_more_keys_than_it_may() {
    let mut index = index();
    let writes = (0..100).map(|key| (KeyHash(key), key as u32, LIVE));
    index.insert(region("eu"), Sequence(1), Hlc(100), &Context::new(), writes).unwrap();
    agree(&mut index, "eu:1", 1);
    let first = index.prune(30);
    assert_eq!((first.keys, first.writes, first.transactions, first.more), (30, 30, 0, true));
    assert_eq!(index.stats().keys, 70);
    let rest = index.prune(usize::MAX);
    assert_eq!((rest.keys, rest.writes, rest.transactions, rest.more), (70, 70, 1, false));
}

#[test]
fn the_floor_keeps_what_is_unstable_what_has_a_history_and_what_the_unstable_may_not_have_seen() {
    let mut index = index();
    let floor = |index: &Index, origin: &str| index.floor().sequence(region(origin)).0;
    assert_eq!(floor(&index, "us"), 1);
    agree(&mut index, "eu:9,us:9,ap:9", 9);
    assert_eq!(["eu", "us", "ap"].map(|origin| floor(&index, origin)), [10, 10, 10]);
    // An unstable transaction that had seen us up to 6 keeps us from 7 on.
    insert(&mut index, id("ap", 10, 200), "eu:9,us:6", LIVE);
    assert_eq!(["eu", "us", "ap"].map(|origin| floor(&index, origin)), [10, 7, 10]);
    // A stable write that is concurrent with it stays in the history, so its record stays in the log.
    insert(&mut index, id("eu", 5, 150), "", LIVE);
    assert_eq!(["eu", "us", "ap"].map(|origin| floor(&index, origin)), [5, 7, 10]);
    assert_eq!(floor(&index, "sa"), 0, "nothing of an unknown region may go");
}

#[test]
fn a_region_outside_the_mesh_is_refused_by_name() {
    let mut index = index();
    let unknown = Error::UnknownRegion { name: region("sa") };
    let sa = context("sa:1");
    let none = Context::new();
    let one = [(KEY, 0, LIVE)];
    assert_eq!(index.insert(region("sa"), Sequence(1), Hlc(1), &none, one), Err(unknown.clone()));
    assert_eq!(index.insert(region("us"), Sequence(1), Hlc(1), &sa, one), Err(unknown.clone()));
    assert_eq!(index.observe(region("us"), &sa, Sequence(1)), Err(unknown.clone()));
    assert_eq!(index.look(KEY, Some((&id("us", 1, 1), &sa))).unwrap_err(), unknown);
    assert_eq!(index.stats().writes, 0);
    assert!(unknown.to_string().contains("sa"));
    let twice = ["eu", "us", "eu"].map(region);
    assert!(matches!(Index::new(&twice, region("eu")), Err(Error::RepeatedRegion { .. })));
    assert!(matches!(Index::new(&twice[..2], region("ap")), Err(Error::UnknownRegion { .. })));
}
