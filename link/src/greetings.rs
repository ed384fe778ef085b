//! Connections whose other end is not known yet. They are few: whoever opens more only displaces the oldest, so nobody holds the
//! listener by opening connections and saying nothing, or by saying it slowly.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// The greetings under way, oldest first. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Greetings {
    under_way: Arc<Mutex<UnderWay>>,
}

#[derive(Default)]
struct UnderWay {
    next: u64,
    by_age: BTreeMap<u64, AbortHandle>,
}

impl Greetings {
    /// Notes the task that `spawn` starts; it gets what it must drop once its other end is known, or at its end. If
    /// more than `max` are under way then, the oldest is ended. Whether one was.
    pub(crate) fn begin(&self, max: usize, spawn: impl FnOnce(Greeting) -> AbortHandle) -> bool {
        // Locked while it starts, so that it is not over before it is noted.
        let mut under_way = self.under_way.lock();
        let number = under_way.next;
        under_way.next += 1;
        let handle = spawn(Greeting { of: self.clone(), number });
        under_way.by_age.insert(number, handle);
        if under_way.by_age.len() <= max {
            return false;
        }
        let oldest = under_way.by_age.pop_first();
        // Its own end locks again.
        drop(under_way);
        if let Some((_, oldest)) = &oldest {
            oldest.abort();
        }
        oldest.is_some()
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.under_way.lock().by_age.len()
    }
}

/// A greeting under way, until dropped.
pub(crate) struct Greeting {
    of: Greetings,
    number: u64,
}

impl Drop for Greeting {
    fn drop(&mut self) {
        self.of.under_way.lock().by_age.remove(&self.number);
    }
}
