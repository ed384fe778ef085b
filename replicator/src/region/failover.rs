//! The region's MySQL was replaced by a server that lacks transactions which this region's log holds.
//!
//! None of them is lost: the log has the region's own, and the copies have the other regions'. The new server is a standby that was
//! behind, or was restored from a backup, so what it holds of the log is all up to some transaction, and nothing after it. What comes
//! after it, the *lost tail*, is applied from the own log as a peer's log is, under a marker of the own origin. A new incarnation
//! of the origin begins behind the tail: its numbers and stamps go on, and its contexts go on from what the log has claimed, also
//! of what is not back yet. So for the peers nothing is out of order; what clients of the new server wrote without the
//! tail is brought together with it here, row by row, while the tail is applied (`applier`, `attempt/rejoin.rs`). SEMANTICS.md has the proof.

use applier::tables::Applied;
use extractor::code::SOURCE_LOST_TRANSACTIONS;
use mysql_async::prelude::*;
use mysql_async::{Conn, Row};
use transaction::{GtidSet, Sequence, Suspended};

use super::life::{Fork, Life};
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
    let failed = |e: mysql_async::Error| RegionError::new(format!("MySQL of this region: {e}"));
    let refused = |why: &str| {
        RegionError::from(SOURCE_LOST_TRANSACTIONS.halt(format_args!(
            "the server lacks transactions that this region's log holds, {missing}, and {why}. Bring back the right server, or \
             re-seed this region (concord seed --from REGION)"
        )))
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
    life.begin_next(log, missing, region.config.mesh.epoch)?;
    tracing::warn!(
        "the server ({uuid}) lacks {} transactions that this region's log holds: incarnation {} begins after transaction {}",
        missing.count(),
        life.incarnation.0 + 1,
        life.sequence
    );
    Life::read(log)?.ok_or_else(|| RegionError::new("the log lacks the position just written".to_owned()))
}

async fn executed(conn: &mut Conn) -> Result<GtidSet, RegionError> {
    let failed = |e: &dyn std::fmt::Display| RegionError::new(format!("gtid_executed of the server: {e}"));
    let text: Option<String> =
        conn.query_first("SELECT @@GLOBAL.gtid_executed").await.map_err(|e| failed(&e))?;
    text.unwrap_or_default().parse().map_err(|e| failed(&e))
}

/// What the server has executed once it is no replica at work: until then more of the log may still come to it by itself.
/// `None`: the shutdown came first.
async fn no_longer_replicates(region: &Region, conn: &mut Conn) -> Result<Option<GtidSet>, RegionError> {
    loop {
        let failed = |e: mysql_async::Error| RegionError::new(format!("SHOW REPLICA STATUS: {e}"));
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
