//! Plain batches: taken from the feeds in turn, several on their way at once, committed in the order in which they were taken.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use transaction::RegionName;

use super::window::{First, Window};
use super::{Scheduler, Stop};
use crate::feed::Fill;
use crate::parts::Parts;
use crate::session::SqlFailure;
use crate::target::Connector;

/// After what time the rows of a batch have most likely been sent. Before that, whoever decodes the next one keeps the server waiting.
const SENT_AFTER: Duration = Duration::from_millis(1);

/// After how many batches in a row all else gets its chance: wishes, DDL, large transactions.
const ROW: usize = 64;

/// How much longer than usual the first batch may take before the others let go of what they hold: it may wait for a client who
/// waits for one of them, which no server can see.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many batches go alone after that, so that what keeps happening does not cost that time again and again.
const QUIET: u32 = 16;

/// How long the first batch usually takes, and whether others may run beside it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    usual: Duration,
    quiet: u32,
}

impl Pace {
    fn took(&mut self, time: Duration) {
        self.usual = (self.usual * 7 + time) / 8;
        self.quiet = self.quiet.saturating_sub(1);
    }

    fn patience(&self) -> Duration {
        PATIENCE + self.usual * 3
    }
}

impl<C: Connector> Scheduler<C> {
    /// Applies batches until none is left, or something else is to be done. Returns whether there was one.
    pub(super) async fn batches(&mut self) -> Result<bool, (RegionName, Stop)> {
        let mut window = Window::new(self.setup.lanes.into());
        if !self.fill(&mut window) {
            return Ok(false);
        }
        let mut taken = 1;
        let stopped = loop {
            let Some((origin, batch)) = window.first() else {
                if taken < ROW && self.fill(&mut window) {
                    taken += 1;
                    continue;
                }
                break None;
            };
            let applied = match self.first(&mut window, &mut taken).await {
                Ok(First::Early) => continue,
                Ok(First::Committed(tally)) => Ok(tally),
                Ok(First::Failed(failure, lessons)) => {
                    window.let_go(1).await;
                    self.put_lanes(&mut window);
                    let parts = Parts::One(&batch.part);
                    self.apply_after(Some(failure), *lessons, origin, &parts, &batch.reach).await
                }
                Err(failure) => Err(self.stop(failure)),
            };
            let transactions = batch.part.transactions.len() as u64;
            let done = applied.and_then(|tally| {
                self.done(origin, &batch.reach, transactions, tally, Some(batch.reach.commit_us))
            });
            if let Err(stop) = done {
                break Some((origin, stop));
            }
            window.pop();
        };
        window.let_go(0).await;
        self.put_lanes(&mut window);
        match stopped {
            None => Ok(true),
            Some((origin, stop)) => self.give_up(&window.origins(), origin, stop).await,
        }
    }

    /// Drives the batches until the first one has ended, and takes more meanwhile.
    async fn first(
        &mut self,
        window: &mut Window<C::Target>,
        taken: &mut usize,
    ) -> Result<First, SqlFailure> {
        self.complete_lanes(|number| window.has_lane(number)).await?;
        window.give_lanes(self.lane.take().into_iter().chain(self.others.drain(..)));
        let began = Instant::now();
        let mut alone = self.pace.quiet > 0;
        let mut sated = false;
        loop {
            let most = if alone { 1 } else { usize::MAX };
            if !window.start(most, &self.setup, &self.definitions) {
                return Err(SqlFailure::Away("not connected".into()));
            }
            if let Some(first) = window.take_outcome() {
                self.pace.took(began.elapsed());
                return Ok(first);
            }
            let goes_on =
                *taken < ROW && !*self.setup.shutdown.borrow() && !self.setup.wishes.is_one_waiting();
            tokio::select! {
                biased;
                () = window.first_ended() => {}
                () = sleep(SENT_AFTER), if goes_on && !sated => {
                    sated = !self.fill(window);
                    *taken += usize::from(!sated);
                }
                () = sleep_until(began + self.pace.patience()), if !alone && window.has_followers() => {
                    tracing::debug!("the first of the batches takes long: the others let go");
                    window.let_go(1).await;
                    alone = true;
                    self.pace.quiet = QUIET;
                }
            }
        }
    }

    /// Reads on, and takes the next batch if there is room. An origin that has one on its way already is waited for until its next is full:
    /// the larger a batch, the less a transaction costs.
    fn fill(&mut self, window: &mut Window<C::Target>) -> bool {
        let (origins, next) = (self.setup.origins.len(), self.next_origin);
        for at in (0..origins).map(|step| (next + step) % origins) {
            let origin = self.setup.origins[at];
            let Some(feed) = self.feeds.get(&origin) else { continue };
            let reached = feed.read_to().sequence;
            if self.is_held(origin) {
                continue;
            }
            let mut asking = self.asking(origin, reached);
            window.raise(&mut asking.applied);
            let Some(feed) = self.feeds.get_mut(&origin) else { continue };
            asking.ask(|limits, gate, rules| feed.look_ahead(limits, gate, rules));
            let takes = !window.is_full()
                && match feed.ahead(asking.limits) {
                    Some(Fill::Full) => true,
                    Some(Fill::Part) => !window.has(origin),
                    None => false,
                };
            if takes && let Some(batch) = feed.take_ahead() {
                window.push(origin, batch);
                self.next_origin = at + 1;
                return true;
            }
        }
        false
    }

    fn put_lanes(&mut self, window: &mut Window<C::Target>) {
        for lane in window.take_lanes() {
            match lane.number {
                0 => self.lane = Some(lane),
                _ => self.others.push(lane),
            }
        }
    }

    /// What was handed out and is not applied comes again, unless the marker says that it is after all. So does what was read ahead: it
    /// may rely on what was to be applied before it.
    async fn give_up(
        &mut self,
        handed_out: &[RegionName],
        failed: RegionName,
        stop: Stop,
    ) -> Result<bool, (RegionName, Stop)> {
        let mut again = Vec::new();
        self.feeds.retain(|origin, feed| {
            let keeps = *origin != failed && !handed_out.contains(origin) && !feed.is_ahead();
            if !keeps {
                again.push(*origin);
            }
            keeps
        });
        for origin in again {
            if self.lane.is_some()
                && (origin != failed || matches!(stop, Stop::Fewer))
                && let Err(failure) = self.begin_at_marker(origin).await
            {
                return Err((origin, self.stop(failure)));
            }
        }
        match stop {
            Stop::Fewer => Ok(true),
            stop => Err((failed, stop)),
        }
    }
}
