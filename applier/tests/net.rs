//! Net changes leave every row as the changes one by one do, and touch every row.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use applier::effect::Part;
use applier::net::{Nature, RowChange, as_it_came, net_changes};
use applier::relations::{Action, ForeignKey, Relations};
use proptest::prelude::*;
use support::{TestRules, source};
use synthetic::{Col, Val, image, rows, table_map};
use transaction::binlog::{RowsKind, SessionState, Tables};

/// Table and id.
type Key = (usize, i32);
type Rows = BTreeMap<Key, Vec<u8>>;

const TABLES: [&str; 3] = ["child", "parent", "third"];

/// What a client does to the row of a key, if it is there or not; `to`: where an update of the key moves it.
#[derive(Debug, Clone)]
struct Step {
    key: Key,
    value: i32,
    deletes: bool,
    to: Option<i32>,
}

fn step() -> impl Strategy<Value = Step> {
    let to = prop_oneof![4 => Just(None), 1 => (0..5).prop_map(Some)];
    (0..TABLES.len(), 0..5i32, 0..4i32, any::<bool>(), to).prop_map(|(table, id, value, deletes, to)| Step {
        key: (table, id),
        value,
        deletes,
        to,
    })
}

fn row(id: i32, value: i32) -> Vec<u8> {
    image(&[Val::Int(id), Val::Int(value)])
}

/// The events of one change, and the row changed accordingly; `None` where it changes nothing.
fn play(step: &Step, state: &mut Rows) -> Option<Vec<u8>> {
    let (table, id) = step.key;
    let number = table as u64 + 1;
    let map = table_map(number, "r", TABLES[table], &[("id", Col::Int), ("v", Col::Int)]);
    let (kind, images) = match (state.get(&step.key).cloned(), step.deletes, step.to) {
        (None, ..) => {
            state.insert(step.key, row(id, step.value));
            (RowsKind::Write, vec![row(id, step.value)])
        }
        (Some(before), true, _) => {
            state.remove(&step.key);
            (RowsKind::Delete, vec![before])
        }
        (Some(before), false, Some(to)) if to != id && !state.contains_key(&(table, to)) => {
            state.remove(&step.key);
            state.insert((table, to), row(to, step.value));
            (RowsKind::Update, vec![before, row(to, step.value)])
        }
        (Some(_), false, Some(_)) => return None,
        // The source would log nothing.
        (Some(before), false, None) if before == row(id, step.value) => return None,
        (Some(before), false, None) => {
            state.insert(step.key, row(id, step.value));
            (RowsKind::Update, vec![before, row(id, step.value)])
        }
    };
    Some([map, rows(kind, number, 2, &images)].concat())
}

/// A part of one transaction per step, and the rows before and after it.
fn part(before: &[Step], steps: &[Step]) -> (Part, Rows, Rows) {
    let mut state = Rows::new();
    for step in before {
        play(step, &mut state);
    }
    let (start, rules) = (state.clone(), TestRules::default());
    let (mut part, mut tables) = (Part::default(), Tables::default());
    for (step, number) in steps.iter().zip(1..) {
        let Some(events) = play(step, &mut state) else { continue };
        part.begin(source(number));
        part.add_events(&events, true, &mut tables, &mut 0, &rules.rules()).unwrap();
    }
    (part, start, state)
}

fn table_of(change: &RowChange<'_>) -> usize {
    TABLES.iter().position(|name| *name == change.table.table).unwrap()
}

fn key_of(change: &RowChange<'_>) -> Key {
    // A byte of NULL bits, then the id.
    let image = change.after.or(change.before).unwrap();
    (table_of(change), i32::from_le_bytes(image[1..5].try_into().unwrap()))
}

/// Applies a change as the server does in STRICT mode.
fn apply(change: &RowChange<'_>, state: &mut Rows) {
    let key = key_of(change);
    assert_eq!(state.get(&key).map(Vec::as_slice), change.before, "{key:?}");
    match change.after {
        Some(after) => state.insert(key, after.to_vec()),
        None => state.remove(&key),
    };
}

fn nature(folds: bool) -> Nature {
    Nature { folds, computes: true }
}

