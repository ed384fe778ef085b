//! One try at a target transaction: rows and marker, lock, look again, decide what is contested, commit.
//!
//! Rows that no unstable write disputes are sent at once as the origin has them, which locks them. Contested rows are
//! locked first, and decided when the extractor has passed every writer of theirs. A row that turns out to be contested
//! after it was sent starts the try over with that lesson learnt: under its lock from the start, it cannot move again.

mod decide;
mod images;
mod outsider;
mod put;
mod rejoin;
mod send;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use conflict::{Batch as Overlay, Image, Write};
use transaction::binlog::{SessionState, TableMap};
use transaction::{Context, KeyHash, RegionName, Sequence, WriteId};

use crate::code;
use crate::contest::Contests;
use crate::definitions::Definitions;
use crate::effect::{Effect, Part, SourceTransaction};
use crate::journal::Entry;
use crate::relations::Relations;
use crate::scheduler::Setup;
use crate::session::{MarkerChange, SqlFailure};
use crate::suspension::Decide;
use crate::target::Target;
use crate::text::RowsText;

/// A text is sent when it has this many bytes of events.
const TEXT_LEN: usize = 1 << 20;

/// How long the extractor may take to pass what the lane has locked, before the lane lets go and starts over.
const PASS_TIMEOUT: Duration = Duration::from_secs(2);

/// What an attempt did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Row changes sent.
    pub(crate) row_changes: u64,
    /// Rows whose writes met without having seen each other.
    pub(crate) conflicts: u64,
    /// Of these, how many the incoming write won.
    pub(crate) won: u64,
    /// Rows that stayed as they were because a person said so.
    pub(crate) skipped: u64,
}

/// What earlier tries of the same target transaction found out.
#[derive(Debug, Default)]
pub(crate) struct Lessons {
    /// Rows to lock before they are decided.
    pub(crate) contested: HashSet<KeyHash>,
    /// Of these, those that a client wrote between the first look and the lock.
    pub(crate) raced: HashSet<KeyHash>,
    /// All of them are.
    pub(crate) all: bool,
    /// The server refused a net change: each change is sent as it came.
    pub(crate) as_it_came: bool,
    /// Unique keys and foreign keys are to be settled.
    pub(crate) constraints: bool,
    /// Rows whose merge the server refuses.
    pub(crate) refused: HashSet<KeyHash>,
    /// Journal entries written by tries that did not commit.
    pub(crate) journaled: HashSet<String>,
}

/// The state of one try; dropped with it.
pub(crate) struct Attempt<'a, T> {
    pub(crate) target: &'a mut T,
    pub(crate) definitions: &'a Definitions,
    pub(crate) setup: &'a Setup,
    pub(crate) relations: Arc<Relations>,
    lessons: &'a mut Lessons,
    origin: RegionName,
    marker: MarkerChange,
    /// The first write of the batch's first transaction, and what that had seen.
    first: Write,
    first_context: Context,
    /// The last local transaction that the index held when the attempt began.
    first_look: Sequence,
    begun: bool,
    text: RowsText,
    /// Whose session the rows in it take, if the server computes something of them.
    session: Option<Arc<SessionState>>,
    contests: Contests,
    /// Rows that others may refer to, and that go; the server is kept from acting on those others.
    leaving: Vec<Image>,
    entries: Vec<Entry>,
    /// What a person decided of rows that the policy leaves open.
    decide: Option<Decide>,
    /// A person passes over the transaction: all of its rows stay as they are.
    pub(crate) skips: bool,
    pub(crate) overlay: Overlay,
    pub(crate) tally: Tally,
}

