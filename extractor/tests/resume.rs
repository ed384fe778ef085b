//! A restart reads again what lies after the last position record: the same stamps, and nothing twice.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use extractor::{ExtractError, Extractor, Limits, Place};
use proptest::prelude::*;
use support::own::{deletion, marker, place, repairs};
use support::{Recorder, begin, fresh, groups, resume_from, split};
use synthetic::{gtid, insert, query, tagged_gtid, xid};
use transaction::record::{Body, Record, RecordKind};

/// A transaction group of a random stream.
#[derive(Debug, Clone)]
enum Group {
    /// Commit time and number of rows.
    Local(u64, usize),
    /// Of the first or second peer: how far its numbers and its clock jump, whether the GTID is tagged, and how many repairs
    /// it holds.
    Applied(bool, u64, u64, bool, u8),
    Empty,
    Account,
    Ddl(u64),
}

fn group() -> impl Strategy<Value = Group> {
    prop_oneof![
        4 => (0u64..500, 1usize..9).prop_map(|(us, rows)| Group::Local(us, rows)),
        4 => (any::<bool>(), 1u64..4, 0u64..400, any::<bool>(), 0u8..3)
            .prop_map(|(peer, s, us, tagged, repairs)| Group::Applied(peer, s, us, tagged, repairs)),
        1 => Just(Group::Empty),
        1 => Just(Group::Account),
        1 => (0u64..500).prop_map(Group::Ddl),
    ]
}

/// The stream of a list of groups; GTID numbers count from 1.
fn stream(list: &[Group]) -> Vec<u8> {
    let mut peers = [(0, 0); 2];
    let mut out = Vec::new();
    for (at, group) in list.iter().enumerate() {
        let number = at as u64 + 1;
        out.extend(match group {
            Group::Local(us, count) => {
                let rows: Vec<u8> = (0..*count).flat_map(|id| insert(id as i32, 0)).collect();
                [gtid(1, number, *us), query("", "BEGIN"), rows, xid()].concat()
            }
            Group::Applied(second, sequences, us, tagged, count) => {
                let (peer, name) = (&mut peers[usize::from(*second)], if *second { "ap" } else { "us" });
                *peer = (peer.0 + sequences, peer.1 + us);
                let begin = if *tagged { tagged_gtid(1, name, number, 1) } else { gtid(1, number, 1) };
                let list: Vec<_> =
                    (1..=*count).map(|level| (place(name, peer.0, level), deletion(7))).collect();
                let own = if list.is_empty() { Vec::new() } else { repairs(&list) };
                let changes = |said| marker(name, peer.0, peer.1, said);
                [begin, query("", "BEGIN"), changes(9), insert(7, 7), own, changes(1), xid()].concat()
            }
            Group::Empty => [gtid(1, number, 1), query("", "BEGIN"), query("", "COMMIT")].concat(),
            Group::Account => [gtid(1, number, 1), query("r", "GRANT ALL ON *.* TO x")].concat(),
            Group::Ddl(us) => [gtid(1, number, *us), query("r", "CREATE TABLE t (a INT)")].concat(),
        });
    }
    out
}

fn small_chunks(resume: extractor::Resume) -> (Extractor<Recorder>, Recorder) {
    let (extractor, recorder) = begin(resume);
    (extractor.with_limits(Limits { chunk_len: 300, ..Limits::default() }), recorder)
}

/// Feeds what the server sends; after the groups whose places in the stream `positions` names, a position record is
/// written.
fn run(
    extractor: &mut Extractor<Recorder>,
    stream: &[u8],
    positions: &[bool],
    events_max: usize,
) -> Result<(), ExtractError> {
    let ends: Vec<u64> =
        groups(stream, &Default::default()).iter().map(|(start, group)| start + group.len() as u64).collect();
    let mut left = events_max;
    for (start, group) in groups(stream, &extractor.executed().clone()) {
        for (raw, end) in split(group, start) {
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            let place = Place { file: "binlog.000001".into(), offset: end };
            extractor.on_event(raw, true, place, 0)?;
            if let Ok(at) = ends.binary_search(&end)
                && positions.get(at) == Some(&true)
            {
                extractor.write_position(9)?;
            }
        }
    }
    Ok(())
}

