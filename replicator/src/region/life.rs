//! What a region's own log says of its life so far, and how far a server has lived it.

use std::sync::Arc;

use applier::code::of_record;
use log_store::Log;
use transaction::record::{Body, Lineage, Record, RecordKind};
use transaction::{Context, Epoch, GtidSet, Hlc, Incarnation, RecordNumber, Sequence, Suspended};

use super::RegionError;
use super::clock::now_us;
use super::resume::{Beginning, begin_incarnation};

/// What the own log says at its end.
pub(crate) struct Life {
    pub(crate) incarnation: Incarnation,
    /// The last transaction before this incarnation; 0 in the first.
    pub(crate) previous_sequence: Sequence,
    pub(crate) sequence: Sequence,
    hlc: Hlc,
    context: Context,
    pub(crate) suspended: Suspended,
    /// Every GTID that it accounts for.
    pub(crate) held: GtidSet,
}

impl Life {
    /// `None`: the log has not begun.
    pub(crate) fn read(log: &Arc<Log>) -> Result<Option<Self>, RegionError> {
        let Some(number) = log.find_last(RecordKind::Position)? else { return Ok(None) };
        let mut life: Option<Self> = None;
        each_record(log, number, |record| {
            if let (Body::Position(position), None) = (&record.body, &life) {
                life = Some(Self {
                    incarnation: record.lineage.incarnation,
                    previous_sequence: Sequence(0),
                    sequence: position.last_sequence,
                    hlc: record.hlc,
                    context: Context::new(),
                    suspended: Suspended::default(),
                    held: gtids(&position.executed)?,
                });
            }
            let Some(life) = &mut life else { return Ok(true) };
            life.sequence = life.sequence.max(record.sequence);
            life.hlc = life.hlc.max(record.hlc);
            if let Some(context) = record.context() {
                life.context = context.without(log.origin());
                life.suspended = record.suspended().cloned().unwrap_or_default();
            }
            if let Some(transaction) = record.transaction() {
                life.held.insert(transaction.gtid);
            }
            Ok(true)
        })?;
        if let (Some(life), Some(number)) = (&mut life, log.find_last(RecordKind::Incarnation)?) {
            each_record(log, number, |record| {
                if let Body::Incarnation { previous_sequence, .. } = record.body {
                    life.previous_sequence = previous_sequence;
                }
                Ok(false)
            })?;
        }
        Ok(life)
    }

    /// Begins the next incarnation, on a server that lacks `missing` of what this one held. What it has claimed stays claimed.
    pub(crate) fn begin_next(
        &self,
        log: &Log,
        missing: &GtidSet,
        epoch: Epoch,
    ) -> Result<(), log_store::Error> {
        let beginning = Beginning {
            number: log.last_appended().next(),
            last_sequence: self.sequence,
            hlc: self.hlc,
            lineage: Lineage { incarnation: self.incarnation, epoch },
            context: self.context.clone(),
            suspended: self.suspended.clone(),
            executed: self.held.minus(missing),
            wall_us: now_us(),
        };
        begin_incarnation(log, beginning)
    }
}

/// The last own transaction that a server holds, and no later one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fork {
    pub(crate) sequence: Sequence,
    /// Its record, or that of a position after it.
    pub(crate) record: RecordNumber,
    pub(crate) hlc: Hlc,
}

impl Fork {
    /// `back`: up to here the server's marker of the own origin says that it holds all; `whole`: which is all before the present
    /// incarnation, so that positions in it say what the server holds. The error says what the server is not.
    pub(crate) fn find(
        log: &Arc<Log>,
        executed: &GtidSet,
        back: Sequence,
        whole: bool,
    ) -> Result<Self, String> {
        let behind = "no position in that log is one that this server has reached: it is of another past";
        let from = last_position_within(log, executed, whole).map_err(|e| e.reason)?.ok_or(behind)?;
        let (mut fork, mut lacks, mut mixed) = (None, None, None);
        each_record(log, from, |record| {
            if let (Body::Position(position), None) = (&record.body, &fork) {
                let (sequence, record, hlc) = (position.last_sequence, record.number, record.hlc);
                fork = Some(Self { sequence, record, hlc });
            }
            if let Some(transaction) = record.transaction() {
                if !executed.contains(transaction.gtid) && record.sequence > back {
                    lacks = lacks.or(Some(record.sequence));
                } else if lacks.is_some() {
                    mixed = Some(record.sequence);
                } else {
                    fork = Some(Self { sequence: record.sequence, record: record.number, hlc: record.hlc });
                }
            }
            Ok(mixed.is_none())
        })
        .map_err(|e| e.reason)?;
        match (fork, lacks, mixed) {
            (_, Some(lacks), Some(held)) => Err(format!(
                "it holds transaction {held} of this region and lacks {lacks}, which came before it: no standby of the old one does"
            )),
            (Some(fork), ..) => Ok(fork),
            (None, ..) => Err(behind.to_owned()),
        }
    }
}

/// The last position record of which the server has executed all. In a later incarnation than the first, such a set leaves out what
/// came back under a marker: then only a server whose marker says that all of it is back is judged by it.
fn last_position_within(
    log: &Arc<Log>,
    executed: &GtidSet,
    whole: bool,
) -> Result<Option<RecordNumber>, RegionError> {
    let mut end = RecordNumber(u64::MAX);
    for segment in log.segments().iter().rev() {
        let mut found = None;
        each_record(log, segment.first, |record| {
            if record.number >= end {
                return Ok(false);
            }
            if let Body::Position(position) = &record.body
                && (whole || record.lineage.incarnation == Incarnation(1))
                && executed.contains_all(&gtids(&position.executed)?)
            {
                found = Some(record.number);
            }
            Ok(true)
        })?;
        if found.is_some() {
            return Ok(found);
        }
        end = segment.first;
    }
    Ok(None)
}

fn gtids(text: &str) -> Result<GtidSet, RegionError> {
    text.parse().map_err(|e| RegionError::new(format!("a position record of this region's log: {e}")))
}

/// Calls `each` with every record from `from` on, until it says false.
fn each_record(
    log: &Arc<Log>,
    from: RecordNumber,
    mut each: impl FnMut(&Record<'_>) -> Result<bool, RegionError>,
) -> Result<(), RegionError> {
    let mut reader = log.read_from(from)?;
    while let Some(raw) = reader.next_record()? {
        if !each(&Record::decode(raw.bytes).map_err(of_record)?)? {
            break;
        }
    }
    Ok(())
}
