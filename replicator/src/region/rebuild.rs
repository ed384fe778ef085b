//! The history index at start, rebuilt from the logs.

use std::path::Path;
use std::sync::Arc;

use applier::Shared;
use applier::code::{of_history, of_record};
use applier::logs::Logs;
use conflict::{Index, Lacks};
use extractor::Held;
use log_store::Log;
use transaction::binlog::View;
use transaction::key::Need;
use transaction::record::{Body, Record, RecordKind};
use transaction::{Halt, Hlc, RecordNumber, RegionName, RepairPlace, Sequence, Suspended};

use super::failover::Tail;
use super::logs::LogSet;
use super::writes::{Scope, Stamps, Untaken, Writes};

/// How far each log counts: of the own one everything ([`OWN`]), of a copy what its marker says is applied.
pub(crate) type Applied = Vec<(RegionName, Sequence)>;

/// The own log counts to its end.
pub(crate) const OWN: Sequence = Sequence(u64::MAX);

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
/// What the server lacks of the own log (`tail`) is not in any history yet: it is put in when it is applied.
///
/// Reads no more of the logs than histories can need, as far as the index can tell: what is not stable, and then, as often
/// as there is something new, what these histories lack ([`Index::lacks`]). Reading more than a history needs is harmless.
pub(crate) async fn rebuild(
    logs: &LogSet,
    applied: &Applied,
    tail: Option<Tail>,
    shared: &Shared,
    scope: &Scope,
    suspended: &Suspended,
    ask: &mut impl AsyncFnMut(Vec<Need>) -> Result<(), Halt>,
) -> Result<Rebuilt, Halt> {
    let held = Held {
        context: applied.iter().filter(|(_, until)| *until != OWN).copied().collect(),
        tail: tail.map(|tail| (tail.applied, tail.end)),
        unsure_until: None,
    };
    // First what every region is known to have: the rest of the work follows from what is not stable.
    for (origin, until) in applied {
        // While this region holds writes back, what others claim beyond them does not count yet.
        let own = *until == OWN;
        let least = suspended.iter().map(|table| table.applied.get(*origin)).min().filter(|_| !own);
        let until = least.map_or(*until, |least| least.min(*until));
        // The own log counts to its end, or to where the server has it.
        let until = tail.filter(|_| own).map_or(until, |tail| tail.applied);
        survey(logs, *origin, until, own.then_some(&held), &mut shared.index.lock())?;
    }
    let mut done = Rebuilt::default();
    let mut readings = Vec::with_capacity(applied.len());
    let nothing = Suspended::default();
    for (origin, until) in applied {
        let own_until = *until;
        let stable = shared.index.lock().stable(*origin).map_err(of_history)?;
        let log = logs.get(*origin).log.clone();
        let until = log.tail().last_sequence.min(*until);
        let from = stable.next().max(first_held(&log)).min(until.next());
        // Of its own writes a region holds nothing back.
        let own = own_until == OWN;
        let held_back = if own { &nothing } else { suspended };
        let lacks = tail.filter(|_| own);
        let view = logs.view(*origin);
        let spool = logs.spool();
        let reading = Reading { origin: *origin, log, from, until, lacks, held_back, view, spool };
        let fresh = (from, until.next());
        done.transactions += reading.insert(fresh, shared, scope, ask).await?;
        readings.push(reading);
    }
    for round in 0.. {
        let lacks = shared.index.lock().lacks().map_err(of_history)?;
        let Some(lacks) = lacks else { break };
        let mut any = false;
        for reading in &mut readings {
            let lower = reading.lower(&lacks, round)?;
            let mut upper = std::mem::replace(&mut reading.from, lower);
            any |= lower < upper;
            // Newest first: where a transaction is put in before many others, those have to make room.
            while lower < upper {
                let begin = lower.max(Sequence(upper.0.saturating_sub(AT_A_TIME)));
                done.transactions += reading.insert((begin, upper), shared, scope, ask).await?;
                upper = begin;
            }
        }
        if !any {
            break;
        }
    }
    let mut index = shared.index.lock();
    while index.prune(1 << 20).map_err(of_history)?.more {}
    done.unstable = index.stats().transactions;
    Ok(done)
}

