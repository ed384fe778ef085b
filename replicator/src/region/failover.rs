//! The region's MySQL was replaced by a server that lacks transactions which this region's log holds.
//!
//! None of them is lost: the log has the region's own, and the copies have the other regions'. The new server is a standby that was
//! behind, or was restored from a backup, so what it holds of the log is all up to some transaction, and nothing after it. What comes
//! after it, the *lost tail*, is applied from the own log as a peer's log is, under a marker of the own origin. A new incarnation
//! of the origin begins behind the tail: its numbers and stamps go on, and its contexts go on from what the log has claimed, also
//! of what is not back yet. So for the peers nothing is out of order; what clients of the new server wrote without the
//! tail is brought together with it here, row by row, while the tail is applied (`applier`, `attempt/rejoin.rs`). SEMANTICS.md has the proof.

use std::sync::Arc;

use applier::tables::Applied;
use log_store::Log;
use mysql_async::prelude::*;
use mysql_async::{Conn, Row};
use transaction::record::{Body, Lineage, Record, RecordKind};
use transaction::{Context, GtidSet, Hlc, Incarnation, RecordNumber, Sequence, Suspended};

use super::clock::now_us;
use super::resume::{Beginning, begin_incarnation};
use super::{Region, RegionError};

/// Own transactions that the region's MySQL lacks and gets back: those after `applied`, up to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The last own transaction that MySQL holds of what lies before the present incarnation.
    pub(crate) applied: Sequence,
    /// The last transaction before the present incarnation.
    pub(crate) end: Sequence,
}

impl Tail {
    /// Whether it has this transaction.
    pub(crate) fn has(&self, sequence: Sequence) -> bool {
        self.applied < sequence && sequence <= self.end
    }
}

/// Compares the log with the server and, if the server lacks something, begins a new incarnation. Returns what is to be applied
/// from the own log; `None`: MySQL holds all of it. `markers` gets the own origin's.
pub(crate) async fn meet_server(
    region: &Region,
    conn: &mut Conn,
    markers: &mut Vec<Applied>,
) -> Result<Option<Tail>, RegionError> {
    let name = region.config.region.name;
    let log = &region.board.logs.own().log;
    let mut life = match Life::read(log)? {
        Some(life) => life,
        None => return Ok(None),
    };
    if !life.held.minus(&executed(conn).await?).is_empty() {
        let Some(executed) = no_longer_replicates(region, conn).await? else { return Ok(None) };
        let missing = life.held.minus(&executed);
        if !missing.is_empty() {
            life = replaced(region, conn, markers, life, &executed, &missing).await?;
        }
    }
    let own = markers.iter().find(|marker| marker.origin == name);
    Ok(own.filter(|own| own.sequence < life.previous_sequence).map(|own| {
        let tail = Tail { applied: own.sequence, end: life.previous_sequence };
        tracing::warn!(
            "MySQL lacks transactions {} to {} of this region: they are applied from its log",
            tail.applied.next(),
            tail.end
        );
        tail
    }))
}

/// Sets the marker of the own origin to where the server is, and begins the new incarnation.
async fn replaced(
    region: &Region,
    conn: &mut Conn,
    markers: &mut Vec<Applied>,
    life: Life,
    executed: &GtidSet,
    missing: &GtidSet,
) -> Result<Life, RegionError> {
    let name = region.config.region.name;
    let log = &region.board.logs.own().log;
    let failed = |e: mysql_async::Error| RegionError(format!("MySQL of this region: {e}"));
    let refused = |why: &str| {
        RegionError(format!(
            "the server lacks transactions that this region's log holds, {missing}, and {why}. Bring back the right server, or \
             re-seed this region (concord seed --from REGION)"
        ))
    };
    let uuid: Option<String> = conn.query_first("SELECT @@GLOBAL.server_uuid").await.map_err(failed)?;
    let uuid = uuid.unwrap_or_default();
    if missing.intervals().any(|(source, ..)| source.uuid.to_string() == uuid) {
        return Err(refused("some of them were its own: it would give their GTIDs to others"));
    }
    let suspensions = applier::tables::suspensions(conn).await.map_err(failed)?;
    let suspended: Suspended = suspensions.into_iter().map(|suspension| suspension.table).collect();
    if suspended != life.suspended {
        return Err(refused("a table was suspended, or resumed, meanwhile"));
    }
    let own = markers.iter().position(|marker| marker.origin == name);
    let back = own.map(|at| markers[at].sequence).unwrap_or_default();
    let whole = back >= life.previous_sequence;
    let Fork { sequence, record, hlc } =
        Fork::find(log, executed, back, whole).map_err(|why| refused(&why))?;
    let applied = Applied { origin: name, sequence, record, hlc };
    // The marker first: if the process ends before the log says so as well, all of this comes again.
    match own {
        Some(at) => {
            conn.exec_drop(
                "UPDATE concord.marker SET sequence = ?, record = ?, hlc = ?, row_changes = 0, changes = changes + 1 WHERE origin = ?",
                (sequence.0, record.0, hlc.0, name.as_str()),
            )
            .await
            .map_err(failed)?;
            markers[at] = applied;
        }
        None => {
            let source = region.config.mesh.ddl_source(name);
            let lanes = region.config.region.apply.lanes;
            applier::tables::insert_marker(conn, applied, region.owner, source, lanes)
                .await
                .map_err(failed)?;
            markers.push(applied);
        }
    }
    let beginning = Beginning {
        number: log.last_appended().next(),
        last_sequence: life.sequence,
        hlc: life.hlc,
        lineage: Lineage { incarnation: life.incarnation, epoch: region.config.mesh.epoch },
        context: life.context,
        suspended: life.suspended,
        executed: life.held.minus(missing),
        wall_us: now_us(),
    };
    begin_incarnation(log, beginning)?;
    tracing::warn!(
        "the server ({uuid}) lacks {} transactions that this region's log holds: incarnation {} begins after transaction {}",
        missing.count(),
        life.incarnation.0 + 1,
        life.sequence
    );
    Life::read(log)?.ok_or_else(|| RegionError("the log lacks the position just written".to_owned()))
}

