//! Concord's own tables in the target MySQL: who the region is, and how far each origin is applied.

use mysql_async::prelude::*;
use mysql_async::{Conn, Error, Row};
use transaction::gtid::GtidError;
use transaction::{Context, GtidSet, Hlc, RecordNumber, RegionName, Sequence, SuspendedTable, Uuid};

use crate::shared::Passed;

/// GTID tag of Concord's own book-keeping, where the server has tags.
const OWN_TAG: &str = "_concord";

const STATEMENTS: &[&str] = &[
    "CREATE DATABASE IF NOT EXISTS concord",
    "CREATE TABLE IF NOT EXISTS concord.region (
        id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
        region VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        mesh VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
    ) ENGINE = InnoDB COMMENT = 'The region that this server belongs to'",
    "CREATE TABLE IF NOT EXISTS concord.marker (
        lane SMALLINT UNSIGNED NOT NULL,
        origin VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        sequence BIGINT UNSIGNED NOT NULL COMMENT 'last transaction of the origin applied here',
        record BIGINT UNSIGNED NOT NULL COMMENT 'its record in the log',
        hlc BIGINT UNSIGNED NOT NULL COMMENT 'newest stamp among those applied, microseconds',
        changes BIGINT UNSIGNED NOT NULL COMMENT 'counter, so that every transaction changes the row',
        row_changes BIGINT UNSIGNED NOT NULL COMMENT 'row changes that the last transaction sent',
        owner BIGINT UNSIGNED NOT NULL COMMENT 'process that may apply; another one is fenced off',
        PRIMARY KEY (lane, origin)
    ) ENGINE = InnoDB COMMENT = 'How far each origin is applied; changed in the same transaction as the rows'",
    "CREATE TABLE IF NOT EXISTS concord.repair (
        id INT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'place of the repair in its transaction, from 0',
        root_hlc BIGINT UNSIGNED NOT NULL COMMENT 'the write that the repair comes after: its stamp',
        root_origin VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'where it first committed',
        root_sequence BIGINT UNSIGNED NOT NULL COMMENT 'its transaction',
        root_index INT UNSIGNED NOT NULL COMMENT 'its place in the transaction',
        level TINYINT UNSIGNED NOT NULL COMMENT 'how many repairs after it; 0: it stands for itself',
        events LONGBLOB NOT NULL COMMENT 'a table map and a rows event with one row change, without checksums'
    ) ENGINE = InnoDB COMMENT = 'Repairs on their way into the binlog: empty outside of a transaction'",
    "CREATE TABLE IF NOT EXISTS concord.suspension (
        table_schema VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        origin VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        sequence BIGINT UNSIGNED NOT NULL COMMENT 'last transaction of the origin whose rows in this table are applied',
        reason VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        since_us BIGINT UNSIGNED NOT NULL COMMENT 'microseconds since 1970',
        PRIMARY KEY (table_schema, table_name, origin)
    ) ENGINE = InnoDB COMMENT = 'Tables that are not applied for now, and how far each is'",
];

/// How many tables there are.
const TABLES: u64 = 4;

/// How far an origin is applied, as its marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Whose transactions.
    pub origin: RegionName,
    /// The last one.
    pub sequence: Sequence,
    /// Its record.
    pub record: RecordNumber,
    /// The newest stamp.
    pub hlc: Hlc,
}

/// Whom the server's schema `concord` says it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belongs {
    /// The region.
    pub region: String,
    /// The mesh.
    pub mesh: String,
}

/// Whether the server has GTID tags (8.3 and later), by its version.
pub fn has_tags(version: &str) -> bool {
    let mut numbers =
        version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (8, 3)
}

