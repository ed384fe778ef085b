//! The receiving end of a pull: what comes is appended to this region's copy of a log, and synced.

use std::sync::Arc;

use link::{BoxFuture, HeldRecord, RecordBatch, RecordSink, SinkError};
use parking_lot::Mutex;
use transaction::{RecordNumber, RegionName};

use super::held;
use super::logs::OriginLog;
use super::quota::Quota;
use crate::code::PANICKED;

/// Receives one origin's log.
pub(crate) struct Sink {
    entry: Arc<OriginLog>,
    quota: Quota,
    /// Held while a thread stores.
    storing: Arc<Mutex<()>>,
    /// Told the last record received and the last that the provider holds.
    received: Box<dyn Fn(RecordNumber, RecordNumber) + Send + Sync>,
    /// Told who accepted the pull.
    connected: Box<dyn Fn(RegionName, RecordNumber) + Send + Sync>,
}

impl Sink {
    pub(crate) fn new(
        entry: Arc<OriginLog>,
        quota: Quota,
        connected: impl Fn(RegionName, RecordNumber) + Send + Sync + 'static,
        received: impl Fn(RecordNumber, RecordNumber) + Send + Sync + 'static,
    ) -> Self {
        let (received, connected) = (Box::new(received), Box::new(connected));
        Self { entry, quota, storing: Arc::default(), received, connected }
    }
}

impl RecordSink for Sink {
    fn next_number(&self) -> RecordNumber {
        let _done = self.storing.lock();
        match self.entry.log.last_appended() {
            RecordNumber(0) => RecordNumber(0),
            last => last.next(),
        }
    }

    fn held(&self, next: RecordNumber) -> BoxFuture<'_, Result<Vec<HeldRecord>, SinkError>> {
        let log = self.entry.log.clone();
        Box::pin(async move {
            let held =
                tokio::task::spawn_blocking(move || held::before(&log, next)).await.map_err(panicked)?;
            held.map_err(|error| SinkError(error.into()))
        })
    }

    fn store(&self, batches: Vec<RecordBatch>) -> BoxFuture<'_, Result<RecordNumber, SinkError>> {
        let (log, storing, quota) = (self.entry.log.clone(), self.storing.clone(), self.quota);
        Box::pin(async move {
            quota.may_store(&log).map_err(SinkError)?;
            let stored = tokio::task::spawn_blocking(move || {
                let _storing = storing.lock();
                for batch in batches {
                    log.append(&batch.bytes)?;
                }
                log.sync()
            });
            stored.await.map_err(panicked)?.map_err(|error| SinkError(error.into()))
        })
    }

    fn connected(&self, peer: &link::Peer, durable: RecordNumber) {
        (self.connected)(peer.region, durable);
    }

    fn received(&self, last: RecordNumber, durable: RecordNumber) {
        (self.received)(last, durable);
    }
}

fn panicked(error: tokio::task::JoinError) -> SinkError {
    SinkError(PANICKED.halt(format_args!("the thread that stores records ended: {error}")))
}
