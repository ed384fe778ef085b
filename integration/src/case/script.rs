//! The statements of one SQL file, with the little that SQL cannot say.

use crate::random::Counts;
use crate::{Error, Result};
use std::sync::Arc;

/// The connection of statements before the first `-- connection:`.
const FIRST: &str = "one";

/// What a server must make of a statement.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It runs.
    Succeeds,
    /// It meets the error of this number.
    Fails(u16),
    /// The server may take or refuse it; which of the two is counted, if there is something to count it.
    Either(Option<Arc<Counts>>),
}

/// One statement, on which connection it runs, and what must come of it.
#[derive(Debug, Clone)]
pub struct Step {
    /// The name of its connection.
    pub connection: String,
    /// What the server must answer.
    pub outcome: Outcome,
    /// The statement without its semicolon.
    pub statement: String,
}

/// A SQL file.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Its statements in order.
    pub steps: Vec<Step>,
}

impl Step {
    /// A statement on the first connection.
    pub fn new(statement: String, outcome: Outcome) -> Self {
        Self { connection: FIRST.to_owned(), outcome, statement }
    }
}

impl Script {
    /// Splits `text` at semicolons that end a line. `name` is for messages.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let wrong = |line: usize, what: &str| Error::Unexpected(format!("{name}, line {line}: {what}"));
        let mut steps = Vec::new();
        let mut connection = FIRST.to_owned();
        let mut outcome = Outcome::Succeeds;
        let mut statement = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if let Some(comment) = line.trim_start().strip_prefix("--") {
                match directive(comment.trim()) {
                    None => {}
                    Some(_) if !statement.trim().is_empty() => {
                        return Err(wrong(number, "a directive stands inside a statement"));
                    }
                    Some(("connection", value)) => value.clone_into(&mut connection),
                    Some(("error", value)) => {
                        let code = value.parse().map_err(|_| wrong(number, "error: takes a number"))?;
                        outcome = Outcome::Fails(code);
                    }
                    Some((key, _)) => {
                        return Err(wrong(number, &format!("there is no directive {key:?}; see README.md")));
                    }
                }
                continue;
            }
            match line.strip_suffix(';') {
                Some(last) => {
                    statement.push_str(last);
                    let statement = std::mem::take(&mut statement).trim().to_owned();
                    let outcome = std::mem::replace(&mut outcome, Outcome::Succeeds);
                    steps.push(Step { connection: connection.clone(), outcome, statement });
                }
                None => {
                    statement.push_str(line);
                    statement.push('\n');
                }
            }
        }
        if !statement.trim().is_empty() {
            return Err(wrong(
                text.lines().count(),
                "the last statement has no semicolon at the end of its line",
            ));
        }
        if !matches!(outcome, Outcome::Succeeds) {
            return Err(wrong(text.lines().count(), "no statement follows the last error:"));
        }
        Ok(Self { steps })
    }
}

/// Key and value of `key: value` where the key is one small word; anything else is a comment.
fn directive(comment: &str) -> Option<(&str, &str)> {
    let (key, value) = comment.split_once(": ")?;
    (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase())).then(|| (key, value.trim()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn directives_hold_as_long_as_they_say() {
        let text = "-- Some words: which are a comment.\nBEGIN;\n-- error: 1062\nINSERT INTO t\nVALUES (';'), (1);\n\
                    -- connection: two\nSELECT 1;\n";
        let steps = Script::parse(text, "x.sql").unwrap().steps;
        let shown: Vec<String> = steps
            .iter()
            .map(|step| format!("{} {:?} {}", step.connection, step.outcome, step.statement))
            .collect();
        let expected = [
            "one Succeeds BEGIN",
            "one Fails(1062) INSERT INTO t\nVALUES (';'), (1)",
            "two Succeeds SELECT 1",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_would_be_passed_over_in_silence_is_refused() {
        for text in [
            "-- conection: two\nSELECT 1;",
            "SELECT 1",
            "SELECT 1;\n-- error: 1062\n",
            "-- error: x\nSELECT 1;",
        ] {
            assert!(Script::parse(text, "x.sql").is_err(), "{text:?} was taken");
        }
    }
}
