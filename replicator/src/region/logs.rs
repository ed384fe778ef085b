//! The logs of all origins, as the other crates want them: to read, to send, to receive into.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use applier::code::REGION_UNKNOWN;
use applier::logs::{Logs, RecordReader};
use filters::{Filters, TableFilter};
use link::{BoxFuture, HeldRecord, LogProvider, ProviderError, RecordBatch, RecordStream};
use log_store::{Log, LogReader, Store};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use transaction::binlog::View;
use transaction::{Halt, RecordKind, RecordNumber, RegionName, Sequence};

use super::held;

/// One log with its durable watermark to wait on.
pub(crate) struct OriginLog {
    /// The log.
    pub(crate) log: Arc<Log>,
    /// Follows [`Log::durable`].
    pub(crate) durable: watch::Sender<RecordNumber>,
}

/// All logs of the region, its own and the copies.
pub(crate) struct LogSet {
    region: RegionName,
    logs: BTreeMap<RegionName, Arc<OriginLog>>,
    /// Per (peer, origin), the last record that the peer said is durable there.
    acknowledged: Mutex<BTreeMap<(RegionName, RegionName), RecordNumber>>,
    /// How logs of other origins are seen here.
    filters: Arc<Filters>,
    /// Where files without names are made.
    spool: Option<PathBuf>,
}

impl LogSet {
    /// Opens the logs of `regions`. `wake` is told of every new durable record.
    pub(crate) fn open(
        store: &Store,
        region: RegionName,
        regions: impl Iterator<Item = RegionName>,
        wake: &Arc<Notify>,
    ) -> Result<Self, log_store::Error> {
        let mut logs = BTreeMap::new();
        for origin in regions {
            let log = store.log(origin)?;
            // Of a copy, the sender has the record still: it was not acknowledged unless it was durable. Until it is dropped, the
            // log takes no other.
            if origin != region
                && let Some(last) = log.recovery().damaged_last
            {
                tracing::warn!(
                    "the last record of the copy of {origin}'s log is damaged ({}): it is pulled again",
                    last.number
                );
                log.drop_damaged_last()?;
            }
            let durable = watch::Sender::new(log.durable());
            let (sender, wake) = (durable.clone(), wake.clone());
            log.on_durable(move |number| {
                sender.send_replace(number);
                wake.notify_waiters();
            });
            logs.insert(origin, Arc::new(OriginLog { log, durable }));
        }
        Ok(Self { region, logs, acknowledged: Mutex::default(), filters: Arc::default(), spool: None })
    }

    /// The same, with the logs of other origins seen through filters.
    pub(crate) fn through(self, filters: &Filters) -> Self {
        Self { filters: Arc::new(filters.clone()), ..self }
    }

    /// The same, with a folder for what is too large for memory.
    pub(crate) fn spooling(self, dir: &Path) -> Self {
        Self { spool: Some(dir.to_owned()), ..self }
    }

    /// Where to put what is too large for memory; `None`: nowhere.
    pub(crate) fn spool(&self) -> Option<&Path> {
        self.spool.as_deref()
    }

    /// The filters through which other origins' logs are seen.
    pub(crate) fn filters(&self) -> &Filters {
        &self.filters
    }

    /// The log of a region of the mesh.
    pub(crate) fn get(&self, origin: RegionName) -> &Arc<OriginLog> {
        &self.logs[&origin]
    }

    /// The copy of another region's log; `None` if this one holds none.
    pub(crate) fn copy(&self, origin: RegionName) -> Option<&Arc<OriginLog>> {
        self.logs.get(&origin).filter(|_| origin != self.region)
    }

    /// This region's own log.
    pub(crate) fn own(&self) -> &Arc<OriginLog> {
        self.get(self.region)
    }

    /// All logs, by origin.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RegionName, &Arc<OriginLog>)> {
        self.logs.iter().map(|(origin, log)| (*origin, log))
    }

    /// The last record of our own log that `peer` says is durable there.
    pub(crate) fn acknowledged(&self, peer: RegionName) -> RecordNumber {
        self.acknowledged.lock().get(&(peer, self.region)).copied().unwrap_or_default()
    }

    /// What this region holds, for its beats.
    pub(crate) fn holdings(&self) -> Vec<link::Holding> {
        self.iter()
            .map(|(origin, entry)| link::Holding {
                origin,
                first: entry.log.first(),
                durable: entry.log.durable(),
            })
            .collect()
    }
}

impl Logs for LogSet {
    fn reader(&self, origin: RegionName, from: RecordNumber) -> Result<Box<dyn RecordReader>, Halt> {
        let entry = self.logs.get(&origin).ok_or_else(|| unknown(origin))?;
        // Retention may take records that follow the last applied transaction and are no transactions, also under a reader
        // that stands there. A missing transaction is found by its number (`Feed`).
        let from = if from <= RecordNumber(1) { RecordNumber(0) } else { from };
        Ok(Box::new(Reader(entry.log.read_held_from(from))))
    }

