//! A backlog is applied: by MySQL's own replica with several worker counts, and by Concord, in turn.

use crate::native::Replica;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::sbtest::{self, Kind, Workload};
use crate::scene::{Backlog, PATIENCE, SOURCE, Scene, State, TARGET};
use crate::{cpu, folder};
use integration::compare::checksum;
use integration::wait::{Look, wait_for};
use integration::{Error, Result, Sql};
use std::time::{Duration, Instant};

/// Worker counts of the native replica; the best of the first round, and what came close to it, goes on to the others. The likely best
/// comes first.
const WORKERS: [u64; 3] = [16, 4, 1];

/// A worker count that takes this many times as long as the best is given up: the best of each round is among the others.
const CLOSE: f64 = 1.3;

/// Keys of `[region.apply]`.
const NET_CHANGES: &str = "net_changes";
const LANES: &str = "lanes";

/// How often the target's marker is looked at. Fine beside the seconds that a drain takes.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One drain.
#[derive(Debug, Clone, Copy)]
pub struct Drained {
    /// From the word to go until everything was committed.
    pub seconds: f64,
    /// Processor time of the target's server, and of the replicator if that is another process.
    pub cpu_seconds: f64,
    /// The replicator's part of it; 0 for the native replica, which is in the server.
    pub cpu_seconds_replicator: f64,
    /// Transactions applied.
    pub transactions: u64,
}

impl Drained {
    /// How long another worker count may take.
    fn bound(&self) -> Duration {
        Duration::from_secs_f64(self.seconds * CLOSE)
    }

    /// Transactions a second.
    pub fn rate(&self) -> f64 {
        self.transactions as f64 / self.seconds
    }

    /// Processor time per transaction, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.transactions as f64
    }
}

/// Runs the group.
pub async fn run(
    scene: &mut Scene,
    backlog: &Backlog,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    progress.say("the replica fetches the backlog");
    fetch(scene, backlog).await?;
    let wanted = wanted(scene, backlog.workload).await?;

    let (name, title) = match backlog.workload.kind {
        Kind::WriteOnly => ("drain", "Drain of the backlog, oltp_write_only"),
        Kind::Insert => ("insert", "Drain of the backlog, oltp_insert"),
    };
    let mut sheet = Sheet::new(name, title, &COLUMNS);
    let mut ratios = Vec::new();
    let mut raw_ratios = Vec::new();
    let mut cpu_ratios = Vec::new();
    let mut memory = Vec::new();
    let mut workers = WORKERS.to_vec();
    let rounds = options.rounds();
    for round in 1..=rounds {
        let who = format!("{name}: round {round} of {rounds}");
        let ended = natives(scene, backlog, &workers, &wanted, &who, progress, report).await?;
        for (count, drained) in &ended {
            sheet.add(&format!("native replica, workers {count}"), &cells(drained));
        }
        let Some((count, native)) = fastest(&ended) else { continue };
        workers = ended
            .iter()
            .filter(|(_, other)| other.seconds <= native.bound().as_secs_f64())
            .map(|(count, _)| *count)
            .collect();
        let (drained, resident_kib) = concord(scene, backlog, &wanted).await?;
        tell(progress, &format!("{who}: Concord"), &drained);
        sheet.add("Concord", &cells(&drained));
        memory.push(resident_kib as f64 / 1024.0);
        ratios.push(native.seconds / drained.seconds);
        cpu_ratios.push(drained.cpu_us() / native.cpu_us());
        report.note(&format!("{name}: best worker count of the native replica"), count.to_string());
        let (alone, _) = concord_with(scene, LANES, 1.into(), backlog, &wanted).await?;
        tell(progress, &format!("{who}: Concord, one lane"), &alone);
        sheet.add("Concord, one lane", &cells(&alone));
        if backlog.workload.kind == Kind::WriteOnly {
            let (raw, _) = concord_with(scene, NET_CHANGES, false.into(), backlog, &wanted).await?;
            tell(progress, &format!("{who}: Concord, every change"), &raw);
            sheet.add("Concord, every change", &cells(&raw));
            raw_ratios.push(native.seconds / raw.seconds);
        }
    }
    report.sheet(sheet);
    match backlog.workload.kind {
        Kind::WriteOnly => {
            report.figure("drain.ratio_vs_native", Sample::of(ratios));
            report.figure("drain.raw_ratio_vs_native", Sample::of(raw_ratios));
            report.figure("cpu.per_txn_ratio_vs_native", Sample::of(cpu_ratios));
            report.figure("memory.rss_mib_drain", Sample::of(memory));
        }
        Kind::Insert => report.figure("drain.insert_ratio_vs_native", Sample::of(ratios)),
    }
    Ok(())
}

