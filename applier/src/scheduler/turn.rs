//! An origin's turn: what it offers next, and how far that gets it.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::watch;
use transaction::{Context, RegionName, Sequence};

use super::{Scheduler, Stop};
use crate::attempt::Tally;
use crate::code;
use crate::ddl::DdlPolicies;
use crate::effect::{Carries, Rules};
use crate::feed::{Batch, BatchLimits, FeedError, Gate, Large, Next, Reach};
use crate::lane::Lane;
use crate::parts::Parts;
use crate::progress::State;
use crate::session::SqlFailure;
use crate::shared::Shared;
use crate::target::{Connector, Target};

/// What a feed is asked with. Its own, so that it can be asked while a batch is applied: what is applied only grows meanwhile.
pub(super) struct Asking {
    region: RegionName,
    tail: Option<Sequence>,
    pub(super) limits: BatchLimits,
    pub(super) applied: Context,
    now_us: fn() -> u64,
    skew_us_max: u64,
    until: Sequence,
    carries: Carries,
    ddl: DdlPolicies,
    shared: Arc<Shared>,
}

impl Asking {
    pub(super) fn ask<A>(&self, question: impl FnOnce(BatchLimits, &Gate<'_>, &Rules<'_>) -> A) -> A {
        let gate = Gate {
            region: self.region,
            tail: self.tail,
            applied: &self.applied,
            now_us: (self.now_us)(),
            skew_us_max: self.skew_us_max,
            until: self.until,
        };
        let weights = self.shared.weights.read();
        let rules = Rules { carries: &self.carries, weights: &weights, ddl: &self.ddl };
        question(self.limits, &gate, &rules)
    }
}

