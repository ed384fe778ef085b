//! One run: all regions, their servers, disks and links, what goes wrong, and the wait until it is quiet.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use applier::{State, Wish};
use log_store::disk::SimulatedDisk;
use tokio::task::{LocalSet, spawn_local};
use transaction::{KeyHash, RecordNumber, RegionName};

use super::super::logs::LogSet;
use super::archive::Archive;
use super::client::{self, Ledger};
use super::clock;
use super::dice::Dice;
use super::faults;
use super::mistake::Mistake;
use super::orphan::Orphans;
use super::region::{self, Ids, Process};
use super::schema::{NAME, Schema, int};
use super::server::Server;
use super::shape::Shape;
use super::trace::trace;
use super::verdict;

const NAMES: [&str; clock::REGIONS_MAX] = ["ap", "eu", "sa", "us"];

pub(crate) struct Mesh {
    pub(crate) names: Vec<RegionName>,
    pub(crate) schema: Rc<Schema>,
    pub(crate) shape: Shape,
    pub(crate) dice: Dice,
    pub(crate) mistake: Option<Mistake>,
    pub(crate) servers: Vec<Rc<Server>>,
    pub(crate) orphans: Vec<Rc<Orphans>>,
    pub(crate) disks: RefCell<Vec<SimulatedDisk>>,
    pub(crate) journals: Vec<Arc<Ids>>,
    pub(crate) processes: RefCell<Vec<Option<Process>>>,
    pub(crate) archives: RefCell<Vec<Archive>>,
    pub(crate) ledger: RefCell<Ledger>,
    /// Pairs of regions that cannot reach each other now.
    pub(crate) cut: RefCell<BTreeSet<(usize, usize)>>,
    runs: Cell<usize>,
    pub(crate) failovers: Cell<usize>,
    notes: RefCell<Vec<String>>,
    failure: RefCell<Option<String>>,
}

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of all binlogs, logs and rows: equal for equal seeds.
    pub(crate) digest: u128,
    pub(crate) transactions: usize,
    pub(crate) conflicts: usize,
    pub(crate) repairs: usize,
    /// Most runs that histories had moved to at one time, where it was looked.
    pub(crate) runs: usize,
    pub(crate) failovers: usize,
}

impl Mesh {
    fn new(seed: u64, mistake: Option<Mistake>) -> Self {
        let dice = Dice::new(seed);
        let schema = Rc::new(Schema::new());
        let mut shape = Shape::new(&dice, schema.tables.len());
        match mistake {
            Some(mistake) => shape.show(mistake),
            None => {
                shape.perhaps_far_off(seed);
                shape.perhaps_fails_over(seed);
                shape.perhaps_lies(seed);
            }
        }
        let count = shape.regions;
        let names: Vec<RegionName> =
            NAMES[..count].iter().map(|name| RegionName::new(name).unwrap()).collect();
        let servers: Vec<Rc<Server>> = (0..count)
            .map(|place| Rc::new(Server::new(place, schema.clone(), dice.clone(), shape.tags)))
            .collect();
        for (place, server) in servers.iter().enumerate() {
            for (other, name) in names.iter().enumerate() {
                if other != place {
                    server.seed_marker(*name);
                }
            }
            for (table, layout) in schema.tables.iter().enumerate() {
                if layout.tally {
                    (0..shape.keys).for_each(|id| server.seed_row(table, vec![int(id as i64), int(0)]));
                }
            }
        }
        Self {
            names,
            schema,
            dice,
            mistake,
            orphans: (0..count).map(|_| Rc::default()).collect(),
            disks: RefCell::new((0..count).map(|_| SimulatedDisk::new()).collect()),
            journals: (0..count).map(|_| Arc::default()).collect(),
            processes: RefCell::new((0..count).map(|_| None).collect()),
            archives: RefCell::new((0..count).map(|_| Archive::default()).collect()),
            ledger: RefCell::default(),
            cut: RefCell::default(),
            runs: Cell::new(0),
            failovers: Cell::new(0),
            notes: RefCell::default(),
            failure: RefCell::default(),
            servers,
            shape,
        }
    }

