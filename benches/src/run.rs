//! The course of a run: set up, measure group by group, write the report after each.

use crate::options::{Group, Options};
use crate::progress::Progress;
use crate::report::{Report, Sample};
use crate::sbtest::{self, Workload};
use crate::scene::{Backlog, SERVER_OPTIONS, Scene};
use crate::{
    append, ceiling, compared, cpu, drain, extract, folder, lag, memory, mesh, skew, source, walk, wan,
};
use integration::namespace::Home;
use integration::{Error, Result};
use std::path::Path;

/// Marks a folder as one of ours, so that no other is ever removed.
const MARK: &str = ".concord-bench";

/// A load average from which on a run says that it was not alone.
const BUSY: f64 = 1.0;

/// Runs all groups that are asked for. A figure that misses its target is no error. `home` is what came of entering a network of
/// our own, where a group that needs one is asked for.
pub async fn run(options: &Options, home: Option<Result<Home>>) -> Result<()> {
    let progress = Progress::start();
    let out = options.out()?;
    let work = fresh_work(&out)?;
    let mut report = Report::default();
    describe(options, &mut report);
    if options.wants(Group::Log) {
        let scratch = work.join("log");
        std::fs::create_dir_all(&scratch).map_err(Error::io(format!("create {}", scratch.display())))?;
        append::run(&scratch, options, &progress, &mut report)?;
        write(&mut report, &out, &progress)?;
    }
    let mut resident_kib_max = 0;
    if options.wants(Group::Memory) {
        let home = work.join("memory");
        resident_kib_max = memory::run(&home, options, &progress, &mut report).await?;
        folder::remove(&home)?;
        write(&mut report, &out, &progress)?;
    }
    let of_backlog =
        [Group::Drain, Group::Ceiling, Group::Conflict, Group::Order, Group::Extract, Group::Walk]
            .iter()
            .any(|group| options.wants(*group));
    let alone = [Group::Lag, Group::Insert, Group::Skew, Group::Source];
    if of_backlog || alone.iter().any(|group| options.wants(*group)) {
        let mut scene = Scene::begin(&work.join("scene"), options, &progress).await?;
        report.note("server", format!("MySQL {}", scene.version));
        if of_backlog {
            let backlog = load(&mut scene, Workload::WRITE_ONLY, options, &progress, &mut report).await?;
            if options.wants(Group::Drain) {
                drain::run(&mut scene, &backlog, options, &progress, &mut report).await?;
                write(&mut report, &out, &progress)?;
            }
            if options.wants(Group::Ceiling) {
                ceiling::run(&mut scene, &backlog, options, &progress, &mut report).await?;
                write(&mut report, &out, &progress)?;
            }
            if options.wants(Group::Conflict) {
                compared::run(&compared::BLIND, &mut scene, &backlog, options, &progress, &mut report)
                    .await?;
                write(&mut report, &out, &progress)?;
            }
            if options.wants(Group::Order) {
                compared::run(&compared::RELAXED, &mut scene, &backlog, options, &progress, &mut report)
                    .await?;
                write(&mut report, &out, &progress)?;
            }
            if options.wants(Group::Extract) {
                extract::run(&mut scene, &backlog, options, &progress, &mut report).await?;
                write(&mut report, &out, &progress)?;
            }
            if options.wants(Group::Walk) {
                walk::run(&scene, &backlog, options, &progress, &mut report)?;
                write(&mut report, &out, &progress)?;
            }
        }
        if options.wants(Group::Lag) {
            lag::run(&mut scene, options, &progress, &mut report).await?;
            write(&mut report, &out, &progress)?;
        }
        if options.wants(Group::Source) {
            source::run(&mut scene, options, &progress, &mut report).await?;
            write(&mut report, &out, &progress)?;
        }
        if options.wants(Group::Insert) {
            let backlog = load(&mut scene, Workload::INSERT, options, &progress, &mut report).await?;
            drain::run(&mut scene, &backlog, options, &progress, &mut report).await?;
            write(&mut report, &out, &progress)?;
        }
        if options.wants(Group::Skew) {
            skew::run(&mut scene, options, &progress, &mut report).await?;
        }
        resident_kib_max = resident_kib_max.max(scene.resident_kib_max);
        scene.end()?;
    }
    if options.wants(Group::Mesh) {
        mesh::run(&work.join("mesh"), options, &progress, &mut report).await?;
    }
    match home {
        Some(Ok(home)) => {
            write(&mut report, &out, &progress)?;
            wan::run(&work.join("wan"), home, options, &progress, &mut report).await?;
        }
        Some(Err(error)) => wan::gap(&mut report, &error.to_string()),
        None => {}
    }
    if options.wants(Group::Memory) {
        report.figure("memory.rss_mib_max", Sample::of(vec![resident_kib_max as f64 / 1024.0]));
    }
    folder::remove(&work)?;
    write(&mut report, &out, &progress)?;
    print!("{}", report.page());
    eprintln!("the report is in {} (report.json, report.md)", out.display());
    Ok(())
}

