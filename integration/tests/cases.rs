//! The cases of `cases/`: everything MySQL writes arrives exactly, or stops with its reason.
//!
//! `CONCORD_CASE=group/name` (or `CONCORD_CASE=group`) runs one of them.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::case::{Case, Failure, Play, all, pass, stop};
use std::time::Duration;

/// The group whose values are so large that it has a mesh and a test of its own: `make test-long`.
const LARGE: &str = "large";

/// The group that changes schemas: after each change, definitions are read anew, which takes long beside hundreds of tables of other
/// cases. It has a mesh and a test of its own.
const DDL: &str = "ddl";

fn cases(which: impl Fn(&Case) -> bool) -> Vec<Case> {
    all().unwrap().into_iter().filter(which).collect()
}

fn report(count: usize, failures: &[Failure]) {
    let all: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(all.is_empty(), "{} failures in {count} cases:\n\n{}\n", all.len(), all.join("\n\n"));
}

#[tokio::test]
async fn every_case_arrives_byte_equal_in_both_directions() {
    let cases = cases(|case| case.stop.is_none() && ![LARGE, DDL].contains(&case.group.as_str()));
    let count = cases.len();
    report(count, &pass::replay(Play::both_ways(cases), Duration::from_secs(240)).await.unwrap());
}

#[tokio::test]
async fn every_change_of_a_schema_arrives_with_the_rows_around_it() {
    let cases = cases(|case| case.group == DDL);
    let count = cases.len();
    report(count, &pass::replay(Play::both_ways(cases), Duration::from_secs(240)).await.unwrap());
}

#[cfg(feature = "long")]
#[tokio::test]
async fn every_large_case_arrives_byte_equal_in_both_directions() {
    let cases = cases(|case| case.stop.is_none() && case.group == LARGE);
    let count = cases.len();
    report(count, &pass::replay(Play::both_ways(cases), Duration::from_secs(300)).await.unwrap());
}

#[tokio::test]
async fn every_case_that_cannot_be_carried_stops_with_its_reason() {
    let cases = cases(|case| case.stop.is_some());
    let count = cases.len();
    let mut failures = Vec::new();
    for play in Play::both_ways(cases).into_iter().filter(|play| !play.swapped) {
        let expected = play.case.stop.clone().unwrap();
        failures.extend(stop::replay(&play, &expected).await.unwrap());
    }
    report(count, &failures);
}
