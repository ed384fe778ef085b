//! The codec of records: what is written is read, and damage is an error whatever it is.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use transaction::record::{
    Body, HEADER_LEN, Lineage, PositionBody, Record, RecordError, TransactionBody, verify,
};
use transaction::{
    Context, Epoch, Gtid, Hlc, Incarnation, RecordNumber, RegionName, RepairPlace, STAMP_END, Sequence,
    Source, Tag, Uuid, WriteId,
};
use xxhash_rust::xxh3::Xxh3;

fn region() -> impl Strategy<Value = RegionName> {
    "[a-z_][a-z0-9_]{0,31}".prop_map(|name| RegionName::new(&name).unwrap())
}

fn stamp() -> impl Strategy<Value = u64> {
    0..STAMP_END
}

fn context() -> impl Strategy<Value = Context> {
    prop::collection::vec((region(), stamp().prop_map(Sequence)), 0..5)
        .prop_map(|entries| entries.into_iter().collect())
}

fn gtid() -> impl Strategy<Value = Gtid> {
    (any::<[u8; 16]>(), "([a-z_][a-z0-9_]{0,31})?", 0..i64::MAX as u64).prop_map(|(uuid, tag, number)| Gtid {
        source: Source { uuid: Uuid(uuid), tag: Tag::new(&tag).unwrap() },
        number,
    })
}

fn write_id() -> impl Strategy<Value = WriteId> {
    (stamp(), region(), stamp(), any::<u32>()).prop_map(|(hlc, origin, sequence, index)| WriteId {
        hlc: Hlc(hlc),
        origin,
        sequence: Sequence(sequence),
        index,
    })
}

fn repair_place() -> impl Strategy<Value = RepairPlace> {
    (write_id(), 1..=u8::MAX).prop_map(|(root, level)| RepairPlace { root, level })
}

/// A body that owns what a [`Body`] borrows.
#[derive(Debug, Clone)]
enum Owned {
    Transaction(Context, Gtid, u64, u32),
    Chunk(u32),
    Position(PositionBody),
    Incarnation(u64, u64),
    Repair(Vec<RepairPlace>, Context, Gtid),
    Prepare(String, Gtid),
}

fn owned() -> impl Strategy<Value = Owned> {
    let position = (context(), (stamp(), any::<[u64; 2]>()), ".{0,60}", ".{0,20}").prop_map(
        |(context, (last, [wall_us, offset]), executed, file)| PositionBody {
            context,
            suspended: Default::default(),
            last_sequence: Sequence(last),
            wall_us,
            executed,
            file,
            offset,
        },
    );
    prop_oneof![
        (context(), gtid(), any::<u64>(), any::<u32>())
            .prop_map(|(c, g, us, n)| Owned::Transaction(c, g, us, n)),
        any::<u32>().prop_map(Owned::Chunk),
        position.prop_map(Owned::Position),
        (stamp(), stamp()).prop_map(|(end, sequence)| Owned::Incarnation(end, sequence)),
        (prop::collection::vec(repair_place(), 0..4), context(), gtid())
            .prop_map(|(places, c, g)| Owned::Repair(places, c, g)),
        (".{0,20}", gtid()).prop_map(|(xid, gtid)| Owned::Prepare(xid, gtid)),
    ]
}

fn body<'a>(owned: &Owned, events: &'a [u8]) -> Body<'a> {
    let transaction = |context: &Context, gtid, commit_us, chunks| TransactionBody {
        context: context.clone(),
        suspended: Default::default(),
        gtid,
        commit_us,
        chunks,
        events,
    };
    match owned.clone() {
        Owned::Transaction(context, gtid, us, chunks) => {
            Body::Transaction(transaction(&context, gtid, us, chunks))
        }
        Owned::Chunk(index) => Body::Chunk { index, events },
        Owned::Position(position) => Body::Position(position),
        Owned::Incarnation(end, sequence) => {
            Body::Incarnation { previous_end: RecordNumber(end), previous_sequence: Sequence(sequence) }
        }
        Owned::Repair(places, context, gtid) => {
            Body::Repair { places, transaction: transaction(&context, gtid, 5, 0) }
        }
        Owned::Prepare(xid, gtid) => Body::Prepare { xid, gtid, events },
    }
}

