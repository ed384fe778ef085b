//! From commit at the source to visible at the target, under a steady half of what the source can do.
//!
//! A probe inserts a row every few milliseconds at the source, while the load runs, and notes when the commit was answered. A watcher asks the
//! target for the newest row, five times a millisecond at most while one is due, and notes when the answer held it. Probes keep their pace however late
//! the target is, so that a delay is counted for all of them and not once. Both ends are on one machine, so it is one clock.

use crate::load::LoadPlan;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::sbtest::Workload;
use crate::scene::{PATIENCE, SOURCE, Scene, State, TARGET};
use crate::{drain, folder, native};
use integration::{Error, Result, Sql};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(25);
/// Probes of the first moments are left out: caches and batches find their pace.
const SETTLING: Duration = Duration::from_secs(2);
/// A probe that is due for longer is asked for less often, since that would slow down what is measured.
const EAGER: Duration = Duration::from_millis(20);
/// Between two questions for one that is due. Without it, the asking takes half a core of what is measured.
const BREATH: Duration = Duration::from_micros(200);
/// How long all probes may take to arrive after the load's end, before a side counts as not keeping up.
const ARRIVAL_BOUND: Duration = Duration::from_secs(300);
/// Workers of the native replica: the server's default.
const WORKERS: u64 = 4;

/// Who carries the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Concord,
    NativeSync,
    NativeDefault,
}

impl Carrier {
    const ALL: [Carrier; 3] = [Carrier::Concord, Carrier::NativeSync, Carrier::NativeDefault];

    fn name(self) -> &'static str {
        match self {
            Carrier::Concord => "Concord",
            Carrier::NativeSync => "native replica, sync_relay_log=1",
            Carrier::NativeDefault => "native replica, default sync_relay_log",
        }
    }
}

/// Delays of one load.
#[derive(Debug, Clone)]
struct Delays {
    /// Sorted, in milliseconds.
    sorted_ms: Vec<f64>,
    /// The load's transactions a second.
    rate: f64,
    /// From the load's end until the last probe was seen, in seconds.
    behind_seconds: f64,
}

