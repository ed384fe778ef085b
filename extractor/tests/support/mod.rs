//! An extractor with a sink that records what it is given, fed with whole streams of events.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod own;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use extractor::{
    ExtractError, Extractor, Held, Place, Progress, Restart, Resume, Sink, Spool, Stamp, Stamper,
};
use transaction::binlog::{Event, EventKind, GtidEvent};
use transaction::record::{Body, Lineage, Record, TransactionBody};
use transaction::{
    Context, Epoch, Gtid, GtidSet, Halt, HaltCode, Hlc, Incarnation, RecordNumber, RegionName, RepairPlace,
    Sequence, Source, Tag, Uuid,
};

/// What a sink says whose next append fails.
pub const DISK_FULL: HaltCode = HaltCode::new("disk-full");

/// What a sink was given.
#[derive(Debug, Default, Clone)]
pub struct Given {
    pub records: Vec<Vec<u8>>,
    /// Number, length of the events, and whether they were the last of their transaction.
    pub writes: Vec<(u64, usize, bool)>,
    /// Number, places and events of the repairs.
    pub repairs: Vec<(u64, Vec<RepairPlace>, Vec<u8>)>,
    pub forgets: usize,
    /// How often a place for a large XA transaction was asked for.
    pub spools: usize,
    /// Offset, last transaction, last record.
    pub passed: Vec<(u64, u64, u64)>,
    /// As last given.
    pub restart: Option<Restart>,
    /// The next append fails.
    pub broken: bool,
}

#[derive(Debug, Default, Clone)]
pub struct Recorder(pub Rc<RefCell<Given>>);

impl Sink for Recorder {
    fn writes(&mut self, stamp: &Stamp, events: &[u8], checksums: bool, last: bool) -> Result<(), Halt> {
        // What the index is given must be whole events.
        let mut rest = events;
        while !rest.is_empty() {
            rest = Event::split(rest, checksums).map_err(|e| extractor::code::of_event(&e).halt(e))?.1;
        }
        self.0.borrow_mut().writes.push((stamp.sequence.0, events.len(), last));
        Ok(())
    }

    fn repairs(&mut self, stamp: &Stamp, places: &[RepairPlace], events: &[u8]) -> Result<(), Halt> {
        self.0.borrow_mut().repairs.push((stamp.sequence.0, places.to_vec(), events.to_vec()));
        Ok(())
    }

    fn hlc(&mut self, _: RegionName, sequence: Sequence) -> Result<Hlc, Halt> {
        Ok(Hlc(sequence.0 * 1_000))
    }

    fn spool(&mut self) -> Result<Box<dyn Spool>, Halt> {
        self.0.borrow_mut().spools += 1;
        Ok(Box::new(Parts::default()))
    }

    fn forget(&mut self) {
        self.0.borrow_mut().forgets += 1;
    }

    fn append(&mut self, record: &[u8]) -> Result<(), Halt> {
        let mut given = self.0.borrow_mut();
        if std::mem::take(&mut given.broken) {
            return Err(DISK_FULL.halt("the disk is full"));
        }
        given.records.push(record.to_vec());
        Ok(())
    }

    fn passed(&mut self, progress: Progress<'_>) {
        let Progress { place, stamper, last_record, restart, .. } = progress;
        let passed = (place.offset, stamper.last_sequence.0, last_record.0);
        let mut given = self.0.borrow_mut();
        given.passed.push(passed);
        given.restart = restart.cloned();
    }
}

/// Parts of a large XA transaction.
#[derive(Debug, Default)]
struct Parts(VecDeque<Vec<u8>>);

