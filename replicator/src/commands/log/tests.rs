#![allow(clippy::unwrap_used)]

use clap::Parser;
use log_store::{Identity, Options};
use transaction::record::{Body, Lineage, PositionBody, Record, TransactionBody};
use transaction::{Context, Epoch, Gtid, Hlc, Incarnation, RecordNumber, RepairPlace, Sequence, WriteId};

use super::*;
use crate::cli::{Cli, Command};

/// Events that a real server wrote: `shop.sql` says how.
const SHOP: &[u8] = include_bytes!("shop.bin");

/// 2024-02-29 12:34:56 UTC, in microseconds.
const NOON: u64 = 1_709_210_096_000_000;

const SOURCE: &str = "21eca99d-e6d3-11f1-93a5-02fc00000001";

fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

/// The events of `SHOP`, one by one.
fn events() -> Vec<&'static [u8]> {
    let (mut rest, mut events) = (SHOP, Vec::new());
    while !rest.is_empty() {
        let (event, after) = rest.split_at(u32::from_le_bytes(rest[9..13].try_into().unwrap()) as usize);
        events.push(event);
        rest = after;
    }
    events
}

/// Appends a record; its stamp is so many seconds after noon.
fn append(log: &Log, number: u64, sequence: u64, body: Body<'_>) {
    let record = Record {
        number: RecordNumber(number),
        sequence: Sequence(sequence),
        hlc: Hlc(NOON + number * 1_000_000),
        lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
        event_checksums: true,
        body,
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    log.append(&bytes).unwrap();
}

fn transaction(number: u64, chunks: u32, events: &[u8]) -> Body<'_> {
    Body::Transaction(TransactionBody {
        context: [(region("us"), Sequence(7))].into_iter().collect(),
        suspended: Default::default(),
        gtid: format!("{SOURCE}:{number}").parse::<Gtid>().unwrap(),
        commit_us: NOON,
        chunks,
        events,
    })
}

/// Repairs, one for each row change of `events`: each so many repairs after a write of transaction 7 of us.
fn repairs(number: u64, count: u32, events: &[u8]) -> Body<'_> {
    let Body::Transaction(body) = transaction(number, 0, events) else { unreachable!() };
    let origin = region("us");
    let place = |index| RepairPlace {
        root: WriteId { hlc: Hlc(NOON), origin, sequence: Sequence(7), index: index + 10 },
        level: index as u8 + 1,
    };
    Body::Repair { places: (0..count).map(place).collect(), transaction: body }
}

/// A folder with a log of eu: a DDL, a position, rows in a chain of two chunks and an end, the same rows in one record.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity { mesh: "shop".to_owned(), region: region("eu") };
    let store = Store::open(dir.path(), identity, Options::default()).unwrap();
    let log = store.log(region("eu")).unwrap();
    let events = events();
    let (ddl, rows) = (events[..2].concat(), &events[2..]);
    append(&log, 1, 1, transaction(11, 0, &ddl));
    let position = PositionBody {
        context: Context::new(),
        suspended: Default::default(),
        last_sequence: Sequence(1),
        wall_us: NOON,
        executed: format!("{SOURCE}:1-11"),
        file: "binlog.000001".to_owned(),
        offset: 4,
    };
    append(&log, 2, 0, Body::Position(position));
    append(&log, 3, 0, Body::Chunk { index: 0, events: &rows[..5].concat() });
    append(&log, 4, 0, Body::Chunk { index: 1, events: &rows[5..8].concat() });
    append(&log, 5, 2, transaction(12, 2, &rows[8..].concat()));
    append(&log, 6, 3, transaction(13, 0, &rows.concat()));
    log.sync().unwrap();
    dir
}

/// What `concord log …` prints, and the code it ends with.
fn answer(dir: &std::path::Path, line: &str) -> Result<(String, ExitCode), String> {
    let cli = Cli::try_parse_from(["concord", "log"].into_iter().chain(line.split(' '))).unwrap();
    let Command::Log(command) = &cli.command else { panic!("{line} is no log command") };
    let mut out = Vec::new();
    let store = Store::open_read_only(dir).map_err(|e| e.to_string())?;
    let code = match command {
        LogCommand::List(args) => list::list(&store, args, &mut out),
        LogCommand::Show(args) => show::show(&store, args, false, &mut out),
        LogCommand::Verify(args) => verify::verify(&store, args.origin, &mut out),
        LogCommand::Repair(_) => panic!("it takes a peer"),
    };
    Ok((String::from_utf8(out).unwrap(), code.map_err(|e| e.to_string())?))
}

