//! A transaction group that is being read, and what its events tell of it: a client's work, applied work, or nothing.

use transaction::Gtid;
use transaction::binlog::{
    Event, EventError, EventKind, GtidEvent, QueryEvent, RowsEvent, RowsKind, Statement, TableMap, Tables,
    partial,
};

use crate::error::{ExtractError, Place};
use crate::marker::{self, Marker};
use crate::repair::{self, Repairs};
use crate::stamp::{Stamp, Stamper};
use crate::suspension::{self, Suspensions};
use crate::xa::Spool;

/// A transaction group that is being read.
pub(crate) struct Group {
    pub(crate) gtid: Gtid,
    pub(crate) commit_us: u64,
    pub(crate) events: Vec<u8>,
    pub(crate) checksums: bool,
    pub(crate) kind: GroupKind,
    /// The last state of each marker that it changed, the one changed last at the end.
    pub(crate) markers: Vec<Marker>,
    /// Of applied work, row changes outside schema `concord`.
    pub(crate) rows: u64,
    /// Of applied work, what Concord changed of itself.
    pub(crate) repairs: Repairs,
    /// What it changes of the suspended tables.
    pub(crate) suspensions: Suspensions,
    pub(crate) own_rows: bool,
    /// A BEGIN has come: only a COMMIT or its like ends it.
    pub(crate) begun: bool,
    /// It is one DDL statement.
    pub(crate) ddl: bool,
    pub(crate) stamp: Option<Stamp>,
    /// State of the stamps before this transaction took its own.
    pub(crate) before: Option<Stamper>,
    pub(crate) chunks: u32,
    pub(crate) ended: bool,
    /// What XA has to do with it.
    pub(crate) xa: Option<Xa>,
    /// Its first events, if it may be prepared and is large.
    pub(crate) spool: Option<Box<dyn Spool>>,
}

/// A group's part in an XA transaction; the text is its XID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Xa {
    /// It has the rows; whether they are prepared or committed at once, its end says.
    Begun(String),
    /// It has the rows, which wait for another group.
    Prepared(String),
    /// It commits what was prepared.
    Commit(String),
    /// It undoes what was prepared.
    Rollback(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupKind {
    /// No row or statement has come yet.
    Unknown,
    /// A client's work.
    Local,
    /// Applied work: its marker came first.
    Applied,
    /// Nothing to replicate.
    Skipped,
}

impl Group {
    /// A group whose first event has come.
    pub(crate) fn begin(begun: &GtidEvent, raw: &[u8], checksums: bool) -> Self {
        Self {
            gtid: begun.gtid,
            commit_us: begun.immediate_commit_us,
            events: raw.to_vec(),
            checksums,
            kind: GroupKind::Unknown,
            markers: Vec::new(),
            rows: 0,
            repairs: Repairs::default(),
            suspensions: Suspensions::default(),
            own_rows: false,
            begun: false,
            ddl: false,
            stamp: None,
            before: None,
            chunks: 0,
            ended: false,
            xa: None,
            spool: None,
        }
    }

    /// An error in one of its events.
    pub(crate) fn error(&self, place: &Place, source: EventError) -> ExtractError {
        ExtractError::Event { source, gtid: self.gtid.to_string(), place: place.clone() }
    }
}

/// What classification reads and writes beside the group.
pub(crate) struct Reading<'a> {
    /// The table maps in force.
    pub(crate) tables: &'a mut Tables,
    /// Where the stream is.
    pub(crate) place: &'a Place,
    /// A longer event halts.
    pub(crate) len_max: usize,
}

