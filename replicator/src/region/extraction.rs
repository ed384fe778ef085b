//! The extractor's thread: connects, reads, stamps, stores, and tells the index.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use applier::code::LOG_INCOMPLETE;
use applier::{Connect, Passed, Shared};
use extractor::code::{
    MYSQL_ACCESS_DENIED, MYSQL_OPTION, MYSQL_PROTOCOL, PARTIAL_ROW_IMAGE, SOURCE_LOST_TRANSACTIONS,
};
use extractor::replica::{Interrupt, Remedy, ReplicaConnection, ReplicaError, ReplicaOptions};
use extractor::{Extractor, Place, Progress, Restart, Resume, Sink, Spool, Stamp};
use log_store::Log;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use transaction::binlog::TableMap;
use transaction::key::Need;
use transaction::{GtidSet, Halt, Hlc, RecordNumber, RegionName, RepairPlace, Sequence, Suspended};

use super::board::{Board, ExtractorState};
use super::clock::now_us;
use super::quota::may_extract;
use super::spool::SpoolFile;
use super::writes::{Scope, Stamps, Untaken, Writes};
use crate::code::{PANICKED, SERVER_NOT_ANSWERING, THREAD_NOT_STARTED};

/// What the thread needs.
pub(crate) struct Extraction {
    /// Makes the options anew for each connection: the password may have been rotated.
    pub(crate) options: Box<dyn Fn() -> Result<ReplicaOptions, String> + Send>,
    /// For questions about text weights.
    pub(crate) connect: Connect,
    /// Whether another server may have taken the place of the one that was claimed, elsewhere.
    pub(crate) has_standbys: bool,
    /// Where to go on.
    pub(crate) resume: Resume,
    /// The region's own log.
    pub(crate) log: Arc<Log>,
    /// Where large XA transactions wait for their end.
    pub(crate) dir: PathBuf,
    /// What is carried.
    pub(crate) scope: Scope,
    /// Where it reports.
    pub(crate) board: Arc<Board>,
    /// Becomes true when it is to stop.
    pub(crate) shutdown: watch::Receiver<bool>,
    /// Runtime for the questions.
    pub(crate) runtime: Handle,
}

/// A running extraction.
pub(crate) struct Running {
    thread: std::thread::JoinHandle<()>,
    interrupt: Arc<Mutex<Option<Interrupt>>>,
}

impl Running {
    /// Breaks a blocked read off and waits for the thread; the shutdown signal must have been given.
    pub(crate) fn stop(self) {
        if let Some(interrupt) = self.interrupt.lock().take() {
            interrupt.interrupt();
        }
        if self.thread.join().is_err() {
            tracing::error!("the extractor's thread ended by a panic; please report this");
        }
    }
}

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How often it is asked whether the log may still grow.
const QUOTA_LOOK: Duration = Duration::from_millis(20);

impl Extraction {
    /// Starts the thread.
    pub(crate) fn start(self) -> std::io::Result<Running> {
        let interrupt = Arc::new(Mutex::new(None));
        let shared_interrupt = interrupt.clone();
        let thread = std::thread::Builder::new()
            .name("extractor".into())
            .spawn(move || self.run(&shared_interrupt))?;
        Ok(Running { thread, interrupt })
    }

    fn run(self, interrupt: &Mutex<Option<Interrupt>>) {
        let _report = PanicReport(self.board.clone());
        let Self { options, connect, has_standbys, resume, log, dir, scope, board, mut shutdown, runtime } =
            self;
        let region = resume.region;
        board.extractor.send_modify(|shown| shown.incarnation = resume.lineage.incarnation.0);
        let syncer = match Syncer::start(log.clone()) {
            Ok(syncer) => syncer,
            Err(error) => {
                return halt(&board, THREAD_NOT_STARTED.halt(format_args!("cannot start a thread: {error}")));
            }
        };
        let sink = RegionSink {
            region,
            log,
            dir,
            dirty: syncer.sender.clone(),
            shared: board.shared.clone(),
            connect: connect.clone(),
            runtime: runtime.clone(),
            conn: None,
            scope,
            board: board.clone(),
            writes: Writes::default().spilling(board.logs.spool()),
            restarts_from: None,
            restart: None,
            virtual_only: None,
        };
        let mut extractor = Extractor::new(resume, sink);
        let mut delay = RETRY_FIRST;
        while !*shutdown.borrow() {
            let read_options = || options().map_err(|e| Outcome::Halt(MYSQL_OPTION.halt(e)));
            let outcome = read_options().and_then(|options| {
                let began = now_us();
                let outcome = read(&mut extractor, &options, interrupt, &board, &shutdown);
                if now_us().saturating_sub(began) > 10_000_000 {
                    delay = RETRY_FIRST;
                }
                match outcome {
                    // It was rotated since it was read.
                    Err(Outcome::Halt(why))
                        if why.code == MYSQL_ACCESS_DENIED
                            && read_options()?.password != options.password =>
                    {
                        Err(Outcome::Retry(why.reason))
                    }
                    outcome => outcome,
                }
            });
            match outcome {
                Ok(()) | Err(Outcome::Stopped) => break,
                Err(Outcome::Halt(why)) => {
                    halt(&board, why);
                    break;
                }
                Err(Outcome::Retry(reason)) => {
                    let state = ExtractorState::Waiting { reason: reason.clone() };
                    if board.extractor.borrow().state != state {
                        tracing::warn!("extractor: {reason}");
                    }
                    report(&board, state);
                    if has_standbys {
                        // Finds out whether the region's server is another one by now; what comes of it, `Claimed` tells.
                        let _ = runtime.block_on(async {
                            tokio::select! {
                                conn = connect() => conn.is_ok(),
                                _ = shutdown.changed() => false,
                            }
                        });
                    }
                }
            }
            extractor.reconnect();
            // Woken early by a shutdown.
            let _ = runtime.block_on(async { tokio::time::timeout(delay, shutdown.changed()).await });
            delay = (delay * 2).min(RETRY_MAX);
        }
        // The thread ends when both senders are gone.
        drop(extractor);
        syncer.stop();
    }
}

