//! The wall clock of a region's processes, which a test can set wrong.

use crate::{Error, Result, binary};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A clock that processes read which were started with its [environment](Clock::environment).
#[derive(Debug, Clone)]
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// A clock that is right; its setting lies in `file`.
    pub fn make(file: &Path) -> Result<Self> {
        let clock = Self { file: file.to_owned(), library: binary::system()? };
        clock.set(Duration::ZERO, Duration::ZERO)?;
        Ok(clock)
    }

    /// What makes a process read this clock.
    pub fn environment(&self) -> [(String, String); 2] {
        [("LD_PRELOAD", &self.library), ("CONCORD_TEST_CLOCK", &self.file)]
            .map(|(key, path)| (key.to_owned(), path.display().to_string()))
    }

    /// Makes it `ahead` of the real one and `behind` it, of which one is zero; at once, also for processes that run.
    pub fn set(&self, ahead: Duration, behind: Duration) -> Result<()> {
        let us = ahead.as_micros() as i64 - behind.as_micros() as i64;
        // In one write, so that nobody reads a half of it.
        std::fs::write(&self.file, us.to_ne_bytes())
            .map_err(Error::io(format!("write {}", self.file.display())))
    }
}
