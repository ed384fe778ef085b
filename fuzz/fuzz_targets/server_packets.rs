//! What a server, or what claims to be one, says before the binlog comes: its greeting, its part of the login, errors and rows.
//!
//! The input is the packets, each behind two bytes of length, so that headers and numbers are right; if its first byte is odd, the
//! rest is the stream as it comes.
#![no_main]

use concord_fuzz::{bounded, seeds};
use libfuzzer_sys::fuzz_target;

/// A header may announce a frame of 16 MiB, for which room is made when its first bytes have come.
const MEMORY_MAX: usize = 24 << 20;

fuzz_target!(
    init: seeds::write(all_seeds()),
    |data: &[u8]| {
        let Some((first, rest)) = data.split_first() else { return };
        let stream = if first % 2 == 1 { rest.to_vec() } else { framed(rest) };
        bounded::within(MEMORY_MAX, || extractor::replica::foreign::packets(&stream));
    }
);

fn framed(mut pieces: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut number: u8 = 0;
    while let [low, high, rest @ ..] = pieces {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (packet, rest) = rest.split_at(len);
        out.extend(&(len as u32).to_le_bytes()[..3]);
        out.push(number);
        out.extend(packet);
        number = number.wrapping_add(1);
        pieces = rest;
    }
    out
}

fn all_seeds() -> Vec<Vec<u8>> {
    let packets: [&[u8]; 6] = [
        b"\x01\x03",
        b"\x01\x04",
        b"\xfecaching_sha2_password\x0001234567890123456789\0",
        b"\xff\x15\x04#28000Access denied",
        b"\x03one\xfb\x00",
        &[&[1], seeds::PUBLIC_KEY].concat(),
    ];
    let piece = |packet: &[u8]| [&(packet.len() as u16).to_le_bytes()[..], packet].concat();
    let greeting = [&[0], piece(seeds::GREETING).as_slice()].concat();
    let mut all: Vec<Vec<u8>> =
        packets.iter().map(|packet| [greeting.as_slice(), &piece(packet)].concat()).collect();
    // The key is only taken when it was asked for.
    all.push([greeting.as_slice(), &piece(packets[1]), &piece(packets[5])].concat());
    all.push([&[1, seeds::GREETING.len() as u8, 0, 0, 0], seeds::GREETING].concat());
    all.push(vec![1, 0xff, 0xff, 0xff, 0, 7]);
    all
}
