//! A peer's copy of a log, read through the link from any record on: to complete or to mend the one that is held here.

use applier::code::INTERNAL_ERROR;
use link::{BoxFuture, Link, LinkError, RecordBatch, RecordSink, RefusalCode, SinkError, Target};
use log_store::RecordSource;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use transaction::{RecordNumber, RegionName};

/// Batches that may wait to be taken; the link holds the peer back beyond that.
const BATCHES_AHEAD: usize = 4;

/// The copy of `origin`'s log that one peer holds.
pub(crate) struct PeerCopy {
    link: Link,
    target: Target,
    origin: RegionName,
    pull: Option<Pull>,
}

/// A pull under way.
struct Pull {
    next: RecordNumber,
    batches: mpsc::Receiver<RecordBatch>,
    /// The last record that the peer holds; `None` before it has said so.
    held: watch::Receiver<Option<RecordNumber>>,
    task: JoinHandle<LinkError>,
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PeerCopy {
    /// Connects when it is first read.
    pub(crate) fn new(link: Link, target: Target, origin: RegionName) -> Self {
        Self { link, target, origin, pull: None }
    }

    /// Whole encoded records, the first of them number `from`; `None` if the copy ends before it. The error says why the peer
    /// cannot be read, and what to do.
    pub(crate) async fn records(&mut self, from: RecordNumber) -> Result<Option<Vec<u8>>, String> {
        if self.pull.as_ref().is_none_or(|pull| pull.next != from) {
            self.pull = None;
        }
        let pull = self.pull.get_or_insert_with(|| begin(&self.link, &self.target, self.origin, from));
        let batch = tokio::select! {
            biased;
            batch = pull.batches.recv() => batch,
            _ = pull.held.wait_for(|held| held.is_some_and(|held| held < from)) => return Ok(None),
        };
        if let Some(batch) = batch {
            pull.next = batch.last.next();
            return Ok(Some(batch.bytes));
        }
        let ended = (&mut pull.task).await;
        self.pull = None;
        match ended {
            Ok(error) if error.refusal().is_some_and(|refusal| refusal.code == RefusalCode::Ahead) => {
                Ok(None)
            }
            Ok(LinkError::Unreachable { peer, reason }) => Err(format!(
                "region {peer} is away: {reason}; start concord there, or take the records from another region"
            )),
            Ok(error) => Err(error.to_string()),
            Err(error) => Err(format!("the pull from {} ended: {error}", self.target.region)),
        }
    }
}

fn begin(link: &Link, target: &Target, origin: RegionName, from: RecordNumber) -> Pull {
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
    let (told, held) = watch::channel(None);
    let taker = Taker { from, batches: sender, held: told };
    let (link, target) = (link.clone(), target.clone());
    let task = tokio::spawn(async move {
        match link.pull(&target, origin, &taker).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    });
    Pull { next: from, batches, held, task }
}

/// Hands on what comes.
struct Taker {
    from: RecordNumber,
    batches: mpsc::Sender<RecordBatch>,
    held: watch::Sender<Option<RecordNumber>>,
}

impl RecordSink for Taker {
    fn next_number(&self) -> RecordNumber {
        self.from
    }

    fn store(&self, batches: Vec<RecordBatch>) -> BoxFuture<'_, Result<RecordNumber, SinkError>> {
        Box::pin(async move {
            let mut last = RecordNumber(0);
            for batch in batches {
                last = batch.last;
                let taken = self.batches.send(batch).await;
                // Ends the pull; nobody is told.
                taken.map_err(|_| SinkError(INTERNAL_ERROR.halt("no more of it is needed")))?;
            }
            Ok(last)
        })
    }

    fn connected(&self, _: &link::Peer, durable: RecordNumber) {
        self.held.send_replace(Some(durable));
    }

    fn received(&self, _: RecordNumber, durable: RecordNumber) {
        self.held.send_replace(Some(durable));
    }
}

/// For a thread that may wait.
pub(crate) struct Blocking(pub(crate) PeerCopy, pub(crate) Handle);

impl RecordSource for Blocking {
    type Error = String;

    fn records(&mut self, from: RecordNumber) -> Result<Option<Vec<u8>>, String> {
        self.1.block_on(self.0.records(from))
    }
}
