//! Records inserted to `sled` in the order of their numbers, flushed after every few.

use sled::{Config, Mode};
use std::path::Path;
use std::time::Instant;

/// Bytes from which records are cut, each from another place.
const POOL_BYTES: usize = 1 << 20;
/// How far the places of two records lie apart: odd, so that they do not come round soon.
const STRIDE: usize = 977;

/// What is to be appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// How many records.
    pub(crate) records: u64,
    /// Bytes of each.
    pub(crate) bytes: usize,
    /// Records between two flushes.
    pub(crate) step: u64,
}

/// Appends all, the last ones flushed too. The database stays in its folder.
pub(crate) fn run(dir: &Path, work: Work) -> Result<String, String> {
    if dir.exists() {
        return Err(format!("{} exists; name a folder that does not, for the database", dir.display()));
    }
    let failed = |error: sled::Error| format!("sled in {}: {error}", dir.display());
    // Its faster mode, and no flushes by a clock beside those that are asked for.
    let config = Config::new().path(dir).mode(Mode::HighThroughput).flush_every_ms(None);
    let database = config.open().map_err(failed)?;
    let pool = pool(POOL_BYTES + work.bytes);
    let start = Instant::now();
    for number in 0..work.records {
        let place = (number as usize).wrapping_mul(STRIDE) % POOL_BYTES;
        let record = pool.get(place..place + work.bytes).unwrap_or_default();
        database.insert(number.to_be_bytes(), record).map_err(failed)?;
        if (number + 1) % work.step == 0 || number + 1 == work.records {
            database.flush().map_err(failed)?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(crate::answer("bytes", work.records * work.bytes as u64, seconds))
}

/// Bytes without a pattern (xorshift), the same in each call.
fn pool(len: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(len).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn all_records_are_there_whole_and_in_order_when_the_database_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("sled");
        let answer = run(&home, Work { records: 10, bytes: 1_000, step: 4 }).unwrap();
        assert!(answer.starts_with("{\"bytes\": 10000, \"seconds\": "), "{answer}");
        let database = sled::open(&home).unwrap();
        let found: Vec<_> = database.iter().map(Result::unwrap).collect();
        assert!(
            found
                .iter()
                .map(|(key, _)| key.to_vec())
                .eq((0..10_u64).map(|number| number.to_be_bytes().to_vec()))
        );
        assert!(found.iter().all(|(_, record)| record.len() == 1_000));
    }

    #[test]
    fn a_folder_that_exists_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let reason = run(dir.path(), Work { records: 1, bytes: 1, step: 1 }).unwrap_err();
        assert!(reason.contains("exists"), "{reason}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
