//! Carries packets between devices, each when it is due. What becomes of a packet is decided in [`super::path`].

use super::path::{Course, Fate, Path, Reason};
use crate::{Error, Result};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tun_rs::{InterruptEvent, SyncDevice};

/// Packets under way to one region. Connections keep far below; this bounds the memory that a flood may take.
const FLYING_MAX: usize = 65_536;
/// More than the largest packet of a device.
const PACKET_MAX: usize = 65_536;

/// What became of the packets of one path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handed over at the other end.
    pub carried: u64,
    /// Lost by the dice.
    pub lost: u64,
    /// Dropped before a bottleneck whose queue was full.
    pub full: u64,
    /// Dropped since the path was cut.
    pub cut: u64,
}

impl Counts {
    fn drop_for(&mut self, reason: Reason) {
        match reason {
            Reason::Lost => self.lost += 1,
            Reason::Full => self.full += 1,
            Reason::Cut => self.cut += 1,
        }
    }
}

/// One region's end: its device, and what is under way to it.
pub(super) struct Shore {
    device: SyncDevice,
    address: Ipv4Addr,
    flying: Mutex<BinaryHeap<Reverse<Flying>>>,
    /// Something was put into `flying`, or all is to end.
    changed: Condvar,
}

/// A packet under way. Those that are due at once keep the order in which they set out.
#[derive(PartialEq, Eq)]
struct Flying {
    due: Instant,
    number: u64,
    from: usize,
    packet: Vec<u8>,
}

