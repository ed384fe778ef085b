//! Records and logs for the tests of this crate.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use log_store::disk::SimulatedDisk;
use log_store::{Identity, Log, Options, Store};
use transaction::record::{Body, Lineage, PositionBody, TransactionBody};
use transaction::{
    Context, Epoch, Gtid, Hlc, Incarnation, Record, RecordKind, RecordNumber, RegionName, RepairPlace,
    Sequence, Source, Tag, Uuid, WriteId,
};

pub fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

pub fn identity() -> Identity {
    Identity { mesh: "shop".into(), region: region("eu") }
}

pub fn small_segments() -> Options {
    Options { segment_bytes: 2_000, ..Options::default() }
}

/// A store of region eu in `/data` of a simulated disk.
pub fn store_on(disk: &SimulatedDisk) -> Result<Store, log_store::Error> {
    Store::open_on(Arc::new(disk.clone()), "/data", identity(), small_segments())
}

pub fn log_on(disk: &SimulatedDisk, origin: &str) -> Arc<Log> {
    store_on(disk).unwrap().log(region(origin)).unwrap()
}

/// The file of the segment of `origin` that begins with record `first`.
pub fn segment(origin: &str, first: u64) -> PathBuf {
    PathBuf::from(format!("/data/{origin}/{first:020}.seg"))
}

/// Encodes consecutive records, numbering them and their transactions.
#[derive(Clone)]
pub struct Writer {
    pub next: u64,
    pub sequence: u64,
}

impl Default for Writer {
    fn default() -> Self {
        Self { next: 1, sequence: 0 }
    }
}

/// The HLC that [`Writer`] gives record `number`.
pub fn hlc_of(number: u64) -> Hlc {
    Hlc(1_000_000 + number * 10)
}

impl Writer {
    /// A record of `kind` with `len` bytes of payload.
    pub fn record(&mut self, kind: RecordKind, len: usize) -> Vec<u8> {
        let number = self.next;
        self.next += 1;
        let counts = matches!(kind, RecordKind::Transaction | RecordKind::Repair);
        self.sequence += u64::from(counts);
        let events: Vec<u8> = (0..len).map(|at| (at as u64 * 31 + number * 7) as u8).collect();
        let context: Context = [(region("us"), Sequence(number))].into_iter().collect();
        let gtid = Gtid { source: Source { uuid: Uuid([7; 16]), tag: Tag::default() }, number };
        let transaction = TransactionBody {
            context: context.clone(),
            suspended: Default::default(),
            gtid,
            commit_us: number,
            chunks: 0,
            events: &events,
        };
        let body = match kind {
            RecordKind::Transaction => Body::Transaction(transaction),
            RecordKind::Repair => {
                let (origin, sequence) = (region("us"), Sequence(number));
                let root = WriteId { hlc: hlc_of(number - 1), origin, sequence, index: number as u32 };
                let places = [(root, 1), (WriteId { index: 0, ..root }, 7)];
                let places = places.map(|(root, level)| RepairPlace { root, level }).into();
                Body::Repair { places, transaction }
            }
            RecordKind::Chunk => Body::Chunk { index: 0, events: &events },
            RecordKind::Position => Body::Position(PositionBody {
                context,
                suspended: Default::default(),
                last_sequence: Sequence(self.sequence),
                wall_us: number,
                executed: "e".repeat(len),
                file: "binlog.000001".into(),
                offset: number,
            }),
            RecordKind::Incarnation => Body::Incarnation {
                previous_end: RecordNumber(number - 1),
                previous_sequence: Sequence(self.sequence),
            },
            RecordKind::Prepare => Body::Prepare { xid: "X'61',X'',1".into(), gtid, events: &events },
        };
        let record = Record {
            number: RecordNumber(number),
            sequence: Sequence(if counts { self.sequence } else { 0 }),
            hlc: hlc_of(number),
            lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
            event_checksums: true,
            body,
        };
        let mut out = Vec::new();
        record.encode(&mut out);
        out
    }

    pub fn transaction(&mut self, len: usize) -> Vec<u8> {
        self.record(RecordKind::Transaction, len)
    }
}

/// Every durable record of a log, as bytes.
pub fn read_all(log: &Arc<Log>) -> Vec<Vec<u8>> {
    let mut reader = log.read_from(RecordNumber(0)).unwrap();
    let mut all = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        all.push(record.bytes.to_vec());
    }
    all
}
