//! The servers of a run, and the folders to which every round goes back.
//!
//! A mesh of two regions, `source` and `target`, and a third server `replica` for MySQL's own replication. Three states are kept as folders:
//!
//! | state | what it holds |
//! |---|---|
//! | `begun` | both regions with the tables' first rows, Concord's first meeting done, nothing in the backlog |
//! | `loaded` | the backlog committed at the source, in its log, and received by the target's log; nothing of it applied |
//! | `fetched` | the replica begun from the source's `begun` data, with the backlog in its relay log; nothing of it applied |

use crate::folder;
use crate::load::LoadPlan;
use crate::native::Replica;
use crate::options::{Group, Options};
use crate::progress::Progress;
use crate::sbtest::{self, Workload};
use integration::mesh::{binlog_end, set};
use integration::wait::{Look, wait_for};
use integration::{Error, Mesh, MeshPlan, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The region that writes.
pub const SOURCE: &str = "source";
/// The region that applies.
pub const TARGET: &str = "target";

/// Options of every server, beyond those that crate `integration` gives, which make commits durable. The data fits the buffer pool, and
/// what a server would do by itself after a start or a stop is off.
pub const SERVER_OPTIONS: [&str; 5] = [
    "--innodb-buffer-pool-size=512M",
    "--innodb-redo-log-capacity=512M",
    "--innodb-log-buffer-size=16M",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
];

/// How long the slowest step may take: receiving or applying the whole backlog.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// Which of the kept states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Before the backlog.
    Begun,
    /// The backlog is received, and not applied.
    Loaded,
}

impl State {
    fn folder(self) -> &'static str {
        match self {
            State::Begun => "begun",
            State::Loaded => "loaded",
        }
    }
}

/// The backlog at the source.
#[derive(Debug, Clone)]
pub struct Backlog {
    /// What was written.
    pub workload: Workload,
    /// Transactions in it.
    pub transactions: u64,
    /// The target has applied everything when its marker shows this sequence number.
    pub last_sequence: u64,
    /// A replica has applied everything when it has executed this GTID set.
    pub gtid_set: String,
    /// The binlog file in which it lies, and from where to where, in bytes.
    pub file: String,
    /// See `file`.
    pub from: u64,
    /// See `file`.
    pub to: u64,
    /// Transactions a second at which it was written.
    pub rate: f64,
}

/// Everything that runs.
#[derive(Debug)]
pub struct Scene {
    /// The two regions, running or not.
    pub mesh: Mesh,
    /// MySQL's own replica.
    pub replica: Replica,
    /// MySQL's version.
    pub version: String,
    /// Highest resident memory of any `concord` that was killed here, in KiB.
    pub resident_kib_max: u64,
    kept: PathBuf,
    home: PathBuf,
}

impl Scene {
    /// Starts everything, keeps the state `begun`, and stops everything.
    pub async fn begin(home: &Path, options: &Options, progress: &Progress) -> Result<Self> {
        folder::remove(home)?;
        std::fs::create_dir_all(home).map_err(Error::io(format!("create {}", home.display())))?;
        progress.say(format!(
            "setting up: two regions and a replica, {} tables of {} rows, in {}",
            sbtest::TABLES,
            options.rows,
            home.display()
        ));
        let mut plan = MeshPlan::of(&[SOURCE, TARGET])
            .dir(&home.join("mesh"))
            .schema(&sbtest::seed_script(options.rows, options.wants(Group::Skew)))
            .edit(|_, config| set(config, "mesh.include", vec!["sbtest.*".to_owned()]));
        for option in SERVER_OPTIONS {
            plan = plan.server_option(option);
        }
        let mut mesh = plan.start().await?;
        let version = mesh.region(SOURCE)?.server.version().await?;
        progress.say(format!("MySQL {version}; the regions have met"));
        mesh.quiet(PATIENCE).await?;
        mesh.stop().await?;
        let kept = home.join("kept");
        let replica = Replica::begin(&home.join("replica")).await?;
        let scene = Self { mesh, replica, version, resident_kib_max: 0, kept, home: home.to_owned() };
        scene.keep(State::Begun)?;
        Ok(scene)
    }

    /// Writes the backlog at the source, once, while the target receives and does not apply; keeps the state `loaded`.
    pub async fn load(
        &mut self,
        workload: Workload,
        transactions: u64,
        options: &Options,
        progress: &Progress,
    ) -> Result<Backlog> {
        self.restore(State::Begun)?;
        self.start_servers().await?;
        self.mesh.start_concords(&[SOURCE, TARGET]).await?;
        self.pause().await?;
        let mut sql = self.mesh.root(SOURCE).await?;
        let (file, from) = binlog_end(&mut sql).await?;
        let before = self.mesh.region(SOURCE)?.concord.status().await?.extractor.sequence;
        let plan = LoadPlan {
            workload,
            port: self.mesh.region(SOURCE)?.server.port(),
            clients: options.clients,
            rows: options.rows,
            seed: options.seed,
            count: Some(transactions),
            rate: None,
        };
        progress.say(format!(
            "writing the backlog: {transactions} transactions of {}, {} clients",
            workload.name, plan.clients
        ));
        let loaded = plan
            .start()
            .await?
            .finish(|done| progress.say(format!("  {done} of {transactions} written")))
            .await?;
        progress.say(format!(
            "backlog written in {:.1} s, {:.0}/s ({} run again after a deadlock); waiting until the target has received it",
            loaded.seconds,
            loaded.rate(),
            loaded.again
        ));
        let (end_file, to) = binlog_end(&mut sql).await?;
        if end_file != file {
            return Err(Error::Unexpected(format!(
                "the backlog is spread over {file} and {end_file}; take fewer --transactions"
            )));
        }
        let gtid_set = sql.value("SELECT @@GLOBAL.gtid_executed").await?.replace(char::is_whitespace, "");
        let last_sequence = self.received(&end_file, to).await?;
        if last_sequence - before != loaded.transactions {
            return Err(Error::Unexpected(format!(
                "{} transactions were written, but the log has {}",
                loaded.transactions,
                last_sequence - before
            )));
        }
        self.mesh.stop().await?;
        self.keep(State::Loaded)?;
        Ok(Backlog {
            workload,
            transactions: loaded.transactions,
            last_sequence,
            gtid_set,
            file,
            from,
            to,
            rate: loaded.rate(),
        })
    }

