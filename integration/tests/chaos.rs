//! Faults drawn from a seed, and a referee who knows what clients were told.
//!
//! `make chaos FAULTS=100 SEED=7` plays a long schedule, and the same seed draws the same faults again. `CONCORD_CHAOS_FAULTS`, `CONCORD_CHAOS_SEED`,
//! `CONCORD_CHAOS_LONGEST` (seconds) and `CONCORD_CHAOS_DIR`, a folder that is left there, change the first test's plan.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::chaos::fault::Kind;
use integration::chaos::{ChaosPlan, run};
use integration::namespace::Home;
use integration::server;
use std::path::PathBuf;
use std::time::Duration;

fn as_asked(plan: ChaosPlan) -> ChaosPlan {
    let number = |name: &str| -> Option<u64> {
        std::env::var(format!("CONCORD_CHAOS_{name}")).ok().map(|text| text.parse().unwrap())
    };
    ChaosPlan {
        faults: number("FAULTS").map_or(plan.faults, |faults| u32::try_from(faults).unwrap()),
        longest: number("LONGEST").map_or(plan.longest, Duration::from_secs),
        apart: number("LONGEST").map_or(plan.apart, |longest| Duration::from_secs(longest) / 10),
        seed: number("SEED").unwrap_or(plan.seed),
        dir: std::env::var_os("CONCORD_CHAOS_DIR").map(PathBuf::from),
        ..plan
    }
}

fn survive(test: &str, plan: ChaosPlan) {
    // May fetch a server, for which it takes the network out there.
    server::installation().unwrap();
    let Some(home) = Home::enter_or_rerun(test).unwrap() else { return };
    let plan = as_asked(plan);
    println!("{plan:?}");
    let report = run(home, &plan).unwrap_or_else(|error| panic!("seed {}: {error}", plan.seed));
    println!(
        "{} transactions acknowledged, {} in doubt, {} gave way; quiet after {:.1?}; {} rows with {} writes judged, {} of them contested; \
         conflicts on record: {:?}",
        report.acknowledged,
        report.in_doubt,
        report.given_up,
        report.quiet_after,
        report.verdict.rows,
        report.verdict.writes,
        report.verdict.contested,
        report.kinds
    );
    let faults = &report.verdict.faults;
    let shown = faults.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "{} faults, seed {}:\n{shown}", faults.len(), plan.seed);
    assert!(report.verdict.contested >= 20, "only {} rows were fought over", report.verdict.contested);
}

#[test]
fn ten_faults_lose_nothing_and_repeat_nothing() {
    let plan = ChaosPlan {
        faults: 10,
        apart: Duration::from_secs(3),
        longest: Duration::from_secs(10),
        kinds: &Kind::ALL,
        writers: 2,
        rate: 20,
        seed: 1,
        dir: None,
        canary: None,
    };
    survive("ten_faults_lose_nothing_and_repeat_nothing", plan);
}

#[cfg(feature = "long")]
#[test]
fn forty_faults_of_every_kind_lose_nothing_and_repeat_nothing() {
    let plan = ChaosPlan {
        faults: 40,
        apart: Duration::from_secs(3),
        longest: Duration::from_secs(30),
        kinds: &Kind::ALL,
        writers: 2,
        rate: 20,
        seed: 40,
        dir: None,
        canary: None,
    };
    survive("forty_faults_of_every_kind_lose_nothing_and_repeat_nothing", plan);
}
