//! What the server says about itself. Asking is all that happens here; judging is elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::columns::{self, Columns};
use crate::config::{ConnectError, Mysql, Transport, connect};

/// How long the server may take to answer a connection before it counts as away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything about a server that decides whether Concord can work with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerFacts {
    /// `encrypted` or `not encrypted`.
    pub(crate) transport: &'static str,
    /// The account as the server knows it, `user@host`.
    pub(crate) account: String,
    /// Global variables by name; one that the server does not know is absent.
    pub(crate) variables: BTreeMap<String, String>,
    /// `binlog_do_db` and `binlog_ignore_db`, each a comma list; `None` if the binlog's status could not be read or the
    /// binlog is off.
    pub(crate) binlog_filters: Option<(String, String)>,
    /// Why the binlog's status could not be read.
    pub(crate) binlog_status_error: Option<String>,
    /// Replica filters in force as `rule value`; or why they could not be read.
    pub(crate) replica_filters: Option<Result<Vec<String>, String>>,
    /// Servers of which this one is a replica, `host:port`.
    pub(crate) sources: Vec<String>,
    /// The account's grants, roles included, one statement each.
    pub(crate) grants: Vec<String>,
    /// Every base table that the account can see, system schemas left out.
    pub(crate) tables: Vec<TableFacts>,
    /// Foreign keys that change child rows by themselves, `schema.table.constraint`, with the child's schema and table.
    pub(crate) cascades: Vec<(String, String, String)>,
    /// Unique keys over an expression: schema, table and key.
    pub(crate) functional_keys: Vec<(String, String, String)>,
    /// The columns of all tables, or why they could not be read; `None` if no one asked for them.
    pub(crate) columns: Option<Result<Columns, String>>,
    /// The rows of `concord.region`: region and mesh. `None` if the table is not there.
    pub(crate) owner: Option<Result<Vec<(String, String)>, String>>,
    /// The server's clock minus ours, in microseconds; exact to half the round trip.
    pub(crate) clock_difference_us: i64,
}

/// One table.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableFacts {
    /// Its schema.
    pub(crate) schema: String,
    /// Its name.
    pub(crate) name: String,
    /// Its engine; empty if the server does not know.
    pub(crate) engine: String,
    /// Whether it has a primary key.
    pub(crate) primary_key: bool,
    /// Whether a column is AUTO_INCREMENT.
    pub(crate) auto_increment: bool,
}

/// The variables that are judged.
const VARIABLES: [&str; 27] = [
    "version",
    "version_comment",
    "server_uuid",
    "server_id",
    "log_bin",
    "log_replica_updates",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_metadata",
    "binlog_row_value_options",
    "binlog_checksum",
    "binlog_expire_logs_seconds",
    "binlog_expire_logs_auto_purge",
    "sync_binlog",
    "innodb_flush_log_at_trx_commit",
    "gtid_mode",
    "enforce_gtid_consistency",
    "max_allowed_packet",
    "auto_increment_increment",
    "auto_increment_offset",
    "lower_case_table_names",
    "partial_revokes",
    "read_only",
    "super_read_only",
    "offline_mode",
    "default_storage_engine",
    "innodb_page_size",
];

impl ServerFacts {
    /// A global variable, or the empty text.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// A global variable as a number; `None` if it is absent or none.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.variable(name).parse().ok()
    }

    /// Whether a switch is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        matches!(self.variable(name), "ON" | "1")
    }

    /// Major and minor number of the server's version; `None` if it does not begin with two numbers.
    pub(crate) fn version(&self) -> Option<(u32, u32)> {
        let mut parts = self.variable("version").split(|c: char| !c.is_ascii_digit());
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

/// Connects and asks; for the columns, of which there may be very many, only if they are needed. An error means that there
/// is no (usable) connection; a single question that fails is a fact.
pub(super) async fn gather(mysql: &Mysql, with_columns: bool) -> Result<ServerFacts, ConnectError> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(mysql)).await;
    let (mut conn, transport) = connected.unwrap_or_else(|_| {
        let text = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
        Err(mysql_async::Error::from(std::io::Error::new(std::io::ErrorKind::TimedOut, text)).into())
    })?;
    let mut facts = ask(&mut conn, transport).await?;
    if with_columns {
        facts.columns = Some(columns::read(&mut conn).await?);
    }
    // The facts are there; a goodbye that fails changes none of them.
    let _ = conn.disconnect().await;
    Ok(facts)
}

