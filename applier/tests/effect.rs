//! From row changes to effects on keys.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use applier::ddl::{self, DdlPolicy};
use applier::effect::{DecodeError, Part, rows_kind};
use support::{TestRules, source};
use synthetic::{Col, Val, gtid, image, insert, marker, query, rows, table_map, xid};
use transaction::binlog::{RowsKind, Tables};
use transaction::key::KeyError;

fn part() -> Part {
    let mut part = Part::default();
    part.begin(source(1));
    part
}

fn text_map() -> Vec<u8> {
    table_map(4, "r", "text", &[("t", Col::Text(255)), ("v", Col::Int)])
}

fn text_insert(texts: &[&str]) -> Vec<u8> {
    let images: Vec<Vec<u8>> = texts.iter().map(|text| image(&[Val::Text(text), Val::Int(1)])).collect();
    [text_map(), rows(RowsKind::Write, 4, 2, &images)].concat()
}

fn add(part: &mut Part, events: &[u8], rules: &TestRules) -> Result<u32, DecodeError> {
    let mut next_index = 0;
    part.add_events(events, true, &mut Tables::default(), &mut next_index, &rules.rules())?;
    Ok(next_index)
}

/// An effect: key, transaction, index, before, after.
type Told = (u128, usize, u32, Option<Vec<u8>>, Option<Vec<u8>>);

/// What a part holds, to compare before and after.
fn told(part: &Part) -> Vec<Told> {
    let own = |image: Option<&[u8]>| image.map(<[u8]>::to_vec);
    part.effects
        .iter()
        .map(|e| (e.key.0, e.transaction, e.index, own(part.before(e)), own(part.after(e))))
        .collect()
}

#[test]
fn an_update_of_the_key_is_a_delete_of_the_old_and_an_insert_of_the_new_key() {
    let row = |id| image(&[Val::Int(id), Val::Int(5)]);
    let update =
        [synthetic::plain_map(), rows(RowsKind::Update, 1, 2, &[row(1), row(2), row(3), row(3)])].concat();
    let mut part = part();
    assert_eq!(add(&mut part, &update, &TestRules::default()).unwrap(), 2);
    let told = told(&part);
    assert_eq!(told.len(), 3);
    assert_eq!((&told[0].3, &told[0].4), (&Some(row(1)), &None));
    assert_eq!((&told[1].3, &told[1].4), (&None, &Some(row(2))));
    assert_eq!((&told[2].3, &told[2].4), (&Some(row(3)), &Some(row(3))));
    // Both halves are one write of the transaction.
    assert_eq!([told[0].2, told[1].2, told[2].2], [0, 0, 1]);
    let keys: std::collections::HashSet<u128> = told.iter().map(|effect| effect.0).collect();
    assert_eq!(keys.len(), 3);
    let mut inserted = part_of(&[insert(2, 9)]);
    assert_eq!(told[1].0, inserted.effects.remove(0).key.0, "the new key is that of the row");
}

fn part_of(events: &[Vec<u8>]) -> Part {
    let mut part = part();
    add(&mut part, &events.concat(), &TestRules::default()).unwrap();
    part
}

#[test]
fn an_update_of_the_case_of_a_key_is_no_other_key() {
    let mut rules = TestRules::default();
    let update = [
        text_map(),
        rows(
            RowsKind::Update,
            4,
            2,
            &[image(&[Val::Text("Abc"), Val::Int(1)]), image(&[Val::Text("aBC"), Val::Int(1)])],
        ),
    ]
    .concat();
    let Err(DecodeError::Needs(needs)) = add(&mut part(), &update, &rules) else { panic!() };
    rules.weights.learn(needs.into_iter().map(|need| (need, b"ABC".to_vec())).collect());
    let mut part = part();
    add(&mut part, &update, &rules).unwrap();
    assert_eq!(part.effects.len(), 1);
    assert!(part.before(&part.effects[0]).is_some() && part.after(&part.effects[0]).is_some());
}

#[test]
fn all_missing_weights_are_named_at_once_and_the_part_is_unchanged() {
    let mut rules = TestRules::default();
    let mut part = part_of(&[insert(1, 1), insert(2, 2)]);
    let (before, len) = (told(&part), part.len());
    part.begin(source(2));
    let swap = [
        text_map(),
        rows(
            RowsKind::Update,
            4,
            2,
            &[image(&[Val::Text("old"), Val::Int(1)]), image(&[Val::Text("new"), Val::Int(1)])],
        ),
    ];
    let events = [insert(3, 3), text_insert(&["a", "b"]), insert(4, 4), swap.concat()].concat();
    let (mut tables, mut next_index) = (Tables::default(), 40);
    let Err(DecodeError::Needs(needs)) =
        part.add_events(&events, true, &mut tables, &mut next_index, &rules.rules())
    else {
        panic!("no weight is known")
    };
    let texts: Vec<&[u8]> = needs.iter().map(|need| need.text.as_slice()).collect();
    assert_eq!(texts, [&b"a"[..], b"b", b"old", b"new"]);
    assert_eq!((told(&part), part.len(), next_index), (before, len, 40));

    // With the answers, the same call goes through, and indices go on where they were.
    rules.weights.learn(needs.into_iter().map(|need| (need.clone(), need.text)).collect());
    part.add_events(&events, true, &mut tables, &mut next_index, &rules.rules()).unwrap();
    assert_eq!(next_index, 45);
    let added: Vec<(usize, u32)> =
        part.effects[2..].iter().map(|effect| (effect.transaction, effect.index)).collect();
    assert_eq!(added, [(1, 40), (1, 41), (1, 42), (1, 43), (1, 44), (1, 44)]);
}

