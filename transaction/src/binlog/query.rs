//! Statements in the binlog.

use super::EventError;
use super::input::Input;
use super::session::SessionState;

/// A `Query` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryEvent<'a> {
    /// The session's default schema.
    pub schema: &'a str,
    /// The statement's bytes, in the client's character set.
    pub statement: &'a [u8],
    /// Error code that the statement ended with on the source.
    pub error_code: u16,
    variables: &'a [u8],
}

impl<'a> QueryEvent<'a> {
    /// Reads the body: thread 4, time 4, schema length 1, error 2, status variables length 2, variables, schema, 0, statement.
    pub fn decode(body: &'a [u8]) -> Result<Self, EventError> {
        let mut input = Input::new(body, "Query");
        input.take(8)?;
        let schema_len = input.byte()? as usize;
        let error_code = input.uint(2)? as u16;
        let variables_len = input.uint(2)? as usize;
        let variables = input.take(variables_len)?;
        let schema = input.text(schema_len)?;
        input.byte()?;
        Ok(Self { schema, statement: input.rest, error_code, variables })
    }

    /// The session's variables, as far as the event has them.
    pub fn session(&self) -> Result<SessionState, EventError> {
        SessionState::decode(self.variables)
    }

    /// What the statement is, as far as replication must know.
    pub fn classify(&self) -> Statement {
        classify(self.statement)
    }

    /// Of an XA statement, the XID as the server writes it: `X'61',X'',1`.
    pub fn xid(&self) -> Option<&'a str> {
        let text = std::str::from_utf8(self.statement).ok()?;
        text.splitn(3, ' ').nth(2)
    }
}

/// What a statement in the binlog means for replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// Begins a transaction; rows follow.
    Begin,
    /// Commits it.
    Commit,
    /// Ends it undone.
    Rollback,
    /// SAVEPOINT, ROLLBACK TO: the rows undone are not in the binlog, so nothing is to be done.
    Savepoint,
    /// Rows written as text: cannot be carried exactly.
    StatementDml,
    /// XA START: begins a transaction that an [`EventKind::XaPrepare`](super::EventKind::XaPrepare) ends.
    XaStart,
    /// XA END: its rows are complete.
    XaEnd,
    /// XA COMMIT of a prepared transaction, in a group of its own.
    XaCommit,
    /// XA ROLLBACK of a prepared transaction, in a group of its own.
    XaRollback,
    /// Users, roles and grants: not replicated unless asked for.
    Account,
    /// ANALYZE, OPTIMIZE, REPAIR, FLUSH …: each region does its own.
    Maintenance,
    /// Changes a definition.
    Ddl,
    /// None of these.
    Unknown,
}

impl Statement {
    /// Whether it only begins, ends or divides a transaction.
    pub fn is_control(self) -> bool {
        matches!(
            self,
            Self::Begin | Self::Commit | Self::Rollback | Self::Savepoint | Self::XaStart | Self::XaEnd
        )
    }
}

fn classify(statement: &[u8]) -> Statement {
    let words = first_words(statement);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["BEGIN", ..] | ["START", "TRANSACTION", ..] => Statement::Begin,
        ["COMMIT", ..] => Statement::Commit,
        ["ROLLBACK", "TO", ..] | ["SAVEPOINT", ..] | ["RELEASE", ..] => Statement::Savepoint,
        ["ROLLBACK", ..] => Statement::Rollback,
        ["XA", "START" | "BEGIN"] => Statement::XaStart,
        ["XA", "END"] => Statement::XaEnd,
        ["XA", "COMMIT"] => Statement::XaCommit,
        ["XA", "ROLLBACK"] => Statement::XaRollback,
        ["INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "CALL" | "WITH", ..] => {
            Statement::StatementDml
        }
        ["GRANT" | "REVOKE", ..] => Statement::Account,
        // A temporary table lives in one session of the source; only its removal can reach the binlog.
        ["DROP", "TEMPORARY", ..] => Statement::Maintenance,
        ["CREATE" | "ALTER" | "DROP" | "RENAME", "USER" | "ROLE", ..] => Statement::Account,
        ["SET", "PASSWORD" | "DEFAULT" | "ROLE", ..] => Statement::Account,
        ["ANALYZE" | "OPTIMIZE" | "REPAIR" | "FLUSH" | "CHECK", ..] => Statement::Maintenance,
        ["CREATE" | "ALTER" | "DROP" | "RENAME" | "TRUNCATE" | "IMPORT", ..] => Statement::Ddl,
        _ => Statement::Unknown,
    }
}

/// The first two words in capitals, comments and white space left out; `/*! … */` counts as its content.
fn first_words(mut text: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    while words.len() < 2 {
        text = text.trim_ascii_start();
        if let Some(rest) = text.strip_prefix(b"/*!") {
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            text = &rest[digits..];
        } else if let Some(rest) = text.strip_prefix(b"*/") {
            text = rest;
        } else if text.starts_with(b"/*") {
            let Some(end) = text[2..].windows(2).position(|pair| pair == b"*/") else { break };
            text = &text[end + 4..];
        } else if text.starts_with(b"#")
            || text.strip_prefix(b"--").is_some_and(|rest| rest.first().is_none_or(is_blank))
        {
            let Some(end) = text.iter().position(|b| *b == b'\n') else { break };
            text = &text[end + 1..];
        } else {
            let len = text.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
            if len == 0 {
                break;
            }
            words.push(String::from_utf8_lossy(&text[..len]).to_ascii_uppercase());
            text = &text[len..];
        }
    }
    words
}

/// What must follow `--` for it to begin a comment.
fn is_blank(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_classified_past_comments_and_case() {
        for (text, want) in [
            ("BEGIN", Statement::Begin),
            ("/* app */ begin", Statement::Begin),
            ("COMMIT", Statement::Commit),
            ("ROLLBACK TO `a`", Statement::Savepoint),
            ("ROLLBACK", Statement::Rollback),
            ("-- x\ninsert into t values (1)", Statement::StatementDml),
            ("--\n--\tx\ninsert into t values (1)", Statement::StatementDml),
            ("--", Statement::Unknown),
            ("/*/ x */ drop table t", Statement::Ddl),
            ("/*!80000 create */ table t (a int)", Statement::Ddl),
            ("CREATE USER 'a'@'%'", Statement::Account),
            ("CREATE TABLE t (a int)", Statement::Ddl),
            ("TRUNCATE t", Statement::Ddl),
            ("OPTIMIZE TABLE t", Statement::Maintenance),
            ("DROP /*!40005 TEMPORARY */ TABLE t", Statement::Maintenance),
            ("XA START X'61',X'',1", Statement::XaStart),
            ("XA END X'61',X'',1", Statement::XaEnd),
            ("XA COMMIT X'61',X'',1", Statement::XaCommit),
            ("XA ROLLBACK X'61',X'',1", Statement::XaRollback),
            ("XA FORGET X'61',X'',1", Statement::Unknown),
            ("", Statement::Unknown),
            ("/* open", Statement::Unknown),
        ] {
            assert_eq!(classify(text.as_bytes()), want, "{text}");
        }
    }
}
