//! Logs in memory, rules, and records, for tests without a server.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::Arc;

use applier::code::LOG_INCOMPLETE;
use applier::ddl::{self, DdlPolicies, DdlPolicy};
use applier::effect::{Carries, Rules, SourceTransaction};
use applier::feed::Gate;
use applier::logs::{Logs, RecordReader};
use parking_lot::Mutex;
use transaction::binlog::{TableMap, Tables};
use transaction::key::Collation;
use transaction::record::{Body, Lineage, PositionBody, Record, TransactionBody};
use transaction::{
    Context, Epoch, Gtid, Halt, Hlc, Incarnation, RecordNumber, RegionName, RepairPlace, Sequence, Weights,
};

pub fn name(text: &str) -> RegionName {
    RegionName::new(text).unwrap()
}

/// A table map from its event.
pub fn table(event: &[u8]) -> Arc<TableMap> {
    Tables::default().note(&event[19..event.len() - 4]).unwrap().clone()
}

/// Knows collation 255, whose weights it must ask for, and 46, which is binary.
pub fn weights() -> Weights {
    let collation =
        |id, name: &str| Collation { id, name: name.into(), charset: "utf8mb4".into(), pad_space: false };
    Weights::new([collation(255, "utf8mb4_0900_ai_ci"), collation(46, "utf8mb4_bin")])
}

/// All tables but those of schema `concord`.
pub fn carries() -> Carries {
    Arc::new(|schema, _| schema != "concord")
}

pub struct TestRules {
    pub carries: Carries,
    pub weights: Weights,
    pub ddl: DdlPolicies,
}

impl Default for TestRules {
    fn default() -> Self {
        Self { carries: carries(), weights: weights(), ddl: ddl::always(DdlPolicy::Halt) }
    }
}

impl TestRules {
    pub fn rules(&self) -> Rules<'_> {
        Rules { carries: &self.carries, weights: &self.weights, ddl: &self.ddl }
    }
}

/// One log of origin `us`, to which a test appends while a feed reads it.
#[derive(Clone, Default)]
pub struct OneLog(pub Arc<Mutex<Vec<Vec<u8>>>>);

struct Reader {
    log: OneLog,
    next: usize,
    current: Vec<u8>,
}

impl RecordReader for Reader {
    fn next(&mut self) -> Result<Option<&[u8]>, Halt> {
        let records = self.log.0.lock();
        let Some(record) = records.get(self.next) else { return Ok(None) };
        self.current.clone_from(record);
        self.next += 1;
        Ok(Some(&self.current))
    }
}

impl Logs for OneLog {
    fn reader(&self, _: RegionName, from: RecordNumber) -> Result<Box<dyn RecordReader>, Halt> {
        let next = (from.0 as usize)
            .checked_sub(1)
            .ok_or_else(|| LOG_INCOMPLETE.halt("records are numbered from 1"))?;
        Ok(Box::new(Reader { log: self.clone(), next, current: Vec::new() }))
    }

    fn find(&self, _: RegionName, sequence: Sequence) -> Result<Option<RecordNumber>, Halt> {
        let records = self.0.lock();
        let found = records
            .iter()
            .map(|raw| Record::decode(raw).unwrap())
            .find(|record| record.sequence == sequence && record.transaction().is_some());
        Ok(found.map(|record| record.number))
    }
}

impl OneLog {
    /// Appends a record with the next number.
    pub fn append(&self, sequence: u64, hlc: u64, body: Body<'_>) {
        let mut records = self.0.lock();
        let record = Record {
            number: RecordNumber(records.len() as u64 + 1),
            sequence: Sequence(sequence),
            hlc: Hlc(hlc),
            lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
            event_checksums: true,
            body,
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        records.push(bytes);
    }

    /// Appends a transaction, stamped 10 times its number.
    pub fn transaction(&self, sequence: u64, context: &[(&str, u64)], chunks: u32, events: &[u8]) {
        let context: Context =
            context.iter().map(|(origin, sequence)| (name(origin), Sequence(*sequence))).collect();
        let gtid = Gtid { number: sequence, ..Gtid::default() };
        let body = TransactionBody {
            context,
            suspended: Default::default(),
            gtid,
            commit_us: sequence * 10 + 1,
            chunks,
            events,
        };
        self.append(sequence, sequence * 10, Body::Transaction(body));
    }

    /// Appends repairs, stamped 10 times their number; their events have checksums here.
    pub fn repair(&self, sequence: u64, context: &[(&str, u64)], places: &[RepairPlace], events: &[u8]) {
        let context = context.iter().map(|(origin, sequence)| (name(origin), Sequence(*sequence))).collect();
        let gtid = Gtid { number: sequence, ..Gtid::default() };
        let body = TransactionBody {
            context,
            suspended: Default::default(),
            gtid,
            commit_us: sequence * 10 + 1,
            chunks: 0,
            events,
        };
        self.append(sequence, sequence * 10, Body::Repair { places: places.to_vec(), transaction: body });
    }

    pub fn chunk(&self, index: u32, events: &[u8]) {
        self.append(0, 0, Body::Chunk { index, events });
    }

    pub fn position(&self, last_sequence: u64, hlc: u64, context: &[(&str, u64)]) {
        let context = context.iter().map(|(origin, sequence)| (name(origin), Sequence(*sequence))).collect();
        let body = PositionBody {
            context,
            suspended: Default::default(),
            last_sequence: Sequence(last_sequence),
            wall_us: 1,
            executed: String::new(),
            file: String::new(),
            offset: 0,
        };
        self.append(0, hlc, Body::Position(body));
    }
}

/// A transaction without rows, stamped 10 times its number.
pub fn source(sequence: u64) -> SourceTransaction {
    SourceTransaction {
        sequence: Sequence(sequence),
        hlc: Hlc(sequence * 10),
        context: Context::new(),
        suspended: Default::default(),
        commit_us: 1,
        gtid: "00000000-0000-0000-0000-000000000001:1".parse().unwrap(),
        record: RecordNumber(sequence),
        session: None,
        repairs: Default::default(),
    }
}

/// A gate of region `eu` whose clock is far on.
pub fn open_gate(applied: &Context) -> Gate<'_> {
    Gate {
        region: name("eu"),
        tail: None,
        applied,
        now_us: 1 << 50,
        skew_us_max: 0,
        until: transaction::Sequence(u64::MAX),
    }
}
