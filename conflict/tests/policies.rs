//! The tables of SEMANTICS.md, policy by policy: what concurrent writes make of a row, in every order of arrival.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;

use conflict::{
    Chapter, Columns, Concurrent, Deletes, FoldError, Halt, Image, Images, Index, LastWriterWins, NoImages,
    Outcome, Policy, RegionOwned, Story, Write, fold,
};
use transaction::binlog::{Column, ColumnType, TableMap, Value, row_values};
use transaction::{Context, Hlc, KeyHash, RegionName, RepairPlace, Sequence, WriteId};

const KEY: KeyHash = KeyHash(7);

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

fn column(name: &str, kind: ColumnType, unsigned: bool) -> Column {
    let members = Vec::new();
    Column { name: name.into(), kind, nullable: true, unsigned, collation: 255, members }
}

fn layout(columns: Vec<Column>) -> Arc<TableMap> {
    Arc::new(TableMap {
        table_id: 9,
        schema: "shop".into(),
        table: "stock".into(),
        present: vec![0xff; columns.len().div_ceil(8)],
        columns,
        primary_key: Vec::new(),
        body_after_id: Vec::new(),
    })
}

fn stock() -> Vec<Column> {
    vec![
        column("a", ColumnType::Int(4), false),
        column("b", ColumnType::Int(4), false),
        column("n", ColumnType::Int(1), false),
        column("price", ColumnType::Decimal { precision: 4, scale: 2 }, false),
        column("high", ColumnType::Int(4), true),
        column("since", ColumnType::Date, false),
        column("tags", ColumnType::Set(1), false),
        column("owner", ColumnType::VarChar(32), false),
    ]
}

/// An image of `"a=1 owner=eu"`; columns that are not named are NULL.
fn image(table: &Arc<TableMap>, text: &str) -> Image {
    let named: HashMap<&str, &str> =
        text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect();
    assert!(named.keys().all(|name| table.columns.iter().any(|column| column.name == *name)), "{text}");
    let mut bytes = vec![0; table.columns.len().div_ceil(8)];
    for (place, column) in table.columns.iter().enumerate() {
        let Some(value) = named.get(column.name.as_str()) else {
            bytes[place / 8] |= 1 << (place % 8);
            continue;
        };
        match column.kind {
            ColumnType::Int(len) => {
                bytes.extend(&value.parse::<i64>().unwrap().to_le_bytes()[..usize::from(len)]);
            }
            ColumnType::Decimal { .. } => {
                let cents = (value.parse::<f64>().unwrap() * 100.0).round() as i32;
                let digits = [(cents.abs() / 100) as u8, (cents.abs() % 100) as u8];
                let mut digits = if cents < 0 { digits.map(|byte| !byte) } else { digits };
                digits[0] ^= 0x80;
                bytes.extend(digits);
            }
            ColumnType::Date => {
                let parts: Vec<u32> = value.split('-').map(|part| part.parse().unwrap()).collect();
                bytes.extend(&(parts[0] << 9 | parts[1] << 5 | parts[2]).to_le_bytes()[..3]);
            }
            ColumnType::Set(_) => bytes.push(value.parse().unwrap()),
            _ => {
                bytes.push(value.len() as u8);
                bytes.extend(value.as_bytes());
            }
        }
    }
    Image { table: table.clone(), bytes }
}

fn text(image: &Image) -> String {
    let values = row_values(&image.table, &image.bytes).unwrap();
    let cells = image.table.columns.iter().zip(values).filter(|(_, bytes)| bytes.is_some());
    let cell = |(column, bytes): (&Column, Option<&[u8]>)| {
        let value = match Value::decode(column, bytes).unwrap() {
            Value::Set { mask, .. } => mask.to_string(),
            value => value.full_text(),
        };
        format!("{}={value}", column.name)
    };
    cells.map(cell).collect::<Vec<_>>().join(" ")
}

