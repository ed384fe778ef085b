//! What a region's Concord costs in meshes of 2, 3 and 5 regions, all on this machine: processor time per transaction, and memory.
//!
//! **What stays the same.** Each mesh gets the same number of transactions in all, at the same rate in all, written evenly at its regions. A
//! region extracts its own and applies those of all others, so that every transaction passes every region once: each `concord` has the same
//! work in each mesh, whatever its size, and only the number of regions it has to do with differs. Each region writes in tables of its own,
//! as many everywhere, so that no row is contested: what conflicts cost is another question.
//!
//! **What grows.** With every region a transaction's context has an entry more, a record goes to one peer more, and there is one log, feed and
//! link more to hold. That is linear in the number of regions, so *linear at most* means: from 2 to 5 regions the CPU time per
//! transaction *of one region*, and the memory of one region, become 5/2 times as much at most. `growth` is that factor ÷ 5/2. It is 1 for a
//! process whose whole cost is in proportion to the number of regions, 0.4 for one that does not notice them, and above 1 only if something
//! goes with pairs of regions. Since a transaction passes every region, the whole mesh's CPU time has the factor of the regions
//! once more; the sheet has it too.
//!
//! **What is not comparable.** The work is not quite the same: of a region's transactions half are its own in a mesh of 2, one of five in a mesh
//! of 5, and to extract one does not cost what it costs to apply one. If to extract costs twice as much, that alone takes a fifth off the
//! larger mesh's CPU time. All servers share the cores: if they do not carry the rate, batches become larger and a transaction cheaper. The
//! rate that was reached and the seconds behind at the end tell, and a caution.

use crate::load::LoadPlan;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::sbtest::{self, Tables, Workload};
use crate::scene::PATIENCE;
use crate::{cpu, drain, folder};
use integration::mesh::set;
use integration::{Error, Mesh, MeshPlan, Result};
use std::path::Path;
use std::time::Instant;

/// The regions of the largest mesh; the smaller ones have the first of them.
const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Sizes of the meshes, smallest first.
const SIZES: [usize; 3] = [2, 3, 5];
/// Transactions of each mesh; fewer with --quick or --transactions.
const TRANSACTIONS: u64 = 20_000;
const TRANSACTIONS_QUICK: u64 = 2_000;
/// Transactions a second of all regions together, which five servers and five Concords carry on two quiet cores.
const RATE: f64 = 400.0;
/// Below this share of the rate a mesh did not get the load it should.
const RATE_SHORT: f64 = 0.95;
/// From so many seconds on a mesh counts as not having kept up.
const BEHIND_SECONDS: f64 = 2.0;
/// Clients of each region.
const CLIENTS: u64 = 4;
/// Tables of each region.
const TABLES_EACH: u64 = 2;
/// Options of every server beyond those that crate `integration` gives: the tables fit the buffer pool.
const SERVER_OPTIONS: [&str; 4] = [
    "--innodb-buffer-pool-size=128M",
    "--innodb-redo-log-capacity=128M",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
];

/// What one mesh came to.
#[derive(Debug, Clone)]
struct Carried {
    regions: usize,
    /// Of each region's `concord`: microseconds of processor time per transaction that it extracted or applied.
    cpu_us: Vec<f64>,
    /// Of that `concord` which had most, in MiB.
    resident_mib: f64,
    /// Transactions a second of all clients.
    rate: f64,
    /// From the load's end until every region had everything.
    behind_seconds: f64,
}

impl Carried {
    fn cpu_us_mean(&self) -> f64 {
        self.cpu_us.iter().sum::<f64>() / self.regions as f64
    }
}

/// Runs the group.
pub async fn run(dir: &Path, options: &Options, progress: &Progress, report: &mut Report) -> Result<()> {
    let usual = if options.quick { TRANSACTIONS_QUICK } else { TRANSACTIONS };
    let transactions = options.transactions.unwrap_or(usual).min(TRANSACTIONS);
    report.note(
        "mesh",
        format!("{transactions} transactions at {RATE}/s in all, {CLIENTS} clients and {TABLES_EACH} tables a region"),
    );
    report.note("mesh: server options", SERVER_OPTIONS.join(" "));
    let columns = [
        "CPU µs/transaction of a region",
        "of the costliest",
        "CPU µs/transaction of the whole mesh",
        "MiB resident",
        "transactions/s",
        "seconds behind at the end",
    ];
    let mut sheet = Sheet::new("mesh", "Meshes of several regions, each `concord`", &columns);
    let mut all = Vec::new();
    for size in SIZES {
        let carried = one(dir, &NAMES[..size], transactions, options, progress, report).await?;
        let (mean, most) = (carried.cpu_us_mean(), carried.cpu_us.iter().copied().fold(0.0, f64::max));
        progress.say(format!(
            "mesh of {size}: {mean:.0} µs of CPU per transaction and region, {:.1} MiB, {:.0}/s, {:.1} s behind at the end",
            carried.resident_mib, carried.rate, carried.behind_seconds
        ));
        sheet.add(
            &format!("{size} regions"),
            &[mean, most, mean * size as f64, carried.resident_mib, carried.rate, carried.behind_seconds],
        );
        report.figure(&format!("mesh.cpu_us_per_txn_{size}"), Sample::of(vec![mean]));
        report.figure(&format!("mesh.rss_mib_{size}"), Sample::of(vec![carried.resident_mib]));
        if carried.rate < RATE * RATE_SHORT || carried.behind_seconds > BEHIND_SECONDS {
            report.caution(format!(
                "mesh of {size}: {:.0} of {RATE} transactions a second and {:.1} s behind at the end: this machine did not keep up, so \
                 batches were larger and a transaction cheaper than in a mesh that does",
                carried.rate, carried.behind_seconds
            ));
        }
        all.push(carried);
    }
    report.sheet(sheet);
    if let [small, .., large] = all.as_slice() {
        let sizes = (small.regions, large.regions);
        let cpu = growth(sizes, small.cpu_us_mean(), large.cpu_us_mean());
        let memory = growth(sizes, small.resident_mib, large.resident_mib);
        report.figure("mesh.cpu_growth", Sample::of(vec![cpu]));
        report.figure("mesh.rss_growth", Sample::of(vec![memory]));
    }
    Ok(())
}

