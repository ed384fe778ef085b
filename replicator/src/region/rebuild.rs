//! The history index at start, rebuilt from the logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use applier::Shared;
use applier::effect::Carries;
use conflict::Index;
use log_store::Log;
use transaction::key::Need;
use transaction::record::{Body, Record, RecordKind};
use transaction::{Hlc, RecordNumber, RegionName, RepairPlace, Sequence};

use super::logs::LogSet;
use super::writes::Writes;

/// How far each log counts: of the own one everything, of a copy what its marker says is applied.
pub(crate) type Applied = Vec<(RegionName, Sequence)>;

/// What a rebuild did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rebuilt {
    /// Transactions and repairs read.
    pub(crate) transactions: u64,
    /// Of these, how many are still in a history.
    pub(crate) unstable: usize,
}

/// Fills the index. `ask` puts texts to the server and teaches [`Shared::weights`].
///
/// Reads no more of the logs than histories can need; see [`beginnings`].
pub(crate) async fn rebuild(
    logs: &LogSet,
    applied: &Applied,
    shared: &Shared,
    carries: &Carries,
    ask: &mut impl AsyncFnMut(Vec<Need>) -> Result<(), String>,
) -> Result<Rebuilt, String> {
    // First what every region is known to have: the rest of the work follows from what is not stable.
    for (origin, until) in applied {
        survey(logs, *origin, *until, &mut shared.index.lock())?;
    }
    let beginnings = beginnings(logs, applied, &shared.index.lock())?;
    let mut done = Rebuilt::default();
    for ((origin, until), from) in applied.iter().zip(beginnings) {
        let mut writes = Writes::default();
        let log = &logs.get(*origin).log;
        let mut reader = log.read_from(from).map_err(|e| e.to_string())?;
        while let Some(raw) = reader.next_record().map_err(|e| e.to_string())? {
            if raw.header.sequence > *until {
                break;
            }
            let record = Record::decode(raw.bytes).map_err(|e| e.to_string())?;
            let (events, begins, repairs): (_, _, &[RepairPlace]) = match &record.body {
                Body::Chunk { index, events } => (*events, *index == 0, &[]),
                Body::Transaction(body) => (body.events, body.chunks == 0, &[]),
                Body::Repair { places, transaction: body } => (body.events, body.chunks == 0, places),
                _ => continue,
            };
            if begins {
                // A chain that was abandoned may stand before it.
                writes.forget();
            }
            loop {
                let needs = writes.collect(events, record.event_checksums, shared, carries, &mut |_| {})?;
                if needs.is_empty() {
                    break;
                }
                ask(needs).await?;
            }
            if let Some(body) = record.transaction() {
                let mut index = shared.index.lock();
                index
                    .insert(*origin, record.sequence, record.hlc, &body.context, repairs, writes.finish())
                    .map_err(|e| e.to_string())?;
                done.transactions += 1;
            }
        }
    }
    let mut index = shared.index.lock();
    while index.prune(1 << 20).more {}
    done.unstable = index.stats().transactions;
    Ok(done)
}

/// Tells the index what the origin claims, up to `until`: the newest context of the records that are applied here.
fn survey(logs: &LogSet, origin: RegionName, until: Sequence, index: &mut Index) -> Result<(), String> {
    let log = &logs.get(origin).log;
    let near_end = match log.find_sequence(until).map_err(|e| e.to_string())? {
        Some(number) => number,
        // The own log counts to its end. A log without that transaction has been shortened to less than it, or holds none.
        None if until == Sequence(u64::MAX) => {
            log.find_last(RecordKind::Position).map_err(|e| e.to_string())?.unwrap_or_default()
        }
        None => RecordNumber(0),
    };
    let mut reader = log.read_from(near_end).map_err(|e| e.to_string())?;
    let (mut claim, mut sequence) = (None, Sequence(0));
    while let Some(raw) = reader.next_record().map_err(|e| e.to_string())? {
        if raw.header.sequence > until {
            break;
        }
        let record = Record::decode(raw.bytes).map_err(|e| e.to_string())?;
        sequence = sequence.max(record.sequence);
        if let Body::Position(position) = &record.body {
            sequence = sequence.max(position.last_sequence);
        }
        claim = record.context().cloned().or(claim);
    }
    let Some(claim) = claim else { return Ok(()) };
    index.observe(origin, &claim, sequence).map_err(|e| e.to_string())
}

