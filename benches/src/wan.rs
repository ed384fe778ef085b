//! What replication adds to the way between two regions that are 100 ms apart, there and back, while clients write at both.
//!
//! Each region's clients write at their own server, at a steady rate and in tables of their own, and a probe in each direction takes the
//! time from commit to visible ([`crate::probe`]). Each `concord` lives in a network of its own ([`integration::wan`]), servers and clients
//! are beside it, so only the links between regions are delayed. What is added is the time beyond the delay of one way: to read the binlog,
//! to make the log durable, to send, to apply. Loss is drawn for each packet, each way; it costs TCP's repair, which takes one more round
//! trip at least, and with what waits behind the lost packet three ways in place of one: 100 ms added.

use crate::load::{LoadPlan, Loaded};
use crate::options::Options;
use crate::probe::{Delays, Probing};
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::sbtest::{self, Workload};
use crate::scene::PATIENCE;
use crate::{drain, folder};
use integration::mesh::set;
use integration::namespace::Home;
use integration::wan::{Path as Way, Wan};
use integration::{Error, Mesh, MeshPlan, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// The two regions; each one's probes go to the other.
const NAMES: [&str; 2] = ["east", "west"];
/// From one region to the other.
const DELAY: Duration = Duration::from_millis(50);
/// The share of packets that are lost, each way, where some are.
const LOSS: f64 = 0.001;
/// Transactions a second of each region's clients, which two quiet cores carry with ease.
const RATE: f64 = 200.0;
/// Below this share of the rate a region did not get the load it should.
const RATE_SHORT: f64 = 0.95;
/// Clients of each region.
const CLIENTS: u64 = 4;
/// Tables of each region.
const TABLES_EACH: u64 = 2;
/// Options of every server beyond those that crate `integration` gives: the tables fit the buffer pool.
const SERVER_OPTIONS: [&str; 2] = ["--innodb-buffer-pool-size=128M", "--innodb-redo-log-capacity=128M"];

/// What the ways between the regions are like, the key of what they add at p99, and their name in the sheet.
const WAYS: [(f64, &str, &str); 2] =
    [(0.0, "wan.added_ms_p99", "no loss"), (LOSS, "wan.added_ms_p99_with_loss", "0.1 % loss each way")];

/// One direction of one load.
#[derive(Debug)]
struct Crossing {
    from: &'static str,
    to: &'static str,
    delays: Delays,
    /// What the clients of the region from which it goes did.
    loaded: Loaded,
    /// From the loads' end until the last probe was seen, in seconds.
    behind_seconds: f64,
    /// Packets that set out in this direction, and those that were lost of them.
    packets: u64,
    lost: u64,
}

impl Crossing {
    /// Beyond the delay of the way, in milliseconds.
    fn added_ms(&self, share: f64) -> f64 {
        self.delays.quantile(share) - DELAY.as_secs_f64() * 1e3
    }
}

/// Says of the group's figures why they were not measured.
pub fn gap(report: &mut Report, reason: &str) {
    for (_, key, _) in WAYS {
        report.gap(key, reason);
    }
}

/// Runs the group.
pub async fn run(
    dir: &Path,
    home: Home,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    report.note(
        "wan",
        format!(
            "{} ms one way, in user space; {RATE} transactions a second, {CLIENTS} clients and {TABLES_EACH} tables in each region",
            DELAY.as_millis()
        ),
    );
    report.note("wan: server options", SERVER_OPTIONS.join(" "));
    let columns = [
        "p50 ms",
        "p99 ms",
        "max ms",
        "added p50 ms",
        "added p99 ms",
        "load tx/s",
        "seconds behind at the end",
        "packets",
        "lost",
    ];
    let mut sheet = Sheet::new("wan", "Commit in a region to visible in another, 50 ms away", &columns);
    progress.say("wan: setting up two regions");
    let wan = Wan::begin(home, &NAMES)?;
    wan.set_all(Way::delayed(DELAY));
    let mut mesh = set_up(dir, &wan, options).await?;
    report.note("server", format!("MySQL {}", mesh.region(NAMES[0])?.server.version().await?));
    let mut added = [const { Vec::new() }; WAYS.len()];
    let rounds = options.rounds();
    for round in 1..=rounds {
        for ((loss, _, name), kept) in WAYS.into_iter().zip(&mut added) {
            wan.set_all(Way { loss, ..Way::delayed(DELAY) });
            let crossings = one(&mut mesh, &wan, round, options).await?;
            for crossing in &crossings {
                tell(crossing, name, (round, rounds), progress, report, &mut sheet);
            }
            // The figure is that of the worse direction.
            kept.push(crossings.iter().map(|crossing| crossing.added_ms(0.99)).fold(f64::MIN, f64::max));
        }
    }
    mesh.stop().await?;
    drop(mesh);
    folder::remove(dir)?;
    report.sheet(sheet);
    for ((_, key, _), added) in WAYS.into_iter().zip(added) {
        report.figure(key, Sample::of(added));
    }
    Ok(())
}

fn tell(
    crossing: &Crossing,
    name: &str,
    (round, rounds): (u64, u64),
    progress: &Progress,
    report: &mut Report,
    sheet: &mut Sheet,
) {
    let Crossing { from, to, delays, loaded, behind_seconds, packets, lost } = crossing;
    let way = format!("{from} to {to}, {name}");
    let (p50, p99) = (crossing.added_ms(0.5), crossing.added_ms(0.99));
    progress.say(format!(
        "wan: round {round} of {rounds}: {way}: p50 {p50:.1} ms, p99 {p99:.1} ms added under {:.0}/s ({} probes, {lost} of {packets} packets lost)",
        loaded.rate(),
        delays.count()
    ));
    sheet.add(
        &way,
        &[
            delays.quantile(0.5),
            delays.quantile(0.99),
            delays.quantile(1.0),
            p50,
            p99,
            loaded.rate(),
            *behind_seconds,
            *packets as f64,
            *lost as f64,
        ],
    );
    if loaded.rate() < RATE * RATE_SHORT {
        report.caution(format!(
            "wan, round {round}: {way}: the clients of {from} reached {:.0} of {RATE} transactions a second, so this machine had no processor \
             to spare, and what is added is in part the waiting for one",
            loaded.rate()
        ));
    }
}

/// Two regions that have replicated what the servers began with, with warm tables.
async fn set_up(dir: &Path, wan: &Wan, options: &Options) -> Result<Mesh> {
    folder::remove(dir)?;
    let count = TABLES_EACH * NAMES.len() as u64;
    let mut schema = sbtest::seed_script_even(count, options.rows);
    for name in NAMES {
        schema.push_str(&format!(
            "CREATE TABLE {} (id INT NOT NULL PRIMARY KEY) ENGINE = InnoDB;\n",
            probe(name)
        ));
    }
    let mut plan = MeshPlan::of(&NAMES)
        .dir(dir)
        .wan(wan)
        .schema(&schema)
        .edit(|_, config| set(config, "mesh.include", vec!["sbtest.*".to_owned()]));
    for option in SERVER_OPTIONS {
        plan = plan.server_option(option);
    }
    let mut mesh = plan.start().await?;
    mesh.quiet(PATIENCE).await?;
    let whole = Workload::share(0, count);
    for region in &mesh.regions {
        drain::warm(&mut region.server.root().await?, whole).await?;
    }
    Ok(mesh)
}

/// The table of the probes that a region sends.
fn probe(region: &str) -> String {
    format!("sbtest.probe_{region}")
}

/// Both regions under load for as long as the options say, with probes in both directions.
async fn one(mesh: &mut Mesh, wan: &Wan, round: u64, options: &Options) -> Result<Vec<Crossing>> {
    for name in NAMES {
        // Those of the load before.
        mesh.root(name).await?.run(format!("DELETE FROM {}", probe(name))).await?;
    }
    mesh.quiet(PATIENCE).await?;
    folder::settle()?;
    let ways = [(NAMES[0], NAMES[1]), (NAMES[1], NAMES[0])];
    let mut under_way = Vec::new();
    for (index, (from, to)) in (0..).zip(ways) {
        let plan = LoadPlan {
            workload: Workload::share(index, TABLES_EACH),
            port: mesh.region(from)?.server.port(),
            clients: CLIENTS,
            rows: options.rows,
            seed: options.seed ^ (0x3a_0000 + round * 2 + index),
            count: None,
            rate: Some(RATE),
        };
        let before = wan.counts(from, to)?;
        let probing = Probing::start(mesh.root(from).await?, mesh.root(to).await?, &probe(from), DELAY);
        under_way.push((from, to, before, plan.start().await?, probing));
    }
    tokio::time::sleep(Duration::from_secs(options.load_seconds())).await;
    for (_, _, _, load, probing) in &under_way {
        load.stop();
        probing.stop();
    }
    let ended = Instant::now();
    let mut crossings = Vec::new();
    for (from, to, before, load, probing) in under_way {
        let loaded = load.finish(|_| ()).await?;
        let delays = probing.finish().await?;
        let behind_seconds = ended.elapsed().as_secs_f64();
        let counts = wan.counts(from, to)?;
        let lost = counts.lost - before.lost;
        let packets = counts.carried - before.carried + lost;
        crossings.push(Crossing { from, to, delays, loaded, behind_seconds, packets, lost });
    }
    expect_equal(mesh).await?;
    Ok(crossings)
}

async fn expect_equal(mesh: &mut Mesh) -> Result<()> {
    mesh.quiet(PATIENCE).await?;
    let whole = Workload::share(0, TABLES_EACH * NAMES.len() as u64);
    let mut found = Vec::new();
    for region in &mesh.regions {
        found.push(drain::checksums(&mut region.server.root().await?, whole).await?);
    }
    if found.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(());
    }
    Err(Error::Unexpected(
        "after a load over the WAN the tables of its regions differ; no figure counts".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_what_lies_beyond_the_delay_of_one_way() {
        let crossing = Crossing {
            from: NAMES[0],
            to: NAMES[1],
            delays: Delays::of(vec![57.0, 54.0]),
            loaded: Loaded { transactions: 1, again: 0, seconds: 1.0 },
            behind_seconds: 0.0,
            packets: 1,
            lost: 0,
        };
        assert!((crossing.added_ms(0.5) - 4.0).abs() < 1e-9);
        assert!((crossing.added_ms(0.99) - 7.0).abs() < 1e-9);
    }
}