async fn load(
    scene: &mut Scene,
    workload: Workload,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<Backlog> {
    let backlog = scene.load(workload, options.transactions(), options, progress).await?;
    let megabytes = (backlog.to - backlog.from) as f64 / 1e6;
    report.note(
        &format!("backlog of {}", workload.name),
        format!(
            "{} transactions, {megabytes:.0} MB of binlog, written at {:.0}/s",
            backlog.transactions, backlog.rate
        ),
    );
    Ok(backlog)
}

fn write(report: &mut Report, out: &Path, progress: &Progress) -> Result<()> {
    report.note("seconds", format!("{:.0}", progress.seconds()));
    report.note("load average at the end", format!("{:.1}", cpu::load_average()));
    report.write(out)
}

fn describe(options: &Options, report: &mut Report) {
    report.note("concord", env!("CARGO_PKG_VERSION"));
    report.note("machine", format!("{} cores, {}, Linux {}", cpu::cores(), cpu::model(), cpu::kernel()));
    let load = cpu::load_average();
    report.note("load average at the start", format!("{load:.1}"));
    if load > BUSY {
        report.caution(format!(
            "the machine was busy with other work (load average {load:.1} on {} cores when the run began): ratios are within a round, \
             but both sides had only a part of the machine, and not the same part of each resource; run it again when it is quiet",
            cpu::cores()
        ));
    }
    report.note("quick", options.quick.to_string());
    report.note("rounds", options.rounds().to_string());
    report.note("durability", "sync_binlog=1, innodb_flush_log_at_trx_commit=1, on all servers; every log record fdatasynced before it is shipped or applied");
    report.note("server options", SERVER_OPTIONS.join(" "));
    report.note(
        "native replica",
        "replica_preserve_commit_order=ON, GTID auto-position, log_replica_updates=ON",
    );
    report.note(
        "tables",
        format!("{} tables of {} rows; ids: {}", sbtest::TABLES, options.rows, sbtest::DISTRIBUTION),
    );
    report.note("clients", options.clients.to_string());
    report.note("seed", options.seed.to_string());
}

/// The folder in which servers run, empty.
fn fresh_work(out: &Path) -> Result<std::path::PathBuf> {
    let work = out.join("work");
    if work.exists() && !work.join(MARK).exists() {
        let work = work.display();
        return Err(Error::Unexpected(format!(
            "{work} exists and was not made by bench; give another folder with --out"
        )));
    }
    folder::remove(&work)?;
    std::fs::create_dir_all(&work).map_err(Error::io(format!("create {}", work.display())))?;
    let mark = work.join(MARK);
    std::fs::write(&mark, "").map_err(Error::io(format!("write {}", mark.display())))?;
    Ok(work)
}