    /// Waits until the source has read its binlog up to this place and the target holds all of that; the last sequence number.
    async fn received(&mut self, file: &str, offset: u64) -> Result<u64> {
        let mesh = &mut self.mesh;
        wait_for("the target to receive the backlog", PATIENCE, async || {
            let source = mesh.region(SOURCE)?.concord.status().await?;
            if source.state == "halted" {
                return Err(Error::Unexpected(format!("the source halted: {}", source.reasons().join("; "))));
            }
            let read = (source.extractor.file.as_str(), source.extractor.offset);
            if read.0 != file || read.1 < offset {
                return Ok(Look::NotYet(format!("the source has read up to {read:?} of {file} {offset}")));
            }
            let target = mesh.region(TARGET)?.concord.status().await?;
            let received = target.origin(SOURCE).map_or(0, |origin| origin.durable_record);
            let wanted = source.extractor.record;
            Ok(Look::when(
                received >= wanted,
                source.extractor.sequence,
                format!("record {received} of {wanted}"),
            ))
        })
        .await
    }

    /// Makes the target's Concord stop applying, and waits until it says so.
    pub async fn pause(&mut self) -> Result<()> {
        let concord = &mut self.mesh.region(TARGET)?.concord;
        wait_for("the target to be paused", PATIENCE, async || {
            concord.check_running()?;
            // Until the process has opened its logs nobody answers.
            let answer = match concord.post("/v1/pause").await {
                Ok(answer) => answer,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            if answer.code != 200 {
                return Ok(Look::NotYet(answer.body));
            }
            let status = concord.status().await?;
            let state = status.origin(SOURCE).map(|origin| origin.applier.state.clone()).unwrap_or_default();
            Ok(Look::when(state == "paused", (), state))
        })
        .await
    }

    /// Puts both regions and their logs back; kills what runs of them, since nothing of it is needed any more.
    pub fn restore(&mut self, state: State) -> Result<()> {
        self.kill();
        for region in [SOURCE, TARGET] {
            for part in ["data", "concord"] {
                let kept = self.kept.join(state.folder()).join(region).join(part);
                folder::replace(&kept, &self.region_dir(region).join(part))?;
            }
        }
        folder::settle()
    }

    /// Puts the source back so that its server holds the backlog and its log does not.
    pub fn restore_unread(&mut self) -> Result<()> {
        self.kill();
        for (state, part) in [(State::Loaded, "data"), (State::Begun, "concord")] {
            let kept = self.kept.join(state.folder()).join(SOURCE).join(part);
            folder::replace(&kept, &self.region_dir(SOURCE).join(part))?;
        }
        folder::settle()
    }

    /// Kills whatever runs.
    pub fn kill(&mut self) {
        for region in &mut self.mesh.regions {
            // Whoever does not run any more has none.
            let resident_kib = region.concord.resident_kib_max().unwrap_or(0);
            self.resident_kib_max = self.resident_kib_max.max(resident_kib);
            region.concord.kill();
            region.server.kill();
        }
        self.replica.server.kill();
    }

    /// Starts both regions' servers.
    pub async fn start_servers(&mut self) -> Result<()> {
        for region in &mut self.mesh.regions {
            region.server.start().await?;
        }
        Ok(())
    }

    /// The data folder of the source's server in the state `begun`, from which a replica is made.
    pub fn begun_data(&self) -> PathBuf {
        self.kept.join(State::Begun.folder()).join(SOURCE).join("data")
    }

    /// The binlog file of the source's kept data in which the backlog lies.
    pub fn loaded_binlog(&self, backlog: &Backlog) -> PathBuf {
        self.kept.join(State::Loaded.folder()).join(SOURCE).join("data").join(&backlog.file)
    }

    /// The folder for the state `fetched` of the replica.
    pub fn fetched(&self) -> PathBuf {
        self.kept.join("fetched")
    }

    /// A folder for files of a measurement.
    pub fn scratch(&self) -> Result<PathBuf> {
        let scratch = self.home.join("scratch");
        folder::remove(&scratch)?;
        std::fs::create_dir_all(&scratch).map_err(Error::io(format!("create {}", scratch.display())))?;
        Ok(scratch)
    }

    /// Stops everything and removes all files.
    pub fn end(mut self) -> Result<()> {
        self.kill();
        folder::remove(&self.home)
    }

    fn keep(&self, state: State) -> Result<()> {
        for region in [SOURCE, TARGET] {
            for part in ["data", "concord"] {
                let kept = self.kept.join(state.folder()).join(region).join(part);
                folder::replace(&self.region_dir(region).join(part), &kept)?;
            }
        }
        Ok(())
    }

    /// The data directory of a region's Concord.
    pub fn log_dir(&self, region: &str) -> PathBuf {
        self.region_dir(region).join("concord")
    }

    fn region_dir(&self, region: &str) -> PathBuf {
        self.mesh.dir().join(region)
    }
}