impl Delays {
    /// The delay below which `share` of them are.
    fn quantile(&self, share: f64) -> f64 {
        let index = (self.sorted_ms.len() as f64 * share).ceil() as usize;
        self.sorted_ms.get(index.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

/// Runs the group.
pub async fn run(
    scene: &mut Scene,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let seconds = options.load_seconds();
    let rate = maximum(scene, options, progress).await? / 2.0;
    report.note(
        "lag.load_rate_wanted",
        format!("{rate:.0} transactions a second, half of the source's maximum"),
    );
    let columns = ["p50 ms", "p99 ms", "max ms", "load tx/s", "seconds behind at the end"];
    let mut sheet =
        Sheet::new("lag", "Commit at the source to visible at the target, milliseconds", &columns);
    let mut of_carrier = [const { Vec::new() }; 3];
    let rounds = options.rounds();
    for round in 1..=rounds {
        for (carrier, kept) in Carrier::ALL.into_iter().zip(&mut of_carrier) {
            let delays = one(scene, carrier, rate, seconds, options).await?;
            progress.say(format!(
                "lag: round {round} of {rounds}: {}: p50 {:.2} ms, p99 {:.2} ms under {:.0}/s ({} probes)",
                carrier.name(),
                delays.quantile(0.5),
                delays.quantile(0.99),
                delays.rate,
                delays.sorted_ms.len()
            ));
            let cells = [
                delays.quantile(0.5),
                delays.quantile(0.99),
                delays.quantile(1.0),
                delays.rate,
                delays.behind_seconds,
            ];
            sheet.add(carrier.name(), &cells);
            if delays.rate < rate * 0.95 {
                report.caution(format!(
                    "lag, round {round}: with {} the clients reached {:.0} of {rate:.0} transactions a second, so the loads are not equal",
                    carrier.name(),
                    delays.rate
                ));
            }
            kept.push(delays);
        }
    }
    report.sheet(sheet);
    let [concord, sync, default] = &of_carrier;
    let quantiles =
        |of: &[Delays], share| Sample::of(of.iter().map(|delays| delays.quantile(share)).collect());
    let ratios = |native: &[Delays]| {
        Sample::of(
            concord
                .iter()
                .zip(native)
                .map(|(ours, theirs)| ours.quantile(0.99) / theirs.quantile(0.99))
                .collect(),
        )
    };
    report.figure("lag.p99_ratio_vs_native", ratios(sync));
    report.figure("lag.p99_ratio_vs_native_default", ratios(default));
    report.figure("lag.p50_ms", quantiles(concord, 0.5));
    report.figure("lag.p99_ms", quantiles(concord, 0.99));
    report.figure("lag.native_sync_p50_ms", quantiles(sync, 0.5));
    report.figure("lag.native_sync_p99_ms", quantiles(sync, 0.99));
    report.figure("lag.native_default_p50_ms", quantiles(default, 0.5));
    report.figure("lag.native_default_p99_ms", quantiles(default, 0.99));
    Ok(())
}

/// Transactions a second of the source when nothing reads its binlog.
async fn maximum(scene: &mut Scene, options: &Options, progress: &Progress) -> Result<f64> {
    scene.restore(State::Begun)?;
    let server = &mut scene.mesh.region(SOURCE)?.server;
    server.start().await?;
    let plan = load_plan(server.port(), options, None);
    let load = plan.start().await?;
    tokio::time::sleep(Duration::from_secs(options.load_seconds().min(15))).await;
    load.stop();
    let loaded = load.finish(|_| ()).await?;
    progress.say(format!("lag: the source alone does {:.0} transactions a second", loaded.rate()));
    Ok(loaded.rate())
}

fn load_plan(port: u16, options: &Options, rate: Option<f64>) -> LoadPlan {
    LoadPlan {
        workload: Workload::WRITE_ONLY,
        port,
        clients: options.clients,
        rows: options.rows,
        seed: options.seed ^ 0x1a9,
        count: None,
        rate,
    }
}

async fn one(
    scene: &mut Scene,
    carrier: Carrier,
    rate: f64,
    seconds: u64,
    options: &Options,
) -> Result<Delays> {
    scene.restore(State::Begun)?;
    let target = match carrier {
        Carrier::Concord => {
            scene.start_servers().await?;
            scene.mesh.start_concords(&[SOURCE, TARGET]).await?;
            scene.mesh.quiet(PATIENCE).await?;
            scene.mesh.region(TARGET)?.server.port()
        }
        Carrier::NativeSync => attach(scene, &["--sync-relay-log=1"]).await?,
        Carrier::NativeDefault => attach(scene, &[]).await?,
    };
    let source = scene.mesh.region(SOURCE)?.server.port();
    let mut sql = Sql::connect(target, "root", None).await?;
    drain::warm(&mut sql, Workload::WRITE_ONLY).await?;
    folder::settle()?;

    let load = load_plan(source, options, Some(rate)).start().await?;
    let probes = Arc::new(Probes::default());
    let writer = tokio::spawn(write(Sql::connect(source, "root", None).await?, probes.clone()));
    let watcher = tokio::spawn(watch(sql, probes.clone()));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    load.stop();
    probes.stop.store(true, Ordering::Relaxed);
    let loaded = load.finish(|_| ()).await?;
    let ended = Instant::now();
    joined(writer.await)?;
    let mut sorted_ms = joined(watcher.await)?;
    let behind_seconds = ended.elapsed().as_secs_f64();
    sorted_ms.sort_by(f64::total_cmp);
    if sorted_ms.is_empty() {
        return Err(Error::Unexpected("no probe was measured; give more --load-seconds".to_owned()));
    }
    scene.kill();
    Ok(Delays { sorted_ms, rate: loaded.rate(), behind_seconds })
}

/// Starts the source and a replica of it that has caught up; the replica's port.
async fn attach(scene: &mut Scene, more: &[&str]) -> Result<u16> {
    scene.mesh.region(SOURCE)?.server.start().await?;
    let port = scene.mesh.region(SOURCE)?.server.port();
    let begun = scene.begun_data();
    let replica = &mut scene.replica;
    replica.take(&begun)?;
    replica.become_another()?;
    let workers = format!("--replica-parallel-workers={WORKERS}");
    replica.start(&[&[workers.as_str()], more].concat()).await?;
    replica.follow(port).await?;
    native::connect(&replica.server).await?;
    Ok(replica.server.port())
}

fn joined<T>(ended: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    ended.map_err(|error| Error::Unexpected(format!("a probe ended: {error}")))?
}

/// What the writing and the watching side share.
#[derive(Debug, Default)]
struct Probes {
    /// Rows that are committed at the source and not seen at the target, oldest first.
    due: Mutex<VecDeque<Due>>,
    /// Wakes the watcher.
    written: Notify,
    /// No more are to be written.
    stop: AtomicBool,
    /// No more will be written.
    ended: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    id: u64,
    committed: Instant,
    counts: bool,
}

impl Probes {
    fn oldest(&self) -> Option<Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).front().copied()
    }

    fn push(&self, due: Due) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).push_back(due);
        self.written.notify_one();
    }

    /// Takes out all up to `id`.
    fn take(&self, id: u64) -> Vec<Due> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let count = due.iter().take_while(|due| due.id <= id).count();
        due.drain(..count).collect()
    }
}

