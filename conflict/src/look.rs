//! A look at one key.

use transaction::WriteId;

use crate::history::{Concurrent, History, Incoming};

/// The history of one key, as an incoming write finds it.
#[derive(Debug)]
pub struct Look<'a> {
    history: History<'a>,
    incoming: Option<Incoming>,
}

impl<'a> Look<'a> {
    pub(crate) fn new(history: History<'a>, incoming: Option<Incoming>) -> Self {
        Self { history, incoming }
    }

    /// The history.
    pub fn history(&self) -> &History<'a> {
        &self.history
    }

    /// The newest write in fold order that the index knows of.
    ///
    /// It says no more than that: only where there is a conflict does it tell whether the row is there (SEMANTICS.md).
    pub fn newest(&self) -> Option<WriteId> {
        self.history.newest().map(|write| write.id)
    }

    /// Whether the history holds a write that the incoming one does not cover.
    pub fn conflict(&self) -> bool {
        self.incoming.as_ref().is_some_and(|incoming| self.history.conflicts(incoming))
    }

    /// The writes that the incoming one is concurrent with, newest first. Walks the whole history.
    pub fn concurrent(&self) -> Concurrent<'_> {
        self.history.concurrent(self.incoming.as_ref())
    }
}
