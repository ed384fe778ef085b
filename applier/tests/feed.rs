//! What a feed offers next, and when it waits.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use applier::code;
use applier::feed::{Batch, BatchLimits, Feed, FeedError, Gate, Next, Reach};
use applier::logs::{Logs, RecordReader};
use support::{OneLog, TestRules, name, open_gate};
use synthetic::{Col, Val, gtid, image, insert, query, rows, table_map, xid};
use transaction::binlog::RowsKind;
use transaction::record::Body;
use transaction::{
    Context, Gtid, Halt, HaltCode, Hlc, RecordNumber, RegionName, RepairPlace, Sequence, WriteId,
};

const WIDE: BatchLimits = BatchLimits { transactions_max: 100, bytes_max: 1 << 20 };

fn start() -> Reach {
    Reach { record: RecordNumber(0), sequence: Sequence(0), hlc: Hlc(0), claim: Context::new(), commit_us: 0 }
}

fn feed(log: &OneLog) -> Feed {
    Feed::new(log, name("us"), start()).unwrap()
}

fn events(id: i32) -> Vec<u8> {
    [gtid(1, 1, 1), query("", "BEGIN"), insert(id, id), xid()].concat()
}

fn text_events(text: &str) -> Vec<u8> {
    let map = table_map(4, "r", "text", &[("t", Col::Text(255))]);
    [map, rows(RowsKind::Write, 4, 1, &[image(&[Val::Text(text)])])].concat()
}

fn next(feed: &mut Feed, applied: &Context) -> Result<Next, FeedError> {
    feed.next(WIDE, &open_gate(applied), &TestRules::default().rules())
}

fn batch(feed: &mut Feed, applied: &Context) -> Batch {
    match next(feed, applied).unwrap() {
        Next::Batch(batch) => batch,
        other => panic!("{other:?}"),
    }
}

fn sequences(batch: &Batch) -> Vec<u64> {
    batch.part.transactions.iter().map(|source| source.sequence.0).collect()
}