/// Tells status and alerts if the thread ends by a panic: nobody else would.
struct PanicReport(Arc<Board>);

impl Drop for PanicReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            halt(
                &self.0,
                PANICKED.halt("the extractor ended by a panic; please report it, and restart concord"),
            );
        }
    }
}

enum Outcome {
    Retry(String),
    Halt(Halt),
    Stopped,
}

impl From<ReplicaError> for Outcome {
    fn from(error: ReplicaError) -> Self {
        match error.remedy() {
            Remedy::Retry => Self::Retry(error.to_string()),
            Remedy::Halt(code) => Self::Halt(code.halt(error)),
            Remedy::Stopped => Self::Stopped,
        }
    }
}

/// Tells a person.
fn halt(board: &Board, why: Halt) {
    tracing::error!("extractor is halted [{}]: {why}", why.code);
    report(board, ExtractorState::Halted(why));
}

fn report(board: &Board, state: ExtractorState) {
    board.extractor.send_modify(|progress| progress.state = state);
}

/// One connection, until it breaks.
fn read(
    extractor: &mut Extractor<RegionSink>,
    options: &ReplicaOptions,
    interrupt: &Mutex<Option<Interrupt>>,
    board: &Board,
    shutdown: &watch::Receiver<bool>,
) -> Result<(), Outcome> {
    may_extract(board, true).map_err(Outcome::Retry)?;
    let mut connection = ReplicaConnection::connect(options)?;
    *interrupt.lock() = Some(connection.interrupt()?);
    if *shutdown.borrow() {
        return Ok(());
    }
    let server = connection.server().clone();
    board.server.check(&server.uuid).map_err(Outcome::Retry)?;
    holds_what_the_log_holds(&mut connection, extractor)?;
    let mut stream = connection.dump(&extractor.executed().to_bytes())?;
    board.extractor.send_modify(|progress| {
        progress.state = ExtractorState::Running;
        progress.server_version = server.version;
        progress.server_uuid = server.uuid;
    });
    let mut looked = Instant::now();
    while !*shutdown.borrow() {
        // Not at each event: a look goes through the list of all segments.
        if looked.elapsed() > QUOTA_LOOK {
            looked = Instant::now();
            may_extract(board, extractor.is_between()).map_err(Outcome::Retry)?;
        }
        stream.next_event()?;
        let (checksums, place) = {
            let (file, offset) = stream.position();
            (stream.checksums(), Place { file: file.to_owned(), offset })
        };
        extractor
            .on_event(stream.event(), checksums, place, now_us())
            .map_err(|e| Outcome::Halt(e.into()))?;
    }
    Ok(())
}

/// Refuses a server that lacks transactions which the log has. One that took another's place was met at the start; this one lost them since.
fn holds_what_the_log_holds(
    connection: &mut ReplicaConnection,
    extractor: &Extractor<RegionSink>,
) -> Result<(), Outcome> {
    let rows = connection.query("SELECT @@GLOBAL.gtid_executed")?;
    let text = rows.first().and_then(|row| row.first()).and_then(|value| value.clone()).unwrap_or_default();
    let executed: GtidSet = String::from_utf8_lossy(&text)
        .parse()
        .map_err(|e| Outcome::Halt(MYSQL_PROTOCOL.halt(format_args!("gtid_executed of the server: {e}"))))?;
    let missing = extractor.held().minus(&executed);
    if missing.is_empty() {
        return Ok(());
    }
    Err(Outcome::Halt(SOURCE_LOST_TRANSACTIONS.halt(format_args!(
        "the server lacks transactions that this region's log holds: {missing}. It is another server, or one restored from \
         a backup, or a standby that was behind when it was promoted. Bring back the right one, or re-seed this region \
         (concord seed --from REGION)"
    ))))
}