/// One write of the key; `seen` as `"eu:3,us:4"`.
#[derive(Clone)]
struct W {
    id: WriteId,
    seen: &'static str,
    before: Option<Image>,
    after: Option<Image>,
    repair: Option<RepairPlace>,
}

/// An insert has no `before`, a delete no `after`.
fn w(origin: &str, sequence: u64, hlc: u64, seen: &'static str, before: &str, after: &str) -> W {
    let table = layout(stock());
    let some = |text: &str| (!text.is_empty()).then(|| image(&table, text));
    let id = WriteId { hlc: Hlc(hlc), origin: region(origin), sequence: Sequence(sequence), index: 0 };
    W { id, seen, before: some(before), after: some(after), repair: None }
}

fn context(text: &str) -> Context {
    let entries = text.split(',').filter(|entry| !entry.is_empty());
    let entry = |entry: &str| {
        let (name, sequence) = entry.split_once(':').unwrap();
        (region(name), Sequence(sequence.parse().unwrap()))
    };
    entries.map(entry).collect()
}

struct Held<'a>(&'a [W]);

impl Images for Held<'_> {
    fn before(&self, write: &WriteId) -> Option<&Image> {
        self.0.iter().find(|w| w.id == *write)?.before.as_ref()
    }

    fn after(&self, write: &WriteId) -> Option<&Image> {
        self.0.iter().find(|w| w.id == *write)?.after.as_ref()
    }
}

#[derive(Debug, PartialEq)]
enum End {
    Row(String),
    /// Merged, and what the row is if the server refuses it.
    Merged(String, String),
    Gone,
    Halt,
}

fn insert(index: &mut Index, w: &W) {
    let repairs: Vec<RepairPlace> = w.repair.into_iter().collect();
    let writes = [(KEY, 0, w.after.is_some())];
    let (origin, sequence, hlc) = (w.id.origin, w.id.sequence, w.id.hlc);
    assert!(index.insert(origin, sequence, hlc, &context(w.seen), &repairs, writes).unwrap());
}

/// Folds the writes in every order of arrival that causality allows, all of which must agree.
fn end(policy: &dyn Policy, writes: &[W]) -> End {
    let mut ends = Vec::new();
    permute(&mut (0..writes.len()).collect(), 0, &mut |order| {
        let mut index = Index::new(&["ap", "eu", "us"].map(region), region("eu")).unwrap();
        for at in order {
            insert(&mut index, &writes[*at]);
        }
        let story = index.story(KEY).unwrap().unwrap();
        let held = Held(writes);
        let images: &dyn Images = if policy.reads_images() { &held } else { &NoImages };
        let after = |at: usize| held.after(&story.writes[at].write.id).map(text);
        ends.push(match fold(policy, &story, images).unwrap() {
            Outcome::As(at) => after(at).map_or(End::Gone, End::Row),
            Outcome::Merged { image, fallback } => End::Merged(text(&image), after(fallback).unwrap()),
            Outcome::Halt => End::Halt,
        });
    });
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    ends.swap_remove(0)
}

fn permute(order: &mut Vec<usize>, from: usize, each: &mut dyn FnMut(&[usize])) {
    if from == order.len() {
        each(order);
    }
    for at in from..order.len() {
        order.swap(from, at);
        permute(order, from + 1, each);
        order.swap(from, at);
    }
}

fn row(text: &str) -> End {
    End::Row(text.into())
}

const OLD: &str = "a=1 b=1 n=10 owner=eu";

/// Two concurrent writes of a row: eu's at 100, us's at 101 (newer) or at 99 (older). Returns both ends.
fn two(policy: &dyn Policy, eu: (&str, &str), us: (&str, &str)) -> (End, End) {
    let base = w("ap", 1, 1, "", "", OLD);
    let eu = w("eu", 1, 100, "ap:1", eu.0, eu.1);
    let pair = |hlc| [base.clone(), eu.clone(), w("us", 1, hlc, "ap:1", us.0, us.1)];
    (end(policy, &pair(101)), end(policy, &pair(99)))
}

