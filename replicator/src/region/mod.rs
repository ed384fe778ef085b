//! A running region: its parts, wired together and supervised.
//!
//! The order of things at start matters and is the order of [`Region::start`]: identity, logs, ports, server, own log,
//! history index, and only then extraction, application and pulls.

pub(crate) mod board;
mod checksum;
pub(crate) mod clock;
pub(crate) mod control;
mod exchange;
mod extraction;
pub(crate) mod failover;
mod found;
mod held;
pub(crate) mod identity;
mod introduction;
pub(crate) mod journal;
mod life;
pub(crate) mod logs;
mod lost;
pub(crate) mod peer_copy;
pub(crate) mod quota;
mod rebuild;
mod recovery;
mod resume;
mod retention;
mod rows;
pub(crate) mod seeding;
pub(crate) mod server;
mod sink;
mod snapshot;
mod spill;
mod spool;
pub(crate) mod tables;
mod writes;

#[cfg(test)]
#[allow(clippy::unwrap_used, dead_code, unreachable_pub)]
#[path = "../../tests/simulation/mod.rs"]
mod simulation;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use applier::code::of_history;
use applier::ddl::{DdlPolicy, DdlSources};
use applier::effect::Carries;
use applier::feed::BatchLimits;
use applier::policies::TablePolicy;
use applier::tables::Applied;
use applier::{Connect, MySql, OriginProgress, Scheduler, Setup, Shared, SqlFailure};
use extractor::replica::{ReplicaOptions, TlsMode as ReplicaTls};
use link::{Link, Target};
use log_store::{Identity, Store};
use mysql_async::Conn;
use mysql_async::prelude::*;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use transaction::{GtidSet, Halt, HaltCode, RecordNumber, RegionName, Sequence};

use crate::code::{PANICKED, SERVER_OF_ANOTHER_REGION};
use crate::config::{Config, TlsMode, connect as connect_mysql};
use board::{Board, ExtractorProgress, ExtractorState};
use clock::now_us;
use control::{Parts, RegionControl};
use failover::Tail;
use journal::ConflictJournal;
use logs::LogSet;
use writes::Scope;

/// Why a region cannot run, or stopped.
#[derive(Debug)]
pub(crate) struct RegionError {
    /// What a person is to do about it, if the runbook has an entry for it.
    code: Option<HaltCode>,
    reason: String,
}

