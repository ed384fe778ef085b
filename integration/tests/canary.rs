//! A build of Concord that makes a deliberate mistake: each mistake has to be noticed, and the same build without one has to pass.
//!
//! `make canaries` makes the build. What notices is what judges the product elsewhere: the referee of the hot rows, the comparison of
//! tables and of logs, and the bound within which all has to be quiet.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::canary::Canary;
use integration::chaos::disk::Disks;
use integration::chaos::fault::Kind;
use integration::chaos::{self, ChaosPlan};
use integration::hot::run::{self, HotPlan, Report};
use integration::namespace::Home;
use integration::{MeshPlan, Result, binary, server};
use std::time::{Duration, Instant};

/// How long a run waits for quiet. It takes a few seconds, and a halt is told at once; what is never quiet for another reason has to wait.
const PATIENCE: Duration = Duration::from_secs(45);
/// Without a mistake, it is waited for as on any busy machine.
const PATIENCE_WITHOUT: Duration = Duration::from_secs(150);

/// How a region tells that a batch changed other rows than it was to.
const MISCOUNT: &str = "Rows of this region were changed inside it by something other than Concord";
/// How it is told that rows are wrong: the regions' differ; they are equal and yet not what clients were told; one is in the way of
/// others, so that it is never quiet or an origin halts; or one is already what it was to become, against what its history says.
const WRONG_ROWS: [&str; 5] = [
    "rows differ",
    "the referee",
    "a unique key or a foreign key does not allow it",
    "ERROR 1062 (23000)",
    MISCOUNT,
];

fn canary(mistake: Option<&'static str>) -> Canary {
    let patience = if mistake.is_some() { PATIENCE } else { PATIENCE_WITHOUT };
    Canary::with(mistake, patience).unwrap()
}

/// Clients that take their time over few rows, and a Concord that is killed now and then. Not so many writes that a later conflict
/// soon decides anew what a mistake has spoilt.
fn fight(mistake: Option<&'static str>) -> Result<Report> {
    let plan = HotPlan {
        regions: vec!["eu", "us", "ap"],
        writers: 3,
        duration: Duration::from_secs(20),
        kills: 3,
        rate: 12,
        thinks: Duration::from_millis(100),
        seed: 6,
        servers_die: false,
        clocks_jump: false,
        dir: None,
        canary: Some(canary(mistake)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(run::run(&plan))
}

/// The same fight, while power fails; `None` where that cannot be played, which is said.
fn lose_power(test: &str, mistake: Option<&'static str>) -> Option<Result<Report>> {
    // May fetch a server, for which it takes the network out there.
    server::installation().unwrap();
    let home = Home::enter_or_rerun(test).unwrap()?;
    if let Err(error) = Disks::begin() {
        println!("WITHOUT {test}, which takes root and loop devices: {error}");
        return None;
    }
    let plan = ChaosPlan {
        faults: 8,
        apart: Duration::from_secs(2),
        longest: Duration::from_secs(3),
        kinds: &[Kind::PowerLoss],
        writers: 4,
        rate: 40,
        seed: 8,
        dir: None,
        canary: Some(canary(mistake)),
    };
    Some(chaos::run(home, &plan))
}

/// What a run has noticed; empty if all was well.
fn noticed(run: Result<Report>) -> String {
    match run {
        Err(error) => error.to_string(),
        Ok(report) if report.verdict.faults.is_empty() => String::new(),
        Ok(report) => format!("the referee: {}", report.verdict.faults.join("\n")),
    }
}

/// The run has noticed something, and in the words for it is one of `signs`: a run that fails for another reason proves nothing.
fn caught(mistake: &str, signs: &[&str], begun: Instant, run: Result<Report>) {
    let seen = noticed(run);
    assert!(!seen.is_empty(), "{mistake} was not noticed");
    let sign = signs.iter().find(|sign| seen.contains(**sign));
    let shown: Vec<&str> = seen.lines().take(6).collect();
    println!("CANARY {mistake}: caught after {:.0?} by {sign:?}:\n{}", begun.elapsed(), shown.join("\n"));
    assert!(sign.is_some(), "{mistake} was not what made the run fail:\n{seen}");
}

/// Nothing was noticed, though there was enough to notice.
fn clean(begun: Instant, run: Result<Report>) {
    let contested = run.as_ref().map_or(0, |report| report.verdict.contested);
    let seen = noticed(run);
    assert!(seen.is_empty(), "without a mistake:\n{seen}");
    assert!(contested >= 20, "only {contested} rows were fought over");
    println!("CANARY none: clean after {:.0?}, {contested} rows fought over", begun.elapsed());
}

#[test]
fn a_fight_without_a_mistake_is_clean() {
    let begun = Instant::now();
    clean(begun, fight(None));
}

#[test]
fn losses_of_power_without_a_mistake_are_clean() {
    let begun = Instant::now();
    if let Some(run) = lose_power("losses_of_power_without_a_mistake_are_clean", None) {
        clean(begun, run);
    }
}

#[test]
fn a_marker_after_the_commit_is_noticed() {
    let begun = Instant::now();
    caught(
        "marker-after-commit",
        &["carries the tag of an origin and no marker"],
        begun,
        fight(Some("marker-after-commit")),
    );
}

#[test]
fn a_commit_without_a_second_look_is_noticed() {
    let begun = Instant::now();
    caught("no-second-look", &WRONG_ROWS, begun, fight(Some("no-second-look")));
}

#[test]
fn keys_left_unlocked_are_noticed() {
    let begun = Instant::now();
    caught("unlocked-keys", &WRONG_ROWS, begun, fight(Some("unlocked-keys")));
}

#[test]
fn histories_pruned_too_early_are_noticed() {
    let begun = Instant::now();
    caught("early-pruning", &WRONG_ROWS, begun, fight(Some("early-pruning")));
}

#[test]
fn a_torn_tail_that_is_accepted_is_noticed() {
    let begun = Instant::now();
    if let Some(run) = lose_power("a_torn_tail_that_is_accepted_is_noticed", Some("torn-tail-accepted")) {
        let signs = ["is damaged at record", "the file ends at offset"];
        caught("torn-tail-accepted", &signs, begun, run);
    }
}

#[test]
fn a_rows_event_without_its_table_map_is_noticed() {
    let begun = Instant::now();
    caught("map-omitted", &["mysqld of", MISCOUNT], begun, fight(Some("map-omitted")));
}

#[tokio::test]
async fn a_name_that_no_mistake_has_is_refused() {
    let plan = MeshPlan::of(&["eu", "us"]).binary(&binary::canary().unwrap());
    let mut mesh = plan.environment("CONCORD_CANARY", "no-such-mistake").build().await.unwrap();
    let concord = &mut mesh.region("eu").unwrap().concord;
    let printed = concord.refused(Duration::from_secs(30)).await.unwrap();
    assert!(printed.contains("names no mistake; there are: marker-after-commit, "), "{printed}");
}
