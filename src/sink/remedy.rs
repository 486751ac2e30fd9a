//! What is done about a partition that stopped. Pure but for the jitter of its pauses.

use std::time::Duration;

use crate::error::Kind;
use crate::retry::Backoff;

/// How often a partition is tried again whose trouble an operator mends: a grant, a key, a setting.
const UNTIL_MENDED: Duration = Duration::from_secs(60);

/// What is done about a partition that stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It concerns all partitions: the sink ends.
    End,
    /// The trouble passes by itself: the partition is taken over again after the pause.
    Wait(Duration),
    /// Somebody must do something: it stands still visibly, and is tried again after the pause.
    Mend(Duration),
    /// Nothing changes by trying again.
    Stay,
}

impl Remedy {
    /// The remedy for a stop of this kind; `troubles` counts those since the partition last got on.
    pub fn of(kind: Kind, troubles: &mut Backoff) -> Self {
        match kind {
            // Another version of the program may be at work on all of them.
            Kind::TryLater => Remedy::End,
            Kind::LocalIo | Kind::Unavailable => Remedy::Wait(troubles.after_failure()),
            Kind::Permission | Kind::Config => Remedy::Mend(UNTIL_MENDED),
            Kind::No | Kind::Usage | Kind::Data | Kind::Bug => Remedy::Stay,
        }
    }

    /// When it is tried again, if it is.
    pub fn pause(self) -> Option<Duration> {
        match self {
            Remedy::Wait(pause) | Remedy::Mend(pause) => Some(pause),
            Remedy::End | Remedy::Stay => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_ever_more_slowly_and_what_is_wrong_in_the_log_never() {
        let mut troubles = Backoff::default();
        for kind in [Kind::LocalIo, Kind::Unavailable] {
            assert!(matches!(Remedy::of(kind, &mut troubles), Remedy::Wait(_)));
        }
        assert_eq!(troubles.failures(), 2);
        for kind in [Kind::Permission, Kind::Config] {
            let remedy = Remedy::of(kind, &mut troubles);
            assert_eq!(remedy, Remedy::Mend(UNTIL_MENDED));
        }
        for kind in [Kind::No, Kind::Usage, Kind::Data, Kind::Bug] {
            assert_eq!(Remedy::of(kind, &mut troubles).pause(), None);
        }
        assert_eq!(Remedy::of(Kind::TryLater, &mut troubles), Remedy::End);
    }
}
