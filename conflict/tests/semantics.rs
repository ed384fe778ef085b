//! The promises of the index and of a batch, one claim each.
#![allow(clippy::unwrap_used)]

use conflict::{Batch, Error, Index, Story, Write};
use transaction::{Context, Hlc, KeyHash, RegionName, RepairPlace, Sequence, WriteId};

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
    assert!(index.insert(write.origin, write.sequence, write.hlc, &context(seen), &[], writes).unwrap());
}

/// Whether the write conflicts.
fn add(batch: &mut Batch, index: &Index, write: WriteId, seen: &str, key: KeyHash, live: bool) -> bool {
    let mut transaction =
        batch.transaction(write.origin, write.sequence, write.hlc, &context(seen), &[]).unwrap();
    transaction.resolve(index, key, write.index, live).unwrap().conflict
}

fn conflicts(index: &Index, write: WriteId, seen: &str) -> bool {
    add(&mut index.batch(), index, write, seen, KEY, LIVE)
}

fn ids(story: &Story) -> Vec<WriteId> {
    story.writes.iter().map(|chapter| chapter.write.id).collect()
}

#[test]
fn a_write_that_has_seen_everything_is_no_conflict() {
    let mut index = index();
    insert(&mut index, id("eu", 4, 100), "", LIVE);
    assert!(!conflicts(&index, id("us", 1, 101), "eu:4"));
    assert!(conflicts(&index, id("us", 1, 101), "eu:3"));
}

#[test]
fn a_value_changed_back_is_still_a_conflict() {
    // eu writes 1, 3, 1: by its values nothing happened. us has seen the first only.
    let mut index = index();
    for (sequence, hlc) in [(1, 100), (2, 110), (3, 120)] {
        insert(&mut index, id("eu", sequence, hlc), "", LIVE);
    }
    let mut batch = index.batch();
    assert!(add(&mut batch, &index, id("us", 1, 115), "eu:1", KEY, LIVE));
    let story = batch.story(&index, KEY).unwrap().unwrap();
    assert_eq!(ids(&story), [id("eu", 2, 110), id("us", 1, 115), id("eu", 3, 120)], "eu 1 is known to both");
    let from_batch: Vec<bool> = story.writes.iter().map(|chapter| chapter.from_batch).collect();
    assert_eq!(from_batch, [false, true, false]);
    let concurrent: Vec<Vec<usize>> =
        story.writes.iter().map(|chapter| chapter.concurrent.iter().copied().collect()).collect();
    assert_eq!(concurrent, [vec![], vec![0], vec![1]]);
    assert_eq!(story.start, 0);
}

#[test]
fn a_story_is_told_alike_in_every_order_of_arrival() {
    let writes = [(id("ap", 1, 102), LIVE), (id("eu", 1, 100), LIVE), (id("us", 1, 101), GONE)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut index = index();
        for at in order {
            insert(&mut index, writes[at].0, "", writes[at].1);
        }
        let story = index.story(KEY).unwrap().unwrap();
        assert_eq!(ids(&story), [id("eu", 1, 100), id("us", 1, 101), id("ap", 1, 102)]);
        assert_eq!((story.start, &story.writes[2].concurrent), (0, &[0, 1].into_iter().collect()));
        assert_eq!(index.newest(KEY).unwrap(), story.newest().copied());
    }
}

#[test]
fn a_story_leaves_out_what_no_later_write_is_concurrent_with() {
    let mut index = index();
    for sequence in 1..=50 {
        insert(&mut index, id("eu", sequence, 100 + sequence), "", LIVE);
    }
    assert_eq!(ids(&index.story(KEY).unwrap().unwrap()), [id("eu", 50, 150)]);
    // us has seen eu up to 48: 49 and 50 are told, and 48 is where the fold would start without it.
    insert(&mut index, id("us", 1, 160), "eu:48", LIVE);
    let story = index.story(KEY).unwrap().unwrap();
    assert_eq!(ids(&story), [id("eu", 49, 149), id("eu", 50, 150), id("us", 1, 160)]);
    assert_eq!(story.start, 1);
    assert_eq!(story.writes.last().unwrap().concurrent.len(), 2);
    // What a later write of the batch covers is still told for the sake of an earlier one.
    let mut batch = index.batch();
    assert!(add(&mut batch, &index, id("ap", 1, 155), "eu:49", KEY, LIVE));
    assert!(!add(&mut batch, &index, id("ap", 2, 170), "eu:50,us:1", KEY, LIVE));
    let story = batch.story(&index, KEY).unwrap().unwrap();
    assert_eq!(story.start, story.writes.len() - 1);
    let first = story.writes.iter().position(|chapter| chapter.write.id == id("ap", 1, 155)).unwrap();
    let rivals: Vec<WriteId> =
        story.writes[first].concurrent.iter().map(|at| story.writes[*at].write.id).collect();
    assert_eq!(rivals, [id("eu", 50, 150)]);
    assert!(ids(&story).contains(&id("us", 1, 160)), "which is newer, and concurrent with it too");
}

