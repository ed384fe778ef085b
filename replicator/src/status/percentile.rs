//! Percentiles of lags.

use super::Lag;

impl Lag {
    /// The distribution of these lags, microseconds; nearest rank, so every percentile is a lag that occurred.
    pub(super) fn of(lags: impl Iterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = lags.collect();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: rank(50), p99: rank(99), count: sorted.len() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_lags_that_occurred() {
        for (lags, p50, p99) in [
            (vec![], 0, 0),
            (vec![7], 7, 7),
            (vec![9, 1], 1, 9),
            ((1..=100).rev().collect(), 50, 99),
            ((1..=1000).collect(), 500, 990),
            (std::iter::repeat_n(5, 99).chain([1_000_000]).collect(), 5, 5),
            (std::iter::repeat_n(5, 98).chain([1_000_000, 2_000_000]).collect(), 5, 1_000_000),
        ] {
            let count = lags.len() as u64;
            assert_eq!(Lag::of(lags.into_iter()), Lag { p50, p99, count });
        }
    }
}
