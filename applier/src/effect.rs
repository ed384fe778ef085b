//! What a batch of source transactions does, row by row.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use transaction::binlog::{EventError, Item, RowsKind, SessionState, TableMap, Tables, for_each_item};
use transaction::key::{KeyError, Need, keys_of_change};
use transaction::record::TransactionBody;
use transaction::{
    Context, DdlStatement, Gtid, HaltCode, Hlc, KeyHash, RecordNumber, RegionName, RepairPlace, Sequence,
    Suspended, Weights, WriteId,
};

use crate::code;
use crate::ddl::{self, DdlPolicies, Verdict};

/// What one row change does to one key. A primary-key update is two: the old key goes, the new one comes.
#[derive(Debug, Clone)]
pub struct Effect {
    /// Layout of the table at the origin.
    pub table: Arc<TableMap>,
    /// Which row.
    pub key: KeyHash,
    /// Flags of the source's rows event.
    pub flags: u16,
    /// Seconds since 1970, of the source's rows event.
    pub timestamp: u32,
    /// Which transaction of the part, by place.
    pub transaction: usize,
    /// Place among the transaction's row changes.
    pub index: u32,
    before: Option<Range<usize>>,
    after: Option<Range<usize>>,
}

impl Effect {
    /// Whether it is a repair that says what the row is and not what it was: a person's decision where the history left it open.
    pub(crate) fn is_decision(&self, part: &Part) -> bool {
        part.repair(self).is_some() && part.before(self).is_some() && part.before(self) == part.after(self)
    }
}

/// A source transaction, or a record of repairs, without its rows.
#[derive(Debug, Clone)]
pub struct SourceTransaction {
    /// Its number.
    pub sequence: Sequence,
    /// Its stamp.
    pub hlc: Hlc,
    /// What it had before it.
    pub context: Context,
    /// Immediate commit time at the origin, microseconds.
    pub commit_us: u64,
    /// Tables of which it had not all of that: its origin had suspended them.
    pub suspended: Arc<Suspended>,
    /// Its GTID at the origin.
    pub gtid: Gtid,
    /// Its record in the log.
    pub record: RecordNumber,
    /// What counts of the session that wrote its rows ([`SessionState::of_values`]); of repairs and of what has no BEGIN, `None`.
    pub session: Option<Arc<SessionState>>,
    /// Of repairs, where each row change stands in the fold order, by index; empty for a transaction.
    pub repairs: Arc<[RepairPlace]>,
}

impl SourceTransaction {
    /// Whether the primary of its origin lacked some of what it claims to have seen (SEMANTICS.md, "Failover").
    pub(crate) fn unaware(&self, origin: RegionName) -> bool {
        self.context.entry(origin).is_some()
    }
}

/// Consecutive transactions of one origin, or a part of a large one, with their row images.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The transactions, oldest first.
    pub transactions: Vec<SourceTransaction>,
    /// What they do, in order.
    pub effects: Vec<Effect>,
    images: Vec<u8>,
    pub(crate) statement: Option<Arc<DdlStatement>>,
}

/// Why a transaction cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Weights to ask the server for; then decode again.
    #[error("{} weights are to be asked for", .0.len())]
    Needs(Vec<Need>),
    /// A table whose rows cannot be told apart.
    #[error("{reason}")]
    Table {
        /// Its schema.
        schema: String,
        /// Its name.
        table: String,
        /// Why.
        reason: KeyError,
    },
    /// DDL that is not carried.
    #[error("{0}")]
    Ddl(String),
    /// A record of repairs that does not say of each where it stands.
    #[error(
        "it has {changes} repairs and the places of {places}; run `concord log verify`, and seed this region anew"
    )]
    Places {
        /// Places of it.
        places: usize,
        /// Row changes of it.
        changes: u32,
    },
    /// A key or an event that cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl DecodeError {
    /// What a person is to do about it, if a person must act.
    pub fn code(&self) -> HaltCode {
        match self {
            Self::Table { .. } => code::TABLE_UNFIT,
            Self::Ddl(_) => code::DDL_NOT_CARRIED,
            Self::Places { .. } => code::LOG_INCOMPLETE,
            Self::Needs(_) => code::ROW_UNREADABLE,
            Self::Key(error) => code::for_key(error),
        }
    }
}

impl From<EventError> for DecodeError {
    fn from(error: EventError) -> Self {
        Self::Key(KeyError::Event(error))
    }
}

/// Which tables are carried: schema and table in, verdict out.
pub type Carries = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

impl Part {
    /// The row before, as the origin had it.
    pub fn before(&self, effect: &Effect) -> Option<&[u8]> {
        effect.before.clone().map(|range| &self.images[range])
    }

    /// The row after.
    pub fn after(&self, effect: &Effect) -> Option<&[u8]> {
        effect.after.clone().map(|range| &self.images[range])
    }

    /// What is to be run before the rows are written, if its transaction has DDL; it is alone in the part then.
    pub fn statement(&self) -> Option<&DdlStatement> {
        self.statement.as_deref()
    }

    /// Which write it is, which is also where it stands in fold order, unless it is a repair.
    pub fn write_id(&self, effect: &Effect, origin: RegionName) -> WriteId {
        let transaction = &self.transactions[effect.transaction];
        WriteId { hlc: transaction.hlc, origin, sequence: transaction.sequence, index: effect.index }
    }

    /// Where the write stands in fold order, if it is a repair.
    pub fn repair(&self, effect: &Effect) -> Option<RepairPlace> {
        self.transactions[effect.transaction].repairs.get(effect.index as usize).copied()
    }

