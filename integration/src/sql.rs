//! One connection to one server, and answers as text.

use crate::{Error, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};
use std::fmt::Write as _;
use std::time::Duration;

/// A connection over TCP to a server on 127.0.0.1.
#[derive(Debug)]
pub struct Sql {
    conn: Conn,
}

impl Sql {
    /// Connects as `user`, with an empty password if none is given.
    pub async fn connect(port: u16, user: &str, password: Option<&str>) -> Result<Self> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            .user(Some(user))
            .pass(password)
            // The client would otherwise go over to the server's socket and no longer be what a remote client is.
            .prefer_socket(false)
            // A server that is killed before it has taken up a connection leaves the client waiting for its greeting; probes end that.
            .tcp_keepalive(Some(Duration::from_secs(10)))
            .max_allowed_packet(Some(1 << 30))
            .wait_timeout(Some(28_800));
        let conn =
            Conn::new(options).await.map_err(Error::sql(format!("connect to 127.0.0.1:{port} as {user}")))?;
        Ok(Self { conn })
    }

    /// Runs a statement, or several with semicolons between them where the server allows it; drops what it answers.
    pub async fn run(&mut self, statement: impl AsRef<str>) -> Result<()> {
        let statement = statement.as_ref();
        self.conn.query_drop(statement).await.map_err(Error::sql(statement))
    }

    /// Runs each statement of a script, split at semicolons that end a line. Lines that start with `--` are left out.
    pub async fn script(&mut self, script: &str) -> Result<()> {
        for statement in statements(script) {
            self.run(&statement).await?;
        }
        Ok(())
    }

    /// All rows as text; NULL is `NULL`, bytes which are no text are `0x…`.
    pub async fn rows(&mut self, query: impl AsRef<str>) -> Result<Vec<Vec<String>>> {
        let query = query.as_ref();
        let rows: Vec<Row> = self.conn.query(query).await.map_err(Error::sql(query))?;
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
    }

    /// The first column of each row.
    pub async fn column(&mut self, query: impl AsRef<str>) -> Result<Vec<String>> {
        let rows = self.rows(query).await?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next()).collect())
    }

    /// The one value of an answer; an error if there is none.
    pub async fn value(&mut self, query: impl AsRef<str>) -> Result<String> {
        let query = query.as_ref();
        let first = self.column(query).await?.into_iter().next();
        first.ok_or_else(|| Error::Unexpected(format!("no row came back for: {query}")))
    }

    /// The one value of an answer as a number.
    pub async fn number(&mut self, query: impl AsRef<str>) -> Result<u64> {
        let query = query.as_ref();
        let value = self.value(query).await?;
        value.parse().map_err(|_| Error::Unexpected(format!("{value:?} is no number: {query}")))
    }

    /// The AUTO_INCREMENT value of the last INSERT.
    pub fn last_insert_id(&self) -> u64 {
        self.conn.last_insert_id().unwrap_or_default()
    }

    /// How many rows the last statement changed.
    pub fn affected_rows(&self) -> u64 {
        self.conn.affected_rows()
    }
}

/// The statements of a script: what ends in a semicolon at the end of a line.
pub fn statements(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    for line in script.lines().filter(|line| !line.trim_start().starts_with("--")) {
        let line = line.trim_end();
        match line.strip_suffix(';') {
            Some(last) => {
                current.push_str(last);
                found.push(std::mem::take(&mut current));
            }
            None => {
                current.push_str(line);
                current.push('\n');
            }
        }
    }
    found.push(current.trim_end().to_owned());
    found.retain(|statement| !statement.trim().is_empty());
    found
}

fn text(value: Value) -> String {
    match value {
        Value::NULL => "NULL".to_owned(),
        Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => error.as_bytes().iter().fold("0x".to_owned(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            }),
        },
        other => other.as_sql(true).trim_matches('\'').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn a_script_is_split_at_semicolons_that_end_a_line() {
        let script =
            "-- a comment;\nCREATE TABLE t (\n  a INT\n);\nINSERT INTO t VALUES (';'), (2);\n\nSELECT 1";
        assert_eq!(
            statements(script),
            ["CREATE TABLE t (\n  a INT\n)", "INSERT INTO t VALUES (';'), (2)", "\nSELECT 1"]
        );
    }
}
