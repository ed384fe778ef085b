//! What happens in a run, for whoever plays a failing seed again with `CONCORD_TRACE=1`.

use std::sync::LazyLock;

use crate::clock;

static WANTED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("CONCORD_TRACE").is_some());

/// Prints a line, with the virtual time in milliseconds.
pub(crate) fn trace(what: impl FnOnce() -> String) {
    if *WANTED {
        eprintln!("{:>9.3} {}", clock::elapsed().as_secs_f64() * 1e3, what());
    }
}
