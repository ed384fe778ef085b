//! What comes next of one origin: batches under backlog, single transactions when caught up, large ones alone.

use transaction::binlog::Tables;
use transaction::record::{Body, Record, RecordKind, TransactionBody};
use transaction::{Context, Halt, Hlc, RecordNumber, RegionName, RepairPlace, Sequence};

use crate::code;
use crate::effect::{DecodeError, Part, Rules, SourceTransaction};
use crate::logs::{Logs, RecordReader};

/// Bounds of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Most source transactions that one target transaction commits.
    pub transactions_max: usize,
    /// Bytes of row images after which a batch is closed.
    pub bytes_max: usize,
}

impl BatchLimits {
    fn are_reached(&self, part: &Part) -> bool {
        part.transactions.len() >= self.transactions_max || part.len() >= self.bytes_max
    }
}

/// How much of a batch was read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// As much as a batch may have.
    Full,
    /// Less than that.
    Part,
}

/// What an origin has to offer.
#[derive(Debug)]
pub enum Next {
    /// Transactions to apply together.
    Batch(Batch),
    /// A large transaction, whose rows are read from its chunks.
    Large(Large),
    /// Nothing durable is left to read.
    Drained,
    /// The next transaction waits for one of another origin.
    WaitsFor {
        /// Whose transaction.
        origin: RegionName,
        /// Which.
        sequence: Sequence,
    },
    /// The next record's stamp is ahead of this region's clock by more than `clock_skew_max`.
    AheadOfClock {
        /// By how much, microseconds.
        ahead_us: u64,
    },
}

/// Transactions that are applied together, and what the records among them said.
#[derive(Debug)]
pub struct Batch {
    /// Transactions and rows.
    pub part: Part,
    /// How far applying it gets the origin.
    pub reach: Reach,
}

/// A transaction in chunks.
#[derive(Debug, Clone)]
pub struct Large {
    /// Stamps.
    pub transaction: SourceTransaction,
    /// First record of the chain.
    pub first_chunk: RecordNumber,
    /// How many chunks come before the record that ends it.
    pub chunks: u32,
    /// How far applying it gets the origin.
    pub reach: Reach,
}

/// How far an origin is, seen from its own log.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// The last record.
    pub record: RecordNumber,
    /// The last transaction.
    pub sequence: Sequence,
    /// The newest stamp.
    pub hlc: Hlc,
    /// What the origin had applied there, of every table.
    pub claim: Context,
    /// Commit time of the last transaction, microseconds; 0 if there was none.
    pub commit_us: u64,
}

/// What a transaction must wait for, decided from its stamps alone.
#[derive(Debug)]
pub struct Gate<'a> {
    /// This region.
    pub region: RegionName,
    /// The last transaction of its own lost tail, if there is one: what has seen some of that waits for it.
    pub tail: Option<Sequence>,
    /// What is applied here, of every origin.
    pub applied: &'a Context,
    /// This region's clock, microseconds.
    pub now_us: u64,
    /// How far ahead of it a stamp may be, microseconds.
    pub skew_us_max: u64,
    /// The last transaction that may be handed out.
    pub until: Sequence,
}

impl Gate<'_> {
    /// `None` if the transaction may be applied.
    fn closed(&self, origin: RegionName, hlc: Hlc, context: &Context) -> Option<Next> {
        // What this region stamped itself is no other clock's.
        let skew_us_max = if origin == self.region { u64::MAX } else { self.skew_us_max };
        if let Some(ahead_us) =
            hlc.0.checked_sub(self.now_us.saturating_add(skew_us_max)).filter(|us| *us > 0)
        {
            return Some(Next::AheadOfClock { ahead_us: ahead_us + skew_us_max });
        }
        context
            .iter()
            .filter(|(other, _)| *other != origin)
            .filter_map(|(other, sequence)| match self.tail {
                _ if other != self.region => Some((other, sequence)),
                Some(end) => Some((other, sequence.min(end))),
                None => None,
            })
            .find(|(other, sequence)| !self.applied.covers(*other, *sequence))
            .map(|(origin, sequence)| Next::WaitsFor { origin, sequence })
    }
}

/// Why an origin cannot be fed.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Weights to ask the server for; then try again.
    #[error("text weights are missing")]
    Needs(Vec<transaction::key::Need>),
    /// Rows of a table cannot be told apart: it is to be suspended, so that the others go on.
    #[error("{reason}")]
    Table {
        /// Its schema.
        schema: String,
        /// Its name.
        table: String,
        /// Which transaction, and why.
        reason: String,
    },
    /// A person must act.
    #[error(transparent)]
    Halt(#[from] Halt),
}

