//! The batches on their way: each on a lane of its own, all but the first ahead of their turn.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Wakers, Poll};

use tokio::sync::watch;
use transaction::{Context, RegionName};

use super::Setup;
use crate::attempt::{Lessons, Tally};
use crate::claims::Claims;
use crate::definitions::Definitions;
use crate::feed::Batch;
use crate::lane::{Job, Lane, Place, Turn};
use crate::parts::Parts;
use crate::session::SqlFailure;
use crate::target::Target;

/// Batches in the order in which they commit, and the lanes that have none.
pub(super) struct Window<T> {
    entries: VecDeque<Entry<T>>,
    idle: Vec<Lane<T>>,
    lanes: usize,
}

struct Entry<T> {
    origin: RegionName,
    batch: Rc<Batch>,
    claims: Rc<OnceCell<Claims>>,
    run: Run<T>,
}

enum Run<T> {
    /// No lane has it.
    Waiting,
    Running {
        future: Pin<Box<dyn Future<Output = Ended<T>>>>,
        turn: watch::Sender<Turn>,
        lane: u16,
    },
    Ended(Box<Ended<T>>),
}

impl<T> Entry<T> {
    fn is_running(&self) -> bool {
        matches!(self.run, Run::Running { .. })
    }
}

/// How a batch ended, its target transaction committed or rolled back.
struct Ended<T> {
    /// `None`: the connection is lost.
    lane: Option<Lane<T>>,
    /// Whether its turn had come.
    in_turn: bool,
    lessons: Box<Lessons>,
    result: Result<Tally, SqlFailure>,
}

/// What became of the first batch.
pub(super) enum First {
    Committed(Tally),
    /// In its turn, with what the try has taught.
    Failed(SqlFailure, Box<Lessons>),
    /// Before its turn, which says nothing: it is to start anew.
    Early,
}

