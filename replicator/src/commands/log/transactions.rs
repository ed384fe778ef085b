//! Records of a log as transactions: what stands in the last record of a chain, and the changes of all of it in order.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use log_store::{Log, LogReader};
use transaction::binlog::{EventError, Item, Tables, for_each_item};
use transaction::record::{Body, Record};
use transaction::{Context, Gtid, Hlc, RecordKind, RecordNumber, RepairPlace, Sequence};

use super::failure::{Failure, Stop};

/// What is known of a record that carries changes or ends a chain, without its changes.
#[derive(Debug, Clone)]
pub(super) struct Stamps {
    /// Its number; of a chain, that of the last record.
    pub(super) record: RecordNumber,
    /// 0 for kinds without one.
    pub(super) sequence: Sequence,
    pub(super) hlc: Hlc,
    pub(super) incarnation: u32,
    pub(super) epoch: u32,
    pub(super) kind: RecordKind,
    pub(super) context: Context,
    /// None for kinds without one.
    pub(super) gtid: Option<Gtid>,
    /// Commit time at the origin, microseconds since 1970, for kinds that have one.
    pub(super) commit_us: Option<u64>,
    /// How many chunks directly before it belong to it.
    pub(super) chunks: u32,
    /// Of a PREPARE.
    pub(super) xid: Option<String>,
    /// Of repairs, where each change stands in its row's history, by index.
    pub(super) repairs: Vec<RepairPlace>,
}

impl Stamps {
    /// Of a record; `None` for positions and chunks.
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        let mut stamps = Self {
            record: record.number,
            sequence: record.sequence,
            hlc: record.hlc,
            incarnation: record.lineage.incarnation.0,
            epoch: record.lineage.epoch.0,
            kind: record.kind(),
            context: Context::new(),
            gtid: None,
            commit_us: None,
            chunks: 0,
            xid: None,
            repairs: Vec::new(),
        };
        if let Body::Repair { places, .. } = &record.body {
            stamps.repairs.clone_from(places);
        }
        match &record.body {
            Body::Transaction(body) | Body::Repair { transaction: body, .. } => {
                stamps.context = body.context.clone();
                stamps.gtid = Some(body.gtid);
                stamps.commit_us = Some(body.commit_us);
                stamps.chunks = body.chunks;
            }
            Body::Prepare { xid, gtid, .. } => {
                stamps.gtid = Some(*gtid);
                stamps.xid = Some(xid.clone());
            }
            Body::Incarnation { .. } => {}
            Body::Chunk { .. } | Body::Position(_) => return None,
        }
        Some(stamps)
    }

    /// The first record of its chain; itself if it has no chunks.
    pub(super) fn first_record(&self) -> RecordNumber {
        RecordNumber(self.record.0.saturating_sub(self.chunks.into()))
    }

    /// The kind in a word.
    pub(super) fn kind_name(&self) -> &'static str {
        match self.kind {
            RecordKind::Transaction => "transaction",
            RecordKind::Chunk => "chunk",
            RecordKind::Position => "position",
            RecordKind::Incarnation => "incarnation",
            RecordKind::Repair => "repair",
            RecordKind::Prepare => "prepare",
        }
    }
}

/// The binlog events that a record carries; empty for kinds without.
pub(super) fn events<'a>(record: &Record<'a>) -> &'a [u8] {
    match &record.body {
        Body::Transaction(body) | Body::Repair { transaction: body, .. } => body.events,
        Body::Chunk { events, .. } | Body::Prepare { events, .. } => events,
        Body::Position(_) | Body::Incarnation { .. } => &[],
    }
}