impl RegionError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { code: None, reason: reason.into() }
    }

    fn of(what: &str) -> impl Fn(&dyn fmt::Display) -> Self {
        let what = what.to_owned();
        move |cause| Self::new(format!("{what}: {cause}"))
    }
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code {
            write!(f, "[{code}] ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for RegionError {}

impl From<Halt> for RegionError {
    fn from(Halt { code, reason }: Halt) -> Self {
        Self { code: Some(code), reason }
    }
}

impl From<link::LinkError> for RegionError {
    fn from(error: link::LinkError) -> Self {
        Self { code: error.code(), reason: error.to_string() }
    }
}

impl From<log_store::Error> for RegionError {
    fn from(error: log_store::Error) -> Self {
        Halt::from(error).into()
    }
}

/// What a server says that is read-only: `--read-only` and its kin (1290), or read-only mode (1836).
const READ_ONLY: [u16; 2] = [1290, 1836];

/// Per origin, the last transaction that is applied.
pub(crate) type Until = BTreeMap<RegionName, Sequence>;

/// Everything of a region that is there before its server is asked anything.
pub(crate) struct Region {
    pub(crate) config: Arc<Config>,
    pub(crate) board: Arc<Board>,
    pub(crate) link: Link,
    pub(crate) connect: Connect,
    pub(crate) scope: Scope,
    pub(crate) targets: Vec<Target>,
    owner: u64,
    /// Whether a peer's first questions may be answered: not before the server is known, nor while it is seeded.
    ready: Arc<AtomicBool>,
    shutdown: watch::Receiver<bool>,
    tasks: JoinSet<()>,
    threads: Vec<std::thread::JoinHandle<()>>,
    extraction: Option<extraction::Running>,
}

impl Region {
    /// Opens logs and ports, and starts to answer peers and people. Nothing is read from or written to MySQL yet.
    pub(crate) async fn open(config: Config, shutdown: watch::Receiver<bool>) -> Result<Self, RegionError> {
        let config = Arc::new(config);
        let region = config.region.name;
        let names: Vec<RegionName> = config.mesh.regions.keys().copied().collect();
        let others: Vec<RegionName> = config.peers().map(|(name, _)| name).collect();
        let peers: Vec<RegionName> = config.live_peers().map(|(name, _)| name).collect();

        let identity = Identity { mesh: config.mesh.name.clone(), region };
        let options = log_store::Options {
            segment_bytes: config.region.log.segment_size.0,
            ..log_store::Options::default()
        };
        let store = Store::open(&config.region.data_dir, identity, options)?;
        let conflicts = Arc::new(ConflictJournal::open(&store)?);
        let wake = Arc::new(Notify::new());
        let logs = Arc::new(
            LogSet::open(&store, region, names.iter().copied(), &wake)?
                .through(&config.region.filter.0)
                .spooling(&config.region.data_dir),
        );
        lost::refuse_if_given_up(&config, &logs.own().log)?;

        let (runs, limits) = spill::open(&store, config.region.history_memory.0)?;
        let index = conflict::Index::new(&names, region).map_err(of_history)?;
        let index = index.spilling(runs, limits);
        let shared = Arc::new(Shared::new(index, transaction::Weights::default()));
        let board = Arc::new(Board {
            region,
            lost: parking_lot::Mutex::new(config.mesh.lost().map(|name| (name, false)).collect()),
            peers,
            mesh: config.mesh.name.clone(),
            fingerprint: config.mesh.fingerprint(),
            server: Arc::default(),
            extractor: watch::Sender::new(ExtractorProgress::default()),
            origins: others
                .iter()
                .map(|peer| (*peer, watch::Sender::new(OriginProgress::default())))
                .collect(),
            tail: OnceLock::new(),
            tail_progress: watch::Sender::default(),
            pulls: parking_lot::Mutex::default(),
            heard: parking_lot::Mutex::default(),
            logs: logs.clone(),
            quota: quota::Quota(config.region.log.quota.0),
            conflicts,
            suspensions: watch::Sender::default(),
            wishes: Arc::default(),
            shared,
            wake,
        });

        let mysql = config.region.mysql.clone();
        let server = board.server.clone();
        let connect: Connect = Arc::new(move || {
            let (mysql, server) = (mysql.clone(), server.clone());
            Box::pin(async move {
                match connect_mysql(&mysql).await {
                    Ok((mut conn, _)) => server.check_connection(&mut conn).await.map(|()| conn),
                    Err(crate::config::ConnectError::Mysql(error)) => Err(error),
                    Err(other) => Err(mysql_async::Error::Other(other.to_string().into())),
                }
            })
        });
        let patterns = config.mesh.tables.clone();
        let carries: Carries = Arc::new(move |schema, table| patterns.carries(schema, table));
        let rules = config.clone();
        let scope = Scope {
            carries: carries.clone(),
            ddl: Arc::new(move |schema, name| match rules.mesh.ddl.of(schema, name) {
                // A statement cannot be seen through a filter.
                DdlPolicy::Replicate if rules.region.filter.0.of(schema, name).is_some() => DdlPolicy::Halt,
                policy => policy,
            }),
        };

        let parts = Arc::new(OnceLock::new());
        let control = Arc::new(RegionControl { parts: parts.clone() });
        let link = identity::link_of(&config, link::Options::default(), control)?;
        let ready = Arc::new(AtomicBool::new(false));
        let given = Parts { board: board.clone(), connect: connect.clone(), carries, ready: ready.clone() };
        // Set once, here: the link is not served yet.
        let _ = parts.set(given);

        let mut tasks = JoinSet::new();
        let listener = bind(config.region.link.listen, "[region.link] listen").await?;
        let served = link.clone();
        let (provider, stop) = (logs.clone(), shutdown.clone());
        tasks.spawn(async move { served.serve(listener, provider, stop).await });
        let listener = bind(config.region.http.listen, "[region.http] listen").await?;
        let http = config.region.http.clone();
        http.token().map_err(|e| RegionError::new(e.to_string()))?;
        tasks.spawn(crate::http::serve(listener, board.clone(), http, shutdown.clone()));

        let targets = config
            .live_peers()
            .map(|(name, peer)| Target { region: name, address: peer.link.to_string() })
            .collect();
        // Differs from process to process, which is all that is asked of it.
        let owner = now_us() << 12 | u64::from(std::process::id() & 0xfff);
        Ok(Self {
            config,
            board,
            link,
            connect,
            scope,
            targets,
            owner,
            ready,
            shutdown,
            tasks,
            threads: Vec::new(),
            extraction: None,
        })
    }

    /// Starts to pull the logs of all other origins.
    pub(crate) fn start_pulls(&mut self) {
        for origin in self.board.origins.keys().copied() {
            let link = self.link.clone();
            let (targets, board) = (self.targets.clone(), self.board.clone());
            self.tasks.spawn(exchange::pull(link, origin, targets, board, self.shutdown.clone()));
        }
    }

    /// Waits for the server, learns how it weighs text, and makes sure that it belongs to this region. Returns its markers as well.
    pub(crate) async fn claim_server(&mut self) -> Result<(Conn, Vec<Applied>), RegionError> {
        let failed = RegionError::of("MySQL of this region");
        let name = self.config.region.name;
        let (conn, belongs, markers) = loop {
            let Some(mut conn) = self.wait_for_server().await else {
                return Err(RegionError::new("stopped"));
            };
            // Once the tables are there, nothing is written before the markers are read, which locks.
            let claimed = async {
                let weights = applier::definitions::read_weights(&mut conn).await?;
                *self.board.shared.weights.write() = weights;
                let belongs = applier::tables::create(&mut conn, name, &self.config.mesh.name).await?;
                Ok((belongs, applier::tables::applied(&mut conn).await?))
            };
            match claimed.await {
                Ok((belongs, markers)) => break (conn, belongs, markers),
                // A standby, or a primary that is being handed over.
                Err(mysql_async::Error::Server(error)) if READ_ONLY.contains(&error.code) => {
                    self.report_waiting(format!("MySQL of this region takes no writes: {}", error.message));
                }
                Err(error) if conn.ping().await.is_err() => {
                    self.report_waiting(format!("MySQL of this region: {error}"));
                }
                Err(error) => return Err(failed(&error)),
            }
            drop(conn);
            self.pause().await;
        };
        if belongs.region != name.as_str() || belongs.mesh != self.config.mesh.name {
            let foreign = SERVER_OF_ANOTHER_REGION.halt(format_args!(
                "schema concord on this server belongs to region {} of mesh {}, not to {name} of {}; point \
                 [region.mysql] at this region's own server, or re-seed it after DROP DATABASE concord",
                belongs.region, belongs.mesh, self.config.mesh.name
            ));
            return Err(foreign.into());
        }
        Ok((conn, markers))
    }

    /// Waits for the server and brings every part up. Returns early, without an error, if the shutdown comes first.
    pub(crate) async fn start(&mut self, until: &Until) -> Result<(), RegionError> {
        self.start_pulls();
        let Some((markers, resume)) = self.join_server().await? else { return Ok(()) };
        let applied: Vec<_> = markers.iter().map(|marker| (marker.origin, marker.sequence)).collect();
        self.board.conflicts.settle(&applied)?;
        self.start_extraction(resume)?;
        self.start_applier(until)?;
        for target in &self.targets {
            if markers.iter().all(|marker| marker.origin != target.region) {
                let meeting = introduction::Meeting {
                    link: self.link.clone(),
                    target: target.clone(),
                    connect: self.connect.clone(),
                    carries: self.scope.carries.clone(),
                    ddl_source: self.config.mesh.ddl_source(target.region),
                    owner: self.owner,
                    lanes: self.config.region.apply.lanes,
                    board: self.board.clone(),
                };
                self.tasks.spawn(introduction::meet(meeting, self.shutdown.clone()));
            }
        }
        self.tasks.spawn(lost::settle(self.board.clone(), self.shutdown.clone()));
        self.tasks.spawn(retention::prune(self.board.clone(), self.shutdown.clone()));
        let keep = retention::Keep {
            age_us: self.config.region.log.keep_age.as_micros(),
            bytes: self.config.region.log.keep_bytes.0,
        };
        let journal = retention::Keep {
            age_us: self.config.region.journal.keep_age.as_micros(),
            bytes: self.config.region.journal.keep_bytes.0,
        };
        self.tasks.spawn(retention::retain(self.board.clone(), keep, journal, self.shutdown.clone()));
        Ok(())
    }

    /// Learns from server and logs where to go on. All of it comes again if the connection is lost meanwhile. `None`: the shutdown came first.
    async fn join_server(&mut self) -> Result<Option<(Vec<Applied>, extractor::Resume)>, RegionError> {
        if !recovery::take_back_lost_end(self).await? {
            return Ok(None);
        }
        while !*self.shutdown.borrow() {
            let (mut conn, mut markers) = self.claim_server().await?;
            self.ready.store(true, std::sync::atomic::Ordering::Release);
            if !recovery::recover_own_log(self, !markers.is_empty()).await? {
                return Ok(None);
            }
            lost::refuse_if_given_up(&self.config, &self.board.logs.own().log)?;
            if !recovery::await_copies(self, &markers).await? {
                return Ok(None);
            }
            let joined = async {
                let Ok(tail) = self.meet_server(&mut conn, &mut markers).await? else { return Ok(None) };
                let resume = self.resume(&mut conn, &markers, tail).await?;
                self.rebuild(&mut conn, &markers, tail).await?;
                Ok(Some(resume))
            };
            match joined.await {
                Ok(resume) => return Ok(resume.map(|resume| (markers, resume))),
                Err(RegionError { reason, .. }) if conn.ping().await.is_err() => self.report_waiting(reason),
                Err(error) => return Err(error),
            }
            self.pause().await;
        }
        Ok(None)
    }

    /// Stops every part; the shutdown signal must have been given.
    pub(crate) async fn stop(mut self) {
        let (extraction, threads) = (self.extraction.take(), std::mem::take(&mut self.threads));
        let joined = tokio::task::spawn_blocking(move || {
            if let Some(extraction) = extraction {
                extraction.stop();
            }
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("the applier ended by a panic; please report this");
                }
            }
        });
        let bound = Duration::from_secs(8);
        if tokio::time::timeout(bound, joined).await.is_err() {
            tracing::warn!("a part did not stop within {bound:?}; what is open in MySQL is rolled back");
        }
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(2), drained).await.is_err() {
            self.tasks.abort_all();
        }
    }

    /// Claims the server that `conn` is connected to, and begins a new incarnation if it lacks what the own log holds. What it is to get back,
    /// or `Err` if the shutdown came first.
    async fn meet_server(
        &self,
        conn: &mut Conn,
        markers: &mut Vec<Applied>,
    ) -> Result<Result<Option<Tail>, ()>, RegionError> {
        let failed = RegionError::of("MySQL of this region");
        let uuid: Option<String> =
            conn.query_first("SELECT @@GLOBAL.server_uuid").await.map_err(|e| failed(&e))?;
        self.board.server.claim(conn, uuid.unwrap_or_default());
        let tail = failover::meet_server(self, conn, markers).await?;
        if *self.shutdown.borrow() {
            return Ok(Err(()));
        }
        if let Some(tail) = tail {
            let _ = self.board.tail.set(tail);
        }
        Ok(Ok(tail))
    }

    /// Which server the region works on.
    pub(crate) fn server(&self) -> Arc<server::Claimed> {
        self.board.server.clone()
    }

    async fn wait_for_server(&mut self) -> Option<Conn> {
        while !*self.shutdown.borrow() {
            match (self.connect)().await {
                Ok(conn) => return Some(conn),
                Err(error) => {
                    self.report_waiting(format!("MySQL of this region: {error}"));
                }
            }
            self.pause().await;
        }
        None
    }

    fn report_waiting(&self, reason: String) {
        self.board.extractor.send_modify(|shown| {
            let state = ExtractorState::Waiting { reason: reason.clone() };
            if shown.state != state {
                tracing::warn!("{reason}");
            }
            shown.state = state;
        });
    }

    /// A second, or until the shutdown.
    async fn pause(&self) {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            _ = shutdown.changed() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }

    /// Where extraction goes on; the first time, at the server's present GTID set.
    async fn resume(
        &self,
        conn: &mut Conn,
        markers: &[Applied],
        tail: Option<Tail>,
    ) -> Result<extractor::Resume, RegionError> {
        let failed = RegionError::of("the binlog's end");
        let version: Option<String> = conn.query_first("SELECT VERSION()").await.map_err(|e| failed(&e))?;
        let tags = applier::tables::has_tags(&version.unwrap_or_default());
        let end = applier::tables::binlog_end(conn, tags).await.map_err(|e| failed(&e))?;
        let others = || markers.iter().filter(|marker| marker.origin != self.config.region.name);
        let held = extractor::Held {
            context: others().map(|marker| (marker.origin, marker.sequence)).collect(),
            tail: tail.map(|tail| (tail.applied, tail.end)),
            unsure_until: end.map(|end| (end.file, end.offset)),
        };
        let log = &self.board.logs.own().log;
        let own = self.config.own();
        let epoch = self.config.mesh.epoch;
        let from_log = || {
            resume::from_log(
                log,
                self.config.region.name,
                epoch,
                own.writes,
                self.board.origins.keys().copied().collect(),
                held.clone(),
                &self.ddl_sources(),
            )
            .map_err(|halt| {
                RegionError::from(halt.map_reason(|why| format!("the tail of this region's own log: {why}")))
            })
        };
        if let Some(resume) = from_log()? {
            return Ok(resume);
        }
        let failed = RegionError::of("gtid_executed of the server");
        let text: Option<String> =
            conn.query_first("SELECT @@GLOBAL.gtid_executed").await.map_err(|e| failed(&e))?;
        let executed: GtidSet = text.unwrap_or_default().parse().map_err(|e| failed(&e))?;
        tracing::info!("first start: the log begins at the server's present GTID set");
        let newest = others().map(|marker| marker.hlc).max().unwrap_or_default();
        resume::Beginning {
            number: RecordNumber(1),
            last_sequence: Sequence(0),
            hlc: newest,
            lineage: resume::first_lineage(epoch),
            context: held.context.clone(),
            suspended: transaction::Suspended::default(),
            executed,
            wall_us: now_us(),
        }
        .write(log)?;
        from_log()?.ok_or_else(|| RegionError::new("the log does not hold the position record just written"))
    }

    async fn rebuild(
        &self,
        conn: &mut Conn,
        markers: &[Applied],
        tail: Option<Tail>,
    ) -> Result<(), RegionError> {
        let name = self.config.region.name;
        let mut applied: rebuild::Applied = markers
            .iter()
            .filter(|marker| self.board.origins.contains_key(&marker.origin))
            .map(|marker| (marker.origin, marker.sequence))
            .collect();
        applied.push((name, rebuild::OWN));
        let shared = self.board.shared.clone();
        let began = now_us();
        let failed = RegionError::of("concord.suspension");
        let suspensions = applier::tables::suspensions(&mut *conn).await.map_err(|e| failed(&e))?;
        let suspended = suspensions.iter().map(|suspension| suspension.table.clone()).collect();
        self.board.suspensions.send_replace(suspensions);
        let mut ask = async |needs| {
            applier::learn(conn, &shared, needs).await.map_err(|e| SqlFailure::from(e).into_halt())
        };
        let (logs, scope) = (&self.board.logs, &self.scope);
        let done = rebuild::rebuild(logs, &applied, tail, &self.board.shared, scope, &suspended, &mut ask)
            .await
            .map_err(|halt| {
                halt.map_reason(|why| format!("the history index cannot be rebuilt from the logs: {why}"))
            })?;
        tracing::info!(
            "history index rebuilt from {} transactions in {} ms, {} of them unstable",
            done.transactions,
            (now_us() - began) / 1000,
            done.unstable
        );
        Ok(())
    }

    fn ddl_sources(&self) -> DdlSources {
        let config = self.config.clone();
        Arc::new(move |origin| config.mesh.ddl_source(origin))
    }

    fn start_extraction(&mut self, resume: extractor::Resume) -> Result<(), RegionError> {
        let config = self.config.clone();
        let running = extraction::Extraction {
            options: {
                let server = self.board.server.clone();
                Box::new(move || replica_options(&config, &server))
            },
            connect: self.connect.clone(),
            has_standbys: !self.config.region.mysql.standbys.is_empty(),
            resume,
            log: self.board.logs.own().log.clone(),
            dir: self.config.region.data_dir.clone(),
            scope: self.scope.clone(),
            board: self.board.clone(),
            shutdown: self.shutdown.clone(),
            runtime: tokio::runtime::Handle::current(),
        }
        .start()
        .map_err(|e| RegionError::new(format!("cannot start the extractor's thread: {e}")))?;
        self.extraction = Some(running);
        Ok(())
    }

    /// Waits until each of these origins is applied up to its transaction; for ever if there are none.
    pub(crate) async fn reached(&self, until: &Until) {
        if until.is_empty() {
            return std::future::pending().await;
        }
        for (origin, last) in until {
            let Some(sender) = self.board.origins.get(origin) else { continue };
            // A sender that is gone means that the region stops.
            let _ = sender.subscribe().wait_for(|progress| progress.applied_sequence >= *last).await;
        }
    }

    fn start_applier(&mut self, until: &Until) -> Result<(), RegionError> {
        let apply = &self.config.region.apply;
        let config = self.config.clone();
        let mut progress = self.board.origins.clone();
        let mut origins: Vec<RegionName> = progress.keys().copied().collect();
        if self.board.tail.get().is_some() {
            origins.push(self.config.region.name);
            progress.insert(self.config.region.name, self.board.tail_progress.clone());
        }
        let setup = Setup {
            region: self.config.region.name,
            origins,
            tail: self.board.tail.get().map(|tail| tail.end),
            owner: self.owner,
            shared: self.board.shared.clone(),
            logs: self.board.logs.clone(),
            carries: self.scope.carries.clone(),
            ddl: self.scope.ddl.clone(),
            ddl_sources: self.ddl_sources(),
            policies: Arc::new(move |schema, table| {
                let chosen = config.mesh.policies.of(schema, table);
                TablePolicy { policy: chosen.policy.clone(), detect_only: chosen.detect_only }
            }),
            detect_only: self
                .board
                .origins
                .keys()
                .copied()
                .filter(|peer| self.config.mesh.policies.detect_only_between(self.config.region.name, *peer))
                .collect(),
            journal: self.board.conflicts.clone(),
            suspensions: self.board.suspensions.clone(),
            wishes: self.board.wishes.clone(),
            folds: {
                let apply = apply.clone();
                Arc::new(move |schema, table| apply.folds(schema, table))
            },
            limits: BatchLimits {
                transactions_max: apply.batch_transactions_max as usize,
                bytes_max: apply.batch_bytes_max.0 as usize,
            },
            lanes: apply.lanes,
            until: until.clone(),
            skew_us_max: self.config.mesh.clock_skew_max.as_micros(),
            wake: self.board.wake.clone(),
            now_us,
            shutdown: self.shutdown.clone(),
            progress,
        };
        let scheduler = Scheduler::new(setup, MySql(self.connect.clone()));
        let failed = RegionError::of("cannot start the applier's thread");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
        let board = self.board.clone();
        let thread = std::thread::Builder::new()
            .name("applier".into())
            .spawn(move || {
                let _report = PanicReport(board);
                if let Err(failure) = runtime.block_on(scheduler.run()) {
                    let halt = failure.into_halt();
                    tracing::error!("the applier is halted [{}]: {halt}", halt.code);
                }
            })
            .map_err(|e| failed(&e))?;
        self.threads.push(thread);
        Ok(())
    }
}