const INSERTS: [(&str, &str); 2] = [("", "a=2 n=1"), ("", "a=3 n=2")];
const UPDATES: [(&str, &str); 2] = [(OLD, "a=2 b=1 n=11 owner=eu"), (OLD, "a=1 b=3 n=15 owner=eu")];
const DELETE: (&str, &str) = (OLD, "");

#[test]
fn last_writer_wins_by_its_table() {
    let policy = LastWriterWins;
    assert_eq!(two(&policy, INSERTS[0], INSERTS[1]), (row("a=3 n=2"), row("a=2 n=1")));
    let (ours, theirs) = (UPDATES[0].1, UPDATES[1].1);
    assert_eq!(two(&policy, UPDATES[0], UPDATES[1]), (row(theirs), row(ours)));
    assert_eq!(two(&policy, UPDATES[0], DELETE), (End::Gone, row(ours)));
    assert_eq!(two(&policy, DELETE, UPDATES[1]), (row(theirs), End::Gone));
    assert_eq!(two(&policy, DELETE, DELETE), (End::Gone, End::Gone));
    let three =
        [w("ap", 1, 102, "", "", "a=4"), w("eu", 1, 100, "", "", "a=2"), w("us", 1, 101, "", "a=0", "")];
    assert_eq!(end(&policy, &three), row("a=4"));
}

#[test]
fn with_equal_clocks_the_later_name_wins_then_the_higher_number() {
    let tied =
        [w("eu", 1, 100, "", "", "a=1"), w("us", 1, 100, "", "", "a=2"), w("ap", 1, 100, "", "", "a=3")];
    assert_eq!(end(&LastWriterWins, &tied), row("a=2"));
}

#[test]
fn a_fixed_owner_wins_by_its_table() {
    let policy = RegionOwned::Fixed(region("eu"));
    let either = |end: fn() -> End| (end(), end());
    assert_eq!(two(&policy, INSERTS[0], INSERTS[1]), either(|| row("a=2 n=1")));
    assert_eq!(two(&policy, UPDATES[0], UPDATES[1]), either(|| row("a=2 b=1 n=11 owner=eu")));
    assert_eq!(two(&policy, UPDATES[0], DELETE), either(|| row("a=2 b=1 n=11 owner=eu")));
    assert_eq!(two(&policy, DELETE, UPDATES[1]), either(|| End::Gone));
    assert_eq!(two(&policy, DELETE, DELETE), either(|| End::Gone));
    // Between two who do not own the row, the newest.
    let others = RegionOwned::Fixed(region("ap"));
    assert_eq!(two(&others, INSERTS[0], INSERTS[1]), (row("a=3 n=2"), row("a=2 n=1")));
    // A write that has seen the owner's is taken, whoever wrote it.
    let seen = [w("eu", 1, 100, "", "", "a=2"), w("us", 1, 101, "eu:1", "a=2", "a=3")];
    assert_eq!(end(&policy, &seen), row("a=3"));
}

#[test]
fn three_way_ownership_keeps_the_owners_row_unless_who_comes_last_has_seen_it() {
    let policy = RegionOwned::Fixed(region("us"));
    let [ap, eu, us] = [("ap", 102, "a=4"), ("eu", 100, "a=2"), ("us", 101, "a=3")]
        .map(|(origin, hlc, after)| w(origin, 1, hlc, "", "", after));
    assert_eq!(end(&policy, &[ap.clone(), eu.clone(), us.clone()]), row("a=3"));
    // eu writes again, having seen us, not ap.
    let again = w("eu", 2, 103, "us:1", "a=3", "a=5");
    assert_eq!(end(&policy, &[ap, eu, us, again]), row("a=5"));
}

