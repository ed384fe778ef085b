//! Walking over the row changes of the backlog's binlog in memory, beside `mysql_common`'s iteration over the same rows.
//!
//! Ours verifies every event's checksum, finds each row's bytes and hashes its primary key before and after, which is all that extraction and
//! conflict detection need. Theirs decodes each row's values, which is what its iterator offers.

#[cfg(feature = "rivals")]
mod mysql_common;

use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::scene::{Backlog, Scene};
use integration::{Error, Result};
use std::hint::black_box;
use std::time::Instant;
use transaction::binlog::{EventError, EventKind, RowsEvent, Tables, for_each_event};
use transaction::key::keys_of_change;
use transaction::{KeyHash, Weights};

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
    let mut ratios = Vec::new();
    let rounds = options.rounds();
    for round in 1..=rounds {
        let start = Instant::now();
        let our_rows = ours(&binlog)?;
        let our_seconds = start.elapsed().as_secs_f64();
        let cells =
            |seconds: f64| [our_rows as f64 / 1e6 / seconds, binlog.events.len() as f64 / 1e6 / seconds];
        sheet.add("ours: keys found, checksums verified", &cells(our_seconds));
        let start = Instant::now();
        let Some(their_rows) = rival(&binlog)? else { continue };
        let their_seconds = start.elapsed().as_secs_f64();
        if our_rows != their_rows || our_rows == 0 {
            return Err(Error::Unexpected(format!(
                "we found {our_rows} row changes and mysql_common {their_rows}"
            )));
        }
        sheet.add("mysql_common: rows iterated", &cells(their_seconds));
        progress.say(format!(
            "walk: round {round} of {rounds}: {our_rows} row changes, ours {our_seconds:.3} s, mysql_common {their_seconds:.3} s"
        ));
        ratios.push(their_seconds / our_seconds);
    }
    report.sheet(sheet);
    if ratios.is_empty() {
        report.gap("walk.ratio_vs_mysql_common", "this build has no rivals; add --features rivals");
    } else {
        report.figure("walk.ratio_vs_mysql_common", Sample::of(ratios));
    }
    report.gap("walk.ratio_vs_mysql_cdc", "mysql_cdc is not a dependency of this workspace");
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
            EventKind::TableMap => drop(tables.note(event.body)?),
            EventKind::WriteRows | EventKind::UpdateRows | EventKind::DeleteRows => {
                let found = RowsEvent::decode(event)?;
                let table = tables.of(&found)?.clone();
                for change in found.changes(&table) {
                    let keys = keys_of_change(&table, &change?, &weights, &mut scratch, &mut needs);
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

/// How many row changes `mysql_common` finds; `None` if it is not part of this build.
fn rival(binlog: &Binlog) -> Result<Option<u64>> {
    #[cfg(feature = "rivals")]
    let found = mysql_common::row_changes(binlog)
        .map(Some)
        .map_err(Error::io("mysql_common's walk over the backlog"));
    #[cfg(not(feature = "rivals"))]
    let found = {
        let _ = black_box(&binlog.head);
        Ok(None)
    };
    found
}