impl<'a, T: Target> Attempt<'a, T> {
    pub(crate) fn new(
        target: &'a mut T,
        definitions: &'a Definitions,
        setup: &'a Setup,
        marker: MarkerChange,
        source: &SourceTransaction,
        decide: Option<Decide>,
        lessons: &'a mut Lessons,
    ) -> Self {
        let id = WriteId { hlc: source.hlc, origin: marker.origin, sequence: source.sequence, index: 0 };
        let first = Write { id, live: true, repair: None };
        let first_context = source.context.clone();
        let first_look = setup.shared.passed.borrow().sequence;
        let overlay = setup.shared.index.lock().batch();
        let relations = definitions.relations();
        Self {
            target,
            definitions,
            setup,
            relations,
            lessons,
            origin: marker.origin,
            marker,
            first,
            first_context,
            first_look,
            begun: false,
            text: RowsText::default(),
            session: None,
            contests: Contests::default(),
            leaving: Vec::new(),
            entries: Vec::new(),
            decide,
            skips: false,
            overlay,
            tally: Tally::default(),
        }
    }

    /// The first look: which rows of the part are contested. Call it for every part before the first [`Attempt::write`].
    pub(crate) fn look(&mut self, part: &Part) -> Result<(), SqlFailure> {
        let mut foreseen = HashSet::new();
        {
            let index = self.setup.shared.index.lock();
            let mut effects = part.effects.as_slice();
            for (place, source) in part.transactions.iter().enumerate() {
                let end = effects.iter().position(|effect| effect.transaction != place);
                let (own, rest) = effects.split_at(end.unwrap_or(effects.len()));
                effects = rest;
                for (context, effects) in by_context(source, own) {
                    let (sequence, hlc) = (source.sequence, source.hlc);
                    let mut transaction = self
                        .overlay
                        .transaction(self.origin, sequence, hlc, &context, &source.repairs)
                        .map_err(code::of_history)?;
                    for effect in effects {
                        let live = part.after(effect).is_some();
                        let resolution = transaction
                            .resolve(&index, effect.key, effect.index, live)
                            .map_err(code::of_history)?;
                        if resolution.conflict {
                            foreseen.insert(effect.key);
                        }
                    }
                }
            }
        }
        // Where nothing changes, nothing would be logged: whether it does shows under the lock.
        let decided = part.effects.iter().filter(|effect| effect.is_decision(part));
        let decided: HashSet<KeyHash> = decided.map(|effect| effect.key).collect();
        let unaware = |effect: &Effect| {
            part.transactions.get(effect.transaction).is_some_and(|source| source.unaware(self.origin))
        };
        for effect in &part.effects {
            let known = foreseen.contains(&effect.key);
            if known
                || unaware(effect)
                || decided.contains(&effect.key)
                || self.lessons.all
                || self.lessons.contested.contains(&effect.key)
            {
                let foreseen = known && !self.lessons.raced.contains(&effect.key);
                self.contests.add(part, effect, part.write_id(effect, self.origin), foreseen);
            }
        }
        self.lessons.contested.extend(foreseen);
        Ok(())
    }

    /// How many rows are known to be contested. If looking at a later part raises it, earlier parts may have missed writes.
    pub(crate) fn contested(&self) -> usize {
        self.lessons.contested.len()
    }

    /// Whose transactions are applied.
    pub(crate) fn origin(&self) -> RegionName {
        self.origin
    }

    /// Waits until the extractor has passed every writer of a row that is locked by now. Returns whether a client has
    /// written anything since the attempt began.
    pub(crate) async fn pass(&mut self) -> Result<bool, SqlFailure> {
        let end = self.target.binlog_end().await?;
        let mut passed = self.setup.shared.passed.subscribe();
        let reached =
            tokio::time::timeout(PASS_TIMEOUT, passed.wait_for(|passed| passed.reaches(&end))).await;
        match reached {
            Ok(Ok(passed)) => Ok(passed.sequence != self.first_look),
            _ => Err(SqlFailure::Locked("the extractor is behind; the locks are let go".into())),
        }
    }

    /// Locks all contested rows, if there are any; begins the transaction with that if nothing was sent before.
    pub(crate) async fn lock(&mut self) -> Result<(), SqlFailure> {
        if self.contests.is_empty() {
            return Ok(());
        }
        if !self.begun {
            self.begun = true;
            // Also the gap of a row that is not there is to be locked.
            self.target.begin(&self.marker, true, None).await?;
        }
        let rows: Vec<(&Arc<TableMap>, &[u8])> = self
            .contests
            .all
            .iter()
            .filter_map(|contest| contest.stand_in())
            .map(|image| (&image.table, image.bytes.as_slice()))
            .collect();
        let there = self.target.lock_rows(&rows).await?;
        for (contest, present) in self.contests.all.iter_mut().zip(there) {
            contest.present = present;
        }
        Ok(())
    }