async fn ask(conn: &mut Conn, transport: Transport) -> Result<ServerFacts, mysql_async::Error> {
    let mut facts = ServerFacts {
        transport: match transport {
            Transport::Tls => "encrypted",
            Transport::Plain => "not encrypted",
        },
        clock_difference_us: clock_difference(conn).await?,
        ..ServerFacts::default()
    };
    facts.account = conn.query_first("SELECT CURRENT_USER()").await?.unwrap_or_default();
    let list = VARIABLES.map(|name| format!("'{name}'")).join(", ");
    let variables: Vec<(String, String)> =
        conn.query(format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({list})")).await?;
    facts.variables = variables.into_iter().collect();
    // Some servers before 8.4 know the old name of this statement only.
    let statement = if facts.version().is_some_and(|version| version >= (8, 2)) {
        "SHOW BINARY LOG STATUS"
    } else {
        "SHOW MASTER STATUS"
    };
    match conn.query_first::<Row, _>(statement).await {
        Ok(row) => {
            facts.binlog_filters = row.map(|row| (text(&row, "Binlog_Do_DB"), text(&row, "Binlog_Ignore_DB")))
        }
        Err(error) => facts.binlog_status_error = Some(denied(error)?),
    }
    facts.replica_filters = Some(replica_filters(conn).await?);
    match conn.query::<Row, _>("SHOW REPLICA STATUS").await {
        Ok(rows) => {
            facts.sources = rows
                .iter()
                .map(|row| format!("{}:{}", text(row, "Source_Host"), text(row, "Source_Port")))
                .collect();
        }
        // Without REPLICATION CLIENT, which the privilege check names.
        Err(error) => drop(denied(error)?),
    }
    facts.grants = grants(conn).await?;
    facts.tables = tables(conn).await?;
    facts.cascades = cascades(conn).await?;
    facts.functional_keys = functional_keys(conn).await?;
    facts.owner = owner(conn, &facts.grants).await?;
    Ok(facts)
}

/// The server's clock minus ours, taken as of the middle of one round trip. The first question warms the connection up.
async fn clock_difference(conn: &mut Conn) -> Result<i64, mysql_async::Error> {
    let question = "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)";
    let _: Option<i64> = conn.query_first(question).await?;
    let (sent_at, began) = (SystemTime::now(), Instant::now());
    let theirs: i64 = conn.query_first(question).await?.unwrap_or_default();
    let middle = sent_at + began.elapsed() / 2;
    let ours = middle.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    Ok(theirs - i64::try_from(ours).unwrap_or(i64::MAX))
}

/// The message, if the server answered with an error; any other error ends the gathering.
fn denied(error: mysql_async::Error) -> Result<String, mysql_async::Error> {
    match error {
        mysql_async::Error::Server(error) => Ok(error.message),
        error => Err(error),
    }
}

/// A column as text; empty if it is absent or NULL.
fn text(row: &Row, column: &str) -> String {
    row.get_opt::<String, _>(column).and_then(Result::ok).unwrap_or_default()
}

async fn replica_filters(conn: &mut Conn) -> Result<Result<Vec<String>, String>, mysql_async::Error> {
    let mut found = Vec::new();
    for table in ["replication_applier_global_filters", "replication_applier_filters"] {
        let question = format!("SELECT FILTER_NAME, FILTER_RULE FROM performance_schema.{table}");
        match conn.query::<(String, String), _>(question).await {
            Ok(rows) => found.extend(rows.into_iter().map(|(name, rule)| format!("{name} {rule}"))),
            Err(error) => return Ok(Err(denied(error)?)),
        }
    }
    found.sort();
    found.dedup();
    Ok(Ok(found))
}

/// The grants of the account and of its active roles.
async fn grants(conn: &mut Conn) -> Result<Vec<String>, mysql_async::Error> {
    let roles: String = conn.query_first("SELECT CURRENT_ROLE()").await?.unwrap_or_default();
    let using = if roles.is_empty() || roles == "NONE" { String::new() } else { format!(" USING {roles}") };
    conn.query(format!("SHOW GRANTS FOR CURRENT_USER(){using}")).await
}

async fn tables(conn: &mut Conn) -> Result<Vec<TableFacts>, mysql_async::Error> {
    let rows: Vec<(String, String, Option<String>, i64, i64)> = conn
        .query(
            "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.ENGINE, \
               EXISTS (SELECT 1 FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = t.TABLE_SCHEMA \
                       AND s.TABLE_NAME = t.TABLE_NAME AND s.INDEX_NAME = 'PRIMARY'), \
               EXISTS (SELECT 1 FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = t.TABLE_SCHEMA \
                       AND c.TABLE_NAME = t.TABLE_NAME AND c.EXTRA LIKE '%auto_increment%') \
             FROM information_schema.TABLES t WHERE t.TABLE_TYPE = 'BASE TABLE' \
               AND t.TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'concord') \
             ORDER BY 1, 2",
        )
        .await?;
    let table =
        |(schema, name, engine, primary_key, auto_increment): (_, _, Option<String>, i64, i64)| TableFacts {
            schema,
            name,
            engine: engine.unwrap_or_default(),
            primary_key: primary_key != 0,
            auto_increment: auto_increment != 0,
        };
    Ok(rows.into_iter().map(table).collect())
}

async fn cascades(conn: &mut Conn) -> Result<Vec<(String, String, String)>, mysql_async::Error> {
    conn.query(
        "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE UPDATE_RULE IN ('CASCADE', 'SET NULL') OR DELETE_RULE IN ('CASCADE', 'SET NULL') ORDER BY 1, 2, 3",
    )
    .await
}

async fn functional_keys(conn: &mut Conn) -> Result<Vec<(String, String, String)>, mysql_async::Error> {
    let question = "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME FROM information_schema.STATISTICS \
                    WHERE NON_UNIQUE = 0 AND EXPRESSION IS NOT NULL ORDER BY 1, 2, 3";
    match conn.query(question).await {
        // Servers before 8.0.13 have neither such keys nor this column.
        Err(mysql_async::Error::Server(error)) if error.code == 1054 => Ok(Vec::new()),
        answer => answer,
    }
}

/// Whose the schema `concord` is. Without any grant on it the server hides whether it is there, so that the table's
/// absence means something only to an account that could see it.
async fn owner(
    conn: &mut Conn,
    grants: &[String],
) -> Result<Option<Result<Vec<(String, String)>, String>>, mysql_async::Error> {
    match conn.query("SELECT region, mesh FROM concord.region").await {
        Ok(rows) => Ok(Some(Ok(rows))),
        Err(mysql_async::Error::Server(error)) if matches!(error.code, 1146 | 1049) => Ok(None),
        Err(error) if grants.is_empty() => Err(error),
        Err(error) => Ok(Some(Err(denied(error)?))),
    }
}
