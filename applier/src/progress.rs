//! What a lane reports about each origin.

use transaction::{Halt, RecordNumber, Sequence};

/// What an origin's application does now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// It applies what there is.
    Running,
    /// It waits, and goes on by itself.
    Waiting {
        /// For what.
        reason: String,
    },
    /// A person paused it.
    Paused,
    /// A person must act.
    Halted(Halt),
    /// Not begun yet.
    #[default]
    Starting,
}

/// How many lags are kept for the percentiles.
const LAGS: usize = 4096;

/// How far an origin is applied, and how that went.
#[derive(Debug, Clone, Default)]
pub struct OriginProgress {
    /// What it does now.
    pub state: State,
    /// A person asked for a pause.
    pub paused: bool,
    /// A person asked to try again after a halt.
    pub retry: bool,
    /// Whether the origin's marker was found, so that what follows says how far it is applied.
    pub has_marker: bool,
    /// The last transaction applied.
    pub applied_sequence: Sequence,
    /// The last record applied or passed.
    pub applied_record: RecordNumber,
    /// Transactions applied since the process started.
    pub transactions: u64,
    /// Row changes sent since then.
    pub row_changes: u64,
    /// Conflicts since then.
    pub conflicts: u64,
    /// Of these, how many the incoming write won.
    pub conflicts_won: u64,
    /// From commit at the origin to commit here, of the last transaction, microseconds.
    pub lag_us: u64,
    /// Sum of all lags, microseconds.
    pub lag_us_sum: u64,
    lags: std::collections::VecDeque<u64>,
}

impl OriginProgress {
    /// Takes note of a commit.
    pub(crate) fn lag(&mut self, lag_us: u64, transactions: u64) {
        self.lag_us = lag_us;
        self.lag_us_sum += lag_us * transactions;
        if self.lags.len() == LAGS {
            self.lags.pop_front();
        }
        self.lags.push_back(lag_us);
    }

    /// The last lags, oldest first, microseconds, one per commit.
    pub fn lags(&self) -> impl Iterator<Item = u64> + '_ {
        self.lags.iter().copied()
    }
}
