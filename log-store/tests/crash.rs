//! The power fails at any moment: what was acknowledged as durable is there, and what is there was written, in order.
#![allow(clippy::unwrap_used)]

mod records;

use std::sync::Arc;

use log_store::disk::SimulatedDisk;
use log_store::{Error, Log, Store};
use proptest::prelude::*;
use records::*;
use transaction::RecordKind;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(RecordKind, usize)>),
    Sync,
}

fn kind() -> impl Strategy<Value = RecordKind> {
    use RecordKind::*;
    prop_oneof![4 => Just(Transaction), 3 => Just(Chunk), 1 => Just(Position), 1 => Just(Repair), 1 => Just(Prepare)]
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0usize..200, 2 => 200usize..1_500, 1 => 1_900usize..5_000]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => proptest::collection::vec((kind(), length()), 1..6).prop_map(Step::Append),
        1 => Just(Step::Sync),
    ]
}

/// One life of a process: some steps, until the disk freezes, then the process dies, and perhaps the power fails as well.
#[derive(Debug, Clone)]
struct Life {
    steps: Vec<Step>,
    frozen_after: u64,
    crash_seed: u64,
    power_fails: bool,
}

fn life() -> impl Strategy<Value = Life> {
    (proptest::collection::vec(step(), 1..25), 0u64..60, any::<u64>(), any::<bool>()).prop_map(
        |(steps, frozen_after, crash_seed, power_fails)| Life {
            steps,
            frozen_after,
            crash_seed,
            power_fails,
        },
    )
}

/// How many records at the end of `records` are chunks.
fn chunks_at_end(records: &[(RecordKind, Vec<u8>)]) -> usize {
    records.iter().rev().take_while(|(kind, _)| *kind == RecordKind::Chunk).count()
}

/// Opens the log; a damaged last record is dropped, as when no peer has it.
fn reopen(disk: &SimulatedDisk, origin: &str) -> (Store, Arc<Log>) {
    let store = store_on(disk).unwrap();
    let log = store.log(region(origin)).unwrap();
    log.drop_damaged_last().unwrap();
    (store, log)
}

fn live(origin: &str, lives: &[Life]) -> Result<(), TestCaseError> {
    let mut disk = SimulatedDisk::new();
    let mut written: Vec<(RecordKind, Vec<u8>)> = Vec::new();
    for life in lives {
        let (store, log) = reopen(&disk, origin);
        let held = read_all(&log);
        prop_assert_eq!(&held, &written.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>());
        let mut source = Writer {
            next: written.len() as u64 + 1,
            sequence: written
                .iter()
                .filter(|(k, _)| matches!(k, RecordKind::Transaction | RecordKind::Repair))
                .count() as u64,
        };
        disk.fail_after(life.frozen_after);
        let mut durable = written.len();
        for step in &life.steps {
            let done = match step {
                Step::Append(batch) => {
                    let records: Vec<_> =
                        batch.iter().map(|(kind, len)| (*kind, source.record(*kind, *len))).collect();
                    let bytes: Vec<u8> = records.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
                    written.extend(records);
                    log.append(&bytes).map(|last| assert_eq!(last.0, written.len() as u64))
                }
                Step::Sync => log.sync().map(|last| {
                    assert_eq!(last.0, written.len() as u64);
                }),
            };
            // A new segment makes the one before it durable, without being asked.
            durable = durable.max(log.durable().0 as usize);
            if let Err(error) = done {
                prop_assert!(matches!(error, Error::Io { .. }), "{}", error);
                assert!(matches!(log.sync(), Err(Error::Stopped { .. })));
                let next = source.transaction(1);
                assert!(matches!(log.append(&next), Err(Error::Stopped { .. })));
                break;
            }
        }
        drop((store, log));
        if life.power_fails {
            disk = disk.crash(life.crash_seed);
        }
        disk.heal();
        let (_store, log) = reopen(&disk, origin);
        let held = read_all(&log);
        prop_assert!(held.len() <= written.len());
        for (at, (mine, (_, theirs))) in held.iter().zip(&written).enumerate() {
            prop_assert_eq!(mine, theirs, "record {}", at + 1);
        }
        // The region's own log may drop the chunks of a chain whose end was lost, and nothing else.
        let may_drop = if origin == "eu" { chunks_at_end(&written[..durable]) } else { 0 };
        prop_assert!(held.len() >= durable - may_drop, "{} held, {} durable", held.len(), durable);
        if origin == "eu" {
            prop_assert_eq!(chunks_at_end(&written[..held.len()]), 0);
        }
        written.truncate(held.len());
        let report = log.verify(&mut |_| {}).unwrap();
        prop_assert_eq!(report.damages, vec![]);
        prop_assert_eq!(report.stale_indexes, 0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_recovers_to_a_prefix_that_holds_all_that_was_durable(lives in proptest::collection::vec(life(), 1..5)) {
        live("us", &lives)?;
    }

    #[test]
    fn the_own_log_recovers_likewise_and_ends_with_no_open_chain(lives in proptest::collection::vec(life(), 1..5)) {
        live("eu", &lives)?;
    }
}
