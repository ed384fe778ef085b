//! A status without trouble, for tests to change.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use applier::{OriginProgress, Shared};
use log_store::{Identity, Options, Store};
use tokio::sync::{Notify, watch};
use transaction::record::{Body, Lineage, Record, TransactionBody};
use transaction::{Context, Epoch, Gtid, Hlc, Incarnation, Weights};

use super::*;
use crate::region::board::{Board, ExtractorProgress};
use crate::region::journal::ConflictJournal;
use crate::region::logs::LogSet;

/// The board of the region `eu` of a mesh with `us`, whose logs are empty and lie in `dir`; nothing runs yet.
pub(crate) fn board(dir: &Path) -> Arc<Board> {
    let (eu, us): (RegionName, RegionName) = ("eu".parse().unwrap(), "us".parse().unwrap());
    let store =
        Store::open(dir, Identity { mesh: "shop".to_owned(), region: eu }, Options::default()).unwrap();
    let wake = Arc::new(Notify::new());
    let logs = Arc::new(LogSet::open(&store, eu, [eu, us].into_iter(), &wake).unwrap());
    let conflicts = Arc::new(ConflictJournal::open(&store).unwrap());
    let index = conflict::Index::new(&[eu, us], eu).unwrap();
    Arc::new(Board {
        region: eu,
        peers: vec![us],
        lost: parking_lot::Mutex::default(),
        mesh: "shop".to_owned(),
        fingerprint: "c0ffee".to_owned(),
        server: Arc::default(),
        tail: std::sync::OnceLock::new(),
        tail_progress: watch::Sender::default(),
        extractor: watch::Sender::new(ExtractorProgress::default()),
        origins: [(us, watch::Sender::new(OriginProgress::default()))].into(),
        pulls: parking_lot::Mutex::default(),
        heard: parking_lot::Mutex::default(),
        logs,
        quota: crate::region::quota::Quota(100 << 20),
        conflicts,
        suspensions: watch::Sender::default(),
        wishes: Arc::default(),
        shared: Arc::new(Shared::new(index, Weights::default())),
        wake,
    })
}

/// A transaction as the log keeps it, committed at `hlc`.
pub(crate) fn transaction(number: u64, sequence: u64, hlc: u64) -> Vec<u8> {
    let body = TransactionBody {
        context: Context::new(),
        suspended: Default::default(),
        gtid: Gtid::default(),
        commit_us: hlc,
        chunks: 0,
        events: &[],
    };
    let record = Record {
        number: RecordNumber(number),
        sequence: Sequence(sequence),
        hlc: Hlc(hlc),
        lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
        event_checksums: false,
        body: Body::Transaction(body),
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

/// A position record, which carries no sequence number.
pub(crate) fn position(number: u64, hlc: u64) -> Vec<u8> {
    let body = transaction::record::PositionBody {
        context: Context::new(),
        suspended: Default::default(),
        last_sequence: Sequence(0),
        wall_us: hlc,
        executed: String::new(),
        file: String::new(),
        offset: 0,
    };
    let record = Record {
        number: RecordNumber(number),
        sequence: Sequence(0),
        hlc: Hlc(hlc),
        lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
        event_checksums: false,
        body: Body::Position(body),
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

/// The region `eu` of a mesh with `us`, all well.
pub(crate) fn status() -> Status {
    serde_json::from_str(CONTRACT).unwrap()
}

/// The entry of an origin.
pub(crate) fn origin<'a>(status: &'a mut Status, name: &str) -> &'a mut Origin {
    status.origins.iter_mut().find(|origin| origin.origin.as_str() == name).unwrap()
}

/// What every reader of `/v1/status` may rely on.
const CONTRACT: &str = r#"{"region":"eu","mesh":"shop","fingerprint":"c0ffee","version":"0.1.0","state":"running","now_us":1700000001000000,
 "server":{"version":"9.7.4","uuid":"21eca99d-e6d3-11f1-93a5-02fc00000001"},
 "extractor":{"state":"running","incarnation":1,"sequence":123,"record":456,"durable_record":456,"file":"binlog.000002","offset":1234,"restart_file":"binlog.000001",
   "behind_bytes":0,"error":null,"code":null},
 "origins":[
  {"origin":"eu","self":true,"received_record":456,"durable_record":456,"durable_sequence":123,"origin_sequence":123,
   "applied_sequence":123,"applied_record":456,"lag_us":0,"paused":false,"transactions_applied":0,"rows_applied":0,
   "conflicts":0,"conflicts_won":0,"log_bytes":5242880,"log_quota_bytes":104857600},
  {"origin":"us","self":false,"received_record":10,"durable_record":10,"durable_sequence":9,"origin_sequence":9,
   "applied_sequence":9,"applied_record":10,"lag_us":1234,"paused":false,
   "link":{"state":"connected","via":"us","error":null,"code":null,"rtt_us":300},
   "applier":{"state":"running","has_marker":true,"waiting_for":null,"error":null,"code":null},
   "transactions_applied":9,"rows_applied":20,"conflicts":1,"conflicts_won":0,"offered_record":10,"lag_us_sum":9000}],
 "history":{"keys":3,"writes":3,"transactions":2,"bytes":300},
 "peers":[{"region":"us","acknowledged_record":455,"clock_difference_us":12,"unstable":0,"heard_us":1700000000000000,
   "stable":true,"rtt_us":300}],
 "lag_us":{"p50":800,"p99":3000,"count":1000},"transactions_not_durable_elsewhere":1,
 "seconds_not_durable_elsewhere":0.5,"stable":true,"stable_everywhere":true}"#;

#[test]
fn a_status_survives_the_way_from_server_to_command() {
    let mut status = status();
    status.state = State::Halted;
    origin(&mut status, "us").log_error = Some("x".to_owned());
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
}

#[test]
fn every_field_of_the_contract_is_sent_under_its_name() {
    let sent = serde_json::to_value(status()).unwrap();
    let contract: serde_json::Value = serde_json::from_str(CONTRACT).unwrap();
    assert_included(&contract, &sent, "status");
}

/// Whether `larger` has every value of `smaller`.
fn assert_included(smaller: &serde_json::Value, larger: &serde_json::Value, at: &str) {
    use serde_json::Value;
    match (smaller, larger) {
        (Value::Object(small), Value::Object(large)) => {
            for (key, value) in small {
                assert_included(value, &large[key], &format!("{at}.{key}"));
            }
        }
        (Value::Array(small), Value::Array(large)) => {
            assert_eq!(small.len(), large.len(), "{at}");
            for (place, (a, b)) in small.iter().zip(large).enumerate() {
                assert_included(a, b, &format!("{at}[{place}]"));
            }
        }
        (a, b) => assert_eq!(a, b, "{at}"),
    }
}
