//! The program `rivals` of `benches/rivals`, which runs libraries that this workspace does not take in (`deny.toml`): a process a measurement.

use integration::{Error, Result};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Environment variable that names the program; `make bench` sets it if it could build it.
const VARIABLE: &str = "CONCORD_RIVALS_BIN";

/// Why a figure that needs the program is not measured without it, and what to do.
pub const ABSENT: &str = "CONCORD_RIVALS_BIN names no program `rivals`; `make bench` builds it from benches/rivals, and says why if it cannot";

/// The program.
#[derive(Debug, Clone)]
pub struct Rivals {
    program: PathBuf,
}

/// What a call measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Of what was done: row changes, or bytes.
    pub count: u64,
    /// Seconds that it took, more than none.
    pub seconds: f64,
}

impl Rivals {
    /// The program that the environment names; `None` if it names none ([`ABSENT`]).
    pub fn find() -> Option<Self> {
        let program = std::env::var_os(VARIABLE).filter(|program| !program.is_empty())?;
        Some(Self { program: PathBuf::from(program) })
    }

    /// Row changes that a library finds in a binlog file; `by` is the program's word for it.
    pub fn walk(&self, file: &Path, by: &str) -> Result<Measured> {
        self.ask(&[OsStr::new("walk"), OsStr::new("--by"), OsStr::new(by), file.as_os_str()], "rows")
    }

    /// Bytes of as many records of `bytes` each, inserted to `sled` with a flush after every `step`, in a new folder that stays.
    pub fn append(&self, dir: &Path, records: u64, bytes: u64, step: u64) -> Result<Measured> {
        let options = [format!("--records={records}"), format!("--bytes={bytes}"), format!("--step={step}")];
        let mut words = vec![OsStr::new("append"), dir.as_os_str()];
        words.extend(options.iter().map(OsStr::new));
        self.ask(&words, "bytes")
    }

    /// Runs it to its end, which its input bounds.
    fn ask(&self, words: &[&OsStr], counted: &str) -> Result<Measured> {
        let program = self.program.display();
        let output =
            Command::new(&self.program).args(words).stdin(Stdio::null()).output().map_err(Error::io(
                format!("run {program}, which {VARIABLE} names (`make bench` builds it)"),
            ))?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            return Err(Error::Command {
                command: format!("{program} {}", words.join(" ")),
                status: output.status.to_string(),
                output: said.into_owned() + &String::from_utf8_lossy(&output.stderr),
            });
        }
        parse(&said, counted).ok_or_else(|| {
            Error::Unexpected(format!(
                "{program} does not tell {counted} and seconds; build it anew. It said: {said}"
            ))
        })
    }
}

/// The answer, a line of JSON. One without a time or a count is none: a ratio would be made of it.
fn parse(said: &str, counted: &str) -> Option<Measured> {
    let answer: Value = serde_json::from_str(said).ok()?;
    let count = answer.get(counted)?.as_u64().filter(|count| *count > 0)?;
    let seconds = answer.get("seconds")?.as_f64().filter(|seconds| *seconds > 0.0)?;
    Some(Measured { count, seconds })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_count_of_what_was_asked_for_and_a_time() {
        let whole = "{\"rows\": 120000, \"seconds\": 0.25}\n";
        assert_eq!(parse(whole, "rows"), Some(Measured { count: 120_000, seconds: 0.25 }));
        assert_eq!(parse(whole, "bytes"), None);
        for wrong in [
            "",
            "rows 7",
            "{\"rows\": 7}",
            "{\"rows\": -7, \"seconds\": 1}",
            "{\"rows\": 0, \"seconds\": 1}",
            "{\"rows\": 7, \"seconds\": 0}",
            "{\"rows\": 7, \"seconds\": \"1\"}",
            "{\"rows\": 7, \"seconds\": 1} {\"rows\": 8, \"seconds\": 1}",
        ] {
            assert_eq!(parse(wrong, "rows"), None, "{wrong}");
        }
    }

    #[test]
    fn a_program_that_fails_is_told_with_its_words_and_one_that_is_not_there_with_the_remedy() {
        let failing = Rivals { program: PathBuf::from("false") };
        let error = failing.walk(Path::new("some.binlog"), "mysql-cdc").unwrap_err().to_string();
        assert!(error.contains("false walk --by mysql-cdc some.binlog"), "{error}");
        let absent = Rivals { program: PathBuf::from("/nonexistent/rivals") };
        let error = absent.append(Path::new("dir"), 1, 1, 1).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/rivals") && error.contains("make bench"), "{error}");
    }
}