impl Ord for Flying {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The path between two regions, in one direction.
struct Lane {
    path: Path,
    course: Course,
    counts: Counts,
    number: u64,
}

/// Everything that the threads share.
struct Shared {
    shores: Vec<Shore>,
    /// By the region from which, then by that to which.
    lanes: Vec<Vec<Mutex<Lane>>>,
    stop: AtomicBool,
}

/// Two threads for each region, one that takes its packets and one that hands over what arrives. They end when it is dropped.
pub(super) struct Relay {
    shared: Arc<Shared>,
    wake: Vec<Arc<InterruptEvent>>,
    threads: Vec<JoinHandle<()>>,
}

impl Shore {
    /// The end whose device was opened in the region's network, where it has this address.
    pub(super) fn new(device: SyncDevice, address: Ipv4Addr) -> Self {
        Self { device, address, flying: Mutex::default(), changed: Condvar::new() }
    }
}

impl Relay {
    /// Begins to carry, with every path open.
    pub(super) fn begin(shores: Vec<Shore>) -> Result<Self> {
        let count = shores.len();
        let lane = |seed: usize| {
            let course = Course::new(seed as u64);
            Mutex::new(Lane { path: Path::OPEN, course, counts: Counts::default(), number: 0 })
        };
        let lanes = (0..count).map(|from| (0..count).map(|to| lane(from * count + to)).collect()).collect();
        let shared = Arc::new(Shared { shores, lanes, stop: AtomicBool::new(false) });
        let mut relay = Self { shared, wake: Vec::new(), threads: Vec::new() };
        for region in 0..count {
            let wake = Arc::new(InterruptEvent::new().map_err(Error::io("make a pipe"))?);
            relay.wake.push(wake.clone());
            let shared = relay.shared.clone();
            relay.spawn(format!("wan-from-{region}"), move || shared.take(region, &wake))?;
            let shared = relay.shared.clone();
            relay.spawn(format!("wan-to-{region}"), move || shared.hand_over(region))?;
        }
        Ok(relay)
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread =
            std::thread::Builder::new().name(name).spawn(work).map_err(Error::io("start a thread"))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Changes the path between two regions, in one direction.
    pub(super) fn set(&self, from: usize, to: usize, path: Path) {
        if let Some(mut lane) = self.shared.lane(from, to) {
            lane.path = path;
        }
    }

    /// What became of the packets between two regions so far, in one direction.
    pub(super) fn counts(&self, from: usize, to: usize) -> Counts {
        self.shared.lane(from, to).map_or_else(Counts::default, |lane| lane.counts)
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Relay").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        for wake in &self.wake {
            // The pipe is ours and empty.
            let _ = wake.trigger();
        }
        for shore in &self.shared.shores {
            // Under the lock, so that no thread is between its look and its wait.
            let _flying = locked(&shore.flying);
            shore.changed.notify_all();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lane(&self, from: usize, to: usize) -> Option<MutexGuard<'_, Lane>> {
        self.lanes.get(from).and_then(|lanes| lanes.get(to)).map(locked)
    }

    /// Takes what a region sends, until all is to end.
    fn take(&self, from: usize, wake: &InterruptEvent) {
        let Some(shore) = self.shores.get(from) else { return };
        let mut buffer = vec![0; PACKET_MAX];
        while !self.stop.load(Relaxed) {
            match shore.device.recv_intr(&mut buffer, wake) {
                Ok(length) => self.send(from, buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The device is gone or down: whoever did that ends the region's network.
                Err(_) => return,
            }
        }
    }

    /// Puts a packet on its way, or drops it.
    fn send(&self, from: usize, packet: &[u8]) {
        let now = Instant::now();
        // Not for a region: IPv6 looks for routers by itself.
        let Some(to) = destination(packet)
            .and_then(|address| self.shores.iter().position(|shore| shore.address == address))
        else {
            return;
        };
        let (Some(mut lane), Some(shore)) = (self.lane(from, to), self.shores.get(to)) else { return };
        let lane = &mut *lane;
        lane.number += 1;
        match lane.course.judge(&lane.path, packet.len(), now) {
            Fate::Dropped(reason) => lane.counts.drop_for(reason),
            Fate::Due(due) => {
                let mut flying = locked(&shore.flying);
                if flying.len() >= FLYING_MAX {
                    lane.counts.drop_for(Reason::Full);
                    return;
                }
                flying.push(Reverse(Flying { due, number: lane.number, from, packet: packet.to_vec() }));
                shore.changed.notify_one();
            }
        }
    }

    /// Hands over what arrives in a region, each packet when it is due, until all is to end. The system's condition variables wait
    /// by a timer of high resolution, tens of microseconds late.
    fn hand_over(&self, to: usize) {
        let Some(shore) = self.shores.get(to) else { return };
        let mut flying = locked(&shore.flying);
        while !self.stop.load(Relaxed) {
            let wait = flying.peek().map(|Reverse(next)| next.due.saturating_duration_since(Instant::now()));
            flying = match wait {
                None => shore.changed.wait(flying).unwrap_or_else(PoisonError::into_inner),
                Some(time) if time.is_zero() => {
                    let Some(Reverse(arrived)) = flying.pop() else { continue };
                    // Not under the lock, since `send` takes a path's lock before it.
                    drop(flying);
                    self.land(shore, to, &arrived);
                    locked(&shore.flying)
                }
                Some(time) => {
                    shore.changed.wait_timeout(flying, time).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn land(&self, shore: &Shore, to: usize, arrived: &Flying) {
        let Some(mut lane) = self.lane(arrived.from, to) else { return };
        if lane.path.cut {
            lane.counts.drop_for(Reason::Cut);
        } else if shore.device.send(&arrived.packet).is_ok() {
            lane.counts.carried += 1;
        }
    }
}

/// Where an IPv4 packet goes.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let four = packet.first().is_some_and(|first| first >> 4 == 4);
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    four.then(|| Ipv4Addr::from(address))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_says_where_it_goes_and_what_is_none_says_nothing() {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[16..].copy_from_slice(&[10, 77, 0, 2]);
        assert_eq!(destination(&packet), Some(Ipv4Addr::new(10, 77, 0, 2)));
        assert_eq!(destination(&packet[..19]), None);
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None);
        assert_eq!(destination(&[]), None);
    }

    #[test]
    fn what_is_due_first_comes_first_and_of_two_the_one_that_set_out_first() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_millis(1);
        let flying = |due, number| Reverse(Flying { due, number, from: 0, packet: Vec::new() });
        let mut heap = BinaryHeap::from([flying(later, 1), flying(now, 3), flying(now, 2)]);
        let order: Vec<u64> = std::iter::from_fn(|| heap.pop()).map(|Reverse(next)| next.number).collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
