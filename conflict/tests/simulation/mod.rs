//! Regions that write, pull, prune, delete and restart at random, driven by one seed.

mod apply;
mod change;
mod client;
mod mistake;
mod rebuild;
mod region;
mod rng;
mod row;
mod rule;
mod runs;
mod scenes;
mod twin;
mod unique;

use std::rc::Rc;

use conflict::SpillLimits;

use change::{Commit, Key, Seen};
use client::CALM;
use region::{Logs, Region};
use rng::Rng;

pub(crate) use client::Habit;
pub(crate) use mistake::Mistake;
pub(crate) use region::Counts;
pub(crate) use row::Row;
pub(crate) use rule::{Kind, Rule};

/// What a schedule may contain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    pub(crate) regions: usize,
    pub(crate) rule: Rule,
    pub(crate) habit: Habit,
    pub(crate) restarts: bool,
    pub(crate) retention: bool,
    pub(crate) mistake: Option<Mistake>,
    /// Beside each index, one with these limits is fed, and every answer compared.
    pub(crate) spill: Option<SpillLimits>,
}

/// How a schedule ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) equal: bool,
    pub(crate) counts: Counts,
}

/// Plays a schedule to its end, where everything is applied everywhere. Panics where the crate contradicts the oracle.
pub(crate) fn play(schedule: Schedule) -> Outcome {
    let Schedule { seed, regions, rule, habit, mistake, .. } = schedule;
    let mut rng = Rng::new(seed);
    let mut logs: Logs = vec![Vec::new(); regions];
    let mut positions: Vec<Vec<(u64, Seen)>> = vec![Vec::new(); regions];
    let mut all: Vec<Region> =
        (0..regions).map(|me| Region::new(me, regions, rule, habit, mistake)).collect();
    for region in &mut all {
        region.spill = schedule.spill;
        region.index = region.empty();
    }
    // Busy meshes are behind nearly always; quiet ones come to rest, forget and delete.
    let (writes, keys) = (rng.pick(&[6, 12, 30]), rng.pick(&[3, 5, 12]));
    if habit == Habit::Calm {
        populate(&mut all, &mut logs, keys, &mut rng);
    }
    for region in &mut all {
        region.skew = rng.pick(&[0, 0, 50, -50, 500]);
    }
    // Whatever is deleted has to become stable first, which takes a while.
    let steps = if schedule.retention { 140 } else { 80 };
    for step in 0..steps {
        let now = 1_000 + step;
        let me = rng.below(regions);
        match rng.below(100) {
            dice if dice < writes => all[me].local(now, keys, &mut rng),
            ..35 => all[me].extract(&mut logs[me]),
            35..40 => {
                for origin in (0..regions).filter(|origin| *origin != me) {
                    all[me].apply(&mut logs, origin, usize::MAX, None, &mut rng);
                }
            }
            40..75 => {
                let origin = rng.below(regions);
                if origin != me {
                    let count = 1 + rng.below(8);
                    let clients = rng.percent(writes as u64).then_some((now, keys));
                    all[me].apply(&mut logs, origin, count, clients, &mut rng);
                }
            }
            75..84 => {
                write_position(&mut all[me], &mut logs[me], &mut positions[me]);
                for reader in (0..regions).filter(|reader| *reader != me) {
                    all[reader].read_positions(me, &positions[me]);
                }
            }
            84..91 => {
                let keys_max = rng.pick(&[1, 2, 3, 1_000]);
                all[me].prune(keys_max);
            }
            91..93 => all[me].skew = rng.pick(&[0, -300, -50, 50, 500]),
            93..95 => all[me].repeat(&logs, &mut rng),
            95..98 if schedule.retention => {
                all.iter_mut().for_each(|region| region.retain(&logs, &mut rng));
            }
            98.. if schedule.restarts => {
                if schedule.retention && rng.percent(30) {
                    let peers = (0..regions).filter(|peer| *peer != me);
                    let copies: Vec<_> = peers.map(|peer| all[peer].kept_from()).collect();
                    all[me].lose_logs(&copies);
                }
                if rng.percent(50) {
                    all[me].restart(&logs, &mut rng);
                } else {
                    all[me].restart_frugally(&logs, &mut rng);
                }
            }
            _ => {}
        }
    }
    drain(&mut all, &mut logs, &mut rng);
    let equal = all.iter().all(|region| region.rows == all[0].rows);
    if mistake.is_none() {
        what_is_covered_is_earlier(&all[0]);
        forget(&mut all, &mut logs);
        if habit == Habit::Calm {
            all.iter().for_each(nothing_is_lost);
        }
    }
    let mut counts = Counts::default();
    for region in &all {
        counts.add(&region.counts);
    }
    Outcome { equal, counts }
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Counts) {
        self.conflicts += other.conflicts;
        self.corrected += other.corrected;
        self.pruned += other.pruned;
        self.deleted += other.deleted;
        self.merged += other.merged;
        self.refused += other.refused;
        self.halted += other.halted;
        self.repairs += other.repairs;
        self.spared += other.spared;
        self.runs += other.runs;
    }
}