impl<C: Connector> Scheduler<C> {
    /// Takes what is next of one origin, whatever it is, and applies it over the first lane. Returns whether there was something.
    pub(super) async fn advance(&mut self, origin: RegionName) -> Result<bool, Stop> {
        if self.is_held(origin) {
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
        let next = self.next(origin).await?;
        let applied = match &next {
            Next::Batch(batch) => self.apply_batch(origin, batch).await,
            Next::Large(large) => self.apply_large(origin, large).await,
            _ => Ok(()),
        };
        if applied.is_err() {
            // What it has handed out comes again, unless the marker says that it is applied after all.
            self.feeds.remove(&origin);
        }
        if let Err(Stop::Fewer) = applied {
            self.begin_at_marker(origin).await.map_err(|failure| self.stop(failure))?;
            return Ok(true);
        }
        applied?;
        match next {
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
                    "its next stamp is {:.3} s ahead of this region's clock; set the clocks right and wait, or apply it as it is: concord accept-skew {origin}",
                    ahead_us as f64 / 1e6
                );
                self.report(origin, State::Waiting { reason });
                Ok(false)
            }
            Next::Batch(_) | Next::Large(_) => Ok(true),
        }
    }

    /// Whether nothing of an origin is to be applied, because it is halted or a person paused it.
    pub(super) fn is_held(&self, origin: RegionName) -> bool {
        let Some(progress) = self.setup.progress.get(&origin).map(watch::Sender::borrow) else {
            return false;
        };
        let halted = matches!(progress.state, State::Halted(_)) && !progress.retry;
        let paused = progress.paused;
        drop(progress);
        if paused && !halted {
            self.report(origin, State::Paused);
        }
        halted || paused
    }

    async fn marker_appeared(&mut self, origin: RegionName) -> Result<bool, SqlFailure> {
        let Some(Lane { target, .. }) = &mut self.lane else { return Ok(false) };
        let markers = target.markers().await?;
        if markers.iter().any(|marker| marker.origin == origin) {
            self.lane = None;
            self.open().await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The origin's feed begins where its marker is.
    pub(super) async fn begin_at_marker(&mut self, origin: RegionName) -> Result<(), SqlFailure> {
        let Some(Lane { target, .. }) = &mut self.lane else {
            return Err(SqlFailure::Away("not connected".into()));
        };
        let markers = target.markers().await?;
        if let Some(marker) = markers.iter().find(|marker| marker.origin == origin) {
            self.feeds.insert(origin, self.feed_from(marker, Context::new())?);
        }
        Ok(())
    }

    /// What the origin offers; asks the server for text weights on the way.
    async fn next(&mut self, origin: RegionName) -> Result<Next, Stop> {
        loop {
            let Some(feed) = self.feeds.get(&origin) else { return Ok(Next::Drained) };
            let asking = self.asking(origin, feed.reach().sequence);
            let Some(feed) = self.feeds.get_mut(&origin) else { return Ok(Next::Drained) };
            let result = asking.ask(|limits, gate, rules| feed.next(limits, gate, rules));
            match result {
                Ok(next) => return Ok(next),
                Err(FeedError::Halt(halt)) => return Err(halt.into()),
                Err(FeedError::Table { schema, table, reason }) => {
                    let suspended = self.suspend(&[(schema, table)], &reason).await;
                    suspended.map_err(|failure| self.stop(failure))?;
                    return Err(Stop::Again);
                }
                Err(FeedError::Needs(needs)) => {
                    self.learn(needs).await.map_err(|failure| self.stop(failure))?
                }
            }
        }
    }

    /// What a feed that has reached a transaction is asked with.
    pub(super) fn asking(&mut self, origin: RegionName, reached: Sequence) -> Asking {
        let mut limits = self.setup.limits;
        let narrow = self.narrow.get_mut(&origin);
        if let Some(most) = narrow.and_then(|narrow| narrow.transactions_max(reached)) {
            limits.transactions_max = most.min(limits.transactions_max);
        }
        Asking {
            region: self.setup.region,
            tail: self.setup.tail,
            limits,
            applied: self.applied.clone(),
            now_us: self.setup.now_us,
            skew_us_max: self.skew_us_max(origin),
            until: self.until(origin),
            carries: self.carries.clone(),
            ddl: self.setup.ddl.clone(),
            shared: self.setup.shared.clone(),
        }
    }

    /// The last transaction of an origin that is applied.
    fn until(&self, origin: RegionName) -> Sequence {
        let told = self.setup.until.get(&origin).copied();
        let tail = self.setup.tail.filter(|_| origin == self.setup.region);
        told.or(tail).unwrap_or(Sequence(u64::MAX))
    }

    /// How far ahead of this region's clock a stamp of that origin may be, microseconds.
    pub(crate) fn skew_us_max(&self, origin: RegionName) -> u64 {
        if self.skew_accepted.contains_key(&origin) { u64::MAX } else { self.setup.skew_us_max }
    }

    async fn apply_batch(&mut self, origin: RegionName, batch: &Batch) -> Result<(), Stop> {
        if batch.part.is_empty() {
            // Positions only: nothing to write, but what the origin claims holds from here on.
            return self.done(origin, &batch.reach, 0, Tally::default(), None);
        }
        if let (Some(statement), Some(source)) = (&batch.part.statement, batch.part.transactions.first()) {
            self.run_ddl(origin, source, statement).await?;
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
        let parts = Parts::chain(self.setup.logs.as_ref(), origin, large, self.carries.clone());
        self.run_ddl_of(origin, large, &parts).await?;
        let tally = self.apply(origin, &parts, &large.reach).await?;
        self.done(origin, &large.reach, 1, tally, Some(large.reach.commit_us))
    }

    /// What holds of an origin's claim. Of its own, from before a failover, a region holds no more than it has applied since then.
    fn claim_here<'c>(&self, origin: RegionName, claim: &'c Context) -> Cow<'c, Context> {
        if origin != self.setup.region {
            return Cow::Borrowed(claim);
        }
        Cow::Owned(claim.iter().map(|(of, sequence)| (of, sequence.min(self.applied.get(of)))).collect())
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
            let claim = self.claim_here(origin, &reach.claim);
            index.observe(origin, &claim, reach.sequence).map_err(code::of_history)?;
        }
        let now_us = (self.setup.now_us)();
        if let Some(met) = self.skew_accepted.get_mut(&origin) {
            // An origin's stamps only rise: once they are near after having been ahead, time has caught up with them.
            match reach.hlc.0 > now_us.saturating_add(self.setup.skew_us_max) {
                true => *met = true,
                false if *met => drop(self.skew_accepted.remove(&origin)),
                false => {}
            }
        }
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
}