    /// The run has failed; the first reason counts.
    pub(crate) fn fail(&self, reason: String) {
        self.note(format!("FAILED: {reason}"));
        self.failure.borrow_mut().get_or_insert(reason);
    }

    /// For the trace.
    pub(crate) fn note(&self, what: String) {
        trace(|| what.clone());
        self.notes.borrow_mut().push(what);
    }

    pub(crate) fn failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Whether `one` can pull from `other`.
    pub(crate) fn linked(&self, one: usize, other: usize) -> bool {
        let pair = (one.min(other), one.max(other));
        !self.cut.borrow().contains(&pair) && self.processes.borrow()[other].is_some()
    }

    /// The last record of the log of `place` that any other region holds, up or not.
    pub(crate) fn held_elsewhere(&self, place: usize) -> RecordNumber {
        let origin = self.names[place];
        let processes = self.processes.borrow();
        let held = processes.iter().enumerate().filter(|(other, _)| *other != place);
        held.filter_map(|(_, process)| Some(process.as_ref()?.board.logs.get(origin).log.durable()))
            .max()
            .unwrap_or_default()
    }

    /// Holds a region's own log against what it was before a restart.
    pub(crate) fn recognise(&self, place: usize, logs: &LogSet) {
        let compared = self.archives.borrow_mut()[place].compare(&logs.own().log, RecordNumber(1));
        if let Err(reason) = compared {
            self.fail(reason);
        }
    }

    /// Archives what is durable of a region's own log.
    pub(crate) fn archive_own(&self, place: usize, logs: &LogSet) {
        if let Err(reason) = self.archives.borrow_mut()[place].take(&logs.own().log) {
            self.fail(reason);
        }
    }

    /// Archives what is durable of every region's own log.
    pub(crate) fn archive(&self) {
        for (place, process) in self.processes.borrow().iter().enumerate() {
            if let Some(process) = process {
                let runs = process.board.shared.index.lock().stats().runs;
                self.runs.set(self.runs.get().max(runs));
                self.archive_own(place, &process.board.logs);
            }
        }
    }

    pub(crate) async fn start(self: &Rc<Self>, place: usize) {
        self.note(format!("{} starts", self.names[place]));
        match region::start(self, place).await {
            Ok(process) => self.processes.borrow_mut()[place] = Some(process),
            Err(reason) => self.fail(format!("region {} does not start: {reason}", self.names[place])),
        }
    }

    async fn play(self: Rc<Self>) {
        for place in 0..self.names.len() {
            spawn_local(self.orphans[place].clone().reap(self.servers[place].clone()));
            self.start(place).await;
        }
        let mut clients = Vec::new();
        for place in 0..self.names.len() {
            for _ in 0..self.shape.clients {
                clients.push(spawn_local(client::work(self.clone(), place)));
            }
        }
        let faults = spawn_local(faults::cause(self.clone()));
        for client in clients {
            client.await.unwrap();
        }
        faults.abort();
        let _ = faults.await;
        // What it had begun to start is gone before it is started anew.
        tokio::time::sleep(Duration::from_millis(1)).await;
        faults::mend(&self).await;
        self.settle().await;
    }

    /// Waits until every region has applied everything.
    async fn settle(&self) {
        const WAIT_S: u64 = 900;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(WAIT_S);
        let mut quiet = 0;
        while quiet < 3 && !self.failed() {
            tokio::time::sleep(Duration::from_millis(400)).await;
            self.archive();
            let busy = self.busy();
            self.accept_skew();
            quiet = if busy.is_none() { quiet + 1 } else { 0 };
            if tokio::time::Instant::now() > deadline {
                self.fail(format!("not quiet after {WAIT_S} s: {busy:?}"));
            }
        }
    }

    /// A person does what the status says where stamps are ahead of a clock by an hour.
    fn accept_skew(&self) {
        for process in self.processes.borrow().iter().flatten() {
            for (origin, progress) in &process.progress {
                let state = progress.borrow().state.clone();
                if matches!(state, State::Waiting { reason } if reason.ends_with(&format!("concord accept-skew {origin}")))
                {
                    process.wish(Wish::AcceptSkew { origin: *origin });
                }
            }
        }
    }