async fn executed(conn: &mut Conn) -> Result<GtidSet, RegionError> {
    let failed = |e: &dyn std::fmt::Display| RegionError(format!("gtid_executed of the server: {e}"));
    let text: Option<String> =
        conn.query_first("SELECT @@GLOBAL.gtid_executed").await.map_err(|e| failed(&e))?;
    text.unwrap_or_default().parse().map_err(|e| failed(&e))
}

/// What the server has executed once it is no replica at work: until then more of the log may still come to it by itself.
/// `None`: the shutdown came first.
async fn no_longer_replicates(region: &Region, conn: &mut Conn) -> Result<Option<GtidSet>, RegionError> {
    loop {
        let failed = |e: mysql_async::Error| RegionError(format!("SHOW REPLICA STATUS: {e}"));
        let channels: Vec<Row> = conn.query("SHOW REPLICA STATUS").await.map_err(failed)?;
        let runs = |row: &Row| {
            ["Replica_IO_Running", "Replica_SQL_Running"].iter().any(|column| {
                row.get_opt::<String, _>(*column).is_some_and(|value| value.is_ok_and(|value| value != "No"))
            })
        };
        if !channels.iter().any(runs) {
            return executed(conn).await.map(Some);
        }
        region.report_waiting(
            "the server of this region is a replica at work and lacks transactions that this region's log holds: let it apply its \
             relay log, then STOP REPLICA"
                .to_owned(),
        );
        region.pause().await;
        if *region.shutdown.borrow() {
            return Ok(None);
        }
    }
}

/// What the own log says at its end.
struct Life {
    incarnation: Incarnation,
    /// The last transaction before this incarnation; 0 in the first.
    previous_sequence: Sequence,
    sequence: Sequence,
    hlc: Hlc,
    context: Context,
    suspended: Suspended,
    /// Every GTID that it accounts for.
    held: GtidSet,
}

impl Life {
    /// `None`: the log has not begun.
    fn read(log: &Arc<Log>) -> Result<Option<Self>, RegionError> {
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
                life.context = context.clone();
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
}

/// The last own transaction that a server holds, and no later one.
#[derive(Debug, PartialEq, Eq)]
struct Fork {
    sequence: Sequence,
    /// Its record, or that of a position after it.
    record: RecordNumber,
    hlc: Hlc,
}

impl Fork {
    /// `back`: up to here the server's marker of the own origin says that it holds all; `whole`: which is all before the present
    /// incarnation, so that positions in it say what the server holds. The error says what the server is not.
    fn find(log: &Arc<Log>, executed: &GtidSet, back: Sequence, whole: bool) -> Result<Self, String> {
        let behind = "no position in that log is one that this server has reached: it is of another past";
        let from = last_position_within(log, executed, whole).map_err(|e| e.0)?.ok_or(behind)?;
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
        .map_err(|e| e.0)?;
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
    text.parse().map_err(|e| RegionError(format!("a position record of this region's log: {e}")))
}

/// Calls `each` with every record from `from` on, until it says false.
fn each_record(
    log: &Arc<Log>,
    from: RecordNumber,
    mut each: impl FnMut(&Record<'_>) -> Result<bool, RegionError>,
) -> Result<(), RegionError> {
    let mut reader = log.read_from(from)?;
    while let Some(raw) = reader.next_record()? {
        if !each(&Record::decode(raw.bytes).map_err(|e| RegionError(e.to_string()))?)? {
            break;
        }
    }
    Ok(())
}
