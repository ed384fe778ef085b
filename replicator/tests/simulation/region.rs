//! A region's process: started as `concord run` starts one, over simulated parts; and its death.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use applier::ddl::{self, DdlPolicy, DdlSources};
use applier::effect::Carries;
use applier::feed::BatchLimits;
use applier::journal::{Entry, Journal};
use applier::tables::Applied;
use applier::target::{Connector, Target};
use applier::{OriginProgress, Scheduler, Setup, Shared, SqlFailure, State, Wish, Wishes};
use log_store::{Identity, Log, Options, Store};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_local};
use transaction::{Epoch, GtidSet, Halt, Hlc, RecordNumber, RegionName, Sequence};

use super::super::board::{Board, ExtractorProgress};
use super::super::failover::Tail;
use super::super::journal::ConflictJournal;
use super::super::life::{Fork, Life};
use super::super::logs::LogSet;
use super::super::quota::Quota;
use super::super::writes::{Scope, Writes};
use super::super::{rebuild, recovery, resume, retention, spill};
use super::clock;
use super::extraction::{self, RegionSink};
use super::link;
use super::mesh::Mesh;
use super::mistake::Mistake;
use super::schema::{policy, weigh, weights};
use super::server::Server;
use super::session::Connection;
use super::trace::trace;

/// A running region.
pub(crate) struct Process {
    pub(crate) board: Arc<Board>,
    pub(crate) progress: BTreeMap<RegionName, watch::Sender<OriginProgress>>,
    /// Told of every durable record. (Whoever waits on a `watch` is woken in an order that no seed decides.)
    pub(crate) wake: Arc<Notify>,
    wishes: Arc<Wishes>,
    tasks: Vec<JoinHandle<()>>,
    _shutdown: watch::Sender<bool>,
}

/// The conflict journal of a region: ids only. It is as durable as it claims.
#[derive(Debug, Default)]
pub(crate) struct Ids(pub(crate) Mutex<BTreeSet<String>>);

impl Journal for Ids {
    fn write(&self, entries: &[Entry]) -> Result<(), Halt> {
        self.0.lock().extend(entries.iter().map(|entry| entry.id.clone()));
        Ok(())
    }

    fn withdraw(&self, ids: &[String]) -> Result<(), Halt> {
        let mut held = self.0.lock();
        for id in ids {
            held.remove(id);
        }
        Ok(())
    }
}

impl Process {
    /// Whether a failover lost something that is not back.
    pub(crate) fn lacks_tail(&self, server: &Server, name: RegionName) -> bool {
        self.board.tail.get().is_some_and(|tail| server.applied_to(name) < tail.end)
    }

    /// Whether all that clients have committed is in the log, durably.
    pub(crate) fn has_logged_all(&self, server: &Server) -> bool {
        let passed = *self.board.shared.passed.borrow();
        let own = &self.board.logs.own().log;
        (passed.file, passed.offset) == server.binlog(|binlog| (binlog.file, binlog.offset))
            && own.durable() == own.last_appended()
    }

    /// What keeps an origin from being applied for good.
    pub(crate) fn halts(&self) -> Vec<String> {
        let halted = |(origin, progress): (&RegionName, &watch::Sender<OriginProgress>)| match &progress
            .borrow()
            .state
        {
            State::Halted(halt) => Some(format!("origin {origin}: {halt}")),
            _ => None,
        };
        self.progress.iter().filter_map(halted).collect()
    }

    /// A person wishes something of the lane.
    pub(crate) fn wish(&self, wish: Wish) {
        let answer = self.wishes.add(wish);
        // Someone listens, or to skip would not be wished any more.
        spawn_local(async move {
            let said = answer.await;
            trace(|| format!("a wish comes to {said:?}"));
        });
        self.wake.notify_waiters();
    }

