//! How much memory the history index takes while a peer is away, and what it costs to find a row in it.
//!
//! `cargo run --release -p replicator --example history_memory [WRITES [MIB]]`: a region writes so many rows (20,000,000, each
//! another one, 4 to a transaction) that a peer does not have, with `history_memory` of so many MiB (32). Then rows are looked up, and
//! the peer catches up.
#![allow(clippy::unwrap_used)]

#[path = "../src/region/spill.rs"]
mod spill;

use std::time::{Duration, Instant};

use conflict::Index;
use log_store::{Identity, Options, Store};
use transaction::{Context, Hlc, KeyHash, RegionName, Sequence};

const PER_TRANSACTION: u64 = 4;
const PRUNED_AT_A_TIME: usize = 10_000;

fn key(number: u64) -> KeyHash {
    KeyHash::of(&number.to_le_bytes())
}

fn context(entries: &[(RegionName, u64)]) -> Context {
    entries.iter().map(|(name, sequence)| (*name, Sequence(*sequence))).collect()
}

/// A line of /proc/self/status, in MiB.
fn process_mib(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

struct Meter {
    index: Index,
    bytes_max: usize,
    runs_max: usize,
    longest: Duration,
}

impl Meter {
    /// Runs something that holds the index's lock, and takes note of how long.
    fn time<T>(&mut self, work: impl FnOnce(&mut Index) -> T) -> T {
        let began = Instant::now();
        let done = work(&mut self.index);
        self.longest = self.longest.max(began.elapsed());
        done
    }

    fn prune(&mut self) {
        while self.time(|index| index.prune(PRUNED_AT_A_TIME).unwrap().more) {}
        let stats = self.index.stats();
        self.bytes_max = self.bytes_max.max(stats.bytes);
        self.runs_max = self.runs_max.max(stats.runs);
    }

    fn say(&mut self, what: &str, began: Instant, count: u64) {
        let (stats, elapsed) = (self.index.stats(), began.elapsed());
        println!(
            "{what}: {:.1} s, {:.2} us each, longest hold of the lock {:.0} ms\n  memory {:.1} MiB (for runs {:.1}), at most {:.1}; \
             process {} MiB, at most {}\n  {} runs (at most {}) of {} writes, {:.0} MiB on disk",
            elapsed.as_secs_f64(),
            elapsed.as_secs_f64() * 1e6 / count as f64,
            self.longest.as_secs_f64() * 1e3,
            stats.bytes as f64 / 1048576.0,
            stats.bytes_for_runs as f64 / 1048576.0,
            self.bytes_max as f64 / 1048576.0,
            process_mib("VmRSS"),
            process_mib("VmHWM"),
            stats.runs,
            self.runs_max,
            stats.writes_in_runs,
            stats.disk_bytes as f64 / 1048576.0,
        );
        self.longest = Duration::ZERO;
    }
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().expect("a whole number"));
    let (writes, mib) = (args.next().unwrap_or(20_000_000), args.next().unwrap_or(32));
    let names = ["ap", "eu", "us"].map(|name| name.parse::<RegionName>().unwrap());
    let [ap, eu, us] = names;
    let dir = std::env::temp_dir().join(format!("history-memory-{}", std::process::id()));
    let identity = Identity { mesh: "bench".to_owned(), region: eu };
    let store = Store::open(&dir, identity, Options::default()).unwrap();
    let (runs, limits) = spill::open(&store, mib << 20).unwrap();
    println!("{writes} writes, {PER_TRANSACTION} per transaction, history_memory = {mib} MiB");
    let mut meter = Meter {
        index: Index::new(&names, eu).unwrap().spilling(runs, limits),
        bytes_max: 0,
        runs_max: 0,
        longest: Duration::ZERO,
    };

    let began = Instant::now();
    let transactions = writes / PER_TRANSACTION;
    for sequence in 1..=transactions {
        // Half of them are of this region, half of a peer that is there; ap is away.
        let (origin, other) = if sequence % 2 == 0 { (eu, us) } else { (us, eu) };
        let rows = (0..PER_TRANSACTION)
            .map(|index| (key(sequence * PER_TRANSACTION + index), index as u32, true))
            .collect::<Vec<_>>();
        let seen = context(&[(other, sequence / 2)]);
        let number = Sequence(sequence.div_ceil(2));
        let hlc = Hlc(1_700_000_000_000_000 + sequence * 200);
        meter.time(|index| index.insert(origin, number, hlc, &seen, &[], rows).unwrap());
        if sequence % 1_000 == 0 {
            meter.prune();
        }
    }
    meter.prune();
    meter.say("inserted and merged", began, writes);

    const LOOKS: u64 = 500_000;
    for (what, first) in [("looked up, no history", writes + 1_000), ("looked up, in a run", PER_TRANSACTION)]
    {
        let began = Instant::now();
        let spread = 0x9e37_79b9_7f4a_7c15_u64;
        let mut conflicts = 0;
        for at in 0..LOOKS {
            let number = if first > writes { first + at } else { first + at.wrapping_mul(spread) % writes };
            let mut batch = meter.index.batch();
            let mut transaction =
                batch.transaction(ap, Sequence(1), Hlc(u64::MAX >> 8), &Context::new(), &[]).unwrap();
            let found = transaction.resolve(&meter.index, key(number), 0, true).unwrap();
            conflicts += u64::from(found.conflict);
        }
        meter.say(what, began, LOOKS);
        println!("  {conflicts} conflicts");
    }

    let began = Instant::now();
    let half = transactions / 2;
    const STEPS: u64 = 200;
    for step in 1..=STEPS {
        // All that is known of the three: everything here and in us, and more and more in ap.
        let all = half + transactions % 2;
        let reached = half * step / STEPS + u64::from(step == STEPS) * 2;
        meter.index.observe(eu, &context(&[(us, all)]), Sequence(all)).unwrap();
        meter.index.observe(us, &context(&[(eu, all)]), Sequence(all)).unwrap();
        meter.index.observe(ap, &context(&[(eu, reached), (us, reached)]), Sequence(0)).unwrap();
        meter.prune();
        if step % 50 == 0 {
            let floor = meter.index.floor().sequence(us);
            println!(
                "  step {step}: stable {reached}, floor {floor}, {} writes left",
                meter.index.stats().writes
            );
        }
    }
    meter.say("the peer caught up", began, writes);
    assert_eq!(meter.index.stats().writes, 0);
    drop(meter);
    drop(store);
    std::fs::remove_dir_all(dir).unwrap();
}