#[test]
fn an_error_leaves_the_part_as_it_was() {
    let mut part = part_of(&[insert(1, 1)]);
    let (before, len) = (told(&part), part.len());
    let orphan = rows(RowsKind::Write, 99, 2, &[image(&[Val::Int(1), Val::Int(1)])]);
    let statement = query("r", "CREATE TABLE x (a INT)");
    for bad in [orphan, statement] {
        let mut next_index = 7;
        let events = [insert(5, 5), bad].concat();
        let rules = TestRules::default();
        part.add_events(&events, true, &mut Tables::default(), &mut next_index, &rules.rules()).unwrap_err();
        assert_eq!((told(&part), part.len(), next_index), (before.clone(), len, 7));
    }
}

#[test]
fn ddl_halts_or_is_passed_over_as_asked_and_maintenance_is_always_passed_over() {
    let ddl = [insert(1, 1), query("r", "ALTER TABLE t ADD c INT"), insert(2, 2)].concat();
    let mut rules = TestRules::default();
    let error = add(&mut part(), &ddl, &rules).unwrap_err();
    assert!(matches!(&error, DecodeError::Ddl(reason) if reason.contains("table r.t")), "{error}");
    let drop = [insert(1, 1), query("r", "DROP TEMPORARY TABLE `x`"), insert(2, 2)].concat();
    assert_eq!(add(&mut part(), &drop, &rules).unwrap(), 2);
    rules.ddl = ddl::always(DdlPolicy::Ignore);
    let mut part = part();
    assert_eq!(add(&mut part, &ddl, &rules).unwrap(), 2);
    assert_eq!(part.effects.len(), 2);
}

#[test]
fn rows_that_are_not_carried_count_in_the_index_only() {
    let events = [gtid(1, 1, 1), query("", "BEGIN"), marker("us", 1, 1), insert(1, 1), xid()].concat();
    let mut part = part();
    assert_eq!(add(&mut part, &events, &TestRules::default()).unwrap(), 2);
    assert_eq!(part.effects.len(), 1);
    assert_eq!(part.effects[0].index, 1);
}

#[test]
fn a_table_without_a_primary_key_is_refused_by_name() {
    let events = include_bytes!("../../transaction/tests/events/unchecked.bin");
    assert!(
        part()
            .add_events(events, false, &mut Tables::default(), &mut 0, &TestRules::default().rules())
            .is_ok()
    );
    let plain = include_bytes!("../../transaction/tests/events/plain.bin");
    let mut rules = TestRules::default();
    // Every text weighs what it is.
    loop {
        match add(&mut part(), plain, &rules) {
            Err(DecodeError::Needs(needs)) => {
                rules.weights.learn(needs.into_iter().map(|need| (need.clone(), need.text)).collect());
            }
            Err(DecodeError::Table { schema, table, reason: KeyError::NoPrimaryKey { .. } }) => {
                assert_eq!((schema.as_str(), table.as_str()), ("r", "bare"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_chunks_of_a_chain_share_table_maps_and_indices() {
    let row = |id| image(&[Val::Int(id), Val::Int(0)]);
    let first = [synthetic::plain_map(), rows(RowsKind::Write, 1, 2, &[row(1), row(2)])].concat();
    // No table map: it came in the chunk before.
    let second = rows(RowsKind::Write, 1, 2, &[row(3)]);
    let (mut tables, mut next_index, rules) = (Tables::default(), 0, TestRules::default());
    part().add_events(&first, true, &mut tables, &mut next_index, &rules.rules()).unwrap();
    let mut later = part();
    later.add_events(&second, true, &mut tables, &mut next_index, &rules.rules()).unwrap();
    assert_eq!(later.effects[0].index, 2);
    assert_eq!(later.after(&later.effects[0]), Some(&row(3)[..]));
}

#[test]
fn the_event_that_takes_a_row_from_one_state_to_another() {
    assert_eq!(rows_kind(true, true), Some(RowsKind::Update));
    assert_eq!(rows_kind(true, false), Some(RowsKind::Delete));
    assert_eq!(rows_kind(false, true), Some(RowsKind::Write));
    assert_eq!(rows_kind(false, false), None);
}
