//! How long a commit takes to be seen in another region, by the clock of one process that watches both.

use super::ledger::{Change, Ledger, What};
use super::writer::{Control, Done};
use crate::{Result, Sql};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a probe row is written in each region.
pub const WRITE_EVERY: Duration = Duration::from_millis(50);
/// How often each region is asked what it sees: what a measured delay may be too long by.
pub const LOOK_EVERY: Duration = Duration::from_millis(4);

/// When each probe row was committed, and the delays measured so far.
#[derive(Debug, Default)]
pub struct Delays {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    committed: BTreeMap<(String, u64), Instant>,
    /// Per origin and target: the delays in order of arrival.
    delays: BTreeMap<(String, String), Vec<Duration>>,
}

/// Percentiles of a set of delays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Percentiles {
    /// How many were measured.
    pub count: usize,
    /// The median.
    pub p50: Duration,
    /// Of a hundred, the second longest.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Delays {
    fn committed(&self, region: &str, number: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.committed.insert((region.to_owned(), number), Instant::now());
    }

    fn seen(&self, target: &str, origin: &str, numbers: std::ops::RangeInclusive<u64>, at: Instant) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for number in numbers {
            // A row can be seen elsewhere before its writer has noted the commit: then there was no delay.
            let committed = inner.committed.get(&(origin.to_owned(), number)).copied().unwrap_or(at);
            let delay = at.saturating_duration_since(committed);
            inner.delays.entry((origin.to_owned(), target.to_owned())).or_default().push(delay);
        }
    }

    /// The percentiles from `origin` to `target`.
    pub fn between(&self, origin: &str, target: &str) -> Percentiles {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let found = inner.delays.get(&(origin.to_owned(), target.to_owned())).cloned();
        percentiles(found.unwrap_or_default())
    }

    /// The percentiles of all ways together.
    pub fn all(&self) -> Percentiles {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        percentiles(inner.delays.values().flatten().copied().collect())
    }
}

fn percentiles(mut delays: Vec<Duration>) -> Percentiles {
    delays.sort_unstable();
    let at = |percent: usize| {
        let index = (delays.len() * percent).div_ceil(100).saturating_sub(1);
        delays.get(index).copied().unwrap_or_default()
    };
    Percentiles { count: delays.len(), p50: at(50), p99: at(99), max: at(100) }
}

/// Writes a probe row now and then until told to stop. It keeps a ledger like every writer.
pub async fn write(
    region: String,
    mut sql: Sql,
    mut ledger: Ledger,
    delays: Arc<Delays>,
    control: Arc<Control>,
    count: Arc<AtomicU64>,
) -> Result<Done> {
    let name = format!("{region}-probe");
    let mut ticks = tokio::time::interval(WRITE_EVERY);
    let mut number = 0;
    while !control.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        number += 1;
        let token = format!("{name}-{number}");
        sql.run(format!("INSERT INTO shop.probe VALUES ('{region}', {number}, '{token}')")).await?;
        delays.committed(&region, number);
        count.fetch_add(1, Ordering::Relaxed);
        let key = format!("{region}/{number}");
        ledger.committed(vec![Change {
            table: "shop.probe".to_owned(),
            key,
            shared: false,
            what: What::Put(token),
        }])?;
    }
    Ok(Done { name, transactions: ledger.transactions(), given_up: 0, ledger: ledger.close()? })
}

/// Looks in region `target` for rows of the others, until told to stop.
pub async fn watch(target: String, mut sql: Sql, delays: Arc<Delays>, control: Arc<Control>) -> Result<()> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !control.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let rows = sql
            .rows(format!(
                "SELECT region, MAX(number) FROM shop.probe WHERE region <> '{target}' GROUP BY region"
            ))
            .await?;
        let at = Instant::now();
        for row in rows {
            let [origin, highest] = row.as_slice() else { continue };
            let Ok(highest) = highest.parse::<u64>() else { continue };
            let last = seen.entry(origin.clone()).or_default();
            if highest > *last {
                delays.seen(&target, origin, *last + 1..=highest, at);
                *last = highest;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::percentiles;
    use std::time::Duration;

    #[test]
    fn percentiles_of_a_hundred_delays_are_their_ranks() {
        let found = percentiles((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(
            (found.count, found.p50, found.p99),
            (100, Duration::from_millis(50), Duration::from_millis(99))
        );
        assert_eq!(percentiles(Vec::new()).max, Duration::ZERO);
    }
}
