//! The course of the demo: set up, write and kill, wait for quiet, judge.

use crate::report::{self, Transactions};
use crate::{Options, fresh_dir, keep};
use indicatif::{ProgressBar, ProgressStyle};
use integration::compare::{checksum, compare_tables};
use integration::mesh::set;
use integration::process::Lifetime;
use integration::shop::checker::{Expectation, Verdict};
use integration::shop::dice::Dice;
use integration::shop::ledger::{self, Ledger};
use integration::shop::probe::{self, Delays};
use integration::shop::schema;
use integration::shop::writer::{Control, Done, Writer, WriterPlan};
use integration::{Error, Mesh, MeshPlan, Result, Sql, Status};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const NAMES: [&str; 6] = ["eu", "us", "ap", "sa", "af", "oc"];

/// Everything at once; true if all is equal and the ledgers agree.
pub(crate) async fn demo(options: &Options) -> Result<bool> {
    let names: Vec<&str> = NAMES[..usize::try_from(options.regions).unwrap_or(2).min(NAMES.len())].to_vec();
    let dir = fresh_dir(options)?;
    let writers: Vec<String> = names
        .iter()
        .flat_map(|name| (0..options.writers).map(move |number| format!("{name}-{number}")))
        .collect();

    println!(
        "starting {} MySQL servers and a concord beside each, with mutual TLS, in {}",
        names.len(),
        dir.display()
    );
    let lifetime = if options.keep == 0 { Lifetime::Ours } else { Lifetime::Own };
    let mut mesh = MeshPlan::of(&names)
        .dir(&dir)
        .schema(&schema::script(&writers))
        .lifetime(lifetime)
        .edit(|_, config| set(config, "mesh.include", vec!["shop.*".to_owned()]))
        .start()
        .await?;
    println!("MySQL {} in each region", mesh.regions[0].server.version().await?);
    let before = statuses(&mesh).await?;

    let wrote = write(options, &mut mesh, &dir, &writers).await?;
    let started = Instant::now();
    wait_for_quiet(&mut mesh, Duration::from_secs(60 + 4 * options.duration)).await?;
    println!("quiet after {:.1} s", started.elapsed().as_secs_f64());

    let after = statuses(&mesh).await?;
    let mut connections = connections(&mesh).await?;
    let mut differences = Vec::new();
    let mut tables = Vec::new();
    for table in schema::TABLES {
        differences.extend(compare_tables(&mut connections, table).await?);
        tables.push(table_report(&mut connections, table).await?);
    }
    let verdict = judge(&wrote, &writers, &mut connections).await?;
    let transactions = count_transactions(&names, &wrote, &before, &after);

    report::tables(&names, &tables);
    report::transactions(&names, &transactions);
    report::conflicts(&after, options.kills > 0);
    report::journal(&mesh);
    report::delays(&names, &wrote.delays);
    report::processes(&mesh);
    let good = report::verdict(&differences, &verdict, &transactions, wrote.kills, options);
    if options.keep == 0 {
        mesh.stop().await?;
    } else {
        keep::leave(&mut mesh, &dir)?;
    }
    Ok(good)
}

/// What the clients did.
struct Wrote {
    done: Vec<Done>,
    delays: Arc<Delays>,
    kills: u64,
}

async fn write(options: &Options, mesh: &mut Mesh, dir: &Path, writers: &[String]) -> Result<Wrote> {
    let control = Arc::new(Control::default());
    let delays = Arc::new(Delays::default());
    let ledgers = dir.join("ledgers");
    std::fs::create_dir_all(&ledgers).map_err(Error::io(format!("create {}", ledgers.display())))?;
    let mut tasks: JoinSet<Result<Option<Done>>> = JoinSet::new();
    let mut counts = BTreeMap::new();
    for (index, region) in mesh.regions.iter().enumerate() {
        let count = Arc::new(AtomicU64::new(0));
        counts.insert(region.name.clone(), count.clone());
        let mine = writers
            .iter()
            .filter(|writer| writer.rsplit_once('-').is_some_and(|(name, _)| name == region.name));
        for (number, name) in mine.enumerate() {
            let plan = WriterPlan {
                name: name.clone(),
                seed: options.seed.wrapping_mul(1_000_003) ^ ((index * 100 + number) as u64),
                rate: options.rate,
                shared_percent: options.shared,
            };
            let ledger = Ledger::create(&ledgers.join(format!("{name}.jsonl")))?;
            let writer = Writer::new(plan, region.server.root().await?, ledger, count.clone());
            let control = control.clone();
            tasks.spawn(async move { writer.run(control).await.map(Some) });
        }
        let ledger = Ledger::create(&ledgers.join(format!("{}-probe.jsonl", region.name)))?;
        let (name, sql) = (region.name.clone(), region.server.root().await?);
        let (d, c) = (delays.clone(), control.clone());
        tasks.spawn(async move { probe::write(name, sql, ledger, d, c, count).await.map(Some) });
        let (name, sql) = (region.name.clone(), region.server.root().await?);
        let (d, c) = (delays.clone(), control.clone());
        tasks.spawn(async move { probe::watch(name, sql, d, c).await.map(|()| None) });
    }

    let progress = Progress::new(options.duration);
    let start = Instant::now();
    let end = Duration::from_secs(options.duration);
    let mut kills = 0;
    let mut dice = Dice::new(options.seed ^ 0x006b_696c_6c73);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut done = Vec::new();
    while start.elapsed() < end {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(ended) = tasks.join_next() => done.extend(finished(ended)?),
        }
        for region in &mut mesh.regions {
            region.concord.check_running()?;
        }
        let due = end * u32::try_from(kills + 1).unwrap_or(1) / u32::try_from(options.kills + 1).unwrap_or(1);
        if kills < options.kills && start.elapsed() >= due {
            let index = usize::try_from(dice.below(mesh.regions.len() as u64)).unwrap_or(0);
            let concord = &mut mesh.regions[index].concord;
            concord.kill();
            kills += 1;
            // Away for up to half a second, as under a supervisor.
            tokio::time::sleep(Duration::from_millis(dice.below(500))).await;
            concord.spawn()?;
        }
        progress.show(start.elapsed(), &counts, &delays, kills);
    }
    control.stop.store(true, Ordering::Relaxed);
    progress.finish();
    while let Some(ended) = tasks.join_next().await {
        done.extend(finished(ended)?);
    }
    done.sort_by(|a, b| a.name.cmp(&b.name));
    println!(
        "clients committed {} transactions in {:.0} s ({} gave way to a lock)",
        done.iter().map(|done| done.transactions).sum::<u64>(),
        start.elapsed().as_secs_f64(),
        done.iter().map(|done| done.given_up).sum::<u64>()
    );
    Ok(Wrote { done, delays, kills })
}

