//! Many cases in one mesh of two servers.

use super::judge::{self, Catalogue};
use super::play::{Failure, Play, REGIONS};
use crate::mesh::set;
use crate::{Error, Mesh, MeshPlan, Result, Sql};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Between what one region says and the next.
const AND: &str = "\n  and ";
/// How many clients write to a server at once: their commits share fsyncs.
const CLIENTS: usize = 6;
/// How many schemas are compared at once.
const JUDGES: usize = 4;

/// Replays these cases; every one that failed, with the first thing that was wrong with it.
///
/// A case at which replication halts would hide what comes behind it. So it is taken out, and the others run again in a
/// new mesh; where the halt names none of them, in two meshes of half as many, until it is found.
/// `bound` is how long it may take until all that one round wrote is applied.
pub async fn replay(plays: Vec<Play>, bound: Duration) -> Result<Vec<Failure>> {
    let mut failures = Vec::new();
    let mut waiting = vec![plays];
    while let Some(plays) = waiting.pop() {
        if plays.is_empty() {
            continue;
        }
        let mut pass = Pass::start(plays).await?;
        let ran = pass.run(bound).await;
        println!("{}", pass.times.join(", "));
        let halted = match ran {
            Ok(()) => Ok(()),
            Err(error) => Err(pass.reasons(&error).await),
        };
        failures.append(&mut pass.failures);
        let Err(halted) = halted else { continue };
        let what = halted;
        // Each halt costs a new mesh, so who waits (`--nocapture`) is told at once.
        println!("a pass of {} ended early: {what}", pass.plays.len());
        let failed: BTreeSet<&String> = failures.iter().map(|failure| &failure.play).collect();
        let plays: Vec<Play> =
            pass.plays.iter().filter(|play| !failed.contains(&play.to_string())).cloned().collect();
        let (named, others): (Vec<Play>, Vec<Play>) =
            plays.into_iter().partition(|play| play.is_named_in(&what));
        match (named.as_slice(), others.as_slice()) {
            ([], []) => {}
            ([], [only]) => failures.push(Failure { play: only.to_string(), what }),
            ([], _) => waiting.extend(others.chunks(others.len().div_ceil(2)).map(<[Play]>::to_vec)),
            _ => {
                for play in named {
                    let own: Vec<&str> = what.split(AND).filter(|part| play.is_named_in(part)).collect();
                    failures.push(Failure { play: play.to_string(), what: own.join(AND) });
                }
                waiting.push(others);
            }
        }
    }
    failures.sort_by(|left, right| left.play.cmp(&right.play));
    Ok(failures)
}

/// What one play's task gives back.
type Answer = (Play, Result<()>);

struct Pass {
    mesh: Mesh,
    plays: Vec<Play>,
    /// The schemas that had a row at some time.
    written: BTreeSet<String>,
    failures: Vec<Failure>,
    /// What took how long, for who waits.
    times: Vec<String>,
    since: Instant,
}

impl Pass {
    async fn start(plays: Vec<Play>) -> Result<Self> {
        let since = Instant::now();
        // Files of `SELECT … INTO OUTFILE` then lie in the schema's folder, whatever that is called.
        let mesh = MeshPlan::of(&REGIONS)
            .server_option("--secure-file-priv=")
            .server_option("--log-bin-trust-function-creators=ON")
            .edit(|name, config| {
                set(config, "mesh.ddl", "replicate");
                // In one region batches are small, so that many are on their way at once.
                if name == REGIONS[1] {
                    set(config, "region.apply.batch_transactions_max", 2);
                }
            })
            .build()
            .await?;
        let mut pass = Self {
            mesh,
            plays: Vec::new(),
            written: BTreeSet::new(),
            failures: Vec::new(),
            times: Vec::new(),
            since,
        };
        pass.took("servers");
        pass.prepare(plays).await?;
        pass.took("schemas");
        Ok(pass)
    }