/// A repair that `origin` made of what `root` left behind.
fn repair(index: &mut Index, at: WriteId, seen: &str, place: RepairPlace) {
    let writes = [(KEY, 0, GONE)];
    assert!(index.insert(at.origin, at.sequence, at.hlc, &context(seen), &[place], writes).unwrap());
}

#[test]
fn a_repair_comes_right_after_its_root_whatever_its_own_stamp_says() {
    let root = id("us", 1, 100);
    let writes = |index: &Index| -> Vec<Write> {
        index.story(KEY).unwrap().unwrap().writes.iter().map(|chapter| chapter.write).collect()
    };
    for repair_first in [false, true] {
        let mut index = index();
        let place = RepairPlace { root, level: 1 };
        if repair_first {
            repair(&mut index, id("eu", 7, 500), "us:1", place);
        }
        insert(&mut index, root, "", LIVE);
        insert(&mut index, id("ap", 1, 101), "", LIVE);
        if !repair_first {
            repair(&mut index, id("eu", 7, 500), "us:1", place);
        }
        let all = writes(&index);
        let order: Vec<WriteId> = all.iter().map(|write| write.id).collect();
        assert_eq!(order, [root, id("eu", 7, 500), id("ap", 1, 101)]);
        assert_eq!(all[1].repair, Some(place));
        assert!(all.is_sorted_by_key(Write::place));
        // The next repair of that row, which has seen them all, is of the newest; one of the repair is a level higher.
        assert_eq!(all[2].place_after(), Some(RepairPlace { root: id("ap", 1, 101), level: 1 }));
        assert_eq!(all[1].place_after(), Some(RepairPlace { root, level: 2 }));
        let last = Write { repair: Some(RepairPlace { root, level: 255 }), ..all[1] };
        assert_eq!(last.place_after(), None);
    }
}

#[test]
fn repairs_of_one_write_are_ordered_by_level_then_by_who_made_them() {
    let root = id("us", 1, 100);
    let mut index = index();
    insert(&mut index, root, "", LIVE);
    repair(&mut index, id("eu", 3, 800), "us:1", RepairPlace { root, level: 1 });
    repair(&mut index, id("ap", 4, 700), "us:1", RepairPlace { root, level: 1 });
    assert_eq!(ids(&index.story(KEY).unwrap().unwrap()), [id("ap", 4, 700), id("eu", 3, 800)]);
    repair(&mut index, id("eu", 9, 900), "us:1,ap:4", RepairPlace { root, level: 2 });
    // ap's and eu's first are concurrent; eu's second has seen both.
    assert_eq!(ids(&index.story(KEY).unwrap().unwrap()), [id("eu", 9, 900)]);
    insert(&mut index, id("ap", 5, 1_000), "us:1", LIVE);
    let story = index.story(KEY).unwrap().unwrap();
    assert_eq!(ids(&story), [id("eu", 3, 800), id("eu", 9, 900), id("ap", 5, 1_000)]);
}

#[test]
fn a_batch_carries_the_places_of_repairs_into_the_index() {
    let root = id("us", 1, 100);
    let mut index = index();
    insert(&mut index, root, "", LIVE);
    insert(&mut index, id("ap", 1, 300), "", LIVE);
    let mut batch = index.batch();
    let place = RepairPlace { root, level: 1 };
    let seen = context("us:1");
    let mut transaction = batch.transaction(region("eu"), Sequence(1), Hlc(500), &seen, &[place]).unwrap();
    assert!(transaction.resolve(&index, KEY, 0, GONE).unwrap().conflict);
    let told = batch.story(&index, KEY).unwrap().unwrap();
    batch.commit(&mut index).unwrap();
    let kept = index.story(KEY).unwrap().unwrap();
    assert_eq!(ids(&told), [root, id("eu", 1, 500), id("ap", 1, 300)]);
    assert_eq!(ids(&told), ids(&kept));
    assert_eq!(kept.writes[1].write.repair, Some(place));
}