/// Lets the native replica drain with each worker count in turn; one that takes much longer than the best so far is given up.
pub(crate) async fn natives(
    scene: &mut Scene,
    backlog: &Backlog,
    counts: &[u64],
    wanted: &[String],
    who: &str,
    progress: &Progress,
    report: &mut Report,
) -> Result<Vec<(u64, Drained)>> {
    let mut ended = Vec::new();
    for count in counts {
        let bound = fastest(&ended).map_or(PATIENCE, |(_, best)| best.bound());
        let who = format!("{who}: native, workers {count}");
        match native(scene, backlog, *count, bound, wanted).await? {
            Some(drained) => {
                tell(progress, &who, &drained);
                ended.push((*count, drained));
            }
            None => {
                let slower =
                    format!("given up after {:.1} s, {CLOSE} times what the best took", bound.as_secs_f64());
                progress.say(format!("{who}: {slower}"));
                report.note(&who, slower);
            }
        }
    }
    Ok(ended)
}

/// The best worker count, and its drain.
pub(crate) fn fastest(ended: &[(u64, Drained)]) -> Option<(u64, Drained)> {
    ended.iter().copied().min_by(|(_, one), (_, other)| one.seconds.total_cmp(&other.seconds))
}

/// What a sheet shows of a drain.
pub(crate) const COLUMNS: [&str; 3] = ["transactions/s", "CPU µs/transaction", "of it replicator"];

/// The values under [`COLUMNS`].
pub(crate) fn cells(drained: &Drained) -> [f64; 3] {
    let per = 1e6 / drained.transactions as f64;
    [drained.rate(), drained.cpu_us(), drained.cpu_seconds_replicator * per]
}

/// Says what a drain did.
pub(crate) fn tell(progress: &Progress, what: &str, drained: &Drained) {
    progress.say(format!(
        "{what}: {:.2} s, {:.0}/s, {:.0} µs of CPU per transaction",
        drained.seconds,
        drained.rate(),
        drained.cpu_us()
    ));
}

/// Lets the replica fetch the backlog into its relay log.
pub(crate) async fn fetch(scene: &mut Scene, backlog: &Backlog) -> Result<()> {
    scene.restore(State::Loaded)?;
    scene.mesh.region(SOURCE)?.server.start().await?;
    let port = scene.mesh.region(SOURCE)?.server.port();
    let (begun, fetched) = (scene.begun_data(), scene.fetched());
    scene.replica.take(&begun)?;
    scene.replica.become_another()?;
    scene.replica.fetch(port, backlog, &fetched).await
}

/// The checksums that every target's tables must have after the drain: those of the source.
pub async fn wanted(scene: &mut Scene, workload: Workload) -> Result<Vec<String>> {
    scene.restore(State::Loaded)?;
    scene.mesh.region(SOURCE)?.server.start().await?;
    checksums(&mut scene.mesh.root(SOURCE).await?, workload).await
}

/// The checksum of each of a load's tables.
pub(crate) async fn checksums(sql: &mut Sql, workload: Workload) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for table in workload.tables() {
        found.push(checksum(sql, &table).await?);
    }
    Ok(found)
}

async fn expect_equal(who: &str, sql: &mut Sql, workload: Workload, wanted: &[String]) -> Result<()> {
    if checksums(sql, workload).await? == wanted {
        return Ok(());
    }
    Err(Error::Unexpected(format!(
        "after the drain the tables of {who} are not those of the source; no figure counts"
    )))
}

/// Reads every page of a load's tables.
pub(crate) async fn warm(sql: &mut Sql, workload: Workload) -> Result<()> {
    for query in sbtest::warming(workload) {
        sql.value(query).await?;
    }
    Ok(())
}

/// Lets the native replica apply its relay log; `None` if it takes longer than `bound`.
async fn native(
    scene: &mut Scene,
    backlog: &Backlog,
    workers: u64,
    bound: Duration,
    wanted: &[String],
) -> Result<Option<Drained>> {
    scene.kill();
    let fetched = scene.fetched();
    let replica: &mut Replica = &mut scene.replica;
    replica.take(&fetched)?;
    replica.start(&[&format!("--replica-parallel-workers={workers}")]).await?;
    let mut sql = replica.server.root().await?;
    warm(&mut sql, backlog.workload).await?;
    folder::settle()?;
    let pids = [replica.server.pid()];
    let cpu_before = cpu::seconds(&pids)?;
    let start = Instant::now();
    sql.run("START REPLICA SQL_THREAD").await?;
    let timed_out = sql
        .number(format!(
            "SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', {:.3})",
            backlog.gtid_set,
            bound.as_secs_f64()
        ))
        .await?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu::seconds(&pids)? - cpu_before;
    if timed_out != 0 {
        let troubles = replica.troubles().await?;
        if bound < PATIENCE && troubles.is_empty() {
            drop(sql);
            replica.server.kill();
            return Ok(None);
        }
        return Err(Error::Unexpected(format!(
            "the native replica did not apply the backlog in time: {}",
            troubles.join("; ")
        )));
    }
    expect_equal("the native replica", &mut sql, backlog.workload, wanted).await?;
    drop(sql);
    replica.server.kill();
    Ok(Some(Drained {
        seconds,
        cpu_seconds,
        cpu_seconds_replicator: 0.0,
        transactions: backlog.transactions,
    }))
}

