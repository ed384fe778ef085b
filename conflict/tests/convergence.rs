//! Random schedules of whole regions, with an oracle that forgets nothing. A failing schedule prints itself.
#![allow(clippy::unwrap_used)]

mod simulation;

use simulation::{Counts, Mistake, Outcome, Rule, Schedule, play};

/// Plays `count` schedules from `first` on with every rule and 2 to 5 regions in turn; returns the totals.
fn sweep(count: u64, template: Schedule) -> Counts {
    let mut total = Counts::default();
    for seed in 0..count {
        let rule = Rule::ALL[seed as usize % Rule::ALL.len()];
        let schedule = Schedule { seed, regions: 2 + (seed as usize / 6) % 4, rule, ..template };
        let Outcome { equal, counts } =
            std::panic::catch_unwind(|| play(schedule)).unwrap_or_else(|reason| {
                eprintln!("failing schedule: {schedule:?}");
                std::panic::resume_unwind(reason)
            });
        assert!(equal, "regions differ at the end of {schedule:?}");
        total.conflicts += counts.conflicts;
        total.corrected += counts.corrected;
        total.pruned += counts.pruned;
        total.deleted += counts.deleted;
    }
    total
}

const PLAIN: Schedule = Schedule {
    seed: 0,
    regions: 2,
    rule: Rule::LastWriter,
    restarts: false,
    retention: false,
    mistake: None,
};

#[test]
fn regions_converge_whatever_the_order_of_arrival() {
    let total = sweep(4_000, PLAIN);
    assert!(total.conflicts > 50_000 && total.corrected > 5_000 && total.pruned > 20_000, "{total:?}");
}

#[test]
fn a_restart_that_reads_whole_logs_changes_no_resolution() {
    sweep(2_000, Schedule { restarts: true, ..PLAIN });
}

#[test]
fn a_restart_that_reads_what_the_floor_kept_changes_no_resolution() {
    let total = sweep(4_000, Schedule { restarts: true, retention: true, ..PLAIN });
    assert!(total.deleted > 4_000, "{total:?}");
    println!("{total:?}");
}

/// How many of `count` schedules end with unequal rows.
fn diverged(count: u64, template: Schedule) -> usize {
    (0..count).filter(|seed| !play(Schedule { seed: *seed, ..template }).equal).count()
}

#[test]
fn forgetting_each_write_as_soon_as_it_alone_is_stable_is_caught() {
    let broken = Schedule { regions: 3, rule: Rule::Columns, mistake: Some(Mistake::PruneAlone), ..PLAIN };
    assert!(diverged(300, broken) > 0);
    assert_eq!(diverged(300, Schedule { mistake: None, ..broken }), 0);
}

#[test]
fn counting_contexts_of_unapplied_records_for_stability_is_caught() {
    let broken = Schedule { mistake: Some(Mistake::ReadAhead), ..PLAIN };
    assert!(diverged(300, broken) > 0);
}