    /// Makes all schemas. Nothing here must survive a crash, so nothing waits for a disk.
    async fn prepare(&mut self, plays: Vec<Play>) -> Result<()> {
        for region in &self.mesh.regions {
            let mut root = region.server.root().await?;
            root.run("SET GLOBAL sync_binlog = 0, GLOBAL innodb_flush_log_at_trx_commit = 0").await?;
        }
        let mut tasks = Vec::new();
        for play in &plays {
            for region in REGIONS {
                let (play, port) = (play.clone(), self.port(region)?);
                tasks.push((region, async move { (play.clone(), play.prepare(port).await) }));
            }
        }
        let failed = self.in_parallel(tasks).await?;
        for region in &self.mesh.regions {
            let mut root = region.server.root().await?;
            root.run("SET GLOBAL sync_binlog = 1, GLOBAL innodb_flush_log_at_trx_commit = 1").await?;
        }
        let mut ports = Vec::new();
        for region in &self.mesh.regions {
            ports.push(region.server.port());
        }
        for play in plays {
            if !failed.contains(&play.schema()) {
                self.plays.push(play);
                continue;
            }
            for port in &ports {
                let mut sql = Sql::connect(*port, "root", None).await?;
                sql.run(format!("DROP DATABASE IF EXISTS {}", play.schema())).await?;
            }
        }
        Ok(())
    }

    async fn run(&mut self, bound: Duration) -> Result<()> {
        self.mesh.start_concords(&REGIONS).await?;
        self.took("start");
        for round in 0..2 {
            let mut tasks = Vec::new();
            let mut ran = BTreeSet::new();
            for play in &self.plays {
                let (region, script) = play.round(round);
                if !script.steps.is_empty() {
                    ran.insert(play.schema());
                    let (play, port) = (play.clone(), self.port(region)?);
                    tasks.push((region, async move {
                        let done = play.run(play.round(round).1, port).await;
                        (play, done)
                    }));
                }
            }
            if tasks.is_empty() {
                continue;
            }
            let failed = self.in_parallel(tasks).await?;
            self.took("clients");
            self.mesh.quiet(bound).await?;
            self.took("quiet");
            self.judge(&ran).await?;
            self.took("judge");
            self.plays.retain(|play| !failed.contains(&play.schema()));
        }
        self.expect_holds().await?;
        self.expect_no_conflict().await
    }

    /// Why it ended early, with what both regions say: each may have met another case.
    async fn reasons(&self, error: &Error) -> String {
        let mut all = error.to_string();
        for region in &self.mesh.regions {
            if let Ok(status) = region.concord.status().await {
                let said = status.reasons().join("; ");
                if !said.is_empty() && !all.contains(&said) {
                    all.push_str(&format!("{AND}{} says: {said}", region.name));
                }
            }
        }
        all
    }

