//! What becomes of a packet: when it is due at the other end, or why it is dropped. Pure: time and bytes are arguments.

use crate::shop::dice::Dice;
use std::time::{Duration, Instant};

/// What the way from one region to another is like. The way back is another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// How long a packet is under way at least.
    pub delay: Duration,
    /// How much longer at most; each packet draws evenly.
    pub jitter: Duration,
    /// Whether a packet may pass one that drew a longer jitter, or that set out when the delay was longer.
    pub overtakes: bool,
    /// The share of packets that are lost under way, from 0 to 1.
    pub loss: f64,
    /// Bytes a second that fit through; `None` for no bound.
    pub rate: Option<u64>,
    /// Bytes that may wait for their turn where `rate` is the bound. One more packet is dropped.
    pub queue_bytes: u64,
    /// Nothing arrives any more, neither what sets out now nor what is under way.
    pub cut: bool,
}

impl Path {
    /// Carries everything in order, at once.
    pub const OPEN: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        overtakes: false,
        loss: 0.0,
        rate: None,
        queue_bytes: 1 << 20,
        cut: false,
    };
    /// Carries nothing.
    pub const CUT: Self = Self { cut: true, ..Self::OPEN };

    /// Carries everything in order, so much later.
    pub const fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::OPEN }
    }
}

/// Why a packet did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// By the dice.
    Lost,
    /// The queue before the bottleneck was full.
    Full,
    /// The path was cut.
    Cut,
}

/// What becomes of a packet that sets out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives then, if the path is not cut until then.
    Due(Instant),
    /// It does not arrive.
    Dropped(Reason),
}

/// What a path remembers from packet to packet.
#[derive(Debug, Clone)]
pub struct Course {
    dice: Dice,
    /// When the bottleneck has sent all that waits before it.
    free: Option<Instant>,
    /// When the last packet is due.
    last: Option<Instant>,
}

/// Parts of a whole in which loss and jitter are drawn.
const PARTS: u64 = 1 << 32;

impl Course {
    /// Nothing under way; the same seed loses the same packets.
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), free: None, last: None }
    }

    /// Decides on a packet of so many bytes that sets out now.
    pub fn judge(&mut self, path: &Path, bytes: usize, now: Instant) -> Fate {
        if path.cut {
            return Fate::Dropped(Reason::Cut);
        }
        let sent = match path.rate {
            None => now,
            Some(rate) => match self.pass(rate.max(1), path.queue_bytes, bytes as u64, now) {
                Some(sent) => sent,
                None => return Fate::Dropped(Reason::Full),
            },
        };
        // Lost behind the bottleneck: it took its turn there. Both draws are made whatever the path, so that a change of one setting does
        // not change what the other draws.
        let (lost, more) = (self.share() < path.loss, self.share());
        if lost {
            return Fate::Dropped(Reason::Lost);
        }
        let alone = sent + path.delay + path.jitter.mul_f64(more);
        let due = match self.last {
            Some(last) if !path.overtakes => alone.max(last),
            _ => alone,
        };
        self.last = Some(due);
        Fate::Due(due)
    }

    /// When the bottleneck has sent it; `None` if too much waits there.
    fn pass(&mut self, rate: u64, queue_bytes: u64, bytes: u64, now: Instant) -> Option<Instant> {
        let begin = self.free.map_or(now, |free| free.max(now));
        let waiting = begin.saturating_duration_since(now).as_secs_f64() * rate as f64;
        if waiting.round() + bytes as f64 > queue_bytes as f64 {
            return None;
        }
        let sent = begin + Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.free = Some(sent);
        Some(sent)
    }

    /// Evenly from 0 to below 1.
    fn share(&mut self) -> f64 {
        self.dice.below(PARTS) as f64 / PARTS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn due(fate: Fate, start: Instant) -> Duration {
        match fate {
            Fate::Due(due) => due - start,
            Fate::Dropped(reason) => panic!("dropped: {reason:?}"),
        }
    }

    #[test]
    fn a_packet_is_due_after_the_delay_and_a_jitter_that_keeps_within_its_bound() {
        let start = Instant::now();
        let mut course = Course::new(1);
        assert_eq!(due(course.judge(&Path::delayed(50 * MS), 100, start), start), 50 * MS);
        let path = Path { jitter: 10 * MS, overtakes: true, ..Path::delayed(50 * MS) };
        let all: Vec<Duration> = (0..1_000).map(|_| due(course.judge(&path, 100, start), start)).collect();
        assert!(all.iter().all(|due| (50 * MS..60 * MS).contains(due)));
        assert!(all.iter().any(|due| *due < 52 * MS) && all.iter().any(|due| *due > 58 * MS));
        assert!(!all.is_sorted());
    }

    #[test]
    fn order_is_kept_over_jitter_and_over_a_shorter_delay() {
        let start = Instant::now();
        let mut course = Course::new(1);
        let path = Path { jitter: 10 * MS, ..Path::delayed(50 * MS) };
        let mut all: Vec<Duration> =
            (0..1_000).map(|_| due(course.judge(&path, 100, start), start)).collect();
        all.push(due(course.judge(&Path::OPEN, 100, start), start));
        assert!(all.is_sorted());
    }

    #[test]
    fn of_many_packets_about_the_share_is_lost_and_the_same_ones_with_the_same_seed() {
        let start = Instant::now();
        let path = Path { loss: 0.1, ..Path::OPEN };
        let lost = |seed| -> Vec<bool> {
            let mut course = Course::new(seed);
            (0..10_000).map(|_| course.judge(&path, 100, start) == Fate::Dropped(Reason::Lost)).collect()
        };
        let count = lost(7).iter().filter(|lost| **lost).count();
        assert!((900..1_100).contains(&count), "{count}");
        assert_eq!(lost(7), lost(7));
        assert_ne!(lost(7), lost(8));
        let mut course = Course::new(7);
        let all = Path { loss: 1.0, ..Path::OPEN };
        assert!((0..1_000).all(|_| course.judge(&all, 1, start) == Fate::Dropped(Reason::Lost)));
    }

    #[test]
    fn a_bottleneck_sends_one_after_another_and_drops_what_its_queue_cannot_hold() {
        let start = Instant::now();
        let mut course = Course::new(1);
        let path = Path { rate: Some(100_000), queue_bytes: 3_000, ..Path::delayed(5 * MS) };
        for number in 1..=3 {
            assert_eq!(due(course.judge(&path, 1_000, start), start), 5 * MS + number * 10 * MS);
        }
        assert_eq!(course.judge(&path, 1_000, start), Fate::Dropped(Reason::Full));
        // A thousand bytes later there is room for one, and none more.
        let later = start + 10 * MS;
        assert_eq!(due(course.judge(&path, 1_000, later), later), 5 * MS + 30 * MS);
        assert_eq!(course.judge(&path, 1_000, later), Fate::Dropped(Reason::Full));
        // An idle bottleneck saves nothing up.
        let idle = start + 1_000 * MS;
        assert_eq!(due(course.judge(&path, 1_000, idle), idle), 15 * MS);
    }

    #[test]
    fn a_cut_path_drops_all_and_heals() {
        let start = Instant::now();
        let mut course = Course::new(1);
        assert_eq!(course.judge(&Path::CUT, 100, start), Fate::Dropped(Reason::Cut));
        assert_eq!(due(course.judge(&Path::OPEN, 100, start), start), Duration::ZERO);
    }
}