    fn view(&self, origin: RegionName) -> Option<Arc<dyn View>> {
        // What this region wrote is as it is.
        let sees = origin != self.region && !self.filters.0.is_empty();
        sees.then(|| self.filters.clone() as Arc<dyn View>)
    }

    fn is_lossy(&self, schema: &str, table: &str) -> bool {
        self.filters.making(schema, table).is_some_and(TableFilter::is_lossy)
    }

    fn find(&self, origin: RegionName, sequence: Sequence) -> Result<Option<RecordNumber>, Halt> {
        let entry = self.logs.get(&origin).ok_or_else(|| unknown(origin))?;
        Ok(entry.log.find_sequence(sequence)?)
    }
}

fn unknown(origin: RegionName) -> Halt {
    REGION_UNKNOWN.halt(format_args!("region {origin} is not in [mesh]"))
}

struct Reader(LogReader);

impl RecordReader for Reader {
    fn next(&mut self) -> Result<Option<&[u8]>, Halt> {
        Ok(self.0.next_record()?.map(|record| record.bytes))
    }
}

impl LogProvider for LogSet {
    fn open(
        &self,
        _peer: RegionName,
        origin: RegionName,
        from: RecordNumber,
        held: Vec<HeldRecord>,
    ) -> BoxFuture<'_, Result<Box<dyn RecordStream>, ProviderError>> {
        Box::pin(async move {
            let entry = self.logs.get(&origin).ok_or(ProviderError::UnknownOrigin)?;
            let last = entry.log.durable();
            if origin == self.region && from > last.next() {
                return Err(ProviderError::Ahead { asked: from, last });
            }
            let (durable, log) = (entry.durable.subscribe(), entry.log.clone());
            let opening = move || match held::differs(&log, from, &held).map_err(provider_error)? {
                Some(number) => Err(ProviderError::Differs { number }),
                None => Ok((log.read_from(from).map_err(provider_error)?, log)),
            };
            let opened = tokio::task::spawn_blocking(opening).await;
            let (reader, log) = opened.map_err(|e| ProviderError::Unavailable(e.to_string()))??;
            let read = Some(Reading { reader, held: None, ended: RecordNumber(0) });
            Ok(Box::new(Stream { read, at_end: false, durable, log }) as Box<dyn RecordStream>)
        })
    }

    fn acknowledged(&self, peer: RegionName, origin: RegionName, durable: RecordNumber) {
        self.acknowledged.lock().insert((peer, origin), durable);
    }
}

fn provider_error(error: log_store::Error) -> ProviderError {
    match error {
        log_store::Error::Removed { number, first, .. } => ProviderError::Gone { asked: number, first },
        other => ProviderError::Unavailable(other.to_string()),
    }
}

struct Stream {
    /// Away while a thread reads with it.
    read: Option<Reading>,
    /// The last read came to the end of what was durable: what comes next was written since, and lies in memory.
    at_end: bool,
    durable: watch::Receiver<RecordNumber>,
    log: Arc<Log>,
}

/// A reader that hands out no chunk before its chain is whole.
///
/// A restart of the origin drops an unfinished chain and may number other records in its place; what a peer was sent
/// would then not be what the log holds.
struct Reading {
    reader: LogReader,
    /// A chunk that was read and is not to be sent yet.
    held: Option<(RecordNumber, Vec<u8>)>,
    /// The last durable end of a transaction that was looked up: every chunk before it is part of a whole chain.
    ended: RecordNumber,
}

impl Reading {
    /// The next records: bytes, and their first and last number.
    fn next_batch(&mut self, log: &Log, bytes_max: usize) -> Result<Option<RecordBatch>, log_store::Error> {
        let mut bytes = Vec::new();
        let (mut first, mut last) = (RecordNumber(0), RecordNumber(0));
        while bytes.len() < bytes_max {
            if self.held.is_none() {
                self.held = match self.reader.next_record()? {
                    Some(raw) if raw.header.kind == RecordKind::Chunk => {
                        Some((raw.header.number, raw.bytes.to_vec()))
                    }
                    Some(raw) if bytes.is_empty() || bytes.len() + raw.bytes.len() <= bytes_max => {
                        last = raw.header.number;
                        first = if first == RecordNumber(0) { last } else { first };
                        bytes.extend_from_slice(raw.bytes);
                        continue;
                    }
                    Some(raw) => {
                        // No chunk, so whole by itself: a repair must not wait for the transaction after it.
                        self.ended = self.ended.max(raw.header.number);
                        Some((raw.header.number, raw.bytes.to_vec()))
                    }
                    None => break,
                };
            }
            let Some((number, record)) = &self.held else { break };
            if self.ended < *number {
                self.ended = log.find_last(RecordKind::Transaction)?.unwrap_or_default();
                let other = log.find_last(RecordKind::Position)?.unwrap_or_default();
                self.ended = self.ended.max(other);
            }
            let whole = self.ended >= *number;
            if !whole || !bytes.is_empty() && bytes.len() + record.len() > bytes_max {
                break;
            }
            last = *number;
            first = if first == RecordNumber(0) { last } else { first };
            bytes.extend_from_slice(record);
            self.held = None;
        }
        let count = if bytes.is_empty() { return Ok(None) } else { (last.0 - first.0 + 1) as u32 };
        Ok(Some(RecordBatch { bytes, count, first, last, durable: log.durable() }))
    }
}

