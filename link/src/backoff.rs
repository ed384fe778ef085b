//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential delays with jitter. Pure: the caller counts the attempts, draws the random number and sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper end of the first delay.
    pub first: Duration,
    /// Upper end of every later delay.
    pub max: Duration,
}

impl Default for Backoff {
    /// From 100 ms to 5 s: a peer that restarts is met again at once, one that is away is not hammered.
    fn default() -> Self {
        Self { first: Duration::from_millis(100), max: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The delay before attempt `attempt` (0 is the first one after a failure).
    ///
    /// The delay doubles with each attempt up to `max`; half of it is fixed and half is scaled by `jitter`, a number
    /// from 0 to 1, so that regions which lost the same peer do not come back in step.
    pub fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        let factor = 1_u32.checked_shl(attempt.min(31)).unwrap_or(u32::MAX);
        let full = self.first.checked_mul(factor).unwrap_or(self.max).min(self.max);
        let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
        full / 2 + (full / 2).mul_f64(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_jitter_takes_at_most_half() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) };
        let at = |attempt, jitter| backoff.delay(attempt, jitter).as_millis();
        assert_eq!([at(0, 1.0), at(1, 1.0), at(2, 1.0), at(3, 1.0)], [100, 200, 400, 800]);
        assert_eq!([at(0, 0.0), at(1, 0.0), at(6, 0.0)], [50, 100, 2500]);
        assert_eq!([at(6, 1.0), at(31, 1.0), at(u32::MAX, 1.0)], [5000, 5000, 5000]);
        assert_eq!(at(0, f64::NAN), 100);
    }
}