/// How many times as much it is in the large mesh, as a part of how many times as many regions that has.
fn growth((small, large): (usize, usize), with_small: f64, with_large: f64) -> f64 {
    with_large / with_small / (large as f64 / small as f64)
}

/// Sets a mesh up, writes at all its regions, waits until all have everything, and takes it down.
async fn one(
    dir: &Path,
    names: &[&str],
    transactions: u64,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<Carried> {
    let size = names.len() as u64;
    progress.say(format!("mesh of {size}: setting up"));
    folder::remove(dir)?;
    let mut plan = MeshPlan::of(names)
        .dir(dir)
        .schema(&sbtest::seed_script_even(size * TABLES_EACH, options.rows))
        .edit(|_, config| {
            set(config, "mesh.include", vec!["sbtest.*".to_owned()]);
            // What a user has who sets nothing.
            set(config, "region.apply.lanes", 1);
        });
    for option in SERVER_OPTIONS {
        plan = plan.server_option(option);
    }
    let mut mesh = plan.start().await?;
    mesh.quiet(PATIENCE).await?;
    report.note("server", format!("MySQL {}", mesh.region(names[0])?.server.version().await?));
    let whole = Workload { tables: Tables::Sysbench(size * TABLES_EACH), ..Workload::WRITE_ONLY };
    for region in &mesh.regions {
        drain::warm(&mut region.server.root().await?, whole).await?;
    }
    folder::settle()?;

    let (cpu_before, passed_before) = (cpu_seconds(&mesh)?, passed(&mesh).await?);
    let start = Instant::now();
    let mut loads = Vec::new();
    for (index, region) in (0..).zip(&mesh.regions) {
        let plan = LoadPlan {
            workload: Workload::share(index, TABLES_EACH),
            port: region.server.port(),
            clients: CLIENTS,
            rows: options.rows,
            seed: options.seed ^ (0x3e_5000 + index),
            count: Some((transactions + index) / size),
            rate: Some(RATE / size as f64),
        };
        loads.push(plan.start().await?);
    }
    let mut written = 0;
    for load in loads {
        written += load.finish(|_| ()).await?.transactions;
    }
    let seconds = start.elapsed().as_secs_f64();
    let ended = Instant::now();
    mesh.quiet(PATIENCE).await?;
    let behind_seconds = ended.elapsed().as_secs_f64();
    let (cpu_after, passed_after) = (cpu_seconds(&mesh)?, passed(&mesh).await?);

    let mut cpu_us = Vec::new();
    let mut resident_kib = 0;
    for (index, region) in mesh.regions.iter().enumerate() {
        let passed = passed_after[index] - passed_before[index];
        if passed != written {
            return Err(Error::Unexpected(format!(
                "{written} transactions were written, but {passed} passed region {}; no figure counts",
                region.name
            )));
        }
        cpu_us.push((cpu_after[index] - cpu_before[index]) * 1e6 / passed as f64);
        resident_kib = resident_kib.max(region.concord.resident_kib_max()?);
    }
    expect_equal(&mesh, whole).await?;
    drop(mesh);
    folder::remove(dir)?;
    Ok(Carried {
        regions: names.len(),
        cpu_us,
        resident_mib: resident_kib as f64 / 1024.0,
        rate: written as f64 / seconds,
        behind_seconds,
    })
}

/// Processor time of each region's `concord` so far.
fn cpu_seconds(mesh: &Mesh) -> Result<Vec<f64>> {
    mesh.regions.iter().map(|region| cpu::seconds(&[region.concord.pid()])).collect()
}

/// Of each region the transactions that it has extracted and those that it has applied of others, together.
async fn passed(mesh: &Mesh) -> Result<Vec<u64>> {
    let mut passed = Vec::new();
    for region in &mesh.regions {
        let status = region.concord.status().await?;
        let applied =
            status.origins.iter().filter(|origin| !origin.own).map(|origin| origin.applied_sequence);
        passed.push(status.extractor.sequence + applied.sum::<u64>());
    }
    Ok(passed)
}

/// An error unless the tables of all regions are equal, by their checksums.
pub(crate) async fn expect_equal(mesh: &Mesh, workload: Workload) -> Result<()> {
    let mut found = Vec::new();
    for region in &mesh.regions {
        found.push(drain::checksums(&mut region.server.root().await?, workload).await?);
    }
    if found.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(());
    }
    Err(Error::Unexpected(format!(
        "after the load the tables of {} regions differ; no figure counts",
        mesh.regions.len()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_proportion_to_the_regions_grows_by_one_and_what_is_constant_by_two_fifths() {
        assert!((growth((2, 5), 20.0, 50.0) - 1.0).abs() < 1e-9);
        assert!((growth((2, 5), 20.0, 20.0) - 0.4).abs() < 1e-9);
        // With every pair of regions: four and twenty-five.
        assert!(growth((2, 5), 4.0, 25.0) > 2.0);
    }

    #[test]
    fn the_regions_together_write_all_transactions() {
        for size in SIZES.map(|size| size as u64) {
            assert_eq!((0..size).map(|index| (TRANSACTIONS + index) / size).sum::<u64>(), TRANSACTIONS);
        }
    }
}
