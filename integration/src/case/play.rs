//! A case in one direction, in a schema of its own.

use super::script::Outcome;
use super::{Case, Script};
use crate::{Error, Result, Sql};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The regions of a case; the first one's client is the first to run.
pub const REGIONS: [&str; 2] = ["eu", "us"];

/// One case in one direction.
#[derive(Debug, Clone)]
pub struct Play {
    /// The case.
    pub case: Arc<Case>,
    /// Whether us runs `eu.sql` and eu runs `us.sql`.
    pub swapped: bool,
}

/// What was wrong with one case.
#[derive(Debug)]
pub struct Failure {
    /// The case and its direction.
    pub play: String,
    /// What was expected and what was seen.
    pub what: String,
}

impl fmt::Display for Play {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = if self.swapped { [REGIONS[1], REGIONS[0]] } else { REGIONS };
        write!(out, "{} ({first} to {second})", self.case)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.play, self.what)
    }
}

impl Play {
    /// Each of these cases in both directions.
    pub fn both_ways(cases: Vec<Case>) -> Vec<Self> {
        let cases = cases.into_iter().map(Arc::new);
        cases
            .flat_map(|case| [false, true].map(|swapped| Self { case: Arc::clone(&case), swapped }))
            .collect()
    }

    /// The name of its schema.
    pub fn schema(&self) -> String {
        let swapped = if self.swapped { "__swapped" } else { "" };
        format!("{}__{}{swapped}", self.case.group, self.case.name)
    }

    /// Whether a text names its schema, and not one whose name merely begins like it.
    pub fn is_named_in(&self, text: &str) -> bool {
        let schema = self.schema();
        let part = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        text.match_indices(&schema).any(|(start, _)| {
            let before = start.checked_sub(1).and_then(|at| text.as_bytes().get(at)).copied();
            !part(before) && !part(text.as_bytes().get(start + schema.len()).copied())
        })
    }

    /// What runs where: in the first round `eu.sql`, in the second `us.sql`.
    pub fn round(&self, number: usize) -> (&'static str, &Script) {
        let script = if number == 0 { &self.case.eu } else { &self.case.us };
        (REGIONS[(number + usize::from(self.swapped)) % 2], script)
    }

    /// Makes its schema on the server of `port`.
    pub async fn prepare(&self, port: u16) -> Result<()> {
        let mut sql = Sql::connect(port, "root", None).await?;
        sql.run(format!("CREATE DATABASE {}", self.schema())).await?;
        self.run(&self.case.schema, port).await
    }

    /// Runs a script in its schema on the server of `port`.
    pub async fn run(&self, script: &Script, port: u16) -> Result<()> {
        let mut connections: BTreeMap<&str, Sql> = BTreeMap::new();
        for step in &script.steps {
            if !connections.contains_key(step.connection.as_str()) {
                let mut sql = Sql::connect(port, "root", None).await?;
                sql.run(format!("USE {}", self.schema())).await?;
                connections.insert(&step.connection, sql);
            }
            let Some(sql) = connections.get_mut(step.connection.as_str()) else { continue };
            let answer = sql.run(&step.statement).await;
            let code = answer.as_ref().err().and_then(Error::server_code);
            match (&step.outcome, answer) {
                (Outcome::Succeeds, answer) => answer?,
                (Outcome::Fails(expected), _) if code == Some(*expected) => {}
                (Outcome::Fails(expected), answer) => {
                    let seen = answer.map_or_else(|error| error.to_string(), |()| "none".to_owned());
                    let statement: String = step.statement.chars().take(300).collect();
                    return Err(Error::Unexpected(format!(
                        "{statement}: expected error {expected}, seen {seen}"
                    )));
                }
                // An error without a number is not the server's answer.
                (Outcome::Either(_), Err(error)) if code.is_none() => return Err(error),
                (Outcome::Either(counts), _) => {
                    if let Some(counts) = counts {
                        counts.note(code);
                    }
                }
            }
        }
        Ok(())
    }

    /// Expects every query of `holds.sql` to answer nothing but 1.
    pub async fn expect_holds(&self, region: &str, port: u16) -> Result<()> {
        if self.case.holds.steps.is_empty() {
            return Ok(());
        }
        let mut sql = Sql::connect(port, "root", None).await?;
        sql.run(format!("USE {}", self.schema())).await?;
        for step in &self.case.holds.steps {
            let rows = sql.rows(&step.statement).await?;
            if rows.is_empty() || rows.iter().flatten().any(|value| value != "1") {
                return Err(Error::Unexpected(format!(
                    "in {region} it does not hold that {}: {rows:?}",
                    step.statement
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_found_in_a_message_only_under_its_whole_name() {
        let case = Case {
            group: "types".to_owned(),
            name: "bit".to_owned(),
            schema: Script::default(),
            eu: Script::default(),
            us: Script::default(),
            holds: Script::default(),
            stop: None,
        };
        let [there, back] = [false, true].map(|swapped| Play { case: Arc::new(case.clone()), swapped });
        assert!(there.is_named_in("us halted: table types__bit.t differs"));
        assert!(!there.is_named_in("us halted: table types__bit_more.t differs"));
        assert!(!there.is_named_in("us halted: table types__bit__swapped.t differs"));
        assert!(back.is_named_in("us halted: table `types__bit__swapped`.`t` differs"));
    }
}
