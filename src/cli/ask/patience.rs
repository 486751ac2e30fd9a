//! How long is waited for what others do: as long as it goes on.

use std::time::{Duration, Instant};

/// Waits as long as something moves, and so much longer.
#[derive(Debug)]
pub struct Patience {
    length: Duration,
    moved_at: Instant,
}

impl Patience {
    pub fn new(length: Duration, now: Instant) -> Self {
        Patience {
            length,
            moved_at: now,
        }
    }

    /// Takes a look in; tells whether it is over.
    pub fn is_over(&mut self, has_moved: bool, now: Instant) -> bool {
        if has_moved {
            self.moved_at = now;
        }
        now.duration_since(self.moved_at) > self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn many_loads_are_waited_for_as_long_as_one_after_the_other_is_switched_to() {
        let began = Instant::now();
        let mut patience = Patience::new(MINUTE, began);
        let mut now = began;
        for load in 0..100 {
            for _ in 0..59 {
                now += Duration::from_secs(1);
                assert!(!patience.is_over(false, now), "load {load}");
            }
            assert!(!patience.is_over(true, now), "load {load}");
        }
        assert!(!patience.is_over(false, now + MINUTE));
        assert!(patience.is_over(false, now + MINUTE + Duration::from_millis(1)));
    }
}
