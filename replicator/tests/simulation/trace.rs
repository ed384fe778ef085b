//! What happens in a run, for whoever plays a failing seed again with `CONCORD_TRACE=1`.

use std::sync::LazyLock;

use super::clock;

static WANTED: LazyLock<bool> = LazyLock::new(|| {
    let wanted = std::env::var_os("CONCORD_TRACE").is_some();
    if wanted {
        // What the product says of itself.
        let level = tracing::Level::DEBUG;
        let _ = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).try_init();
    }
    wanted
});

/// Prints a line, with the virtual time in milliseconds.
pub(crate) fn trace(what: impl FnOnce() -> String) {
    if *WANTED {
        eprintln!("{:>9.3} {}", clock::elapsed().as_secs_f64() * 1e3, what());
    }
}
