//! One try at a target transaction: rows and marker, lock, look again, correct in place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use conflict::{Batch as Overlay, LastWriterWins, Presence, Settled, Winner};
use transaction::binlog::{RowsKind, TableMap, Value, row_values, sql_identifier};
use transaction::{KeyHash, RegionName};

use crate::effect::{Effect, Part, rows_kind};
use crate::logs::{Logs, read_image};
use crate::session::{MarkerChange, Session, SqlFailure};
use crate::shared::Shared;
use crate::text::RowsText;

/// A text is sent when it has this many bytes of events.
const TEXT_LEN: usize = 1 << 20;

/// What an attempt did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Row changes sent.
    pub(crate) row_changes: u64,
    /// Writes that met one which their origin had not seen.
    pub(crate) conflicts: u64,
    /// Of these, how many the incoming write won.
    pub(crate) won: u64,
}

/// The state of one try; dropped with it.
pub(crate) struct Attempt<'a> {
    session: &'a mut Session,
    shared: &'a Shared,
    logs: &'a dyn Logs,
    origin: RegionName,
    marker: MarkerChange,
    /// Row by row, each after a locking read: after a surprise.
    careful: bool,
    begun: bool,
    text: RowsText,
    /// Keys whose row was left as it is, and only locked.
    kept: HashSet<KeyHash>,
    conflicting: HashSet<KeyHash>,
    pub(crate) overlay: Overlay,
    pub(crate) tally: Tally,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(
        session: &'a mut Session,
        shared: &'a Shared,
        logs: &'a dyn Logs,
        marker: MarkerChange,
        careful: bool,
    ) -> Self {
        let overlay = shared.index.lock().batch();
        Self {
            session,
            shared,
            logs,
            origin: marker.origin,
            marker,
            careful,
            begun: false,
            text: RowsText::default(),
            kept: HashSet::new(),
            conflicting: HashSet::new(),
            overlay,
            tally: Tally::default(),
        }
    }

    /// Looks up every write of the part, and sends what the folds make of them. May be called for several parts; the
    /// first transaction of a part goes on with the last one of the previous part if `continued`.
    pub(crate) async fn write(&mut self, part: &Part) -> Result<(), SqlFailure> {
        let steps = self.resolve(part)?;
        for (effect, step) in part.effects.iter().zip(steps) {
            self.step(part, effect, step).await?;
            if self.text.len() >= TEXT_LEN {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    /// The first look: what each write makes of its row.
    fn resolve(&mut self, part: &Part) -> Result<Vec<Step>, SqlFailure> {
        let halt = |e: conflict::Error| SqlFailure::Halt(e.to_string());
        let index = self.shared.index.lock();
        let mut steps = Vec::with_capacity(part.effects.len());
        let mut effects = part.effects.iter().peekable();
        for (place, source) in part.transactions.iter().enumerate() {
            let mut transaction = self
                .overlay
                .transaction(self.origin, source.sequence, source.hlc, &source.context)
                .map_err(halt)?;
            while let Some(effect) = effects.next_if(|effect| effect.transaction == place) {
                let live = part.after(effect).is_some();
                let resolution = transaction
                    .resolve(&index, &LastWriterWins, effect.key, effect.index, live)
                    .map_err(halt)?;
                let present = match resolution.row_before {
                    Presence::Present => true,
                    Presence::Absent => false,
                    Presence::Unknown => part.before(effect).is_some(),
                };
                let taken = resolution.winner == Winner::Incoming;
                if resolution.conflict {
                    self.tally.conflicts += 1;
                    self.tally.won += u64::from(taken);
                    self.conflicting.insert(effect.key);
                }
                if taken {
                    self.kept.remove(&effect.key);
                } else {
                    self.kept.insert(effect.key);
                }
                steps.push(if taken { Step::Put { present } } else { Step::Keep });
            }
        }
        Ok(steps)
    }

    async fn step(&mut self, part: &Part, effect: &Effect, step: Step) -> Result<(), SqlFailure> {
        let (before, after) = (part.before(effect), part.after(effect));
        // A write has one image at least; the other one stands in where the row is not as its origin had it.
        let Some(stand_in) = before.or(after) else { return Ok(()) };
        match step {
            Step::Put { .. } if self.careful => {
                self.flush().await?;
                self.put_careful(effect, before, after).await
            }
            Step::Put { present } => {
                match (rows_kind(present, after.is_some()), after) {
                    (Some(RowsKind::Update), Some(after)) => {
                        self.push(effect, RowsKind::Update, &[before.unwrap_or(after), after]);
                    }
                    (Some(RowsKind::Write), Some(after)) => self.push(effect, RowsKind::Write, &[after]),
                    (Some(RowsKind::Delete), _) => self.push(effect, RowsKind::Delete, &[stand_in]),
                    _ => self.push_lock_absent(effect, stand_in),
                }
                Ok(())
            }
            Step::Keep => {
                self.flush().await?;
                self.keep(effect, stand_in).await
            }
        }
    }

    fn push(&mut self, effect: &Effect, kind: RowsKind, images: &[&[u8]]) {
        self.text.push(&effect.table, kind, effect.flags, effect.timestamp, images);
    }

    /// An insert and a delete of a key that has no row lock exactly that key (a locking read locks nothing under READ
    /// COMMITTED, seen).
    fn push_lock_absent(&mut self, effect: &Effect, image: &[u8]) {
        self.push(effect, RowsKind::Write, &[image]);
        self.push(effect, RowsKind::Delete, &[image]);
    }

    /// Sends what was collected; the first text of the attempt begins the transaction and changes the marker.
    async fn flush(&mut self) -> Result<(), SqlFailure> {
        let (statement, changes) = if self.text.is_empty() {
            (None, 0)
        } else {
            let (statement, changes) = self.text.take_statement();
            (Some(statement), changes)
        };
        if !self.begun {
            self.begun = true;
            self.session.begin(&self.marker, statement.as_deref()).await?;
        } else if let Some(statement) = statement {
            self.session.send(&statement).await?;
        }
        self.tally.row_changes += changes;
        Ok(())
    }

    /// One row, by what a locking read finds: its history may be a moment behind a client.
    ///
    /// An error is never passed over inside a transaction: on 9.7.4 rows sent before it were seen to be gone afterwards.
    async fn put_careful(
        &mut self,
        effect: &Effect,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> Result<(), SqlFailure> {
        let Some(stand_in) = before.or(after) else { return Ok(()) };
        let present = self.session.lock_row(&locking_read(&effect.table, stand_in)?).await?;
        match (rows_kind(present, after.is_some()), after) {
            (Some(RowsKind::Update), Some(after)) => {
                self.push(effect, RowsKind::Update, &[before.unwrap_or(after), after]);
            }
            (Some(RowsKind::Write), Some(after)) => self.push(effect, RowsKind::Write, &[after]),
            (Some(RowsKind::Delete), _) => self.push(effect, RowsKind::Delete, &[stand_in]),
            _ => self.push_lock_absent(effect, stand_in),
        }
        self.flush().await
    }

    /// Leaves the row as it is, but locks it.
    async fn keep(&mut self, effect: &Effect, image: &[u8]) -> Result<(), SqlFailure> {
        if self.session.lock_row(&locking_read(&effect.table, image)?).await? {
            return Ok(());
        }
        self.push_lock_absent(effect, image);
        self.flush().await
    }

    /// The second look, with every key locked and the extractor beyond every writer of it: the keys whose history has
    /// grown since the first look, and what they must become.
    pub(crate) fn look_again(&mut self) -> HashMap<KeyHash, Settled> {
        let index = self.shared.index.lock();
        let keys: Vec<KeyHash> = self.overlay.keys().collect();
        let mut grown = HashMap::new();
        for key in keys {
            if let Some(settled) = self.overlay.look_again(&index, &LastWriterWins, key) {
                if settled.conflict && self.conflicting.insert(key) {
                    self.tally.conflicts += 1;
                    self.tally.won += u64::from(settled.from_batch);
                }
                grown.insert(key, settled);
            }
        }
        grown
    }

    /// Puts the rows of `grown` right, in the same transaction. `part` is where their writes are; call it for each part,
    /// newest first, until `grown` is empty.
    pub(crate) async fn correct(
        &mut self,
        part: &Part,
        grown: &mut HashMap<KeyHash, Settled>,
    ) -> Result<(), SqlFailure> {
        for effect in part.effects.iter().rev() {
            let Some(settled) = grown.remove(&effect.key) else { continue };
            if settled.from_batch {
                // The last write of a key is what the row has now; a newer local write cannot make an older one of the
                // batch win, nor one that was kept out win after all.
                if self.kept.contains(&effect.key) || part.write_id(effect, self.origin) != settled.taken.id {
                    return Err(SqlFailure::Locked("the fold of a row changed under its lock".into()));
                }
                continue;
            }
            if self.kept.contains(&effect.key) {
                continue;
            }
            let weights = self.shared.weights.read();
            let image = if settled.taken.live {
                match read_image(self.logs, &weights, &settled.taken.id, effect.key)
                    .map_err(SqlFailure::Halt)?
                {
                    Some(image) => Some(image),
                    // Read from the binlog, not yet durable in the log: it is in a moment.
                    None => return Err(SqlFailure::Locked("the newer write is not durable yet".into())),
                }
            } else {
                None
            };
            drop(weights);
            let own = part.after(effect);
            match (own, image) {
                // The row is found by its key, and images of two layouts must not share an event: so the newer image stands
                // in for the row as it is.
                (Some(_), Some((table, image))) => {
                    self.text.push(&table, RowsKind::Update, 0, effect.timestamp, &[&image, &image]);
                }
                (None, Some((table, image))) => {
                    self.text.push(&table, RowsKind::Write, 0, effect.timestamp, &[&image])
                }
                (Some(own), None) => {
                    self.text.push(&effect.table, RowsKind::Delete, 0, effect.timestamp, &[own])
                }
                (None, None) => {}
            }
            self.kept.insert(effect.key);
        }
        self.flush().await
    }

    pub(crate) fn session(&mut self) -> &mut Session {
        self.session
    }

    /// Changes the marker once more and commits.
    pub(crate) async fn commit(&mut self) -> Result<(), SqlFailure> {
        self.session.commit(&self.marker, self.tally.row_changes).await
    }
}

/// What one write makes of its row.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The row becomes as the write says; `present`: it is there now.
    Put { present: bool },
    /// The row stays as it is, and is locked.
    Keep,
}

/// `SELECT … FOR UPDATE` of one row by its primary key.
fn locking_read(table: &Arc<TableMap>, image: &[u8]) -> Result<String, SqlFailure> {
    let halt = |e: transaction::binlog::EventError| SqlFailure::Halt(e.to_string());
    let values = row_values(table, image).map_err(halt)?;
    let mut conditions = Vec::new();
    for (place, _) in &table.primary_key {
        let column = &table.columns[*place];
        let value = Value::decode(column, values[*place]).map_err(halt)?;
        conditions.push(format!("{} = {}", sql_identifier(&column.name), value.sql_literal(column)));
    }
    Ok(format!(
        "SELECT 1 FROM {}.{} WHERE {} FOR UPDATE",
        sql_identifier(&table.schema),
        sql_identifier(&table.table),
        conditions.join(" AND ")
    ))
}
