//! Two regions in one process: logs in memory, certificates made on the spot, and ears for what the link tells.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use link::{
    Answer, Beat, BoxFuture, Control, Formats, Heard, HeldRecord, Holding, Identity, Link, LinkError,
    LogProvider, Options, Peer, ProviderError, RecordBatch, RecordSink, RecordStream, Security, SinkError,
    Target, Tls, TlsFiles,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use transaction::record::{self, Body, Lineage};
use transaction::{Epoch, HaltCode, Hlc, Incarnation, Record, RecordNumber, RegionName, Sequence};

/// What a sink says that fails.
pub const DISK_FULL: HaltCode = HaltCode::new("disk-full");

pub fn name(text: &str) -> RegionName {
    RegionName::new(text).unwrap()
}

/// Ends a test that would otherwise hang; far beyond what anything here takes.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("this never happened")
}

pub fn identity(region: &str) -> Identity {
    Identity {
        region: name(region),
        regions: ["eu", "us", "ap", "_odd_1_"].map(name).into(),
        mesh: "shop".into(),
        mesh_fingerprint: [0xab; 32],
        mesh_description: "epoch = 1\ninclude = shop.*".into(),
        epoch: Epoch(1),
        formats: Formats::only(1),
        software: "0.1.0".into(),
    }
}

/// A record of some length; the same number and length give the same bytes.
pub fn encoded(number: u64, len: usize) -> Vec<u8> {
    let events: Vec<u8> = (0..len).map(|at| (at as u64 * 31 + number) as u8 % 61).collect();
    let mut bytes = Vec::new();
    Record {
        number: RecordNumber(number),
        sequence: Sequence(0),
        hlc: Hlc(number),
        lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
        event_checksums: false,
        body: Body::Chunk { index: 0, events: &events },
    }
    .encode(&mut bytes);
    bytes
}

/// A log in memory, all of it durable. Readers wait for more.
pub struct MemoryLog {
    first: u64,
    records: watch::Sender<Vec<Arc<Vec<u8>>>>,
}

impl MemoryLog {
    pub fn new(first: u64, lens: impl IntoIterator<Item = usize>) -> Arc<Self> {
        let records = lens.into_iter().zip(first..).map(|(len, number)| Arc::new(encoded(number, len)));
        Arc::new(Self { first, records: watch::Sender::new(records.collect()) })
    }

    pub fn push(&self, len: usize) {
        self.records.send_modify(|records| {
            let number = self.first + records.len() as u64;
            records.push(Arc::new(encoded(number, len)));
        });
    }

    pub fn damage(&self, number: u64) {
        self.records.send_modify(|records| {
            let record = Arc::make_mut(&mut records[(number - self.first) as usize]);
            let last = record.len() - 1;
            record[last] ^= 1;
        });
    }

    /// The record of that number, as a receiver tells of it.
    pub fn held(&self, number: u64) -> HeldRecord {
        let record = self.records.borrow()[(number - self.first) as usize].clone();
        let checksum = transaction::record::verify(&record).unwrap().checksum;
        HeldRecord { number: RecordNumber(number), checksum }
    }

    pub fn end(&self) -> u64 {
        self.first + self.records.borrow().len() as u64
    }

    pub fn bytes(&self, from: u64) -> Vec<u8> {
        self.records
            .borrow()
            .iter()
            .skip((from - self.first) as usize)
            .flat_map(|r| r.iter().copied())
            .collect()
    }
}

struct MemoryReader {
    next: u64,
    first: u64,
    records: watch::Receiver<Vec<Arc<Vec<u8>>>>,
}

impl RecordStream for MemoryReader {
    fn next_batch(&mut self, bytes_max: usize) -> BoxFuture<'_, Result<RecordBatch, ProviderError>> {
        Box::pin(async move {
            let at = (self.next - self.first) as usize;
            let held = self.records.wait_for(|records| records.len() > at).await;
            let held = held.map_err(|_| ProviderError::Unavailable("the log was closed".into()))?;
            let mut bytes = Vec::new();
            let mut count = 0;
            for record in &held[at..] {
                if count > 0 && bytes.len() + record.len() > bytes_max {
                    break;
                }
                bytes.extend_from_slice(record);
                count += 1;
            }
            let first = RecordNumber(self.next);
            self.next += u64::from(count);
            let durable = RecordNumber(self.first + held.len() as u64 - 1);
            Ok(RecordBatch { bytes, count, first, last: RecordNumber(self.next - 1), durable })
        })
    }
}

/// The logs of a region.
#[derive(Default)]
pub struct Logs {
    pub held: HashMap<RegionName, Arc<MemoryLog>>,
    pub acknowledged: watch::Sender<u64>,
}

