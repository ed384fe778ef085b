//! Clients that write transactions of the workload at one server, as fast as it answers or at a steady rate.

use crate::sbtest::{Draw, Workload};
use integration::{Error, Result, Sql};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often a load tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Errors after which a client runs its transaction again, as sysbench does: lock wait timeout, deadlock, and the duplicate key of
/// an insert whose delete waited for another's.
const AGAIN: [u16; 3] = [1205, 1213, 1062];

/// What a load shall be like.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Which transactions.
    pub workload: Workload,
    /// The server's port.
    pub port: u16,
    /// Clients at once.
    pub clients: u64,
    /// Rows of each table.
    pub rows: u64,
    /// Where the clients' draws begin.
    pub seed: u64,
    /// How many transactions; without a bound until [`Load::stop`].
    pub count: Option<u64>,
    /// Transactions a second of all clients together; without it as fast as the server answers.
    pub rate: Option<f64>,
}

/// A load that goes on.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<Result<()>>,
    start: Instant,
}

#[derive(Debug, Default)]
struct Shared {
    taken: AtomicU64,
    done: AtomicU64,
    again: AtomicU64,
    stop: AtomicBool,
}

/// What a load did.
#[derive(Debug, Clone, Copy)]
pub struct Loaded {
    /// Transactions that were committed.
    pub transactions: u64,
    /// How often one was run again after a deadlock.
    pub again: u64,
    /// From start to the last answer, in seconds.
    pub seconds: f64,
}

impl Loaded {
    /// Transactions a second.
    pub fn rate(&self) -> f64 {
        self.transactions as f64 / self.seconds
    }
}

impl LoadPlan {
    /// Connects all clients, then lets them begin.
    pub async fn start(&self) -> Result<Load> {
        let mut connections = Vec::new();
        for _ in 0..self.clients {
            connections.push(Sql::connect(self.port, "root", None).await?);
        }
        let shared = Arc::new(Shared::default());
        let mut clients = JoinSet::new();
        let start = Instant::now();
        for (number, sql) in (0..).zip(connections) {
            let client = Client {
                sql,
                draw: Draw::new(
                    self.workload,
                    self.seed.wrapping_mul(1_000_003).wrapping_add(number),
                    self.rows,
                ),
                shared: shared.clone(),
                count: self.count.unwrap_or(u64::MAX),
                pace: self
                    .rate
                    .map(|rate| Pace::new(rate / self.clients as f64, start, number, self.clients)),
            };
            clients.spawn(client.run());
        }
        Ok(Load { shared, clients, start })
    }
}

impl Load {
    /// Transactions committed so far.
    pub fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Lets each client finish what it is at.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until all clients have ended; tells every few seconds how many transactions are done.
    pub async fn finish(mut self, mut tell: impl FnMut(u64)) -> Result<Loaded> {
        let mut tick = tokio::time::interval(TELL_EVERY);
        tick.tick().await;
        loop {
            let ended = tokio::select! {
                ended = self.clients.join_next() => ended,
                _ = tick.tick() => {
                    tell(self.done());
                    continue;
                }
            };
            match ended {
                Some(Ok(result)) => result.inspect_err(|_| self.stop())?,
                Some(Err(error)) => {
                    return Err(Error::Unexpected(format!("a client of the load ended: {error}")));
                }
                None => break,
            }
        }
        Ok(Loaded {
            transactions: self.done(),
            again: self.shared.again.load(Ordering::Relaxed),
            seconds: self.start.elapsed().as_secs_f64(),
        })
    }
}

/// One connection and what it draws.
struct Client {
    sql: Sql,
    draw: Draw,
    shared: Arc<Shared>,
    count: u64,
    pace: Option<Pace>,
}

impl Client {
    async fn run(mut self) -> Result<()> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            if let Some(pace) = &mut self.pace {
                pace.wait().await;
            }
            if self.shared.taken.fetch_add(1, Ordering::Relaxed) >= self.count {
                break;
            }
            let text = self.draw.transaction();
            loop {
                match self.sql.run(&text).await {
                    Ok(()) => break,
                    Err(error) if error.server_code().is_some_and(|code| AGAIN.contains(&code)) => {
                        self.shared.again.fetch_add(1, Ordering::Relaxed);
                        self.sql.run("ROLLBACK").await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            self.shared.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// When a client's next transaction is due. One that is late does not shift those behind it.
struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    /// For `rate` transactions a second of this client, which is the `number`th of `clients`: they take turns.
    fn new(rate: f64, start: Instant, number: u64, clients: u64) -> Self {
        let period = Duration::from_secs_f64(1.0 / rate.max(0.001));
        Self { next: start + period.mul_f64(number as f64 / clients as f64), period }
    }

    async fn wait(&mut self) {
        tokio::time::sleep_until(self.next.into()).await;
        self.next += self.period;
    }
}
