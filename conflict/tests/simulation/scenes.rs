//! Schedules that are told step by step, since each was once thought to go wrong.

use std::collections::BTreeMap;

use conflict::Deletes;
use transaction::Hlc;

use super::change::Key;
use super::client::Habit;
use super::mistake::Mistake;
use super::region::{Logs, Region};
use super::rng::Rng;
use super::row::Row;
use super::rule::{Kind, Rule};

/// A mesh whose clocks and deliveries the scene decides.
struct Scene {
    all: Vec<Region>,
    logs: Logs,
    rng: Rng,
}

const ROW: Row = Row { a: 0, b: 0, count: 0, cents: 0, high: 0, low: 0, tags: 0, owner: 0, u: None, v: None };

fn holding(u: u8, a: i32) -> Option<Row> {
    Some(Row { a: a * 5, u: Some(u), ..ROW })
}

impl Scene {
    fn new(regions: usize, kind: Kind, mistake: Option<Mistake>) -> Self {
        Self::with(regions, Rule::plain(kind), mistake)
    }

    fn with(regions: usize, rule: Rule, mistake: Option<Mistake>) -> Self {
        let all = (0..regions).map(|me| Region::new(me, regions, rule, Habit::Unique, mistake)).collect();
        Self { all, logs: vec![Vec::new(); regions], rng: Rng::new(1) }
    }

    /// A client of `region` commits these rows at `now`; the extractor reads them at once.
    fn write(&mut self, region: usize, now: u64, rows: &[(Key, Option<Row>)]) {
        let one = &mut self.all[region];
        one.hlc = one.hlc.tick(now);
        let blank = one.blank(one.hlc);
        let mut changes = Vec::new();
        for (index, (key, after)) in rows.iter().enumerate() {
            changes.push(blank.with(index as u32, *key, one.rows.get(key).copied(), *after));
            one.set(*key, *after);
        }
        one.commit(changes);
        one.extract(&mut self.logs[region]);
    }

    /// `region` applies the next transactions of `origin`, all of them in one batch or as many as are asked for.
    fn apply(&mut self, region: usize, origin: usize, count: usize) {
        let target = self.all[region].applied[origin] + count.min(self.logs[origin].len()) as u64;
        let target = target.min(self.logs[origin].len() as u64);
        // A batch may be rolled back at random.
        while self.all[region].applied[origin] < target {
            let left = (target - self.all[region].applied[origin]) as usize;
            self.all[region].apply(&mut self.logs, origin, left, None, &mut self.rng);
        }
        self.all[region].extract(&mut self.logs[region]);
    }

    /// The rows that all regions end with.
    fn rest(mut self) -> BTreeMap<Key, Row> {
        super::drain(&mut self.all, &mut self.logs, &mut self.rng);
        let rows = self.all[0].rows.clone();
        assert!(self.all.iter().all(|region| region.rows == rows));
        rows
    }
}

/// eu writes x, y and x again to row 1; us writes x to row 2 in between. Each hears of the other half-way.
fn both_want_x(mistake: Option<Mistake>) -> BTreeMap<Key, Row> {
    let mut scene = Scene::new(2, Kind::LastWriter, mistake);
    scene.write(0, 1, &[(1, holding(1, 1))]);
    scene.write(1, 2, &[(2, holding(1, 2))]);
    scene.write(0, 5, &[(1, holding(2, 3))]);
    scene.write(0, 6, &[(1, holding(1, 4))]);
    // Time goes by before they hear of each other.
    scene.all.iter_mut().for_each(|region| region.hlc = Hlc(20));
    scene.apply(1, 0, 1);
    scene.apply(0, 1, 1);
    scene.rest()
}

#[test]
fn repairs_with_a_stamp_of_their_own_lose_both_rows_and_repairs_at_the_losers_place_keep_one() {
    assert_eq!(both_want_x(Some(Mistake::RepairAtOwnTime)), BTreeMap::new());
    let kept = BTreeMap::from([(1, holding(1, 4).unwrap())]);
    assert_eq!(both_want_x(None), kept);
}

#[test]
fn a_swap_of_unique_values_inside_one_transaction_needs_no_repair() {
    let mut scene = Scene::new(2, Kind::LastWriter, None);
    scene.write(0, 1, &[(1, holding(1, 0)), (2, holding(2, 0))]);
    scene.apply(1, 0, 1);
    scene.write(0, 2, &[(1, holding(3, 0)), (2, holding(1, 0)), (1, holding(2, 0))]);
    scene.apply(1, 0, 1);
    assert_eq!(scene.all[1].counts.repairs, 0);
    assert_eq!(scene.rest(), BTreeMap::from([(1, holding(2, 0).unwrap()), (2, holding(1, 0).unwrap())]));
}