#[test]
fn an_owner_column_is_read_from_the_row_that_the_write_found() {
    let policy = RegionOwned::Column("OWNER".into());
    assert!(policy.reads_images() && !RegionOwned::Fixed(region("eu")).reads_images());
    // us owns the row, and is older; eu's newer write loses, even if it makes the row its own.
    let theirs = "a=1 owner=US";
    let us = w("us", 1, 100, "ap:1", theirs, "a=3 owner=US");
    let base = w("ap", 1, 1, "", "", theirs);
    for after in ["a=2 owner=US", "a=2 owner=eu", ""] {
        let eu = w("eu", 1, 101, "ap:1", theirs, after);
        assert_eq!(end(&policy, &[base.clone(), us.clone(), eu]), row("a=3 owner=US"), "{after}");
    }
    // An insert is judged by whom it gives the row to.
    let [eu, us] = [("eu", 100), ("us", 101)].map(|(origin, hlc)| w(origin, 1, hlc, "", "", "a=1 owner=eu"));
    assert_eq!(end(&policy, &[eu.clone(), us.clone()]), row("a=1 owner=eu"));
    let given = w("us", 1, 101, "", "", "a=1 owner=us");
    assert_eq!(end(&policy, &[eu, given]), row("a=1 owner=us"), "each its own: the newest");
    // A row without an owner, or with one that is no region, goes to the newest.
    for nobody in ["a=1", "a=1 owner=mars"] {
        let pair = [w("eu", 1, 100, "", nobody, "a=2"), w("us", 1, 101, "", nobody, "a=3")];
        assert_eq!(end(&policy, &pair), row("a=3"));
    }
}

fn columns() -> Columns {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Columns {
        counter: names(&["n", "price"]),
        max: names(&["high"]),
        min: names(&["since"]),
        set_union: names(&["tags"]),
    }
}

fn merged(text: &str, fallback: &str) -> End {
    End::Merged(text.into(), fallback.into())
}

#[test]
fn columns_merge_by_their_table() {
    let policy = columns();
    let (ours, theirs) = (UPDATES[0].1, UPDATES[1].1);
    let both = "a=2 b=3 n=16 owner=eu";
    assert_eq!(two(&policy, UPDATES[0], UPDATES[1]), (merged(both, theirs), merged(both, ours)));
    let sums = ["a=3 n=3", "a=2 n=3"];
    let inserts = (merged(sums[0], "a=3 n=2"), merged(sums[1], "a=2 n=1"));
    // Without a row there before.
    let pair = |hlc| [w("eu", 1, 100, "", "", INSERTS[0].1), w("us", 1, hlc, "", "", INSERTS[1].1)];
    assert_eq!((end(&policy, &pair(101)), end(&policy, &pair(99))), inserts);
    assert_eq!(two(&policy, UPDATES[0], DELETE), (End::Gone, row(ours)));
    assert_eq!(two(&policy, DELETE, UPDATES[1]), (row(theirs), End::Gone));
    assert_eq!(two(&policy, DELETE, DELETE), (End::Gone, End::Gone));
    // Three at once: two add to the counter, one writes b.
    let base = w("ap", 1, 1, "", "", OLD);
    let three = [
        w("ap", 2, 90, "", OLD, "a=1 b=7 n=10 owner=eu"),
        w("eu", 1, 100, "ap:1", OLD, "a=1 b=1 n=13 owner=eu"),
        w("us", 1, 95, "ap:1", OLD, "a=5 b=1 n=6 owner=eu"),
    ];
    let [x, y, z] = three;
    let all = [base, x, y, z];
    assert_eq!(end(&policy, &all), merged("a=5 b=7 n=9 owner=eu", "a=1 b=1 n=13 owner=eu"));
}

#[test]
fn decimals_are_counted_and_dates_and_sets_are_gathered() {
    let policy = columns();
    let old = "price=10.50 high=5 since=2024-05-05 tags=3";
    let base = w("ap", 1, 1, "", "", old);
    let eu = w("eu", 1, 100, "ap:1", old, "price=8.25 high=9 since=2024-01-31 tags=7");
    let us = w("us", 1, 101, "ap:1", old, "price=10.75 high=7 since=2024-06-01 tags=2");
    let End::Merged(text, _) = end(&policy, &[base, eu, us]) else { panic!() };
    // 10.50 - 2.25 + 0.25; bit 4 was added, bit 1 taken out.
    assert_eq!(text, "price=8.50 high=9 since=2024-01-31 tags=6");
}

