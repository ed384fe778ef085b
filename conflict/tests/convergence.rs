//! Random schedules of whole regions, with an oracle that forgets nothing. A failing schedule prints itself.
#![allow(clippy::unwrap_used)]

mod simulation;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use conflict::SpillLimits;
use simulation::{Counts, Habit, Kind, Mistake, Outcome, Rule, Schedule, play};

/// Plays `count` schedules with every rule and 2 to 5 regions in turn; returns the totals.
fn sweep(count: u64, template: Schedule) -> Counts {
    let mut total = Counts::default();
    for seed in 0..count {
        let rule = Rule::number(seed as usize % Rule::COUNT);
        let schedule = Schedule { seed, regions: 2 + (seed as usize / Rule::COUNT) % 4, rule, ..template };
        total.add(&play_or_say(schedule).counts);
    }
    total
}

fn play_or_say(schedule: Schedule) -> Outcome {
    let outcome = std::panic::catch_unwind(|| play(schedule)).unwrap_or_else(|reason| {
        eprintln!("failing schedule: {schedule:?}");
        std::panic::resume_unwind(reason)
    });
    assert!(outcome.equal, "regions differ at the end of {schedule:?}");
    outcome
}

const PLAIN: Schedule = Schedule {
    seed: 0,
    regions: 2,
    rule: Rule::plain(Kind::LastWriter),
    habit: Habit::Plain,
    restarts: false,
    retention: false,
    mistake: None,
    spill: None,
};

#[test]
fn regions_converge_whatever_the_order_of_arrival() {
    let total = sweep(2_500, PLAIN);
    assert!(total.conflicts > 50_000 && total.corrected > 2_500 && total.pruned > 100_000, "{total:?}");
    assert!(total.merged > 5_000 && total.refused > 50 && total.halted > 5_000, "{total:?}");
}

#[test]
fn regions_converge_with_unique_keys_which_are_never_violated() {
    let total = sweep(2_500, Schedule { habit: Habit::Unique, ..PLAIN });
    assert!(total.repairs > 5_000, "{total:?}");
}

#[test]
fn a_restart_that_reads_whole_logs_changes_no_resolution() {
    let total = sweep(1_000, Schedule { restarts: true, habit: Habit::Unique, ..PLAIN });
    assert!(total.spared > 50, "{total:?}");
}

#[test]
fn a_restart_that_reads_what_the_floor_kept_changes_no_resolution() {
    let total = sweep(2_500, Schedule { restarts: true, retention: true, habit: Habit::Unique, ..PLAIN });
    assert!(total.deleted > 3_000 && total.repairs > 5_000, "{total:?}");
}

#[test]
fn no_increment_is_lost_or_doubled_and_no_extreme_and_no_member_of_a_set() {
    let calm = Schedule { habit: Habit::Calm, rule: Rule::plain(Kind::Columns), ..PLAIN };
    let mut total = Counts::default();
    for seed in 0..1_000 {
        let (restarts, regions) = (seed % 2 == 1, 2 + seed as usize % 4);
        total.add(&play_or_say(Schedule { seed, regions, restarts, retention: restarts, ..calm }).counts);
    }
    assert!(total.merged > 2_000 && total.refused == 0, "{total:?}");
}

/// Memory for next to nothing, and runs that are merged up to a handful of writes.
const TIGHT: SpillLimits = SpillLimits { bytes: 0, run_writes_max: 30, eager: true };

#[test]
fn an_index_that_spills_answers_keeps_and_forgets_as_one_that_has_memory_for_everything() {
    let template = Schedule { restarts: true, retention: true, habit: Habit::Unique, ..PLAIN };
    let total = sweep(300, Schedule { spill: Some(TIGHT), ..template });
    assert!(total.runs > 3_000 && total.pruned > 5_000 && total.deleted > 250, "{total:?}");
    let half = SpillLimits { bytes: 4_000, ..TIGHT };
    let total = sweep(300, Schedule { spill: Some(half), ..template });
    assert!(total.runs > 300, "{total:?}");
}

