//! The whole course of the hot rows: servers, writers and kills, quiet, judgement.

use super::checker::{self, Tables, Verdict};
use super::conflicts;
use super::ledger::{self, Ledger, Transaction};
use super::schema::{self, TABLES};
use super::writer::{Control, Done, Writer, WriterPlan};
use crate::canary::Canary;
use crate::mesh::set;
use crate::shop::dice::Dice;
use crate::wait::{Look, wait_for};
use crate::{Error, Mesh, MeshPlan, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What a run shall be like.
#[derive(Debug, Clone)]
pub struct HotPlan {
    /// The regions; the owner of `hot.owned` must be one of them.
    pub regions: Vec<&'static str>,
    /// Clients per region.
    pub writers: u64,
    /// For how long they write.
    pub duration: Duration,
    /// How often a random `concord` gets `kill -9`, spread over the run.
    pub kills: u32,
    /// Transactions a second of each client at most; 0 is as fast as the server answers.
    pub rate: u64,
    /// For up to so long, a client keeps what it has locked before it commits. Whoever applies to these rows waits then, and what was looked
    /// up before is not the last word.
    pub thinks: Duration,
    /// Where all randomness begins.
    pub seed: u64,
    /// Whether servers may die, so that clients connect again.
    pub servers_die: bool,
    /// Whether the regions' clocks may be wrong.
    pub clocks_jump: bool,
    /// A folder for everything, which is left there; `None` for a temporary one.
    pub dir: Option<PathBuf>,
    /// A build that may make a mistake; `None` for the product.
    pub canary: Option<Canary>,
}

impl HotPlan {
    /// How long the mesh may take to become quiet.
    fn bound(&self) -> Duration {
        self.canary.as_ref().map_or(Duration::from_secs(90) + 4 * self.duration, |canary| canary.patience)
    }
}

/// How long it is waited for quiet before somebody looks why it is not.
const LOOK: Duration = Duration::from_secs(5);

/// What goes wrong while clients write.
pub(crate) trait Troubles {
    /// Called when the servers run and no Concord does yet.
    async fn prepare(&mut self, _: &mut Mesh) -> Result<()> {
        Ok(())
    }

    /// Called every 50 ms or so, with the time since the clients began.
    async fn tick(&mut self, mesh: &mut Mesh, elapsed: Duration) -> Result<()>;

    /// Whether nothing is to come and nothing is to end by itself; the clients go on until then.
    fn is_over(&self) -> bool {
        true
    }

    /// Ends whatever is wrong still; the clients go on for a moment.
    async fn heal(&mut self, mesh: &mut Mesh) -> Result<()>;

    /// Called now and then until all is quiet: what a person does who looks at the status.
    async fn look(&mut self, _: &mut Mesh) -> Result<()> {
        Ok(())
    }

    /// Called when all was judged and has stopped.
    async fn inspect(&mut self, _: &mut Mesh) -> Result<()> {
        Ok(())
    }
}

/// Kills, evenly spread.
struct Kills {
    dice: Dice,
    to_come: Vec<Duration>,
}

impl Kills {
    fn of(plan: &HotPlan) -> Self {
        let spread = (1..=plan.kills).rev().map(|number| plan.duration * number / (plan.kills + 1));
        Self { dice: Dice::new(plan.seed.wrapping_add(1)), to_come: spread.collect() }
    }
}

impl Troubles for Kills {
    async fn tick(&mut self, mesh: &mut Mesh, elapsed: Duration) -> Result<()> {
        for region in &mut mesh.regions {
            region.server.check_running()?;
            region.concord.check_running()?;
        }
        while self.to_come.pop_if(|at| *at <= elapsed).is_some() {
            let index = usize::try_from(self.dice.below(mesh.regions.len() as u64)).unwrap_or(0);
            mesh.regions[index].concord.kill();
            // Away for up to half a second, as under a supervisor.
            tokio::time::sleep(Duration::from_millis(self.dice.below(500))).await;
            mesh.regions[index].concord.spawn()?;
        }
        Ok(())
    }

    async fn heal(&mut self, _: &mut Mesh) -> Result<()> {
        Ok(())
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// The referee's word.
    pub verdict: Verdict,
    /// Transactions that servers acknowledged.
    pub acknowledged: u64,
    /// Transactions whose COMMIT got no answer.
    pub in_doubt: u64,
    /// Transactions that gave way to a lock.
    pub given_up: u64,
    /// How often a `concord` was killed.
    pub kills: u32,
    /// How many conflicts of each kind the regions have on record.
    pub kinds: BTreeMap<String, u64>,
    /// How many of them were found when, such as `under-lock`.
    pub found: BTreeMap<String, u64>,
    /// How long it took from the last write to quiet.
    pub quiet_after: Duration,
}

/// Runs it; an error if regions differ, a constraint does not hold, or anything ended that should not. The verdict is in the report.
pub async fn run(plan: &HotPlan) -> Result<Report> {
    run_through(plan, MeshPlan::of(&plan.regions), &mut Kills::of(plan)).await
}

/// The same on a mesh of the caller's, with what goes wrong by its choice.
pub(crate) async fn run_through(
    plan: &HotPlan,
    mesh: MeshPlan,
    troubles: &mut impl Troubles,
) -> Result<Report> {
    let policies = schema::parse_policies(schema::POLICIES)?;
    let mut mesh =
        mesh.schema(&schema::script()).edit(move |_, config| set(config, "mesh.policy", policies.clone()));
    // In one region batches are small, so that many are on their way at once.
    if let Some(name) = plan.regions.get(1).map(|name| (*name).to_owned()) {
        mesh = mesh.edit(move |region, config| {
            if region == name {
                set(config, "region.apply.batch_transactions_max", 2);
            }
        });
    }
    if let Some(canary) = &plan.canary {
        mesh = canary.perch(mesh);
    }
    if let Some(dir) = &plan.dir {
        mesh = mesh.dir(dir);
    }
    let mut mesh = mesh.build().await?;
    troubles.prepare(&mut mesh).await?;
    mesh.start_concords(&plan.regions).await?;
    let start = tables(&mut mesh, plan.regions[0]).await?;
    let ledgers = mesh.dir().join("ledgers");
    std::fs::create_dir_all(&ledgers).map_err(Error::io(format!("create {}", ledgers.display())))?;

    let control = Arc::new(Control::default());
    let done = write(plan, &mut mesh, &ledgers, &control, troubles).await?;
    let stopped = Instant::now();
    if plan.canary.as_ref().is_none_or(|canary| canary.mistake.is_none()) {
        for region in &mut mesh.regions {
            region.concord.ready(crate::concord::READY_BOUND).await?;
        }
    }
    let bound = plan.bound();
    let names = schema::full_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    loop {
        troubles.look(&mut mesh).await?;
        match mesh.quiet(LOOK.min(bound.saturating_sub(stopped.elapsed()))).await {
            Err(Error::Timeout { .. }) if stopped.elapsed() < bound => {}
            quiet => break quiet?,
        }
    }
    let quiet_after = stopped.elapsed();
    let mut all = Vec::new();
    for done in &done {
        all.extend(ledger::read(&done.ledger)?);
    }
    if plan.clocks_jump {
        // The order of two regions' writes by the clock is nothing that may be relied on then.
        all.iter_mut().for_each(|transaction| transaction.sent_us = 0);
    }
    if let Err(different) = mesh.expect_equal(&names, bound).await {
        return Err(Error::Unexpected(who_is_wrong(&mut mesh, &different, &start, &all).await?));
    }
    unique_keys_hold(&mut mesh).await?;
    let verdict = checker::judge(&start, &all, &tables(&mut mesh, plan.regions[0]).await?);
    let (mut kinds, mut found) = (BTreeMap::new(), BTreeMap::new());
    for region in &mesh.regions {
        for conflict in conflicts::list(&region.concord)? {
            *kinds.entry(conflict.kind).or_default() += 1;
            *found.entry(conflict.found).or_default() += 1;
        }
    }
    if verdict.faults.is_empty() {
        epilogue(&mut mesh, &control, &ledgers, &mut all, &start).await?;
    }
    mesh.stop().await?;
    troubles.inspect(&mut mesh).await?;
    Ok(Report {
        verdict,
        acknowledged: done.iter().map(|done| done.acknowledged).sum(),
        in_doubt: done.iter().map(|done| done.in_doubt).sum(),
        given_up: done.iter().map(|done| done.given_up).sum(),
        kills: plan.kills,
        kinds,
        found,
        quiet_after,
    })
}

/// The writers at work, and what goes wrong meanwhile.
async fn write(
    plan: &HotPlan,
    mesh: &mut Mesh,
    ledgers: &Path,
    control: &Arc<Control>,
    troubles: &mut impl Troubles,
) -> Result<Vec<Done>> {
    let mut tasks: JoinSet<Result<Done>> = JoinSet::new();
    let mut dice = Dice::new(plan.seed);
    for region in &mesh.regions {
        for number in 0..plan.writers {
            let writer = WriterPlan {
                region: region.name.clone(),
                number,
                seed: dice.throw(),
                rate: plan.rate,
                thinks: plan.thinks,
                hang_ups: 5,
                port: region.server.port(),
                server_may_die: plan.servers_die,
            };
            let ledger = Ledger::create(&ledgers.join(format!("{}-{number}.jsonl", region.name)))?;
            tasks.spawn(Writer::connect(writer, ledger, control.clone()).await?.run());
        }
    }
    let started = Instant::now();
    let mut done = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while started.elapsed() < plan.duration || !troubles.is_over() {
        if started.elapsed() > 2 * plan.duration + Duration::from_secs(600) {
            return Err(Error::Unexpected("what goes wrong does not come to an end".to_owned()));
        }
        tokio::select! {
            _ = ticks.tick() => {}
            Some(ended) = tasks.join_next() => {
                let ended = finished(ended);
                if ended.is_err() && !plan.servers_die {
                    servers_run(mesh).await?;
                }
                done.push(ended?);
            }
        }
        troubles.tick(mesh, started.elapsed()).await?;
    }
    troubles.heal(mesh).await?;
    control.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        done.push(finished(ended)?);
    }
    Ok(done)
}

/// An error with the end of its log if a server has ended, which its clients notice before it is quite gone.
async fn servers_run(mesh: &mut Mesh) -> Result<()> {
    let ended = wait_for("the end of a server", Duration::from_secs(10), async || {
        mesh.regions.iter_mut().try_for_each(|region| region.server.check_running())?;
        Ok(Look::<()>::NotYet("all run".to_owned()))
    });
    match ended.await {
        Err(Error::Timeout { .. }) => Ok(()),
        ended => ended,
    }
}

fn finished(ended: std::result::Result<Result<Done>, tokio::task::JoinError>) -> Result<Done> {
    ended.map_err(|error| Error::Unexpected(format!("a writer ended: {error}")))?
}

/// The tables of a region.
async fn tables(mesh: &mut Mesh, name: &str) -> Result<Tables> {
    let mut sql = mesh.root(name).await?;
    let mut tables = Tables::new();
    for table in &TABLES {
        tables.insert(table.name.to_owned(), table.read(&mut sql).await?);
    }
    Ok(tables)
}

/// Where regions differ, the referee may know which of them have gone wrong.
async fn who_is_wrong(
    mesh: &mut Mesh,
    different: &Error,
    start: &Tables,
    all: &[Transaction],
) -> Result<String> {
    let mut told = different.to_string();
    for name in mesh.names() {
        let faults = checker::judge(start, all, &tables(mesh, &name).await?).faults;
        let shown: Vec<&str> = faults.iter().take(5).map(String::as_str).collect();
        told.push_str(&format!("\n{name} has {} faults by the ledgers\n{}", faults.len(), shown.join("\n")));
    }
    Ok(told)
}

/// Reads `hot.pair` by way of each of its indexes, and lets the server check all tables, in every region.
async fn unique_keys_hold(mesh: &mut Mesh) -> Result<()> {
    for region in &mesh.regions {
        let mut sql = region.server.root().await?;
        let mut ways = Vec::new();
        for (index, column) in [("PRIMARY", "id"), ("uq_a", "a"), ("uq_b", "b")] {
            // NULLs are told apart by the key, so that each row counts as a value of its own.
            ways.push(
                sql.value(format!(
                    "SELECT CONCAT(COUNT(*), ' rows, ', COUNT(DISTINCT IFNULL({column}, CONCAT('row ', id))), ' values') \
                     FROM hot.pair FORCE INDEX ({index})"
                ))
                .await?,
            );
        }
        let rows: Vec<&str> = ways.iter().filter_map(|way| way.split(' ').next()).collect();
        let expected = format!("{0} rows, {0} values", rows[0]);
        if ways.iter().any(|way| *way != expected) {
            return Err(Error::Unexpected(format!("hot.pair in {} is {ways:?} by its indexes", region.name)));
        }
        for answer in sql.rows(format!("CHECK TABLE {}", schema::full_names().join(", "))).await? {
            if answer.last().is_none_or(|word| word != "OK") {
                return Err(Error::Unexpected(format!("CHECK TABLE in {}: {answer:?}", region.name)));
            }
        }
    }
    Ok(())
}

/// When all is quiet, each region writes for a moment while the others do not. Whoever writes then has seen all, so its word must
/// stand, whatever the policy. Judged together with everything before.
async fn epilogue(
    mesh: &mut Mesh,
    control: &Arc<Control>,
    ledgers: &Path,
    all: &mut Vec<Transaction>,
    start: &Tables,
) -> Result<()> {
    let names = mesh.names();
    for (index, name) in names.iter().enumerate() {
        let writer = WriterPlan {
            region: name.clone(),
            number: 1000,
            seed: index as u64,
            rate: 0,
            thinks: Duration::ZERO,
            hang_ups: 0,
            server_may_die: false,
            port: mesh.region(name)?.server.port(),
        };
        let ledger = Ledger::create(&ledgers.join(format!("{name}-epilogue.jsonl")))?;
        let before = tables(mesh, name).await?;
        let done = Writer::connect(writer, ledger, control.clone()).await?.transactions(60).await?;
        let wrote = ledger::read(&done.ledger)?;
        let mut expected = before;
        for change in wrote.iter().flat_map(|transaction| &transaction.changes) {
            let table = expected.entry(change.table.clone()).or_default();
            match &change.after {
                Some(image) => table.insert(change.key.clone(), image.clone()),
                None => table.remove(&change.key),
            };
        }
        all.extend(wrote);
        let tables_of = schema::full_names();
        let tables_of: Vec<&str> = tables_of.iter().map(String::as_str).collect();
        mesh.expect_equal(&tables_of, Duration::from_secs(60)).await?;
        let found = tables(mesh, name).await?;
        if found != expected {
            return Err(Error::Unexpected(format!(
                "{name} wrote alone and had seen everything, but the rows are not as it left them:\n{found:?}\nnot\n{expected:?}"
            )));
        }
    }
    let faults = checker::judge(start, all, &tables(mesh, &names[0]).await?).faults;
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Unexpected(format!("after all was quiet and each region wrote alone:\n{}", faults.join("\n"))))
}
