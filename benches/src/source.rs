//! What replication leaves to the clients: both servers are written as fast as they answer, with Concord both ways and with MySQL's own
//! circular replication.
//!
//! Half of the clients write at each server, each half in its own half of the tables, with ids as the workload has them. So no row is written
//! at both, since the native replica would halt on that, and both sides carry the same work. Rounds of both begin at the same bytes.
//! The native replicas have the server's own default of `sync_relay_log`, so they sync less than Concord, which syncs every record of its logs.
//!
//! A side that falls behind leaves more of the machine to the clients and gets its rate cheaply. How long it takes until both servers have
//! everything is told beside the rate, with the rate over the whole time, and only then are the tables compared.

use crate::load::{Load, LoadPlan};
use crate::native;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::sbtest::{TABLES, Workload};
use crate::scene::{PATIENCE, SERVER_OPTIONS, SOURCE, Scene, State, TARGET};
use crate::{drain, folder};
use integration::{Error, Result, Server, Sql};
use std::time::{Duration, Instant};

/// Workers of the native replicas: the server's default.
const WORKERS: &str = "--replica-parallel-workers=4";
/// Circular replication needs it; it is the server's default.
const CIRCULAR: &str = "--log-replica-updates=ON";
/// A load need not be longer, in seconds.
const LOAD_SECONDS_MAX: u64 = 20;
/// From so many seconds on a side counts as behind at the load's end.
const BEHIND_SECONDS: f64 = 1.0;

/// Who carries the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Concord,
    Native,
}

impl Carrier {
    fn name(self) -> &'static str {
        match self {
            Carrier::Concord => "Concord both ways",
            Carrier::Native => "native circular replication, workers 4",
        }
    }
}

/// One load at both servers.
#[derive(Debug, Clone, Copy)]
struct Written {
    transactions: u64,
    /// How long the load ran.
    seconds: f64,
    /// From the load's end until both servers had everything.
    behind_seconds: f64,
}

impl Written {
    /// Transactions a second of all clients while they wrote.
    fn rate(&self) -> f64 {
        self.transactions as f64 / self.seconds
    }

    /// Transactions a second over all the time until both servers had everything.
    fn rate_until_equal(&self) -> f64 {
        self.transactions as f64 / (self.seconds + self.behind_seconds)
    }
}

/// Runs the group.
pub async fn run(
    scene: &mut Scene,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let columns = ["transactions/s", "seconds behind at the end", "transactions/s until both have all"];
    let mut sheet = Sheet::new("source", "Clients that write at both servers at once", &columns);
    let (mut ratios, mut until_equal) = (Vec::new(), Vec::new());
    let rounds = options.rounds();
    for round in 1..=rounds {
        let concord = one(scene, Carrier::Concord, options).await?;
        tell(progress, round, rounds, Carrier::Concord, &concord, &mut sheet);
        let native = one(scene, Carrier::Native, options).await?;
        tell(progress, round, rounds, Carrier::Native, &native, &mut sheet);
        ratios.push(concord.rate() / native.rate());
        until_equal.push(concord.rate_until_equal() / native.rate_until_equal());
        if concord.behind_seconds > native.behind_seconds + BEHIND_SECONDS {
            report.caution(format!(
                "source, round {round}: Concord was {:.1} s behind when the clients stopped and native replication {:.1} s, so the \
                 clients' rate with Concord is partly owed to work that was put off",
                concord.behind_seconds, native.behind_seconds
            ));
        }
    }
    report.sheet(sheet);
    report.figure("source.throughput_ratio_vs_native", Sample::of(ratios));
    report.figure("source.until_equal_ratio_vs_native", Sample::of(until_equal));
    Ok(())
}

fn tell(
    progress: &Progress,
    round: u64,
    rounds: u64,
    carrier: Carrier,
    written: &Written,
    sheet: &mut Sheet,
) {
    let (rate, behind) = (written.rate(), written.behind_seconds);
    progress.say(format!(
        "source: round {round} of {rounds}: {}: {rate:.0}/s, {behind:.1} s behind at the end",
        carrier.name()
    ));
    sheet.add(carrier.name(), &[rate, behind, written.rate_until_equal()]);
}

