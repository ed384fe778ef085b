//! `concord log list`.

use std::collections::VecDeque;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use log_store::{Log, Store};
use serde::Serialize;
use transaction::binlog::{printable, utc_text};
use transaction::{Context, RecordNumber, Sequence};

use super::failure::Failure;
use super::transactions::{Entries, Entry, first_record_of};
use super::{open, time};
use crate::cli::LogListArgs;

/// Lines that are aligned with each other; bounds the memory of a long list.
const ALIGNED_LINES: usize = 500;

/// Longest list of tables in a line, in characters.
const TABLES_CHARS_MAX: usize = 100;

/// Prints a line per transaction. Without a start, these are the last ones.
pub(super) fn list(store: &Store, args: &LogListArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let log = open(store, args.origin)?;
    let since = args.since.as_deref().map(time::parse).transpose()?;
    let mut form: Box<dyn Form> = if args.json { Box::new(Lines) } else { Box::new(Table::default()) };
    let wanted = |entry: &Entry| {
        let by_table = args.table.as_ref().is_none_or(|table| entry.summary.tables.contains(table));
        let by_time = since.is_none_or(|since| entry.stamps.hlc.0 >= since);
        let by_number = args.from_sequence.is_none_or(|from| entry.stamps.sequence.0 >= from);
        by_table && by_time && by_number
    };
    let mut entries = Entries::from(&log, start(&log, args, since)?)?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let from_the_end = args.from_sequence.is_none() && since.is_none();
    let (mut last, mut shown, mut undecoded) = (VecDeque::new(), 0, false);
    while shown < limit || from_the_end {
        let Some(entry) = entries.next()? else { break };
        if !wanted(&entry) {
            continue;
        }
        if from_the_end {
            last.push_back(entry);
            if last.len() > limit {
                last.pop_front();
            }
        } else {
            shown += 1;
            undecoded |= entry.summary.error.is_some();
            form.push(entry, out)?;
        }
    }
    for entry in last {
        undecoded |= entry.summary.error.is_some();
        form.push(entry, out)?;
    }
    form.end(out)?;
    Ok(if undecoded { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Where to begin to read: at the start asked for, or so that the last transactions are certainly among what is read.
fn start(log: &Arc<Log>, args: &LogListArgs, since: Option<u64>) -> Result<RecordNumber, Failure> {
    let (first, tail) = (RecordNumber(0), log.tail());
    let sequence = match (args.from_sequence, since) {
        (Some(from), _) => from,
        (None, Some(since)) => {
            // Chunks are before the record that has the stamps, so begin with the transaction before.
            return match log.find_hlc(transaction::Hlc(since))? {
                Some(record) => before(log, record),
                None => Ok(tail.last.next()),
            };
        }
        // A filter may pass over any number of transactions.
        (None, None) if args.table.is_some() => return Ok(first),
        (None, None) => (tail.last_sequence.0 + 1).saturating_sub(args.limit).max(1),
    };
    if sequence > tail.last_sequence.0 {
        return Ok(tail.last.next());
    }
    let held = first_record_of(log, Sequence(sequence))?;
    if held.is_none() && args.from_sequence.is_some() {
        eprintln!(
            "concord: transaction {sequence} is no longer held; the list begins with the first that is"
        );
    }
    // The first that is held may be a chain whose chunks are gone.
    Ok(held.filter(|record| *record >= log.first()).unwrap_or(first))
}

/// The first record of the chain that `record` may be part of.
fn before(log: &Arc<Log>, record: RecordNumber) -> Result<RecordNumber, Failure> {
    let mut reader = log.read_from(record)?;
    let Some(raw) = reader.next_record()? else { return Ok(record) };
    let record = transaction::Record::decode(raw.bytes)?;
    let first = match &record.body {
        transaction::record::Body::Chunk { index, .. } => record.number.0.saturating_sub((*index).into()),
        _ => super::transactions::Stamps::of(&record).map_or(record.number, |stamps| stamps.first_record()).0,
    };
    Ok(RecordNumber(first).max(log.first()))
}

/// How a list is said.
trait Form {
    fn push(&mut self, entry: Entry, out: &mut dyn Write) -> Result<(), Failure>;
    fn end(&mut self, out: &mut dyn Write) -> Result<(), Failure>;
}

/// JSON, one object a line.
struct Lines;

#[derive(Serialize)]
struct Line<'a> {
    record: u64,
    sequence: Option<u64>,
    time: String,
    hlc: u64,
    gtid: Option<String>,
    kind: &'static str,
    #[serde(serialize_with = "super::json::context")]
    context: &'a Context,
    rows: u64,
    statements: u64,
    bytes: u64,
    chunks: u32,
    tables: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Form for Lines {
    fn push(&mut self, entry: Entry, out: &mut dyn Write) -> Result<(), Failure> {
        let Entry { stamps, summary } = &entry;
        let line = Line {
            record: stamps.record.0,
            sequence: (stamps.sequence.0 > 0).then_some(stamps.sequence.0),
            time: utc_text(stamps.hlc.0),
            hlc: stamps.hlc.0,
            gtid: stamps.gtid.map(|gtid| gtid.to_string()),
            kind: stamps.kind_name(),
            context: &stamps.context,
            rows: summary.rows,
            statements: summary.statements,
            bytes: summary.bytes,
            chunks: stamps.chunks,
            tables: summary.tables.iter().map(String::as_str).collect(),
            error: summary.error.as_ref().map(ToString::to_string),
        };
        super::json::write(&line, out).and_then(|()| out.write_all(b"\n")).map_err(Failure::Output)
    }

    fn end(&mut self, _out: &mut dyn Write) -> Result<(), Failure> {
        Ok(())
    }
}

/// Aligned columns under a head.
#[derive(Default)]
struct Table {
    rows: Vec<[String; 9]>,
    widths: [usize; 9],
    has_head: bool,
}

const HEAD: [&str; 9] =
    ["RECORD", "SEQUENCE", "TIME (UTC)", "GTID", "KIND", "CONTEXT", "ROWS", "BYTES", "TABLES"];

/// Numbers stand to the right.
const TO_THE_RIGHT: [bool; 9] = [true, true, false, false, false, false, true, true, false];

impl Table {
    fn print(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut rows = std::mem::take(&mut self.rows);
        if !std::mem::replace(&mut self.has_head, true) {
            rows.insert(0, HEAD.map(str::to_owned));
        }
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(self.widths).zip(TO_THE_RIGHT) {
                line += &if right { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            }
            writeln!(out, "{}", line.trim_end()).map_err(Failure::Output)?;
        }
        Ok(())
    }
}

impl Form for Table {
    fn push(&mut self, entry: Entry, out: &mut dyn Write) -> Result<(), Failure> {
        let Entry { stamps, summary } = entry;
        let dash = || "-".to_owned();
        let mut tables: Vec<String> = summary.tables.into_iter().collect();
        tables.extend(summary.statement);
        tables.extend(stamps.xid.clone());
        let mut tables = printable(&tables.join(", "));
        if let Some((at, _)) = tables.char_indices().nth(TABLES_CHARS_MAX) {
            tables.truncate(at);
            tables.push('…');
        }
        if let Some(error) = summary.error {
            tables = format!("cannot be decoded: {error}");
        }
        let context = stamps.context.to_string();
        self.rows.push([
            stamps.record.to_string(),
            if stamps.sequence.0 > 0 { stamps.sequence.to_string() } else { dash() },
            utc_text(stamps.hlc.0),
            stamps.gtid.map_or_else(dash, |gtid| gtid.to_string()),
            stamps.kind_name().to_owned(),
            if context.is_empty() { dash() } else { context },
            summary.rows.to_string(),
            summary.bytes.to_string(),
            tables,
        ]);
        if self.rows.len() >= ALIGNED_LINES { self.print(out) } else { Ok(()) }
    }

    fn end(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        self.print(out)
    }
}