#[test]
fn a_row_change_of_a_repair_without_a_place_is_refused() {
    let mut index = index();
    let place = RepairPlace { root: id("us", 1, 100), level: 1 };
    let writes = [(KEY, 0, GONE), (OTHER, 1, GONE)];
    let refused = index.insert(region("us"), Sequence(2), Hlc(5), &Context::new(), &[place], writes);
    assert_eq!(refused, Err(Error::NoPlace { origin: region("us"), sequence: Sequence(2), index: 1 }));
    let unknown = RepairPlace { root: id("sa", 1, 100), level: 1 };
    let refused = index.insert(region("us"), Sequence(3), Hlc(5), &Context::new(), &[unknown], writes);
    assert_eq!(refused, Err(Error::UnknownRegion { name: region("sa") }));
}

#[test]
fn a_claim_stands_on_a_primary_that_lacks_some_of_it() {
    let mut index = index();
    insert(&mut index, id("us", 5, 100), "", LIVE);
    // us:6 was written on a primary that holds us up to 4 only, and says so.
    assert!(!conflicts(&index, id("us", 6, 110), "us:4"));
    for (who, seen, last) in [("eu", "us:6", 0), ("ap", "us:6", 0), ("us", "us:4", 6)] {
        index.observe(region(who), &context(seen), Sequence(last)).unwrap();
    }
    assert_eq!(index.stable(region("us")).unwrap(), Sequence(6));
}

#[test]
fn later_writes_of_a_batch_meet_the_earlier_ones() {
    let mut index = index();
    let mut batch = index.batch();
    assert!(!add(&mut batch, &index, id("us", 1, 100), "", KEY, LIVE));
    assert!(!add(&mut batch, &index, id("us", 2, 101), "", KEY, GONE));
    // A transaction of another origin in the same batch, which has seen only the first.
    assert!(add(&mut batch, &index, id("ap", 1, 90), "us:1", KEY, LIVE));
    assert!(batch.conflicts(&index, KEY).unwrap());
    assert_eq!(batch.newest(&index, KEY).unwrap().unwrap().0.id, id("us", 2, 101));
    assert_eq!(index.story(KEY).unwrap(), None, "nothing is in the index before the commit");
    batch.commit(&mut index).unwrap();
    assert_eq!(index.stats().writes, 3);
    assert_eq!(batch.story(&index, OTHER).unwrap(), None);
}

#[test]
fn two_writes_of_one_transaction_to_one_key_do_not_conflict() {
    let mut index = index();
    let mut batch = index.batch();
    let mut transaction =
        batch.transaction(region("us"), Sequence(1), Hlc(100), &Context::new(), &[]).unwrap();
    for (write, live) in [(0, GONE), (1, LIVE)] {
        assert!(!transaction.resolve(&index, KEY, write, live).unwrap().conflict);
    }
    batch.commit(&mut index).unwrap();
    let newest = index.newest(KEY).unwrap().unwrap();
    assert!(!batch.conflicts(&index, KEY).unwrap());
    assert_eq!((newest.id.index, newest.live), (1, LIVE));
}

#[test]
fn a_primary_key_update_onto_an_equal_key_leaves_the_row_alive() {
    let mut index = index();
    let (at, none) = (id("us", 1, 100), Context::new());
    index.insert(at.origin, at.sequence, at.hlc, &none, &[], [(KEY, 0, GONE), (KEY, 0, LIVE)]).unwrap();
    assert!(index.newest(KEY).unwrap().unwrap().live && index.stats().writes == 1);
}

#[test]
fn a_local_write_that_turns_up_under_the_locks_changes_the_answer_once() {
    let mut index = index();
    let mut batch = index.batch();
    assert!(!add(&mut batch, &index, id("us", 1, 100), "", KEY, LIVE));
    assert_eq!(batch.look_again(&index, KEY).unwrap(), None, "nothing has happened");
    insert(&mut index, id("eu", 1, 105), "", GONE);
    assert_eq!(batch.look_again(&index, KEY).unwrap(), Some(true));
    let newest = batch.newest(&index, KEY).unwrap().unwrap();
    assert_eq!((newest.0.id, newest.0.live, newest.1), (id("eu", 1, 105), GONE, false));
    assert_eq!(batch.look_again(&index, KEY).unwrap(), None, "it is known now");
    assert_eq!(batch.look_again(&index, OTHER).unwrap(), None, "the batch does not write that key");
}

#[test]
fn a_write_that_turns_up_and_is_covered_is_no_conflict() {
    let mut index = index();
    let mut batch = index.batch();
    assert!(!add(&mut batch, &index, id("us", 2, 100), "eu:1", KEY, LIVE));
    insert(&mut index, id("eu", 1, 90), "", LIVE);
    assert_eq!(batch.look_again(&index, KEY).unwrap(), Some(false));
}

