//! From binlog events to stamped records: the assembly of transactions and the fold over them.

use std::collections::VecDeque;

use transaction::binlog::{Event, EventError, EventKind, GtidEvent, Tables, for_each_event};
use transaction::record::{Body, Lineage, PositionBody};
use transaction::{Context, Gtid, GtidSet, Halt, Hlc, RecordNumber, RegionName, RepairPlace, Sequence, Uuid};

use crate::error::{ExtractError, Place};
use crate::group::{Group, GroupKind, Reading, Xa};
use crate::stamp::{Held, Stamp, Stamper};
use crate::xa::{Pending, Spool};

mod commit;
mod whole;

/// Bounds of what the extractor holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events of one transaction beyond this many bytes go to the log as a chunk.
    pub chunk_len: usize,
    /// A longer event halts: its text would not fit the largest packet of a target.
    pub event_len_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { chunk_len: 1 << 20, event_len_max: 700 << 20 }
    }
}

/// Who gets what the extractor makes.
pub trait Sink {
    /// Events of a local transaction, in order; in several calls if it is large, of which `last` marks the last. Its
    /// writes are to be in the history index before [`Sink::passed`] says that the extractor is beyond them.
    fn writes(&mut self, stamp: &Stamp, events: &[u8], checksums: bool, last: bool) -> Result<(), Halt>;
    /// The repairs of an applied transaction, which are a record of their own. `events` has a Table_map and a Rows event for
    /// each, without checksums; `places` says for each, in order, where it stands in the fold order. To be in the history
    /// index before [`Sink::passed`] as well.
    fn repairs(&mut self, stamp: &Stamp, places: &[RepairPlace], events: &[u8]) -> Result<(), Halt>;
    /// The stamp of another origin's transaction, which was applied here and so is in this region's copy of that log.
    fn hlc(&mut self, origin: RegionName, sequence: Sequence) -> Result<Hlc, Halt>;
    /// A place for events of an XA transaction that is too large for memory and not committed yet.
    fn spool(&mut self) -> Result<Box<dyn Spool>, Halt>;
    /// The transaction whose events came last will come again from its beginning: the connection broke.
    fn forget(&mut self);
    /// One encoded record; numbers are dense. Not yet durable when this returns.
    fn append(&mut self, record: &[u8]) -> Result<(), Halt>;
    /// Everything up to `progress` has been handed over.
    fn passed(&mut self, progress: Progress<'_>);
}

/// How far the extractor has read.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// End of the last event of a whole transaction.
    pub place: &'a Place,
    /// State of the stamps.
    pub stamper: &'a Stamper,
    /// What the server holds of what the stamps claim.
    pub held: &'a Held,
    /// Last record handed over.
    pub last_record: RecordNumber,
    /// The last position record handed over, if there is one.
    pub restart: Option<&'a Restart>,
}

/// What a restart from a position record needs of the binlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// The position record.
    pub record: RecordNumber,
    /// The first binlog file that is needed: where the position is, or an earlier one with an XA transaction that is still
    /// prepared.
    pub file: String,
}

/// Where to go on: what the log's tail says.
#[derive(Debug, Clone)]
pub struct Resume {
    /// This region.
    pub region: RegionName,
    /// Incarnation and epoch for new records.
    pub lineage: Lineage,
    /// Executed GTID set of the last position record: where the dump begins.
    pub executed: GtidSet,
    /// Stamps as of that position record.
    pub stamper: Stamper,
    /// What the server held when it was read, at that position or later.
    pub held: Held,
    /// Transactions and repairs that the log holds after it, oldest first. A repair has the GTID of the transaction that it
    /// was made in.
    pub logged: VecDeque<(Sequence, Gtid)>,
    /// The next record's number.
    pub next_record: RecordNumber,
    /// Whether `[mesh]` lets this region write.
    pub may_write: bool,
    /// Other regions of the mesh, whose names may be tags of applied work.
    pub peers: Vec<RegionName>,
    /// Under which UUIDs their DDL runs here; the number of such a GTID is the sequence number.
    pub ddl_sources: Vec<(Uuid, RegionName)>,
}