fn finished(
    ended: std::result::Result<Result<Option<Done>>, tokio::task::JoinError>,
) -> Result<Option<Done>> {
    ended.map_err(|error| Error::Unexpected(format!("a client ended: {error}")))?
}

async fn wait_for_quiet(mesh: &mut Mesh, bound: Duration) -> Result<()> {
    for region in &mut mesh.regions {
        region.concord.ready(integration::concord::READY_BOUND).await?;
    }
    println!("clients have stopped; waiting for quiet");
    mesh.quiet(bound).await
}

async fn statuses(mesh: &Mesh) -> Result<BTreeMap<String, Status>> {
    let mut found = BTreeMap::new();
    for region in &mesh.regions {
        found.insert(region.name.clone(), region.concord.status().await?);
    }
    Ok(found)
}

async fn connections(mesh: &Mesh) -> Result<Vec<(String, Sql)>> {
    let mut found = Vec::new();
    for region in &mesh.regions {
        found.push((region.name.clone(), region.server.root().await?));
    }
    Ok(found)
}

async fn table_report(connections: &mut [(String, Sql)], table: &str) -> Result<report::Table> {
    let mut sums = Vec::new();
    let mut rows = 0;
    for (_, sql) in connections.iter_mut() {
        sums.push(checksum(sql, table).await?);
        rows = sql.number(format!("SELECT COUNT(*) FROM {table}")).await?;
    }
    Ok(report::Table { name: table.to_owned(), rows, checksums: sums })
}

/// Lets the ledgers judge every region; faults carry the region's name.
async fn judge(wrote: &Wrote, writers: &[String], connections: &mut [(String, Sql)]) -> Result<Verdict> {
    let mut expectation = Expectation::seeded(writers);
    for done in &wrote.done {
        expectation.add(&done.name, &ledger::read(&done.ledger)?);
    }
    let mut together = Verdict::default();
    for (name, sql) in connections.iter_mut() {
        let verdict = expectation.judge(sql).await?;
        together.owned_right = verdict.owned_right;
        together.shared_right = verdict.shared_right;
        together.faults.extend(verdict.faults.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    Ok(together)
}

/// Per origin: what its clients committed, what its log took in, what the others applied, since the clients began.
fn count_transactions(
    names: &[&str],
    wrote: &Wrote,
    before: &BTreeMap<String, Status>,
    after: &BTreeMap<String, Status>,
) -> Vec<Transactions> {
    let since = |region: &str, number: &dyn Fn(&Status) -> u64| {
        let at = |statuses: &BTreeMap<String, Status>| statuses.get(region).map_or(0, number);
        at(after).saturating_sub(at(before))
    };
    let mut found = Vec::new();
    for origin in names {
        let of_origin =
            |done: &&Done| done.name.rsplit_once('-').is_some_and(|(region, _)| region == *origin);
        found.push(Transactions {
            origin: (*origin).to_owned(),
            committed: wrote.done.iter().filter(of_origin).map(|done| done.transactions).sum(),
            extracted: since(origin, &|status| status.extractor.sequence),
            applied: names
                .iter()
                .map(|target| (target != origin).then(|| since(target, &|status| status.applied(origin))))
                .collect(),
        });
    }
    found
}

/// A bar on a terminal, a line every five seconds elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    printed: std::cell::Cell<u64>,
}

impl Progress {
    fn new(seconds: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(seconds * 1000);
            if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} [{bar:24}] {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        Self { bar, printed: std::cell::Cell::new(0) }
    }

    fn show(
        &self,
        elapsed: Duration,
        counts: &BTreeMap<String, Arc<AtomicU64>>,
        delays: &Delays,
        kills: u64,
    ) {
        let line = || {
            let committed: Vec<String> = counts
                .iter()
                .map(|(name, count)| format!("{name} {}", count.load(Ordering::Relaxed)))
                .collect();
            let lag = delays.all();
            let killed = if kills > 0 { format!(", killed {kills}") } else { String::new() };
            format!(
                "committed {}; lag p50 {:.1} ms{killed}",
                committed.join(", "),
                lag.p50.as_secs_f64() * 1e3
            )
        };
        match &self.bar {
            Some(bar) => {
                bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(0));
                bar.set_message(line());
            }
            None if elapsed.as_secs() >= self.printed.get() + 5 => {
                self.printed.set(elapsed.as_secs());
                println!("{:>4} s  {}", elapsed.as_secs(), line());
            }
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