fn said(dir: &std::path::Path, line: &str) -> String {
    answer(dir, line).unwrap().0
}

#[test]
fn a_list_has_a_line_per_transaction_and_a_chain_is_one() {
    let dir = folder();
    let list = said(dir.path(), "list");
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 4, "{list}");
    assert_eq!(lines[0][..3], ["RECORD", "SEQUENCE", "TIME"]);
    assert_eq!(lines[1][..4], ["1", "1", "2024-02-29", "12:34:57.000000"]);
    assert!(lines[1].join(" ").contains("us:7 0 "), "{list}");
    assert!(lines[1].join(" ").ends_with("CREATE TABLE log (at DATETIME(3), what TEXT)"), "{list}");
    assert_eq!(lines[2][..2], ["5", "2"]);
    assert!(lines[2].join(" ").ends_with("shop.log, shop.stock"), "{list}");
    let rows = |line: usize| lines[line][7];
    assert_eq!((rows(2), rows(3)), ("5", "5"), "{list}");
}

#[test]
fn a_list_begins_where_it_is_told() {
    let dir = folder();
    let sequences = |line: &str| -> Vec<u64> {
        let lines = said(dir.path(), line);
        lines
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_u64().unwrap()
            })
            .collect()
    };
    assert_eq!(sequences("list --json"), [1, 2, 3]);
    assert_eq!(sequences("list --json --limit 1"), [3]);
    assert_eq!(sequences("list --json --limit 2"), [2, 3]);
    assert_eq!(sequences("list --json --from-sequence 2 --limit 1"), [2]);
    assert_eq!(sequences("list --json --from-sequence 9"), [0u64; 0]);
    assert_eq!(sequences("list --json --table shop.log --limit 1"), [3]);
    assert_eq!(sequences("list --json --table shop.none"), [0u64; 0]);
    // The chain's chunks are stamped before the time asked for in one case, after it in the other.
    assert_eq!(sequences("list --json --since 2024-02-29T12:35:00Z"), [2, 3]);
    assert_eq!(sequences("list --json --since 2024-02-29T12:35:02Z"), [3]);
    assert_eq!(sequences("list --json --since 2024-02-29T12:36:00Z"), [0u64; 0]);
    let chain = said(dir.path(), "list --json --since 2024-02-29T12:35:00Z --limit 1");
    assert!(chain.contains(r#""rows":5"#) && chain.contains(r#""chunks":2"#), "{chain}");
}

#[test]
fn a_chain_is_shown_as_the_same_transaction_in_one_record_would_be() {
    let dir = folder();
    let changes = |line: &str| said(dir.path(), line).split_once("\n\n").unwrap().1.to_owned();
    let chain = changes("show 2");
    assert_eq!(chain, changes("show 3"));
    let want = "\
#0 INSERT shop.stock
    item   3
    place  'eu'
    price  0.10
    note   'ü'
    extra  [1, 2.5]

#1 UPDATE shop.stock
    item   1
    place  'eu'
    price  9.50 → 10.00
    note   'old' → 'new'
    extra  NULL

#2 DELETE shop.stock
    item   2
    place  'us'
    price  1.00
    note   'it's'
    extra  {\"a\": 1}

#3 INSERT shop.log
    at    2024-02-29 12:34:56.789
    what  NULL

#4 DELETE shop.log
    at    2024-02-29 12:34:56.789
    what  NULL

5 row changes
";
    assert_eq!(chain, want);
    let head = said(dir.path(), "show 2");
    assert!(
        head.starts_with("transaction 2 of eu\n  records      3 to 5 (2 chunks and the end)\n"),
        "{head}"
    );
}

#[test]
fn repairs_are_listed_as_such_and_each_is_shown_with_the_write_that_it_comes_after() {
    let dir = folder();
    {
        let identity = Identity { mesh: "shop".to_owned(), region: region("eu") };
        let store = Store::open(dir.path(), identity, Options::default()).unwrap();
        let (log, rows) = (store.log(region("eu")).unwrap(), events()[2..].concat());
        // A chain that was abandoned.
        append(&log, 7, 0, Body::Chunk { index: 0, events: &rows });
        append(&log, 8, 4, repairs(14, 5, &rows));
        log.sync().unwrap();
    }
    let list = said(dir.path(), "list --from-sequence 4");
    let line: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((line[1], line[5], line[7]), ("4", "repair", "5"), "{list}");
    let shown = said(dir.path(), "show 4");
    assert!(shown.starts_with("repair 4 of eu\n"), "{shown}");
    let first = "#0 INSERT shop.stock\n    -- stands right after write 10 of transaction 7 of us (2024-02-29 12:34:56.000000 UTC)\n";
    assert!(shown.contains(first), "{shown}");
    assert!(shown.contains("    -- stands 5 repairs after write 14 of transaction 7 of us "), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&said(dir.path(), "show 4 --json")).unwrap();
    let want = serde_json::json!({"origin": "us", "sequence": 7, "index": 11, "hlc": NOON, "level": 2});
    assert_eq!((&json["kind"], &json["changes"][1]["stands_after"]), (&"repair".into(), &want));
    let plain: serde_json::Value = serde_json::from_str(&said(dir.path(), "show 3 --json")).unwrap();
    assert!(plain["changes"][1].get("stands_after").is_none());
    assert!(
        said(dir.path(), "show 4 --sql").contains("\nDELETE FROM `shop`.`stock` WHERE `item` = 2 LIMIT 1;\n")
    );
}

#[test]
fn a_transaction_is_said_as_sql() {
    let dir = folder();
    let sql = said(dir.path(), "show 3 --sql");
    let statements: Vec<&str> = sql.lines().skip_while(|line| *line != "BEGIN;").collect();
    let want = "\
BEGIN;
INSERT INTO `shop`.`stock` (`item`, `place`, `price`, `note`, `extra`) VALUES (3, 1, 0.10, _utf8mb4'ü', CAST(_utf8mb4'[1, 2.5]' AS JSON));
UPDATE `shop`.`stock` SET `price` = 10.00, `note` = 'new' WHERE `item` = 1 LIMIT 1;
DELETE FROM `shop`.`stock` WHERE `item` = 2 LIMIT 1;
INSERT INTO `shop`.`log` (`at`, `what`) VALUES ('2024-02-29 12:34:56.789', NULL);
DELETE FROM `shop`.`log` WHERE `at` = '2024-02-29 12:34:56.789' AND `what` IS NULL LIMIT 1;
COMMIT;";
    assert_eq!(statements.join("\n"), want);
    let ddl = said(dir.path(), "show 1 --sql");
    assert!(ddl.ends_with("USE `shop`;\nCREATE TABLE log (at DATETIME(3), what TEXT);\n"), "{ddl}");
}

#[test]
fn json_holds_every_change_in_the_order_of_the_columns() {
    let dir = folder();
    let text = said(dir.path(), "show 2 --json");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["first_record"], 3);
    assert_eq!(json["context"]["us"], 7);
    assert_eq!(json["changes"].as_array().unwrap().len(), 5);
    assert_eq!(json["changes"][1]["before"]["note"], "old");
    assert_eq!(json["changes"][1]["after"]["price"], "10.00");
    assert!(
        text.contains(r#""after":{"item":3,"place":"eu","price":"0.10","note":"ü","extra":"[1, 2.5]"}"#),
        "{text}"
    );
}

#[test]
fn a_transaction_is_found_by_its_gtid_or_said_not_to_be_there() {
    let dir = folder();
    let title = |line: &str| said(dir.path(), line).lines().next().unwrap().to_owned();
    assert_eq!(title(&format!("show --gtid {SOURCE}:13")), "transaction 3 of eu");
    let refused = |line: &str| answer(dir.path(), line).unwrap_err();
    assert!(refused(&format!("show --gtid {SOURCE}:14")).contains("no transaction with GTID"));
    assert!(refused("show --gtid x").contains("write it as"));
    assert_eq!(refused("show 4"), "no transaction 4 in the log of eu: it holds 1 to 3");
    assert!(refused("show 1 --origin us").contains("it has eu"));
}

#[test]
fn verify_names_damage_and_ends_with_1() {
    let dir = folder();
    let (text, code) = answer(dir.path(), "verify").unwrap();
    assert!(text.starts_with("eu: whole; 6 records in 1 segments"), "{text}");
    assert_eq!(code, ExitCode::SUCCESS);
    let segment =
        std::fs::read_dir(dir.path().join("eu")).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (text, code) = answer(dir.path(), "verify --origin eu").unwrap();
    assert!(text.starts_with("eu: DAMAGED") && text.contains("is damaged at record"), "{text}");
    assert_eq!(code, ExitCode::FAILURE);
    assert!(answer(dir.path(), "list").unwrap_err().contains("damaged at record"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let broken = |kind| run(|| Err(Failure::Output(std::io::Error::from(kind))));
    assert_eq!(broken(std::io::ErrorKind::BrokenPipe).unwrap(), ExitCode::SUCCESS);
    assert!(broken(std::io::ErrorKind::StorageFull).is_err());
}