/// So many transactions of a log are put in front of others in one go.
const AT_A_TIME: u64 = 4096;

/// After so many rounds, what is read of a log is doubled with each: rows that everyone writes at once can make long chains
/// of writes that have not seen each other.
const ROUNDS_BEFORE_DOUBLING: u32 = 3;

/// A log that is being read into the index.
struct Reading<'a> {
    origin: RegionName,
    log: Arc<Log>,
    /// The first transaction that is in the index, and all from there to `until` are.
    from: Sequence,
    /// The last that counts.
    until: Sequence,
    /// What of it the server lacks.
    lacks: Option<Tail>,
    /// Tables of which this region applies less.
    held_back: &'a Suspended,
    /// How its rows are seen here.
    view: Option<Arc<dyn View>>,
    /// Where files are made.
    spool: Option<&'a Path>,
}

impl Reading<'_> {
    /// Inserts the transactions from the first number to the second, that one not included; returns how many.
    async fn insert(
        &self,
        (from, to): (Sequence, Sequence),
        shared: &Shared,
        scope: &Scope,
        ask: &mut impl AsyncFnMut(Vec<Need>) -> Result<(), Halt>,
    ) -> Result<u64, Halt> {
        let Some(first) = self.first_record(from)? else { return Ok(0) };
        let mut writes = Writes::through(self.view.clone()).spilling(self.spool);
        let (mut whole, mut chain) = (false, Suspended::default());
        let mut count = 0;
        let mut reader = self.log.read_from(first)?;
        while let Some(raw) = reader.next_record()? {
            if raw.header.sequence >= to {
                break;
            }
            let record = Record::decode(raw.bytes).map_err(of_record)?;
            let (events, begins, repairs): (_, _, &[RepairPlace]) = match &record.body {
                Body::Chunk { index, events } => (*events, *index == 0, &[]),
                Body::Transaction(body) => (body.events, body.chunks == 0, &[]),
                Body::Repair { places, transaction: body } => (body.events, body.chunks == 0, places),
                _ => continue,
            };
            if begins {
                // A chain that was abandoned may stand before it.
                writes.forget();
                whole = true;
                chain = match record.body {
                    Body::Chunk { .. } => self.suspended_of_chain(record.number)?,
                    _ => Suspended::default(),
                };
            }
            // Retention may have taken the beginning of a chain, which then no history needs.
            if !whole {
                continue;
            }
            loop {
                let checksums = record.event_checksums;
                let apart = [self.held_back, record.suspended().unwrap_or(&chain)];
                let needs = writes.collect(events, checksums, shared, scope, &apart, &mut |_| {});
                let needs = needs.map_err(Untaken::in_log)?;
                if needs.is_empty() {
                    break;
                }
                ask(needs).await?;
            }
            if self.lacks.is_some_and(|tail| tail.has(record.sequence)) {
                writes.forget();
                whole = false;
                continue;
            }
            if let Some(body) = record.transaction() {
                let (origin, sequence, hlc) = (self.origin, record.sequence, record.hlc);
                let (context, suspends) = (&body.context, &body.suspended);
                let stamps = Stamps { origin, sequence, hlc, context, suspended: suspends, repairs };
                let mut index = shared.index.lock();
                let mut tables = shared.tables.lock();
                writes.insert_into(&mut index, &mut tables, &stamps, self.held_back)?;
                // Nothing may be pruned yet, so merging runs is not left to that.
                while index.tidy(AT_A_TIME as usize).map_err(of_history)? {}
                count += 1;
                whole = false;
            }
        }
        Ok(count)
    }

    /// The tables that the origin had suspended when it wrote the chain that begins at a record: only the end of the chain says.
    fn suspended_of_chain(&self, first: RecordNumber) -> Result<Suspended, Halt> {
        let mut reader = self.log.read_from(first)?;
        while let Some(raw) = reader.next_record()? {
            if raw.header.kind == RecordKind::Transaction {
                let record = Record::decode(raw.bytes).map_err(of_record)?;
                return Ok(record.suspended().cloned().unwrap_or_default());
            }
        }
        Ok(Suspended::default())
    }

    /// The record at which a transaction begins; of a chain the first chunk that is held.
    fn first_record(&self, sequence: Sequence) -> Result<Option<RecordNumber>, Halt> {
        let Some(last) = self.log.find_sequence(sequence)? else { return Ok(None) };
        let mut reader = self.log.read_from(last)?;
        let Some(raw) = reader.next_record()? else { return Ok(None) };
        let record = Record::decode(raw.bytes).map_err(of_record)?;
        let chunks = record.transaction().map_or(0, |transaction| u64::from(transaction.chunks));
        let held = self.log.segments().first().map_or(last, |segment| segment.first);
        Ok(Some(RecordNumber(last.0.saturating_sub(chunks)).max(held)))
    }

    /// The lowest transaction that histories lack, not above the lowest that is read, nor below what the log holds.
    fn lower(&self, lacks: &Lacks, round: u32) -> Result<Sequence, Halt> {
        let mut lowest = lacks.sequence(self.origin).min(self.first_since(lacks.hlc)?);
        if lowest < self.from && round >= ROUNDS_BEFORE_DOUBLING {
            let read = self.until.next().0.saturating_sub(self.from.0);
            lowest = lowest.min(Sequence(self.from.0.saturating_sub(read)));
        }
        Ok(lowest.max(first_held(&self.log)).min(self.from))
    }

    /// The first transaction whose record has this stamp or a later one. A repair's record is not older than where it stands.
    fn first_since(&self, hlc: Hlc) -> Result<Sequence, Halt> {
        let Some(number) = self.log.find_hlc(hlc)? else { return Ok(self.from) };
        let mut reader = self.log.read_from(number)?;
        while let Some(raw) = reader.next_record()? {
            if raw.header.sequence > Sequence(0) {
                return Ok(raw.header.sequence);
            }
        }
        Ok(self.from)
    }
}