/// Drops an unfinished chain from the end, as the log does when it is opened.
fn opened(records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut records = records.to_vec();
    while records.last().is_some_and(|raw| Record::decode(raw).unwrap().kind() == RecordKind::Chunk) {
        records.pop();
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_restart_anywhere_makes_the_same_log(
        list in prop::collection::vec(group(), 1..12), positions in prop::collection::vec(prop::bool::weighted(0.3), 12),
        crash: prop::sample::Index, durable: prop::sample::Index,
    ) {
        let stream = stream(&list);
        let (mut whole, reference) = small_chunks(fresh());
        run(&mut whole, &stream, &positions, usize::MAX).unwrap();
        let reference = reference.0.borrow().records.clone();

        // The process dies after some events; of what it appended, only the first part is durable.
        let (mut first, recorder) = small_chunks(fresh());
        run(&mut first, &stream, &positions, crash.index(split(&stream, 0).len() + 1)).unwrap();
        let appended = recorder.0.borrow().records.clone();
        let mut log = opened(&appended[..durable.index(appended.len() + 1)]);
        prop_assert_eq!(&log[..], &reference[..log.len()]);

        let (mut second, recorder) = small_chunks(resume_from(&log));
        run(&mut second, &stream, &positions, usize::MAX).unwrap();
        let given = recorder.0.borrow();
        // What the log held already is not written to the index again either: that was rebuilt from the log.
        let held = log.iter().rev().find_map(|raw| match Record::decode(raw).unwrap().body {
            Body::Transaction(_) | Body::Repair { .. } => Some(Record::decode(raw).unwrap().sequence.0),
            _ => None,
        });
        prop_assert!(given.writes.iter().all(|(sequence, _, _)| Some(*sequence) > held), "{held:?}: {:?}", given.writes);
        prop_assert!(given.repairs.iter().all(|(sequence, _, _)| Some(*sequence) > held), "{held:?}: {:?}", given.repairs);
        log.extend(given.records.iter().cloned());
        prop_assert_eq!(log, reference);
    }

    #[test]
    fn lost_connections_change_neither_stamps_nor_events(
        list in prop::collection::vec(group(), 1..10), crashes in prop::collection::vec(0usize..30, 1..5),
    ) {
        let stream = stream(&list);
        let told = |records: &[Vec<u8>]| -> Vec<_> {
            records
                .iter()
                .map(|raw| Record::decode(raw).unwrap())
                .filter_map(|record| {
                    let body = record.transaction()?;
                    let (context, events) = (body.context.clone(), body.events.to_vec());
                    Some((record.kind(), record.sequence, record.hlc, body.gtid, context, body.chunks, events))
                })
                .collect()
        };
        let (mut whole, reference) = small_chunks(fresh());
        run(&mut whole, &stream, &[], usize::MAX).unwrap();
        let (mut broken, recorder) = small_chunks(fresh());
        for crash in crashes {
            run(&mut broken, &stream, &[], crash).unwrap();
            broken.reconnect();
        }
        run(&mut broken, &stream, &[], usize::MAX).unwrap();
        let (given, reference) = (recorder.0.borrow(), reference.0.borrow());
        prop_assert_eq!(told(&given.records), told(&reference.records));
        let numbers: Vec<u64> = given.records.iter().map(|raw| Record::decode(raw).unwrap().number.0).collect();
        prop_assert_eq!(&numbers, &(1..=numbers.len() as u64).collect::<Vec<_>>());
        let local = given.writes.iter().filter(|(_, _, last)| *last).map(|(sequence, _, _)| *sequence);
        let mut ends: Vec<_> = local.chain(given.repairs.iter().map(|(sequence, _, _)| *sequence)).collect();
        ends.sort();
        prop_assert_eq!(&ends, &(1..=ends.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn no_position_record_is_written_while_the_log_is_ahead_of_what_is_read() {
    let stream = stream(&[Group::Local(1, 1), Group::Local(2, 1), Group::Local(3, 1)]);
    let (mut whole, reference) = small_chunks(fresh());
    run(&mut whole, &stream, &[], usize::MAX).unwrap();
    let log = reference.0.borrow().records.clone();
    let (mut again, recorder) = small_chunks(resume_from(&log[..2]));
    let positions = [true; 3];
    run(&mut again, &stream, &positions, usize::MAX).unwrap();
    let kinds: Vec<RecordKind> =
        recorder.0.borrow().records.iter().map(|raw| Record::decode(raw).unwrap().kind()).collect();
    // After the first the log is still ahead by the second; from there on it is not.
    assert_eq!(kinds, [RecordKind::Position, RecordKind::Transaction, RecordKind::Position]);
}

#[test]
fn a_repair_in_the_log_is_known_again_by_its_number_and_its_transaction() {
    let repaired = |repairs| stream(&[Group::Local(1, 1), Group::Applied(false, 3, 9, false, repairs)]);
    let (mut whole, reference) = small_chunks(fresh());
    run(&mut whole, &repaired(1), &[true], usize::MAX).unwrap();
    let log = reference.0.borrow().records.clone();
    let kinds: Vec<RecordKind> = log.iter().map(|raw| Record::decode(raw).unwrap().kind()).collect();
    assert_eq!(kinds, [RecordKind::Transaction, RecordKind::Position, RecordKind::Repair]);
    let (mut again, recorder) = small_chunks(resume_from(&log));
    run(&mut again, &repaired(1), &[], usize::MAX).unwrap();
    assert!(recorder.0.borrow().records.is_empty() && recorder.0.borrow().repairs.is_empty());
    assert_eq!(
        recorder.0.borrow().passed.last().map(|(_, sequence, record)| (*sequence, *record)),
        Some((2, 3))
    );
    // A binlog that has another transaction there is another server's.
    let other = stream(&[Group::Local(1, 1), Group::Empty, Group::Local(5, 1)]);
    let (mut again, _) = small_chunks(resume_from(&log));
    let error = run(&mut again, &other, &[], usize::MAX).unwrap_err();
    assert!(matches!(error, ExtractError::HistoryDiffers { .. }), "{error}");
}

#[test]
fn what_the_log_accounts_for_is_the_position_and_the_transactions_after_it() {
    let stream = stream(&[Group::Local(1, 1), Group::Account, Group::Local(2, 1)]);
    let (mut whole, reference) = small_chunks(fresh());
    run(&mut whole, &stream, &[false, true, false], usize::MAX).unwrap();
    let (again, _) = small_chunks(resume_from(&reference.0.borrow().records));
    assert_eq!(again.executed().count(), 2);
    assert_eq!(again.held().count(), 3);
}
