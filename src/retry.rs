//! Pauses between tries: they grow, they are bounded, and no two workers keep step.

use std::time::Duration;

use rand::Rng;

/// The shortest pause. Long enough not to hammer a sick database, short enough to go unnoticed.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause: a part that comes back is noticed within half a minute.
const LONGEST: Duration = Duration::from_secs(20);

/// Exponential back-off with full jitter.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How many failures in a row there were.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure and gives the pause before the next try.
    pub fn after_failure(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let ceiling = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Counts a success.
    pub fn after_success(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_ceiling_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.after_failure()).collect();
        assert!(pauses[0] < Duration::from_millis(401));
        assert!(pauses.iter().all(|p| *p <= LONGEST));
        assert!(pauses[39] >= LONGEST / 2);
        backoff.after_success();
        assert!(backoff.after_failure() < Duration::from_millis(401));
    }
}
