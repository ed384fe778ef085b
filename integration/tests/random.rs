//! Random schemas and random statements, replayed in both directions on real servers and judged byte for byte.
//!
//! Without more it plays the same seeds each time, so that it says something of the change at hand. `CONCORD_RANDOM_SECONDS=` plays new
//! ones for so long (`make soak`); `CONCORD_SEED=` plays one seed again.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::random;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The seeds that are played each time, about two minutes of them.
const FIRST: u64 = 1;
const COUNT: u64 = 48;
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
    let seconds = number("CONCORD_RANDOM_SECONDS");
    let (first, count) = match (given, seconds) {
        (Some(seed), _) => (seed, Some(1)),
        (None, Some(_)) => (now.as_micros() as u64 % SEED_END, None),
        (None, None) => (FIRST, Some(COUNT)),
    };
    println!("CONCORD_SEED={first}");
    const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(1200);
    let time = seconds.map_or(AS_LONG_AS_IT_TAKES, Duration::from_secs);
    let report = random::run(first, count, time).await.unwrap();
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
