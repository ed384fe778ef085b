//! How fast the target's server takes the same net changes when no one looks, waits or keeps an order: what any drain that replays them can reach.
//!
//! The texts are made before the clock starts. Connections take the next one as they come free, each text a transaction, with
//! `rbr_exec_mode = IDEMPOTENT`: out of order, rows are missing or there already. What that leaves in the tables is wrong, and is thrown away.

use crate::drain::{self, Drained};
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::scene::{Backlog, SOURCE, Scene, State, TARGET};
use crate::{cpu, folder};
use applier::ddl::{self, DdlPolicy};
use applier::effect::{Rules, rows_kind};
use applier::feed::{BatchLimits, Feed, Gate, Next, Reach};
use applier::logs::{Logs, RecordReader};
use applier::net::{Nature, net_changes};
use applier::relations::Relations;
use applier::text::{RowsText, format_description};
use integration::{Error, Result, Sql};
use log_store::{Log, LogReader, Store};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;
use transaction::{Context, Halt, Hlc, RecordNumber, RegionName, Sequence, Weights};

/// Of these numbers of connections, the best counts.
const CONNECTIONS: [usize; 4] = [1, 2, 4, 8];

/// As many transactions in a batch as `concord` has by default.
const LIMITS: BatchLimits = BatchLimits { transactions_max: 256, bytes_max: 4 << 20 };

/// How many texts a connection may lose to deadlocks with others; each is tried again later.
const DEADLOCKS_MAX: u32 = 10_000;

/// Runs the group.
pub async fn run(
    scene: &mut Scene,
    backlog: &Backlog,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let wanted = drain::wanted(scene, backlog.workload).await?;
    scene.restore(State::Loaded)?;
    let texts = texts(scene, backlog)?;
    let mut sheet = Sheet::new("ceiling", "The same net changes, replayed blindly", &drain::COLUMNS);
    let mut ratios = Vec::new();
    let mut connections = CONNECTIONS.to_vec();
    let rounds = options.rounds();
    for round in 1..=rounds {
        let mut best: Option<(usize, Drained)> = None;
        for count in connections.clone() {
            let blind = replay(scene, backlog, texts.clone(), count).await?;
            let who = format!("ceiling: round {round} of {rounds}: blind, connections {count}");
            drain::tell(progress, &who, &blind);
            sheet.add(&format!("blind, connections {count}"), &drain::cells(&blind));
            if best.is_none_or(|(_, best)| blind.seconds < best.seconds) {
                best = Some((count, blind));
            }
        }
        let Some((count, blind)) = best else { continue };
        // The best number is found once.
        connections = vec![count];
        let (drained, _) = drain::concord(scene, backlog, &wanted).await?;
        drain::tell(progress, &format!("ceiling: round {round} of {rounds}: Concord"), &drained);
        sheet.add("Concord", &drain::cells(&drained));
        ratios.push(blind.seconds / drained.seconds);
    }
    report.sheet(sheet);
    report.figure("drain.ratio_vs_ceiling", Sample::of(ratios));
    Ok(())
}

async fn replay(
    scene: &mut Scene,
    backlog: &Backlog,
    texts: VecDeque<String>,
    connections: usize,
) -> Result<Drained> {
    scene.restore(State::Loaded)?;
    scene.start_servers().await?;
    drain::warm(&mut scene.mesh.root(TARGET).await?, backlog.workload).await?;
    let mut ready = Vec::new();
    for _ in 0..connections {
        let mut sql = scene.mesh.root(TARGET).await?;
        sql.run("SET SESSION transaction_isolation = 'READ-COMMITTED', SESSION rbr_exec_mode = 'IDEMPOTENT'")
            .await?;
        sql.run(format_description()).await?;
        sql.run("SET gtid_next = 'AUTOMATIC'").await?;
        ready.push(sql);
    }
    folder::settle()?;
    let server = scene.mesh.region(TARGET)?.server.pid();
    let cpu_before = cpu::seconds(&[server])?;
    let queue = Arc::new(Mutex::new(texts));
    let start = Instant::now();
    let mut connections = JoinSet::new();
    for sql in ready {
        connections.spawn(take_all(sql, queue.clone()));
    }
    while let Some(ended) = connections.join_next().await {
        ended.map_err(|error| Error::Unexpected(format!("a connection of the blind replay: {error}")))??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu::seconds(&[server])? - cpu_before;
    scene.kill();
    Ok(Drained { seconds, cpu_seconds, cpu_seconds_replicator: 0.0, transactions: backlog.transactions })
}

async fn take_all(mut sql: Sql, queue: Arc<Mutex<VecDeque<String>>>) -> Result<()> {
    let mut deadlocks = 0;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(text) = next else { return Ok(()) };
        if let Err(error) = apply(&mut sql, &text).await {
            sql.run("ROLLBACK").await?;
            deadlocks += 1;
            if deadlocks == DEADLOCKS_MAX {
                return Err(error);
            }
            // At once, the two would meet again.
            queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(text);
        }
    }
}

