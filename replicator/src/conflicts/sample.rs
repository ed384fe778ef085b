//! Conflicts for tests.

#![allow(clippy::unwrap_used)]

use applier::journal::{Columns, Entry, Found, Kind, Side, Verb, Winner, id_of};
use transaction::{Hlc, Sequence};

/// 2024-02-29 12:34:56 UTC, in microseconds.
pub(crate) const NOON: u64 = 1_709_210_096_000_000;

/// A row of `shop.stock`.
pub(crate) fn row(id: u64, quantity: i64, note: &str) -> Option<Columns> {
    let pair = |name: &str, literal: String| (name.to_owned(), Some(literal));
    Some(vec![
        pair("id", id.to_string()),
        pair("quantity", quantity.to_string()),
        pair("note", note.to_owned()),
        ("extra".to_owned(), None),
    ])
}

/// A write of row `id`, committed so many microseconds after noon, that had seen the other region up to a transaction.
pub(crate) fn side(origin: &str, sequence: u64, after_us: u64, seen: (&str, u64)) -> Side {
    Side {
        origin: origin.parse().unwrap(),
        sequence: Sequence(sequence),
        hlc: Hlc(NOON + after_us),
        index: 0,
        commit_us: NOON + after_us,
        gtid: format!("21eca99d-e6d3-11f1-93a5-02fc00000001:{sequence}"),
        context: vec![(seen.0.parse().unwrap(), Sequence(seen.1))],
        before: None,
        after: None,
        repair: false,
    }
}

/// The update of row `id` by transaction `sequence` of us, which met one of eu that is 250 ms older, found `id` seconds
/// after noon in eu.
pub(crate) fn entry(id: u64, sequence: u64) -> Entry {
    let (mut incoming, mut existing) =
        (side("us", sequence, 500_000, ("eu", 4)), side("eu", 5, 250_000, ("us", 2)));
    (incoming.before, incoming.after) = (row(id, 10, "'old'"), row(id, 7, "'old'"));
    (existing.before, existing.after) = (row(id, 10, "'old'"), row(id, 8, "_utf8mb4'it''s'"));
    let key = vec![("id".to_owned(), id.to_string())];
    Entry {
        id: id_of("shop", "stock", &key, incoming.position(), existing.position()),
        found_us: NOON + id * 1_000_000,
        region: "eu".parse().unwrap(),
        schema: "shop".to_owned(),
        table: "stock".to_owned(),
        key,
        kind: Kind::of(Verb::Update, Verb::Update),
        found: Found::FirstLook,
        policy: "last-writer-wins".to_owned(),
        winner: Winner::Incoming,
        result: incoming.after.clone(),
        incoming,
        existing,
        repairs: 0,
        detect_only: false,
    }
}
