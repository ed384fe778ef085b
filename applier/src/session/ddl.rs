//! The connection on which a DDL statement runs, with the session that it had at its origin.

use std::fmt::Write;

use mysql_async::Conn;
use mysql_async::prelude::*;
use transaction::binlog::{SessionState, sql_identifier};
use transaction::ddl::{NO_BACKSLASH_ESCAPES, ObjectKind};
use transaction::{DdlStatement, Gtid};

use super::SqlFailure;
use crate::relations::TableName;

/// A connection for one statement. Locks, variables and the GTID are gone with it.
pub(super) struct DdlSession {
    pub(super) conn: Conn,
    /// The names of the tables that are locked, in quotes.
    locked: Vec<String>,
}

impl DdlSession {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn, locked: Vec::new() }
    }

    /// Locks those of the tables that exist, so that no one else reads or writes them.
    pub(super) async fn lock(&mut self, tables: &[TableName]) -> Result<(), SqlFailure> {
        for (schema, table) in tables {
            let found: Option<String> = self
                .conn
                .exec_first(
                    "SELECT TABLE_NAME FROM information_schema.TABLES
                     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND TABLE_TYPE = 'BASE TABLE'",
                    (schema, table),
                )
                .await?;
            if found.is_some() {
                self.locked.push(format!("{}.{}", sql_identifier(schema), sql_identifier(table)));
            }
        }
        if self.locked.is_empty() {
            return Ok(());
        }
        self.conn.query_drop("SET SESSION lock_wait_timeout = 5").await?;
        Ok(self.conn.query_drop(format!("LOCK TABLES {} WRITE", self.locked.join(" WRITE, "))).await?)
    }

    pub(super) async fn run(&mut self, gtid: &Gtid, statement: &DdlStatement) -> Result<(), SqlFailure> {
        if !statement.schema.is_empty() {
            let exists: Option<String> = self
                .conn
                .exec_first(
                    "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?",
                    (&statement.schema,),
                )
                .await?;
            if exists.is_some() {
                self.conn.query_drop(format!("USE {}", sql_identifier(&statement.schema))).await?;
            }
        }
        let guarded: Option<(bool, bool)> =
            self.conn.query_first("SELECT @@sql_require_primary_key, @@default_table_encryption").await?;
        self.conn.query_drop("SET SESSION lock_wait_timeout = 5").await?;
        let variables = variables(statement, guarded.unwrap_or_default());
        self.conn.query_drop(variables).await?;
        // Last: a statement that fails after it would let the GTID go (seen).
        self.conn.query_drop(format!("SET gtid_next = '{gtid}'")).await?;
        // Under locks, a table that is not there cannot even be named (1100, seen).
        if statement.if_exists && !self.locked.is_empty() {
            let text = format!("DROP TABLE IF EXISTS {}", self.locked.join(", "));
            return Ok(self.conn.query_drop(text).await?);
        }
        Ok(self.conn.query_drop(statement.text.as_slice()).await?)
    }
}

/// The statement that sets the session's variables. `guarded`: what `sql_require_primary_key` and
/// `default_table_encryption` are; to set them takes more privileges, so they are set if they differ.
fn variables(statement: &DdlStatement, guarded: (bool, bool)) -> String {
    let DdlStatement { session, timestamp, .. } = statement;
    let SessionState {
        flags,
        sql_mode,
        charsets,
        time_zone,
        lc_time_names,
        collation_database,
        microseconds,
        explicit_defaults_for_timestamp,
        default_collation_for_utf8mb4,
        sql_require_primary_key,
        default_table_encryption,
    } = session;
    let mut text = format!("SET timestamp = {timestamp}.{:06}", microseconds.unwrap_or(0));
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(text, ", SESSION {name} = {value}");
        }
    };
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let switch = |value: Option<bool>| value.map(|value| u8::from(value).to_string());
    set("foreign_key_checks", switch(flags.map(|flags| flags.foreign_key_checks)));
    set("unique_checks", switch(flags.map(|flags| flags.unique_checks)));
    set("sql_auto_is_null", switch(flags.map(|flags| flags.auto_is_null)));
    set("sql_mode", number(sql_mode.map(|mode| mode_to_run(statement, mode))));
    if let Some([client, connection, server]) = charsets {
        set("character_set_client", number(Some((*client).into())));
        set("collation_connection", number(Some((*connection).into())));
        set("collation_server", number(Some((*server).into())));
    }
    set("time_zone", time_zone.as_ref().map(|zone| format!("'{}'", zone.replace('\'', "''"))));
    set("lc_time_names", number(lc_time_names.map(u64::from)));
    set("collation_database", number(collation_database.map(u64::from)));
    set("explicit_defaults_for_timestamp", switch(*explicit_defaults_for_timestamp));
    set("default_collation_for_utf8mb4", number(default_collation_for_utf8mb4.map(u64::from)));
    set("sql_require_primary_key", switch(sql_require_primary_key.filter(|wanted| *wanted != guarded.0)));
    set("default_table_encryption", switch(default_table_encryption.filter(|wanted| *wanted != guarded.1)));
    text
}

/// The `sql_mode` to run it in: that of its origin, without NO_BACKSLASH_ESCAPES where no backslash is in question.
///
/// In that mode the server cannot open a table whose stored definition has an escaped quote (1064, seen on 9.7.4). The origin
/// had it open; here RENAME of a locked table opens it, or the parent of its foreign key, anew. Routines keep their mode.
fn mode_to_run(statement: &DdlStatement, mode: u64) -> u64 {
    let of_tables = statement.objects.iter().all(|object| object.kind == ObjectKind::Table);
    if of_tables && !statement.text.contains(&b'\\') { mode & !NO_BACKSLASH_ESCAPES } else { mode }
}

#[cfg(test)]
mod tests {
    use transaction::binlog::SessionFlags;

    use super::*;

    #[test]
    fn only_what_the_event_has_is_set_and_guarded_variables_if_they_differ() {
        let session = SessionState {
            flags: Some(SessionFlags { foreign_key_checks: false, unique_checks: true, auto_is_null: false }),
            charsets: Some([8, 255, 63]),
            time_zone: Some("o'clock".into()),
            microseconds: Some(12),
            sql_require_primary_key: Some(true),
            default_table_encryption: Some(false),
            ..SessionState::default()
        };
        let statement = DdlStatement {
            schema: String::new(),
            text: Vec::new(),
            session,
            timestamp: 34,
            objects: Vec::new(),
            if_exists: false,
            loses: false,
        };
        assert_eq!(
            variables(&statement, (false, false)),
            "SET timestamp = 34.000012, SESSION foreign_key_checks = 0, SESSION unique_checks = 1, \
             SESSION sql_auto_is_null = 0, SESSION character_set_client = 8, SESSION collation_connection = 255, \
             SESSION collation_server = 63, SESSION time_zone = 'o''clock', SESSION sql_require_primary_key = 1"
        );
    }
}