/// The first transaction that the log holds; 1 if it holds none.
fn first_held(log: &Log) -> Sequence {
    let held = log.segments().into_iter().find_map(|segment| segment.sequences);
    held.map_or(Sequence(1), |(first, _)| first)
}

/// Tells the index what the origin claims, up to `until`: the newest context of the records that are applied here. `held`: for the own
/// origin, what is held of it.
fn survey(
    logs: &LogSet,
    origin: RegionName,
    until: Sequence,
    held: Option<&Held>,
    index: &mut Index,
) -> Result<(), Halt> {
    let log = &logs.get(origin).log;
    let near_end = match log.find_sequence(until)? {
        Some(number) => number,
        // The own log counts to its end. A log without that transaction has been shortened to less than it, or holds none.
        None if until == OWN => log.find_last(RecordKind::Position)?.unwrap_or_default(),
        None => RecordNumber(0),
    };
    let mut reader = log.read_from(near_end)?;
    let (mut claim, mut sequence) = (None, Sequence(0));
    while let Some(raw) = reader.next_record()? {
        if raw.header.sequence > until {
            break;
        }
        let record = Record::decode(raw.bytes).map_err(of_record)?;
        sequence = sequence.max(record.sequence);
        if let Body::Position(position) = &record.body {
            sequence = sequence.max(position.last_sequence);
        }
        claim = record.claim().or(claim);
    }
    let Some(claim) = claim else { return Ok(()) };
    let claim = held.map_or(claim.clone(), |held| held.of(&claim));
    index.observe(origin, &claim, sequence).map_err(of_history)
}

#[cfg(test)]
mod tests;