#[test]
fn an_unchanged_column_takes_nothing_from_the_later_write() {
    let policy = Columns::default();
    let base = w("ap", 1, 1, "", "", "a=1 b=1 tags=1 n=1");
    let eu = w("eu", 1, 100, "ap:1", "a=1 b=1 tags=1 n=1", "a=2 tags=1 n=1");
    let us = w("us", 1, 101, "ap:1", "a=1 b=1 tags=1 n=1", "a=1 b=1 tags=3 n=1");
    assert_eq!(
        end(&policy, &[base, eu, us]),
        merged("a=2 n=1 tags=3", "a=1 b=1 n=1 tags=3"),
        "b was set to NULL"
    );
}

#[test]
fn a_member_that_a_concurrent_write_added_is_not_taken_out() {
    let policy = columns();
    // eu adds 1 twice over: it adds, takes out, and us adds the same in between.
    let base = w("ap", 1, 1, "", "", "a=0 tags=0");
    let us = w("us", 1, 100, "ap:1", "a=0 tags=0", "a=0 tags=1");
    let eu = w("eu", 1, 90, "ap:1", "a=0 tags=0", "a=0 tags=1");
    let out = w("eu", 2, 110, "ap:1", "a=0 tags=1", "a=0 tags=0");
    for (out_at, expected) in [(110, "a=0 tags=1"), (95, "a=0 tags=1")] {
        let mut out = out.clone();
        out.id.hlc = Hlc(out_at);
        let End::Merged(text, _) = end(&policy, &[base.clone(), us.clone(), eu.clone(), out]) else {
            panic!()
        };
        assert_eq!(text, expected);
    }
}

#[test]
fn nulls_count_as_nothing_until_they_are_written() {
    let policy = columns();
    let base = w("ap", 1, 1, "", "", "a=1");
    let merge = |eu: (&str, &str), us: (&str, &str)| {
        let eu = w("eu", 1, 100, "ap:1", eu.0, eu.1);
        let End::Merged(text, _) = end(&policy, &[base.clone(), eu, w("us", 1, 101, "ap:1", us.0, us.1)])
        else {
            panic!()
        };
        text
    };
    assert_eq!(merge(("a=1", "a=1 n=2"), ("a=1", "a=1 n=3")), "a=1 n=5");
    assert_eq!(merge(("a=1", "a=1 high=2"), ("a=1", "a=1")), "a=1 high=2");
    assert_eq!(merge(("a=1", "a=1"), ("a=1", "a=1 high=2 since=2024-01-01")), "a=1 high=2 since=2024-01-01");
    assert_eq!(merge(("a=1", "a=1 tags=1"), ("a=1", "a=1 tags=2")), "a=1 tags=3");
    // Set to NULL by one, counted up by the other: the fold order decides, as with any last writer.
    assert_eq!(merge(("a=1 n=4", "a=1"), ("a=1 n=4", "a=1 n=5")), "a=1 n=1");
    assert_eq!(merge(("a=1 n=4", "a=1 n=5"), ("a=1 n=4", "a=1")), "a=1");
    assert_eq!(merge(("a=1 n=4", "a=1"), ("a=1 n=4", "a=2 n=4")), "a=2");
    assert_eq!(merge(("a=1 tags=1", "a=1 tags=3"), ("a=1 tags=1", "a=1")), "a=1 tags=2");
    assert_eq!(merge(("a=1 tags=1", "a=1 tags=1"), ("a=1 tags=1", "a=1")), "a=1");
}