/// The lowest stamp that a repair from record `from` to transaction `until` comes after.
fn earliest_root(log: &Arc<Log>, from: RecordNumber, until: Sequence) -> Result<Hlc, String> {
    let mut earliest = Hlc(u64::MAX);
    let mut reader = log.read_from(from).map_err(|e| e.to_string())?;
    while let Some(raw) = reader.next_record().map_err(|e| e.to_string())? {
        if raw.header.sequence > until {
            break;
        }
        if raw.header.kind == RecordKind::Repair
            && let Body::Repair { places, .. } = Record::decode(raw.bytes).map_err(|e| e.to_string())?.body
        {
            earliest = places.iter().map(|place| place.root.hlc).fold(earliest, Hlc::min);
        }
    }
    Ok(earliest)
}

/// Per log, the record from which histories are rebuilt.
///
/// A history holds unstable writes, writes that an unstable one is concurrent with, and whatever comes after one of these
/// in fold order. So: from the lowest transaction that is unstable or that an unstable one does not cover, and in every log
/// from the stamp at which the earliest of these lies; a repair lies where its root does, and its record has a later stamp.
/// Reading more than a history needs is harmless (SEMANTICS.md).
fn beginnings(logs: &LogSet, applied: &Applied, index: &Index) -> Result<Vec<RecordNumber>, String> {
    let fail = |e: log_store::Error| e.to_string();
    let mut lowest: BTreeMap<RegionName, Sequence> = BTreeMap::new();
    for (origin, _) in applied {
        lowest.insert(*origin, index.stable(*origin).map_err(|e| e.to_string())?.next());
    }
    for (origin, until) in applied {
        let unstable = index.stable(*origin).map_err(|e| e.to_string())?.next();
        let log = &logs.get(*origin).log;
        let Some(from) = log.find_sequence(unstable).map_err(fail)? else { continue };
        let mut reader = log.read_from(from).map_err(fail)?;
        while let Some(raw) = reader.next_record().map_err(fail)? {
            if raw.header.sequence > *until {
                break;
            }
            let record = Record::decode(raw.bytes).map_err(|e| e.to_string())?;
            let Some(transaction) = record.transaction() else { continue };
            for (other, lowest) in &mut lowest {
                if other != origin {
                    *lowest = (*lowest).min(transaction.context.get(*other).next());
                }
            }
        }
    }
    let mut earliest = Hlc(u64::MAX);
    for (origin, sequence) in &lowest {
        let log = &logs.get(*origin).log;
        if let Some(number) = log.find_sequence(*sequence).map_err(fail)? {
            let mut reader = log.read_from(number).map_err(fail)?;
            if let Some(raw) = reader.next_record().map_err(fail)? {
                earliest = earliest.min(raw.header.hlc);
            }
            let until =
                applied.iter().find(|(other, _)| other == origin).map_or(Sequence(0), |(_, until)| *until);
            earliest = earliest.min(earliest_root(log, number, until)?);
        } else if *sequence <= log.tail().last_sequence {
            // Below what the log still holds: then all of it counts.
            earliest = Hlc(0);
        }
    }
    applied
        .iter()
        .map(|(origin, _)| {
            let log = &logs.get(*origin).log;
            match log.find_hlc(earliest).map_err(fail)? {
                // A chain's chunks carry the stamp of its end, so it is found by its first one.
                Some(number) => Ok(number),
                None => Ok(log.durable().next()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
