//! The statements of one SQL file, with the little that SQL cannot say.

use crate::{Error, Result};

/// The connection of statements before the first `-- connection:`.
const FIRST: &str = "one";

/// One statement, on which connection it runs, and which error it must meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The name of its connection.
    pub connection: String,
    /// The number of the error that the server must answer.
    pub error: Option<u16>,
    /// The statement without its semicolon.
    pub statement: String,
}

/// A SQL file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Its statements in order.
    pub steps: Vec<Step>,
}

impl Script {
    /// Splits `text` at semicolons that end a line. `name` is for messages.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let wrong = |line: usize, what: &str| Error::Unexpected(format!("{name}, line {line}: {what}"));
        let mut steps = Vec::new();
        let mut connection = FIRST.to_owned();
        let mut error = None;
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
                        error = Some(code);
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
                    steps.push(Step { connection: connection.clone(), error: error.take(), statement });
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
        if error.is_some() {
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
        let step = |connection: &str, error, statement: &str| Step {
            connection: connection.to_owned(),
            error,
            statement: statement.to_owned(),
        };
        let expected = [
            step("one", None, "BEGIN"),
            step("one", Some(1062), "INSERT INTO t\nVALUES (';'), (1)"),
            step("two", None, "SELECT 1"),
        ];
        assert_eq!(steps, expected);
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
