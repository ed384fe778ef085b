//! One try at a target transaction: rows and marker, lock, look again, decide what is contested, commit.
//!
//! Rows that no unstable write disputes are sent at once as the origin has them, which locks them. Contested rows are
//! locked first, and decided when the extractor has passed every writer of theirs. A row that turns out to be contested
//! after it was sent starts the try over with that lesson learnt: under its lock from the start, it cannot move again.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use conflict::{Batch as Overlay, Image, Policy, Story, Write};
use transaction::binlog::{RowsKind, TableMap, row_values};
use transaction::{Context, KeyHash, RegionName, Sequence, WriteId};

use crate::clash;
use crate::contest::{
    Contest, Contests, Desired, Gathered, Here, Verdict, images_needed, pair_of, same_layout, same_row,
    verdict,
};
use crate::definitions::Definitions;
use crate::effect::{Effect, Part, SourceTransaction, rows_kind};
use crate::found::{Finding, Known};
use crate::journal::{Entry, Found, Winner};
use crate::lane::LaneSetup;
use crate::recall::{Recall, Recalled, recall};
use crate::relations::Relations;
use crate::repair::{Repair, statements};
use crate::session::{MarkerChange, SqlFailure};
use crate::suspension::Decide;
use crate::target::Target;
use crate::text::{NO_FOREIGN_KEY_CHECKS, RowsText};

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
    pub(crate) definitions: &'a mut Definitions,
    pub(crate) setup: &'a LaneSetup,
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
    contests: Contests,
    /// Rows that others may refer to, and that go; the server is kept from acting on those others.
    leaving: Vec<Image>,
    entries: Vec<Entry>,
    /// What a person decided of rows that the policy leaves open.
    decide: Option<Decide>,
    pub(crate) overlay: Overlay,
    pub(crate) tally: Tally,
}

