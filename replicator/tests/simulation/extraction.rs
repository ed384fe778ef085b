//! A region's extractor over the binlog of its simulated server, with the sink of a region.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use applier::code::INTERNAL_ERROR;
use applier::{Passed, Shared};
use extractor::{Extractor, Place, Progress, Resume, Sink, Stamp};
use log_store::Log;
use tokio::sync::Notify;
use transaction::{Halt, Hlc, RegionName, RepairPlace, Sequence, Suspended};

use super::super::writes::{Scope, Stamps, Untaken, Writes};
use super::binlog::{Binlog, Group};
use super::clock;
use super::schema::weigh;
use super::server::Server;

/// Now and then the extractor stands still, for longer than a lane waits for it.
const STALL_MS: u64 = 6_000;

/// Takes what the extractor makes, as a running region does.
pub(crate) struct RegionSink {
    pub(crate) region: RegionName,
    pub(crate) log: Arc<Log>,
    pub(crate) dirty: Rc<Notify>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) scope: Scope,
    pub(crate) writes: Writes,
}

impl RegionSink {
    fn collect(&mut self, stamp: &Stamp, events: &[u8], checksums: bool) -> Result<(), Halt> {
        loop {
            let (apart, scope) = ([&stamp.suspended], &self.scope);
            let needs = self.writes.collect(events, checksums, &self.shared, scope, &apart, &mut |_| {});
            let needs = needs.map_err(Untaken::in_binlog)?;
            if needs.is_empty() {
                return Ok(());
            }
            self.shared.weights.write().learn(weigh(needs));
        }
    }

    fn insert(&mut self, stamp: &Stamp, repairs: &[RepairPlace]) -> Result<(), Halt> {
        let Stamp { sequence, hlc, context, suspended } = stamp;
        let (origin, sequence, hlc) = (self.region, *sequence, *hlc);
        let stamps = Stamps { origin, sequence, hlc, context, suspended, repairs };
        let mut index = self.shared.index.lock();
        let mut tables = self.shared.tables.lock();
        self.writes.insert_into(&mut index, &mut tables, &stamps, &Suspended::default())
    }
}

impl Sink for RegionSink {
    fn writes(&mut self, stamp: &Stamp, events: &[u8], checksums: bool, last: bool) -> Result<(), Halt> {
        self.collect(stamp, events, checksums)?;
        if last { self.insert(stamp, &[]) } else { Ok(()) }
    }

    fn repairs(&mut self, stamp: &Stamp, places: &[RepairPlace], events: &[u8]) -> Result<(), Halt> {
        self.collect(stamp, events, false)?;
        self.insert(stamp, places)
    }

    fn hlc(&mut self, _: RegionName, _: Sequence) -> Result<Hlc, Halt> {
        Err(INTERNAL_ERROR.halt("the simulated servers know no DDL"))
    }

    fn spool(&mut self) -> Result<Box<dyn extractor::Spool>, Halt> {
        Err(INTERNAL_ERROR.halt("the simulated servers know no XA"))
    }

    fn forget(&mut self) {
        self.writes = Writes::default();
    }

    fn append(&mut self, record: &[u8]) -> Result<(), Halt> {
        self.log.append(record)?;
        self.dirty.notify_one();
        Ok(())
    }

    fn passed(&mut self, progress: Progress<'_>) {
        let Progress { place, stamper, held, .. } = progress;
        // A tail that is missing has seen less than is claimed: until it is back, who applies it tells the index.
        if held.tail.is_none() {
            let claim = held.of(&stamper.suspended.claim(&stamper.context));
            self.shared.index.lock().observe(self.region, &claim, stamper.last_sequence).unwrap();
        }
        let passed = Passed { sequence: stamper.last_sequence, ..Passed::new(&place.file, place.offset) };
        self.shared.passed.send_replace(passed);
    }
}

/// Reads the server's binlog until the region stops; returns why it cannot go on.
pub(crate) async fn extract(
    server: Rc<Server>,
    resume: Resume,
    sink: RegionSink,
    chunk_len: usize,
) -> String {
    let limits = extractor::Limits { chunk_len, ..extractor::Limits::default() };
    let mut extractor = Extractor::new(resume, sink).with_limits(limits);
    loop {
        server.dice.pause(20).await;
        if let Some(epoch) = server.connect()
            && let Err(reason) = read(&server, &mut extractor, epoch).await
        {
            return reason;
        }
        extractor.reconnect();
    }
}

/// One connection, until it breaks.
async fn read(server: &Server, extractor: &mut Extractor<RegionSink>, epoch: u64) -> Result<(), String> {
    let held = extractor.held();
    let missing = server.binlog(|binlog| held.minus(&binlog.executed));
    if !missing.is_empty() {
        return Err(format!("the server lacks transactions that the log holds: {missing}"));
    }
    let executed = extractor.executed().clone();
    let mut next = 0;
    let mut file = 0;
    // How long this connection keeps the extractor back.
    let slow_ms = *server.dice.pick(&[0, 0, 1, 5, 40]);
    loop {
        let committed = server.committed.notified();
        if !server.is_current(epoch) {
            return Ok(());
        }
        let (group, newest): (Option<Group>, u64) =
            server.binlog(|binlog| (binlog.groups.get(next).cloned(), binlog.file));
        let wall_us = clock::read(server.place);
        let fail = |e: extractor::ExtractError| e.to_string();
        // Each file begins with an event of its own, also one that holds nothing yet.
        let due = group.as_ref().map_or(newest, |group| group.file);
        if due != file {
            file = due;
            let raw = Binlog::beginning();
            let offset = 4 + raw.len() as u64;
            extractor.on_event(&raw, true, Place { file: name(file), offset }, wall_us).map_err(fail)?;
        }
        let Some(group) = group else {
            extractor.on_idle(wall_us).map_err(fail)?;
            let _ = tokio::time::timeout(Duration::from_millis(200), committed).await;
            continue;
        };
        next += 1;
        if executed.contains(group.gtid) {
            continue;
        }
        for (raw, offset) in group.events {
            server.dice.pause(if server.dice.below(1000) == 0 { STALL_MS } else { slow_ms }).await;
            if !server.is_current(epoch) || server.dice.below(2000) == 0 {
                return Ok(());
            }
            let place = Place { file: name(group.file), offset };
            extractor.on_event(&raw, true, place, clock::read(server.place)).map_err(fail)?;
        }
    }
}

fn name(file: u64) -> String {
    format!("binlog.{file:06}")
}

/// Makes the own log durable some time after something was appended.
pub(crate) async fn sync(server: Rc<Server>, log: Arc<Log>, dirty: Rc<Notify>) -> String {
    loop {
        dirty.notified().await;
        server.dice.pause(4).await;
        if let Err(error) = log.sync() {
            return error.to_string();
        }
    }
}