async fn one(scene: &mut Scene, carrier: Carrier, options: &Options) -> Result<Written> {
    scene.restore(State::Begun)?;
    match carrier {
        Carrier::Concord => {
            scene.start_servers().await?;
            scene.mesh.start_concords(&[SOURCE, TARGET]).await?;
            scene.mesh.quiet(PATIENCE).await?;
        }
        Carrier::Native => attach(scene).await?,
    }
    let mut both = connections(scene, carrier).await?;
    for (_, sql) in &mut both {
        drain::warm(sql, Workload::WRITE_ONLY).await?;
    }
    folder::settle()?;

    let start = Instant::now();
    let mut loads = Vec::new();
    for (index, (port, _)) in (0..).zip(&both) {
        loads.push(half(*port, index, options).start().await?);
    }
    tokio::time::sleep(Duration::from_secs(options.load_seconds().min(LOAD_SECONDS_MAX))).await;
    loads.iter().for_each(Load::stop);
    let mut transactions = 0;
    for load in loads {
        transactions += load.finish(|_| ()).await?.transactions;
    }
    let seconds = start.elapsed().as_secs_f64();

    let ended = Instant::now();
    match carrier {
        Carrier::Concord => scene.mesh.quiet(PATIENCE).await?,
        Carrier::Native => exchanged(scene, &mut both).await?,
    }
    let behind_seconds = ended.elapsed().as_secs_f64();
    expect_equal(carrier, &mut both).await?;
    drop(both);
    scene.kill();
    // The next start of the region is not a replica's.
    scene.mesh.region(SOURCE)?.server.set_options(&SERVER_OPTIONS);
    Ok(Written { transactions, seconds, behind_seconds })
}

/// The clients of one server, on its half of the tables.
fn half(port: u16, index: u64, options: &Options) -> LoadPlan {
    LoadPlan {
        workload: Workload::share(index, TABLES / 2),
        port,
        clients: (options.clients / 2).max(1),
        rows: options.rows,
        seed: options.seed ^ (0x50_0ce + index),
        count: None,
        rate: None,
    }
}

/// Starts the source's server and a copy of it as replicas of each other. The target's own data has another GTID history, in which its first
/// rows are transactions of its own, so it can be no replica.
async fn attach(scene: &mut Scene) -> Result<()> {
    let begun = scene.begun_data();
    let (mesh, replica) = (&mut scene.mesh, &mut scene.replica);
    replica.take(&begun)?;
    replica.become_another()?;
    replica.start(&[WORKERS, CIRCULAR]).await?;
    let source = &mut mesh.region(SOURCE)?.server;
    source.set_options(&[&SERVER_OPTIONS, &native::OPTIONS[..], &[WORKERS, CIRCULAR]].concat());
    source.start().await?;
    integration::standby::follow(source, replica.server.port()).await?;
    integration::standby::follow(&replica.server, source.port()).await?;
    integration::standby::connect(source).await?;
    integration::standby::connect(&replica.server).await
}

/// The port of each of the two servers, and a connection to it.
async fn connections(scene: &mut Scene, carrier: Carrier) -> Result<Vec<(u16, Sql)>> {
    let mut both = Vec::new();
    for server in pair(scene, carrier)? {
        both.push((server.port(), server.root().await?));
    }
    Ok(both)
}

fn pair(scene: &mut Scene, carrier: Carrier) -> Result<[&Server; 2]> {
    if carrier == Carrier::Native {
        return Ok([&scene.mesh.region(SOURCE)?.server, &scene.replica.server]);
    }
    let [source, target] = scene.mesh.regions.as_slice() else {
        return Err(Error::Unexpected("the mesh of the benches has not two regions".to_owned()));
    };
    Ok([&source.server, &target.server])
}

/// Waits until each of two native replicas has executed what the other has.
async fn exchanged(scene: &mut Scene, both: &mut [(u16, Sql)]) -> Result<()> {
    let mut executed = Vec::new();
    for (_, sql) in both.iter_mut() {
        let set = sql.value("SELECT @@GLOBAL.gtid_executed").await?;
        executed.push(set.replace(char::is_whitespace, ""));
    }
    for ((_, sql), set) in both.iter_mut().zip(executed.iter().rev()) {
        let bound = PATIENCE.as_secs();
        let timed_out = sql.number(format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{set}', {bound})")).await?;
        if timed_out != 0 {
            let mut troubles = Vec::new();
            for server in pair(scene, Carrier::Native)? {
                troubles.extend(native::troubles(server).await?);
            }
            return Err(Error::Unexpected(format!(
                "circular replication did not carry everything within {bound} s: {}; look at the servers' error logs",
                troubles.join("; ")
            )));
        }
    }
    Ok(())
}

async fn expect_equal(carrier: Carrier, both: &mut [(u16, Sql)]) -> Result<()> {
    let mut found = Vec::new();
    for (_, sql) in both {
        found.push(drain::checksums(sql, Workload::WRITE_ONLY).await?);
    }
    if found.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(());
    }
    Err(Error::Unexpected(format!(
        "after the load the two servers' tables differ with {}; no figure counts",
        carrier.name()
    )))
}
