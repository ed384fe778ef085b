//! Whether two copies of a log are the same, as far as their last common records tell.
//!
//! A record is durable before a peer gets it, so a number is never given out twice. But a disk may lose what it said it had written, and
//! a data directory may be put back as it once was. Then the log goes on with other records under numbers that peers hold
//! already, and dense numbers show nothing of it.

use std::sync::Arc;

use link::{HELD_MAX, HeldRecord};
use log_store::Log;
use transaction::RecordNumber;

/// The last durable records before `next`, at most [`HELD_MAX`]. Reads the disk.
pub(crate) fn before(log: &Arc<Log>, next: RecordNumber) -> Result<Vec<HeldRecord>, log_store::Error> {
    if next > log.durable().next() {
        return Ok(Vec::new());
    }
    let first = RecordNumber(next.0.saturating_sub(HELD_MAX as u64)).max(log.first());
    let (mut reader, mut held) = (log.read_held_from(first), Vec::new());
    while reader.position() < next
        && let Some(record) = reader.next_record()?
    {
        held.push(HeldRecord { number: record.header.number, checksum: record.header.checksum });
    }
    // Retention may have taken more meanwhile than is asked for.
    held.retain(|held| held.number < next);
    Ok(held)
}

/// The first record of `told` that is another one in this log; `None`: those that it holds are the same. Reads the disk.
pub(crate) fn differs(
    log: &Arc<Log>,
    next: RecordNumber,
    told: &[HeldRecord],
) -> Result<Option<RecordNumber>, log_store::Error> {
    if told.is_empty() {
        return Ok(None);
    }
    // A copy that lags behind holds the first of them only.
    let here = before(log, next.min(log.durable().next()))?;
    let other = |told: &&HeldRecord| here.iter().any(|held| held.number == told.number && held != *told);
    Ok(told.iter().find(other).map(|told| told.number))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::status::sample;

    /// The own log of a region, with transactions of these stamps.
    fn log(dir: &std::path::Path, stamps: impl Iterator<Item = u64>) -> Arc<Log> {
        let log = sample::board(dir).logs.own().log.clone();
        for (number, stamp) in (1..).zip(stamps) {
            log.append(&sample::transaction(number, number, stamp)).unwrap();
        }
        log.sync().unwrap();
        log
    }

    #[test]
    fn the_first_record_that_differs_is_found_among_the_last_ones() {
        let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [eu, us, ap] = [
            log(dirs[0].path(), 1..=40),
            // Record 30 was lost and given out again.
            log(dirs[1].path(), (1..=29).chain([1000]).chain(31..=40)),
            log(dirs[2].path(), 1..=20),
        ];
        let number = RecordNumber;
        let told = before(&eu, number(41)).unwrap();
        assert_eq!(told.iter().map(|held| held.number.0).collect::<Vec<_>>(), (25..=40).collect::<Vec<_>>());
        assert_eq!(differs(&us, number(41), &told).unwrap(), Some(number(30)));
        assert_eq!(differs(&us, number(30), &before(&eu, number(30)).unwrap()).unwrap(), None);
        // One that lags behind knows nothing to the contrary.
        assert_eq!(differs(&ap, number(41), &told).unwrap(), None);
        assert_eq!(differs(&ap, number(25), &before(&us, number(25)).unwrap()).unwrap(), None);
        assert_eq!(before(&ap, number(1)).unwrap(), []);
        assert_eq!(before(&ap, number(22)).unwrap(), []);
    }
}
