//! Our row walker beside two others, over all row events that the cases of `cases/` make a server write.
//!
//! One server runs every case; its binlog files are then read by `transaction::binlog`, by `mysql_common`'s decoder and by
//! `mysqlbinlog -vv`, and compared event by event, row by row and value by value. What a rival cannot say or says wrongly is
//! left out by a rule with a name, and counted; everything else must be the same.
//!
//! `CONCORD_CASE=group/name` compares one case only; then nothing is asked about how much was compared.

#![allow(clippy::unwrap_used, missing_docs)]

mod binlog;
mod json;
mod mysql_common;
mod mysqlbinlog;
mod ours;
mod tally;

use tally::Tally;

/// So many values at least must have been compared with each, so that the test cannot pass by comparing nothing.
const VALUES_MIN: u64 = 20_000;
/// At most one value in so many may be left out.
const SKIPPED_SHARE: u64 = 20;

#[tokio::test]
async fn every_row_event_of_the_cases_reads_as_in_mysql_common_and_as_in_mysqlbinlog() {
    let written = binlog::of_all_cases().await.unwrap();
    let [mut library, mut program] = [Tally::of("mysql_common"), Tally::of("mysqlbinlog -vv")];
    for path in &written.files {
        let bytes = std::fs::read(path).unwrap();
        let events = ours::read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        mysql_common::compare(&bytes, &events, &mut library);
        mysqlbinlog::compare(path, &events, &mut program);
    }
    for tally in [&library, &program] {
        println!("{tally}");
        assert!(
            tally.differences.is_empty(),
            "{} differences:\n{}",
            tally.count,
            tally.differences.join("\n")
        );
        let enough = tally.values >= VALUES_MIN && tally.skipped() * SKIPPED_SHARE <= tally.values;
        assert!(enough || std::env::var_os("CONCORD_CASE").is_some(), "too little was compared: {tally}");
    }
}
