#![allow(clippy::unwrap_used)]

use std::path::Path;

use applier::journal::{Entry, Found, Journal, Kind, Winner};
use clap::Parser;
use log_store::{Identity, Options};

use super::replace::{Column, look, statement, wanted};
use super::*;
use crate::cli::{Cli, Command, Which};
use crate::conflicts::sample::{entry, row, side};
use crate::region::journal::ConflictJournal;

/// A data folder of eu whose journal has these.
fn folder(entries: &[Entry]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity { mesh: "shop".to_owned(), region: "eu".parse().unwrap() };
    let store = Store::open(dir.path(), identity, Options::default()).unwrap();
    ConflictJournal::open(&store).unwrap().write(entries).unwrap();
    dir
}

/// What `concord conflicts …` prints.
fn said(dir: &Path, line: &str) -> Result<String, String> {
    let cli = Cli::try_parse_from(["concord", "conflicts"].into_iter().chain(line.split(' '))).unwrap();
    let Command::Conflicts(command) = &cli.command else { panic!("{line}") };
    let mut out = Vec::new();
    let store = Store::open_read_only(dir).unwrap();
    answer(command, &store, &mut out).map_err(|e| e.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

fn shown(entry: &Entry) -> String {
    said(folder(std::slice::from_ref(entry)).path(), &format!("show {}", entry.id)).unwrap()
}

#[test]
fn a_list_has_a_line_per_conflict() {
    let mut entries = vec![entry(1, 3), entry(2, 4)];
    entries[1].winner = Winner::Existing;
    entries[1].key.push(("place".to_owned(), "_utf8mb4'é'".to_owned()));
    let dir = folder(&entries);
    let want = "\
ID            FOUND (UTC)                 TABLE       KEY                  KIND           ARRIVED FROM  MET ONE OF  WINNER    RULE
ID1           2024-02-29 12:34:57.000000  shop.stock  id = 1               update-update  us            eu          incoming  last-writer-wins
ID2           2024-02-29 12:34:58.000000  shop.stock  id = 2, place = 'é'  update-update  us            eu          existing  last-writer-wins
";
    let list = said(dir.path(), "list").unwrap();
    let list =
        list.replace(&entries[0].id[..12], "ID1         ").replace(&entries[1].id[..12], "ID2         ");
    assert_eq!(list, want);
    assert_eq!(said(dir.path(), "list --table shop.other").unwrap().lines().count(), 1);
}

#[test]
fn json_is_one_entry_a_line_as_the_journal_has_it() {
    let entries = [entry(1, 3), entry(2, 4)];
    let dir = folder(&entries);
    let lines = said(dir.path(), "list --json").unwrap();
    let read: Vec<Entry> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, entries);
    let one = said(dir.path(), &format!("show {} --json", entries[1].id)).unwrap();
    assert_eq!(serde_json::from_str::<Entry>(&one).unwrap(), entries[1]);
    assert!(one.contains("\"quantity\": \"7\""), "{one}");
}

#[test]
fn a_conflict_is_explained() {
    let entry = entry(3, 3);
    let want = "\
conflict ID
  row    shop.stock, id = 3
  kind   update-update
  found  2024-02-29 12:34:59.000000 UTC in eu, in the row's history, before anything was written
  rule   last-writer-wins

The two writes
               ARRIVED                                 WAS HERE
  written in   us                                      eu
  transaction  3, change 0                             5, change 0
  GTID         21eca99d-e6d3-11f1-93a5-02fc00000001:3  21eca99d-e6d3-11f1-93a5-02fc00000001:5
  committed    2024-02-29 12:34:56.500000 UTC          2024-02-29 12:34:56.250000 UTC
  stamp (HLC)  2024-02-29 12:34:56.500000 UTC          2024-02-29 12:34:56.250000 UTC
  had seen     eu to 4                                 us to 2
  did          updated the row                         updated the row

Why they conflict
  When us wrote, it had seen eu's transactions up to 4; the other write is eu's number 5.
  When eu wrote, it had seen us's transactions up to 2; the other write is us's number 3.
  So neither overwrote the other knowingly: whatever stays is a choice.

What was decided, and why
  The write of us stays, which arrived.
  last-writer-wins: of writes that did not know of each other, the one with the newest stamp stays.
  The stamp of us is 250 ms newer than that of eu.

The row
  COLUMN    BEFORE BOTH  us's (ARRIVED)  eu's (WAS HERE)  AFTERWARDS
  quantity  10           7               8                7
  note      'old'        'old'           'it''s'          'old'
  2 more columns are alike everywhere

To decide otherwise: concord conflicts override SHORT --with incoming|existing
";
    assert_eq!(shown(&entry).replace(&entry.id, "ID").replace(&entry.id[..12], "SHORT"), want);
}

#[test]
fn a_delete_against_an_update_with_other_rows_before_is_explained() {
    let mut entry = entry(3, 3);
    entry.existing.after = None;
    entry.existing.before = row(3, 11, "'old'");
    entry.existing.context.clear();
    entry.existing.hlc = entry.incoming.hlc;
    entry.kind = Kind::UpdateDelete;
    entry.found = Found::UnderLock;
    entry.policy = "region-owned + delete-wins".to_owned();
    entry.winner = Winner::Existing;
    entry.result = None;
    entry.repairs = 2;
    let text = shown(&entry);
    for line in [
        "  found  2024-02-29 12:34:59.000000 UTC in eu, when the row was locked: a client had just written it",
        "  had seen     eu to 4                                 nothing of other regions",
        "  did          updated the row                         deleted the row",
        "  When eu wrote, it had seen no transaction of us; the other write is us's number 3.",
        "  The write of eu stays, which was here.",
        "  region-owned: the write of the row's owner stays; among others, the one with the newest stamp.",
        "  delete-wins: a delete stays against any write that did not know of it.",
        "  Concord wrote 2 repairs for it, which travel to all regions like any write.",
        "  COLUMN    BEFORE us's  us's (ARRIVED)  BEFORE eu's  eu's (WAS HERE)  AFTERWARDS",
        "  quantity  10           7               11           no row           no row",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
}

#[test]
fn equal_stamps_a_longer_history_and_detection_alone_are_said() {
    let mut entry = entry(3, 3);
    entry.existing.hlc = entry.incoming.hlc;
    assert!(
        shown(&entry)
            .contains("equal to the microsecond; then the region's name decides, and us comes after eu.")
    );
    entry.winner = Winner::Existing;
    assert!(shown(&entry).contains("It was not these two alone"));
    entry.winner = Winner::Halted;
    assert!(shown(&entry).contains("leaves it to a person"));
    entry.detect_only = true;
    let text = shown(&entry);
    assert!(text.contains("are only reported (detect_only)") && !text.contains("a person"), "{text}");
}

#[test]
fn the_two_rows_of_a_unique_clash_are_shown_each_by_itself() {
    let text = shown(&clash());
    let rows = text.split("\nThe rows\n  ").nth(1).unwrap();
    let want = "\
us's (ARRIVED)
    COLUMN    BEFORE  AFTER
    id        no row  3
    quantity  no row  7
    note      no row  'a@x'
    extra     no row  NULL
  eu's (WAS HERE)
    COLUMN    BEFORE  AFTER
    id        no row  4
    quantity  no row  8
    note      no row  'a@x'
    extra     no row  NULL
  afterwards, id = 4: no row
";
    assert!(rows.starts_with(want), "{text}");
    assert!(text.contains("unique key uq_note: of two rows with one value"), "{text}");
}

/// Row 4 of eu loses against row 3 of us.
fn clash() -> Entry {
    let mut entry = entry(4, 3);
    (entry.incoming.before, entry.incoming.after) = (None, row(3, 7, "'a@x'"));
    (entry.existing.before, entry.existing.after) = (None, row(4, 8, "'a@x'"));
    entry.kind = Kind::Unique;
    entry.found = Found::Constraint;
    entry.policy = "unique key uq_note".to_owned();
    entry.result = None;
    entry.repairs = 1;
    entry
}

fn columns() -> Vec<Column> {
    let column = |name: &str, kind: &str, charset: Option<&str>, generated| Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        charset: charset.map(str::to_owned),
        generated,
    };
    vec![
        column("id", "int", None, false),
        column("quantity", "int", None, false),
        column("note", "varchar", Some("latin1"), false),
        column("extra", "json", None, false),
        column("flags", "bit", None, false),
        column("twice", "int", None, true),
    ]
}

/// The statement of an override.
fn overridden(
    entry: &Entry,
    with: Option<Which>,
    set: &[(&str, &str)],
    present: bool,
) -> Result<String, String> {
    let set: Vec<_> = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let wanted = wanted(entry, with, &set, &columns())?;
    Ok(statement(entry, &wanted, present).unwrap_or_default())
}

#[test]
fn an_override_writes_the_whole_image_of_the_write_that_is_named() {
    let mut entry = entry(3, 3);
    let existing = |entry: &Entry, present| overridden(entry, Some(Which::Existing), &[], present).unwrap();
    assert_eq!(
        existing(&entry, true),
        "UPDATE `shop`.`stock` SET `quantity` = 8, `note` = _utf8mb4'it''s', `extra` = NULL WHERE `id` = 3"
    );
    assert_eq!(
        existing(&entry, false),
        "INSERT INTO `shop`.`stock` (`id`, `quantity`, `note`, `extra`) VALUES (3, 8, _utf8mb4'it''s', NULL)"
    );
    entry.existing.after.as_mut().unwrap().push(("twice".to_owned(), Some("16".to_owned())));
    assert!(!existing(&entry, true).contains("twice"), "what the server computes is not written");
    entry.existing.after = None;
    assert_eq!(existing(&entry, true), "DELETE FROM `shop`.`stock` WHERE `id` = 3");
    assert_eq!(existing(&entry, false), "");
}

#[test]
fn given_values_are_text_unless_they_are_written_as_sql_has_them() {
    let entry = entry(3, 3);
    let set = |column, value| {
        let sql = overridden(&entry, None, &[(column, value)], true).unwrap();
        let value = sql.strip_prefix("UPDATE `shop`.`stock` SET ").unwrap();
        value.strip_suffix(" WHERE `id` = 3").unwrap().to_owned()
    };
    for (value, want) in [
        ("blue", "_utf8mb4'blue'"),
        ("007", "_utf8mb4'007'"),
        ("it's", "_utf8mb4'it''s'"),
        ("'it''s'", "_utf8mb4'it''s'"),
        ("' x '", "_utf8mb4' x '"),
        ("a\\b", "_utf8mb4 x'615c62'"),
        ("NULL", "NULL"),
        ("'NULL'", "_utf8mb4'NULL'"),
        ("", "_utf8mb4''"),
        ("x'00ff'", "x'00ff'"),
        ("x'0f', `id` = x'00'", "_utf8mb4'x''0f'', `id` = x''00'''"),
        ("'a', `id` = 'b'", "_utf8mb4'''a'', `id` = ''b'''"),
        ("0xFF", "0xFF"),
        ("b'101'", "b'101'"),
        ("'", "_utf8mb4''''"),
    ] {
        assert_eq!(set("note", value), format!("`note` = {want}"), "{value}");
    }
    assert_eq!(set("flags", "5"), "`flags` = 5", "text would be the bytes of it");
    assert_eq!(set("NOTE", "x"), "`note` = _utf8mb4'x'", "whatever its case");
    let changed = overridden(&entry, Some(Which::Incoming), &[("quantity", "9")], true).unwrap();
    assert!(
        changed.ends_with("SET `note` = 'old', `extra` = NULL, `quantity` = _utf8mb4'9' WHERE `id` = 3"),
        "{changed}"
    );
}

#[test]
fn an_override_that_makes_no_sense_is_refused() {
    let mut entry = entry(3, 3);
    let refused = |entry: &Entry, with, set: &[(&str, &str)]| overridden(entry, with, set, true).unwrap_err();
    assert!(refused(&entry, None, &[("id", "4")]).contains("primary key"));
    assert!(refused(&entry, None, &[("twice", "4")]).contains("computed by the server"));
    assert!(refused(&entry, None, &[("colour", "4")]).contains("no column colour"));
    let incoming = Some(Which::Incoming);
    entry.incoming.after.as_mut().unwrap()[2].1 = Some("'long… (cut)".to_owned());
    assert!(refused(&entry, incoming, &[]).contains("concord log show 3 --origin us --sql"));
    entry.incoming.after = row(4, 1, "'x'");
    assert!(refused(&entry, incoming, &[]).contains("another row (id = 4)"));
    entry.incoming.after = Some(vec![("gone".to_owned(), None)]);
    assert!(refused(&entry, incoming, &[]).contains("no column gone any more"));
    entry.incoming.after = None;
    assert!(refused(&entry, incoming, &[("note", "x")]).contains("left no row"));

    let clash = clash();
    assert!(refused(&clash, incoming, &[]).contains("another row"));
    let back = overridden(&clash, Some(Which::Existing), &[("note", "b@x")], false).unwrap();
    assert_eq!(
        back,
        "INSERT INTO `shop`.`stock` (`id`, `quantity`, `extra`, `note`) VALUES (4, 8, NULL, _utf8mb4'b@x')"
    );
}

#[test]
fn the_row_is_compared_with_what_the_conflict_left_byte_by_byte() {
    let query = look(&entry(3, 3), &columns());
    for part in [
        "SELECT CAST(`id` AS CHAR), `id` <=> 3, ",
        "`quantity` <=> 7, ",
        "CAST(`note` AS BINARY) <=> CAST(CONVERT('old' USING latin1) AS BINARY), ",
        "`extra` IS NULL, ",
        "CAST(`flags` + 0 AS CHAR), NULL, ",
        " FROM `shop`.`stock` WHERE `id` = 3 FOR UPDATE",
    ] {
        assert!(query.contains(part), "{part}\n{query}");
    }
    let mut gone = entry(3, 3);
    gone.existing = side("eu", 5, 0, ("us", 2));
    gone.result = None;
    assert!(look(&gone, &columns()).contains("CAST(`id` AS CHAR), NULL, "));
}
