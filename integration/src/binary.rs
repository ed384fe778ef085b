//! Where the built programs are.

use crate::{Error, Result};
use std::path::PathBuf;

/// The binary `concord`: `CONCORD_BIN` if set, else beside the program that runs now (a test lies one folder deeper).
pub fn concord() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CONCORD_BIN") {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(Error::Unexpected(format!(
                "CONCORD_BIN={} is no file; build it or unset CONCORD_BIN",
                path.display()
            )))
        };
    }
    beside("concord", "cargo build -p replicator, or set CONCORD_BIN")
}

/// The library by which a process gets another wall clock, beside the running program.
pub fn clock() -> Result<PathBuf> {
    beside("libtest_clock.so", "cargo build -p test-clock")
}

/// A file beside the running program, or one folder up; `built` says how it gets there.
fn beside(name: &str, built: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().map_err(Error::io("find the running program"))?;
    let beside = here.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    beside.ok_or_else(|| {
        Error::Unexpected(format!("no `{name}` beside {}; build it first: {built}", here.display()))
    })
}