/// The reason of a halt that must have this code.
fn halt(result: Result<Next, FeedError>, code: HaltCode) -> String {
    match result {
        Err(FeedError::Halt(halt)) => {
            assert_eq!(halt.code, code, "{halt}");
            halt.reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_is_closed_by_its_number_of_transactions() {
    let log = OneLog::default();
    (1..=5).for_each(|n| log.transaction(n, &[], 0, &events(n as i32)));
    let limits = BatchLimits { transactions_max: 2, ..WIDE };
    let (mut feed, none, rules) = (feed(&log), Context::new(), TestRules::default());
    let mut taken = Vec::new();
    loop {
        match feed.next(limits, &open_gate(&none), &rules.rules()).unwrap() {
            Next::Batch(batch) => {
                assert_eq!(batch.reach.record, RecordNumber(*sequences(&batch).last().unwrap()));
                taken.push(sequences(&batch));
            }
            Next::Drained => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, [vec![1, 2], vec![3, 4], vec![5]]);
    // What comes later is seen by the same feed.
    log.transaction(6, &[], 0, &events(6));
    assert_eq!(sequences(&batch(&mut feed, &none)), [6]);
}

#[test]
fn what_was_read_ahead_comes_in_its_turn_with_what_has_come_since() {
    let log = OneLog::default();
    (1..=2).for_each(|n| log.transaction(n, &[], 0, &events(n as i32)));
    let limits = BatchLimits { transactions_max: 3, ..WIDE };
    let (mut feed, none, rules) = (feed(&log), Context::new(), TestRules::default());
    feed.look_ahead(limits, &open_gate(&none), &rules.rules());
    // Nothing is handed out yet, and a restart begins there.
    assert_eq!(feed.reach(), &start());
    assert!(feed.is_ahead());
    (3..=7).for_each(|n| log.transaction(n, &[], 0, &events(n as i32)));
    let mut taken = Vec::new();
    while let Next::Batch(batch) = feed.next(limits, &open_gate(&none), &rules.rules()).unwrap() {
        assert_eq!(feed.reach(), &batch.reach);
        feed.look_ahead(limits, &open_gate(&none), &rules.rules());
        assert_eq!(feed.reach(), &batch.reach);
        taken.push(sequences(&batch));
    }
    assert_eq!(taken, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    assert!(!feed.is_ahead());
}

#[test]
fn ddl_and_large_transactions_that_were_met_ahead_come_alone_all_the_same() {
    let log = OneLog::default();
    log.transaction(1, &[], 0, &events(1));
    log.chunk(0, &events(2));
    log.transaction(2, &[], 1, &[]);
    log.transaction(3, &[], 0, &events(3));
    let (mut feed, none, rules) = (feed(&log), Context::new(), TestRules::default());
    let mut taken = Vec::new();
    for _ in 0..3 {
        feed.look_ahead(WIDE, &open_gate(&none), &rules.rules());
        taken.push(match feed.next(WIDE, &open_gate(&none), &rules.rules()).unwrap() {
            Next::Batch(batch) => sequences(&batch),
            Next::Large(large) => vec![100 + large.transaction.sequence.0],
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(taken, [vec![1], vec![102], vec![3]]);
}

/// A log of which the second record cannot be read at the first try.
struct Stumbling(OneLog);

struct StumblingReader(Box<dyn RecordReader>, u32);

impl RecordReader for StumblingReader {
    fn next(&mut self) -> Result<Option<&[u8]>, Halt> {
        self.1 += 1;
        if self.1 == 2 { Err(code::LOG_INCOMPLETE.halt("the disk")) } else { self.0.next() }
    }
}

impl Logs for Stumbling {
    fn reader(&self, origin: RegionName, from: RecordNumber) -> Result<Box<dyn RecordReader>, Halt> {
        Ok(Box::new(StumblingReader(self.0.reader(origin, from)?, 0)))
    }

    fn find(&self, origin: RegionName, sequence: Sequence) -> Result<Option<RecordNumber>, Halt> {
        self.0.find(origin, sequence)
    }
}

#[test]
fn what_was_read_before_the_log_could_not_be_read_is_not_lost() {
    let log = OneLog::default();
    (1..=3).for_each(|n| log.transaction(n, &[], 0, &events(n as i32)));
    let mut feed = Feed::new(&Stumbling(log), name("us"), start()).unwrap();
    assert_eq!(sequences(&batch(&mut feed, &Context::new())), [1]);
    assert_eq!(sequences(&batch(&mut feed, &Context::new())), [2, 3]);
}

#[test]
fn a_batch_is_closed_by_its_bytes() {
    let log = OneLog::default();
    (1..=5).for_each(|n| log.transaction(n, &[], 0, &events(n as i32)));
    let (mut feed, none, rules) = (feed(&log), Context::new(), TestRules::default());
    let limits = BatchLimits { bytes_max: 1, ..WIDE };
    let Next::Batch(one) = feed.next(limits, &open_gate(&none), &rules.rules()).unwrap() else { panic!() };
    assert_eq!(sequences(&one), [1]);
    let limits = BatchLimits { bytes_max: 2 * one.part.len(), ..WIDE };
    let Next::Batch(two) = feed.next(limits, &open_gate(&none), &rules.rules()).unwrap() else { panic!() };
    assert_eq!(sequences(&two), [2, 3]);
}

#[test]
fn a_reach_says_what_the_last_record_of_the_batch_says() {
    let log = OneLog::default();
    log.transaction(1, &[("ap", 1)], 0, &events(1));
    log.position(1, 99, &[("ap", 4)]);
    let applied: Context = [(name("ap"), Sequence(1))].into_iter().collect();
    let mut feed = feed(&log);
    let batch = batch(&mut feed, &applied);
    assert_eq!(batch.reach.claim.get(name("ap")), Sequence(4));
    assert_eq!((batch.reach.hlc, batch.reach.sequence), (Hlc(99), Sequence(1)));
    assert_eq!((batch.reach.record, batch.reach.commit_us), (RecordNumber(2), 11));
    assert_eq!(feed.reach(), &batch.reach);
}

#[test]
fn a_transaction_waits_for_what_its_origin_had_before_it() {
    let log = OneLog::default();
    log.transaction(1, &[("eu", 50)], 0, &events(1));
    log.transaction(2, &[("ap", 3), ("eu", 60)], 0, &events(2));
    let (mut feed, mut applied) = (feed(&log), Context::new());
    // This region's own are here, whatever their number; what is before the one that waits goes first.
    assert_eq!(sequences(&batch(&mut feed, &applied)), [1]);
    for have in [0, 2] {
        applied.set(name("ap"), Sequence(have));
        let waits = next(&mut feed, &applied).unwrap();
        assert!(
            matches!(waits, Next::WaitsFor { origin, sequence: Sequence(3) } if origin == name("ap")),
            "{waits:?}"
        );
    }
    applied.set(name("ap"), Sequence(3));
    assert_eq!(sequences(&batch(&mut feed, &applied)), [2]);
}

#[test]
fn a_stamp_ahead_of_the_clock_waits_until_the_clock_has_come_near() {
    let log = OneLog::default();
    log.transaction(100, &[], 0, &events(1));
    let none = Context::new();
    let rules = TestRules::default();
    let before = Reach { sequence: Sequence(99), ..start() };
    let mut feed = Feed::new(&log, name("us"), before).unwrap();
    let mut at = |now_us, skew_us_max| {
        let gate = Gate {
            region: name("eu"),
            tail: None,
            applied: &none,
            now_us,
            skew_us_max,
            until: Sequence(u64::MAX),
        };
        feed.next(WIDE, &gate, &rules.rules()).unwrap()
    };
    assert!(matches!(at(899, 100), Next::AheadOfClock { ahead_us: 101 }));
    assert!(matches!(at(0, 0), Next::AheadOfClock { ahead_us: 1000 }));
    assert!(matches!(at(900, 100), Next::Batch(_)));
}

#[test]
fn a_gap_in_the_sequence_numbers_halts() {
    let log = OneLog::default();
    log.transaction(1, &[], 0, &events(1));
    log.transaction(3, &[], 0, &events(3));
    let (mut feed, none) = (feed(&log), Context::new());
    assert_eq!(sequences(&batch(&mut feed, &none)), [1]);
    for _ in 0..2 {
        let reason = halt(next(&mut feed, &none), code::LOG_BEGINS_LATE);
        assert!(reason.contains("goes on with transaction 3 where 2 is due"), "{reason}");
    }
}

#[test]
fn position_records_alone_are_a_batch_without_transactions() {
    let log = OneLog::default();
    log.position(0, 5, &[("ap", 1)]);
    log.position(0, 6, &[("ap", 2)]);
    let (mut feed, none) = (feed(&log), Context::new());
    let batch = batch(&mut feed, &none);
    assert!(batch.part.is_empty());
    assert_eq!((batch.reach.record, batch.reach.sequence), (RecordNumber(2), Sequence(0)));
    // A claim is no transaction: it waits for nothing but its turn.
    assert_eq!(batch.reach.claim.get(name("ap")), Sequence(2));
    assert!(matches!(next(&mut feed, &none).unwrap(), Next::Drained));
}

#[test]
fn a_large_transaction_comes_alone_after_what_is_before_it() {
    let log = OneLog::default();
    log.transaction(1, &[], 0, &events(1));
    log.chunk(0, &events(2));
    log.chunk(1, &events(3));
    log.transaction(2, &[("ap", 1)], 2, &events(4));
    log.transaction(3, &[("ap", 1)], 0, &events(5));
    let (mut feed, mut applied) = (feed(&log), Context::new());
    let first = batch(&mut feed, &applied);
    assert_eq!(sequences(&first), [1]);
    assert_eq!(first.reach.record, RecordNumber(1), "a restart must see the whole chain");
    assert!(matches!(next(&mut feed, &applied).unwrap(), Next::WaitsFor { .. }));
    applied.set(name("ap"), Sequence(1));
    let Next::Large(large) = next(&mut feed, &applied).unwrap() else { panic!() };
    assert_eq!((large.transaction.sequence, large.chunks), (Sequence(2), 2));
    assert_eq!((large.first_chunk, large.reach.record), (RecordNumber(2), RecordNumber(4)));
    assert_eq!(sequences(&batch(&mut feed, &applied)), [3]);
}

#[test]
fn chunks_that_were_abandoned_are_passed_over() {
    let log = OneLog::default();
    log.chunk(0, &events(1));
    log.chunk(1, &events(1));
    log.chunk(0, &events(2));
    log.transaction(1, &[], 1, &events(3));
    log.chunk(0, &events(4));
    log.position(1, 20, &[]);
    log.transaction(2, &[], 0, &events(5));
    let (mut feed, none) = (feed(&log), Context::new());
    let Next::Large(large) = next(&mut feed, &none).unwrap() else { panic!() };
    assert_eq!((large.first_chunk, large.chunks), (RecordNumber(3), 1));
    assert_eq!(sequences(&batch(&mut feed, &none)), [2]);
}

#[test]
fn more_chunks_than_records_halt() {
    let log = OneLog::default();
    log.transaction(1, &[], 9, &events(1));
    let reason = halt(next(&mut feed(&log), &Context::new()), code::LOG_INCOMPLETE);
    assert!(reason.contains("claims 9 chunks before it"), "{reason}");
}

#[test]
fn weights_are_asked_for_once_and_the_record_that_needs_them_comes_again() {
    let log = OneLog::default();
    log.transaction(1, &[], 0, &events(1));
    log.transaction(2, &[], 0, &text_events("a"));
    log.transaction(3, &[], 0, &text_events("a"));
    let (mut feed, none, mut rules) = (feed(&log), Context::new(), TestRules::default());
    let mut next = |rules: &TestRules| feed.next(WIDE, &open_gate(&none), &rules.rules());
    // What is whole goes first.
    assert!(matches!(next(&rules), Ok(Next::Batch(batch)) if sequences(&batch) == [1]));
    assert!(matches!(next(&rules), Err(FeedError::Needs(needs)) if needs.len() == 1));
    let Err(FeedError::Needs(needs)) = next(&rules) else { panic!("the weight is not known yet") };
    rules.weights.learn(needs.into_iter().map(|need| (need, vec![1])).collect());
    assert!(matches!(next(&rules), Ok(Next::Batch(batch)) if sequences(&batch) == [2, 3]));
}

#[test]
fn a_transaction_that_cannot_be_read_is_named_and_comes_again() {
    let log = OneLog::default();
    log.transaction(1, &[], 0, &events(1));
    log.transaction(2, &[], 0, &[insert(2, 2), query("r", "DROP TABLE t")].concat());
    let (mut feed, none) = (feed(&log), Context::new());
    let first = batch(&mut feed, &none);
    assert_eq!((sequences(&first), first.part.effects.len()), (vec![1], 1));
    for _ in 0..2 {
        let reason = halt(next(&mut feed, &none), code::DDL_NOT_CARRIED);
        assert!(reason.contains("transaction 2 of us") && reason.contains("record 2"), "{reason}");
        assert!(reason.contains("[mesh] ddl"), "{reason}");
    }
    // With the remedy, it goes on where it stood.
    let rules =
        TestRules { ddl: applier::ddl::always(applier::ddl::DdlPolicy::Ignore), ..TestRules::default() };
    let Next::Batch(second) = feed.next(WIDE, &open_gate(&none), &rules.rules()).unwrap() else { panic!() };
    assert_eq!((sequences(&second), second.part.effects.len()), (vec![2], 1));
}

#[test]
fn ddl_comes_alone_between_what_is_before_and_after_it() {
    let log = OneLog::default();
    log.transaction(1, &[], 0, &events(1));
    log.transaction(2, &[], 0, &query("r", "ALTER TABLE t ADD c INT"));
    // CREATE TABLE … SELECT: the statement, and its rows.
    let select =
        [query("", "BEGIN"), query("r", "CREATE TABLE u (a INT) START TRANSACTION"), insert(3, 3)].concat();
    log.transaction(3, &[], 0, &select);
    log.transaction(4, &[], 0, &query("r", "OPTIMIZE TABLE t"));
    log.transaction(5, &[], 0, &events(5));
    let rules =
        TestRules { ddl: applier::ddl::always(applier::ddl::DdlPolicy::Replicate), ..TestRules::default() };
    let (mut feed, none) = (feed(&log), Context::new());
    let mut seen = Vec::new();
    while let Next::Batch(batch) = feed.next(WIDE, &open_gate(&none), &rules.rules()).unwrap() {
        let statement =
            batch.part.statement().map(|statement| String::from_utf8(statement.text.clone()).unwrap());
        seen.push((sequences(&batch), statement, batch.part.effects.len()));
    }
    let (alter, create) = ("ALTER TABLE t ADD c INT".to_owned(), "CREATE TABLE u (a INT) ".to_owned());
    assert_eq!(
        seen,
        [(vec![1], None, 1), (vec![2], Some(alter), 0), (vec![3], Some(create), 1), (vec![4, 5], None, 1)]
    );
}

#[test]
fn records_that_this_version_does_not_apply_halt() {
    let log = OneLog::default();
    log.append(0, 1, Body::Prepare { xid: "x".into(), gtid: Gtid::default(), events: b"" });
    let reason = halt(next(&mut feed(&log), &Context::new()), code::RECORD_UNKNOWN);
    assert!(reason.contains("Prepare") && reason.contains("record 1 of us"), "{reason}");
}

/// A repair at the given level, of write 0 of transaction `sequence` of ap.
fn place(sequence: u64, level: u8) -> RepairPlace {
    let origin = name("ap");
    let root = WriteId { hlc: Hlc(sequence * 10), origin, sequence: Sequence(sequence), index: 0 };
    RepairPlace { root, level }
}

#[test]
fn repairs_are_fed_like_a_transaction_each_with_its_place() {
    let log = OneLog::default();
    let own = table_map(5, "concord", "own", &[("id", Col::Int)]);
    let own = [own, rows(RowsKind::Write, 5, 1, &[image(&[Val::Int(1)])])].concat();
    log.transaction(1, &[], 0, &events(1));
    // The second change is of a table that is not carried: those after it keep their places.
    let changes = [insert(2, 2), own, insert(3, 3)].concat();
    log.repair(2, &[("ap", 7)], &[place(5, 1), place(6, 2), place(7, 3)], &changes);
    log.transaction(3, &[("ap", 7)], 0, &events(4));
    let (mut feed, mut applied) = (feed(&log), Context::new());
    assert_eq!(sequences(&batch(&mut feed, &applied)), [1]);
    // It waits for what it has seen.
    assert!(matches!(next(&mut feed, &applied).unwrap(), Next::WaitsFor { sequence: Sequence(7), .. }));
    applied.set(name("ap"), Sequence(7));
    let both = batch(&mut feed, &applied);
    assert_eq!(sequences(&both), [2, 3]);
    assert_eq!((both.reach.sequence, both.reach.commit_us), (Sequence(3), 31));
    assert_eq!(both.part.transactions[0].repairs.len(), 3);
    assert!(both.part.transactions[1].repairs.is_empty());
    let places: Vec<_> = both.part.effects.iter().map(|effect| both.part.repair(effect)).collect();
    assert_eq!(places, [Some(place(5, 1)), Some(place(7, 3)), None]);
}

#[test]
fn repairs_without_a_place_for_each_halt() {
    let log = OneLog::default();
    log.transaction(1, &[], 0, &events(1));
    log.repair(2, &[], &[place(5, 1)], &[insert(2, 2), insert(3, 3)].concat());
    let (mut feed, none) = (feed(&log), Context::new());
    let first = batch(&mut feed, &none);
    assert_eq!((sequences(&first), first.part.effects.len()), (vec![1], 1));
    for _ in 0..2 {
        let reason = halt(next(&mut feed, &none), code::LOG_INCOMPLETE);
        assert!(
            reason.contains("transaction 2 of us") && reason.contains("2 repairs and the places of 1"),
            "{reason}"
        );
    }
}

#[test]
fn an_image_is_read_back_from_the_log_by_its_key_also_out_of_a_chain() {
    use applier::logs::read_image;
    use transaction::KeyHash;
    let log = OneLog::default();
    let row = |id| image(&[Val::Int(id), Val::Int(id * 10)]);
    log.transaction(1, &[], 0, &events(1));
    log.chunk(0, &[synthetic::plain_map(), rows(RowsKind::Write, 1, 2, &[row(2), row(3)])].concat());
    // No table map: it came in the chunk before.
    log.transaction(2, &[], 1, &rows(RowsKind::Write, 1, 2, &[row(4)]));
    let weights = support::weights();
    let key = |id| -> KeyHash {
        let map = support::table(&synthetic::plain_map());
        transaction::key_of(&map, &row(id), &weights, &mut Vec::new()).unwrap()
    };
    let origin: RegionName = name("us");
    let read = |sequence, index, id| {
        let write = WriteId { hlc: Hlc(sequence * 10), origin, sequence: Sequence(sequence), index };
        read_image(&log, &weights, &write, key(id)).map(|found| found.map(|(_, image)| image))
    };
    assert_eq!(read(1, 0, 1).unwrap().unwrap()[1..5], 1i32.to_le_bytes());
    assert_eq!(read(2, 1, 3).unwrap(), Some(row(3)));
    assert_eq!(read(2, 2, 4).unwrap(), Some(row(4)));
    assert!(read(2, 1, 4).unwrap_err().reason.contains("no row change 1 of that key"));
    assert_eq!(read(3, 0, 1).unwrap(), None, "not durable yet");
    log.transaction(3, &[], 1, &events(1));
    assert!(read(3, 0, 1).unwrap_err().reason.contains("a chunk of it is missing"));
    log.repair(4, &[], &[place(1, 1), place(1, 2)], &[insert(5, 50), insert(6, 60)].concat());
    assert_eq!(read(4, 1, 6).unwrap(), Some(row(6)), "of a repair as well");
}
