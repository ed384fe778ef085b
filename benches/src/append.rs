//! Appending records to the log with a sync after every few, beside plain writes and syncs of the same bytes in the same steps,
//! and beside `sled` that takes as many records of as many bytes.

use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::rivals::{self, Rivals};
use integration::shop::dice::Dice;
use integration::{Error, Result};
use log_store::{Identity, Store};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;
use transaction::record::{Body, Lineage, Record, TransactionBody};
use transaction::{Context, Epoch, Gtid, Hlc, Incarnation, RecordNumber, RegionName, Sequence};

/// Bytes of events in a record: about what a transaction of the workload has.
const EVENT_BYTES: usize = 1_200;
/// Records appended before each sync, as a busy source gives them at once.
const STEPS: [u64; 2] = [64, 1024];

/// Runs the group, in a folder of its own on the disk of the report.
pub fn run(scratch: &Path, options: &Options, progress: &Progress, report: &mut Report) -> Result<()> {
    let total_bytes: usize = if options.quick { 32 << 20 } else { 256 << 20 };
    let mut sheet = Sheet::new("log", "Appending and syncing, MB/s", &["MB/s"]);
    let mut ratios = Vec::new();
    let mut rates = Vec::new();
    let mut sled_ratios = Vec::new();
    let rivals = Rivals::find();
    let rounds = options.rounds();
    for step in STEPS {
        let batches = batches(step, total_bytes, options.seed);
        for round in 1..=rounds {
            let plain = plain(&scratch.join("plain"), &batches)?;
            let log = log(&scratch.join("log"), &batches)?;
            let mut said = format!(
                "log: round {round} of {rounds}, {step} records a sync: plain file {plain:.0} MB/s, log {log:.0} MB/s"
            );
            sheet.add(&format!("plain write and fdatasync, as many bytes as {step} records"), &[plain]);
            sheet.add(&format!("log, {step} records a sync"), &[log]);
            if step == STEPS[1] {
                ratios.push(log / plain);
                rates.push(log);
            }
            if let Some(rivals) = &rivals {
                let sled = sled(rivals, &scratch.join("sled"), step, &batches)?;
                let _ = write!(said, ", sled {sled:.0} MB/s");
                sheet.add(&format!("sled, {step} records a flush"), &[sled]);
                if step == STEPS[1] {
                    sled_ratios.push(log / sled);
                }
            }
            progress.say(said);
        }
    }
    report.sheet(sheet);
    report.note("log.step", format!("{} records of {EVENT_BYTES} bytes of events a sync", STEPS[1]));
    report.figure("log.append_ratio_vs_disk", Sample::of(ratios));
    report.figure("log.append_mb_per_s", Sample::of(rates));
    if sled_ratios.is_empty() {
        report.gap("log.append_ratio_vs_sled", rivals::ABSENT);
    } else {
        report.figure("log.append_ratio_vs_sled", Sample::of(sled_ratios));
    }
    Ok(())
}

/// Encoded records, `step` of them in each batch.
fn batches(step: u64, total_bytes: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(seed);
    let mut batches = Vec::new();
    let mut number = 0;
    let mut bytes = 0;
    while bytes < total_bytes {
        let mut batch = Vec::new();
        for _ in 0..step {
            number += 1;
            let events: Vec<u8> = (0..EVENT_BYTES / 8).flat_map(|_| dice.throw().to_le_bytes()).collect();
            let body = TransactionBody {
                context: Context::new(),
                suspended: Default::default(),
                gtid: Gtid::default(),
                commit_us: number,
                chunks: 0,
                events: &events,
            };
            let record = Record {
                number: RecordNumber(number),
                sequence: Sequence(number),
                hlc: Hlc(number),
                lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
                event_checksums: false,
                body: Body::Transaction(body),
            };
            record.encode(&mut batch);
        }
        bytes += batch.len();
        batches.push(batch);
    }
    batches
}

fn rate(batches: &[Vec<u8>], start: Instant) -> f64 {
    let bytes: usize = batches.iter().map(Vec::len).sum();
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn plain(path: &Path, batches: &[Vec<u8>]) -> Result<f64> {
    crate::folder::settle()?;
    let write = || -> std::io::Result<f64> {
        let mut file = File::create(path)?;
        let start = Instant::now();
        for batch in batches {
            file.write_all(batch)?;
            file.sync_data()?;
        }
        let rate = rate(batches, start);
        std::fs::remove_file(path)?;
        Ok(rate)
    };
    write().map_err(Error::io(format!("write {}", path.display())))
}

fn log(dir: &Path, batches: &[Vec<u8>]) -> Result<f64> {
    crate::folder::settle()?;
    let failed =
        |error: log_store::Error| Error::Unexpected(format!("the log in {}: {error}", dir.display()));
    let region: RegionName =
        "source".parse().map_err(|error| Error::Unexpected(format!("a region's name: {error}")))?;
    let identity = Identity { mesh: "bench".to_owned(), region };
    let store = Store::open(dir, identity, log_store::Options::default()).map_err(failed)?;
    let log = store.log(region).map_err(failed)?;
    let start = Instant::now();
    for batch in batches {
        log.append(batch).map_err(failed)?;
        log.sync().map_err(failed)?;
    }
    let rate = rate(batches, start);
    drop(log);
    drop(store);
    crate::folder::remove(dir)?;
    Ok(rate)
}

/// Records as many and, but for less than a byte each, as long as those of the batches.
fn sled(rivals: &Rivals, dir: &Path, step: u64, batches: &[Vec<u8>]) -> Result<f64> {
    crate::folder::settle()?;
    let records = step * batches.len() as u64;
    let bytes: usize = batches.iter().map(Vec::len).sum();
    let sled = rivals.append(dir, records, bytes as u64 / records, step)?;
    crate::folder::remove(dir)?;
    Ok(sled.count as f64 / 1e6 / sled.seconds)
}
