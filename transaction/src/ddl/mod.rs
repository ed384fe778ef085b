//! DDL statements: what each changes, and whether rows or values go with it.
//!
//! Only as much of the grammar is read as replication needs: the names of the objects, and the clauses of ALTER TABLE. Whatever
//! is not recognised is [`Unreadable`], never guessed at.

mod parse;
mod token;

use std::fmt;

pub use parse::NO_BACKSLASH_ESCAPES;

use crate::binlog::{EventError, QueryEvent, SessionState};

/// What kind of thing a DDL statement changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A whole schema; its object has no name of its own.
    Schema,
    /// A base table.
    Table,
    /// A view.
    View,
    /// A trigger.
    Trigger,
    /// A function.
    Function,
    /// A procedure.
    Procedure,
    /// An event of the scheduler.
    Event,
}

/// A thing that a DDL statement changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its schema.
    pub schema: String,
    /// Its name; empty for a schema.
    pub name: String,
}

/// A DDL statement as the binlog has it, and what it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DdlStatement {
    /// The default schema; empty for none.
    pub schema: String,
    /// Its bytes, in the client's character set, as they are to be run elsewhere.
    pub text: Vec<u8>,
    /// Session variables that decide what it means.
    pub session: SessionState,
    /// When it began at its origin: seconds since 1970.
    pub timestamp: u32,
    /// What it changes, in its own order, each once.
    pub objects: Vec<Object>,
    /// Whether it is DROP TABLE IF EXISTS, which passes over tables that are not there.
    pub if_exists: bool,
    /// Whether it counts as a write on every key of its tables: rows, values or the place that a value belongs to may go.
    pub loses: bool,
}

/// Why it cannot be told what a statement changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its text.
    #[error("{reason} in {start:?}")]
    Statement {
        /// What is in the way.
        reason: &'static str,
        /// How the statement begins.
        start: String,
    },
    /// The event around it.
    #[error(transparent)]
    Event(#[from] EventError),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ObjectKind::Schema => return write!(f, "schema {}", self.schema),
            ObjectKind::Table => "table",
            ObjectKind::View => "view",
            ObjectKind::Trigger => "trigger",
            ObjectKind::Function => "function",
            ObjectKind::Procedure => "procedure",
            ObjectKind::Event => "event",
        };
        write!(f, "{kind} {}.{}", self.schema, self.name)
    }
}

impl DdlStatement {
    /// Reads the statement of an event; `timestamp` is the event's.
    pub fn read(query: &QueryEvent<'_>, timestamp: u32) -> Result<Self, Unreadable> {
        let session = query.session()?;
        let parsed = parse::parse(query.statement, query.schema, &session)
            .map_err(|reason| Unreadable::Statement { reason, start: start_of(query.statement) })?;
        let parse::Parsed { objects, if_exists, loses, text } = parsed;
        Ok(Self { schema: query.schema.to_owned(), text, session, timestamp, objects, if_exists, loses })
    }

    /// How it begins, for messages.
    pub fn start(&self) -> String {
        start_of(&self.text)
    }

    /// The base tables that it changes.
    pub fn tables(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(|object| object.kind == ObjectKind::Table)
    }
}

fn start_of(statement: &[u8]) -> String {
    const SHOWN: usize = 120;
    let text = String::from_utf8_lossy(statement);
    let mut start: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        start.push('…');
    }
    start
}