async fn bind(address: std::net::SocketAddr, key: &str) -> Result<TcpListener, RegionError> {
    TcpListener::bind(address).await.map_err(|e| {
        RegionError::new(format!(
            "cannot listen on {address} ({key}): {e}; another process has the port, or it is not this host's"
        ))
    })
}

/// How the extractor reaches the server.
fn replica_options(config: &Config, server: &server::Claimed) -> Result<ReplicaOptions, String> {
    use sha2::Digest;
    let mysql = &config.region.mysql;
    let tls = match mysql.tls {
        TlsMode::Disabled => ReplicaTls::Disabled,
        TlsMode::Preferred => ReplicaTls::Preferred,
        TlsMode::Required => ReplicaTls::Required,
        TlsMode::Verify => {
            let read = |file: &Path| std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()));
            ReplicaTls::Verify { ca: mysql.ca.as_deref().map(read).transpose()?, hostname: true }
        }
    };
    let digest =
        sha2::Sha256::digest(format!("replica uuid\n{}\n{}\n", config.mesh.name, config.region.name));
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest[..16]);
    let named = || (mysql.host.clone(), mysql.port);
    let (host, port) = server.address().cloned().unwrap_or_else(named);
    Ok(ReplicaOptions {
        host,
        port,
        user: mysql.user.clone(),
        password: mysql.password().map_err(|e| e.to_string())?.reveal().to_owned(),
        server_id: config.server_id(),
        replica_uuid: transaction::Uuid(uuid).to_string(),
        tls,
        ..ReplicaOptions::default()
    })
}

/// Tells status and alerts if the applier ends by a panic: nobody else would.
struct PanicReport(Arc<Board>);

impl Drop for PanicReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let halt = PANICKED.halt("the applier ended by a panic; please report it, and restart concord");
            tracing::error!("the applier is halted [{}]: {halt}", halt.code);
            for sender in self.0.origins.values().chain([&self.0.tail_progress]) {
                sender.send_modify(|progress| progress.state = applier::State::Halted(halt.clone()));
            }
        }
    }
}
