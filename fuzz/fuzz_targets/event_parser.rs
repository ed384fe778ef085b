//! Events as a server, or what claims to be one, sends them: each parser of an event, compressed transactions included.
//!
//! The first byte chooses: bit 0, pieces that become whole events with right checksums, else the bytes as they are; bit 1, the
//! events in a compressed transaction.
#![no_main]

use concord_fuzz::{bounded, events, seeds};
use libfuzzer_sys::fuzz_target;
use transaction::binlog::{
    Event, EventError, EventHeader, EventKind, GtidEvent, PayloadHeader, QueryEvent, RowsEvent, TableMap,
    Tables, for_each_event, for_each_item, partial,
};

/// Four kibibytes of input hold 1,024 blocks of zstd that unfold to 128 KiB each, and a buffer doubles as it grows.
const MEMORY_MAX: usize = 512 << 20;
const WHOLE: u8 = 1;
const COMPRESSED: u8 = 2;

fuzz_target!(
    init: seeds::write(seeds::BINLOGS.iter().flat_map(|binlog| {
        let whole = [&[WHOLE], events::pieces(binlog).as_slice()].concat();
        let compressed = [&[WHOLE | COMPRESSED], events::pieces(binlog).as_slice()].concat();
        [whole, compressed, [&[0], *binlog].concat()]
    })),
    |data: &[u8]| {
        let Some((mode, data)) = data.split_first() else { return };
        bounded::within(MEMORY_MAX, || parse(*mode, data));
    }
);

fn parse(mode: u8, data: &[u8]) {
    let whole = mode & WHOLE != 0;
    let bytes = match (whole, mode & COMPRESSED != 0) {
        (false, _) => data.to_vec(),
        (true, false) => events::assemble(data, true),
        (true, true) => {
            let inner = events::assemble(data, false);
            let compressed = zstd::bulk::compress(&inner, 1).expect("bytes can be compressed");
            let mut body = Vec::new();
            for (field, value) in [(2, 0), (3, inner.len() as u64), (1, compressed.len() as u64)] {
                body.extend([field, 9, 0xfe]);
                body.extend(value.to_le_bytes());
            }
            body.push(0);
            body.extend(compressed);
            let mut piece = vec![EventKind::TransactionPayload as u8];
            piece.extend((body.len() as u16).to_le_bytes());
            piece.extend(body);
            events::assemble(&piece, true)
        }
    };
    let _ = for_each_event::<EventError>(&bytes, whole, &mut |event| {
        each(event);
        Ok(())
    });
    let _ = for_each_item::<EventError>(&bytes, whole, &mut Tables::default(), &mut 0, &mut |_| Ok(()));
    let _ = (EventHeader::decode(data), TableMap::decode(data), PayloadHeader::decode(data));
    if let Ok((event, _)) = Event::split(&bytes, whole)
        && event.header.kind == EventKind::TransactionPayload
    {
        let _ = partial::complete_payload(event, true, &mut Tables::default());
    }
}

fn each(event: Event<'_>) {
    match event.header.kind {
        EventKind::Gtid | EventKind::GtidTagged => {
            let Ok(begun) = GtidEvent::decode(event) else { return };
            // What follows from it must be sayable, and mean the same when it is read again.
            let mut set = transaction::GtidSet::new();
            set.insert(begun.gtid);
            assert_eq!(set.to_string().parse::<transaction::GtidSet>().ok(), Some(set));
        }
        EventKind::Query => {
            let Ok(query) = QueryEvent::decode(event.body) else { return };
            let _ = (query.classify().is_control(), query.session());
        }
        EventKind::TableMap => drop(TableMap::decode(event.body)),
        EventKind::WriteRows
        | EventKind::UpdateRows
        | EventKind::DeleteRows
        | EventKind::PartialUpdateRows => {
            drop(RowsEvent::decode(event));
        }
        _ => {}
    }
}