    /// What is still to be done.
    fn busy(&self) -> Option<String> {
        for (process, name) in self.processes.borrow().iter().zip(&self.names) {
            if let Some(halt) = process.iter().flat_map(Process::halts).next() {
                self.fail(format!("region {name} is halted: {halt}"));
            }
        }
        for (place, process) in self.processes.borrow().iter().enumerate() {
            let name = self.names[place];
            let Some(process) = process else { return Some(format!("{name} is down")) };
            if let Some(suspended) = self.servers[place].suspensions().list().first() {
                let table = &suspended.table.table;
                process.wish(Wish::Resume { schema: NAME.to_owned(), table: table.clone(), decide: None });
                return Some(format!("{name} has {table} suspended"));
            }
            if process.lacks_tail(&self.servers[place], name) {
                return Some(format!("{name} lacks a tail of its own log"));
            }
            let end = self.servers[place].binlog(|binlog| (binlog.file, binlog.offset));
            let passed = *process.board.shared.passed.borrow();
            if (passed.file, passed.offset) < end {
                return Some(format!("{name} extracts: {passed:?} of {end:?}"));
            }
            let own = &process.board.logs.own().log;
            if own.durable() < own.last_appended() {
                return Some(format!("{name} syncs"));
            }
            let last = own.tail().last_sequence;
            for (other, there) in self.servers.iter().enumerate().filter(|(other, _)| *other != place) {
                let applied = there.applied_to(name);
                if applied < last {
                    let state = self.processes.borrow()[other]
                        .as_ref()
                        .map(|process| format!("{:?}", process.progress[&name].borrow().state));
                    let there = self.names[other];
                    return Some(format!("{there} applied {applied} of {last} of {name}: {state:?}"));
                }
            }
        }
        None
    }

    fn digest(&self) -> u128 {
        let mut all = Vec::new();
        for server in &self.servers {
            let groups: Vec<_> = server.binlog(|binlog| binlog.groups.clone());
            groups.iter().flat_map(|group| &group.events).for_each(|(event, _)| all.extend(event));
            all.extend(format!("{:?}", server.rows()).into_bytes());
        }
        self.archives.borrow().iter().flat_map(|a| a.records.values()).for_each(|bytes| all.extend(bytes));
        KeyHash::of(&all).0
    }
}

/// Plays the run of a seed; the error says what is wrong, with the trace.
pub(crate) fn run(seed: u64, mistake: Option<Mistake>) -> Result<Outcome, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        clock::start();
        let mesh = Rc::new(Mesh::new(seed, mistake));
        for place in 0..mesh.names.len() {
            faults::set_clock(&mesh, place);
        }
        trace(|| format!("seed {seed}: {:?}", mesh.shape));
        mesh.clone().play().await;
        if !mesh.failed() {
            for reason in verdict::of(&mesh) {
                mesh.fail(reason);
            }
        }
        let outcome = Outcome {
            digest: mesh.digest(),
            transactions: mesh.ledger.borrow().committed,
            conflicts: mesh.journals.iter().map(|journal| journal.0.lock().len()).sum(),
            repairs: verdict::repairs(&mesh),
            runs: mesh.runs.get(),
            failovers: mesh.failovers.get(),
        };
        let processes: Vec<Process> =
            mesh.processes.borrow_mut().iter_mut().filter_map(Option::take).collect();
        for process in processes {
            process.kill().await;
        }
        let failure = mesh.failure.borrow().clone();
        match failure {
            None => Ok(outcome),
            Some(reason) => {
                let notes: BTreeMap<usize, String> =
                    mesh.notes.borrow().iter().cloned().enumerate().collect();
                let last: Vec<String> = notes.into_values().rev().take(12).collect();
                Err(format!("{reason}\n  shape: {:?}\n  last notes, newest first: {last:#?}", mesh.shape))
            }
        }
    })
}