/// The thread that makes the own log durable: one sync covers whatever has arrived meanwhile.
struct Syncer {
    sender: SyncSender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Syncer {
    fn start(log: Arc<Log>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<()>(1);
        let thread = std::thread::Builder::new().name("log-sync".into()).spawn(move || {
            while receiver.recv().is_ok() {
                if let Err(error) = log.sync() {
                    // The log refuses further appends, so the extractor halts with the cause at its next record.
                    tracing::error!("{error}");
                    break;
                }
            }
        })?;
        Ok(Self { sender, thread })
    }

    /// Waits for the last sync; every other sender must be gone.
    fn stop(self) {
        drop(self.sender);
        if self.thread.join().is_err() {
            tracing::error!("the thread that syncs the log ended by a panic; please report this");
        }
    }
}

/// Takes what the extractor makes.
struct RegionSink {
    region: RegionName,
    log: Arc<Log>,
    dir: PathBuf,
    dirty: SyncSender<()>,
    shared: Arc<Shared>,
    connect: Connect,
    runtime: Handle,
    conn: Option<mysql_async::Conn>,
    scope: Scope,
    board: Arc<Board>,
    writes: Writes,
    /// The position record that is known to be durable, and a later one that is not yet.
    restarts_from: Option<RecordNumber>,
    restart: Option<Restart>,
    /// The last table whose images were found to lack its virtual columns only, and the version of definitions then.
    virtual_only: Option<(u64, Arc<TableMap>)>,
}

impl RegionSink {
    /// The binlog file that a restart needs first, as of a position record that has become durable.
    fn restart_file(&mut self, newest: Option<&Restart>) -> Option<String> {
        if self.restart.is_none() && self.restarts_from != newest.map(|restart| restart.record) {
            self.restart = newest.cloned();
        }
        let durable = self.log.durable();
        let Restart { record, file } = self.restart.take_if(|restart| restart.record <= durable)?;
        self.restarts_from = Some(record);
        Some(file)
    }

    /// Collects the keys that the events write; asks the server for the weights that it takes.
    fn collect(&mut self, stamp: &Stamp, events: &[u8], checksums: bool) -> Result<(), Halt> {
        loop {
            let needs = self.walk(stamp, events, checksums)?;
            if needs.is_empty() {
                return Ok(());
            }
            self.learn(needs)?;
        }
    }

    /// Puts what was collected into the history index.
    fn insert(&mut self, stamp: &Stamp, repairs: &[RepairPlace]) -> Result<(), Halt> {
        let Stamp { sequence, hlc, context, suspended } = stamp;
        let (origin, sequence, hlc) = (self.region, *sequence, *hlc);
        let stamps = Stamps { origin, sequence, hlc, context, suspended, repairs };
        let mut index = self.shared.index.lock();
        let mut tables = self.shared.tables.lock();
        self.writes.insert_into(&mut index, &mut tables, &stamps, &Suspended::default())
    }

    /// Collects the keys that the events write, or the texts whose weights are missing.
    fn walk(&mut self, stamp: &Stamp, events: &[u8], checksums: bool) -> Result<Vec<Need>, Halt> {
        let Self { writes, scope, shared, virtual_only, .. } = self;
        let (mut unknown, version) = (Vec::<Arc<TableMap>>::new(), shared.definitions_version());
        let apart = [&stamp.suspended];
        let needs = writes.collect(events, checksums, shared, scope, &apart, &mut |table| {
            let verified =
                virtual_only.as_ref().filter(|(of, narrow)| *of == version && Arc::ptr_eq(narrow, table));
            if verified.is_none() && !unknown.iter().any(|known| Arc::ptr_eq(known, table)) {
                unknown.push(table.clone());
            }
        });
        let needs = needs.map_err(Untaken::in_binlog)?;
        for table in unknown {
            self.verify_virtual(&table)?;
            self.virtual_only = Some((version, table));
        }
        Ok(needs)
    }