impl LogProvider for Logs {
    fn open(
        &self,
        _peer: RegionName,
        origin: RegionName,
        from: RecordNumber,
        held: Vec<HeldRecord>,
    ) -> BoxFuture<'_, Result<Box<dyn RecordStream>, ProviderError>> {
        Box::pin(async move {
            let log = self.held.get(&origin).ok_or(ProviderError::UnknownOrigin)?;
            let first = RecordNumber(log.first);
            if from.0 != 0 && from < first {
                return Err(ProviderError::Gone { asked: from, first });
            }
            if from.0 > log.end() {
                return Err(ProviderError::Ahead { asked: from, last: RecordNumber(log.end() - 1) });
            }
            if let Some(other) = held.iter().find(|held| log.held(held.number.0) != **held) {
                return Err(ProviderError::Differs { number: other.number });
            }
            let next = from.0.max(log.first);
            let reader = MemoryReader { next, first: log.first, records: log.records.subscribe() };
            Ok(Box::new(reader) as Box<dyn RecordStream>)
        })
    }

    fn acknowledged(&self, _peer: RegionName, _origin: RegionName, durable: RecordNumber) {
        self.acknowledged.send_replace(durable.0);
    }
}

/// A copy in memory, with a gate that holds its stores back and a count of calls under way.
pub struct MemorySink {
    pub next: u64,
    /// What it tells of the records before.
    pub held: Vec<HeldRecord>,
    pub stored: watch::Sender<Vec<u8>>,
    pub received: watch::Sender<u64>,
    pub connected: watch::Sender<Option<(Peer, u64)>>,
    pub gate: watch::Sender<bool>,
    pub failing: bool,
    pub under_way: AtomicUsize,
}

impl MemorySink {
    pub fn from(next: u64) -> Arc<Self> {
        Arc::new(Self::new(next))
    }

    pub fn new(next: u64) -> Self {
        Self {
            next,
            held: Vec::new(),
            stored: watch::Sender::default(),
            received: watch::Sender::default(),
            connected: watch::Sender::default(),
            gate: watch::Sender::new(true),
            failing: false,
            under_way: AtomicUsize::new(0),
        }
    }

    pub async fn holds(&self, bytes: &[u8]) {
        let mut stored = self.stored.subscribe();
        let stored = soon(stored.wait_for(|stored| stored.len() >= bytes.len())).await.unwrap();
        assert!(*stored == bytes, "other bytes than were sent: {} of {}", stored.len(), bytes.len());
    }

    pub fn idle(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) == 0
    }
}

impl RecordSink for MemorySink {
    fn next_number(&self) -> RecordNumber {
        RecordNumber(self.next)
    }

    fn held(&self, _: RecordNumber) -> BoxFuture<'_, Result<Vec<HeldRecord>, SinkError>> {
        Box::pin(async { Ok(self.held.clone()) })
    }

    fn store(&self, batches: Vec<RecordBatch>) -> BoxFuture<'_, Result<RecordNumber, SinkError>> {
        Box::pin(async move {
            assert_eq!(self.under_way.fetch_add(1, Ordering::SeqCst), 0, "two calls of store at once");
            self.gate.subscribe().wait_for(|open| *open).await.unwrap();
            if self.failing {
                self.under_way.fetch_sub(1, Ordering::SeqCst);
                return Err(SinkError(DISK_FULL.halt("disk full")));
            }
            let mut last = RecordNumber(0);
            for batch in batches {
                last = batch.last;
                self.stored.send_modify(|stored| stored.extend_from_slice(&batch.bytes));
            }
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            Ok(last)
        })
    }

    fn connected(&self, peer: &Peer, durable: RecordNumber) {
        self.connected.send_replace(Some((peer.clone(), durable.0)));
    }

    fn received(&self, last: RecordNumber, _durable: RecordNumber) {
        self.received.send_replace(last.0);
    }
}

/// Says one thing, notes what it hears, answers a few questions.
pub struct Region {
    pub wall_us: u64,
    pub beat: Beat,
    pub heard: watch::Sender<Vec<(RegionName, Heard)>>,
    pub server_errors: watch::Sender<Vec<String>>,
    pub asked: Mutex<Vec<(RegionName, String, Vec<u8>)>>,
    /// Parts produced so far, and whether the producer has noticed that nobody listens any more.
    pub produced: watch::Sender<usize>,
    pub abandoned: watch::Sender<bool>,
}

impl Region {
    pub fn new(wall_us: u64) -> Arc<Self> {
        let holdings =
            vec![Holding { origin: name("us"), first: RecordNumber(1), durable: RecordNumber(77) }];
        Arc::new(Self {
            wall_us,
            beat: Beat { holdings, unstable: 3, stable: false, blocked: false },
            heard: watch::Sender::default(),
            server_errors: watch::Sender::default(),
            asked: Mutex::default(),
            produced: watch::Sender::default(),
            abandoned: watch::Sender::default(),
        })
    }

    pub async fn server_error(&self) -> String {
        let mut errors = self.server_errors.subscribe();
        soon(errors.wait_for(|errors| !errors.is_empty())).await.unwrap()[0].clone()
    }
}