impl<T: Target + 'static> Window<T> {
    /// An empty one, for as many lanes.
    pub(super) fn new(lanes: usize) -> Self {
        Self { entries: VecDeque::new(), idle: Vec::new(), lanes }
    }

    /// Adds a batch behind all others.
    pub(super) fn push(&mut self, origin: RegionName, batch: Batch) {
        let (batch, claims) = (Rc::new(batch), Rc::default());
        self.entries.push_back(Entry { origin, batch, claims, run: Run::Waiting });
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.lanes
    }

    pub(super) fn has(&self, origin: RegionName) -> bool {
        self.entries.iter().any(|entry| entry.origin == origin)
    }

    /// The first batch.
    pub(super) fn first(&self) -> Option<(RegionName, Rc<Batch>)> {
        self.entries.front().map(|entry| (entry.origin, entry.batch.clone()))
    }

    /// Whose batches there are, the first one's first.
    pub(super) fn origins(&self) -> Vec<RegionName> {
        let mut origins = Vec::new();
        for entry in &self.entries {
            if !origins.contains(&entry.origin) {
                origins.push(entry.origin);
            }
        }
        origins
    }

    /// What will be applied when all have committed.
    pub(super) fn raise(&self, applied: &mut Context) {
        for entry in &self.entries {
            applied.raise(entry.origin, entry.batch.reach.sequence);
        }
    }

    /// Gives lanes to the first `most` batches, and the first one its turn. False: not even that one has a lane.
    pub(super) fn start(&mut self, most: usize, setup: &Arc<Setup>, definitions: &Definitions) -> bool {
        let mut before = Vec::new();
        for (at, entry) in self.entries.iter_mut().take(most).enumerate() {
            let now = if at == 0 { Turn::Come } else { Turn::Ahead };
            if matches!(entry.run, Run::Waiting) {
                let Some(lane) = self.idle.pop() else { return at > 0 };
                let number = lane.number;
                let (turn, receiver) = watch::channel(now);
                let place = (self.lanes > 1).then(|| Place {
                    before: before.clone(),
                    own: entry.claims.clone(),
                    turn: receiver,
                });
                let (setup, definitions) = (setup.clone(), definitions.clone());
                let run = run(lane, entry.origin, entry.batch.clone(), place, setup, definitions);
                entry.run = Run::Running { future: Box::pin(run), turn, lane: number };
            }
            if let Run::Running { turn, .. } = &entry.run {
                turn.send_if_modified(|turn| std::mem::replace(turn, now) != now);
            }
            before.push(entry.claims.clone());
        }
        true
    }

    /// Whether others than the first have begun.
    pub(super) fn has_followers(&self) -> bool {
        self.entries.iter().skip(1).any(Entry::is_running)
    }

    /// Waits until the first batch has ended; the others go on meanwhile.
    pub(super) async fn first_ended(&mut self) {
        self.until(|entries| !entries.front().is_some_and(Entry::is_running)).await;
    }

    /// All from the place `from` on roll back, and wait for a lane again.
    pub(super) async fn let_go(&mut self, from: usize) {
        for entry in self.entries.iter().skip(from) {
            if let Run::Running { turn, .. } = &entry.run {
                turn.send_replace(Turn::LetGo);
            }
        }
        self.until(|entries| !entries.iter().skip(from).any(Entry::is_running)).await;
        for entry in self.entries.iter_mut().skip(from) {
            match std::mem::replace(&mut entry.run, Run::Waiting) {
                // Of those that wait for their turn there is none (feature `relaxed`).
                Run::Ended(ended) if ended.result.is_ok() => entry.run = Run::Ended(ended),
                Run::Ended(ended) => self.idle.extend(ended.lane),
                Run::Waiting | Run::Running { .. } => {}
            }
        }
    }

    async fn until(&mut self, done: impl Fn(&VecDeque<Entry<T>>) -> bool) {
        poll_fn(|wakers| {
            self.poll(wakers);
            if done(&self.entries) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn poll(&mut self, wakers: &mut Wakers<'_>) {
        for entry in &mut self.entries {
            if let Run::Running { future, .. } = &mut entry.run
                && let Poll::Ready(ended) = future.as_mut().poll(wakers)
            {
                entry.run = Run::Ended(Box::new(ended));
            }
        }
    }

    /// What became of the first batch; its lane is free again. `None`: it has not ended.
    pub(super) fn take_outcome(&mut self) -> Option<First> {
        let first = self.entries.front_mut()?;
        match std::mem::replace(&mut first.run, Run::Waiting) {
            Run::Ended(ended) => {
                let Ended { lane, in_turn, lessons, result } = *ended;
                self.idle.extend(lane);
                Some(match result {
                    Ok(tally) => First::Committed(tally),
                    Err(failure) if in_turn => First::Failed(failure, lessons),
                    Err(_) => First::Early,
                })
            }
            other => {
                first.run = other;
                None
            }
        }
    }

    /// The first batch is done with.
    pub(super) fn pop(&mut self) {
        self.entries.pop_front();
    }

    /// Whether a lane is here, at work or not.
    pub(super) fn has_lane(&self, number: u16) -> bool {
        let at_work = self.entries.iter().any(|entry| match &entry.run {
            Run::Waiting => false,
            Run::Running { lane, .. } => *lane == number,
            Run::Ended(ended) => ended.lane.as_ref().is_some_and(|lane| lane.number == number),
        });
        at_work || self.idle.iter().any(|lane| lane.number == number)
    }

    /// The lanes that have no batch.
    pub(super) fn take_lanes(&mut self) -> Vec<Lane<T>> {
        std::mem::take(&mut self.idle)
    }

    /// They come, or come back.
    pub(super) fn give_lanes(&mut self, lanes: impl Iterator<Item = Lane<T>>) {
        for lane in lanes {
            debug_assert!(!self.has_lane(lane.number), "lane {} is here twice", lane.number);
            self.idle.push(lane);
        }
    }
}

/// One try at a batch. If it fails, its target transaction is rolled back in the end.
async fn run<T: Target>(
    mut lane: Lane<T>,
    origin: RegionName,
    batch: Rc<Batch>,
    mut place: Option<Place>,
    setup: Arc<Setup>,
    definitions: Definitions,
) -> Ended<T> {
    let mut lessons = Box::<Lessons>::default();
    let parts = Parts::One(&batch.part);
    let job = Job {
        setup: &setup,
        definitions: &definitions,
        origin,
        parts: &parts,
        reach: &batch.reach,
        catching_up: None,
        skipping: false,
    };
    let result = lane.attempt(&job, place.as_mut(), &mut lessons).await;
    let in_turn = place.as_ref().is_none_or(Place::is_turn);
    let keeps = match &result {
        Ok(_) => true,
        Err(SqlFailure::Away(_)) => false,
        Err(_) => lane.target.rollback().await.is_ok(),
    };
    Ended { lane: keeps.then_some(lane), in_turn, lessons, result }
}