#[test]
fn a_sum_is_judged_at_the_end_and_one_that_does_not_fit_gives_the_newest_whole_row() {
    let policy = columns();
    let base = w("ap", 1, 1, "", "", "n=100");
    let eu = w("eu", 1, 100, "ap:1", "n=100", "n=120");
    let us = w("us", 1, 101, "ap:1", "n=100", "n=115");
    // 135 is more than a TINYINT holds.
    assert_eq!(end(&policy, &[base.clone(), eu.clone(), us.clone()]), row("n=115"));
    // A third write brings it back: nothing was cut off on the way.
    let ap = w("ap", 2, 102, "", "n=100", "n=70");
    assert_eq!(end(&policy, &[base.clone(), eu.clone(), us.clone(), ap]), merged("n=105", "n=70"));
    // What has seen both decides alone.
    let ap = w("ap", 2, 103, "eu:1,us:1", "n=115", "n=116");
    assert_eq!(end(&policy, &[base, eu, us, ap]), row("n=116"));
    let base = w("ap", 1, 1, "", "", "price=60");
    let [eu, us] =
        [("eu", 100), ("us", 101)].map(|(origin, hlc)| w(origin, 1, hlc, "ap:1", "price=60", "price=90"));
    assert_eq!(end(&policy, &[base, eu, us]), row("price=90.00"));
}

#[test]
fn a_repair_says_what_the_row_is_and_is_not_added_up() {
    let policy = columns();
    // ap deletes a parent row. eu and us each put it back for the sake of a child.
    let base = w("eu", 1, 1, "", "", "a=1 n=9 tags=1");
    let delete = w("ap", 1, 100, "eu:1", "a=1 n=9 tags=1", "");
    let place = RepairPlace { root: delete.id, level: 1 };
    let [eu, us] = [("eu", 2, 150), ("us", 1, 140)].map(|(origin, sequence, hlc)| W {
        repair: Some(place),
        ..w(origin, sequence, hlc, if origin == "eu" { "ap:1" } else { "ap:1,eu:1" }, "", "a=1 n=9 tags=1")
    });
    assert_eq!(end(&policy, &[base.clone(), delete.clone(), eu.clone(), us.clone()]), row("a=1 n=9 tags=1"));
    // What a client added meanwhile counts once.
    let client = w("eu", 3, 160, "ap:1", "a=1 n=9 tags=1", "a=1 n=11 tags=1");
    let all = [base, delete, eu, us, client];
    assert_eq!(end(&policy, &all), merged("a=1 n=11 tags=1", "a=1 n=11 tags=1"));
}

#[test]
fn layouts_merge_by_name_while_a_column_is_being_added_and_not_at_all_if_a_type_changed() {
    let policy = columns();
    let narrow = layout(vec![column("a", ColumnType::Int(4), false), column("n", ColumnType::Int(1), false)]);
    let wide = layout(vec![
        column("extra", ColumnType::Int(4), false),
        column("N", ColumnType::Int(1), false),
        column("a", ColumnType::Int(4), false),
    ]);
    let other = layout(vec![column("a", ColumnType::Int(8), false), column("n", ColumnType::Int(1), false)]);
    let write = |origin: &str, hlc: u64, table: &Arc<TableMap>, before: &str, after: &str| {
        let (before, after) = (Some(image(table, before)), Some(image(table, after)));
        W { before, after, ..w(origin, 1, hlc, "", "", "") }
    };
    let old = write("eu", 100, &narrow, "a=1 n=1", "a=2 n=3");
    let new = write("us", 101, &wide, "a=1 N=1 extra=5", "a=1 N=5 extra=6");
    let both = "extra=6 N=7 a=2";
    assert_eq!(end(&policy, &[old.clone(), new.clone()]), merged(both, "extra=6 N=5 a=1"));
    let newer = write("us", 99, &wide, "a=1 N=1 extra=5", "a=1 N=5 extra=6");
    assert_eq!(end(&policy, &[old.clone(), newer]), merged(both, "a=2 n=3"));
    let changed = write("us", 101, &other, "a=1 n=1", "a=1 n=5");
    assert_eq!(end(&policy, &[old, changed]), row("a=1 n=5"));
}

