//! The giving side of a seed: a consistent copy of the carried tables, sent over the link.

use std::time::Duration;

use link::Answer;
use mysql_async::prelude::*;
use mysql_async::{Conn, Row};
use tokio::sync::mpsc;
use transaction::binlog::sql_identifier;
use transaction::record::Record;
use transaction::{Context, Hlc, RecordNumber, RegionName, Sequence};

use super::control::Parts;
use super::{checksum, rows};

/// Bytes of rows that one part of the answer carries.
const PART_LEN: usize = 1 << 20;

/// How long the commits of this region may be held up: readers of the position wait under a global read lock.
const LOCK_BOUND: Duration = Duration::from_secs(10);

/// What the asker says of itself.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Wanted {
    /// The end of its own log: the copy must hold all of it.
    pub(crate) sequence: Sequence,
    /// What it once said that it had applied, of each origin: the copy must hold that too.
    pub(crate) context: Vec<(RegionName, Sequence)>,
}

/// The first part of the answer.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Head {
    /// How far the copy is, of every origin but the asker.
    pub(crate) applied: Vec<Reached>,
    /// The tables, in the order in which their rows come.
    pub(crate) tables: Vec<Table>,
}

/// How far a copy is, of one origin.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct Reached {
    /// Whose transactions.
    pub(crate) origin: RegionName,
    /// The last one in the copy.
    pub(crate) sequence: Sequence,
    /// Its record.
    pub(crate) record: RecordNumber,
    /// The newest stamp.
    pub(crate) hlc: Hlc,
}

/// A table of the copy.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Table {
    /// Its schema.
    pub(crate) schema: String,
    /// `CREATE DATABASE` of the schema.
    pub(crate) create_schema: String,
    /// Its name.
    pub(crate) table: String,
    /// `CREATE TABLE`.
    pub(crate) create: String,
    /// Columns that are sent, in order: all but generated ones.
    pub(crate) columns: Vec<Sent>,
    /// The server's estimate.
    pub(crate) rows: u64,
}

/// A column of the copy.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sent {
    /// Its name.
    pub(crate) name: String,
    /// Its type, such as `json`.
    pub(crate) data_type: String,
}

/// First byte of each part after the head.
pub(crate) const PART_ROWS: u8 = 1;
/// The table is complete: number of rows and checksum ([`checksum::of_rows`]) follow, u64 each.
pub(crate) const PART_TABLE_END: u8 = 2;

/// Sends the copy.
pub(crate) async fn send(
    parts: &Parts,
    peer: RegionName,
    payload: &[u8],
    sender: &mpsc::Sender<Answer>,
) -> Result<(), String> {
    let wanted: Wanted =
        serde_json::from_slice(payload).map_err(|e| format!("the question is malformed: {e}"))?;
    wait_until_applied(parts, peer, &wanted).await?;
    let failed =
        |what: &'static str| move |e: mysql_async::Error| format!("{what} in the giving region: {e}");
    let mut conn = (parts.connect)().await.map_err(failed("connecting"))?;
    conn.query_drop(
        "SET NAMES binary, SESSION time_zone = '+00:00', SESSION transaction_isolation = 'REPEATABLE-READ'",
    )
    .await
    .map_err(failed("preparing the session"))?;
    let tables = describe(&mut conn, parts).await?;
    let applied = freeze(&mut conn, parts, peer).await?;
    tracing::info!("region {peer} is seeded from here: {} tables", tables.len());
    let head = Head { applied, tables };
    part(sender, serde_json::to_vec(&head).map_err(|e| e.to_string())?).await?;
    for table in &head.tables {
        send_rows(&mut conn, table, sender).await?;
    }
    tracing::info!("region {peer} has its copy");
    Ok(())
}

async fn part(sender: &mpsc::Sender<Answer>, bytes: Vec<u8>) -> Result<(), String> {
    sender.send(Answer::Part(bytes)).await.map_err(|_| "the asker is gone".to_owned())
}

