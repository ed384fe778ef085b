//! Modules of the binary that are under test here, with small stand-ins for what they report to.

#[path = "../../src/region/logs.rs"]
pub(crate) mod logs;
#[path = "../../src/region/rebuild.rs"]
pub(crate) mod rebuild;
#[path = "../../src/region/resume.rs"]
pub(crate) mod resume;
#[path = "../../src/region/retention.rs"]
pub(crate) mod retention;
#[path = "../../src/region/writes.rs"]
pub(crate) mod writes;

/// What retention looks at.
pub(crate) mod board {
    use std::sync::Arc;

    use applier::Shared;

    use super::logs::LogSet;
    use super::retention::Keep;

    pub(crate) struct Board {
        pub(crate) shared: Arc<Shared>,
        pub(crate) logs: Arc<LogSet>,
        pub(crate) conflicts: Conflicts,
    }

    /// The journal is not looked at here.
    pub(crate) struct Conflicts;

    impl Conflicts {
        pub(crate) fn retain(&self, _: Keep) {}
    }
}

/// The clock of the first region.
pub(crate) mod clock {
    pub(crate) fn now_us() -> u64 {
        crate::clock::read(0)
    }
}
