//! What a stranger may send to the link's port: a whole stream, and the content of one frame behind a right checksum.
//!
//! The first byte is the kind of the frame; 0 or more than there are kinds: a stream.
#![no_main]

use concord_fuzz::{bounded, records, seeds};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use tokio::runtime::{Builder, Runtime};
use xxhash_rust::xxh3::Xxh3;

/// One compressed frame may unfold to 16 MiB.
const MEMORY_MAX: usize = 48 << 20;
const BATCH: u8 = 6;
const PART: u8 = 9;
/// Length of the head of a batch, in bytes; byte 24 says how what follows is packed.
const BATCH_HEAD_LEN: usize = 32;

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_time().build().expect("a runtime can be made"));
}

fuzz_target!(
    init: seeds::write(all_seeds()),
    |data: &[u8]| {
        let Some((kind, payload)) = data.split_first() else { return };
        if !(1..=10).contains(kind) {
            RUNTIME.with_borrow(|runtime| {
                bounded::within(MEMORY_MAX, || runtime.block_on(link::foreign::frames(payload)))
            });
            return;
        }
        let mut payload = payload.to_vec();
        if *kind == BATCH
            && payload.get(24) == Some(&0)
            && let Some(records) = payload.get_mut(BATCH_HEAD_LEN..)
        {
            records::seal(records);
        }
        bounded::within(MEMORY_MAX, || link::foreign::payload(*kind, payload));
    }
);

/// Frames of every kind, and streams of them.
fn all_seeds() -> Vec<Vec<u8>> {
    let hello = [
        message(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (11, 1)]),
        texts(&[(6, b"us"), (7, b"eu"), (8, b"shop"), (9, &[7; 32]), (10, b"a fact"), (12, b"0.1.0")]),
    ];
    let holding = [texts(&[(1, b"eu")]), message(&[(2, 1), (3, 9)])].concat();
    let beat =
        [message(&[(1, 1 << 40), (2, 1 << 39), (3, 1 << 40), (5, 3), (6, 1)]), texts(&[(4, &holding)])];
    let mut seeds = vec![
        [&[1], hello.concat().as_slice()].concat(),
        [&[2], message(&[(1, 11), (3, 77)]).as_slice(), &texts(&[(2, b"gone")])].concat(),
        [&[3], texts(&[(1, b"eu")]).as_slice(), &message(&[(2, 5), (3, 1 << 20)])].concat(),
        [&[4], texts(&[(1, b"digest"), (2, b"of what")]).as_slice(), &message(&[(3, 1 << 20)])].concat(),
        [&[5], message(&[(1, 9)]).as_slice()].concat(),
        [&[7], message(&[(1, 1 << 20), (2, 9)]).as_slice()].concat(),
        [&[8], beat.concat().as_slice()].concat(),
        [&[10], message(&[(1, 1)]).as_slice(), &texts(&[(2, b"broken off")])].concat(),
    ];
    for segment in seeds::SEGMENTS {
        let bytes = &segment[records::SEGMENT_HEADER_LEN..];
        let packed = zstd::bulk::compress(bytes, 1).expect("bytes can be compressed");
        for (encoding, body) in [(0, bytes), (1, packed.as_slice())] {
            let mut head = segment[16..24].to_vec();
            head.extend([0; 8]);
            head.extend([1, 0, 0, 0]);
            head.extend((bytes.len() as u32).to_le_bytes());
            head.extend([encoding, 0, 0, 0, 0, 0, 0, 0]);
            seeds.push([&[BATCH], head.as_slice(), body].concat());
            let head = [&(bytes.len() as u32).to_le_bytes()[..], &[encoding, 0, 0, 0]].concat();
            seeds.push([&[PART], head.as_slice(), body].concat());
        }
    }
    let mut stream = b"\0CONCORD\n".to_vec();
    for seed in &seeds {
        let (kind, payload) = (seed[0], &seed[1..]);
        let mut first = [0; 8];
        first[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        first[4] = kind;
        let mut hash = Xxh3::new();
        hash.update(&first);
        hash.update(payload);
        stream.extend(first);
        stream.extend(hash.digest().to_le_bytes());
        stream.extend(payload);
    }
    seeds.push(stream);
    seeds
}

/// Numbers of a message of Protocol Buffers, by field.
fn message(fields: &[(u8, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, value) in fields {
        out.push(field << 3);
        let mut value = *value;
        while value > 0x7f {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
    out
}

/// Texts and bytes of one, each shorter than 128.
fn texts(fields: &[(u8, &[u8])]) -> Vec<u8> {
    fields.iter().flat_map(|(field, text)| [&[field << 3 | 2, text.len() as u8], *text].concat()).collect()
}