    /// Bytes of row images held.
    pub fn len(&self) -> usize {
        self.images.len() + self.effects.len() * size_of::<Effect>()
    }

    /// Whether there are no transactions.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Adds a transaction without its rows; [`Part::add_events`] adds those.
    pub fn begin(&mut self, transaction: SourceTransaction) {
        self.transactions.push(transaction);
    }

    /// The session of the last transaction. Many have the same.
    fn set_session(&mut self, session: SessionState) {
        let Some((last, before)) = self.transactions.split_last_mut() else { return };
        let same = before.last().and_then(|before| before.session.clone()).filter(|known| **known == session);
        last.session = Some(same.unwrap_or_else(|| Arc::new(session)));
    }

    /// Takes the last transaction and its rows out again.
    pub(crate) fn take_back(&mut self) {
        self.transactions.pop();
        self.statement = None;
        let taken = self.transactions.len();
        while self.effects.last().is_some_and(|effect| effect.transaction == taken) {
            self.effects.pop();
        }
    }

    /// Adds the rows in `events` to the last transaction. On an error, the part is as before the call.
    pub fn add_events(
        &mut self,
        events: &[u8],
        checksums: bool,
        tables: &mut Tables,
        next_index: &mut u32,
        rules: &Rules<'_>,
    ) -> Result<(), DecodeError> {
        let start = (self.effects.len(), self.images.len(), *next_index);
        let mut needs = Vec::new();
        let (mut scratch, mut statement) = (Vec::new(), None);
        let result =
            for_each_item::<DecodeError>(events, checksums, tables, next_index, &mut |item| match item {
                Item::Change { table, flags, timestamp, index, change } => {
                    if !(rules.carries)(&table.schema, &table.table) {
                        return Ok(());
                    }
                    let keys = keys_of_change(table, &change, rules.weights, &mut scratch, &mut needs);
                    let (old, new) = keys.map_err(|reason| match reason.is_of_table() {
                        true => {
                            let (schema, table) = (table.schema.clone(), table.table.clone());
                            DecodeError::Table { schema, table, reason }
                        }
                        false => DecodeError::Key(reason),
                    })?;
                    let mut put = |image: &[u8]| {
                        let start = self.images.len();
                        self.images.extend_from_slice(image);
                        start..self.images.len()
                    };
                    let (before, after) = (change.before.map(&mut put), change.after.map(&mut put));
                    let transaction = self.transactions.len().saturating_sub(1);
                    let mut effect = |key, before, after| {
                        let table = table.clone();
                        self.effects.push(Effect {
                            table,
                            key,
                            flags,
                            timestamp,
                            transaction,
                            index,
                            before,
                            after,
                        });
                    };
                    match (old, new) {
                        (Some(old), Some(new)) if old != new => {
                            effect(old, before, None);
                            effect(new, None, after);
                        }
                        (Some(key), _) | (None, Some(key)) => effect(key, before, after),
                        (None, None) => {}
                    }
                    Ok(())
                }
                Item::Begin(query) => {
                    self.set_session(query.session()?.of_values());
                    Ok(())
                }
                Item::Statement { query, timestamp } => {
                    match ddl::judge(&query, timestamp, rules.carries, rules.ddl) {
                        Verdict::Ignore => {}
                        Verdict::Halt(reason) => return Err(DecodeError::Ddl(reason)),
                        Verdict::Replicate(found) => statement = Some(Arc::new(found)),
                    }
                    Ok(())
                }
            });
        let result = result.and(if needs.is_empty() { Ok(()) } else { Err(DecodeError::Needs(needs)) });
        if result.is_err() {
            self.effects.truncate(start.0);
            self.images.truncate(start.1);
            *next_index = start.2;
        } else {
            self.statement = statement.or(self.statement.take());
        }
        result
    }
}

/// What decides how events become effects.
pub struct Rules<'a> {
    /// Which tables are carried.
    pub carries: &'a Carries,
    /// How the server weighs text.
    pub weights: &'a Weights,
    /// What to do with DDL.
    pub ddl: &'a DdlPolicies,
}

impl SourceTransaction {
    /// From its record; `repairs` as in [`SourceTransaction::repairs`].
    pub fn new(
        sequence: Sequence,
        hlc: Hlc,
        record: RecordNumber,
        body: &TransactionBody<'_>,
        repairs: &[RepairPlace],
    ) -> Self {
        let (context, commit_us, gtid) = (body.context.clone(), body.commit_us, body.gtid);
        // The empty one is shared.
        let repairs = if repairs.is_empty() { Arc::default() } else { repairs.into() };
        // So is no suspended table.
        let suspended =
            if body.suspended.is_empty() { Arc::default() } else { body.suspended.clone().into() };
        Self { sequence, hlc, context, suspended, commit_us, gtid, record, session: None, repairs }
    }
}

impl SourceTransaction {
    /// What its writes on a table had seen.
    pub fn context_of(&self, table: &TableMap) -> Cow<'_, Context> {
        match self.suspended.of_table(&table.schema, &table.table, &self.context) {
            Some(context) => Cow::Owned(context),
            None => Cow::Borrowed(&self.context),
        }
    }
}

/// The rows event that takes a row from one state to another; `None` if it stays absent.
pub fn rows_kind(present: bool, wanted: bool) -> Option<RowsKind> {
    match (present, wanted) {
        (true, true) => Some(RowsKind::Update),
        (true, false) => Some(RowsKind::Delete),
        (false, true) => Some(RowsKind::Write),
        (false, false) => None,
    }
}