/// The assembly of transactions and the fold over them. Pure but for its [`Sink`].
pub struct Extractor<S> {
    resume: Resume,
    sink: S,
    tables: Tables,
    group: Option<Group>,
    /// XA transactions that are prepared.
    prepared: Pending,
    place: Place,
    position_due: bool,
    transactions_since_position: u32,
    position_wall_us: u64,
    restart: Option<Restart>,
    record: Vec<u8>,
    limits: Limits,
}

impl<S: Sink> Extractor<S> {
    /// An extractor that goes on where `resume` says.
    pub fn new(resume: Resume, sink: S) -> Self {
        Self {
            resume,
            sink,
            tables: Tables::default(),
            group: None,
            prepared: Pending::default(),
            place: Place::default(),
            position_due: true,
            transactions_since_position: 0,
            position_wall_us: 0,
            restart: None,
            record: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// The same with other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The executed GTID set: where a new dump begins after a reconnect.
    pub fn executed(&self) -> &GtidSet {
        &self.resume.executed
    }

    /// Whether the event that was taken last ended its transaction.
    pub fn is_between(&self) -> bool {
        self.group.is_none()
    }

    /// Every GTID that the log accounts for: the server must have them.
    pub fn held(&self) -> GtidSet {
        let mut held = self.resume.executed.clone();
        for (_, gtid) in &self.resume.logged {
            held.insert(*gtid);
        }
        held
    }

    /// Forgets a transaction that was cut off by the end of a connection; it will come again whole, with the same stamp.
    ///
    /// Chunks of it that are in the log already are abandoned there: its new chain begins with index 0 again.
    pub fn reconnect(&mut self) {
        self.tables = Tables::default();
        self.prepared.clear();
        self.sink.forget();
        if let Some(before) = self.group.take().and_then(|group| group.before) {
            self.resume.stamper = before;
        }
    }

    /// Takes the next event of the stream, whole, with its checksum if `checksums`; `place` is where it ends.
    pub fn on_event(
        &mut self,
        raw: &[u8],
        checksums: bool,
        place: Place,
        wall_us: u64,
    ) -> Result<(), ExtractError> {
        self.place = place;
        let (event, rest) = Event::split(raw, checksums).map_err(|source| self.event_error(source))?;
        if !rest.is_empty() {
            let event = event.header.kind.name();
            return Err(self.event_error(EventError::Malformed { event, what: "bytes follow it" }));
        }
        match event.header.kind {
            // The stream's own events; the connection has looked at them already.
            EventKind::FormatDescription | EventKind::Rotate | EventKind::PreviousGtids | EventKind::Stop => {
                self.report()
            }
            EventKind::Heartbeat | EventKind::HeartbeatV2 => {
                self.report();
                self.on_idle(wall_us)?;
            }
            EventKind::AnonymousGtid => return Err(ExtractError::Anonymous { place: self.place.clone() }),
            EventKind::Gtid | EventKind::GtidTagged => self.begin(event, raw, checksums)?,
            _ => {
                self.in_group(event, raw, checksums)?;
                if self.group.as_ref().is_some_and(|group| group.ended) {
                    self.commit(wall_us)?;
                }
            }
        }
        Ok(())
    }

    /// To be called when nothing has come for a while: writes a position record if one is due.
    pub fn on_idle(&mut self, wall_us: u64) -> Result<(), ExtractError> {
        const INTERVAL_US: u64 = 500_000;
        if self.group.is_none()
            && self.position_due
            && wall_us.saturating_sub(self.position_wall_us) >= INTERVAL_US
        {
            self.write_position(wall_us)?;
        }
        Ok(())
    }

    /// Writes a position record now.
    pub fn write_position(&mut self, wall_us: u64) -> Result<(), ExtractError> {
        let Resume { region, stamper, held, .. } = &self.resume;
        let mut context = stamper.context.clone();
        if let Some(own) = held.lacks(&context, stamper.last_sequence, &self.place) {
            context.set(*region, own);
        }
        let body = Body::Position(PositionBody {
            context,
            suspended: stamper.suspended.clone(),
            last_sequence: stamper.last_sequence,
            wall_us,
            executed: self.resume.executed.to_string(),
            file: self.place.file.clone(),
            offset: self.place.offset,
        });
        let hlc = stamper.last_hlc;
        // While the log is ahead of the re-read binlog, a position record would say less than what it follows.
        if self.resume.logged.is_empty() {
            let record = self.resume.next_record;
            self.append(Sequence(0), hlc, false, body)?;
            let file = self.prepared.first_file().unwrap_or(&self.place.file).to_owned();
            self.restart = Some(Restart { record, file });
            self.position_due = false;
            self.transactions_since_position = 0;
            self.position_wall_us = wall_us;
            self.report();
        }
        Ok(())
    }

    fn begin(&mut self, event: Event<'_>, raw: &[u8], checksums: bool) -> Result<(), ExtractError> {
        if self.group.is_some() {
            return Err(ExtractError::Order {
                what: "a transaction begins inside another",
                place: self.place.clone(),
            });
        }
        let begun = GtidEvent::decode(event).map_err(|source| self.event_error(source))?;
        self.tables.trim();
        self.group = Some(Group::begin(&begun, raw, checksums));
        Ok(())
    }

    fn in_group(&mut self, event: Event<'_>, raw: &[u8], checksums: bool) -> Result<(), ExtractError> {
        let Some(mut group) = self.group.take() else {
            return Err(ExtractError::Order {
                what: "an event outside of any transaction",
                place: self.place.clone(),
            });
        };
        let result = self.take_in(&mut group, event, raw, checksums);
        // Also after an error: a reconnect undoes its stamp.
        self.group = Some(group);
        result
    }

    fn take_in(
        &mut self,
        group: &mut Group,
        event: Event<'_>,
        raw: &[u8],
        checksums: bool,
    ) -> Result<(), ExtractError> {
        if event.header.kind == EventKind::PartialUpdateRows {
            return self.take_in_whole(group, event, checksums);
        }
        let (whole, mut raw) = (&mut Vec::new(), raw);
        if event.header.kind == EventKind::TransactionPayload {
            let mut reading =
                Reading { tables: &mut self.tables, place: &self.place, len_max: self.limits.event_len_max };
            reading.check_len(group, event, || "no one table".into())?;
            // Classified event by event, stored as sent, but for partial updates.
            let mut partial = false;
            let walked = for_each_event(raw, checksums, &mut |inner| {
                partial |= inner.header.kind == EventKind::PartialUpdateRows;
                reading.classify(group, inner).map_err(Inner::Classified)
            });
            walked.map_err(|error| match error {
                Inner::Classified(error) => error,
                Inner::Event(source) => group.error(&self.place, source),
            })?;
            if partial {
                *whole = self.whole_payload(group, event, checksums)?;
                raw = whole;
            }
        } else {
            let mut reading =
                Reading { tables: &mut self.tables, place: &self.place, len_max: self.limits.event_len_max };
            reading.classify(group, event)?;
        }
        if !matches!(group.kind, GroupKind::Applied | GroupKind::Skipped) {
            group.events.extend_from_slice(raw);
            if group.kind == GroupKind::Local && group.events.len() > self.limits.chunk_len && !group.ended {
                match group.xa {
                    Some(_) => self.spool(group)?,
                    None => self.flush_chunk(group)?,
                }
            }
        }
        Ok(())
    }

    /// Whether and when what is read of it takes effect is not known: it is put aside.
    fn spool(&mut self, group: &mut Group) -> Result<(), ExtractError> {
        let spool = match &mut group.spool {
            Some(spool) => spool,
            none => none.insert(self.sink.spool()?),
        };
        spool.push(&group.events)?;
        group.events.clear();
        Ok(())
    }

    fn flush_chunk(&mut self, group: &mut Group) -> Result<(), ExtractError> {
        let stamp = self.stamp(group)?;
        // What the log is ahead by comes again, and is compared when it is whole.
        if self.resume.logged.is_empty() {
            let body = Body::Chunk { index: group.chunks, events: &group.events };
            self.append(Sequence(0), stamp.hlc, group.checksums, body)?;
            self.feed(group, &stamp, false)?;
        }
        group.chunks += 1;
        group.events.clear();
        Ok(())
    }

    fn stamp(&mut self, group: &mut Group) -> Result<Stamp, ExtractError> {
        if !self.resume.may_write {
            return Err(ExtractError::WriteForbidden {
                region: self.resume.region,
                gtid: group.gtid.to_string(),
                place: self.place.clone(),
            });
        }
        if let Some(stamp) = &group.stamp {
            return Ok(stamp.clone());
        }
        group.before = Some(self.resume.stamper.clone());
        let stamp = self.local(group.commit_us);
        group.stamp = Some(stamp.clone());
        Ok(stamp)
    }

    /// The stamp of the next transaction of this origin. While the server lacks some of what the context claims, that says so by an entry for
    /// the origin itself.
    pub(crate) fn local(&mut self, commit_us: u64) -> Stamp {
        let Resume { region, stamper, held, .. } = &mut self.resume;
        let lacks = held.lacks(&stamper.context, stamper.last_sequence, &self.place);
        let mut stamp = stamper.local(commit_us);
        if let Some(own) = lacks {
            stamp.context.set(*region, own);
        }
        stamp
    }

    fn feed(&mut self, group: &Group, stamp: &Stamp, last: bool) -> Result<(), ExtractError> {
        Ok(self.sink.writes(stamp, &group.events, group.checksums, last)?)
    }

    fn commit(&mut self, wall_us: u64) -> Result<(), ExtractError> {
        let Some(mut group) = self.group.take() else { return Ok(()) };
        if let Err(error) = self.finish(&mut group) {
            self.group = Some(group);
            return Err(error);
        }
        // What is prepared must come again after a restart.
        if !matches!(group.xa, Some(Xa::Prepared(_))) {
            self.resume.executed.insert(group.gtid);
        }
        self.position_due = true;
        self.transactions_since_position += 1;
        self.report();
        const TRANSACTIONS_MAX: u32 = 10_000;
        if self.transactions_since_position >= TRANSACTIONS_MAX {
            self.write_position(wall_us)?;
        }
        self.on_idle(wall_us)
    }

    /// Tells the sink how far the stream is, unless it is inside a transaction.
    fn report(&mut self) {
        if self.group.is_some() {
            return;
        }
        let last_record = RecordNumber(self.resume.next_record.0 - 1);
        let Resume { stamper, held, .. } = &self.resume;
        let (place, restart) = (&self.place, self.restart.as_ref());
        self.sink.passed(Progress { place, stamper, held, last_record, restart });
    }

    fn event_error(&self, source: EventError) -> ExtractError {
        let gtid = self.group.as_ref().map_or("none".into(), |group| group.gtid.to_string());
        ExtractError::Event { source, gtid, place: self.place.clone() }
    }

    /// What is committed here now, of other origins.
    pub fn context(&self) -> &Context {
        &self.resume.stamper.context
    }
}

/// What went wrong inside a compressed transaction: with one of its events, or with its compression.
enum Inner {
    Classified(ExtractError),
    Event(EventError),
}

impl From<EventError> for Inner {
    fn from(source: EventError) -> Self {
        Self::Event(source)
    }
}