/// The copy must not lie behind what the asker once told its peers, who may have forgotten older writes since.
async fn wait_until_applied(parts: &Parts, peer: RegionName, wanted: &Wanted) -> Result<(), String> {
    let needed: Context = wanted.context.iter().copied().chain([(peer, wanted.sequence)]).collect();
    let region = parts.board.region;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    loop {
        let missing = needed.iter().find(|(origin, sequence)| {
            let held = match parts.board.origins.get(origin) {
                Some(progress) => progress.borrow().applied_sequence,
                None => parts.board.logs.get(region).log.tail().last_sequence,
            };
            held < *sequence
        });
        let Some((origin, sequence)) = missing else { return Ok(()) };
        if tokio::time::Instant::now() > deadline {
            return Err(format!(
                "{region} has not applied transaction {sequence} of {origin} yet; look at its `concord status`"
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Opens a consistent read view in `conn` and says exactly which transactions it holds.
///
/// Commits are held up by a global read lock for the moment in which view and position are taken, and in which the
/// extractor reads up to that position: then its sequence number is the last one in the view.
async fn freeze(conn: &mut Conn, parts: &Parts, peer: RegionName) -> Result<Vec<Reached>, String> {
    let failed =
        |what: &'static str| move |e: mysql_async::Error| format!("{what} in the giving region: {e}");
    let mut lock = (parts.connect)().await.map_err(failed("connecting"))?;
    let seconds = LOCK_BOUND.as_secs();
    lock.query_drop(format!("SET SESSION lock_wait_timeout = {seconds}"))
        .await
        .map_err(failed("preparing the lock"))?;
    lock.query_drop("FLUSH TABLES WITH READ LOCK").await.map_err(failed("the global read lock"))?;
    let view = async {
        conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            .await
            .map_err(failed("opening a read view"))?;
        let version: Option<String> =
            lock.query_first("SELECT VERSION()").await.map_err(failed("its version"))?;
        let tags = applier::tables::has_tags(&version.unwrap_or_default());
        let end =
            applier::tables::binlog_end(&mut lock, tags).await.map_err(failed("the end of the binlog"))?;
        let end = end.ok_or("the giving region has no binary log")?;
        let mut passed = parts.board.shared.passed.subscribe();
        let reached = tokio::time::timeout(LOCK_BOUND, passed.wait_for(|passed| passed.reaches(&end))).await;
        match reached {
            Ok(Ok(passed)) => Ok(passed.sequence),
            _ => {
                Err("the extractor of the giving region is behind; try again when it has caught up"
                    .to_owned())
            }
        }
    }
    .await;
    lock.query_drop("UNLOCK TABLES").await.map_err(failed("releasing the lock"))?;
    let sequence = view?;
    let markers = applier::tables::applied_as_seen(conn).await.map_err(failed("the markers"))?;
    let own = markers.iter().find(|marker| marker.origin == parts.board.region);
    if let (Some(tail), Some(own)) = (parts.board.tail.get(), own)
        && own.sequence < tail.end
    {
        return Err("after a failover, the giving region's MySQL still lacks transactions of its own log; try again when status \
                    shows them applied".to_owned());
    }
    let mut applied = vec![own_reach(parts, sequence).await?];
    for applier::tables::Applied { origin, sequence, record, hlc } in markers {
        // How far the own origin came back after a failover says nothing elsewhere.
        if origin != peer && origin != parts.board.region {
            applied.push(Reached { origin, sequence, record, hlc });
        }
    }
    Ok(applied)
}

/// Record and stamp of an own transaction, once it is durable.
async fn own_reach(parts: &Parts, sequence: Sequence) -> Result<Reached, String> {
    let origin = parts.board.region;
    if sequence == Sequence(0) {
        return Ok(Reached { origin, sequence, record: RecordNumber(0), hlc: Hlc(0) });
    }
    let own = parts.board.logs.own();
    for _ in 0..600 {
        if let Some(record) = own.log.find_sequence(sequence).map_err(|e| e.to_string())? {
            let mut reader = own.log.read_from(record).map_err(|e| e.to_string())?;
            let raw = reader.next_record().map_err(|e| e.to_string())?.ok_or("the log lost a record")?;
            let hlc = Record::decode(raw.bytes).map_err(|e| e.to_string())?.hlc;
            return Ok(Reached { origin, sequence, record, hlc });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!("transaction {sequence} of {origin} does not become durable, or retention has deleted it"))
}

async fn describe(conn: &mut Conn, parts: &Parts) -> Result<Vec<Table>, String> {
    if !parts.board.logs.filters().0.is_empty() {
        return Err(
            "this region sees tables through filters ([[region.filter]]): seed from another one".into()
        );
    }
    let failed = |e: mysql_async::Error| format!("definitions in the giving region: {e}");
    let text = |value: Option<Vec<u8>>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
    let carried = super::tables::carried(conn, &parts.board.shared, &parts.carries).await?;
    let mut tables = Vec::new();
    for (schema, table) in carried.into_keys() {
        let (quoted_schema, quoted) = (sql_identifier(&schema), sql_identifier(&table));
        let row: Option<Row> =
            conn.query_first(format!("SHOW CREATE TABLE {quoted_schema}.{quoted}")).await.map_err(failed)?;
        let create = text(row.and_then(|row| row.get(1)));
        let row: Option<Row> =
            conn.query_first(format!("SHOW CREATE DATABASE {quoted_schema}")).await.map_err(failed)?;
        let create_schema = text(row.and_then(|row| row.get(1)));
        let columns: Vec<(Vec<u8>, Vec<u8>)> = conn
            .exec(
                "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS
                 WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND GENERATION_EXPRESSION = '' ORDER BY ORDINAL_POSITION",
                (&schema, &table),
            )
            .await
            .map_err(failed)?;
        let rows: Option<Option<u64>> = conn
            .exec_first(
                "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                (&schema, &table),
            )
            .await
            .map_err(failed)?;
        let columns = columns
            .into_iter()
            .map(|(name, data_type)| Sent {
                name: text(Some(name)),
                data_type: text(Some(data_type)).to_lowercase(),
            })
            .collect();
        tables.push(Table {
            schema,
            create_schema,
            table,
            create,
            columns,
            rows: rows.flatten().unwrap_or(0),
        });
    }
    Ok(tables)
}

async fn send_rows(conn: &mut Conn, table: &Table, sender: &mpsc::Sender<Answer>) -> Result<(), String> {
    let name = format!("{}.{}", sql_identifier(&table.schema), sql_identifier(&table.table));
    let failed = |e: mysql_async::Error| format!("rows of {name} in the giving region: {e}");
    let columns: Vec<String> = table.columns.iter().map(Sent::selected).collect();
    let mut bytes = vec![PART_ROWS];
    let mut count = 0u64;
    {
        // The binary protocol: a FLOAT as text would lose digits.
        let statement = format!("SELECT {} FROM {name}", columns.join(", "));
        let mut result = conn.exec_iter(statement, ()).await.map_err(failed)?;
        while let Some(row) = result.next().await.map_err(failed)? {
            for value in row.unwrap() {
                rows::put(&mut bytes, &value);
            }
            count += 1;
            if bytes.len() >= PART_LEN {
                part(sender, std::mem::replace(&mut bytes, vec![PART_ROWS])).await?;
            }
        }
    }
    if bytes.len() > 1 {
        part(sender, bytes).await?;
    }
    let checksum = checksum::of_rows(conn, &table.schema, &table.table).await.map_err(failed)?.unwrap_or(0);
    let mut end = vec![PART_TABLE_END];
    end.extend_from_slice(&count.to_le_bytes());
    end.extend_from_slice(&checksum.to_le_bytes());
    part(sender, end).await
}

impl Sent {
    /// How the column is selected: members of ENUM and SET by number, since a label may stand for two.
    fn selected(&self) -> String {
        let name = sql_identifier(&self.name);
        match self.data_type.as_str() {
            "enum" | "set" => format!("CAST({name} AS UNSIGNED)"),
            _ => name,
        }
    }

    /// How a value is put in: JSON refuses binary text.
    pub(crate) fn placeholder(&self) -> &'static str {
        match self.data_type.as_str() {
            "json" => "CONVERT(? USING utf8mb4)",
            _ => "?",
        }
    }
}
