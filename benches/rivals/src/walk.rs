//! A library's walk over one binlog file: every event is parsed, every row decoded.

mod cdc;
mod common;

use clap::ValueEnum;
use std::path::Path;
use std::time::Instant;

/// The four bytes at the start of a binlog file.
const MAGIC: &[u8; 4] = b"\xfebin";

/// Whose walk, and over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Walker {
    /// mysql_cdc's reader of files, which asks the system twice for each event
    MysqlCdc,
    /// mysql_cdc's parser over the file's bytes in memory
    MysqlCdcInMemory,
    /// mysql_common's reader over the file's bytes in memory
    MysqlCommon,
}

/// Counts the file's row changes. An update is one change.
///
/// `mysql_cdc`'s reader ends without an error where an event is cut short, so the caller must compare the count with what it expects.
pub(crate) fn run(path: &Path, walker: Walker) -> Result<String, String> {
    let failed = |what: &str, reason: String| format!("{what} {}: {reason}", path.display());
    // Also so that the clock finds the file in the page cache.
    let bytes = std::fs::read(path).map_err(|error| failed("read", error.to_string()))?;
    let events = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        failed("walk over", "it does not begin with a binlog file's magic bytes".to_owned())
    })?;
    let unparsed = |reason: String| failed("parse an event of", reason);
    let (rows, seconds) = match walker {
        Walker::MysqlCdc => {
            let reader = cdc::open(path).map_err(|reason| failed("open", reason))?;
            timed(|| cdc::read(reader)).map_err(unparsed)?
        }
        Walker::MysqlCdcInMemory => timed(|| cdc::parse(events)).map_err(unparsed)?,
        Walker::MysqlCommon => timed(|| common::read(events)).map_err(unparsed)?,
    };
    Ok(crate::answer("rows", rows, seconds))
}

/// What a walk counts, and the seconds that it takes.
fn timed<E: std::fmt::Debug>(walk: impl FnOnce() -> Result<u64, E>) -> Result<(u64, f64), String> {
    let start = Instant::now();
    let rows = walk();
    let seconds = start.elapsed().as_secs_f64();
    rows.map(|rows| (rows, seconds)).map_err(|error| format!("{error:?}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_binlog_is_named_and_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no.binlog");
        std::fs::write(&path, "plain text").unwrap();
        for walker in Walker::value_variants() {
            let reason = run(&path, *walker).unwrap_err();
            assert!(reason.contains("no.binlog") && reason.contains("magic"), "{reason}");
        }
    }
}
