//! What may go wrong, and when: drawn from a seed. Pure.

use crate::shop::dice::Dice;
use std::fmt;
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9` of a concord.
    KillConcord,
    /// SIGTERM of a concord.
    StopConcord,
    /// `kill -9` of a server.
    KillServer,
    /// SIGTERM of a server.
    StopServer,
    /// `kill -9` of both.
    KillBoth,
    /// A concord dies, and of its disk only what was synced is left, and some of what was being written to the end of its logs.
    PowerLoss,
    /// SIGSTOP of a concord.
    Freeze,
    /// Nothing passes between two regions.
    Partition,
    /// Nothing passes from one region to another, but the way back does.
    OneWay,
    /// Delay, jitter and loss between two regions.
    BadLink,
    /// Little bandwidth out of a region.
    SlowPeer,
    /// A concord's disk is full.
    FullDisk,
    /// A concord's disk turns read-only.
    ReadOnlyDisk,
    /// The server begins a new binlog and deletes those that were read.
    Purge,
    /// The password of a concord's account changes.
    Password,
    /// A region's clock is an hour ahead.
    ClockAhead,
    /// A region's clock is an hour behind.
    ClockBehind,
    /// A concord dies and stays away until all faults are over.
    Away,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::KillConcord,
        Self::StopConcord,
        Self::KillServer,
        Self::StopServer,
        Self::KillBoth,
        Self::PowerLoss,
        Self::Freeze,
        Self::Partition,
        Self::OneWay,
        Self::BadLink,
        Self::SlowPeer,
        Self::FullDisk,
        Self::ReadOnlyDisk,
        Self::Purge,
        Self::Password,
        Self::ClockAhead,
        Self::ClockBehind,
        Self::Away,
    ];

    /// Whether it takes a disk that can fail.
    pub fn is_of_disk(self) -> bool {
        matches!(self, Self::PowerLoss | Self::FullDisk | Self::ReadOnlyDisk)
    }

    /// Whether it takes clocks that can be set.
    pub fn is_of_clock(self) -> bool {
        matches!(self, Self::ClockAhead | Self::ClockBehind)
    }

    /// Whether it is about the way between two regions, so that a region may have others at the same time.
    pub fn is_of_link(self) -> bool {
        matches!(self, Self::Partition | Self::OneWay | Self::BadLink | Self::SlowPeer)
    }
}

/// One fault of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// Where.
    pub region: String,
    /// The other end, where it is about a link.
    pub other: String,
    /// When it begins, after the clients did.
    pub at: Duration,
    /// How long it lasts; no end of its own if it is [`Kind::Away`].
    pub lasting: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, region, other, at, lasting } = self;
        write!(f, "{:6.1} s  {kind:?} {region}", at.as_secs_f64())?;
        if kind.is_of_link() && *kind != Kind::SlowPeer {
            write!(f, " {other}")?;
        }
        match kind {
            Kind::Away => f.write_str(", to the end"),
            Kind::Purge | Kind::Password => Ok(()),
            _ => write!(f, ", {:.1} s", lasting.as_secs_f64()),
        }
    }
}

/// Draws so many faults, one every `apart` on average. A concord is frozen for `longest`, everything else lasts a third of it at most. Each kind comes once before any comes twice;
/// what `may_be` says no to is left out. A region is away only in the last third.
pub fn draw(
    seed: u64,
    count: u32,
    apart: Duration,
    longest: Duration,
    regions: &[String],
    may_be: impl Fn(Kind) -> bool,
) -> Vec<Fault> {
    let mut dice = Dice::new(seed);
    let mut deck: Vec<Kind> = Vec::new();
    let mut away = false;
    let mut faults = Vec::new();
    for number in 0..count {
        let kind = loop {
            if deck.is_empty() {
                deck = Kind::ALL.into_iter().filter(|kind| may_be(*kind)).collect();
            }
            let at = usize::try_from(dice.below(deck.len() as u64)).unwrap_or(0);
            let kind = deck.swap_remove(at);
            if kind != Kind::Away || (number >= count * 2 / 3 && !away) {
                break kind;
            }
        };
        away |= kind == Kind::Away;
        let from = dice.below(regions.len() as u64);
        let to = (from + 1 + dice.below(regions.len() as u64 - 1)) % regions.len() as u64;
        let name = |index: u64| regions[usize::try_from(index).unwrap_or(0)].clone();
        let within =
            |dice: &mut Dice, most: Duration| Duration::from_micros(dice.below(most.as_micros() as u64));
        let at = apart * number + within(&mut dice, apart / 2);
        let lasting = match kind {
            Kind::Freeze => longest,
            _ => longest / 30 + within(&mut dice, longest * 3 / 10),
        };
        faults.push(Fault { kind, region: name(from), other: name(to), at, lasting });
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn drawn(seed: u64, count: u32, may_be: impl Fn(Kind) -> bool) -> Vec<Fault> {
        let regions = ["eu", "us", "ap"].map(str::to_owned);
        draw(seed, count, Duration::from_secs(4), Duration::from_secs(10), &regions, may_be)
    }

    #[test]
    fn a_seed_draws_the_same_faults_and_another_seed_others() {
        assert_eq!(drawn(7, 100, |_| true), drawn(7, 100, |_| true));
        assert_ne!(drawn(7, 100, |_| true), drawn(8, 100, |_| true));
    }

    #[test]
    fn every_kind_comes_and_nobody_is_its_own_other_end() {
        for seed in 0..50 {
            let faults = drawn(seed, 100, |_| true);
            let kinds: BTreeSet<Kind> = faults.iter().map(|fault| fault.kind).collect();
            assert!(Kind::ALL.iter().all(|kind| kinds.contains(kind) || *kind == Kind::Away), "{kinds:?}");
            assert!(faults.iter().all(|fault| fault.region != fault.other));
            assert!(faults.iter().filter(|fault| fault.kind == Kind::Away).count() <= 1);
            assert!(faults.is_sorted_by_key(|fault| fault.at));
            let without = drawn(seed, 100, |kind| !kind.is_of_disk());
            assert!(without.iter().all(|fault| !fault.kind.is_of_disk()));
        }
    }
}
