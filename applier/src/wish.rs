//! What people wish of a lane, and how they are answered.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use transaction::{Halt, RegionName, Sequence};

use crate::lane::Lane;
use crate::relations::TableName;
use crate::scheduler::{Scheduler, Stop};
use crate::session::SqlFailure;
use crate::suspension::Decide;
use crate::target::{Connector, Target};

/// What a person wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Stop applying a table.
    Suspend {
        /// Its schema.
        schema: String,
        /// Its name.
        table: String,
        /// Why.
        reason: String,
    },
    /// Apply what was held back of a table, and go on with it.
    Resume {
        /// Its schema.
        schema: String,
        /// Its name.
        table: String,
        /// How rows that the policy `halt` leaves open are decided.
        decide: Option<Decide>,
    },
    /// Pass over the next transaction of an origin.
    Skip {
        /// Whose transaction.
        origin: RegionName,
        /// Which: it must be the next one.
        named: Named,
        /// Hold its tables back instead of deciding that its rows stay as they are.
        suspend: bool,
    },
    /// Apply what an origin wrote while its clock was ahead by more than the mesh allows.
    AcceptSkew {
        /// Whose writes.
        origin: RegionName,
    },
}

/// A transaction, as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its number in its origin's log.
    Sequence(Sequence),
    /// By its GTID at the origin.
    Gtid(String),
}

/// What was done, in words; or why not.
pub type WishAnswer = Result<String, String>;

/// What people wish, in the order in which they said it.
#[derive(Debug, Default)]
pub struct Wishes(Mutex<VecDeque<(Wish, oneshot::Sender<WishAnswer>)>>);

impl Wishes {
    /// Adds a wish. The lane answers when it has done it; to skip is no longer wished when no one listens any more.
    pub fn add(&self, wish: Wish) -> oneshot::Receiver<WishAnswer> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().push_back((wish, sender));
        receiver
    }

    /// Whether one is to be granted.
    pub(crate) fn is_one_waiting(&self) -> bool {
        !self.0.lock().is_empty()
    }
}

/// Why a wish is not granted.
pub(crate) enum Ungranted {
    /// It is not to be, or cannot be: nothing has changed, and nothing is halted by it.
    Refused(String),
    /// Something else is in the way.
    Stopped(Stop),
}

impl<S: Into<Stop>> From<S> for Ungranted {
    fn from(stop: S) -> Self {
        Self::Stopped(stop.into())
    }
}

impl<C: Connector> Scheduler<C> {
    /// Does what people wish, one wish a call. Returns whether there was one.
    pub(crate) async fn grant_wishes(&mut self) -> Result<bool, Stop> {
        let Some((wish, answer)) = self.setup.wishes.0.lock().pop_front() else { return Ok(false) };
        if matches!(wish, Wish::Skip { .. }) && answer.is_closed() {
            return Ok(true);
        }
        let done = match &wish {
            Wish::Suspend { schema, table, reason } => {
                let suspended = match self.located(schema, table).await {
                    Ok(name) => self.suspend(&[name], reason).await,
                    Err(failure) => Err(failure),
                };
                match suspended {
                    Ok(()) => Ok(format!("table {schema}.{table} is suspended")),
                    Err(failure) => Err(self.stop(failure).into()),
                }
            }
            Wish::Resume { schema, table, decide } => {
                let caught_up = match self.located(schema, table).await {
                    Ok((schema, table)) => self.catch_up(&schema, &table, *decide).await,
                    Err(failure) => Err(self.stop(failure)),
                };
                match caught_up {
                    Ok(()) => Ok(format!("table {schema}.{table} is applied again")),
                    Err(stop) => Err(stop.into()),
                }
            }
            Wish::Skip { origin, named, suspend } => self.skip(*origin, named, *suspend).await,
            Wish::AcceptSkew { origin } => {
                self.skew_accepted.insert(*origin, false);
                Ok(format!(
                    "stamps of {origin} that are ahead of this region's clock are applied, until they no longer are"
                ))
            }
        };
        self.catching_up = None;
        self.skipping = false;
        let said = match done {
            Ok(done) => Ok(done),
            Err(Ungranted::Refused(reason) | Ungranted::Stopped(Stop::Halt(Halt { reason, .. }))) => {
                // What was begun is undone; the origins go on.
                tracing::error!("{wish:?}: {reason}");
                self.lane = None;
                Err(reason)
            }
            Err(Ungranted::Stopped(other)) => {
                self.setup.wishes.0.lock().push_front((wish, answer));
                return Err(other);
            }
        };
        // Nobody left to hear it is no error.
        let _ = answer.send(said);
        Ok(true)
    }

    /// The table that a person means. People write `schema.table`, and the first dot divides as it does in patterns; but names may have dots
    /// themselves, so where there is no such table, another dot may lead to one.
    async fn located(&mut self, schema: &str, table: &str) -> Result<TableName, SqlFailure> {
        let given = (schema.to_owned(), table.to_owned());
        let Some(Lane { target, .. }) = &mut self.lane else { return Ok(given) };
        if !table.contains('.') {
            return Ok(given);
        }
        let name = format!("{schema}.{table}");
        let weights = self.setup.shared.weights.read().clone();
        for (dot, _) in name.match_indices('.') {
            let (schema, table) = (&name[..dot], &name[dot + 1..]);
            if self.suspended.get(schema, table).is_some()
                || target.definition(&weights, schema, table).await?.is_some()
            {
                return Ok((schema.to_owned(), table.to_owned()));
            }
        }
        Ok(given)
    }
}
