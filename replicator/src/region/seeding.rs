//! The taking side of a seed: tables, markers and own log of a region that joins or rejoins.

use indicatif::{ProgressBar, ProgressStyle};
use link::{AnswerStream, Target};
use mysql_async::prelude::*;
use mysql_async::{Conn, Value};
use transaction::binlog::sql_identifier;
use transaction::record::{Body, Lineage, Record};
use transaction::{Context, GtidSet, Hlc, Incarnation, RecordNumber, RegionName, Sequence, Suspended};

use super::clock::now_us;
use super::control::ASK_SNAPSHOT;
use super::resume::{Beginning, begin_incarnation, first_lineage};
use super::snapshot::{Head, PART_ROWS, PART_TABLE_END, Reached, Table, Wanted};
use super::{Region, RegionError, checksum, recovery, rows};

/// Rows that one INSERT carries.
const ROWS_AT_A_TIME: usize = 500;
/// Most placeholders of a statement.
const PLACEHOLDERS_MAX: usize = 60_000;

/// What a seed did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seeded {
    /// Tables copied.
    pub(crate) tables: usize,
    /// Rows copied.
    pub(crate) rows: u64,
}

/// Copies the carried tables of `from` into this region. The region's ports are open and its pulls run; nothing is
/// extracted or applied meanwhile.
pub(crate) async fn seed(region: &Region, conn: &mut Conn, from: &Target) -> Result<Seeded, RegionError> {
    if !region.board.logs.filters().0.is_empty() {
        return Err(RegionError::new(
            "a region with [[region.filter]] cannot be seeded: a copy does not go through filters. Fill its filtered tables by other \
             means while nobody writes to them, or begin with empty ones",
        ));
    }
    let own = region.board.logs.own().log.clone();
    let name = region.config.region.name;
    // Numbers go on where the longest copy of the own log ends.
    let Some(best) = recovery::ask_all(region).await else { return Err(stopped()) };
    if let Some((target, durable)) = best
        && durable > own.durable()
        && !recovery::fetch(region, &target, durable).await?
    {
        return Err(stopped());
    }
    let life = past_life(region)?;
    let wanted = Wanted { sequence: life.sequence, context: life.context.iter().collect() };
    let payload = serde_json::to_vec(&wanted).map_err(|e| RegionError::new(e.to_string()))?;
    let mut answer =
        region.link.ask(from, ASK_SNAPSHOT, payload).await.map_err(|e| RegionError::new(e.to_string()))?;
    let head: Head = serde_json::from_slice(&next(&mut answer).await?)
        .map_err(|e| RegionError::new(format!("the copy of {} is malformed: {e}", from.region)))?;

    let failed = |e: mysql_async::Error| RegionError::new(format!("MySQL of this region: {e}"));
    conn.query_drop("DELETE FROM concord.marker").await.map_err(failed)?;
    let version: Option<String> = conn.query_first("SELECT VERSION()").await.map_err(failed)?;
    if applier::tables::has_tags(&version.unwrap_or_default()) {
        conn.query_drop(format!("SET gtid_next = 'AUTOMATIC:{}'", extractor::OWN_TAG))
            .await
            .map_err(failed)?;
    }
    conn.query_drop(
        "SET NAMES binary, SESSION time_zone = '+00:00', SESSION foreign_key_checks = 0, SESSION unique_checks = 0, \
         SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
    )
    .await
    .map_err(failed)?;
    let mut done = Seeded::default();
    for table in &head.tables {
        done.rows += copy_table(conn, table, &mut answer).await?;
        done.tables += 1;
    }
    wait_for_logs(region, &head.applied).await?;
    begin_life(region, conn, &life, &head.applied).await?;
    let lanes = region.config.region.apply.lanes;
    // The own log begins behind all that it held: of that the copy is to lack nothing (`failover`).
    let own = Reached { origin: name, sequence: life.sequence, record: life.record, hlc: life.hlc };
    for reached in head.applied.iter().chain([&own]) {
        let Reached { origin, sequence, record, hlc } = *reached;
        let applied = applier::tables::Applied { origin, sequence, record, hlc };
        let source = region.config.mesh.ddl_source(origin);
        applier::tables::insert_marker(conn, applied, 0, source, lanes).await.map_err(failed)?;
    }
    tracing::debug!("region {name} is seeded");
    Ok(done)
}