async fn write(mut sql: Sql, probes: Arc<Probes>) -> Result<()> {
    let result = insert_rows(&mut sql, &probes).await;
    probes.ended.store(true, Ordering::Release);
    probes.written.notify_one();
    result
}

async fn insert_rows(sql: &mut Sql, probes: &Probes) -> Result<()> {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    let mut id = 0;
    while !probes.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        id += 1;
        sql.run(format!("INSERT INTO sbtest.probe (id) VALUES ({id})")).await?;
        let committed = Instant::now();
        probes.push(Due { id, committed, counts: committed - start > SETTLING });
    }
    Ok(())
}

/// Delays in milliseconds, in the order of arrival.
async fn watch(mut sql: Sql, probes: Arc<Probes>) -> Result<Vec<f64>> {
    let mut delays_ms = Vec::new();
    loop {
        let ended = probes.ended.load(Ordering::Acquire);
        let Some(oldest) = probes.oldest() else {
            if ended {
                return Ok(delays_ms);
            }
            probes.written.notified().await;
            continue;
        };
        let newest = sql.number("SELECT COALESCE(MAX(id), 0) FROM sbtest.probe").await?;
        let seen = Instant::now();
        let arrived = probes.take(newest);
        let counted = arrived.iter().filter(|due| due.counts);
        delays_ms
            .extend(counted.map(|due| seen.saturating_duration_since(due.committed).as_secs_f64() * 1e3));
        let waited = oldest.committed.elapsed();
        if arrived.is_empty() && waited > ARRIVAL_BOUND {
            return Err(Error::Unexpected(format!(
                "a row of the source did not arrive within {ARRIVAL_BOUND:?}"
            )));
        }
        if arrived.is_empty() {
            pause(if waited > EAGER { EAGER / 10 } else { BREATH }).await?;
        }
    }
}

/// tokio's timer has steps of a millisecond, which is what is measured.
async fn pause(time: Duration) -> Result<()> {
    let slept = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await;
    slept.map_err(|error| Error::Unexpected(format!("a pause ended: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_delays_the_last_but_one_is_p99() {
        let sorted_ms = (1..=100).map(f64::from).collect();
        let delays = Delays { sorted_ms, rate: 1.0, behind_seconds: 0.0 };
        assert!((delays.quantile(0.99) - 99.0).abs() < 1e-9);
        assert!((delays.quantile(0.5) - 50.0).abs() < 1e-9);
        assert!((delays.quantile(1.0) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_probe_that_is_not_seen_stays_due() {
        let probes = Probes::default();
        for id in 1..=3 {
            probes.push(Due { id, committed: Instant::now(), counts: true });
        }
        assert_eq!(probes.take(2).len(), 2);
        assert_eq!(probes.oldest().map(|due| due.id), Some(3));
        assert!(probes.take(2).is_empty());
    }
}
