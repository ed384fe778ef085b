//! How many statements the servers took, and why they refused others.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Counts of one run, shared by all clients.
#[derive(Debug, Default)]
pub struct Counts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    taken: u64,
    /// By the number of the server's error.
    refused: BTreeMap<u16, u64>,
}

impl Counts {
    /// Takes note of a statement: `None` if the server took it, else the number of its error.
    pub fn note(&self, error: Option<u16>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => inner.taken += 1,
            Some(code) => *inner.refused.entry(code).or_default() += 1,
        }
    }

    /// How many were taken, and how many refused.
    pub fn totals(&self) -> (u64, u64) {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.taken, inner.refused.values().sum())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (taken, refused) = self.totals();
        write!(out, "{taken} statements taken, {refused} refused (")?;
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut codes: Vec<(&u16, &u64)> = inner.refused.iter().collect();
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let shown: Vec<String> =
            codes.iter().map(|(code, count)| format!("{count} of error {code}")).collect();
        write!(out, "{})", shown.join(", "))
    }
}
