//! For how long what others do stands still.

use std::time::{Duration, Instant};

/// Waits as long as something moves.
#[derive(Debug)]
pub struct Stillness {
    since: Instant,
}

impl Stillness {
    pub fn new(now: Instant) -> Self {
        Stillness { since: now }
    }

    /// Takes a look in; tells for how long nothing has moved.
    pub fn after(&mut self, has_moved: bool, now: Instant) -> Duration {
        if has_moved {
            self.since = now;
        }
        now.duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_loads_are_waited_for_as_long_as_one_after_the_other_is_switched_to() {
        let began = Instant::now();
        let mut stillness = Stillness::new(began);
        let mut now = began;
        for _ in 0..100 {
            for second in 1..60 {
                now += Duration::from_secs(1);
                assert_eq!(stillness.after(false, now).as_secs(), second);
            }
            assert_eq!(stillness.after(true, now), Duration::ZERO);
        }
        let later = now + Duration::from_secs(90);
        assert_eq!(stillness.after(false, later).as_secs(), 90);
    }
}
