//! Random schemas and random statements, replayed in both directions on real servers and judged byte for byte.
//!
//! Each run begins with another seed, which is printed; `CONCORD_SEED=` plays one seed again, `CONCORD_RANDOM_SECONDS=` says for how
//! long to play (100 s if not set).

#![allow(clippy::unwrap_used, missing_docs)]

use integration::random;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_DEFAULT: u64 = 100;
/// Out of a hundred statements, so many at least must change something or could have.
const TAKEN_PERCENT_MIN: u64 = 60;
/// Seeds are below this, so that their names are short.
const SEED_END: u64 = 1_000_000_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[tokio::test]
async fn random_schemas_and_statements_arrive_byte_equal_in_both_directions() {
    let given = number("CONCORD_SEED");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = given.unwrap_or(now.as_micros() as u64 % SEED_END);
    println!("CONCORD_SEED={first}");
    let seconds = number("CONCORD_RANDOM_SECONDS").unwrap_or(SECONDS_DEFAULT);
    let report = random::run(first, given.map(|_| 1), Duration::from_secs(seconds)).await.unwrap();
    println!("{report}");
    assert!(
        report.failures.is_empty(),
        "{} failures:\n\n{}",
        report.failures.len(),
        report.failures.join("\n\n")
    );
    let (taken, refused) = report.counts.totals();
    let enough = taken * 100 >= (taken + refused) * TAKEN_PERCENT_MIN;
    assert!(enough || given.is_some(), "the servers refused too much: {}", report.counts);
}