#[test]
fn a_row_that_loses_one_of_two_unique_values_does_not_push_out_the_holder_of_the_other() {
    let mut scene = Scene::new(3, Kind::LastWriter, None);
    let both = Row { u: Some(1), v: Some(1), ..ROW };
    scene.write(0, 5, &[(1, Some(both))]);
    scene.write(1, 9, &[(2, Some(Row { u: Some(1), ..ROW }))]);
    scene.write(2, 3, &[(3, Some(Row { v: Some(1), ..ROW }))]);
    scene.apply(1, 2, 1);
    scene.apply(1, 0, 1);
    assert_eq!(scene.all[1].rows.keys().copied().collect::<Vec<_>>(), [2, 3]);
    // In the other regions row 1 may have removed row 3 before row 2 came and removed it: a repair is a decision.
    assert!(scene.rest().contains_key(&2));
}

#[test]
fn rows_with_no_value_in_a_unique_column_do_not_clash() {
    let mut scene = Scene::new(2, Kind::LastWriter, None);
    scene.write(0, 1, &[(1, Some(ROW))]);
    scene.write(1, 1, &[(2, Some(ROW))]);
    assert_eq!(scene.rest().len(), 2);
}

#[test]
fn a_merged_row_that_takes_a_value_which_another_row_holds_is_settled_like_a_written_one() {
    let mut scene = Scene::new(3, Kind::Columns, None);
    scene.write(0, 1, &[(1, holding(1, 0))]);
    for region in 1..3 {
        scene.apply(region, 0, 1);
    }
    scene.write(1, 2, &[(1, holding(2, 0))]);
    scene.write(0, 3, &[(1, Some(Row { count: 5, ..holding(1, 0).unwrap() }))]);
    scene.write(2, 9, &[(4, holding(2, 0))]);
    // Row 1 becomes (u: 2, count: 5) wherever both are known; row 4 is newer.
    assert_eq!(scene.rest(), BTreeMap::from([(4, holding(2, 0).unwrap())]));
}

#[test]
fn three_way_ownership_ends_the_same_in_every_order_of_arrival() {
    // Region 1 owns the rows. 0 and 2 write concurrently with it, and with each other.
    for order in [[0, 2], [2, 0]] {
        let mut scene = Scene::new(3, Kind::Owner, None);
        let row = |a| Some(Row { a, ..ROW });
        scene.write(0, 4, &[(1, row(40))]);
        scene.write(1, 1, &[(1, row(10))]);
        scene.write(2, 9, &[(1, row(90))]);
        for origin in order {
            scene.apply(1, origin, 1);
        }
        scene.apply(0, order[0].max(1), 1);
        assert_eq!(scene.rest(), BTreeMap::from([(1, row(10).unwrap())]));
    }
}

#[test]
fn a_row_whose_history_is_pruned_counts_as_older_than_what_clashes_with_it() {
    let rule = Rule { kind: Kind::Columns, deletes: Deletes::Lose };
    let mut scene = Scene::with(3, rule, None);
    scene.write(0, 1, &[(1, holding(9, 0))]);
    scene.apply(1, 0, 1);
    scene.apply(2, 0, 1);
    // Region 2 gives the value 1 to row 2, and 1 applies that; neither knows that 0 gives it to row 1 and deletes that row.
    scene.write(2, 5, &[(2, holding(1, 0))]);
    scene.apply(1, 2, 1);
    scene.write(0, 10, &[(1, holding(1, 0))]);
    scene.write(0, 20, &[(1, None)]);
    scene.apply(0, 2, 1);
    for origin in 1..3 {
        let mut positions = Vec::new();
        super::write_position(&mut scene.all[origin], &mut scene.logs[origin], &mut positions);
        scene.all[0].read_positions(origin, &positions);
    }
    scene.all[0].prune(usize::MAX);
    // A concurrent update puts row 1 back, with the value that it had when it was deleted.
    scene.write(1, 15, &[(1, Some(Row { count: 3, ..holding(9, 0).unwrap() }))]);
    scene.apply(0, 1, 1);
    let merged = Row { count: 3, ..holding(1, 0).unwrap() };
    assert_eq!(scene.all[0].rows, BTreeMap::from([(1, merged)]), "row 2 is stable, hence older");
    assert_eq!(scene.all[0].counts.repairs, 1);
    assert_eq!(scene.rest(), BTreeMap::from([(1, merged)]));
}
