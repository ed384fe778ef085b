//! What clients do to a row.

use super::change::REGIONS_MAX;
use super::rng::Rng;
use super::row::{CENTS_MAX, Row};

/// What clients may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Insert, update and delete; unique columns stay NULL.
    Plain,
    /// Likewise, with values of the unique columns.
    Unique,
    /// Only update rows that are there from the start, in ways of which nothing may get lost under the policy `columns`.
    Calm,
}

/// The row that every region has at the beginning of a calm schedule.
pub(crate) const CALM: Row =
    Row { a: 0, b: 0, count: 0, cents: 0, high: 0, low: 0, tags: 0, owner: 0, u: None, v: None };

/// The row after a client's change; `None` deletes it.
pub(crate) fn mutate(before: Option<Row>, habit: Habit, rng: &mut Rng) -> Option<Row> {
    let fresh = (rng.next() >> 24) as i32 & 0xfff_ffff;
    let signed = rng.below(2_001) as i32 - 1_000;
    let Some(mut row) = before else {
        let (u, v) = if habit == Habit::Unique { (unique(rng), unique(rng)) } else { (None, None) };
        return Some(Row {
            a: fresh,
            b: fresh / 3,
            count: rng.below(50) as i16,
            cents: signed,
            high: signed,
            low: signed,
            tags: 1 << rng.below(8),
            owner: rng.below(REGIONS_MAX),
            u,
            v,
        });
    };
    if habit == Habit::Calm {
        match rng.below(6) {
            0 => row.a = fresh / 5 * 5,
            1 => row.count += 1 + rng.below(9) as i16,
            2 => row.cents += signed / 100,
            3 => row.high = signed,
            4 => row.low = signed,
            _ => row.tags |= 1 << rng.below(8),
        }
        return Some(row);
    }
    match rng.below(27) {
        0..4 => return None,
        4..8 => row.a = fresh,
        8..10 => row.b = fresh,
        10..14 => row.count = row.count.checked_add(signed as i16 / 100)?,
        // Two such steps at once are more than the columns hold.
        14 => row.count = row.count.checked_add(20_000).unwrap_or_else(|| row.count - 20_000),
        15 => row.cents = if row.cents < 0 { row.cents + 600_000 } else { row.cents - 600_000 },
        16 => row.cents += signed,
        17 => row.high = signed,
        18 => row.low = signed,
        19..22 => row.tags ^= 1 << rng.below(8),
        22 => row.owner = rng.below(REGIONS_MAX),
        _ if habit == Habit::Plain => row.a = fresh,
        23..26 => row.u = unique(rng),
        _ => row.v = unique(rng),
    }
    let fits = i64::from(row.cents).abs() <= CENTS_MAX;
    if fits { Some(row) } else { before }
}

fn unique(rng: &mut Rng) -> Option<u8> {
    rng.pick(&[None, Some(1), Some(2), Some(3)])
}