impl Reading<'_> {
    pub(crate) fn check_len(
        &self,
        group: &Group,
        event: Event<'_>,
        table: impl FnOnce() -> String,
    ) -> Result<(), ExtractError> {
        let (len, len_max) = (event.body.len(), self.len_max);
        if len <= len_max {
            return Ok(());
        }
        let event = event.header.kind.name();
        Err(ExtractError::TooLarge {
            event,
            len,
            len_max,
            table: table(),
            gtid: group.gtid.to_string(),
            place: self.place.clone(),
        })
    }

    pub(crate) fn classify(&mut self, group: &mut Group, event: Event<'_>) -> Result<(), ExtractError> {
        match event.header.kind {
            EventKind::TableMap => {
                self.tables.note(event.body).map_err(|source| group.error(self.place, source))?;
            }
            EventKind::WriteRows | EventKind::UpdateRows | EventKind::DeleteRows => {
                self.classify_rows(group, event)?
            }
            // Inside a compressed transaction; any other one has been made whole.
            EventKind::PartialUpdateRows => {
                let whole = partial::complete(event, false, self.tables);
                let whole = whole.map_err(|source| group.error(self.place, source))?;
                let (event, _) =
                    Event::split(&whole, false).map_err(|source| group.error(self.place, source))?;
                self.classify_rows(group, event)?;
            }
            EventKind::Query => {
                self.check_len(group, event, || "no one table".into())?;
                self.classify_statement(group, event)?;
            }
            EventKind::Xid => group.ended = true,
            EventKind::XaPrepare => self.classify_prepare(group, event)?,
            EventKind::RowsQuery => self.check_len(group, event, || "no one table".into())?,
            other => return Err(group.error(self.place, EventError::UnknownType(other as u8))),
        }
        Ok(())
    }

    fn classify_rows(&mut self, group: &mut Group, event: Event<'_>) -> Result<(), ExtractError> {
        let found = RowsEvent::decode(event).and_then(|rows| Ok((rows, self.tables.of(&rows)?.clone())));
        let (rows, table) = found.map_err(|source| group.error(self.place, source))?;
        self.check_len(group, event, || table.full_name())?;
        if table.schema == marker::SCHEMA {
            return match (table.table.as_str(), rows.kind) {
                (marker::TABLE, RowsKind::Write | RowsKind::Update) => {
                    self.note_markers(group, &rows, &table)
                }
                (repair::TABLE, _) => self.note_repairs(group, &rows, &table),
                (suspension::TABLE, _) => self.note_suspensions(group, &rows, &table),
                // Concord's own book-keeping.
                _ => Ok(()),
            };
        }
        if group.kind == GroupKind::Applied {
            for change in rows.changes(&table) {
                change.map_err(|source| group.error(self.place, source))?;
                group.rows += 1;
            }
        } else {
            group.kind = GroupKind::Local;
            group.own_rows = true;
        }
        Ok(())
    }

    fn note_markers(
        &self,
        group: &mut Group,
        rows: &RowsEvent<'_>,
        table: &TableMap,
    ) -> Result<(), ExtractError> {
        if group.kind == GroupKind::Local {
            return Err(ExtractError::MarkerLate { gtid: group.gtid.to_string(), place: self.place.clone() });
        }
        for change in rows.changes(table) {
            let marker =
                change.and_then(|change| change.after.map(|row| Marker::decode(table, row)).transpose());
            if let Some(marker) = marker.map_err(|source| group.error(self.place, source))? {
                group.markers.retain(|known| known.origin != marker.origin);
                group.markers.push(marker);
            }
        }
        if group.kind == GroupKind::Unknown {
            group.kind = GroupKind::Applied;
            group.events = Vec::new();
        }
        Ok(())
    }

    fn note_repairs(
        &self,
        group: &mut Group,
        rows: &RowsEvent<'_>,
        table: &TableMap,
    ) -> Result<(), ExtractError> {
        let gtid = group.gtid.to_string();
        let refuse = |what| ExtractError::Repair {
            table: repair::TABLE,
            what,
            gtid: gtid.clone(),
            place: self.place.clone(),
        };
        match rows.kind {
            _ if group.kind != GroupKind::Applied => Err(refuse("no marker comes before it")),
            RowsKind::Update => Err(refuse("it was changed in place")),
            // The lane takes its rows out again.
            RowsKind::Delete => Ok(()),
            RowsKind::Write => {
                for change in rows.changes(table) {
                    let change = change.map_err(|source| group.error(self.place, source))?;
                    if let Some(row) = change.after {
                        group.repairs.push(table, row, self.len_max).map_err(refuse)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn note_suspensions(
        &self,
        group: &mut Group,
        rows: &RowsEvent<'_>,
        table: &TableMap,
    ) -> Result<(), ExtractError> {
        let gtid = group.gtid.to_string();
        let refuse = |what| ExtractError::Repair {
            table: suspension::TABLE,
            what,
            gtid: gtid.clone(),
            place: self.place.clone(),
        };
        if group.kind != GroupKind::Applied {
            return Err(refuse("no marker comes before it"));
        }
        for change in rows.changes(table) {
            let change = change.map_err(|source| group.error(self.place, source))?;
            group.suspensions.push(table, &change).map_err(refuse)?;
        }
        Ok(())
    }

    /// XA PREPARE, or XA COMMIT ONE PHASE, which the same event ends: its first byte tells (source: MySQL, `XA_prepare_log_event`).
    fn classify_prepare(&self, group: &mut Group, event: Event<'_>) -> Result<(), ExtractError> {
        let what = match (&group.xa, event.body.first(), group.kind) {
            (Some(Xa::Begun(_)), _, GroupKind::Applied) => "it has a marker",
            (Some(Xa::Begun(xid)), Some(0), _) => {
                group.xa = Some(Xa::Prepared(xid.clone()));
                group.ended = true;
                return Ok(());
            }
            (Some(Xa::Begun(_)), Some(1), _) => {
                group.xa = None;
                group.ended = true;
                return Ok(());
            }
            _ => "it does not begin with XA START",
        };
        Err(ExtractError::Xa { what, gtid: group.gtid.to_string(), place: self.place.clone() })
    }

    fn xid(&self, group: &Group, query: &QueryEvent<'_>) -> Result<String, ExtractError> {
        query.xid().map(str::to_owned).ok_or_else(|| ExtractError::Xa {
            what: "it names no XID",
            gtid: group.gtid.to_string(),
            place: self.place.clone(),
        })
    }

    fn classify_statement(&mut self, group: &mut Group, event: Event<'_>) -> Result<(), ExtractError> {
        let query = QueryEvent::decode(event.body).map_err(|source| group.error(self.place, source))?;
        let statement = || String::from_utf8_lossy(query.statement).chars().take(120).collect::<String>();
        match query.classify() {
            Statement::Begin => group.begun = true,
            Statement::Savepoint => {}
            Statement::Commit => group.ended = true,
            Statement::Rollback if matches!(group.kind, GroupKind::Unknown | GroupKind::Skipped) => {
                group.ended = true;
            }
            Statement::Ddl => {
                let own = query.schema == marker::SCHEMA || group.gtid.source.tag.as_str() == crate::OWN_TAG;
                if !own {
                    group.kind = GroupKind::Local;
                    group.own_rows = true;
                } else if !group.begun {
                    group.kind = GroupKind::Skipped;
                }
                // CREATE TABLE … SELECT stands between BEGIN and its rows (seen on 9.7.4).
                group.ended = !group.begun;
                group.ddl = !group.begun;
            }
            // A temporary table may go in mid-transaction.
            Statement::Account | Statement::Maintenance if group.begun => {}
            Statement::Account | Statement::Maintenance => {
                group.kind = GroupKind::Skipped;
                group.ended = true;
            }
            Statement::XaStart => {
                group.begun = true;
                group.xa = Some(Xa::Begun(self.xid(group, &query)?));
            }
            Statement::XaEnd => {}
            Statement::XaCommit => {
                group.xa = Some(Xa::Commit(self.xid(group, &query)?));
                group.ended = true;
            }
            Statement::XaRollback => {
                group.xa = Some(Xa::Rollback(self.xid(group, &query)?));
                group.ended = true;
            }
            Statement::StatementDml => {
                return Err(ExtractError::StatementDml {
                    gtid: group.gtid.to_string(),
                    place: self.place.clone(),
                    statement: statement(),
                });
            }
            // Rows and ROLLBACK in one group: some of the rows stay and some do not, and nothing says which.
            Statement::Rollback | Statement::Unknown => {
                return Err(ExtractError::UnknownStatement {
                    gtid: group.gtid.to_string(),
                    place: self.place.clone(),
                    statement: statement(),
                });
            }
        }
        Ok(())
    }
}