/// Reads one origin's log, record by record.
pub struct Feed {
    origin: RegionName,
    reach: Reach,
    reader: Box<dyn RecordReader>,
    /// A record that was read and could not be taken yet.
    held: Option<Vec<u8>>,
    /// What was read ahead of its turn, and how far the origin was before it.
    ahead: Option<(Reach, Part)>,
    /// Kept from transaction to transaction, so that equal table maps are one value.
    tables: Tables,
}

impl Feed {
    /// A feed that goes on after `reach.record`.
    pub fn new(logs: &dyn Logs, origin: RegionName, reach: Reach) -> Result<Self, Halt> {
        let reader = logs.reader(origin, reach.record.next())?;
        let tables = Tables::through(logs.view(origin));
        Ok(Self { origin, reach, reader, held: None, ahead: None, tables })
    }

    /// Whose log it reads.
    pub fn origin(&self) -> RegionName {
        self.origin
    }

    /// How far the origin is handed out.
    pub fn reach(&self) -> &Reach {
        self.ahead.as_ref().map_or(&self.reach, |(before, _)| before)
    }

    /// How far the origin is read.
    pub(crate) fn read_to(&self) -> &Reach {
        &self.reach
    }

    /// Whether something was taken ahead of its turn, by rules that may not be those of its turn.
    pub fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Reads what comes next ahead of its turn, while what was handed out is being applied.
    pub fn look_ahead(&mut self, limits: BatchLimits, gate: &Gate<'_>, rules: &Rules<'_>) {
        let (before, mut part) = self.begin();
        // Why it ends here, be it a failure, is found again in its turn.
        let _ = self.fill(&mut part, limits, gate, rules);
        if self.reach.record != before.record {
            self.ahead = Some((before, part));
        }
    }

    /// Whether what was read ahead is rows that may share a batch, and if so, whether the batch is full.
    pub(crate) fn ahead(&self, limits: BatchLimits) -> Option<Fill> {
        let (_, part) = self.ahead.as_ref()?;
        if part.is_empty() || part.statement.is_some() {
            return None;
        }
        Some(if limits.are_reached(part) { Fill::Full } else { Fill::Part })
    }

    /// Takes what was read ahead.
    pub(crate) fn take_ahead(&mut self) -> Option<Batch> {
        let (_, part) = self.ahead.take()?;
        Some(Batch { part, reach: self.reach.clone() })
    }

    /// Takes the next batch or large transaction. What was handed out must be applied before the next call.
    pub fn next(
        &mut self,
        limits: BatchLimits,
        gate: &Gate<'_>,
        rules: &Rules<'_>,
    ) -> Result<Next, FeedError> {
        let (before, mut part) = self.begin();
        match self.fill(&mut part, limits, gate, rules) {
            // A large one runs alone; what is before it in the batch goes first.
            Ok(Some(Next::Large(large))) if part.is_empty() => {
                self.held = None;
                self.reach = large.reach.clone();
                Ok(Next::Large(large))
            }
            Ok(Some(next)) if self.reach.record == before.record => Ok(next),
            Err(error) if part.is_empty() => Err(error),
            // What is whole goes first; a failure comes again at the next call.
            _ => Ok(Next::Batch(Batch { part, reach: self.reach.clone() })),
        }
    }

    /// What was read ahead, or nothing, and how far the origin was before it.
    fn begin(&mut self) -> (Reach, Part) {
        self.ahead.take().unwrap_or_else(|| (self.reach.clone(), Part::default()))
    }

    /// Reads on until the batch is full (`None`) or something is in the way, which stays to be read.
    fn fill(
        &mut self,
        part: &mut Part,
        limits: BatchLimits,
        gate: &Gate<'_>,
        rules: &Rules<'_>,
    ) -> Result<Option<Next>, FeedError> {
        // DDL runs alone.
        while !limits.are_reached(part) && part.statement.is_none() {
            let Some(bytes) = self.read()? else { return Ok(Some(Next::Drained)) };
            let closed = self.take(&bytes, part, gate, rules);
            if !matches!(closed, Ok(None)) {
                self.held = Some(bytes);
                return closed;
            }
        }
        Ok(None)
    }

