//! Plays seeds until a time is over.

use super::{Counts, GROUP, case, name};
use crate::Result;
use crate::case::{Case, Failure, Play, pass};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many seeds run in one mesh at a time.
const SEEDS_A_PASS: u64 = 16;
/// How long one pass may take until all that it wrote is applied.
const BOUND: Duration = Duration::from_secs(120);
/// How many statements of a failing table are shown.
const STATEMENTS_MAX: usize = 60;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// How many cases were played, each in both directions.
    pub cases: u64,
    /// What the servers took and refused.
    pub counts: Arc<Counts>,
    /// What failed, each with its seed and the statements of its table.
    pub failures: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} random cases in both directions: {}", self.cases, self.counts)
    }
}

/// Plays the seeds from `first` on, `count` of them or as many as begin before `time` is over; at least one mesh of them. Ends
/// after the first mesh in which something failed.
pub async fn run(first: u64, count: Option<u64>, time: Duration) -> Result<Report> {
    let begin = Instant::now();
    let mut report = Report { cases: 0, counts: Arc::default(), failures: Vec::new() };
    loop {
        let since = Instant::now();
        let left = count.map_or(SEEDS_A_PASS, |count| (count - report.cases).min(SEEDS_A_PASS));
        let seeds = first + report.cases..first + report.cases + left;
        let cases: Vec<Case> = seeds.clone().map(|seed| case(seed, &report.counts)).collect();
        let failures = pass::replay(Play::both_ways(cases.clone()), BOUND).await?;
        report.failures.extend(failures.iter().map(|failure| told(failure, seeds.clone(), &cases)));
        report.cases += left;
        println!("seeds {} to {}: {:.1} s", seeds.start, seeds.end - 1, since.elapsed().as_secs_f64());
        // One more pass must fit into the time.
        let over = begin.elapsed() + since.elapsed() > time;
        if !report.failures.is_empty() || over || count.is_some_and(|count| report.cases >= count) {
            return Ok(report);
        }
    }
}

/// A failure with what it takes to see it again.
fn told(failure: &Failure, seeds: std::ops::Range<u64>, cases: &[Case]) -> String {
    let of = |seed: &u64| {
        let case = format!("{GROUP}/{} ", name(*seed));
        failure.play.starts_with(&case)
    };
    let Some((at, seed)) = seeds.enumerate().find(|(_, seed)| of(seed)) else { return failure.to_string() };
    let mut all = format!("{failure}\n  again with CONCORD_SEED={seed}");
    let Some(case) = cases.get(at) else { return all };
    let tables = (0..10).map(|number| format!("t{number}"));
    let named: Vec<String> = tables.filter(|table| is_named(table, &failure.what)).collect();
    for (script, steps) in
        [("schema", &case.schema.steps), ("first", &case.eu.steps), ("second", &case.us.steps)]
    {
        let of_table =
            |statement: &&str| named.is_empty() || named.iter().any(|table| is_named(table, statement));
        let statements: Vec<&str> =
            steps.iter().map(|step| step.statement.as_str()).filter(of_table).collect();
        all.push_str(&format!("\n  {script}: {} statements of {named:?}", statements.len()));
        for statement in statements.iter().take(STATEMENTS_MAX) {
            let start: String = statement.chars().take(1500).collect();
            all.push_str(&format!("\n    {start};"));
        }
    }
    all
}

/// Whether a text has the table's name as a word.
fn is_named(table: &str, text: &str) -> bool {
    text.match_indices(table).any(|(start, _)| {
        let word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let bytes = text.as_bytes();
        !word(start.checked_sub(1).and_then(|at| bytes.get(at))) && !word(bytes.get(start + table.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::is_named;

    #[test]
    fn a_table_is_named_by_a_word_of_its_own() {
        assert!(is_named("t1", "table t1: 3 rows") && is_named("t1", "x.t1"));
        assert!(!is_named("t1", "at10 t1_ ct1"));
    }
}
