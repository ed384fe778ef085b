//! Waiting for a condition, never for a time.

use crate::{Error, Result};
use std::fmt::Display;
use std::time::{Duration, Instant};

/// One look at a condition.
pub enum Look<T> {
    /// It holds, and this is what came of it.
    Done(T),
    /// Not yet; what was seen instead, for the message if the bound is reached.
    NotYet(String),
}

impl<T> Look<T> {
    /// Done if `holds`, else not yet with what was seen.
    pub fn when(holds: bool, value: T, seen: impl Display) -> Self {
        if holds { Look::Done(value) } else { Look::NotYet(seen.to_string()) }
    }
}

/// Looks again and again until the condition holds, an error comes, or the bound passes.
pub async fn wait_for<T>(
    what: &str,
    bound: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>>,
) -> Result<T> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match look().await? {
            Look::Done(value) => return Ok(value),
            Look::NotYet(last) if start.elapsed() >= bound => {
                return Err(Error::Timeout { what: what.to_owned(), seconds: bound.as_secs(), last });
            }
            Look::NotYet(_) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
        }
    }
}