#[test]
fn an_index_that_waits_before_it_writes_runs_anew_gives_the_same_answers() {
    let lazy = SpillLimits { eager: false, ..TIGHT };
    let template = Schedule { restarts: true, retention: true, habit: Habit::Unique, ..PLAIN };
    let total = sweep(300, Schedule { spill: Some(lazy), ..template });
    assert!(total.runs > 3_000 && total.pruned > 5_000 && total.deleted > 250, "{total:?}");
}

/// How many of `count` schedules end with unequal rows.
fn diverged(count: u64, template: Schedule) -> usize {
    let equal =
        |seed| std::panic::catch_unwind(|| play(Schedule { seed, ..template }).equal).unwrap_or(false);
    (0..count).filter(|seed| !equal(*seed)).count()
}

/// That a law broken on purpose is seen, and that keeping it is what makes the difference.
fn is_caught(mistake: Mistake, lawful: Schedule) {
    assert_eq!(diverged(300, lawful), 0);
    let broken = diverged(300, Schedule { mistake: Some(mistake), ..lawful });
    println!("{mistake:?}: {broken} of 300 schedules end with unequal rows");
    assert!(broken > 0, "{mistake:?} goes unseen");
}

const THREE: Schedule = Schedule { regions: 3, ..PLAIN };

#[test]
fn forgetting_each_write_as_soon_as_it_alone_is_stable_is_caught() {
    is_caught(Mistake::PruneAlone, Schedule { rule: Rule::plain(Kind::Columns), ..THREE });
}

#[test]
fn counting_contexts_of_unapplied_records_for_stability_is_caught() {
    is_caught(Mistake::ReadAhead, PLAIN);
}

#[test]
fn a_step_that_looks_at_more_than_it_is_given_is_caught() {
    is_caught(Mistake::Impure, PLAIN);
}

#[test]
fn a_write_that_is_not_taken_as_it_is_although_nothing_is_concurrent_with_it_is_caught() {
    is_caught(Mistake::NotTaken, Schedule { rule: Rule::plain(Kind::Columns), ..PLAIN });
}

#[test]
fn comparing_with_the_present_row_instead_of_folding_is_caught() {
    is_caught(Mistake::Pairwise, Schedule { rule: Rule::plain(Kind::Owner), ..THREE });
}

#[test]
fn removing_the_loser_of_a_unique_key_without_a_repair_is_caught() {
    is_caught(Mistake::NoRepair, Schedule { habit: Habit::Unique, ..THREE });
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}")))
}

/// Everything there is, chosen by the seed.
fn soaked(seed: u64) -> Schedule {
    let dice = |of: u64| ((seed / of) % 97) as usize;
    let restarts = dice(3) % 3 > 0;
    Schedule {
        seed,
        regions: 2 + dice(7) % 4,
        rule: Rule::number(seed as usize % Rule::COUNT),
        habit: if dice(11) % 3 == 0 { Habit::Plain } else { Habit::Unique },
        restarts,
        retention: restarts && dice(13) % 2 == 0,
        mistake: None,
        spill: [None, Some(TIGHT), Some(SpillLimits { eager: false, ..TIGHT })][dice(17) % 3],
    }
}

/// Without end if asked: `CONCORD_SOAK_SECONDS=3600 cargo test -p conflict --test convergence soak -- --nocapture`, from
/// the seed `CONCORD_SOAK_SEED` on, or else from a new one. A short run otherwise.
#[test]
fn soak_any_schedule_of_any_kind_ends_with_equal_rows() {
    let seconds = number("CONCORD_SOAK_SECONDS");
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_micros() as u64);
    // The short run plays the same schedules every time.
    let first = number("CONCORD_SOAK_SEED").unwrap_or_else(|| if end.is_some() { fresh() } else { 1 << 40 });
    let mut played = 0;
    loop {
        match end {
            Some(end) if Instant::now() >= end => break,
            None if played == 500 => break,
            _ => {}
        }
        let schedule = soaked(first.wrapping_add(played));
        play_or_say(schedule);
        played += 1;
        if seconds.is_some() && played % 10_000 == 0 {
            println!("{played} schedules from seed {first} on");
        }
    }
    println!("{played} schedules from seed {first} on");
}