/// What region questions of a kind are answered with.
pub fn parts(kind: &str) -> Vec<Vec<u8>> {
    match kind {
        "sizes" => [0, 1, 1000, 700_000, 0, 20_000_000, 5].map(|len| vec![7; len]).into(),
        "many" => (0..1000_u32).map(|n| n.to_le_bytes().repeat(250)).collect(),
        "broken" | "failing" => vec![b"a part".to_vec()],
        _ => Vec::new(),
    }
}

/// `Control` with access to the shared region, for the producer's task.
pub struct Ears(pub Arc<Region>);

impl Control for Ears {
    fn wall_us(&self) -> u64 {
        self.0.wall_us
    }

    fn beat(&self) -> Beat {
        self.0.beat.clone()
    }

    fn on_beat(&self, peer: RegionName, heard: Heard) {
        self.0.heard.send_modify(|all| all.push((peer, heard)));
    }

    fn ask(&self, peer: RegionName, kind: String, payload: Vec<u8>) -> mpsc::Receiver<Answer> {
        let (sender, receiver) = mpsc::channel(link::ANSWER_QUEUE);
        let region = self.0.clone();
        region.asked.lock().unwrap().push((peer, kind.clone(), payload));
        tokio::spawn(async move {
            for part in parts(&kind) {
                if sender.send(Answer::Part(part)).await.is_err() {
                    region.abandoned.send_replace(true);
                    return;
                }
                region.produced.send_modify(|count| *count += 1);
            }
            let last = match kind.as_str() {
                "broken" => return,
                "failing" => Answer::Failed("table shop.orders is gone".into()),
                "never" => {
                    sender.closed().await;
                    region.abandoned.send_replace(true);
                    return;
                }
                _ => Answer::End,
            };
            let _ = sender.send(last).await;
        });
        receiver
    }

    fn on_server_error(&self, _peer: Option<RegionName>, _address: SocketAddr, error: &LinkError) {
        self.0.server_errors.send_modify(|all| all.push(error.to_string()));
    }
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy)]
pub enum Valid {
    Now,
    LongAgo,
    Later,
}

/// A certificate authority in a folder.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Ca {
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder: folder.to_owned() }
    }

    /// Certificate and key for `region`, bearing the name `san`.
    pub fn issue(&self, file: &str, san: &str, valid: Valid) -> TlsFiles {
        let mut params = CertificateParams::new([san.to_owned()]).unwrap();
        let year = match valid {
            Valid::Now => None,
            Valid::LongAgo => Some(2020),
            Valid::Later => Some(3000),
        };
        if let Some(year) = year {
            params.not_before = rcgen::date_time_ymd(year, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 2, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = TlsFiles {
            ca: self.folder.join("ca.pem"),
            cert: self.folder.join(format!("{file}.pem")),
            key: self.folder.join(format!("{file}.key")),
        };
        std::fs::write(&files.cert, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    pub fn security(&self, region: &str) -> Security {
        Security::Mutual(Tls::load(&self.issue(region, region, Valid::Now), name(region)).unwrap())
    }
}

pub fn options() -> Options {
    let renew_every = Duration::from_millis(20);
    Options { heartbeat: Duration::from_millis(50), renew_every, ..Options::default() }
}

/// A region that serves its log of `us` over real sockets.
pub struct Served {
    pub target: Target,
    pub region: Arc<Region>,
    pub logs: Arc<Logs>,
    pub shutdown: watch::Sender<bool>,
    pub task: JoinHandle<()>,
}

pub async fn serve(identity: Identity, security: Security, options: Options, log: &Arc<MemoryLog>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let region = Region::new(5_000_000);
    let target = Target { region: identity.region, address };
    let logs = Arc::new(Logs { held: [(name("us"), log.clone())].into(), ..Logs::default() });
    let link = Link::new(identity, security, options, Arc::new(Ears(region.clone())));
    let (shutdown, flag) = watch::channel(false);
    let provider = logs.clone();
    let task = tokio::spawn(async move { link.serve(listener, provider, flag).await });
    Served { target, region, logs, shutdown, task }
}

/// The link of a region that only pulls and asks.
pub fn client(region: &str, security: Security) -> Link {
    Link::new(identity(region), security, options(), Arc::new(Ears(Region::new(5_000_000))))
}

/// Pulls the log of `us` in the background.
pub fn pull(link: &Link, target: &Target, sink: &Arc<MemorySink>) -> JoinHandle<LinkError> {
    let (link, target, sink) = (link.clone(), target.clone(), sink.clone());
    tokio::spawn(async move {
        match link.pull(&target, name("us"), sink.as_ref()).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    })
}

/// Reads a batch's record numbers, to see what a test sent.
pub fn numbers(mut bytes: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Ok(header) = record::verify(bytes) {
        numbers.push(header.number.0);
        bytes = &bytes[header.record_len()..];
    }
    numbers
}