/// `child` refers to `parent`, `third` to `child`.
fn relations() -> Relations {
    let mut relations = Relations::default();
    for (child, parent) in [("child", "parent"), ("third", "child")] {
        relations.add_foreign(ForeignKey {
            name: "f".into(),
            child: ("r".into(), child.into()),
            child_columns: vec!["v".into()],
            parent: ("r".into(), parent.into()),
            parent_columns: vec!["id".into()],
            on_delete: Action::Restrict,
            on_update: Action::Restrict,
        });
    }
    relations
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn rows_end_as_they_do_one_by_one_and_each_is_changed(
        before in prop::collection::vec(step(), 0..20), steps in prop::collection::vec(step(), 0..60), unfolded in 0..4usize,
    ) {
        let (part, start, end) = part(&before, &steps);
        let folds = |name: &str| TABLES.get(unfolded) != Some(&name);
        let changes = net_changes(&part, part.effects.iter(), |table| nature(folds(&table.table)), &relations());
        let mut state = start.clone();
        for change in &changes {
            apply(change, &mut state);
        }
        prop_assert_eq!(&state, &end);
        let keys = |changes: &mut dyn Iterator<Item = Key>| changes.collect::<BTreeSet<Key>>();
        let all = keys(&mut part.effects.iter().map(|effect| key_of(&as_it_came(&part, effect, true))));
        prop_assert_eq!(keys(&mut changes.iter().map(key_of)), all);
        // Of a table that does not fold, every change is there; of another, one of each row that is there before or after.
        for (place, name) in TABLES.iter().enumerate() {
            let came: Vec<Key> = part.effects.iter().map(|effect| key_of(&as_it_came(&part, effect, true))).collect();
            let came: Vec<Key> = came.into_iter().filter(|(table, _)| *table == place).collect();
            let there = |key: &Key| start.contains_key(key) || end.contains_key(key);
            let one_each = came.iter().filter(|key| there(key)).collect::<BTreeSet<_>>().len();
            let others = came.iter().filter(|key| !there(key)).count();
            let sent = changes.iter().filter(|change| table_of(change) == place).count();
            prop_assert_eq!(sent, if folds(name) { one_each + others } else { came.len() });
        }
    }
}

#[test]
fn rows_leave_before_they_come_children_before_parents_and_come_the_other_way_round() {
    let at = |table: usize, id| Step { key: (table, id), value: 1, deletes: false, to: None };
    let gone = |table: usize, id| Step { deletes: true, ..at(table, id) };
    let other = |table: usize, id| Step { value: 2, ..at(table, id) };
    let before = [at(0, 0), at(1, 0), at(2, 0), at(0, 4), at(1, 4), at(2, 4)];
    // One that was not there and goes again, then each table in turn.
    let steps = [
        at(0, 3),
        gone(0, 3),
        at(1, 1),
        at(0, 1),
        at(2, 1),
        gone(2, 0),
        gone(0, 0),
        gone(1, 0),
        other(2, 4),
        other(0, 4),
        other(1, 4),
    ];
    let (part, ..) = part(&before, &steps);
    let changes = net_changes(&part, part.effects.iter(), |_| nature(true), &relations());
    let told: Vec<(bool, bool, Key)> = changes
        .iter()
        .map(|change| (change.before.is_some(), change.after.is_some(), key_of(change)))
        .collect();
    let (child, parent, third) = (0, 1, 2);
    assert_eq!(
        told,
        [
            (true, false, (third, 0)),
            (true, false, (child, 0)),
            (true, false, (parent, 0)),
            (true, true, (parent, 4)),
            (true, true, (child, 4)),
            (true, true, (third, 4)),
            (false, true, (parent, 1)),
            (false, true, (child, 1)),
            (false, true, (third, 1)),
            (false, true, (child, 3)),
            (true, false, (child, 3)),
        ]
    );
}

#[test]
fn of_a_table_that_does_not_fold_every_change_goes_and_rows_share_events() {
    let to = |id, value| Step { key: (0, id), value, deletes: false, to: None };
    // Two rows in turn, three changes each.
    let steps = [to(1, 1), to(2, 1), to(1, 2), to(2, 2), Step { deletes: true, ..to(1, 0) }, to(2, 3)];
    let (part, ..) = part(&[], &steps);
    let changes = net_changes(&part, part.effects.iter(), |_| nature(false), &Relations::default());
    let told: Vec<(bool, bool, i32)> = changes
        .iter()
        .map(|change| (change.before.is_some(), change.after.is_some(), key_of(change).1))
        .collect();
    let (insert, update, delete) = ((false, true), (true, true), (true, false));
    let wanted = [(insert, 1), (insert, 2), (update, 1), (update, 2), (delete, 1), (update, 2)];
    assert_eq!(told, wanted.map(|((before, after), id)| (before, after, id)));
}

#[test]
fn a_table_of_which_the_server_computes_keeps_the_order_if_two_sessions_wrote_it() {
    let steps = [(0, 1), (1, 1), (1, 2), (0, 2)].map(|(table, value)| Step {
        key: (table, 1),
        value,
        deletes: false,
        to: None,
    });
    let (mut part, ..) = part(&[], &steps);
    let zone =
        |zone: &str| Some(Arc::new(SessionState { time_zone: Some(zone.into()), ..SessionState::default() }));
    let keys = |part: &Part, computes| {
        let nature = |_: &_| Nature { folds: true, computes };
        net_changes(part, part.effects.iter(), nature, &Relations::default())
            .iter()
            .map(key_of)
            .collect::<Vec<_>>()
    };
    part.transactions.iter_mut().for_each(|transaction| transaction.session = zone("+01:00"));
    assert_eq!(keys(&part, true), [(0, 1), (1, 1)]);
    part.transactions[3].session = zone("+02:00");
    assert_eq!(keys(&part, true), [(1, 1), (0, 1), (0, 1)]);
    assert_eq!(keys(&part, false), [(0, 1), (1, 1)]);
}
