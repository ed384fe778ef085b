//! The account of bytes in flight. Sender and receiver each keep one, so that either notices the other's mistake.

/// Bytes that were sent and not yet acknowledged, against the receiver's window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credit {
    window: u64,
    outstanding: u64,
}

/// More credit came back than was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} bytes of credit were granted, but only {outstanding} bytes are outstanding")]
pub(crate) struct Overgrant {
    given: u64,
    outstanding: u64,
}

impl Credit {
    pub(crate) fn new(window: u64) -> Self {
        Self { window, outstanding: 0 }
    }

    /// Bytes that may be sent now, by the window alone.
    pub(crate) fn room(&self) -> u64 {
        self.window.saturating_sub(self.outstanding)
    }

    /// How many bytes to fetch next, if it is worth fetching now.
    ///
    /// While much is in flight it waits until there is room for a batch, so that a backlog is not cut into crumbs by
    /// each small acknowledgement. With nothing in flight it always goes on, since one record may pass whatever its size.
    pub(crate) fn worth_fetching(&self, batch_bytes_max: u64) -> Option<u64> {
        let enough = batch_bytes_max.min(self.window / 2).max(1);
        (self.outstanding == 0 || self.room() >= enough).then(|| self.room().min(batch_bytes_max))
    }

    /// Whether `len` bytes may be in flight beside what is; `alone` says that they cannot be divided further.
    pub(crate) fn admits(&self, len: u64, alone: bool) -> bool {
        len <= self.room() || (alone && self.outstanding == 0)
    }

    /// Takes credit for `len` bytes.
    ///
    /// # Panics
    /// If they are not admitted: the caller must have asked. This holds in release builds as well.
    pub(crate) fn take(&mut self, len: u64, alone: bool) {
        assert!(
            self.admits(len, alone),
            "{len} bytes beside {self:?}: the receiver's window would be exceeded"
        );
        self.outstanding += len;
    }

    /// Gives credit back.
    pub(crate) fn give(&mut self, len: u64) -> Result<(), Overgrant> {
        let rest = self.outstanding.checked_sub(len);
        self.outstanding = rest.ok_or(Overgrant { given: len, outstanding: self.outstanding })?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_record_larger_than_the_window_passes_only_alone() {
        let mut credit = Credit::new(100);
        assert!(credit.admits(1000, true) && !credit.admits(1000, false));
        credit.take(1, true);
        assert!(!credit.admits(1000, true) && credit.admits(99, false) && !credit.admits(100, true));
        credit.give(1).unwrap();
        credit.take(1000, true);
        assert_eq!(credit.room(), 0);
        assert_eq!(credit.worth_fetching(10), None);
        credit.give(1000).unwrap();
        assert_eq!(credit.worth_fetching(10), Some(10));
    }

    #[test]
    #[should_panic(expected = "window would be exceeded")]
    fn taking_more_than_the_window_is_a_bug_in_release_too() {
        let mut credit = Credit::new(100);
        credit.take(60, false);
        credit.take(60, true);
    }

    #[test]
    fn more_credit_than_was_taken_is_refused() {
        let mut credit = Credit::new(100);
        credit.take(60, false);
        assert_eq!(credit.give(61), Err(Overgrant { given: 61, outstanding: 60 }));
    }

    #[test]
    fn an_empty_window_still_lets_single_records_through() {
        let credit = Credit::new(0);
        assert_eq!(credit.worth_fetching(10), Some(0));
        assert!(credit.admits(5, true));
    }

    proptest! {
        #[test]
        fn what_is_in_flight_never_exceeds_the_window_unless_it_is_one_record(
            window in 0_u64..200,
            steps in proptest::collection::vec((0_u64..300, any::<bool>(), any::<bool>()), 0..100),
        ) {
            let mut credit = Credit::new(window);
            let mut flight = std::collections::VecDeque::new();
            for (len, alone, send) in steps {
                if send && credit.admits(len, alone) {
                    credit.take(len, alone);
                    flight.push_back(len);
                } else if let Some(len) = flight.pop_front() {
                    prop_assert!(credit.give(len).is_ok());
                }
                let sum: u64 = flight.iter().sum();
                let laden = flight.iter().filter(|len| **len > 0).count();
                prop_assert!(sum <= window || laden == 1, "{flight:?} in a window of {window}");
            }
        }
    }
}