impl Spool for Parts {
    fn push(&mut self, events: &[u8]) -> Result<(), Halt> {
        self.0.push_back(events.to_vec());
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Halt> {
        Ok(self.0.pop_front())
    }
}

pub fn name(text: &str) -> RegionName {
    RegionName::new(text).unwrap()
}

/// An own log that has only begun.
pub fn fresh() -> Resume {
    Resume {
        region: name("eu"),
        lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
        executed: GtidSet::new(),
        stamper: Stamper {
            context: Context::new(),
            suspended: Default::default(),
            last_hlc: Hlc(0),
            last_sequence: Sequence(0),
        },
        held: Held::default(),
        logged: VecDeque::new(),
        next_record: RecordNumber(1),
        may_write: true,
        peers: vec![name("us"), name("ap")],
        ddl_sources: vec![(Uuid([0xdd; 16]), name("us"))],
    }
}

pub fn begin(resume: Resume) -> (Extractor<Recorder>, Recorder) {
    let recorder = Recorder::default();
    (Extractor::new(resume, recorder.clone()), recorder)
}

/// The GTID of the synthetic server `[server; 16]`.
pub fn gtid_of(server: u8, number: u64) -> Gtid {
    Gtid { source: Source { uuid: Uuid([server; 16]), tag: Tag::default() }, number }
}

/// The events of a stream, each with the offset of its end; offsets count from `start`.
pub fn split(stream: &[u8], start: u64) -> Vec<(&[u8], u64)> {
    let (mut rest, mut out) = (stream, Vec::new());
    while !rest.is_empty() {
        let after = Event::split(rest, true).unwrap().1;
        let end = start + (stream.len() - after.len()) as u64;
        out.push((&rest[..rest.len() - after.len()], end));
        rest = after;
    }
    out
}

/// Feeds a stream; stops at the first error. The clock stands at 0, so no position record is due.
pub fn feed(extractor: &mut Extractor<Recorder>, stream: &[u8]) -> Result<(), ExtractError> {
    feed_file(extractor, "binlog.000001", stream)
}

/// The same from this binlog file.
pub fn feed_file(extractor: &mut Extractor<Recorder>, file: &str, stream: &[u8]) -> Result<(), ExtractError> {
    for (raw, offset) in split(stream, 4) {
        extractor.on_event(raw, true, Place { file: file.into(), offset }, 0)?;
    }
    Ok(())
}

/// Feeds a stream to a new extractor.
pub fn extract(resume: Resume, stream: &[u8]) -> (Result<(), ExtractError>, Given) {
    let (mut extractor, recorder) = begin(resume);
    let result = feed(&mut extractor, stream);
    let given = recorder.0.borrow().clone();
    (result, given)
}

/// The halt that a stream must end in.
pub fn halt(resume: Resume, stream: &[u8]) -> (ExtractError, Given) {
    let (result, given) = extract(resume, stream);
    (result.unwrap_err(), given)
}

/// The body of a transaction record.
pub fn transaction(record: &[u8]) -> (Record<'_>, TransactionBody<'_>) {
    let record = Record::decode(record).unwrap();
    let Body::Transaction(body) = record.body.clone() else { panic!("{:?}", record.kind()) };
    (record, body)
}

/// Where a restart goes on, from the log's records: as the replicator reads it, beside a server that holds all that they say.
pub fn resume_from(records: &[Vec<u8>]) -> Resume {
    let mut resume = fresh();
    for raw in records {
        let record = Record::decode(raw).unwrap();
        match &record.body {
            Body::Position(position) => {
                resume.executed = position.executed.parse().unwrap();
                resume.stamper = Stamper {
                    context: position.context.clone(),
                    suspended: position.suspended.clone(),
                    last_hlc: record.hlc,
                    last_sequence: position.last_sequence,
                };
                resume.held.context = position.context.clone();
                resume.logged.clear();
            }
            Body::Transaction(body) | Body::Repair { transaction: body, .. } => {
                resume.logged.push_back((record.sequence, body.gtid))
            }
            _ => {}
        }
        resume.next_record = record.number.next();
    }
    resume
}

/// The transaction groups of a stream that a server sends to who has `executed`, with where they begin.
pub fn groups<'a>(stream: &'a [u8], executed: &GtidSet) -> Vec<(u64, &'a [u8])> {
    let mut out: Vec<(Gtid, usize, usize)> = Vec::new();
    for (raw, end) in split(stream, 0) {
        let event = Event::split(raw, true).unwrap().0;
        if matches!(event.header.kind, EventKind::Gtid | EventKind::GtidTagged) {
            let start = end as usize - raw.len();
            out.push((GtidEvent::decode(event).unwrap().gtid, start, start));
        }
        out.last_mut().unwrap().2 = end as usize;
    }
    out.retain(|(gtid, _, _)| !executed.contains(*gtid));
    out.into_iter().map(|(_, from, to)| (from as u64, &stream[from..to])).collect()
}
