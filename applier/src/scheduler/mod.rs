//! The scheduler of a region: hands what the feeds offer to the lanes, keeps the order of commits, waits, retries and reports.
//!
//! **One order for all origins.** Batches commit in the order in which they were taken from the feeds ([`batches`]); lanes other than the
//! first one's run ahead as far as the rows of earlier batches allow. What is not a plain batch, and what has failed, is done by
//! the first lane while the others have nothing ([`turn`], [`apply`]).

mod apply;
mod batches;
mod ddl;
mod narrow;
mod turn;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use transaction::{Context, Halt, RegionName, Sequence, Suspended};

use crate::ddl::{DdlPolicies, DdlSources};
use crate::definitions::Definitions;
use crate::effect::Carries;
use crate::feed::{BatchLimits, Feed, Reach};
use crate::journal::Journal;
use crate::lane::Lane;
use crate::logs::Logs;
use crate::net::Folds;
use crate::policies::Policies;
use crate::progress::{OriginProgress, State};
use crate::session::SqlFailure;
use crate::shared::Shared;
use crate::suspension::CatchUp;
use crate::tables::{Applied, Suspension};
use crate::target::{Connector, Target};
use crate::wish::Wishes;
use batches::Pace;
use narrow::Narrow;

pub(crate) use apply::note_tables;

/// What the lanes need.
pub struct Setup {
    /// This region.
    pub region: RegionName,
    /// Whose logs it applies: the other regions', and its own while a tail of that is to come back.
    pub origins: Vec<RegionName>,
    /// The last transaction of the own origin's lost tail, if there is one.
    pub tail: Option<Sequence>,
    /// Token of this process; see [`crate::tables::take_ownership`].
    pub owner: u64,
    /// What it shares with the extractor.
    pub shared: Arc<Shared>,
    /// The region's logs.
    pub logs: Arc<dyn Logs>,
    /// Which tables are carried.
    pub carries: Carries,
    /// What to do with DDL.
    pub ddl: DdlPolicies,
    /// Under which UUIDs it runs.
    pub ddl_sources: DdlSources,
    /// Which rule decides conflicts of which table.
    pub policies: Policies,
    /// Origins whose conflicts with this region are reported and not decided.
    pub detect_only: BTreeSet<RegionName>,
    /// Where conflicts are written down.
    pub journal: Arc<dyn Journal>,
    /// Of which tables the changes of a batch are folded into net changes.
    pub folds: Folds,
    /// Bounds of a batch.
    pub limits: BatchLimits,
    /// How many connections apply at once; at least 1.
    pub lanes: u16,
    /// Per origin, the last transaction that is applied; without an entry, there is none.
    pub until: BTreeMap<RegionName, Sequence>,
    /// How far ahead of this region's clock a stamp may be, microseconds.
    pub skew_us_max: u64,
    /// Woken when a log has new durable records, or a pause ends.
    pub wake: Arc<Notify>,
    /// The wall clock, microseconds since 1970.
    pub now_us: fn() -> u64,
    /// Becomes true when the lanes are to stop.
    pub shutdown: watch::Receiver<bool>,
    /// Where suspended tables are shown.
    pub suspensions: watch::Sender<Vec<Suspension>>,
    /// What people wish.
    pub wishes: Arc<Wishes>,
    /// Where each origin's state is reported.
    pub progress: BTreeMap<RegionName, watch::Sender<OriginProgress>>,
}

/// Bounds of the wait before another try.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Applies the logs of all other origins to one MySQL.
pub struct Scheduler<C: Connector> {
    pub(crate) setup: Arc<Setup>,
    connector: C,
    /// The first lane; `None` while not connected.
    pub(crate) lane: Option<Lane<C::Target>>,
    /// The other ones.
    others: Vec<Lane<C::Target>>,
    feeds: BTreeMap<RegionName, Feed>,
    applied: Context,
    pub(crate) definitions: Definitions,
    /// Tables that are not applied for now.
    pub(crate) suspended: Arc<Suspended>,
    /// All carried tables but those.
    pub(crate) carries: Carries,
    /// The table that is being caught up with.
    pub(crate) catching_up: Option<CatchUp>,
    /// The transaction that is being applied is passed over: its rows stay as they are.
    pub(crate) skipping: bool,
    /// Origins whose stamps may be as far ahead of the clock as they are, since a person said so; and whether one of them was met.
    pub(crate) skew_accepted: BTreeMap<RegionName, bool>,
    /// Where batches of an origin failed.
    narrow: BTreeMap<RegionName, Narrow>,
    /// Whose batch is taken next, by place among the origins.
    next_origin: usize,
    pace: Pace,
}