/// [`concord`] with another value of a key of `[region.apply]`.
async fn concord_with(
    scene: &mut Scene,
    key: &str,
    value: toml::Value,
    backlog: &Backlog,
    wanted: &[String],
) -> Result<(Drained, u64)> {
    let path = format!("region.apply.{key}");
    let usual = scene.mesh.region(TARGET)?.concord.read_config()?["region"]["apply"][key].clone();
    scene.mesh.region(TARGET)?.concord.configure(&path, value)?;
    let drained = concord(scene, backlog, wanted).await;
    scene.mesh.region(TARGET)?.concord.configure(&path, usual)?;
    drained
}

/// Lets the target's Concord apply what its log has received; also its highest resident memory, in KiB.
pub async fn concord(scene: &mut Scene, backlog: &Backlog, wanted: &[String]) -> Result<(Drained, u64)> {
    scene.restore(State::Loaded)?;
    scene.start_servers().await?;
    let mut sql = scene.mesh.root(TARGET).await?;
    warm(&mut sql, backlog.workload).await?;
    // A pause does not outlive a process. Until this one has taken it, its marker is locked, so that it applies nothing.
    let mut hold = scene.mesh.root(TARGET).await?;
    hold.run("BEGIN").await?;
    hold.rows("SELECT * FROM concord.marker FOR UPDATE").await?;
    for name in [SOURCE, TARGET] {
        scene.mesh.region(name)?.concord.spawn()?;
    }
    scene.mesh.region(SOURCE)?.concord.ready(PATIENCE).await?;
    request_pause(scene).await?;
    hold.run("ROLLBACK").await?;
    drop(hold);
    scene.pause().await?;
    let marker = format!("SELECT COALESCE(MAX(sequence), 0) FROM concord.marker WHERE origin = '{SOURCE}'");
    let applied = sql.number(&marker).await?;
    if backlog.last_sequence - applied != backlog.transactions {
        return Err(Error::Unexpected(format!(
            "the target begins at transaction {applied} of {}, which is not before the backlog",
            backlog.last_sequence
        )));
    }
    folder::settle()?;

    let region = scene.mesh.region(TARGET)?;
    let (server, replicator) = (region.server.pid(), region.concord.pid());
    let cpu_before = [cpu::seconds(&[server])?, cpu::seconds(&[replicator])?];
    let start = Instant::now();
    let answer = region.concord.post("/v1/resume").await?;
    if answer.code != 200 {
        return Err(Error::Unexpected(format!("the target does not resume: {}", answer.body)));
    }
    while sql.number(&marker).await? < backlog.last_sequence {
        region.concord.check_running()?;
        if start.elapsed() > PATIENCE {
            let reasons = region.concord.status().await?.reasons().join("; ");
            return Err(Error::Unexpected(format!("Concord did not apply the backlog in time: {reasons}")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds_server = cpu::seconds(&[server])? - cpu_before[0];
    let cpu_seconds_replicator = cpu::seconds(&[replicator])? - cpu_before[1];
    let resident_kib = region.concord.resident_kib_max()?;
    expect_equal("Concord's target", &mut sql, backlog.workload, wanted).await?;
    drop(sql);
    scene.kill();
    let cpu_seconds = cpu_seconds_server + cpu_seconds_replicator;
    Ok((
        Drained { seconds, cpu_seconds, cpu_seconds_replicator, transactions: backlog.transactions },
        resident_kib,
    ))
}

/// Asks for the pause as soon as somebody answers.
async fn request_pause(scene: &mut Scene) -> Result<()> {
    let concord = &mut scene.mesh.region(TARGET)?.concord;
    wait_for("the target to take a pause", PATIENCE, async || {
        concord.check_running()?;
        Ok(match concord.post("/v1/pause").await {
            Ok(answer) => Look::when(answer.code == 200, (), answer.body),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
}