    fn read(&mut self) -> Result<Option<Vec<u8>>, FeedError> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        Ok(self.reader.next()?.map(<[u8]>::to_vec))
    }

    /// Adds a record to the batch, or says why it must wait.
    fn take(
        &mut self,
        bytes: &[u8],
        part: &mut Part,
        gate: &Gate<'_>,
        rules: &Rules<'_>,
    ) -> Result<Option<Next>, FeedError> {
        let record = Record::decode(bytes).map_err(code::of_record)?;
        match &record.body {
            // Its rows are read when the end of its chain comes. Not part of any reach: a restart must see the chain from
            // its first chunk.
            Body::Chunk { .. } => return Ok(None),
            Body::Transaction(body) => return self.take_rows(&record, body, &[], part, gate, rules),
            Body::Repair { places, transaction } => {
                return self.take_rows(&record, transaction, places, part, gate, rules);
            }
            Body::Position(position) => {
                // An origin's claim holds only once all of its transactions before it are applied: it waits its turn.
                self.reach.claim = position.suspended.claim(&position.context);
                self.reach.hlc = self.reach.hlc.max(record.hlc);
            }
            Body::Incarnation { .. } => {}
            Body::Prepare { .. } => {
                let unknown = code::RECORD_UNKNOWN.halt(format_args!(
                    "record {} of {} is a {:?}, which this version does not apply; upgrade it",
                    record.number,
                    self.origin,
                    record.kind()
                ));
                return Err(unknown.into());
            }
        }
        self.reach.record = record.number;
        Ok(None)
    }

    /// The same for a record that commits rows. `repairs`: its places, if it is a repair.
    fn take_rows(
        &mut self,
        record: &Record<'_>,
        body: &TransactionBody<'_>,
        repairs: &[RepairPlace],
        part: &mut Part,
        gate: &Gate<'_>,
        rules: &Rules<'_>,
    ) -> Result<Option<Next>, FeedError> {
        if record.sequence > gate.until {
            return Ok(Some(Next::Drained));
        }
        if let Some(next) = gate.closed(self.origin, record.hlc, &body.context) {
            return Ok(Some(next));
        }
        if record.sequence != self.reach.sequence.next() {
            let late = code::LOG_BEGINS_LATE.halt(format_args!(
                "the log of {} goes on with transaction {} where {} is due: its copy here begins too late; \
                 seed this region anew",
                self.origin,
                record.sequence,
                self.reach.sequence.next()
            ));
            return Err(late.into());
        }
        let source = SourceTransaction::new(record.sequence, record.hlc, record.number, body, repairs);
        let reach = Reach {
            record: record.number,
            sequence: record.sequence,
            hlc: self.reach.hlc.max(record.hlc),
            claim: body.suspended.claim(&body.context),
            commit_us: body.commit_us,
        };
        if body.chunks > 0 {
            // The lane finds out whether the chunks are there when it reads them.
            let first = record.number.0.checked_sub(body.chunks.into()).ok_or_else(|| {
                code::LOG_INCOMPLETE.halt(format_args!(
                    "record {} of {} claims {} chunks before it: its copy here is damaged; run `concord log \
                     verify`, and seed this region anew",
                    record.number, self.origin, body.chunks
                ))
            })?;
            let first_chunk = RecordNumber(first);
            return Ok(Some(Next::Large(Large {
                transaction: source,
                first_chunk,
                chunks: body.chunks,
                reach,
            })));
        }
        part.begin(source);
        self.tables.trim();
        let (checksums, mut changes) = (record.event_checksums, 0);
        let added = part.add_events(body.events, checksums, &mut self.tables, &mut changes, rules);
        let added = added.and_then(|()| match changes as usize == repairs.len() {
            false if record.kind() == RecordKind::Repair => {
                Err(DecodeError::Places { places: repairs.len(), changes })
            }
            _ => Ok(()),
        });
        if let Err(error) = added {
            part.take_back();
            return Err(self.failure(record, error));
        }
        if part.statement.is_some() && part.transactions.len() > 1 {
            // What is before it goes first.
            part.take_back();
            return Ok(Some(Next::Drained));
        }
        self.reach = reach;
        Ok(None)
    }

    fn failure(&self, record: &Record<'_>, error: DecodeError) -> FeedError {
        match error {
            DecodeError::Needs(needs) => FeedError::Needs(needs),
            DecodeError::Table { ref schema, ref table, .. } => {
                let (schema, table) = (schema.clone(), table.clone());
                FeedError::Table { schema, table, reason: describe(self.origin, record, &error) }
            }
            other => FeedError::Halt(other.code().halt(describe(self.origin, record, &other))),
        }
    }
}

/// The transaction, the reason, the remedy.
pub(crate) fn describe(origin: RegionName, record: &Record<'_>, error: &DecodeError) -> String {
    let gtid = record.transaction().map_or_else(|| "none".into(), |body| body.gtid.to_string());
    format!("transaction {} of {origin} (GTID {gtid}, record {}): {error}", record.sequence, record.number)
}
