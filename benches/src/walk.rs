//! Walking over the row changes of the backlog's binlog in memory, beside the walks of libraries over the same rows, each in a process of its own.
//!
//! Ours verifies every event's checksum, finds each row's bytes and hashes its primary key before and after, which is all that extraction and
//! conflict detection need. Theirs decode each row's values, which is what their iterators offer.
//! `mysql_cdc` gets the events as a file that is in the page cache, which its reader is for, and once more in memory, without that reader's
//! two system calls an event.

use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::rivals::{self, Measured, Rivals};
use crate::scene::{Backlog, Scene};
use integration::{Error, Result};
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use transaction::binlog::{EventError, EventKind, RowsEvent, Tables, for_each_event};
use transaction::key::keys_of_change;
use transaction::{KeyHash, Weights};

/// Whose walks ours is beside: the word of `rivals` for it, its name in the report, and the figure.
const RIVALS: [(&str, &str, &str); 3] = [
    ("mysql-common", "mysql_common: rows iterated", "walk.ratio_vs_mysql_common"),
    ("mysql-cdc", "mysql_cdc: rows iterated, from a file", "walk.ratio_vs_mysql_cdc_from_file"),
    ("mysql-cdc-in-memory", "mysql_cdc: rows iterated, in memory", "walk.ratio_vs_mysql_cdc"),
];

/// The four bytes at the start of a binlog file, before its Format_description event.
const MAGIC_LEN: usize = 4;

/// Runs the group.
pub fn run(
    scene: &Scene,
    backlog: &Backlog,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let binlog = Binlog::read(scene, backlog)?;
    let mut sheet =
        Sheet::new("walk", "Walking over the backlog's row changes in memory", &["million rows/s", "MB/s"]);
    let rivals = Rivals::find();
    let file = scene.scratch()?.join("backlog.binlog");
    if rivals.is_some() {
        binlog.write(&file)?;
    }
    let mut ratios = RIVALS.map(|_| Vec::new());
    let rounds = options.rounds();
    for round in 1..=rounds {
        let start = Instant::now();
        let our = Measured { count: ours(&binlog)?, seconds: start.elapsed().as_secs_f64() };
        let cells = |one: Measured| {
            [one.count as f64 / 1e6 / one.seconds, binlog.events.len() as f64 / 1e6 / one.seconds]
        };
        sheet.add("ours: keys found, checksums verified", &cells(our));
        let mut said =
            format!("walk: round {round} of {rounds}: {} row changes, ours {:.3} s", our.count, our.seconds);
        for ((by, name, _), ratios) in RIVALS.iter().zip(&mut ratios) {
            let Some(rivals) = &rivals else { continue };
            let their = rivals.walk(&file, by)?;
            if our.count != their.count {
                let (our, their) = (our.count, their.count);
                return Err(Error::Unexpected(format!("we found {our} row changes and {by} {their}")));
            }
            sheet.add(name, &cells(their));
            let _ = write!(said, ", {by} {:.3} s", their.seconds);
            ratios.push(their.seconds / our.seconds);
        }
        progress.say(said);
    }
    report.sheet(sheet);
    for ((_, _, figure), ratios) in RIVALS.iter().zip(ratios) {
        if ratios.is_empty() {
            report.gap(figure, rivals::ABSENT);
        } else {
            report.figure(figure, Sample::of(ratios));
        }
    }
    Ok(())
}

/// The backlog's part of a binlog.
struct Binlog {
    /// The start of the file: magic and Format_description event.
    head: Vec<u8>,
    /// The events of the backlog.
    events: Vec<u8>,
}

impl Binlog {
    fn read(scene: &Scene, backlog: &Backlog) -> Result<Self> {
        let path = scene.loaded_binlog(backlog);
        let bytes = std::fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?;
        let short = || Error::Unexpected(format!("{} is shorter than the server said", path.display()));
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let events = bytes.get(place(backlog.from)..place(backlog.to)).ok_or_else(short)?.to_vec();
        // The length of an event is at byte 9 of its header.
        let length = bytes.get(MAGIC_LEN + 9..).and_then(|rest| rest.first_chunk::<4>()).ok_or_else(short)?;
        let head_len = MAGIC_LEN + u32::from_le_bytes(*length) as usize;
        let head = bytes.get(..head_len).ok_or_else(short)?.to_vec();
        Ok(Self { head, events })
    }

    /// As a file of its own: the head, then the backlog.
    fn write(&self, path: &Path) -> Result<()> {
        let whole = [self.head.as_slice(), &self.events].concat();
        std::fs::write(path, whole).map_err(Error::io(format!("write {}", path.display())))
    }
}

/// What stops our walk.
#[derive(Debug)]
struct Stopped(String);

impl From<EventError> for Stopped {
    fn from(error: EventError) -> Self {
        Self(error.to_string())
    }
}

fn ours(binlog: &Binlog) -> Result<u64> {
    let weights = Weights::default();
    let (mut tables, mut scratch, mut needs) = (Tables::default(), Vec::new(), Vec::new());
    let mut rows = 0;
    for_each_event::<Stopped>(&binlog.events, true, &mut |event| {
        match event.header.kind {
            EventKind::Gtid | EventKind::GtidTagged => tables.trim(),
            EventKind::TableMap => {
                tables.note(event.body)?;
            }
            EventKind::WriteRows | EventKind::UpdateRows | EventKind::DeleteRows => {
                let found = RowsEvent::decode(event)?;
                let table = tables.of(&found)?;
                for change in found.changes(table) {
                    let keys = keys_of_change(table, &change?, &weights, &mut scratch, &mut needs);
                    let keys: (Option<KeyHash>, Option<KeyHash>) =
                        keys.map_err(|error| Stopped(error.to_string()))?;
                    black_box(keys);
                    rows += 1;
                }
            }
            _ => {}
        }
        Ok(())
    })
    .map_err(|Stopped(reason)| Error::Unexpected(format!("our walk over the backlog: {reason}")))?;
    Ok(rows)
}