impl RecordStream for Stream {
    fn next_batch(&mut self, bytes_max: usize) -> BoxFuture<'_, Result<RecordBatch, ProviderError>> {
        Box::pin(async move {
            loop {
                self.durable.borrow_and_update();
                let Some(mut reading) = self.read.take() else {
                    return Err(ProviderError::Unavailable(
                        "the reader of this log was lost in a cancelled read".into(),
                    ));
                };
                let log = self.log.clone();
                let read = move || {
                    let batch = reading.next_batch(&log, bytes_max);
                    (reading, batch)
                };
                let (reading, batch) = if self.at_end {
                    read()
                } else {
                    let thread = tokio::task::spawn_blocking(read);
                    thread.await.map_err(|e| ProviderError::Unavailable(e.to_string()))?
                };
                self.read = Some(reading);
                let batch = batch.map_err(provider_error)?;
                self.at_end = batch.as_ref().is_none_or(|batch| batch.last == batch.durable);
                if let Some(batch) = batch {
                    return Ok(batch);
                }
                if self.durable.changed().await.is_err() {
                    return Err(ProviderError::Unavailable("this region is stopping".into()));
                }
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use log_store::{Identity, Options};
    use transaction::record::{Body, Record};

    use super::*;
    use crate::status::sample;

    #[test]
    fn a_copy_whose_last_record_is_damaged_takes_that_record_again() {
        let dir = tempfile::tempdir().unwrap();
        let region = |name: &str| RegionName::new(name).unwrap();
        let (eu, us) = (region("eu"), region("us"));
        let open = || {
            let identity = Identity { mesh: "shop".to_owned(), region: eu };
            let store = Store::open(dir.path(), identity, Options::default()).unwrap();
            LogSet::open(&store, eu, [eu, us].into_iter(), &Arc::new(Notify::new()))
        };
        let records = [sample::transaction(1, 1, 10), sample::transaction(2, 2, 20)];
        {
            let logs = open().unwrap();
            for record in &records {
                logs.get(us).log.append(record).unwrap();
            }
            logs.get(us).log.sync().unwrap();
        }
        let folder = dir.path().join("us");
        let segment = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let segment =
            segment.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "seg")).unwrap();
        let mut bytes = std::fs::read(&segment).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        let logs = open().unwrap();
        assert_eq!(logs.get(us).log.durable(), RecordNumber(1));
        logs.get(us).log.append(&records[1]).unwrap();
        logs.get(us).log.sync().unwrap();
        assert_eq!(logs.get(us).log.durable(), RecordNumber(2));
    }

    #[test]
    fn a_repair_that_does_not_fit_into_a_batch_goes_with_the_next_one_though_nothing_follows_it() {
        let dir = tempfile::tempdir().unwrap();
        let eu = RegionName::new("eu").unwrap();
        let identity = Identity { mesh: "shop".to_owned(), region: eu };
        let store = Store::open(dir.path(), identity, Options::default()).unwrap();
        let logs = LogSet::open(&store, eu, [eu].into_iter(), &Arc::new(Notify::new())).unwrap();
        let log = &logs.own().log;
        let first = sample::transaction(1, 1, 10);
        let bytes = sample::transaction(2, 2, 20);
        let mut record = Record::decode(&bytes).unwrap();
        let Body::Transaction(transaction) = record.body else { panic!("a sample of a transaction") };
        record.body = Body::Repair { places: Vec::new(), transaction };
        let mut repair = Vec::new();
        record.encode(&mut repair);
        log.append(&first).unwrap();
        log.append(&repair).unwrap();
        log.sync().unwrap();
        let reader = log.read_from(RecordNumber(1)).unwrap();
        let mut reading = Reading { reader, held: None, ended: RecordNumber(0) };
        let mut next = || reading.next_batch(log, first.len() + 1).unwrap().map(|batch| batch.last);
        assert_eq!([next(), next(), next()], [Some(RecordNumber(1)), Some(RecordNumber(2)), None]);
    }
}