    /// Row images may lack virtual generated columns, which the server computes anew; anything else that they lack, a
    /// session left out with another `binlog_row_image`.
    fn verify_virtual(&mut self, table: &TableMap) -> Result<(), Halt> {
        let shared = self.shared.clone();
        let definition = self.with_server(async |conn| {
            let weights = shared.weights.read().clone();
            applier::definitions::read(conn, &weights, &table.schema, &table.table)
                .await
                .map_err(|e| e.to_string())
        })?;
        let names: Vec<&str> = match &definition {
            Some(found) => {
                found.virtual_columns.iter().map(|place| found.columns[*place].name.as_str()).collect()
            }
            None => Vec::new(),
        };
        match table.absent().find(|column| !names.contains(column)) {
            None => Ok(()),
            Some(column) => Err(PARTIAL_ROW_IMAGE.halt(format_args!(
                "{} (column `{column}` is missing)",
                transaction::binlog::EventError::PartialImage { table: table.full_name() }
            ))),
        }
    }

    fn learn(&mut self, needs: Vec<Need>) -> Result<(), Halt> {
        let shared = self.shared.clone();
        self.with_server(async |conn| {
            applier::learn(conn, &shared, needs.clone()).await.map_err(|e| e.to_string())
        })
    }

    /// Asks the region's server something, over a connection that is kept.
    fn with_server<T>(
        &mut self,
        mut ask: impl AsyncFnMut(&mut mysql_async::Conn) -> Result<T, String>,
    ) -> Result<T, Halt> {
        // Bounded: the same server has just sent us the transaction.
        const TRIES: u32 = 100;
        let (connect, runtime) = (self.connect.clone(), self.runtime.clone());
        let mut last = String::new();
        for _ in 0..TRIES {
            let conn = self.conn.take();
            let result = runtime.block_on(async {
                let mut conn = match conn {
                    Some(conn) => conn,
                    None => connect().await.map_err(|e| e.to_string())?,
                };
                let answer = ask(&mut conn).await?;
                Ok::<_, String>((conn, answer))
            });
            match result {
                Ok((conn, answer)) => {
                    self.conn = Some(conn);
                    return Ok(answer);
                }
                Err(reason) => last = reason,
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(SERVER_NOT_ANSWERING
            .halt(format_args!("the region's server does not answer the extractor: {last}")))
    }
}

impl Sink for RegionSink {
    fn writes(&mut self, stamp: &Stamp, events: &[u8], checksums: bool, last: bool) -> Result<(), Halt> {
        self.collect(stamp, events, checksums)?;
        if last { self.insert(stamp, &[]) } else { Ok(()) }
    }

    fn repairs(&mut self, stamp: &Stamp, places: &[RepairPlace], events: &[u8]) -> Result<(), Halt> {
        self.collect(stamp, events, false)?;
        self.insert(stamp, places)
    }

    fn hlc(&mut self, origin: RegionName, sequence: Sequence) -> Result<Hlc, Halt> {
        let log = &self.board.logs.get(origin).log;
        let gone = || {
            LOG_INCOMPLETE.halt(format_args!(
                "transaction {sequence} of {origin}, which was applied here, is not in its log's copy"
            ))
        };
        let number = log.find_sequence(sequence)?.ok_or_else(gone)?;
        let mut reader = log.read_from(number)?;
        let raw = reader.next_record()?.ok_or_else(gone)?;
        Ok(raw.header.hlc)
    }

    fn spool(&mut self) -> Result<Box<dyn Spool>, Halt> {
        Ok(Box::new(SpoolFile::create(&self.dir)?))
    }

    fn forget(&mut self) {
        self.writes = Writes::default().spilling(self.board.logs.spool());
    }

    fn append(&mut self, record: &[u8]) -> Result<(), Halt> {
        self.log.append(record)?;
        // Full means that a sync is asked for already, which has not begun: it will cover this record.
        let _ = self.dirty.try_send(());
        Ok(())
    }

    fn passed(&mut self, progress: Progress<'_>) {
        let Progress { place, stamper, held, last_record, restart } = progress;
        // A tail that is missing has seen less than is claimed: until it is back, who applies it tells the index.
        if held.tail.is_none() {
            let claim = held.of(&stamper.suspended.claim(&stamper.context));
            let observed = self.shared.index.lock().observe(self.region, &claim, stamper.last_sequence);
            if let Err(error) = observed {
                tracing::error!("{error}");
            }
        }
        let passed = Passed { sequence: stamper.last_sequence, ..Passed::new(&place.file, place.offset) };
        self.shared.passed.send_replace(passed);
        let restart_file = self.restart_file(restart);
        self.board.extractor.send_modify(|shown| {
            shown.sequence = stamper.last_sequence;
            shown.record = last_record;
            if shown.file != place.file {
                shown.file.clone_from(&place.file);
            }
            shown.offset = place.offset;
            if let Some(file) = restart_file.filter(|file| *file != shown.restart_file) {
                shown.restart_file = file;
            }
        });
    }
}
