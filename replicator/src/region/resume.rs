//! Where extraction goes on: what the tail of the own log says.

use std::collections::VecDeque;
use std::sync::Arc;

use applier::code::{LOG_INCOMPLETE, of_record};
use applier::ddl::DdlSources;
use extractor::{Held, Resume, Stamper};
use log_store::Log;
use transaction::record::{Body, Lineage, PositionBody, Record, RecordKind};
use transaction::{
    Context, Epoch, GtidSet, Halt, Hlc, Incarnation, RecordNumber, RegionName, Sequence, Suspended,
};

/// What the own log's last position record, and the transactions and repairs after it, say. `None` if there is no position record.
pub(crate) fn from_log(
    log: &Arc<Log>,
    region: RegionName,
    epoch: Epoch,
    may_write: bool,
    peers: Vec<RegionName>,
    held: Held,
    ddl_sources: &DdlSources,
) -> Result<Option<Resume>, Halt> {
    let Some(number) = log.find_last(RecordKind::Position)? else {
        return Ok(None);
    };
    let mut reader = log.read_from(number)?;
    let mut resume: Option<Resume> = None;
    while let Some(raw) = reader.next_record()? {
        let record = Record::decode(raw.bytes).map_err(of_record)?;
        match (&record.body, &mut resume) {
            (Body::Position(position), None) => {
                let mut held = held.clone();
                held.unsure_until = held.unsure_until.filter(|_| position.context.entry(region).is_some());
                let executed: GtidSet = position
                    .executed
                    .parse()
                    .map_err(|e| LOG_INCOMPLETE.halt(format_args!("position record {number}: {e}")))?;
                resume = Some(Resume {
                    region,
                    lineage: Lineage { incarnation: record.lineage.incarnation, epoch },
                    executed,
                    stamper: Stamper {
                        context: position.context.without(region),
                        suspended: position.suspended.clone(),
                        last_hlc: record.hlc,
                        last_sequence: position.last_sequence,
                    },
                    held,
                    logged: VecDeque::new(),
                    next_record: record.number.next(),
                    may_write,
                    // The own one's too: DDL of a lost tail comes back under it.
                    ddl_sources: peers
                        .iter()
                        .chain([&region])
                        .map(|origin| (ddl_sources(*origin), *origin))
                        .collect(),
                    peers: peers.clone(),
                });
            }
            (Body::Transaction(transaction) | Body::Repair { transaction, .. }, Some(resume)) => {
                resume.logged.push_back((record.sequence, transaction.gtid));
            }
            _ => {}
        }
        if let Some(resume) = &mut resume {
            resume.next_record = record.number.next();
        }
    }
    Ok(resume)
}

/// The position record with which an own log begins, or goes on after a seed.
pub(crate) struct Beginning {
    /// Its number.
    pub(crate) number: RecordNumber,
    /// The last transaction of the log before it.
    pub(crate) last_sequence: Sequence,
    /// At least the newest stamp that this region has seen.
    pub(crate) hlc: Hlc,
    /// Incarnation and epoch.
    pub(crate) lineage: Lineage,
    /// What is committed here, of other origins, or has been claimed to be.
    pub(crate) context: Context,
    /// Tables of which not all of that was applied.
    pub(crate) suspended: Suspended,
    /// The server's executed GTID set.
    pub(crate) executed: GtidSet,
    /// The wall clock, microseconds.
    pub(crate) wall_us: u64,
}

impl Beginning {
    /// Appends it durably.
    pub(crate) fn write(self, log: &Log) -> Result<(), log_store::Error> {
        let record = Record {
            number: self.number,
            sequence: Sequence(0),
            hlc: self.hlc,
            lineage: self.lineage,
            event_checksums: false,
            body: Body::Position(PositionBody {
                context: self.context,
                suspended: self.suspended,
                last_sequence: self.last_sequence,
                wall_us: self.wall_us,
                executed: self.executed.to_string(),
                file: String::new(),
                offset: 0,
            }),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        log.append(&bytes)?;
        log.sync()?;
        Ok(())
    }
}

/// Begins the incarnation after the one that `beginning` names, behind all that the log holds.
pub(crate) fn begin_incarnation(log: &Log, beginning: Beginning) -> Result<(), log_store::Error> {
    let Beginning { number, last_sequence, hlc, lineage, .. } = beginning;
    let lineage = Lineage { incarnation: Incarnation(lineage.incarnation.0 + 1), ..lineage };
    let record = Record {
        number,
        sequence: Sequence(0),
        hlc,
        lineage,
        event_checksums: false,
        body: Body::Incarnation {
            previous_end: RecordNumber(number.0 - 1),
            previous_sequence: last_sequence,
        },
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    log.append(&bytes)?;
    Beginning { number: number.next(), lineage, ..beginning }.write(log)
}

/// The lineage of a region that begins for the first time.
pub(crate) fn first_lineage(epoch: Epoch) -> Lineage {
    Lineage { incarnation: Incarnation(1), epoch }
}