    /// Makes sure that no row is left that refers to one that went: the server was kept from acting on it.
    pub(crate) async fn look_for_children(&mut self) -> Result<(), SqlFailure> {
        for parent in std::mem::take(&mut self.leaving) {
            let relations = self.relations.clone();
            let Some(related) = relations.of(&parent.table.schema, &parent.table.table) else { continue };
            for key in &related.children {
                let Some(child) = self.layout(&key.child).await? else { continue };
                let found = self.target.children(key, &child, &parent.table, &parent.bytes, 1).await?;
                if !found.is_empty() {
                    let reason = "a row that refers to one deleted elsewhere".to_owned();
                    return Err(match self.lessons.constraints {
                        false => SqlFailure::Clash(reason),
                        // Constraints were settled: a client has written it meanwhile.
                        true => SqlFailure::Contested(reason),
                    });
                }
            }
        }
        Ok(())
    }

    /// The layout of a carried table; `None` if it is not carried.
    pub(crate) async fn layout(
        &mut self,
        (schema, table): &(String, String),
    ) -> Result<Option<Arc<TableMap>>, SqlFailure> {
        if !(self.setup.carries)(schema, table) {
            return Ok(None);
        }
        self.definitions.layout(self.target, &self.setup.shared, schema, table).await
    }

    /// The second look, with every key locked and the extractor beyond every writer of it. A row that was sent and is
    /// contested after all is decided by the next try, which locks it first.
    pub(crate) fn look_again(&mut self) -> Result<(), SqlFailure> {
        let index = self.setup.shared.index.lock();
        let before = self.lessons.contested.len();
        for (key, conflict) in self.overlay.look_again_at_all(&index).map_err(code::of_history)? {
            if conflict && !self.contests.contains(key) {
                self.lessons.contested.insert(key);
                self.lessons.raced.insert(key);
            }
        }
        match self.lessons.contested.len() - before {
            0 => Ok(()),
            rows => Err(SqlFailure::Contested(format!("clients wrote {rows} of its rows meanwhile"))),
        }
    }

    /// Puts the journal's entries and the repairs down, changes the marker once more, and commits.
    /// `also`: a statement that belongs to the transaction.
    pub(crate) async fn commit(&mut self, also: Option<String>) -> Result<Vec<String>, SqlFailure> {
        self.write_journal()?;
        if let Some(statement) = also {
            self.target.send(&statement).await?;
        }
        self.target.commit(&self.marker, self.tally.row_changes).await?;
        Ok(self.entries.drain(..).map(|entry| entry.id).collect())
    }

    fn write_journal(&mut self) -> Result<(), SqlFailure> {
        if !self.entries.is_empty() {
            self.setup.journal.write(&self.entries)?;
            self.lessons.journaled.extend(self.entries.iter().map(|entry| entry.id.clone()));
        }
        Ok(())
    }
}

/// The writes of a transaction by what they had seen: of tables that its origin had suspended, that is less.
fn by_context<'a>(
    source: &'a SourceTransaction,
    effects: &'a [Effect],
) -> Vec<(Cow<'a, Context>, Vec<&'a Effect>)> {
    if source.suspended.is_empty() {
        return vec![(Cow::Borrowed(&source.context), effects.iter().collect())];
    }
    let mut all: Vec<(Cow<'a, Context>, Vec<&'a Effect>)> =
        vec![(Cow::Borrowed(&source.context), Vec::new())];
    for effect in effects {
        let context = source.context_of(&effect.table);
        match all.iter_mut().find(|(seen, _)| *seen == context) {
            Some((_, effects)) => effects.push(effect),
            None => all.push((context, vec![effect])),
        }
    }
    all
}
