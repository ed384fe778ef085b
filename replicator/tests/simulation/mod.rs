//! Whole regions, simulated: the real history index, logs, lanes and stamps, over simulated MySQL, disks, links and time.
//!
//! Everything that happens in a run follows from its seed, so a run that fails can be played again:
//! `CONCORD_SEED=… cargo test -p replicator --bin concord simulation::one_seed -- --nocapture`, with `CONCORD_TRACE=1` for what happened.
//! `CONCORD_SOAK_SECONDS` says how long to look for seeds that fail; without it, a bounded number is played.

mod archive;
mod binlog;
mod client;
mod clock;
mod dice;
mod extraction;
mod faults;
mod foreign;
mod link;
mod locks;
mod mesh;
mod mistake;
mod oracle;
mod orphan;
mod own;
mod region;
mod rows;
mod schema;
mod server;
mod session;
mod shape;
mod standby;
mod statements;
mod suspension;
mod trace;
mod verdict;

#[path = "../../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use mesh::run;
use mistake::Mistake;

/// How many seeds a plain `cargo test` plays.
const SEEDS: u64 = 40;

/// Seeds that have found a fault which the first ones had not.
const TELLING: [u64; 12] = [
    1_795_468_871_739,
    1_795_468_872_031,
    1_795_469_667_487,
    1_795_469_667_964,
    1_795_471_901_699,
    1_795_538_784_568,
    1_795_538_444_878,
    1_795_539_398_019,
    1_796_137_407_900,
    1_796_137_684_584,
    1_796_138_492_325,
    1_796_139_447_513,
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// What many seeds came to.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    transactions: usize,
    conflicts: usize,
    repairs: usize,
    /// Seeds of which histories moved to runs.
    spilled: usize,
    /// Primaries that were replaced by standbys that were behind.
    failovers: usize,
}

#[test]
fn regions_converge_whatever_goes_wrong() {
    let soak = number("CONCORD_SOAK_SECONDS").map(Duration::from_secs);
    // Who soaks wants other seeds each time.
    let fresh = || soak.map_or(1, |_| UNIX_EPOCH.elapsed().unwrap().as_millis() as u64);
    let first = number("CONCORD_SEED").unwrap_or_else(fresh);
    // Who names a seed wants that one; the first ones are played besides.
    let plain = soak.is_none() && number("CONCORD_SEED").is_none();
    let telling = if plain { TELLING.as_slice() } else { &[] };
    let seeds = SEEDS + telling.len() as u64;
    let (began, next, sum) = (Instant::now(), AtomicU64::new(0), Mutex::new(Sum::default()));
    let play = || {
        loop {
            let place = next.fetch_add(1, Ordering::SeqCst);
            if soak.map_or(place >= seeds, |soak| place > 0 && began.elapsed() > soak) {
                return;
            }
            let seed = match telling.get(place as usize) {
                Some(seed) => *seed,
                None => first + place - telling.len() as u64,
            };
            let outcome =
                run(seed, None).unwrap_or_else(|reason| panic!("CONCORD_SEED={seed} fails: {reason}"));
            let mut sum = sum.lock().unwrap();
            sum.seeds += 1;
            sum.transactions += outcome.transactions;
            sum.conflicts += outcome.conflicts;
            sum.repairs += outcome.repairs;
            sum.spilled += usize::from(outcome.runs > 0);
            sum.failovers += outcome.failovers;
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(play);
        play();
    });
    let sum = sum.into_inner().unwrap();
    println!("from seed {first} on, in {:?}: {sum:?}", began.elapsed());
    let clashed = sum.conflicts > 0 && sum.repairs > 0 && sum.spilled > 0 && sum.failovers > 0;
    assert!(sum.seeds < SEEDS || clashed, "nothing clashed: the schedules prove nothing");
}

#[test]
fn one_seed_is_one_run() {
    for seed in 1..6 {
        let seed = number("CONCORD_SEED").unwrap_or(seed);
        let (once, again) = (run(seed, None), run(seed, None));
        println!("seed {seed}: {once:?}");
        assert!(once.is_ok(), "seed {seed}");
        assert_eq!(once, again, "seed {seed} gave two different runs");
    }
}

/// Plays seeds until one fails.
fn caught(mistake: Mistake) {
    const TRIES: u64 = 600;
    let failure = (1..=TRIES).find_map(|seed| run(seed, Some(mistake)).err().map(|reason| (seed, reason)));
    let (seed, reason) = failure.unwrap_or_else(|| panic!("{mistake:?} was not caught with {TRIES} seeds"));
    println!("{mistake:?} is caught with seed {seed}: {reason}");
}

#[test]
fn a_lane_that_does_not_wait_for_the_extractor_is_caught() {
    caught(Mistake::NoSecondLook);
}

#[test]
fn a_lane_that_does_not_lock_absent_rows_is_caught() {
    caught(Mistake::NoGapLocks);
}

#[test]
fn a_repair_that_is_not_replicated_is_caught() {
    caught(Mistake::ForgetRepairs);
}

#[test]
fn a_marker_read_past_a_transaction_in_doubt_is_caught() {
    caught(Mistake::ReadPastMarker);
}

#[test]
fn a_claim_that_counts_before_its_turn_is_caught() {
    caught(Mistake::PruneAhead);
}

#[test]
fn claims_that_count_though_a_failover_lost_what_they_claim_are_caught() {
    caught(Mistake::LostCounts);
}

#[test]
fn a_restart_that_does_not_wait_for_its_copies_is_caught() {
    caught(Mistake::ForgottenCopies);
}

#[test]
fn a_restart_without_histories_is_caught() {
    caught(Mistake::ForgetfulRestart);
}