#[test]
fn deletes_win_or_lose_by_the_modifiers_table() {
    let (ours, theirs) = (UPDATES[0].1, UPDATES[1].1);
    for policy in [Arc::new(LastWriterWins) as Arc<dyn Policy>, Arc::new(columns())] {
        let plain = two(&*policy, UPDATES[0], UPDATES[1]);
        let wins = Deletes::Win.around(policy.clone());
        assert_eq!(two(&*wins, UPDATES[0], DELETE), (End::Gone, End::Gone));
        assert_eq!(two(&*wins, DELETE, UPDATES[1]), (End::Gone, End::Gone));
        assert_eq!(two(&*wins, DELETE, DELETE), (End::Gone, End::Gone));
        assert_eq!(two(&*wins, UPDATES[0], UPDATES[1]), plain);
        let loses = Deletes::Lose.around(policy.clone());
        assert_eq!(two(&*loses, UPDATES[0], DELETE), (row(ours), row(ours)));
        assert_eq!(two(&*loses, DELETE, UPDATES[1]), (row(theirs), row(theirs)));
        assert_eq!(two(&*loses, DELETE, DELETE), (End::Gone, End::Gone));
        assert_eq!(two(&*loses, UPDATES[0], UPDATES[1]), plain);
        assert_eq!(Deletes::ByRule.around(policy.clone()).rule(), policy.name());
        assert_eq!(wins.rule(), format!("{} + delete-wins", policy.name()));
        assert_eq!(loses.rule(), format!("{} + update-wins", policy.name()));
        assert_eq!(wins.name(), policy.name());
        assert!(!wins.newest_decides() && !loses.newest_decides());
    }
    // The owner's delete stands against others' updates, and theirs against the owner's, as the modifier says.
    let owned: Arc<dyn Policy> = Arc::new(RegionOwned::Fixed(region("eu")));
    assert_eq!(two(&*Deletes::Win.around(owned.clone()), UPDATES[0], DELETE), (End::Gone, End::Gone));
    assert_eq!(two(&*Deletes::Lose.around(owned), DELETE, UPDATES[1]), (row(theirs), row(theirs)));
}

#[test]
fn a_row_that_a_repair_removed_is_not_a_deleted_row_to_a_modifier() {
    // us removed the row for its unique key; ap, which knows nothing of it, updates it later.
    let base = w("eu", 1, 100, "", "", "a=1");
    let root = base.id;
    let place = Some(RepairPlace { root, level: 1 });
    let repair = W { repair: place, ..w("us", 1, 100, "eu:1", "a=1", "") };
    let update = w("ap", 1, 110, "eu:1", "a=1", "a=2");
    let wins = Deletes::Win.around(Arc::new(LastWriterWins));
    assert_eq!(end(&*wins, &[base.clone(), repair.clone(), update]), row("a=2"));
    // An older rival does not put back what a repair removed.
    let rival = w("ap", 1, 90, "", "", "a=3");
    let loses = Deletes::Lose.around(Arc::new(LastWriterWins));
    assert_eq!(end(&*loses, &[base, repair, rival]), End::Gone);
}

#[test]
fn halt_stops_at_every_conflict_but_that_of_two_repairs_that_remove_the_row() {
    let either = (End::Halt, End::Halt);
    assert_eq!(two(&Halt, INSERTS[0], INSERTS[1]), either);
    assert_eq!(two(&Halt, UPDATES[0], UPDATES[1]), either);
    assert_eq!(two(&Halt, UPDATES[0], DELETE), either);
    assert_eq!(two(&Halt, DELETE, DELETE), either);
    for deletes in [Deletes::Win, Deletes::Lose] {
        assert_eq!(two(&*deletes.around(Arc::new(Halt)), UPDATES[0], UPDATES[1]), either);
    }
    let base = w("eu", 1, 100, "", "", "a=1");
    let place = Some(RepairPlace { root: base.id, level: 1 });
    let [us, ap] = ["us", "ap"].map(|origin| W { repair: place, ..w(origin, 1, 100, "eu:1", "a=1", "") });
    assert_eq!(end(&Halt, &[base.clone(), us, ap.clone()]), End::Gone);
    let client = w("us", 1, 105, "eu:1", "a=1", "a=2");
    assert_eq!(end(&Halt, &[base, ap, client]), End::Halt);
    // A person writes the row, having seen both.
    let [eu, us] =
        [("eu", 100, "a=1"), ("us", 101, "a=2")].map(|(o, hlc, after)| w(o, 1, hlc, "", "", after));
    let person = w("eu", 2, 102, "us:1", "a=2", "a=3");
    assert_eq!(end(&Halt, &[eu, us, person]), row("a=3"));
}

