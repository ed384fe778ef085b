//! The wall clocks of the regions, over virtual time: each is wrong in its own way.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

/// Most regions of a run.
pub(crate) const REGIONS_MAX: usize = 4;

const EPOCH_US: i64 = 1_700_000_000_000_000;

#[derive(Debug, Clone, Copy)]
struct Clocks {
    start: Instant,
    /// How far each region's clock is ahead, microseconds; it may be set back at any time.
    ahead_us: [i64; REGIONS_MAX],
}

thread_local! {
    static CLOCKS: RefCell<Option<Clocks>> = const { RefCell::new(None) };
}

/// Starts the clocks of a run, inside its runtime.
pub(crate) fn start() {
    CLOCKS.set(Some(Clocks { start: Instant::now(), ahead_us: [0; REGIONS_MAX] }));
}

/// Sets one clock.
pub(crate) fn set(region: usize, ahead_us: i64) {
    CLOCKS.with_borrow_mut(|clocks| {
        if let Some(clocks) = clocks {
            clocks.ahead_us[region] = ahead_us;
        }
    });
}

/// Virtual time since the run began.
pub(crate) fn elapsed() -> Duration {
    CLOCKS.with_borrow(|clocks| clocks.map_or(Duration::ZERO, |clocks| clocks.start.elapsed()))
}

/// What a region's clock shows, microseconds since 1970.
pub(crate) fn read(region: usize) -> u64 {
    CLOCKS.with_borrow(|clocks| {
        let clocks = clocks.unwrap();
        (EPOCH_US + clocks.start.elapsed().as_micros() as i64 + clocks.ahead_us[region]) as u64
    })
}

/// The same as a function without arguments, as a lane wants it.
pub(crate) fn reader(region: usize) -> fn() -> u64 {
    const READERS: [fn() -> u64; REGIONS_MAX] = [|| read(0), || read(1), || read(2), || read(3)];
    READERS[region]
}
