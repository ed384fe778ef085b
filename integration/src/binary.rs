//! Where the built programs are.

use crate::{Error, Result};
use std::path::PathBuf;

/// The binary `concord`: `CONCORD_BIN` if set, else beside the program that runs now (a test lies one folder deeper).
pub fn concord() -> Result<PathBuf> {
    if std::env::var_os("CONCORD_BIN").is_some() {
        return named("CONCORD_BIN");
    }
    beside("concord", "cargo build -p replicator, or set CONCORD_BIN")
}

/// The `concord` that was built with feature `canary`: `CONCORD_CANARY_BIN` if set, else where `make canaries` puts it, two folders above the
/// running test.
pub fn canary() -> Result<PathBuf> {
    if std::env::var_os("CONCORD_CANARY_BIN").is_some() {
        return named("CONCORD_CANARY_BIN");
    }
    let here = std::env::current_exe().map_err(Error::io("find the running program"))?;
    let target = here.ancestors().nth(3).unwrap_or(&here);
    let path = target.join("canary/release/concord");
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::Unexpected(format!(
        "no `{}`; build it first: make canaries, or set CONCORD_CANARY_BIN",
        path.display()
    )))
}

/// The library by which a process gets another wall clock and a slower disk, beside the running program.
pub fn system() -> Result<PathBuf> {
    beside("libtest_system.so", "cargo build -p test-system")
}

/// The file that a variable of the environment names.
fn named(variable: &str) -> Result<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable).unwrap_or_default());
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::Unexpected(format!("{variable}={} is no file; build it or unset {variable}", path.display())))
}

/// A file beside the running program, or one folder up; `built` says how it gets there.
fn beside(name: &str, built: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().map_err(Error::io("find the running program"))?;
    let beside = here.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    beside.ok_or_else(|| {
        Error::Unexpected(format!("no `{name}` beside {}; build it first: {built}", here.display()))
    })
}
