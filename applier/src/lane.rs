//! A lane: one connection that applies what the feeds offer, and waits, retries and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use transaction::binlog::Tables;
use transaction::{Context, KeyHash, RegionName, Sequence, Suspended};

use crate::attempt::{Attempt, Lessons, Tally};
use crate::definitions::Definitions;
use crate::effect::{Carries, DdlPolicy, Rules, SourceTransaction};
use crate::feed::{Batch, BatchLimits, Feed, FeedError, Gate, Large, Next, Reach};
use crate::journal::Journal;
use crate::logs::Logs;
use crate::parts::{Chain, Parts};
use crate::policies::Policies;
use crate::progress::{OriginProgress, State};
use crate::session::{MarkerChange, SqlFailure};
use crate::shared::Shared;
use crate::suspension::CatchUp;
use crate::tables::{Applied, Suspension};
use crate::target::{Connector, Target};
use crate::wish::Wishes;

/// What a lane needs.
pub struct LaneSetup {
    /// This region.
    pub region: RegionName,
    /// The other regions, whose logs it applies.
    pub origins: Vec<RegionName>,
    /// Token of this process; see [`crate::tables::take_ownership`].
    pub owner: u64,
    /// What it shares with the extractor.
    pub shared: Arc<Shared>,
    /// The region's logs.
    pub logs: Arc<dyn Logs>,
    /// Which tables are carried.
    pub carries: Carries,
    /// What to do with DDL.
    pub ddl: DdlPolicy,
    /// Which rule decides conflicts of which table.
    pub policies: Policies,
    /// Origins whose conflicts with this region are reported and not decided.
    pub detect_only: BTreeSet<RegionName>,
    /// Where conflicts are written down.
    pub journal: Arc<dyn Journal>,
    /// Bounds of a batch.
    pub limits: BatchLimits,
    /// How far ahead of this region's clock a stamp may be, microseconds.
    pub skew_us_max: u64,
    /// Woken when a log has new durable records, or a pause ends.
    pub wake: Arc<Notify>,
    /// The wall clock, microseconds since 1970.
    pub now_us: fn() -> u64,
    /// Becomes true when the lane is to stop.
    pub shutdown: watch::Receiver<bool>,
    /// Where suspended tables are shown.
    pub suspensions: watch::Sender<Vec<Suspension>>,
    /// What people wish.
    pub wishes: Arc<Wishes>,
    /// Where each origin's state is reported.
    pub progress: BTreeMap<RegionName, watch::Sender<OriginProgress>>,
}

/// How often a target transaction starts over for rows that turn out to be contested, before all of them are locked first,
/// and before something must be wrong.
const STARTS_BEFORE_ALL: u32 = 4;
const STARTS_MAX: u32 = 1000;

/// Bounds of the wait before another try.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Applies the logs of all other origins to one MySQL, over one connection.
pub struct Lane<C: Connector> {
    pub(crate) setup: LaneSetup,
    connector: C,
    pub(crate) session: Option<C::Target>,
    feeds: BTreeMap<RegionName, Feed>,
    applied: Context,
    definitions: Definitions,
    /// Tables that are not applied for now.
    pub(crate) suspended: Arc<Suspended>,
    /// All carried tables but those.
    pub(crate) carries: Carries,
    /// The table that is being caught up with.
    pub(crate) catching_up: Option<CatchUp>,
    /// The transaction that is being applied is passed over: its rows stay as they are.
    pub(crate) skipping: bool,
    /// Of origins that were halted by a batch, the last transaction of it: up to there each goes alone, so that a halt names one.
    alone: BTreeMap<RegionName, Sequence>,
}

/// Writes as the history index takes them: key, index, and whether the row lives.
type Writes = Vec<(KeyHash, u32, bool)>;

/// A transaction whose writes the index is to hold, by what they had seen.
struct Remembered {
    source: SourceTransaction,
    parts: Vec<(Context, Writes)>,
}

/// Why an origin stops.
pub(crate) enum Stop {
    /// MySQL is away: all origins wait.
    Away(String),
    /// A person must act for this origin.
    Halt(String),
    /// Another process took over.
    Fenced,
    /// The process is shutting down.
    Shutdown,
    /// Something else is to be done first; the feeds begin again at the markers.
    Again,
}