fn stopped() -> RegionError {
    RegionError::new("stopped before the copy was complete; run `concord seed` again")
}

async fn next(answer: &mut AnswerStream) -> Result<Vec<u8>, RegionError> {
    match answer.next().await {
        Some(Ok(part)) => Ok(part),
        Some(Err(error)) => Err(RegionError::new(error.to_string())),
        None => Err(RegionError::new("the copy ended before it was complete; run `concord seed` again")),
    }
}

/// What the own log says of an earlier life of this region.
struct PastLife {
    /// The last record, and the last transaction.
    record: RecordNumber,
    sequence: Sequence,
    context: Context,
    hlc: Hlc,
    incarnation: Incarnation,
}

fn past_life(region: &Region) -> Result<PastLife, RegionError> {
    let log = &region.board.logs.own().log;
    let mut life = PastLife {
        record: log.last_appended(),
        sequence: Sequence(0),
        context: Context::new(),
        hlc: Hlc(0),
        incarnation: Incarnation(0),
    };
    let mut reader = log.read_from(RecordNumber(0))?;
    while let Some(raw) = reader.next_record()? {
        let record = Record::decode(raw.bytes).map_err(|e| RegionError::new(e.to_string()))?;
        life.sequence = life.sequence.max(record.sequence);
        life.hlc = life.hlc.max(record.hlc);
        life.incarnation = record.lineage.incarnation;
        if let Some(context) = record.context() {
            life.context = context.without(log.origin());
        }
        if let Body::Position(position) = &record.body {
            life.sequence = life.sequence.max(position.last_sequence);
        }
    }
    Ok(life)
}

/// Histories of what the copy holds are rebuilt from the logs, so these must be here first.
async fn wait_for_logs(region: &Region, applied: &[Reached]) -> Result<(), RegionError> {
    for reached in applied {
        let mut durable = region.board.logs.get(reached.origin).durable.subscribe();
        let mut shutdown = region.shutdown.clone();
        let bar =
            spinner(format!("waiting for the log of {} up to record {}", reached.origin, reached.record));
        tokio::select! {
            _ = shutdown.changed() => return Err(stopped()),
            result = durable.wait_for(|durable| *durable >= reached.record) => {
                result.map_err(|_| stopped())?;
            }
        }
        bar.finish_and_clear();
    }
    Ok(())
}

/// Begins a new incarnation of the own log, at the server's present GTID set.
async fn begin_life(
    region: &Region,
    conn: &mut Conn,
    life: &PastLife,
    applied: &[Reached],
) -> Result<(), RegionError> {
    let failed = |e: mysql_async::Error| RegionError::new(format!("MySQL of this region: {e}"));
    let log = &region.board.logs.own().log;
    let epoch = region.config.mesh.epoch;
    let newest = applied.iter().map(|reached| reached.hlc).max().unwrap_or_default().max(life.hlc);
    let executed: Option<Vec<u8>> =
        conn.query_first("SELECT @@GLOBAL.gtid_executed").await.map_err(failed)?;
    let executed: GtidSet = String::from_utf8_lossy(&executed.unwrap_or_default())
        .parse()
        .map_err(|e| RegionError::new(format!("gtid_executed of the server: {e}")))?;
    let last = log.last_appended();
    let beginning = Beginning {
        number: last.next(),
        last_sequence: life.sequence,
        hlc: newest,
        lineage: Lineage { incarnation: life.incarnation, epoch },
        context: applied.iter().map(|reached| (reached.origin, reached.sequence)).collect(),
        suspended: Suspended::default(),
        executed,
        wall_us: now_us(),
    };
    match last {
        RecordNumber(0) => Beginning { lineage: first_lineage(epoch), ..beginning }.write(log)?,
        _ => begin_incarnation(log, beginning)?,
    }
    Ok(())
}