/// Calls `visit` for each change and statement of the transaction, its chunks included, one record in memory at a time.
pub(super) fn for_each_change(
    log: &Arc<Log>,
    stamps: &Stamps,
    visit: &mut dyn FnMut(Item<'_>) -> Result<(), Stop>,
) -> Result<(), Failure> {
    let mut reader = log.read_from(stamps.first_record())?;
    let (mut tables, mut next_index) = (Tables::default(), 0);
    while let Some(raw) = reader.next_record()? {
        let record = Record::decode(raw.bytes)?;
        for_each_item(events(&record), record.event_checksums, &mut tables, &mut next_index, visit)
            .map_err(|stop: Stop| stop.at(log.origin(), record.number))?;
        if record.number >= stamps.record {
            break;
        }
    }
    Ok(())
}

/// What a transaction does, in numbers.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Row changes.
    pub(super) rows: u64,
    /// Statements, such as DDL.
    pub(super) statements: u64,
    /// The first statement's text.
    pub(super) statement: Option<String>,
    /// Tables whose rows it changes, as `schema.table`.
    pub(super) tables: BTreeSet<String>,
    /// Length of its records in the log, in bytes.
    pub(super) bytes: u64,
    /// Why counting ended early.
    pub(super) error: Option<EventError>,
}

/// A transaction in a list.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stamps: Stamps,
    pub(super) summary: Summary,
}

/// Walks a log and yields an entry for each record but positions; chunks count to the transaction they belong to.
pub(super) struct Entries {
    reader: LogReader,
    chain: Chain,
}

/// The records of a chain that have come so far.
#[derive(Default)]
struct Chain {
    summary: Summary,
    tables: Tables,
    next_index: u32,
}

impl Entries {
    /// From a record on; 0 is the first that is held.
    pub(super) fn from(log: &Arc<Log>, record: RecordNumber) -> Result<Self, Failure> {
        Ok(Self { reader: log.read_from(record)?, chain: Chain::default() })
    }

    /// The next one, or `None` at the end of what is durable.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Failure> {
        while let Some(raw) = self.reader.next_record()? {
            let record = Record::decode(raw.bytes)?;
            // A chain that was abandoned begins anew with its first chunk, or something else comes.
            let alone = record.transaction().is_some_and(|body| body.chunks == 0);
            if alone || matches!(record.body, Body::Chunk { index: 0, .. }) {
                self.chain = Chain::default();
            }
            if record.kind() != RecordKind::Position {
                self.chain.count(&record, raw.bytes.len());
            }
            if let Some(stamps) = Stamps::of(&record) {
                let chain = std::mem::take(&mut self.chain);
                return Ok(Some(Entry { stamps, summary: chain.summary }));
            }
        }
        Ok(None)
    }
}

impl Chain {
    fn count(&mut self, record: &Record<'_>, len: usize) {
        let summary = &mut self.summary;
        summary.bytes += len as u64;
        if summary.error.is_some() {
            return;
        }
        let counted = for_each_item(
            events(record),
            record.event_checksums,
            &mut self.tables,
            &mut self.next_index,
            &mut |item| {
                match item {
                    Item::Change { table, .. } => {
                        summary.rows += 1;
                        let name = table.full_name();
                        if !summary.tables.contains(&name) {
                            summary.tables.insert(name);
                        }
                    }
                    Item::Begin(_) => {}
                    Item::Statement { query, .. } => {
                        summary.statements += 1;
                        summary.statement.get_or_insert_with(|| shown_statement(query.statement));
                    }
                }
                Ok::<(), EventError>(())
            },
        );
        summary.error = counted.err();
    }
}

/// A statement as one line of text without control characters.
pub(super) fn shown_statement(statement: &[u8]) -> String {
    let text = String::from_utf8_lossy(statement);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

/// The record at which reading must begin so that transaction `sequence` is whole; `None` if it is not held.
pub(super) fn first_record_of(log: &Arc<Log>, sequence: Sequence) -> Result<Option<RecordNumber>, Failure> {
    Ok(stamps_of(log, sequence)?.map(|stamps| stamps.first_record()))
}

/// The stamps of transaction `sequence`; `None` if it is not held.
pub(super) fn stamps_of(log: &Arc<Log>, sequence: Sequence) -> Result<Option<Stamps>, Failure> {
    let Some(number) = log.find_sequence(sequence)? else { return Ok(None) };
    let mut reader = log.read_from(number)?;
    match reader.next_record()? {
        Some(raw) => Ok(Stamps::of(&Record::decode(raw.bytes)?)),
        None => Ok(None),
    }
}

/// Somewhere to write to, with the errors of a visit.
pub(super) type Written = Result<(), io::Error>;