/// Why an origin stops.
pub(crate) enum Stop {
    /// MySQL is away: all origins wait.
    Away(String),
    /// A person must act for this origin.
    Halt(Halt),
    /// Another process took over.
    Fenced,
    /// The process is shutting down.
    Shutdown,
    /// Something else is to be done first; the feeds begin again at the markers.
    Again,
    /// Its transactions come again, fewer at a time.
    Fewer,
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl<C: Connector> Scheduler<C> {
    /// A scheduler that has not connected yet.
    pub fn new(setup: Setup, connector: C) -> Self {
        let carries = setup.carries.clone();
        Self {
            setup: Arc::new(setup),
            connector,
            suspended: Arc::default(),
            carries,
            catching_up: None,
            skipping: false,
            narrow: BTreeMap::new(),
            next_origin: 0,
            skew_accepted: BTreeMap::new(),
            pace: Pace::default(),
            lane: None,
            others: Vec::new(),
            feeds: BTreeMap::new(),
            applied: Context::new(),
            definitions: Definitions::default(),
        }
    }

    /// Runs until shutdown. Returns an error only if another process has taken over.
    pub async fn run(mut self) -> Result<(), SqlFailure> {
        let mut delay = RETRY_FIRST;
        while !*self.setup.shutdown.borrow() {
            if self.lane.is_none() {
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
                Err(Stop::Away(reason) | Stop::Halt(Halt { reason, .. })) => {
                    tracing::warn!("applier: {reason}");
                    self.lane = None;
                    false
                }
                Err(Stop::Again | Stop::Fewer) => {
                    self.lane = None;
                    true
                }
                Err(Stop::Shutdown) => true,
            };
            if self.lane.is_none() {
                self.pause(RETRY_FIRST).await;
                continue;
            }
            let batches = self.batches().await;
            worked |= self.settle(batches).await?;
            for origin in self.setup.origins.clone() {
                if self.lane.is_none() || *self.setup.shutdown.borrow() {
                    break;
                }
                let advanced = self.advance(origin).await.map_err(|stop| (origin, stop));
                worked |= self.settle(advanced).await?;
            }
            if self.lane.is_none() {
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

    /// Does what an origin's stop asks for. Returns whether there was something to apply; the error: another process has taken over.
    async fn settle(&mut self, result: Result<bool, (RegionName, Stop)>) -> Result<bool, SqlFailure> {
        let (origin, stop) = match result {
            Ok(worked) => return Ok(worked),
            Err(stopped) => stopped,
        };
        match stop {
            Stop::Away(reason) => {
                tracing::warn!("applier: {reason}");
                self.report_all(&State::Waiting { reason });
                self.lane = None;
            }
            Stop::Halt(halt) => {
                tracing::error!("origin {origin} is halted [{}]: {halt}", halt.code);
                self.report(origin, State::Halted(halt));
                self.update(origin, |progress| progress.retry = false);
                self.rollback().await;
            }
            Stop::Fenced => self.fenced()?,
            Stop::Shutdown => {}
            Stop::Again | Stop::Fewer => {
                self.lane = None;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn fenced(&self) -> Result<(), SqlFailure> {
        self.report_all(&State::Halted(SqlFailure::Fenced.into_halt()));
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
        if let Some(Lane { target, .. }) = &mut self.lane
            && target.rollback().await.is_err()
        {
            self.lane = None;
        }
    }

    /// The first lane, anew, and the markers as they are once no transaction of an earlier connection is in doubt.
    async fn connect(&self) -> Result<(Lane<C::Target>, Vec<Applied>), SqlFailure> {
        let mut target = self.connector.connect().await?;
        let markers = target.take_ownership(self.setup.owner, self.setup.lanes).await?;
        Ok((Lane { number: 0, target }, markers))
    }

    /// Connects the lanes that are missing beside the first; those that are `at_work` are not.
    async fn complete_lanes(&mut self, at_work: impl Fn(u16) -> bool) -> Result<(), SqlFailure> {
        for number in 1..self.setup.lanes {
            if !at_work(number) && !self.others.iter().any(|lane| lane.number == number) {
                let target = self.connector.connect().await?;
                self.others.push(Lane { number, target });
            }
        }
        Ok(())
    }

    /// Connects, takes ownership, and sets every feed to where the markers are.
    async fn open(&mut self) -> Result<(), SqlFailure> {
        self.others.clear();
        let (lane, markers) = self.connect().await?;
        self.complete_lanes(|_| false).await?;
        for origin in &self.setup.origins {
            let Some(marker) = markers.iter().find(|marker| marker.origin == *origin) else { continue };
            let feed = self.feeds.get(origin);
            let claim = feed.map(|feed| feed.reach().claim.clone()).unwrap_or_default();
            // What was taken ahead may be of tables that are suspended now.
            let goes_on = |feed: &Feed| feed.reach().sequence == marker.sequence && !feed.is_ahead();
            if !feed.is_some_and(goes_on) {
                self.feeds.insert(*origin, self.feed_from(marker, claim)?);
            }
            self.applied.raise(*origin, marker.sequence);
            let record = self.feeds.get(origin).map(|feed| feed.reach().record).unwrap_or_default();
            self.update(*origin, |progress| {
                progress.has_marker = true;
                progress.applied_sequence = marker.sequence;
                progress.applied_record = progress.applied_record.max(record);
            });
        }
        self.definitions.clear();
        self.catching_up = None;
        self.lane = Some(lane);
        // Without knowing them, nothing may be applied.
        let read = self.read_suspensions().await;
        if read.is_err() {
            self.lane = None;
        }
        read
    }

    /// A feed that goes on after a marker; `claim`: what its origin is known to have applied.
    fn feed_from(&self, marker: &Applied, claim: Context) -> Result<Feed, SqlFailure> {
        let Applied { origin, sequence, record, hlc } = *marker;
        // Its place in the log is where the transaction is: another copy may number its records otherwise.
        let record = self.setup.logs.find(origin, sequence)?.unwrap_or(record);
        let reach = Reach { record, sequence, hlc, claim, commit_us: 0 };
        Ok(Feed::new(self.setup.logs.as_ref(), origin, reach)?)
    }

    pub(crate) async fn learn(&mut self, needs: Vec<transaction::key::Need>) -> Result<(), SqlFailure> {
        let Some(Lane { target, .. }) = &mut self.lane else { return Ok(()) };
        target.weigh(&self.setup.shared, needs).await
    }

    pub(crate) fn stop(&self, failure: SqlFailure) -> Stop {
        match failure {
            SqlFailure::Away(reason) => Stop::Away(reason),
            SqlFailure::Fenced => Stop::Fenced,
            other => Stop::Halt(other.into_halt()),
        }
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
                && !matches!(sender.borrow().state, State::Halted(_))
            {
                self.report(*origin, state.clone());
            }
        }
    }
}