    /// Everything in memory is gone when this returns.
    pub(crate) async fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// Tasks that end if the start of their region is broken off.
#[derive(Default)]
struct Begun(Vec<JoinHandle<()>>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Starts a region; the error is why it does not come up.
pub(crate) async fn start(mesh: &Rc<Mesh>, place: usize) -> Result<Process, String> {
    let region = mesh.names[place];
    let peers: Vec<RegionName> = mesh.names.iter().copied().filter(|name| *name != region).collect();
    let server = mesh.servers[place].clone();
    let disk = Arc::new(mesh.disks.borrow()[place].clone());
    let identity = Identity { mesh: "m".to_owned(), region };
    let options = Options { segment_bytes: mesh.shape.segment_bytes, drop_unfinished_chain: true };
    let store = Store::open_on(disk, Path::new("/data"), identity, options).map_err(|e| e.to_string())?;
    let wake = Arc::new(Notify::new());
    let logs = LogSet::open(&store, region, mesh.names.iter().copied(), &wake).map_err(|e| e.to_string())?;
    let index = conflict::Index::new(&mesh.names, region).map_err(|e| e.to_string())?;
    let (runs, _) = spill::open(&store, 4 << 20).map_err(|e| e.to_string())?;
    let index = index.spilling(runs, conflict::SpillLimits::within(mesh.shape.history_bytes));
    let shared = Arc::new(Shared::new(index, weights()));
    let wishes: Arc<Wishes> = Arc::default();
    let progress: BTreeMap<RegionName, watch::Sender<OriginProgress>> =
        peers.iter().map(|peer| (*peer, watch::Sender::new(OriginProgress::default()))).collect();
    let board = Arc::new(Board {
        region,
        peers: peers.clone(),
        lost: Mutex::default(),
        mesh: "m".to_owned(),
        fingerprint: String::new(),
        server: Arc::default(),
        tail: std::sync::OnceLock::new(),
        tail_progress: watch::Sender::default(),
        extractor: watch::Sender::new(ExtractorProgress::default()),
        origins: progress.clone(),
        pulls: Mutex::default(),
        heard: Mutex::default(),
        logs: Arc::new(logs),
        quota: Quota(u64::MAX),
        conflicts: Arc::new(ConflictJournal::open(&store).map_err(|e| e.to_string())?),
        suspensions: watch::Sender::default(),
        wishes: wishes.clone(),
        shared: shared.clone(),
        wake: wake.clone(),
    });
    let carries: Carries = Arc::new(|schema, _| schema == "s");
    let scope = Scope { carries: carries.clone(), ddl: ddl::always(DdlPolicy::Halt) };
    let ddl_sources: DdlSources = Arc::new(|_| Default::default());
    settle_damage(mesh, place, &board)?;
    mesh.recognise(place, &board.logs);

    let connection = || Connection {
        server: server.clone(),
        orphans: mesh.orphans[place].clone(),
        mistake: mesh.mistake,
        lost_permille: mesh.shape.lost_permille,
    };
    let (mut markers, suspensions) = loop {
        let read = async {
            let mut session = connection().connect().await?;
            Ok::<_, SqlFailure>((session.markers().await?, session.suspensions().await?))
        };
        match read.await {
            Ok(read) => break read,
            Err(_) => mesh.dice.pause(50).await,
        }
    };

    let failed = move |mesh: &Rc<Mesh>, reason: String| mesh.fail(format!("region {region}: {reason}"));
    let mut begun = Begun::default();
    for origin in (0..mesh.names.len()).filter(|origin| *origin != place) {
        let (mesh, board) = (mesh.clone(), board.clone());
        begun.0.push(spawn_local(async move {
            let reason = link::pull(&mesh, place, origin, &board).await;
            failed(&mesh, reason);
        }));
    }
    while mesh.mistake != Some(Mistake::ForgottenCopies)
        && !mesh.failed()
        && recovery::lacking(&board.logs, &markers).map_err(|error| error.reason)?.is_some()
    {
        mesh.dice.pause(50).await;
    }

    let own = board.logs.own().log.clone();
    if let Some(tail) = meet_server(mesh, &server, region, &own, &mut markers)? {
        let _ = board.tail.set(tail);
    }
    let tail = board.tail.get().copied();
    let held = match mesh.mistake {
        Some(Mistake::LostCounts) => extractor::Held {
            context: mesh.names.iter().map(|name| (*name, Sequence(u64::MAX))).collect(),
            tail: None,
            unsure_until: None,
        },
        _ => extractor::Held {
            context: held_elsewhere(&markers, region).collect(),
            tail: tail.map(|tail| (tail.applied, tail.end)),
            unsure_until: Some(server.binlog(|binlog| (binlog.file, binlog.offset))),
        },
    };
    let from_log =
        || resume::from_log(&own, region, Epoch(1), true, peers.clone(), held.clone(), &ddl_sources);
    let resumed = match from_log().map_err(|halt| halt.reason)? {
        Some(resumed) => resumed,
        None => {
            let beginning = resume::Beginning {
                number: RecordNumber(1),
                last_sequence: Sequence(0),
                hlc: Hlc(0),
                lineage: resume::first_lineage(Epoch(1)),
                context: transaction::Context::new(),
                suspended: transaction::Suspended::default(),
                executed: GtidSet::new(),
                wall_us: clock::read(place),
            };
            beginning.write(&own).map_err(|e| e.to_string())?;
            from_log().map_err(|halt| halt.reason)?.ok_or("no position record after a first start")?
        }
    };

    if mesh.mistake != Some(Mistake::ForgetfulRestart) {
        let mut applied: rebuild::Applied = held_elsewhere(&markers, region).collect();
        applied.push((region, Sequence(u64::MAX)));
        let mut ask = async |needs| {
            shared.weights.write().learn(weigh(needs));
            Ok(())
        };
        let suspended = suspensions.into_iter().map(|suspension| suspension.table).collect();
        let rebuilt =
            rebuild::rebuild(&board.logs, &applied, tail, &shared, &scope, &suspended, &mut ask).await;
        rebuilt.map_err(|halt| halt.reason)?;
    }

    let (stop, shutdown) = watch::channel(false);
    let dirty = Rc::new(Notify::new());
    let sink = RegionSink {
        region,
        log: own.clone(),
        dirty: dirty.clone(),
        shared: shared.clone(),
        scope: scope.clone(),
        writes: Writes::default(),
    };
    let (schema, owner) = (mesh.schema.clone(), mesh.names[0]);
    let setup = Setup {
        region,
        origins: peers.iter().copied().chain(tail.map(|_| region)).collect(),
        tail: tail.map(|tail| tail.end),
        owner: mesh.dice.next() | 1,
        shared: shared.clone(),
        logs: board.logs.clone(),
        carries,
        ddl: scope.ddl,
        ddl_sources,
        policies: {
            let table: BTreeMap<&str, _> =
                schema.tables.iter().map(|t| (t.name, policy(&schema, t.name, owner))).collect();
            Arc::new(move |_, name| table[name].clone())
        },
        detect_only: BTreeSet::new(),
        journal: mesh.journals[place].clone(),
        folds: {
            let folds = mesh.shape.folds;
            Arc::new(move |_, _| folds)
        },
        limits: BatchLimits { transactions_max: mesh.shape.batch_max, bytes_max: 1 << 20 },
        lanes: mesh.shape.lanes,
        until: BTreeMap::new(),
        skew_us_max: 5_000_000,
        wake: wake.clone(),
        now_us: clock::reader(place),
        shutdown: shutdown.clone(),
        suspensions: watch::Sender::default(),
        wishes: wishes.clone(),
        progress: {
            let own = tail.map(|_| (region, board.tail_progress.clone()));
            progress.clone().into_iter().chain(own).collect()
        },
    };

    let mut tasks = std::mem::take(&mut begun.0);
    {
        let (mesh, server) = (mesh.clone(), server.clone());
        let extracted = extraction::extract(server, resumed, sink, mesh.shape.chunk_len);
        tasks.push(spawn_local(async move { failed(&mesh, extracted.await) }));
    }
    {
        let mesh = mesh.clone();
        let synced = extraction::sync(server.clone(), own, dirty);
        tasks.push(spawn_local(async move { failed(&mesh, synced.await) }));
    }
    {
        let (mesh, lane) = (mesh.clone(), Scheduler::new(setup, connection()));
        tasks.push(spawn_local(async move {
            if let Err(error) = lane.run().await {
                failed(&mesh, error.to_string());
            }
        }));
    }
    tasks.push(spawn_local(retention::prune(board.clone(), shutdown)));
    Ok(Process { board, progress, wake, wishes, tasks, _shutdown: stop })
}

fn held_elsewhere(markers: &[Applied], region: RegionName) -> impl Iterator<Item = (RegionName, Sequence)> {
    let others = markers.iter().filter(move |marker| marker.origin != region);
    others.map(|marker| (marker.origin, marker.sequence))
}

/// Begins the next incarnation if the server lacks something; as the region does it.
fn meet_server(
    mesh: &Mesh,
    server: &Server,
    region: RegionName,
    own: &Arc<Log>,
    markers: &mut Vec<Applied>,
) -> Result<Option<Tail>, String> {
    let Some(mut life) = Life::read(own).map_err(|e| e.to_string())? else { return Ok(None) };
    let executed = server.binlog(|binlog| binlog.executed.clone());
    let missing = life.held.minus(&executed);
    if !missing.is_empty() {
        let marker = markers.iter().find(|marker| marker.origin == region);
        let back = marker.map(|marker| marker.sequence).unwrap_or_default();
        let Fork { sequence, record, hlc } =
            Fork::find(own, &executed, back, back >= life.previous_sequence)?;
        mesh.note(format!("{region} goes on after {sequence} of {}", life.sequence));
        server.set_marker(region, sequence, record, hlc);
        markers.retain(|marker| marker.origin != region);
        markers.push(Applied { origin: region, sequence, record, hlc });
        life.begin_next(own, &missing, Epoch(1)).map_err(|e| e.to_string())?;
        life = Life::read(own).map_err(|e| e.to_string())?.ok_or("the log has no position")?;
    }
    let own = markers.iter().find(|marker| marker.origin == region);
    let lacks = own.filter(|own| own.sequence < life.previous_sequence);
    Ok(lacks.map(|own| Tail { applied: own.sequence, end: life.previous_sequence }))
}

/// A last record that is not intact: as the region does it, if no peer holds it.
fn settle_damage(mesh: &Mesh, place: usize, board: &Board) -> Result<(), String> {
    for (origin, entry) in board.logs.iter() {
        let Some(damage) = entry.log.recovery().damaged_last else { continue };
        mesh.note(format!("{}: log of {origin}: {}", mesh.names[place], entry.log.recovery()));
        let own = origin == mesh.names[place];
        if own && mesh.held_elsewhere(place) >= damage.number {
            return Err(format!("record {} of its own log is damaged, and a peer holds it", damage.number));
        }
        if !own && !mesh.shape.forgive_damaged_copies {
            return Err(format!(
                "its copy of the log of {origin} ends in a damaged record: {}",
                damage.reason
            ));
        }
        entry.log.drop_damaged_last().map_err(|e| e.to_string())?;
    }
    Ok(())
}