impl<C: Connector> Lane<C> {
    /// A lane that has not connected yet.
    pub fn new(setup: LaneSetup, connector: C) -> Self {
        let carries = setup.carries.clone();
        Self {
            setup,
            connector,
            suspended: Arc::default(),
            carries,
            catching_up: None,
            skipping: false,
            alone: BTreeMap::new(),
            session: None,
            feeds: BTreeMap::new(),
            applied: Context::new(),
            definitions: Definitions::default(),
        }
    }

    /// Runs until shutdown. Returns an error only if another process has taken over.
    pub async fn run(mut self) -> Result<(), SqlFailure> {
        let mut delay = RETRY_FIRST;
        while !*self.setup.shutdown.borrow() {
            if self.session.is_none() {
                match self.open().await {
                    Ok(()) => delay = RETRY_FIRST,
                    Err(SqlFailure::Fenced) => return self.fenced(),
                    Err(failure) => {
                        self.report_all(&State::Waiting { reason: failure.to_string() });
                        tracing::warn!("applier: {failure}");
                        self.pause(delay).await;
                        delay = (delay * 2).min(RETRY_MAX);
                        continue;
                    }
                }
            }
            let wake = self.setup.wake.clone();
            let notified = wake.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let mut worked = match self.grant_wishes().await {
                Ok(granted) => granted,
                Err(Stop::Fenced) => return self.fenced(),
                Err(Stop::Away(reason) | Stop::Halt(reason)) => {
                    tracing::warn!("applier: {reason}");
                    self.session = None;
                    false
                }
                Err(Stop::Again) => {
                    self.session = None;
                    true
                }
                Err(Stop::Shutdown) => true,
            };
            if self.session.is_none() {
                self.pause(RETRY_FIRST).await;
                continue;
            }
            for origin in self.setup.origins.clone() {
                match self.advance(origin).await {
                    Ok(progressed) => worked |= progressed,
                    Err(Stop::Away(reason)) => {
                        tracing::warn!("applier: {reason}");
                        self.report_all(&State::Waiting { reason });
                        self.session = None;
                        break;
                    }
                    Err(Stop::Halt(reason)) => {
                        tracing::error!("origin {origin} is halted: {reason}");
                        self.report(origin, State::Halted { reason });
                        self.update(origin, |progress| progress.retry = false);
                        self.rollback().await;
                    }
                    Err(Stop::Fenced) => return self.fenced(),
                    Err(Stop::Shutdown) => break,
                    Err(Stop::Again) => {
                        self.session = None;
                        worked = true;
                        break;
                    }
                }
            }
            if self.session.is_none() {
                self.pause(delay).await;
                delay = (delay * 2).min(RETRY_MAX);
            } else if !worked {
                let mut shutdown = self.setup.shutdown.clone();
                tokio::select! {
                    () = &mut notified => {}
                    _ = shutdown.changed() => {}
                    // A stamp ahead of the clock and a halted origin's remedy make no sound.
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        }
        Ok(())
    }

    fn fenced(&self) -> Result<(), SqlFailure> {
        self.report_all(&State::Halted { reason: SqlFailure::Fenced.to_string() });
        Err(SqlFailure::Fenced)
    }

    async fn pause(&self, delay: Duration) {
        let mut shutdown = self.setup.shutdown.clone();
        tokio::select! {
            _ = shutdown.changed() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }

    async fn rollback(&mut self) {
        if let Some(session) = &mut self.session
            && session.rollback().await.is_err()
        {
            self.session = None;
        }
    }

    /// A connection of ours alone, and the markers as they are once no transaction of an earlier one is in doubt.
    async fn connect(&self) -> Result<(C::Target, Vec<Applied>), SqlFailure> {
        let mut target = self.connector.connect().await?;
        let markers = target.take_ownership(self.setup.owner).await?;
        Ok((target, markers))
    }

    /// Connects, takes ownership, and sets every feed to where the markers are.
    async fn open(&mut self) -> Result<(), SqlFailure> {
        let (session, markers) = self.connect().await?;
        for origin in &self.setup.origins {
            let Some(marker) = markers.iter().find(|marker| marker.origin == *origin) else { continue };
            let known = self.feeds.get(origin).map(|feed| feed.reach().clone());
            if known.as_ref().is_none_or(|reach| reach.sequence != marker.sequence) {
                let reach = Reach {
                    record: marker.record,
                    sequence: marker.sequence,
                    hlc: marker.hlc,
                    claim: known.map(|reach| reach.claim).unwrap_or_default(),
                    commit_us: 0,
                };
                let feed = Feed::new(self.setup.logs.as_ref(), *origin, reach).map_err(SqlFailure::Halt)?;
                self.feeds.insert(*origin, feed);
            }
            self.applied.raise(*origin, marker.sequence);
            self.update(*origin, |progress| {
                progress.has_marker = true;
                progress.applied_sequence = marker.sequence;
                progress.applied_record = progress.applied_record.max(marker.record);
            });
        }
        self.definitions.clear();
        self.catching_up = None;
        self.session = Some(session);
        // Without knowing them, nothing may be applied.
        let read = self.read_suspensions().await;
        if read.is_err() {
            self.session = None;
        }
        read
    }

    /// Applies the next batch of one origin. Returns whether there was something.
    async fn advance(&mut self, origin: RegionName) -> Result<bool, Stop> {
        let (paused, halted) = match self.setup.progress.get(&origin).map(watch::Sender::borrow) {
            Some(progress) => {
                (progress.paused, matches!(progress.state, State::Halted { .. }) && !progress.retry)
            }
            None => (false, false),
        };
        if halted {
            return Ok(false);
        }
        if paused {
            self.report(origin, State::Paused);
            return Ok(false);
        }
        if !self.feeds.contains_key(&origin) {
            self.report(
                origin,
                State::Waiting { reason: "its marker: tables are not compared or seeded yet".into() },
            );
            // The marker may have been set meanwhile.
            return match self.marker_appeared(origin).await {
                Ok(appeared) => Ok(appeared),
                Err(failure) => Err(self.stop(failure)),
            };
        }
        match self.next(origin).await? {
            Next::Drained => {
                self.report(origin, State::Running);
                Ok(false)
            }
            Next::WaitsFor { origin: other, sequence } => {
                self.report(origin, State::Waiting { reason: format!("transaction {sequence} of {other}") });
                Ok(false)
            }
            Next::AheadOfClock { ahead_us } => {
                let reason = format!(
                    "its next stamp is {:.3} s ahead of this region's clock; set the clocks right (clock_skew_max)",
                    ahead_us as f64 / 1e6
                );
                self.report(origin, State::Waiting { reason });
                Ok(false)
            }
            Next::Batch(batch) => {
                self.apply_batch(origin, &batch).await?;
                Ok(true)
            }
            Next::Large(large) => {
                self.apply_large(origin, &large).await?;
                Ok(true)
            }
        }
    }

    async fn marker_appeared(&mut self, origin: RegionName) -> Result<bool, SqlFailure> {
        let Some(session) = &mut self.session else { return Ok(false) };
        let markers = session.markers().await?;
        if markers.iter().any(|marker| marker.origin == origin) {
            self.session = None;
            self.open().await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// What the origin offers; asks the server for text weights on the way.
    async fn next(&mut self, origin: RegionName) -> Result<Next, Stop> {
        loop {
            let gate = Gate {
                region: self.setup.region,
                applied: &self.applied,
                now_us: (self.setup.now_us)(),
                skew_us_max: self.setup.skew_us_max,
                until: Sequence(u64::MAX),
            };
            let Some(feed) = self.feeds.get_mut(&origin) else { return Ok(Next::Drained) };
            let mut limits = self.setup.limits;
            if self.alone.get(&origin).is_some_and(|last| feed.reach().sequence < *last) {
                limits.transactions_max = 1;
            }
            let result = {
                let weights = self.setup.shared.weights.read();
                let rules = Rules { carries: &self.carries, weights: &weights, ddl: self.setup.ddl };
                feed.next(limits, &gate, &rules)
            };
            match result {
                Ok(next) => return Ok(next),
                Err(FeedError::Halt(reason)) => return Err(Stop::Halt(reason)),
                Err(FeedError::Needs(needs)) => {
                    self.learn(needs).await.map_err(|failure| self.stop(failure))?
                }
            }
        }
    }

    pub(crate) async fn learn(&mut self, needs: Vec<transaction::key::Need>) -> Result<(), SqlFailure> {
        let Some(session) = &mut self.session else { return Ok(()) };
        session.weigh(&self.setup.shared, needs).await
    }

    pub(crate) fn stop(&self, failure: SqlFailure) -> Stop {
        match failure {
            SqlFailure::Away(reason) => Stop::Away(reason),
            SqlFailure::Fenced => Stop::Fenced,
            SqlFailure::Locked(reason)
            | SqlFailure::Surprise(reason)
            | SqlFailure::Clash(reason)
            | SqlFailure::Check(reason)
            | SqlFailure::Contested(reason)
            | SqlFailure::Table { reason, .. }
            | SqlFailure::Halt(reason) => Stop::Halt(reason),
        }
    }

    async fn apply_batch(&mut self, origin: RegionName, batch: &Batch) -> Result<(), Stop> {
        if batch.part.is_empty() {
            // Positions only: nothing to write, but what the origin claims holds from here on.
            return self.done(origin, &batch.reach, 0, Tally::default(), None);
        }
        let parts = Parts::One(&batch.part);
        let tally = self.apply(origin, &parts, &batch.reach).await?;
        self.done(
            origin,
            &batch.reach,
            batch.part.transactions.len() as u64,
            tally,
            Some(batch.reach.commit_us),
        )
    }

    async fn apply_large(&mut self, origin: RegionName, large: &Large) -> Result<(), Stop> {
        tracing::info!(
            "applying transaction {} of {origin} in {} chunks",
            large.transaction.sequence,
            large.chunks + 1
        );
        let parts = Parts::Chain(Chain {
            origin,
            large,
            carries: self.carries.clone(),
            starts: parking_lot::Mutex::new(vec![(Tables::default(), 0)]),
        });
        let tally = self.apply(origin, &parts, &large.reach).await?;
        self.done(origin, &large.reach, 1, tally, Some(large.reach.commit_us))
    }

    /// Tries until the target transaction is committed.
    pub(crate) async fn apply(
        &mut self,
        origin: RegionName,
        parts: &Parts<'_>,
        reach: &Reach,
    ) -> Result<Tally, Stop> {
        let mut lessons = Lessons::default();
        let mut starts = 0;
        let mut delay = RETRY_FIRST;
        loop {
            if *self.setup.shutdown.borrow() {
                return Err(Stop::Shutdown);
            }
            let failure = match self.attempt(origin, parts, reach, &mut lessons).await {
                Ok(tally) => return Ok(tally),
                Err(failure) => failure,
            };
            match failure {
                SqlFailure::Away(reason) => {
                    // Whether it committed is in doubt until the marker has been read.
                    tracing::warn!("applier: {reason}");
                    self.report_all(&State::Waiting { reason });
                    if self.reconnect_and_find(origin, reach).await? {
                        self.remember(origin, parts).await.map_err(|failure| self.stop(failure))?;
                        return Ok(Tally::default());
                    }
                    continue;
                }
                SqlFailure::Fenced => return Err(Stop::Fenced),
                SqlFailure::Locked(reason) => {
                    tracing::debug!("origin {origin}: {reason}");
                    self.rollback().await;
                    if delay == RETRY_MAX {
                        self.report(origin, State::Waiting { reason });
                    }
                    self.pause(delay).await;
                    delay = (delay * 2).min(RETRY_MAX);
                    continue;
                }
                SqlFailure::Contested(reason) if starts < STARTS_MAX => {
                    tracing::debug!("origin {origin}: {reason}");
                    // A lesson each time: at the latest when every row is locked first, nothing is left to learn.
                    lessons.all |= starts > STARTS_BEFORE_ALL;
                }
                SqlFailure::Surprise(reason) if !lessons.all => {
                    tracing::debug!("origin {origin}: {reason}");
                    lessons.all = true;
                }
                SqlFailure::Surprise(reason) if starts < STARTS_MAX => {
                    tracing::debug!("origin {origin}: {reason}");
                }
                SqlFailure::Clash(reason) if !lessons.constraints => {
                    tracing::debug!("origin {origin}: {reason}");
                    lessons.all = true;
                    lessons.constraints = true;
                }
                SqlFailure::Table { schema, table, reason } if self.catching_up.is_none() => {
                    self.rollback().await;
                    self.feeds.remove(&origin);
                    let suspended = self.suspend(&schema, &table, &reason).await;
                    suspended.map_err(|failure| self.stop(failure))?;
                    return Err(Stop::Again);
                }
                SqlFailure::Table { reason, .. }
                | SqlFailure::Halt(reason)
                | SqlFailure::Contested(reason)
                | SqlFailure::Surprise(reason)
                | SqlFailure::Clash(reason)
                | SqlFailure::Check(reason) => {
                    self.rollback().await;
                    // The feed has handed these out: they must come again when the origin goes on.
                    self.feeds.remove(&origin);
                    self.session = None;
                    if parts.sources().len() > 1 && self.catching_up.is_none() {
                        self.alone.insert(origin, reach.sequence);
                        return Err(Stop::Again);
                    }
                    let named = format!(
                        "transactions up to {} of {origin} (record {}): {reason}",
                        reach.sequence, reach.record
                    );
                    return Err(Stop::Halt(named));
                }
            }
            starts += 1;
            self.rollback().await;
        }
    }

    /// Puts the writes of a transaction into the history index whose COMMIT took effect though its answer was lost.
    async fn remember(&mut self, origin: RegionName, parts: &Parts<'_>) -> Result<(), SqlFailure> {
        let mut written: BTreeMap<Sequence, Remembered> = BTreeMap::new();
        for place in 0..parts.count() {
            let Some(session) = &mut self.session else {
                return Err(SqlFailure::Away("not connected".into()));
            };
            let part = parts.load(place, &self.setup, session).await?;
            for effect in &part.effects {
                let source = &part.transactions[effect.transaction];
                let remembered = written
                    .entry(source.sequence)
                    .or_insert_with(|| Remembered { source: source.clone(), parts: Vec::new() });
                let context = source.context_of(&effect.table);
                let write = (effect.key, effect.index, part.after(effect).is_some());
                match remembered.parts.iter_mut().find(|(seen, _)| *seen == *context) {
                    Some((_, writes)) => writes.push(write),
                    None => remembered.parts.push((context.into_owned(), vec![write])),
                }
            }
        }
        let mut index = self.setup.shared.index.lock();
        for (sequence, Remembered { source, parts }) in written {
            let mut also = self.catching_up.is_some();
            for (context, writes) in parts {
                let (hlc, repairs) = (source.hlc, &source.repairs);
                let inserted = if also {
                    index.insert_also(origin, sequence, hlc, &context, repairs, writes).map(|()| true)
                } else {
                    index.insert(origin, sequence, hlc, &context, repairs, writes)
                };
                also = inserted.map_err(|e| SqlFailure::Halt(e.to_string()))?;
            }
        }
        Ok(())
    }

    /// Connects again and reads the marker. Returns whether the transaction in doubt has committed.
    async fn reconnect_and_find(&mut self, origin: RegionName, reach: &Reach) -> Result<bool, Stop> {
        let mut delay = RETRY_FIRST;
        loop {
            self.session = None;
            if *self.setup.shutdown.borrow() {
                return Err(Stop::Shutdown);
            }
            match self.connect().await {
                Ok((session, markers)) => {
                    self.session = Some(session);
                    self.definitions.clear();
                    let Some(catch_up) = self.catching_up.clone() else {
                        return Ok(markers
                            .iter()
                            .any(|m| m.origin == origin && m.sequence >= reach.sequence));
                    };
                    self.read_suspensions().await.map_err(|failure| self.stop(failure))?;
                    let first = catch_up.tables.first();
                    let table = first.and_then(|(schema, table)| self.suspended.get(schema, table));
                    return Ok(table.is_some_and(|table| table.applied.covers(origin, reach.sequence)));
                }
                Err(SqlFailure::Fenced) => return Err(Stop::Fenced),
                Err(failure) => {
                    tracing::debug!("applier: {failure}");
                    self.pause(delay).await;
                    delay = (delay * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// One try: look, lock what is contested, write the rest, look again, decide, commit.
    async fn attempt(
        &mut self,
        origin: RegionName,
        parts: &Parts<'_>,
        reach: &Reach,
        lessons: &mut Lessons,
    ) -> Result<Tally, SqlFailure> {
        let setup = &self.setup;
        let shared = setup.shared.clone();
        let Some(session) = &mut self.session else { return Err(SqlFailure::Away("not connected".into())) };
        let version = shared.definitions_version();
        self.definitions.refresh(session, version).await?;
        lessons.all |= self.skipping;
        if lessons.all {
            parts.fit_in_memory()?;
        }
        session.use_tag(origin).await?;
        let marker = match &self.catching_up {
            Some(catch_up) => catch_up.marker(origin, setup.owner)?,
            None => MarkerChange {
                origin,
                sequence: reach.sequence,
                record: reach.record,
                hlc: reach.hlc,
                owner: setup.owner,
            },
        };
        let decide = self.catching_up.as_ref().and_then(|catch_up| catch_up.decide);
        let earlier = lessons.journaled.clone();
        let Some(first) = parts.sources().first() else { return Ok(Tally::default()) };
        let mut attempt = Attempt::new(session, &mut self.definitions, setup, marker, first, decide, lessons);
        attempt.skips = self.skipping;
        let contested = attempt.contested();
        for place in 0..parts.count() {
            let part = parts.load(place, setup, attempt.target).await?;
            for effect in &part.effects {
                attempt.definitions.check(attempt.target, &shared, &effect.table).await?;
            }
            attempt.look(&part)?;
        }
        if parts.count() > 1 && attempt.contested() != contested {
            // Of a row that is met contested in a late part, the writes in earlier parts are to be known too.
            return Err(SqlFailure::Contested("of a large transaction, some rows".into()));
        }
        attempt.lock().await?;
        for place in 0..parts.count() {
            let part = parts.load(place, setup, attempt.target).await?;
            attempt.write(&part).await?;
        }
        attempt.look_for_children().await?;

        let clients_wrote = attempt.pass().await?;
        if shared.definitions_version() != version {
            return Err(SqlFailure::Locked("a definition changed meanwhile".into()));
        }
        if clients_wrote {
            attempt.look_again()?;
        }
        attempt.settle(parts.sources()).await?;
        attempt.look_for_children().await?;
        let also = self.catching_up.as_ref().map(|catch_up| catch_up.statement(origin, reach.sequence));
        let written = attempt.commit(also).await?;
        let tally = attempt.tally;
        let mut overlay = attempt.overlay;
        let mut index = shared.index.lock();
        let committed = match self.catching_up {
            // Rows of other tables are in the index already.
            Some(_) => overlay.commit_also(&mut index),
            None => overlay.commit(&mut index),
        };
        drop(index);
        committed.map_err(|e| SqlFailure::Halt(e.to_string()))?;
        let gone: Vec<String> = earlier.into_iter().filter(|id| !written.contains(id)).collect();
        if !gone.is_empty() {
            self.setup.journal.withdraw(&gone).map_err(SqlFailure::Halt)?;
        }
        Ok(tally)
    }

    /// The origin is applied up to `reach`: what it claims holds now.
    pub(crate) fn done(
        &mut self,
        origin: RegionName,
        reach: &Reach,
        transactions: u64,
        tally: Tally,
        commit_us: Option<u64>,
    ) -> Result<(), Stop> {
        self.applied.raise(origin, reach.sequence);
        // What is held back here may yet meet what others have seen.
        if self.suspended.is_empty() {
            let mut index = self.setup.shared.index.lock();
            index.observe(origin, &reach.claim, reach.sequence).map_err(|e| Stop::Halt(e.to_string()))?;
        }
        let now_us = (self.setup.now_us)();
        self.update(origin, |progress| {
            progress.state = State::Running;
            progress.retry = false;
            progress.applied_sequence = reach.sequence;
            progress.applied_record = reach.record;
            progress.transactions += transactions;
            progress.row_changes += tally.row_changes;
            progress.conflicts += tally.conflicts;
            progress.conflicts_won += tally.won;
            if let Some(commit_us) = commit_us {
                progress.lag(now_us.saturating_sub(commit_us), transactions);
            }
        });
        Ok(())
    }

    /// How far an origin is applied, as its feed has it.
    pub(crate) fn reach(&self, origin: RegionName) -> Option<Reach> {
        self.feeds.get(&origin).map(|feed| feed.reach().clone())
    }

    /// What is applied here.
    pub(crate) fn applied(&self) -> &Context {
        &self.applied
    }

    /// An origin goes on with this feed.
    pub(crate) fn restart(&mut self, feed: Feed) {
        self.feeds.insert(feed.origin(), feed);
    }

    /// A halted origin is tried again.
    pub(crate) fn go_on(&self, origin: RegionName) {
        self.update(origin, |progress| progress.retry = true);
    }

    fn update(&self, origin: RegionName, change: impl FnOnce(&mut OriginProgress)) {
        if let Some(sender) = self.setup.progress.get(&origin) {
            sender.send_modify(change);
        }
    }

    fn report(&self, origin: RegionName, state: State) {
        if let Some(sender) = self.setup.progress.get(&origin) {
            sender.send_if_modified(|progress| {
                let changed = progress.state != state;
                progress.state = state;
                changed
            });
        }
    }

    fn report_all(&self, state: &State) {
        for origin in &self.setup.origins {
            if let Some(sender) = self.setup.progress.get(origin)
                && !matches!(sender.borrow().state, State::Halted { .. })
            {
                self.report(*origin, state.clone());
            }
        }
    }
}
