//! What is said on the terminal while a run goes on.

use std::time::Instant;

/// Lines with the time since the start, on standard error; the report itself goes to files.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    start: Instant,
}

impl Progress {
    /// The clock begins now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Says what happens now, or what came out.
    pub fn say(&self, text: impl AsRef<str>) {
        let seconds = self.start.elapsed().as_secs();
        eprintln!("[{:>3}:{:02}] {}", seconds / 60, seconds % 60, text.as_ref());
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}