/// Every region has the same rows before the first clock is wrong.
fn populate(all: &mut [Region], logs: &mut Logs, keys: usize, rng: &mut Rng) {
    let blank = all[0].blank(transaction::Hlc(1));
    let changes = (0..keys).map(|key| blank.with(key as u32, key as Key, None, Some(CALM)));
    all[0].rows = (0..keys).map(|key| (key as Key, CALM)).collect();
    all[0].commit(changes.collect());
    drain(all, logs, rng);
}

/// Under `columns`, counters are the sum of all that clients added, and extremes and sets are those of all that they wrote.
fn nothing_is_lost(region: &Region) {
    for (key, row) in &region.rows {
        let mut expected = Row { a: row.a, ..CALM };
        for change in region.known[key].iter().filter(|change| change.before.is_some()) {
            let (before, after) = (change.before.unwrap(), change.after.unwrap());
            expected.count += after.count - before.count;
            expected.cents += after.cents - before.cents;
            expected.tags |= after.tags;
        }
        // An extreme may be lowered by who has seen it; against writes that have not, it stands.
        let (high, low) = (row.high, row.low);
        assert_eq!(*row, Row { high, low, ..expected }, "of key {key}");
        let written = |value: fn(&Row) -> i32, held: i32| {
            region.known[key].iter().any(|change| change.after.is_some_and(|after| value(&after) == held))
        };
        assert!(written(|row| row.high, high) && written(|row| row.low, low));
    }
}

/// Fact S3 of SEMANTICS.md, on which the fold relies: repairs keep it though they are not stamped by a clock.
fn what_is_covered_is_earlier(region: &Region) {
    for changes in region.known.values() {
        for (one, other) in changes.iter().flat_map(|one| changes.iter().map(move |other| (one, other))) {
            assert!(!one.saw(other) || other.order() < one.order(), "{one:?} has seen {other:?}");
        }
    }
}

fn write_position(region: &mut Region, log: &mut Vec<Rc<Commit>>, positions: &mut Vec<(u64, Seen)>) {
    region.extract(log);
    positions.push((log.len() as u64, region.applied));
}

/// Everything is applied everywhere, repairs of repairs included.
fn drain(all: &mut [Region], logs: &mut Logs, rng: &mut Rng) {
    for _ in 0..1_000 {
        for (me, region) in all.iter_mut().enumerate() {
            region.extract(&mut logs[me]);
        }
        let behind =
            |me: usize, origin: usize| me != origin && all[me].applied[origin] < logs[origin].len() as u64;
        if !(0..all.len()).any(|me| (0..all.len()).any(|origin| behind(me, origin))) {
            return;
        }
        for me in 0..all.len() {
            for origin in (0..all.len()).filter(|origin| *origin != me) {
                all[me].apply(logs, origin, 8, None, rng);
            }
        }
    }
    panic!("the regions never came to rest");
}

/// A mesh at rest forgets every write.
fn forget(all: &mut [Region], logs: &mut Logs) {
    let mut positions = vec![Vec::new(); all.len()];
    for (me, region) in all.iter_mut().enumerate() {
        write_position(region, &mut logs[me], &mut positions[me]);
    }
    for (me, region) in all.iter_mut().enumerate() {
        for (of, positions) in positions.iter().enumerate().filter(|(of, _)| *of != me) {
            region.read_positions(of, positions);
        }
        region.prune(usize::MAX);
        let stats = region.index.stats();
        assert_eq!((stats.keys, stats.writes, stats.transactions), (0, 0, 0));
    }
}