#[test]
fn a_missing_image_is_an_error_that_names_the_write() {
    let writes = [w("eu", 1, 100, "", "", "a=1"), w("us", 4, 101, "", "", "a=2")];
    let mut index = Index::new(&["ap", "eu", "us"].map(region), region("eu")).unwrap();
    writes.iter().for_each(|w| insert(&mut index, w));
    let story = index.story(KEY).unwrap().unwrap();
    let error = fold(&columns(), &story, &NoImages).unwrap_err();
    assert_eq!(error, FoldError::NoImage { write: writes[1].id, which: "after" });
    assert!(error.to_string().contains("transaction 4 of us"), "{error}");
    let mut damaged = writes.clone();
    damaged[0].after.as_mut().unwrap().bytes.truncate(3);
    let error = fold(&columns(), &story, &Held(&damaged)).unwrap_err();
    assert!(matches!(error, FoldError::Image { write, .. } if write == writes[0].id), "{error}");
}

#[test]
fn a_policy_that_does_not_fit_a_table_says_which_column_and_why() {
    let said = |policy: &dyn Policy| policy.check(&stock()).unwrap_err();
    assert_eq!(columns().check(&stock()), Ok(()));
    for policy in [LastWriterWins.check(&stock()), Halt.check(&stock())] {
        assert_eq!(policy, Ok(()));
    }
    let one = |name: &str| vec![name.to_owned()];
    for (policy, words) in [
        (Columns { counter: one("gone"), ..Columns::default() }, ["counter", "\"gone\"", "not a column"]),
        (Columns { counter: one("owner"), ..Columns::default() }, ["counter", "\"owner\"", "DECIMAL"]),
        (Columns { max: one("tags"), ..Columns::default() }, ["max", "\"tags\"", "date"]),
        (Columns { min: one("owner"), ..Columns::default() }, ["min", "\"owner\"", "number"]),
        (Columns { set_union: one("n"), ..Columns::default() }, ["set_union", "\"n\"", "SET"]),
    ] {
        let error = said(&policy);
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        let modified = Deletes::Win.around(Arc::new(policy));
        assert_eq!(said(&*modified), error);
    }
    assert_eq!(RegionOwned::Column("Owner".into()).check(&stock()), Ok(()));
    assert_eq!(RegionOwned::Fixed(region("eu")).check(&stock()), Ok(()));
    assert!(said(&RegionOwned::Column("home".into())).contains("\"home\""));
    assert!(said(&RegionOwned::Column("n".into())).contains("neither a text nor an ENUM"));
}

#[test]
fn a_write_without_rivals_is_taken_as_it_is_wherever_a_story_says_that_it_begins() {
    let writes = [w("eu", 1, 100, "", "", "a=1"), w("us", 1, 101, "eu:1", "a=1", "a=2")];
    let chapter = |w: &W| Chapter {
        write: Write { id: w.id, live: w.after.is_some(), repair: None },
        from_batch: false,
        concurrent: Concurrent::default(),
    };
    let story = Story { writes: writes.iter().map(chapter).collect(), start: 0 };
    for policy in [&Halt as &dyn Policy, &RegionOwned::Fixed(region("eu")), &columns()] {
        assert_eq!(fold(policy, &story, &Held(&writes)).unwrap(), Outcome::As(1));
    }
    let empty = Story { writes: Vec::new(), start: 0 };
    assert_eq!(fold(&LastWriterWins, &empty, &NoImages), Err(FoldError::Empty));
}
