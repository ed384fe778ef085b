//! Another wall clock and a slower disk for a process of a test: a library that takes the place of functions of the C library (`LD_PRELOAD`).
//!
//! **The clock** is the real one, plus the microseconds that a file says (eight bytes, signed, in the machine's order), which the
//! variable `CONCORD_TEST_CLOCK` names. The file is read at every call, so a test moves the clock by writing to it. Without the variable, or without
//! eight bytes in the file, it is the real clock. No other clock moves: timeouts and pauses go on as before.
//!
//! **The disk** takes as many milliseconds longer for every `fdatasync` as `CONCORD_TEST_SYNC_MS` says, so that at most moments something is
//! written and not synced, as on a disk behind a network.
#![allow(unsafe_code, reason = "functions of the C library are unsafe by nature")]
#![cfg(target_os = "linux")]

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use libc::{CLOCK_REALTIME, CLOCK_REALTIME_COARSE, clockid_t, time_t, timespec, timeval};

const UNOPENED: i32 = -2;
const ABSENT: i32 = -1;
static FILE: AtomicI32 = AtomicI32::new(UNOPENED);
static SYNC_MS: AtomicI32 = AtomicI32::new(UNOPENED);

const US: i64 = 1_000_000;

/// By how much the clock is ahead, microseconds. Allocates nothing, since an allocator may ask for the time.
fn ahead_us() -> i64 {
    let mut file = FILE.load(Ordering::Relaxed);
    if file == UNOPENED {
        // SAFETY: the name ends with a zero, and what `getenv` gives is a text or null; nobody changes it this early.
        file = unsafe {
            let path = libc::getenv(c"CONCORD_TEST_CLOCK".as_ptr());
            if path.is_null() { ABSENT } else { libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC) }
        };
        FILE.store(file.max(ABSENT), Ordering::Relaxed);
    }
    let mut bytes = [0_u8; 8];
    if file < 0 {
        return 0;
    }
    // SAFETY: the buffer has the eight bytes that are asked for.
    let read = unsafe { libc::pread(file, bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if read == 8 { i64::from_ne_bytes(bytes) } else { 0 }
}

/// As the C library's, some time later.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: c_int) -> c_int {
    let mut ms = SYNC_MS.load(Ordering::Relaxed);
    if ms == UNOPENED {
        // SAFETY: the name ends with a zero, and what `getenv` gives is a text or null; nobody changes it meanwhile.
        ms = unsafe {
            let text = libc::getenv(c"CONCORD_TEST_SYNC_MS".as_ptr());
            if text.is_null() { 0 } else { libc::atoi(text) }
        };
        SYNC_MS.store(ms, Ordering::Relaxed);
    }
    if ms > 0 {
        std::thread::sleep(Duration::from_millis(ms.unsigned_abs().into()));
    }
    // SAFETY: takes a number, and sets `errno` as the C library's function does.
    unsafe { libc::syscall(libc::SYS_fdatasync, file) as c_int }
}

/// The wall clock as the test wants it.
fn wall(clock: clockid_t) -> Result<timespec, c_int> {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a `timespec` to where one is.
    let code = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time) } as c_int;
    if code != 0 {
        return Err(code);
    }
    if clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE {
        let us = time.tv_sec * US + time.tv_nsec / 1000 + ahead_us();
        time =
            timespec { tv_sec: us.div_euclid(US), tv_nsec: us.rem_euclid(US) * 1000 + time.tv_nsec % 1000 };
    }
    Ok(time)
}

/// As the C library's.
///
/// # Safety
/// `time` points to room for a `timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    match wall(clock) {
        Ok(found) => {
            // SAFETY: the caller's promise.
            unsafe { time.write(found) };
            0
        }
        Err(code) => code,
    }
}

/// As the C library's, but for the time zone, which nobody asks for any more.
///
/// # Safety
/// `time` points to room for a `timeval`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut timeval, _zone: *mut libc::c_void) -> c_int {
    match wall(CLOCK_REALTIME) {
        Ok(found) => {
            // SAFETY: the caller's promise.
            unsafe { time.write(timeval { tv_sec: found.tv_sec, tv_usec: found.tv_nsec / 1000 }) };
            0
        }
        Err(code) => code,
    }
}

/// As the C library's.
///
/// # Safety
/// `time` is null or points to room for a `time_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(time: *mut time_t) -> time_t {
    let now = wall(CLOCK_REALTIME).map_or(-1, |found| found.tv_sec);
    if !time.is_null() {
        // SAFETY: the caller's promise.
        unsafe { time.write(now) };
    }
    now
}
