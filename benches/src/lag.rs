//! From commit at the source to visible at the target, under a steady half of what the source can do.

use crate::cpu::Machine;
use crate::load::LoadPlan;
use crate::options::Options;
use crate::probe::{Delays, Probing};
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::sbtest::Workload;
use crate::scene::{PATIENCE, SOURCE, Scene, State, TARGET};
use crate::{drain, folder};
use integration::{Result, Sql};
use std::time::{Duration, Instant};

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

/// What one load came to.
#[derive(Debug, Clone)]
struct Round {
    delays: Delays,
    /// The load's transactions a second.
    rate: f64,
    /// From the load's end until the last probe was seen, in seconds.
    behind_seconds: f64,
    /// The share of the machine's processors that nobody used during the load, from 0 to 1.
    idle: f64,
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
    let columns =
        ["p50 ms", "p99 ms", "max ms", "load tx/s", "seconds behind at the end", "processors idle %"];
    let mut sheet =
        Sheet::new("lag", "Commit at the source to visible at the target, milliseconds", &columns);
    let mut of_carrier = [const { Vec::new() }; 3];
    let rounds = options.rounds();
    for round in 1..=rounds {
        for (carrier, kept) in Carrier::ALL.into_iter().zip(&mut of_carrier) {
            let of = one(scene, carrier, rate, seconds, options).await?;
            progress.say(format!(
                "lag: round {round} of {rounds}: {}: p50 {:.2} ms, p99 {:.2} ms under {:.0}/s, processors {:.0} % idle ({} probes)",
                carrier.name(),
                of.delays.quantile(0.5),
                of.delays.quantile(0.99),
                of.rate,
                of.idle * 100.0,
                of.delays.count()
            ));
            let cells = [
                of.delays.quantile(0.5),
                of.delays.quantile(0.99),
                of.delays.quantile(1.0),
                of.rate,
                of.behind_seconds,
                of.idle * 100.0,
            ];
            sheet.add(carrier.name(), &cells);
            if of.rate < rate * 0.95 {
                report.caution(format!(
                    "lag, round {round}: with {} the clients reached {:.0} of {rate:.0} transactions a second, so the loads are not equal",
                    carrier.name(),
                    of.rate
                ));
            }
            kept.push(of);
        }
    }
    report.sheet(sheet);
    let [concord, sync, default] = &of_carrier;
    let quantiles =
        |of: &[Round], share| Sample::of(of.iter().map(|round| round.delays.quantile(share)).collect());
    let ratios = |native: &[Round]| {
        Sample::of(
            concord
                .iter()
                .zip(native)
                .map(|(ours, theirs)| ours.delays.quantile(0.99) / theirs.delays.quantile(0.99))
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
) -> Result<Round> {
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

    let machine = Machine::now()?;
    let load = load_plan(source, options, Some(rate)).start().await?;
    let writer = Sql::connect(source, "root", None).await?;
    let probing = Probing::start(writer, sql, "sbtest.probe", Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    load.stop();
    probing.stop();
    let idle = Machine::now()?.idle_since(machine);
    let loaded = load.finish(|_| ()).await?;
    let ended = Instant::now();
    let delays = probing.finish().await?;
    let behind_seconds = ended.elapsed().as_secs_f64();
    scene.kill();
    Ok(Round { delays, rate: loaded.rate(), behind_seconds, idle })
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
    integration::standby::connect(&replica.server).await?;
    Ok(replica.server.port())
}
