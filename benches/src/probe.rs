//! How long a commit takes to be seen elsewhere, while something else goes on.
//!
//! A probe inserts a row every few milliseconds at the source and notes when the commit was answered. A watcher asks the
//! target for the newest row, five times a millisecond at most while one is due, and notes when the answer held it. Probes
//! keep their pace however late the target is, so that a delay is counted for all of them and not once. Both ends are on
//! one machine, so it is one clock.

use integration::{Error, Result, Sql};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(25);
/// Probes of the first moments are left out: caches and batches find their pace.
const SETTLING: Duration = Duration::from_secs(2);
/// A probe that is due for longer is asked for less often, since that would slow down what is measured.
const EAGER: Duration = Duration::from_millis(20);
/// Between two questions for one that is due. Without it, the asking takes half a core of what is measured.
const BREATH: Duration = Duration::from_micros(200);
/// How long all probes may take to arrive after the load's end, before a side counts as not keeping up.
const ARRIVAL_BOUND: Duration = Duration::from_secs(300);

/// Delays of one course of probes, sorted, in milliseconds.
#[derive(Debug, Clone)]
pub struct Delays {
    sorted_ms: Vec<f64>,
}

impl Delays {
    /// Of these delays, in any order.
    pub fn of(mut delays_ms: Vec<f64>) -> Self {
        delays_ms.sort_by(f64::total_cmp);
        Self { sorted_ms: delays_ms }
    }

    /// The delay below which `share` of them are, in milliseconds; no number if there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        let index = (self.sorted_ms.len() as f64 * share).ceil() as usize;
        self.sorted_ms.get(index.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sorted_ms.len()
    }
}

/// Probes from one server to another that go on.
#[derive(Debug)]
pub struct Probing {
    probes: Arc<Probes>,
    writer: JoinHandle<Result<()>>,
    watcher: JoinHandle<Result<Vec<f64>>>,
}

impl Probing {
    /// Begins to insert into `table`, whose one column `id` has no row of its own, and to watch for it. Nothing is seen
    /// sooner than after `least`, so until then nobody asks.
    pub fn start(source: Sql, target: Sql, table: &str, least: Duration) -> Self {
        let probes = Arc::new(Probes { table: table.to_owned(), least, ..Probes::default() });
        let writer = tokio::spawn(write(source, probes.clone()));
        let watcher = tokio::spawn(watch(target, probes.clone()));
        Self { probes, writer, watcher }
    }

    /// No more probes.
    pub fn stop(&self) {
        self.probes.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until all have arrived; the delays of those that count. An error if there are none.
    pub async fn finish(self) -> Result<Delays> {
        joined(self.writer.await)?;
        let delays = Delays::of(joined(self.watcher.await)?);
        if delays.count() == 0 {
            return Err(Error::Unexpected("no probe was measured; give more --load-seconds".to_owned()));
        }
        Ok(delays)
    }
}

fn joined<T>(ended: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    ended.map_err(|error| Error::Unexpected(format!("a probe ended: {error}")))?
}

/// What the writing and the watching side share.
#[derive(Debug, Default)]
struct Probes {
    table: String,
    /// No row is seen sooner.
    least: Duration,
    /// Rows that are committed at the source and not seen at the target, oldest first.
    due: Mutex<VecDeque<Due>>,
    /// Wakes the watcher.
    written: Notify,
    /// No more are to be written.
    stop: AtomicBool,
    /// No more will be written.
    ended: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    id: u64,
    committed: Instant,
    counts: bool,
}

impl Probes {
    fn oldest(&self) -> Option<Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).front().copied()
    }

    fn push(&self, due: Due) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).push_back(due);
        self.written.notify_one();
    }

    /// Takes out all up to `id`.
    fn take(&self, id: u64) -> Vec<Due> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let count = due.iter().take_while(|due| due.id <= id).count();
        due.drain(..count).collect()
    }
}

async fn write(mut sql: Sql, probes: Arc<Probes>) -> Result<()> {
    let result = insert_rows(&mut sql, &probes).await;
    probes.ended.store(true, Ordering::Release);
    probes.written.notify_one();
    result
}

async fn insert_rows(sql: &mut Sql, probes: &Probes) -> Result<()> {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    let mut id = 0;
    while !probes.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        id += 1;
        sql.run(format!("INSERT INTO {} (id) VALUES ({id})", probes.table)).await?;
        let committed = Instant::now();
        probes.push(Due { id, committed, counts: committed - start > SETTLING });
    }
    Ok(())
}

/// Delays in milliseconds, in the order of arrival.
async fn watch(mut sql: Sql, probes: Arc<Probes>) -> Result<Vec<f64>> {
    let newest_row = format!("SELECT COALESCE(MAX(id), 0) FROM {}", probes.table);
    let mut delays_ms = Vec::new();
    loop {
        let ended = probes.ended.load(Ordering::Acquire);
        let Some(oldest) = probes.oldest() else {
            if ended {
                return Ok(delays_ms);
            }
            probes.written.notified().await;
            continue;
        };
        let early = probes.least.saturating_sub(oldest.committed.elapsed());
        if !early.is_zero() {
            pause(early).await?;
        }
        let newest = sql.number(&newest_row).await?;
        let seen = Instant::now();
        let arrived = probes.take(newest);
        let counted = arrived.iter().filter(|due| due.counts);
        delays_ms
            .extend(counted.map(|due| seen.saturating_duration_since(due.committed).as_secs_f64() * 1e3));
        let waited = oldest.committed.elapsed();
        if arrived.is_empty() && waited > ARRIVAL_BOUND {
            return Err(Error::Unexpected(format!(
                "a row of the source did not arrive within {ARRIVAL_BOUND:?}"
            )));
        }
        if arrived.is_empty() {
            pause(if waited > probes.least + EAGER { EAGER / 10 } else { BREATH }).await?;
        }
    }
}

/// tokio's timer has steps of a millisecond, which is what is measured.
async fn pause(time: Duration) -> Result<()> {
    let slept = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await;
    slept.map_err(|error| Error::Unexpected(format!("a pause ended: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_delays_the_last_but_one_is_p99() {
        let delays = Delays::of((1..=100).rev().map(f64::from).collect());
        assert!((delays.quantile(0.99) - 99.0).abs() < 1e-9);
        assert!((delays.quantile(0.5) - 50.0).abs() < 1e-9);
        assert!((delays.quantile(1.0) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_probe_that_is_not_seen_stays_due() {
        let probes = Probes::default();
        for id in 1..=3 {
            probes.push(Due { id, committed: Instant::now(), counts: true });
        }
        assert_eq!(probes.take(2).len(), 2);
        assert_eq!(probes.oldest().map(|due| due.id), Some(3));
        assert!(probes.take(2).is_empty());
    }
}
