//! DDL of other origins: known by its GTID, and seen by what clients commit after it.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use extractor::ExtractError;
use support::{extract, fresh, halt, name, transaction};
use synthetic::{gtid, insert, plain_map, query, xid};
use transaction::{Hlc, Sequence};

/// The UUID of DDL from `us` in [`fresh`] is that of the synthetic server 0xdd.
const DDL: u8 = 0xdd;

fn ddl(source: u8, number: u64) -> Vec<u8> {
    [gtid(source, number, 5), query("s", "ALTER TABLE t ADD c INT")].concat()
}

fn client(number: u64) -> Vec<u8> {
    [gtid(1, number, 10), query("", "BEGIN"), plain_map(), insert(9, 9), xid()].concat()
}

#[test]
fn what_clients_commit_after_applied_ddl_has_seen_it_and_the_ddl_is_no_record() {
    let stream = [client(1), ddl(DDL, 7), client(2)].concat();
    let (result, given) = extract(fresh(), &stream);
    result.unwrap();
    assert_eq!(given.records.len(), 2);
    let (before, after) = (transaction(&given.records[0]), transaction(&given.records[1]));
    assert_eq!(before.1.context.get(name("us")), Sequence(0));
    assert_eq!(after.1.context.get(name("us")), Sequence(7));
    // Later than the statement's own stamp, which the sink says is 7,000.
    assert_eq!(after.0.hlc, Hlc(7_001));
    // A client's own statement is a record.
    let (result, given) = extract(fresh(), &ddl(1, 7));
    result.unwrap();
    assert_eq!(given.records.len(), 1);
}

#[test]
fn rows_under_the_gtid_of_a_statement_halt() {
    let rows = [gtid(DDL, 7, 10), query("", "BEGIN"), plain_map(), insert(9, 9), xid()].concat();
    let (error, given) = halt(fresh(), &rows);
    assert!(matches!(&error, ExtractError::TagDisagrees { what, .. } if what.contains("no DDL")), "{error}");
    assert!(given.records.is_empty());
}
