//! Signs of life, what they carry, and what they tell about the peer's clock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use transaction::{RecordNumber, RegionName};

use crate::contract::Control;
use crate::message;

/// What a region tells its peers about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// The logs that the region holds.
    pub holdings: Vec<Holding>,
    /// Transactions in the region's history index that are not yet causally stable.
    pub unstable: u64,
    /// Whether every history of the region is causally stable.
    pub stable: bool,
    /// Whether something in the region stands still until a person acts, so that it may never apply what it is sent.
    pub blocked: bool,
}

/// A log that a region holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Whose log.
    pub origin: RegionName,
    /// First record held; 0 if none.
    pub first: RecordNumber,
    /// Last durable record; 0 if none.
    pub durable: RecordNumber,
}

/// A beat of a peer, as it was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What the peer told.
    pub beat: Beat,
    /// The peer's wall clock as the beat left it, microseconds since 1970.
    pub wall_us: u64,
    /// How the peer's clock compares with ours; none until a beat has gone both ways, or when a clock was set meanwhile.
    pub measure: Option<ClockMeasure>,
}

/// A comparison of two clocks by one exchange of beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockMeasure {
    /// Time on the way, there and back, without the time that the peer let pass before it spoke.
    pub round_trip: Duration,
    /// How far the peer's clock is ahead of ours, in microseconds, give or take half the round trip.
    pub ahead_us: i64,
}

impl ClockMeasure {
    /// Compares clocks from four readings in microseconds: we spoke at `ours_sent`, the peer heard it at `theirs_heard`
    /// and spoke at `theirs_sent`, we heard that at `ours_heard`.
    ///
    /// None if the readings are impossible, as after a clock was set.
    fn of(ours_sent: u64, theirs_heard: u64, theirs_sent: u64, ours_heard: u64) -> Option<Self> {
        let away = ours_heard.checked_sub(ours_sent)?;
        let held = theirs_sent.checked_sub(theirs_heard)?;
        let round_trip = Duration::from_micros(away.checked_sub(held)?);
        let there = i128::from(theirs_heard) - i128::from(ours_sent);
        let back = i128::from(theirs_sent) - i128::from(ours_heard);
        Some(Self { round_trip, ahead_us: i64::try_from((there + back) / 2).ok()? })
    }
}

/// The beats of one connection: makes ours, takes the peer's.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// `sent_us` of the last beat heard, and when it was heard.
    last: Mutex<Option<(u64, u64)>>,
}

impl Pulse {
    /// The beat to send now.
    pub(crate) fn speak(&self, control: &dyn Control) -> message::Beat {
        let beat = control.beat();
        let (echo_sent_us, echo_heard_us) =
            self.last.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
        let holding = |held: &Holding| message::Holding {
            origin: held.origin.to_string(),
            first: held.first.0,
            durable: held.durable.0,
        };
        message::Beat {
            sent_us: control.wall_us(),
            echo_sent_us,
            echo_heard_us,
            holdings: beat.holdings.iter().map(holding).collect(),
            unstable: beat.unstable,
            stable: beat.stable,
            blocked: beat.blocked,
        }
    }

    /// Takes a beat of the peer. An error names a region name that is none.
    pub(crate) fn hear(&self, message: message::Beat, now_us: u64) -> Result<Heard, String> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((message.sent_us, now_us));
        let holding = |held: message::Holding| {
            Ok(Holding {
                origin: RegionName::new(&held.origin).map_err(|e| format!("a heartbeat whose {e}"))?,
                first: RecordNumber(held.first),
                durable: RecordNumber(held.durable),
            })
        };
        let holdings = message.holdings.into_iter().map(holding).collect::<Result<_, String>>()?;
        let measure = (message.echo_sent_us != 0)
            .then(|| ClockMeasure::of(message.echo_sent_us, message.echo_heard_us, message.sent_us, now_us))
            .flatten();
        let message::Beat { unstable, stable, blocked, .. } = message;
        let beat = Beat { holdings, unstable, stable, blocked };
        Ok(Heard { beat, wall_us: message.sent_us, measure })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_gives_the_round_trip_and_the_clock_difference() {
        // The peer is 500 µs ahead, each way takes 100 µs, the peer waits 1000 µs before it speaks.
        let measure = ClockMeasure::of(10_000, 10_600, 11_600, 11_200).unwrap();
        assert_eq!(measure, ClockMeasure { round_trip: Duration::from_micros(200), ahead_us: 500 });
        let behind = ClockMeasure::of(10_000, 9_600, 10_600, 11_200).unwrap();
        assert_eq!(behind, ClockMeasure { round_trip: Duration::from_micros(200), ahead_us: -500 });
    }

    #[test]
    fn readings_across_a_clock_that_was_set_give_no_measure() {
        assert_eq!(ClockMeasure::of(10_000, 5, 6, 9_000), None);
        assert_eq!(ClockMeasure::of(10_000, 600, 500, 11_000), None);
        assert_eq!(ClockMeasure::of(10_000, 0, 5_000, 11_000), None);
        assert_eq!(ClockMeasure::of(0, u64::MAX, u64::MAX, 0), None);
    }

    #[test]
    fn a_holding_of_no_region_is_refused() {
        let holdings = vec![message::Holding { origin: "EU".into(), first: 1, durable: 2 }];
        let error = Pulse::default().hear(message::Beat { holdings, ..Default::default() }, 1).unwrap_err();
        assert!(error.contains("\"EU\""), "{error}");
    }
}