async fn apply(sql: &mut Sql, text: &str) -> Result<()> {
    sql.run("BEGIN").await?;
    sql.run(text).await?;
    sql.run("COMMIT").await
}

/// The backlog's batches as the target's log has them, each as the statement that replays its net changes.
fn texts(scene: &Scene, backlog: &Backlog) -> Result<VecDeque<String>> {
    let failed = |reason: String| Error::Unexpected(format!("the target's log of the backlog: {reason}"));
    let origin: RegionName = SOURCE.parse().map_err(|error| failed(format!("{error}")))?;
    let region: RegionName = TARGET.parse().map_err(|error| failed(format!("{error}")))?;
    let store = Store::open_read_only(scene.log_dir(TARGET)).map_err(|error| failed(error.to_string()))?;
    let copy = Copy(store.log(origin).map_err(|error| failed(error.to_string()))?);
    let before = Sequence(backlog.last_sequence - backlog.transactions);
    let first = copy.find(origin, before.next()).map_err(|halt| failed(halt.reason))?;
    let first = first.ok_or_else(|| failed(format!("it has no transaction {}", before.next())))?;
    let record = RecordNumber(first.0 - 1);
    let reach = Reach { record, sequence: before, hlc: Hlc(0), claim: Context::new(), commit_us: 0 };
    let mut feed = Feed::new(&copy, origin, reach).map_err(|halt| failed(halt.reason))?;
    let (weights, policies) = (Weights::default(), ddl::always(DdlPolicy::Ignore));
    let carries: applier::effect::Carries = Arc::new(|schema, _| schema != "concord");
    let rules = Rules { carries: &carries, weights: &weights, ddl: &policies };
    let (applied, relations) = (Context::new(), Relations::default());
    let until = Sequence(backlog.last_sequence);
    let gate = Gate { region, tail: None, applied: &applied, now_us: u64::MAX, skew_us_max: 0, until };
    let mut texts = VecDeque::new();
    loop {
        match feed.next(LIMITS, &gate, &rules).map_err(|error| failed(error.to_string()))? {
            Next::Batch(batch) => {
                let nature = |_: &transaction::binlog::TableMap| Nature { folds: true, computes: false };
                let mut text = RowsText::default();
                for change in net_changes(&batch.part, batch.part.effects.iter(), nature, &relations) {
                    let Some(kind) = rows_kind(change.before.is_some(), change.after.is_some()) else {
                        continue;
                    };
                    let images: Vec<&[u8]> = change.before.into_iter().chain(change.after).collect();
                    text.push(change.table, kind, change.flags, change.timestamp, &images);
                }
                if !text.is_empty() {
                    texts.push_back(text.take_statement().0);
                }
            }
            Next::Drained => return Ok(texts),
            other => return Err(failed(format!("it is not plain: {other:?}"))),
        }
    }
}

/// A log that no one writes.
struct Copy(Arc<Log>);

impl Logs for Copy {
    fn reader(&self, _: RegionName, from: RecordNumber) -> std::result::Result<Box<dyn RecordReader>, Halt> {
        let reader = self.0.read_from(from)?;
        Ok(Box::new(Reader(reader)))
    }

    fn find(&self, _: RegionName, sequence: Sequence) -> std::result::Result<Option<RecordNumber>, Halt> {
        Ok(self.0.find_sequence(sequence)?)
    }
}

struct Reader(LogReader);

impl RecordReader for Reader {
    fn next(&mut self) -> std::result::Result<Option<&[u8]>, Halt> {
        Ok(self.0.next_record()?.map(|record| record.bytes))
    }
}