/// The end of the server's binlog; `None` if it has none. `tags`: see [`has_tags`]; the statement had another name before.
pub async fn binlog_end(conn: &mut Conn, tags: bool) -> Result<Option<Passed>, Error> {
    let statement = if tags { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" };
    let row: Option<Row> = conn.query_first(statement).await?;
    Ok(row
        .map(|row| Passed::new(&row.get::<String, _>(0).unwrap_or_default(), row.get(1).unwrap_or_default())))
}

/// Creates schema and tables where they are missing, and claims the server for `region` of `mesh` if no one has.
/// Returns whom it belongs to: the caller refuses if that is someone else.
pub async fn create(conn: &mut Conn, region: RegionName, mesh: &str) -> Result<Belongs, Error> {
    let version: Option<String> = conn.query_first("SELECT VERSION()").await?;
    let tags = has_tags(&version.unwrap_or_default());
    if tags {
        conn.query_drop(format!("SET gtid_next = 'AUTOMATIC:{OWN_TAG}'")).await?;
    }
    let existing: Option<u64> = conn
        .query_first(
            "SELECT COUNT(*) FROM information_schema.TABLES
             WHERE TABLE_SCHEMA = 'concord' AND TABLE_NAME IN ('region', 'marker', 'repair', 'suspension')",
        )
        .await?;
    if existing != Some(TABLES) {
        for (place, statement) in STATEMENTS.iter().enumerate() {
            conn.query_drop(*statement).await?;
            if place == 0 && !tags {
                // Without a tag, the extractor knows Concord's own DDL by its default schema. An earlier version's table may
                // be missing when the binlog is read already.
                conn.query_drop("USE concord").await?;
            }
        }
    }
    if belongs(conn).await?.is_none() {
        conn.exec_drop("INSERT IGNORE INTO concord.region VALUES (1, ?, ?)", (region.as_str(), mesh)).await?;
    }
    if tags {
        conn.query_drop("SET gtid_next = 'AUTOMATIC'").await?;
    }
    Ok(belongs(conn).await?.unwrap_or_else(|| Belongs { region: region.to_string(), mesh: mesh.to_owned() }))
}

/// Whom the server belongs to; `None` if the row is missing.
async fn belongs(conn: &mut Conn) -> Result<Option<Belongs>, Error> {
    let row: Option<(String, String)> =
        conn.query_first("SELECT region, mesh FROM concord.region WHERE id = 1").await?;
    Ok(row.map(|(region, mesh)| Belongs { region, mesh }))
}

/// How far each origin is applied, by a locking read of all markers: after a lost answer it waits for the transaction that was in doubt.
/// Lanes commit in order, so the furthest marker of an origin counts.
pub async fn applied(conn: &mut Conn) -> Result<Vec<Applied>, Error> {
    markers(conn, " FOR UPDATE").await
}

/// The same without waiting for anyone: as of the last commit, or of the snapshot that `conn` has.
pub async fn applied_as_seen(conn: &mut Conn) -> Result<Vec<Applied>, Error> {
    markers(conn, "").await
}

async fn markers(conn: &mut Conn, locking: &str) -> Result<Vec<Applied>, Error> {
    let text = format!("SELECT origin, sequence, record, hlc FROM concord.marker{locking}");
    let rows: Vec<Row> = conn.query(text).await?;
    let mut all: Vec<Applied> = Vec::new();
    for row in rows {
        let (origin, sequence, record, hlc): (String, u64, u64, u64) = mysql_async::from_row_opt(row)
            .map_err(|_| Error::Other("concord.marker has not the columns that Concord gave it".into()))?;
        let origin = RegionName::new(&origin).map_err(|e| Error::Other(e.to_string().into()))?;
        let marker =
            Applied { origin, sequence: Sequence(sequence), record: RecordNumber(record), hlc: Hlc(hlc) };
        match all.iter_mut().find(|known| known.origin == origin) {
            Some(known) if known.sequence < marker.sequence => *known = marker,
            Some(_) => {}
            None => all.push(marker),
        }
    }
    Ok(all)
}

/// A table that this region does not apply for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The table, and how far it is applied.
    pub table: SuspendedTable,
    /// Why.
    pub reason: String,
    /// Since when, microseconds since 1970.
    pub since_us: u64,
}