#[test]
fn a_transaction_inserted_twice_is_inserted_once_also_after_it_was_pruned() {
    let mut index = index();
    insert(&mut index, id("eu", 1, 100), "", LIVE);
    let again = |index: &mut Index| {
        index.insert(region("eu"), Sequence(1), Hlc(100), &Context::new(), &[], [(KEY, 0, LIVE)]).unwrap()
    };
    assert!(!again(&mut index));
    agree(&mut index, "eu:1", 1);
    assert_eq!(index.prune(10).unwrap().writes, 1);
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
        assert_eq!(index.prune(10).unwrap().writes, 0);
    }
    index.observe(region("ap"), &context("eu:1"), Sequence(0)).unwrap();
    assert!(index.is_stable(region("eu"), Sequence(1)).unwrap());
    assert_eq!(index.prune(10).unwrap().writes, 1);
}

#[test]
fn a_stable_write_stays_while_a_write_concurrent_with_it_is_not() {
    let mut index = index();
    insert(&mut index, id("eu", 1, 100), "", LIVE);
    insert(&mut index, id("us", 1, 110), "", LIVE);
    agree(&mut index, "eu:1", 1);
    assert!(index.is_stable(region("eu"), Sequence(1)).unwrap());
    assert_eq!((index.prune(10).unwrap().writes, index.stats().writes), (0, 2));
    agree(&mut index, "eu:1,us:1", 1);
    assert_eq!((index.prune(10).unwrap().writes, index.stats().transactions), (2, 0));
}

#[test]
fn a_stable_prefix_goes_when_all_that_stays_has_seen_it() {
    let mut index = index();
    insert(&mut index, id("eu", 1, 100), "", LIVE);
    insert(&mut index, id("us", 1, 110), "eu:1", LIVE);
    insert(&mut index, id("ap", 1, 120), "eu:1", LIVE);
    agree(&mut index, "eu:1", 1);
    assert_eq!(index.prune(10).unwrap().writes, 1);
    assert_eq!(index.stats().writes, 2);
}

#[test]
fn a_transaction_that_is_stable_when_it_comes_is_forgotten_too() {
    let mut index = index();
    agree(&mut index, "us:1", 0);
    index.prune(10).unwrap();
    insert(&mut index, id("us", 1, 100), "", LIVE);
    assert_eq!((index.prune(10).unwrap().writes, index.stats().transactions), (1, 0));
}

#[test]
fn pruning_looks_at_no_more_keys_than_it_may() {
    let mut index = index();
    let writes = (0..100).map(|key| (KeyHash(key), key as u32, LIVE));
    index.insert(region("eu"), Sequence(1), Hlc(100), &Context::new(), &[], writes).unwrap();
    agree(&mut index, "eu:1", 1);
    let first = index.prune(30).unwrap();
    assert_eq!((first.keys, first.writes, first.transactions, first.more), (30, 30, 0, true));
    assert_eq!(index.stats().keys, 70);
    let rest = index.prune(usize::MAX).unwrap();
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
    assert_eq!(index.insert(region("sa"), Sequence(1), Hlc(1), &none, &[], one), Err(unknown.clone()));
    assert_eq!(index.insert(region("us"), Sequence(1), Hlc(1), &sa, &[], one), Err(unknown.clone()));
    assert_eq!(index.observe(region("us"), &sa, Sequence(1)), Err(unknown.clone()));
    let refused = index.batch().transaction(region("us"), Sequence(1), Hlc(1), &sa, &[]).err();
    assert_eq!(refused, Some(unknown.clone()));
    assert_eq!(index.stats().writes, 0);
    assert!(unknown.to_string().contains("sa"));
    let twice = ["eu", "us", "eu"].map(region);
    assert!(matches!(Index::new(&twice, region("eu")), Err(Error::RepeatedRegion { .. })));
    assert!(matches!(Index::new(&twice[..2], region("ap")), Err(Error::UnknownRegion { .. })));
}

#[test]
fn the_story_of_a_row_that_two_regions_wrote_all_through_an_outage_names_each_write_once() {
    let mut index = index();
    let count = 20_000;
    for sequence in 1..=count {
        insert(&mut index, id("eu", sequence, 100 + 2 * sequence), "", LIVE);
        insert(&mut index, id("us", sequence, 101 + 2 * sequence), "", LIVE);
    }
    let story = index.story(KEY).unwrap().unwrap();
    assert_eq!(story.writes.len() as u64, 2 * count);
    let pairs: u64 = story.writes.iter().map(|chapter| chapter.concurrent.len() as u64).sum();
    // Each of us's writes with all of eu's: too many to be listed one by one.
    assert_eq!(pairs, count * count);
    let last = story.writes.last().unwrap();
    assert_eq!(last.concurrent.iter().copied().max(), Some(story.writes.len() - 2));
}