fn record<'a>(numbers: [u64; 3], lineage: [u32; 2], checksums: bool, body: Body<'a>) -> Record<'a> {
    Record {
        number: RecordNumber(numbers[0]),
        sequence: Sequence(numbers[1]),
        hlc: Hlc(numbers[2]),
        lineage: Lineage { incarnation: Incarnation(lineage[0]), epoch: Epoch(lineage[1]) },
        event_checksums: checksums,
        body,
    }
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

/// Sets length and checksum right, as if the writer had meant it so.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body_len = (bytes.len() - HEADER_LEN) as u32;
    bytes[..4].copy_from_slice(&body_len.to_le_bytes());
    let mut hash = Xxh3::new();
    hash.update(&bytes[..8]);
    hash.update(&bytes[16..]);
    bytes[8..16].copy_from_slice(&hash.digest().to_le_bytes());
    bytes
}

/// A repair whose count of places says `count`, followed by `rest`.
fn repair_with_count(count: u32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = encoded(&record([1, 1, 1], [1, 1], true, Body::Chunk { index: count, events: rest }));
    bytes[4] = 5;
    sealed(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read(
        numbers in [stamp(), stamp(), stamp()], lineage in any::<[u32; 2]>(), checksums: bool, owned in owned(),
        events in prop::collection::vec(any::<u8>(), 0..100), before in 0usize..3, after in 0usize..60,
    ) {
        let record = record(numbers, lineage, checksums, body(&owned, &events));
        let mut bytes = vec![7; before];
        record.encode(&mut bytes);
        let len = bytes.len() - before;
        bytes.resize(bytes.len() + after, 0xee);
        prop_assert_eq!(&Record::decode(&bytes[before..]).unwrap(), &record);
        let header = verify(&bytes[before..]).unwrap();
        prop_assert_eq!((header.record_len(), header.kind), (len, record.kind()));
    }

    #[test]
    fn a_record_that_is_cut_or_has_a_flipped_bit_is_refused(
        owned in owned(), events in prop::collection::vec(any::<u8>(), 0..40), cut: prop::sample::Index, bit: prop::sample::Index,
    ) {
        let bytes = encoded(&record([3, 2, 1], [1, 1], true, body(&owned, &events)));
        let short = &bytes[..cut.index(bytes.len())];
        let refused = matches!(Record::decode(short), Err(RecordError::Short { .. }));
        prop_assert!(refused);
        let mut damaged = bytes.clone();
        let bit = bit.index(bytes.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = Record::decode(&damaged).unwrap_err();
        let named = matches!(error, RecordError::Checksum { .. } | RecordError::Short { .. } | RecordError::TooLong(_));
        prop_assert!(named, "{error}");
    }

    #[test]
    fn any_body_behind_a_right_checksum_is_a_record_or_malformed(
        kind in 0u8..9, events in prop::collection::vec(any::<u8>(), 0..80), owned in owned(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = encoded(&record([3, 2, 1], [1, 1], true, Body::Chunk { index: 0, events: &events }));
        bytes[4] = kind;
        match Record::decode(&sealed(bytes)) {
            Ok(_) => prop_assert!((1..=6).contains(&kind)),
            Err(RecordError::UnknownKind { number: 3, kind: 0 | 7.. }) => prop_assert!(!(1..=6).contains(&kind)),
            Err(error) => prop_assert!(matches!(error, RecordError::Malformed { number: 3, .. }), "{error}"),
        }
        // A body that is almost right reaches further into the decoder.
        let mut bytes = encoded(&record([3, 2, 1], [1, 1], true, body(&owned, &events)));
        let at = HEADER_LEN + at.index(bytes.len() - HEADER_LEN);
        bytes[at] = byte;
        if let Err(error) = Record::decode(&sealed(bytes)) {
            prop_assert!(matches!(error, RecordError::Malformed { .. }), "{error}");
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_record(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Record::decode(&bytes).is_err());
    }
}

#[test]
fn a_count_of_places_beyond_the_body_is_refused_without_room_for_it() {
    // Room for all that the count claims would be some 300 GB.
    for (count, rest) in [(u32::MAX, &b""[..]), (u32::MAX, b"\x02eu"), (1 << 30, &[0; 500])] {
        let error = Record::decode(&repair_with_count(count, rest)).unwrap_err();
        assert!(matches!(error, RecordError::Malformed { .. }), "{error}");
    }
}

#[test]
fn a_repair_at_level_0_stands_for_itself_or_is_malformed() {
    let eu = RegionName::new("eu").unwrap();
    let transaction = TransactionBody {
        context: Context::new(),
        suspended: Default::default(),
        gtid: Gtid::default(),
        commit_us: 0,
        chunks: 0,
        events: b"",
    };
    let decoded = |hlc, sequence, indexes: [u32; 2], level| {
        let place = |index| {
            let root = WriteId { hlc: Hlc(hlc), origin: eu, sequence: Sequence(sequence), index };
            RepairPlace { root, level }
        };
        let body = Body::Repair { places: indexes.map(place).to_vec(), transaction: transaction.clone() };
        let bytes = encoded(&record([2, 4, 5], [1, 1], false, body.clone()));
        Record::decode(&bytes).map(|record| record.body == body)
    };
    assert_eq!(decoded(5, 4, [0, 1], 0), Ok(true));
    assert_eq!(decoded(3, 2, [7, 7], 1), Ok(true));
    for (hlc, sequence, indexes) in [(4, 4, [0, 1]), (5, 3, [0, 1]), (5, 4, [0, 0])] {
        let refused = decoded(hlc, sequence, indexes, 0);
        assert!(matches!(refused, Err(RecordError::Malformed { number: 2, .. })), "{refused:?}");
    }
}

#[test]
fn a_body_longer_than_any_record_has_is_refused_by_its_length_alone() {
    let mut bytes = encoded(&record([1, 1, 1], [1, 1], true, Body::Chunk { index: 0, events: b"" }));
    bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(Record::decode(&bytes).unwrap_err(), RecordError::TooLong(u32::MAX));
}

#[test]
fn a_gtid_beyond_what_servers_number_is_malformed() {
    let gtid = Gtid { number: i64::MAX as u64, ..Gtid::default() };
    let bytes =
        encoded(&record([1, 1, 1], [1, 1], true, Body::Prepare { xid: String::new(), gtid, events: b"" }));
    assert!(matches!(Record::decode(&bytes), Err(RecordError::Malformed { .. })));
}

#[test]
fn a_number_or_time_that_has_no_next_is_malformed() {
    let chunk = || Body::Chunk { index: 0, events: b"" };
    let incarnation = |end, sequence| Body::Incarnation {
        previous_end: RecordNumber(end),
        previous_sequence: Sequence(sequence),
    };
    let context = |sequence| {
        Owned::Transaction(
            [(RegionName::new("eu").unwrap(), Sequence(sequence))].into_iter().collect(),
            Gtid::default(),
            0,
            0,
        )
    };
    for (stamp, taken) in [(STAMP_END - 1, true), (STAMP_END, false), (u64::MAX, false)] {
        let bodies = [
            ([stamp, 1, 1], chunk()),
            ([1, stamp, 1], chunk()),
            ([1, 1, stamp], chunk()),
            ([1, 1, 1], incarnation(stamp, 1)),
            ([1, 1, 1], incarnation(1, stamp)),
            ([1, 1, 1], body(&context(stamp), b"")),
        ];
        for (numbers, body) in bodies {
            let what = format!("{numbers:?} {body:?}");
            match Record::decode(&encoded(&record(numbers, [1, 1], true, body))) {
                Ok(_) => assert!(taken, "{what}"),
                Err(error) => {
                    assert!(!taken && matches!(error, RecordError::Malformed { .. }), "{what}: {error}")
                }
            }
        }
    }
}