/// All suspended tables, sorted by schema and table.
pub async fn suspensions(conn: &mut Conn) -> Result<Vec<Suspension>, Error> {
    let rows: Vec<Row> = conn
        .query(
            "SELECT table_schema, table_name, origin, sequence, reason, since_us FROM concord.suspension
             ORDER BY table_schema, table_name, origin",
        )
        .await?;
    let mut all: Vec<Suspension> = Vec::new();
    for row in rows {
        let (schema, table, origin, sequence, reason, since_us): (String, String, String, u64, String, u64) =
            mysql_async::from_row_opt(row).map_err(|_| {
                Error::Other("concord.suspension has not the columns that Concord gave it".into())
            })?;
        let origin = RegionName::new(&origin).map_err(|e| Error::Other(e.to_string().into()))?;
        if all.last().is_none_or(|last| (&last.table.schema, &last.table.table) != (&schema, &table)) {
            let table = SuspendedTable { schema, table, applied: Context::new() };
            all.push(Suspension { table, reason, since_us });
        }
        if let Some(last) = all.last_mut() {
            last.table.applied.set(origin, Sequence(sequence));
        }
    }
    Ok(all)
}

/// Sets the markers of an origin that has none yet, for so many lanes: it is applied here up to `applied`. `ddl_source`: under which UUID its
/// DDL runs. A server that has executed later DDL of it, in a life before its tables were made anew, is refused: it would
/// pass over those statements when they come.
pub async fn insert_marker(
    conn: &mut Conn,
    applied: Applied,
    owner: u64,
    ddl_source: Uuid,
    lanes: u16,
) -> Result<(), Error> {
    let executed: Option<String> = conn.query_first("SELECT @@GLOBAL.gtid_executed").await?;
    let executed: GtidSet =
        executed.unwrap_or_default().parse().map_err(|e: GtidError| Error::Other(e.to_string().into()))?;
    let later = executed
        .intervals()
        .any(|(source, _, end)| source.uuid == ddl_source && end > applied.sequence.next().0);
    if later {
        return Err(Error::Other(
            format!(
                "gtid_executed has DDL of {} ({ddl_source}) later than transaction {}, up to which its tables are: this \
                 server would pass over those statements. Run RESET BINARY LOGS AND GTIDS on it before it is seeded, or \
                 start from an empty one",
                applied.origin, applied.sequence
            )
            .into(),
        ));
    }
    conn.exec_drop(
        format!("INSERT INTO concord.marker {} SELECT lane, ?, ?, ?, ?, 1, 0, ? FROM lanes", numbers(lanes)),
        (applied.origin.as_str(), applied.sequence.0, applied.record.0, applied.hlc.0, owner),
    )
    .await
}

/// A table `lanes` with the numbers of so many.
fn numbers(lanes: u16) -> String {
    format!(
        "WITH RECURSIVE lanes (lane) AS (SELECT 0 UNION ALL SELECT lane + 1 FROM lanes WHERE lane + 1 < {lanes})"
    )
}

/// Takes the right to apply over so many lanes, each of which gets a marker: from now on a process with another token is fenced off.
pub async fn take_ownership(conn: &mut Conn, owner: u64, lanes: u16) -> Result<(), Error> {
    let numbers = numbers(lanes);
    let missing = "FROM lanes CROSS JOIN concord.marker AS first LEFT JOIN concord.marker AS own ON own.lane = lanes.lane AND own.origin = first.origin \
         WHERE first.lane = 0 AND own.lane IS NULL";
    let some: Option<u64> = conn.query_first(format!("{numbers} SELECT COUNT(*) {missing}")).await?;
    if some != Some(0) {
        conn.query_drop(format!(
            "INSERT INTO concord.marker {numbers} \
             SELECT lanes.lane, first.origin, first.sequence, first.record, first.hlc, 1, 0, {owner} {missing}"
        ))
        .await?;
    }
    conn.exec_drop("UPDATE concord.marker SET changes = changes + 1, row_changes = 0, owner = ?", (owner,))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_tags_from_8_3_on() {
        for (version, tags) in [
            ("8.0.36", false),
            ("8.2.0", false),
            ("8.3.0", true),
            ("8.4.5-log", true),
            ("9.7.4-2", true),
            ("26.7.0", true),
        ] {
            assert_eq!(has_tags(version), tags, "{version}");
        }
    }
}
