//! An allocator that ends the process when more memory is held than an input can account for.
//!
//! It counts what Rust code holds; zstd's own working memory, at most 128 MiB for its largest window, is beside it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static HELD: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
static TELL_PANICS: Once = Once::new();

/// The system's allocator with a bound.
pub struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// Runs `parse`, which may hold `bytes` at most beside what is held now.
pub fn within<T>(bytes: usize, parse: impl FnOnce() -> T) -> T {
    TELL_PANICS.call_once(|| {
        let tell = std::panic::take_hook();
        // What a panic's own message and trace take is not the input's doing, and a panic amid them would hide the first.
        std::panic::set_hook(Box::new(move |panic| {
            LIMIT.store(usize::MAX, Ordering::Relaxed);
            tell(panic);
        }));
    });
    LIMIT.store(HELD.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
    let done = parse();
    LIMIT.store(usize::MAX, Ordering::Relaxed);
    done
}

fn take(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    let limit = LIMIT.load(Ordering::Relaxed);
    if held > limit {
        LIMIT.store(usize::MAX, Ordering::Relaxed);
        panic!("{bytes} bytes more would make it {held} bytes of memory, beyond the bound of {limit}");
    }
}

// SAFETY: every call goes to the system's allocator as it came; beside that only counters change.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size.saturating_sub(layout.size()));
        HELD.fetch_sub(layout.size().saturating_sub(size), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}