    /// Runs so many at once on each server, notes what failed, and gives those schemas.
    async fn in_parallel<F>(&mut self, tasks: Vec<(&'static str, F)>) -> Result<BTreeSet<String>>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let places = REGIONS.map(|region| (region, Arc::new(Semaphore::new(CLIENTS))));
        let mut set = JoinSet::new();
        for (region, task) in tasks {
            let place = places.iter().find(|(name, _)| *name == region).map(|(_, place)| Arc::clone(place));
            set.spawn(async move {
                let _place = match &place {
                    Some(place) => place.acquire().await.ok(),
                    None => None,
                };
                task.await
            });
        }
        let mut failed = BTreeSet::new();
        while let Some(done) = set.join_next().await {
            let (play, done) = ended(done)?;
            if let Err(error) = done
                && failed.insert(play.schema())
            {
                self.failures.push(Failure { play: play.to_string(), what: error.to_string() });
            }
        }
        Ok(failed)
    }

    /// Compares these schemas, several at once; a play that failed takes no further part.
    async fn judge(&mut self, schemas: &BTreeSet<String>) -> Result<()> {
        let ports = [self.port(REGIONS[0])?, self.port(REGIONS[1])?];
        let mut catalogues = [Catalogue::default(), Catalogue::default()];
        for (catalogue, port) in catalogues.iter_mut().zip(ports) {
            *catalogue = Catalogue::read(&mut Sql::connect(port, "root", None).await?).await?;
        }
        let catalogues = Arc::new(catalogues);
        let plays: Vec<Play> =
            self.plays.iter().filter(|play| schemas.contains(&play.schema())).cloned().collect();
        let mut set = JoinSet::new();
        for part in plays.chunks(plays.len().div_ceil(JUDGES).max(1)) {
            let (part, catalogues) = (part.to_vec(), Arc::clone(&catalogues));
            set.spawn(async move {
                let mut sides = [
                    Sql::connect(ports[0], "root", None).await?,
                    Sql::connect(ports[1], "root", None).await?,
                ];
                let mut findings = Vec::new();
                for play in part {
                    let finding = judge::compare(&mut sides, &catalogues, &play.schema()).await?;
                    findings.push((play, finding));
                }
                Ok::<_, Error>(findings)
            });
        }
        while let Some(done) = set.join_next().await {
            for (play, finding) in ended(done)?? {
                if finding.rows > 0 {
                    self.written.insert(play.schema());
                }
                if !finding.differences.is_empty() {
                    let what = finding.differences.join("\n  ");
                    self.failures.push(Failure { play: play.to_string(), what });
                    self.plays.retain(|other| other.schema() != play.schema());
                }
            }
        }
        Ok(())
    }

    async fn expect_holds(&mut self) -> Result<()> {
        let ports = [self.port(REGIONS[0])?, self.port(REGIONS[1])?];
        for play in &self.plays {
            if play.case.holds.steps.is_empty() && !self.written.contains(&play.schema()) {
                let what = "no table ever had a row, so nothing was compared; say in holds.sql what it shows";
                self.failures.push(Failure { play: play.to_string(), what: what.to_owned() });
            }
            for (region, port) in REGIONS.iter().zip(ports) {
                if let Err(error) = play.expect_holds(region, port).await {
                    self.failures.push(Failure { play: play.to_string(), what: error.to_string() });
                }
            }
        }
        Ok(())
    }

    /// The rounds follow each other, so nothing that is written here is concurrent with anything else.
    async fn expect_no_conflict(&mut self) -> Result<()> {
        for region in &self.mesh.regions {
            let status = region.concord.status().await?;
            let conflicts: u64 = status.origins.iter().map(|origin| origin.conflicts).sum();
            if conflicts > 0 {
                let listed = region.concord.say(&["conflicts", "list"])?;
                let mut named = self.plays.iter().filter(|play| play.is_named_in(&listed)).peekable();
                let all = if named.peek().is_none() { "some case".to_owned() } else { String::new() };
                let plays = named.map(ToString::to_string).chain((!all.is_empty()).then_some(all));
                let what = format!(
                    "{conflicts} conflicts in {}, where nothing is concurrent:\n{listed}",
                    region.name
                );
                self.failures.extend(plays.map(|play| Failure { play, what: what.clone() }));
            }
        }
        Ok(())
    }

    fn took(&mut self, what: &str) {
        self.times.push(format!("{what} {:.1} s", self.since.elapsed().as_secs_f64()));
        self.since = Instant::now();
    }

    fn port(&self, region: &str) -> Result<u16> {
        let found = self.mesh.regions.iter().find(|known| known.name == region);
        found
            .map(|known| known.server.port())
            .ok_or_else(|| Error::Unexpected(format!("this mesh has no region {region}")))
    }
}

fn ended<T>(done: std::result::Result<T, tokio::task::JoinError>) -> Result<T> {
    done.map_err(|error| Error::Unexpected(format!("a client ended early: {error}")))
}