impl<'a, T: Target> Attempt<'a, T> {
    pub(crate) fn new(
        target: &'a mut T,
        definitions: &'a mut Definitions,
        setup: &'a LaneSetup,
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
            contests: Contests::default(),
            leaving: Vec::new(),
            entries: Vec::new(),
            decide,
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
                        .map_err(halt)?;
                    for effect in effects {
                        let live = part.after(effect).is_some();
                        let resolution =
                            transaction.resolve(&index, effect.key, effect.index, live).map_err(halt)?;
                        if resolution.conflict {
                            foreseen.insert(effect.key);
                        }
                    }
                }
            }
        }
        for effect in &part.effects {
            let known = foreseen.contains(&effect.key);
            if known || self.lessons.all || self.lessons.contested.contains(&effect.key) {
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

    /// Begins the transaction with the locks on all contested rows, if there are any.
    pub(crate) async fn lock(&mut self) -> Result<(), SqlFailure> {
        if self.contests.is_empty() {
            return Ok(());
        }
        self.begun = true;
        // Also the gap of a row that is not there is to be locked.
        self.target.begin(&self.marker, true, None).await?;
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

    /// Sends what no one contests.
    pub(crate) async fn write(&mut self, part: &Part) -> Result<(), SqlFailure> {
        for effect in &part.effects {
            if self.contests.contains(effect.key) {
                continue;
            }
            self.push_effect(part, effect)?;
            if self.text.len() >= TEXT_LEN {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    fn push_effect(&mut self, part: &Part, effect: &Effect) -> Result<(), SqlFailure> {
        let (before, after) = (part.before(effect), part.after(effect));
        let mut flags = effect.flags;
        if let Some(before) = before
            && leaves(&self.relations, &effect.table, before, after)?
        {
            flags |= NO_FOREIGN_KEY_CHECKS;
            self.leaving.push(Image { table: effect.table.clone(), bytes: before.to_vec() });
        }
        let Some(kind) = rows_kind(before.is_some(), after.is_some()) else { return Ok(()) };
        let images: Vec<&[u8]> = before.into_iter().chain(after).collect();
        self.text.push(&effect.table, kind, flags, effect.timestamp, &images);
        Ok(())
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
            self.target.begin(&self.marker, false, statement.as_deref()).await?;
        } else if let Some(statement) = statement {
            self.target.send(&statement).await?;
        }
        self.tally.row_changes += changes;
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
                    return Err(self.learn_constraints("a row that refers to one deleted elsewhere"));
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

    fn learn_constraints(&mut self, reason: &str) -> SqlFailure {
        self.lessons.all = true;
        self.lessons.constraints = true;
        SqlFailure::Contested(reason.to_owned())
    }

    /// The second look, with every key locked and the extractor beyond every writer of it. A row that was sent and is
    /// contested after all is decided by the next try, which locks it first.
    pub(crate) fn look_again(&mut self) -> Result<(), SqlFailure> {
        let index = self.setup.shared.index.lock();
        let before = self.lessons.contested.len();
        for (key, conflict) in self.overlay.look_again_at_all(&index).map_err(halt)? {
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

    /// Decides the contested rows, each under its lock and with its whole history, and makes them what they become.
    pub(crate) async fn settle(&mut self, sources: &[SourceTransaction]) -> Result<(), SqlFailure> {
        let contests = std::mem::take(&mut self.contests);
        let stories: Vec<(Option<Story>, Option<Story>)> = {
            let index = self.setup.shared.index.lock();
            contests
                .all
                .iter()
                .map(|contest| Ok((self.overlay.story(&index, contest.key)?, index.story(contest.key)?)))
                .collect::<Result<_, conflict::Error>>()
                .map_err(halt)?
        };
        let mut desired = Vec::with_capacity(contests.all.len());
        for (contest, (story, existing)) in contests.all.iter().zip(stories) {
            let story = story.ok_or_else(|| {
                SqlFailure::Halt("a row of the batch has no history: a bug, please report it".into())
            })?;
            if let Some(row) = self.decide(contest, &story, existing.as_ref(), sources).await? {
                desired.push(row);
            }
        }
        self.contests = contests;
        // What turned up for these keys meanwhile is decided with them.
        if self.lessons.constraints {
            let entries = clash::settle_constraints(self, &mut desired, sources).await?;
            self.entries.extend(entries);
        }
        self.put(&desired).await?;
        self.repair(&desired).await
    }

    /// What one contested row is, and what it becomes.
    async fn decide(
        &mut self,
        contest: &Contest,
        story: &Story,
        existing: Option<&Story>,
        sources: &[SourceTransaction],
    ) -> Result<Option<Desired>, SqlFailure> {
        let Some(stand_in) = contest.stand_in().cloned() else { return Ok(None) };
        let table_policy = (self.setup.policies)(&contest.table.schema, &contest.table.table);
        let policy: &dyn Policy = table_policy.policy.as_ref();
        let shadow = table_policy.detect_only || self.setup.detect_only.contains(&self.origin);
        let pair = pair_of(story);

        let mut images = Gathered::of(&contest.writes);
        let mut needed = images_needed(policy, story);
        needed.extend(existing.map(|existing| images_needed(policy, existing)).unwrap_or_default());
        for id in needed {
            self.gather(&mut images, id, contest.key).await?;
        }

        let newest_own = story.writes.iter().rposition(|chapter| chapter.from_batch).unwrap_or_default();
        let decided = if shadow {
            Verdict::As(newest_own)
        } else {
            verdict(policy, story, &images).map_err(SqlFailure::Halt)?
        };
        let (mut folded, mut merged, mut forced, mut winner) = (None, false, false, Winner::Merged);
        match decided {
            Verdict::As(place) => {
                folded = self.image_of(&mut images, story, place, contest.key).await?;
                winner = if story.writes[place].from_batch { Winner::Incoming } else { Winner::Existing };
            }
            Verdict::Merged { fallback, .. } if self.lessons.refused.contains(&contest.key) => {
                folded = self.image_of(&mut images, story, fallback, contest.key).await?;
                winner = if story.writes[fallback].from_batch { Winner::Incoming } else { Winner::Existing };
            }
            Verdict::Merged { image, .. } => {
                folded = Some(image);
                merged = true;
            }
            Verdict::Halt => match self.decide {
                None => winner = Winner::Halted,
                Some(decide) => {
                    // A person's word: it takes a repair, which every region then takes for decided.
                    forced = true;
                    let place = match decide {
                        Decide::Newest => story.writes.len() - 1,
                        Decide::Incoming => newest_own,
                        Decide::Here => {
                            let here = story.writes.iter().rposition(|chapter| !chapter.from_batch);
                            here.unwrap_or(newest_own)
                        }
                    };
                    folded = self.image_of(&mut images, story, place, contest.key).await?;
                    winner = if story.writes[place].from_batch { Winner::Incoming } else { Winner::Existing };
                }
            },
        }

        if let Some(pair) = pair {
            let (incoming, existing) = (story.writes[pair.incoming].write, story.writes[pair.existing].write);
            let known_incoming = self.known(&mut images, &incoming, contest.key, sources).await?;
            let known_existing = self.known(&mut images, &existing, contest.key, sources).await?;
            let finding = Finding {
                region: self.setup.region,
                found_us: (self.setup.now_us)(),
                row: &stand_in,
                constraint: None,
                found: if contest.foreseen { Found::FirstLook } else { Found::UnderLock },
                policy: policy.rule(),
                incoming: (&incoming, &known_incoming),
                existing: (&existing, &known_existing),
                winner,
                result: folded.as_ref(),
                repairs: 0,
                detect_only: shadow,
            };
            // Two regions that settled one clash alike disagree in nothing.
            let repairs = incoming.repair.is_some() && existing.repair.is_some();
            let alike = match (&known_incoming.after, &known_existing.after) {
                (Some(one), Some(other)) => same_row(one, other) == Some(true),
                (one, other) => one.is_none() && other.is_none(),
            };
            if !(repairs && alike) {
                self.tally.conflicts += 1;
                self.tally.won += u64::from(winner == Winner::Incoming);
                self.entries.push(finding.entry().map_err(|e| SqlFailure::Halt(e.to_string()))?);
            }
        }
        if winner == Winner::Halted {
            self.write_journal()?;
            let name = contest.table.full_name();
            return Err(SqlFailure::Table {
                schema: contest.table.schema.clone(),
                table: contest.table.table.clone(),
                reason: format!(
                    "a row of {name} was written in two regions at once, and its policy is halt: look at `concord conflicts \
                     list --table {name}`, then `concord resume --table {name} --decide newest|here|incoming`"
                ),
            });
        }

        let here = self.here(contest, existing, pair.is_some(), policy, &mut images).await?;
        Ok(Some(Desired {
            key: contest.key,
            table: contest.table.clone(),
            flags: contest.flags,
            timestamp: contest.timestamp,
            stand_in,
            here,
            wanted: folded.clone(),
            folded,
            newest: story.newest().copied(),
            after: story.newest().and_then(Write::place_after),
            merged,
            forced,
            outsider: false,
        }))
    }

    /// The row as it is now. With a conflict, as the fold of what is here says; without one, as the first write of the
    /// batch found it, since its writer had seen all that is here (SEMANTICS.md).
    async fn here(
        &mut self,
        contest: &Contest,
        existing: Option<&Story>,
        conflict: bool,
        policy: &dyn Policy,
        images: &mut Gathered,
    ) -> Result<Here, SqlFailure> {
        if !contest.present {
            return Ok(Here::Absent);
        }
        let known = match existing.filter(|_| conflict) {
            None => contest.writes.first().and_then(|own| own.before.clone()),
            Some(existing) => match verdict(policy, existing, images).map_err(SqlFailure::Halt)? {
                Verdict::As(place) => self.image_of(images, existing, place, contest.key).await?,
                Verdict::Merged { image, fallback } => {
                    let fallback = self.image_of(images, existing, fallback, contest.key).await?;
                    return Ok(Here::OneOf([Some(image), fallback].into_iter().flatten().collect()));
                }
                Verdict::Halt => None,
            },
        };
        // A row that is there against what its history says is none that Concord or a client wrote into the binlog.
        Ok(known.map_or(Here::OneOf(Vec::new()), Here::Known))
    }

    /// The row as one write of a story left it.
    async fn image_of(
        &mut self,
        images: &mut Gathered,
        story: &Story,
        place: usize,
        key: KeyHash,
    ) -> Result<Option<Image>, SqlFailure> {
        let write = &story.writes[place].write;
        if !write.live {
            return Ok(None);
        }
        self.gather(images, write.id, key).await?;
        conflict::Images::after(images, &write.id).cloned().map(Some).ok_or_else(|| {
            SqlFailure::Halt(format!(
                "transaction {} of {} holds no image of the row that it left",
                write.id.sequence, write.id.origin
            ))
        })
    }

    async fn gather(&mut self, images: &mut Gathered, id: WriteId, key: KeyHash) -> Result<(), SqlFailure> {
        if !images.has(&id) {
            let recalled = self.recall(id, key).await?;
            images.put(id, recalled.before, recalled.after);
        }
        Ok(())
    }

    /// Reads a write back from the logs, as soon as it is durable there.
    pub(crate) async fn recall(&mut self, id: WriteId, key: KeyHash) -> Result<Recalled, SqlFailure> {
        const TRIES: usize = 1000;
        for _ in 0..TRIES {
            let recalled = recall(self.setup.logs.as_ref(), &self.setup.shared.weights.read(), &id, key);
            match recalled {
                Ok(recalled) => return Ok(recalled),
                Err(Recall::Needs(needs)) => self.target.weigh(&self.setup.shared, needs).await?,
                // Read from the binlog and not yet synced: a matter of milliseconds.
                Err(Recall::NotDurable) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                Err(Recall::Halt(reason)) => return Err(SqlFailure::Halt(reason)),
            }
        }
        Err(SqlFailure::Locked("a newer write is not durable yet".into()))
    }

    /// What the journal tells of a write.
    pub(crate) async fn known(
        &mut self,
        images: &mut Gathered,
        write: &Write,
        key: KeyHash,
        sources: &[SourceTransaction],
    ) -> Result<Known, SqlFailure> {
        let source = sources.iter().find(|source| source.sequence == write.id.sequence);
        if write.id.origin == self.origin
            && let Some(source) = source
            && images.has(&write.id)
        {
            return Ok(Known {
                before: conflict::Images::before(images, &write.id).cloned(),
                after: conflict::Images::after(images, &write.id).cloned(),
                context: source.context.clone(),
                gtid: source.gtid.to_string(),
                commit_us: source.commit_us,
            });
        }
        let Recalled { before, after, context, gtid, commit_us } = self.recall(write.id, key).await?;
        Ok(Known { before, after, context, gtid: gtid.to_string(), commit_us })
    }

    /// Makes the rows what they become. Deletes come first, and rows with further unique keys are taken out before
    /// they are put back where keys are settled, so that no order of theirs can clash.
    async fn put(&mut self, desired: &[Desired]) -> Result<(), SqlFailure> {
        let mut later: Vec<(&Desired, &Image, bool)> = Vec::new();
        for row in desired {
            match self.change_of(row) {
                Change::Nothing => {}
                Change::Out => {
                    let flags = self.flags_of(row, &row.stand_in.bytes, None)?;
                    self.push_out(row, flags);
                }
                // In between, no one may take the row for gone.
                Change::OutAndIn(wanted) => {
                    self.push_out(row, row.flags | NO_FOREIGN_KEY_CHECKS);
                    later.push((row, wanted, false));
                }
                Change::In(wanted) => later.push((row, wanted, false)),
                Change::Update(wanted) => later.push((row, wanted, true)),
            }
        }
        later.sort_by_key(|(_, _, present)| !present);
        for (row, wanted, present) in later {
            if row.merged {
                self.flush().await?;
            }
            if present {
                // The server finds the row by its key; two layouts must not share an event.
                let before = match &row.here {
                    Here::Known(here) if same_layout(here, wanted) => here,
                    _ => wanted,
                };
                let flags = self.flags_of(row, &before.bytes, Some(&wanted.bytes))?;
                let images: [&[u8]; 2] = [&before.bytes, &wanted.bytes];
                self.text.push(&wanted.table, RowsKind::Update, flags, row.timestamp, &images);
            } else {
                let flags = row.flags | if self.lessons.constraints { NO_FOREIGN_KEY_CHECKS } else { 0 };
                self.text.push(&wanted.table, RowsKind::Write, flags, row.timestamp, &[&wanted.bytes]);
            }
            if row.merged {
                let key = row.key;
                let sent = self.flush().await;
                sent.map_err(|failure| self.refused(key, failure))?;
            } else if self.text.len() >= TEXT_LEN {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    /// How a row gets from what it is to what it becomes, such that the number of changes logged is certain: a change that
    /// leaves the row as it is would log nothing.
    fn change_of<'r>(&self, row: &'r Desired) -> Change<'r> {
        // A row that was only looked at stays untouched.
        if row.outsider && row.wanted == row.folded {
            return Change::Nothing;
        }
        let Some(wanted) = &row.wanted else {
            return if row.here == Here::Absent { Change::Nothing } else { Change::Out };
        };
        let (schema, table) = (&row.table.schema, &row.table.table);
        let has_unique = self.relations.of(schema, table).is_some_and(|related| !related.unique.is_empty());
        let takes_out = self.lessons.constraints && has_unique;
        // Nothing is certain if it may be the row already.
        let differs = |here: &Image| same_row(here, wanted) == Some(false);
        match &row.here {
            Here::Absent => Change::In(wanted),
            Here::Known(here) if same_row(here, wanted) == Some(true) => Change::Nothing,
            Here::Known(here) if !takes_out && differs(here) => Change::Update(wanted),
            Here::OneOf(images) if !takes_out && !images.is_empty() && images.iter().all(differs) => {
                Change::Update(wanted)
            }
            Here::Known(_) | Here::OneOf(_) => Change::OutAndIn(wanted),
        }
    }

    fn push_out(&mut self, row: &Desired, flags: u16) {
        let image = row.stand_in.bytes.as_slice();
        self.text.push(&row.stand_in.table, RowsKind::Delete, flags, row.timestamp, &[image]);
    }

    /// Flags for a change of a row. The server is kept from acting on rows that refer to it: those are looked for.
    fn flags_of(&mut self, row: &Desired, before: &[u8], after: Option<&[u8]>) -> Result<u16, SqlFailure> {
        if self.lessons.constraints {
            return Ok(row.flags | NO_FOREIGN_KEY_CHECKS);
        }
        if leaves(&self.relations, &row.stand_in.table, before, after)? {
            let image = match &row.here {
                Here::Known(image) => image.clone(),
                _ => row.stand_in.clone(),
            };
            self.leaving.push(image);
            return Ok(row.flags | NO_FOREIGN_KEY_CHECKS);
        }
        Ok(row.flags)
    }

    /// Sends the repairs, for the extractor to find.
    async fn repair(&mut self, desired: &[Desired]) -> Result<(), SqlFailure> {
        let mut repairs = Vec::new();
        for row in desired {
            repairs.extend(Repair::of(row)?);
        }
        for statement in statements(&repairs) {
            self.target.send(&statement).await?;
        }
        Ok(())
    }

    /// A row that no write of the batch is about, locked by now, as it is. `image` has its primary key.
    pub(crate) async fn outsider(&mut self, key: KeyHash, image: Image) -> Result<Desired, SqlFailure> {
        // Whoever wrote it last may have committed a moment ago.
        self.pass().await?;
        let story = self.setup.shared.index.lock().story(key).map_err(halt)?;
        let Some(story) = story.filter(|story| self.counts(story)) else {
            // It counts as older than any other.
            return Ok(Desired {
                key,
                table: image.table.clone(),
                flags: 0,
                timestamp: 0,
                here: Here::OneOf(Vec::new()),
                folded: Some(image.clone()),
                wanted: Some(image.clone()),
                stand_in: image,
                newest: None,
                after: self.first.place_after(),
                merged: false,
                forced: false,
                outsider: true,
            });
        };
        let policy = (self.setup.policies)(&image.table.schema, &image.table.table).policy;
        let mut images = Gathered::default();
        for id in images_needed(policy.as_ref(), &story) {
            self.gather(&mut images, id, key).await?;
        }
        let (now, here) = match verdict(policy.as_ref(), &story, &images).map_err(SqlFailure::Halt)? {
            Verdict::As(place) => {
                let now = self.image_of(&mut images, &story, place, key).await?;
                (now.clone(), now.map_or(Here::OneOf(Vec::new()), Here::Known))
            }
            Verdict::Merged { image, fallback } => {
                let fallback = self.image_of(&mut images, &story, fallback, key).await?;
                (Some(image.clone()), Here::OneOf([Some(image), fallback].into_iter().flatten().collect()))
            }
            Verdict::Halt => (None, Here::OneOf(Vec::new())),
        };
        let now = now.unwrap_or(image);
        Ok(Desired {
            key,
            table: now.table.clone(),
            flags: 0,
            timestamp: 0,
            here,
            folded: Some(now.clone()),
            wanted: Some(now.clone()),
            stand_in: now,
            newest: story.newest().copied(),
            after: story.newest().and_then(Write::place_after),
            merged: false,
            forced: false,
            outsider: true,
        })
    }

    /// Whether a row's newest write tells how old the row is: if the batch's first transaction has seen all of its history, what
    /// came later may have been pruned.
    fn counts(&self, story: &Story) -> bool {
        let first = &self.first.id;
        story.writes.iter().any(|chapter| {
            let id = &chapter.write.id;
            chapter.from_batch
                || if id.origin == first.origin {
                    id.sequence >= first.sequence
                } else {
                    !self.first_context.covers(id.origin, id.sequence)
                }
        })
    }

    /// A row that is not there and that no write of the batch is about. `image` has its primary key.
    pub(crate) async fn outsider_absent(
        &mut self,
        key: KeyHash,
        image: Image,
    ) -> Result<Desired, SqlFailure> {
        self.pass().await?;
        let story =
            self.setup.shared.index.lock().story(key).map_err(halt)?.filter(|story| self.counts(story));
        let newest = story.and_then(|story| story.newest().copied());
        Ok(Desired {
            key,
            table: image.table.clone(),
            flags: 0,
            timestamp: 0,
            stand_in: image,
            here: Here::Absent,
            folded: None,
            wanted: None,
            newest,
            after: newest.as_ref().or(Some(&self.first)).and_then(Write::place_after),
            merged: false,
            forced: false,
            outsider: true,
        })
    }

    /// A row that is gone, as its fold last had it, and whether that is a merge. `None` if that cannot be told, since what its
    /// history says may not be the newest.
    pub(crate) async fn ghost(&mut self, key: KeyHash) -> Result<Option<(Image, bool)>, SqlFailure> {
        let story = self.overlay.story(&self.setup.shared.index.lock(), key).map_err(halt)?;
        let Some(mut story) = story.filter(|story| self.counts(story)) else { return Ok(None) };
        let contest = self.contests.all.iter().find(|contest| contest.key == key);
        let mut images = Gathered::of(contest.map_or(&[][..], |contest| &contest.writes));
        let Some(first) = story.writes.get(story.start) else { return Ok(None) };
        let first = first.write.id;
        self.gather(&mut images, first, key).await?;
        let Some(table) = images.table(&first) else { return Ok(None) };
        let policy = (self.setup.policies)(&table.schema, &table.table).policy;
        for id in images_needed(policy.as_ref(), &story) {
            self.gather(&mut images, id, key).await?;
        }
        while story.writes.len() > story.start + 1 {
            story.writes.pop();
            match verdict(policy.as_ref(), &story, &images).map_err(SqlFailure::Halt)? {
                Verdict::As(place) => {
                    if let Some(image) = self.image_of(&mut images, &story, place, key).await? {
                        return Ok(Some((image, false)));
                    }
                }
                Verdict::Merged { fallback, .. } if self.lessons.refused.contains(&key) => {
                    let image = self.image_of(&mut images, &story, fallback, key).await?;
                    return Ok(image.map(|image| (image, false)));
                }
                Verdict::Merged { image, .. } => return Ok(Some((image, true))),
                Verdict::Halt => return Ok(None),
            }
        }
        Ok(conflict::Images::before(&images, &first).cloned().map(|image| (image, false)))
    }

    /// A merge that the server refuses is replaced by the newest whole image at the next try.
    fn refused(&mut self, key: KeyHash, failure: SqlFailure) -> SqlFailure {
        match failure {
            SqlFailure::Check(reason) => {
                self.lessons.refused.insert(key);
                SqlFailure::Contested(reason)
            }
            other => other,
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
            self.setup.journal.write(&self.entries).map_err(SqlFailure::Halt)?;
            self.lessons.journaled.extend(self.entries.iter().map(|entry| entry.id.clone()));
        }
        Ok(())
    }
}

/// How a row gets from what it is to what it becomes.
enum Change<'r> {
    Nothing,
    /// It goes.
    Out,
    /// It comes.
    In(&'r Image),
    /// It is there and changes for certain.
    Update(&'r Image),
    /// It goes and comes again: two changes, whatever it was.
    OutAndIn(&'r Image),
}

/// Whether a change takes something away that rows of another table may refer to, where the server would act on those.
fn leaves(
    relations: &Relations,
    table: &TableMap,
    before: &[u8],
    after: Option<&[u8]>,
) -> Result<bool, SqlFailure> {
    let Some(related) = relations.of(&table.schema, &table.table).filter(|related| related.cascades()) else {
        return Ok(false);
    };
    let Some(after) = after else { return Ok(true) };
    let values = |image| row_values(table, image).map_err(|e| SqlFailure::Halt(e.to_string()));
    let (before, after) = (values(before)?, values(after)?);
    let referenced = |name: &String| related.children.iter().any(|key| key.parent_columns.contains(name));
    let columns = table.columns.iter().zip(before.iter().zip(&after));
    Ok(columns.into_iter().any(|(column, (before, after))| before != after && referenced(&column.name)))
}

fn halt(error: conflict::Error) -> SqlFailure {
    SqlFailure::Halt(error.to_string())
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