async fn copy_table(conn: &mut Conn, table: &Table, answer: &mut AnswerStream) -> Result<u64, RegionError> {
    let full_name = format!("{}.{}", table.schema, table.table);
    let failed = |e: mysql_async::Error| RegionError::new(format!("table {full_name} in this region: {e}"));
    let malformed = || RegionError::new(format!("the rows of {full_name} came malformed"));
    let name = format!("{}.{}", sql_identifier(&table.schema), sql_identifier(&table.table));
    let exists: Option<u64> = conn
        .exec_first("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", (&table.schema,))
        .await
        .map_err(failed)?;
    if exists.is_none() {
        conn.query_drop(&table.create_schema).await.map_err(failed)?;
    }
    conn.query_drop(format!("DROP TABLE IF EXISTS {name}")).await.map_err(failed)?;
    conn.query_drop(format!("USE {}", sql_identifier(&table.schema))).await.map_err(failed)?;
    conn.query_drop(&table.create).await.map_err(failed)?;

    let columns: Vec<String> = table.columns.iter().map(|column| sql_identifier(&column.name)).collect();
    let row = format!(
        "({})",
        table.columns.iter().map(|column| column.placeholder()).collect::<Vec<_>>().join(", ")
    );
    let insert = |count: usize| {
        format!("INSERT INTO {name} ({}) VALUES {}", columns.join(", "), vec![row.as_str(); count].join(", "))
    };
    let width = table.columns.len().max(1);
    let at_a_time = ROWS_AT_A_TIME.min(PLACEHOLDERS_MAX / width).max(1);
    let bar = ProgressBar::new(table.rows).with_style(
        ProgressStyle::with_template(
            "{prefix:30} {bar:30} {human_pos:>12} of about {human_len} rows  {per_sec}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_prefix(full_name.clone());
    let mut pending: Vec<Value> = Vec::new();
    let mut count = 0u64;
    loop {
        let part = next(answer).await?;
        let (kind, mut input) = part.split_first().map(|(kind, rest)| (*kind, rest)).ok_or_else(malformed)?;
        match kind {
            PART_ROWS => {
                while !input.is_empty() {
                    for _ in 0..width {
                        pending.push(rows::take(&mut input).ok_or_else(malformed)?);
                    }
                    if pending.len() == at_a_time * width {
                        conn.exec_drop(insert(at_a_time), std::mem::take(&mut pending))
                            .await
                            .map_err(failed)?;
                        bar.inc(at_a_time as u64);
                        count += at_a_time as u64;
                    }
                }
            }
            PART_TABLE_END => {
                let rest = pending.len() / width;
                if rest > 0 {
                    conn.exec_drop(insert(rest), std::mem::take(&mut pending)).await.map_err(failed)?;
                    bar.inc(rest as u64);
                    count += rest as u64;
                }
                let numbers = input.first_chunk::<16>().ok_or_else(malformed)?;
                let sent = u64::from_le_bytes(numbers[..8].try_into().map_err(|_| malformed())?);
                let checksum = u64::from_le_bytes(numbers[8..].try_into().map_err(|_| malformed())?);
                bar.set_length(count);
                bar.finish();
                let here = checksum::of_rows(conn, &table.schema, &table.table).await.map_err(failed)?;
                let here = here.unwrap_or(0);
                if sent != count || here != checksum {
                    return Err(RegionError::new(format!(
                        "table {full_name} is not what it is in the giving region: {count} of {sent} rows, checksum {here} \
                         instead of {checksum}; please report this with the table's definition"
                    )));
                }
                return Ok(count);
            }
            _ => return Err(malformed()),
        }
    }
}

fn spinner(message: String) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_message(message);
    bar
}

/// The region to copy from.
pub(crate) fn source(region: &Region, from: RegionName) -> Result<Target, RegionError> {
    region.targets.iter().find(|target| target.region == from).cloned().ok_or_else(|| {
        let others: Vec<String> = region.targets.iter().map(|target| target.region.to_string()).collect();
        RegionError::new(format!(
            "--from {from}: no such peer in [mesh.regions]; there are {}",
            others.join(", ")
        ))
    })
}
