//! Waves: many moves that staff let go one after the other, in an order, a few first, behind gates. Pure: what becomes of a wave
//! by an event, how its moves stand, and how many more may be given out now. The gates are in [`gate`].

pub mod gate;
pub mod numbers;
mod sequence;

use chrono::Timelike;

pub use sequence::{Candidate, Sequence, in_sequence};

use super::account::Right;
use super::migration::{MigrationKind, MigrationState};
use super::time::Time;
use super::time::zone::Tz;
use crate::string_enum;

string_enum! {
    /// What a wave gives out: offers, which members take up when they like, or moves that staff begin.
    pub enum WaveKind {
        Beta = "beta", Graduation = "graduation",
        /// Of all Linodes of a host.
        Evacuation = "evacuation",
    }
}
string_enum! {
    pub enum WaveState {
        /// Staff look at it; nothing has been given out.
        Draft = "draft",
        Running = "running",
        /// By staff, or as a gate closed: nothing is given out, and no move of it begins.
        Paused = "paused",
        /// By staff: what was not given out by then is not.
        Stopped = "stopped",
        /// All was given out, and is over.
        Ended = "ended",
    }
}
string_enum! {
    /// What a wave did with one of its Linodes.
    pub enum ItemState {
        Waiting = "waiting",
        /// It was offered a place, or its move was ordered.
        Given = "given",
        /// By staff.
        Skipped = "skipped",
        /// It cannot be given anything any more.
        Refused = "refused",
    }
}

/// What happens to a wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaveEvent {
    Start,
    /// By staff, or by a gate.
    Pause,
    Resume,
    Stop,
    /// All was given out, and is over.
    RunOut,
}

/// Why an event changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    #[error("this was already done")]
    Already,
    #[error("this is not possible in its present state")]
    Otherwise,
}

/// What becomes of a wave. Total: every state says something to every event.
pub fn next(state: WaveState, event: WaveEvent) -> Result<WaveState, NotNow> {
    use WaveEvent as E;
    use WaveState as S;
    match (state, event) {
        (S::Draft, E::Start) | (S::Paused, E::Resume) => Ok(S::Running),
        (S::Running, E::Pause) => Ok(S::Paused),
        (S::Draft | S::Running | S::Paused, E::Stop) => Ok(S::Stopped),
        (S::Running, E::RunOut) => Ok(S::Ended),
        (S::Running, E::Start | E::Resume)
        | (S::Paused, E::Pause)
        | (S::Stopped, E::Stop)
        | (S::Ended, E::RunOut) => Err(NotNow::Already),
        (S::Draft, E::Pause | E::Resume | E::RunOut)
        | (S::Paused, E::Start | E::RunOut)
        | (S::Stopped, E::Start | E::Pause | E::Resume | E::RunOut)
        | (S::Ended, E::Start | E::Pause | E::Resume | E::Stop) => Err(NotNow::Otherwise),
    }
}

/// Does it say how many of its moves may be at work at once? One that is over lets go of those that go on.
pub fn holds_moves(state: WaveState) -> bool {
    match state {
        WaveState::Running | WaveState::Paused => true,
        WaveState::Draft | WaveState::Stopped | WaveState::Ended => false,
    }
}

/// Is its Linodes' turn still to come, so that no other wave takes them?
pub fn is_open(state: WaveState) -> bool {
    match state {
        WaveState::Draft | WaveState::Running | WaveState::Paused => true,
        WaveState::Stopped | WaveState::Ended => false,
    }
}

impl WaveKind {
    /// The kind of the moves that it makes.
    pub fn moves(self) -> MigrationKind {
        match self {
            Self::Beta => MigrationKind::Beta,
            Self::Graduation => MigrationKind::Graduation,
            Self::Evacuation => MigrationKind::Evacuation,
        }
    }

    /// What it takes to let it go, besides the right to moves.
    pub fn right(self) -> Right {
        match self {
            Self::Beta => Right::Registrations,
            Self::Graduation => Right::Graduation,
            Self::Evacuation => Right::Evacuation,
        }
    }

    /// Do members say when each of its moves begins?
    pub fn is_offered(self) -> bool {
        match self {
            Self::Beta | Self::Graduation => true,
            Self::Evacuation => false,
        }
    }
}

/// Where one of a wave's Linodes is, as pages tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Waiting,
    Offered,
    Queued,
    AtWork,
    Done,
    /// Moved, and taken back.
    WentBack,
    Failed,
    /// Its offer ended, or its move was cancelled.
    CameToNothing,
    Skipped,
    Refused,
}

impl Stage {
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Offered,
        Self::Queued,
        Self::AtWork,
        Self::Done,
        Self::WentBack,
        Self::Failed,
        Self::CameToNothing,
        Self::Skipped,
        Self::Refused,
    ];

    /// It was given out, and is not over.
    pub fn is_out(self) -> bool {
        match self {
            Self::Offered | Self::Queued | Self::AtWork => true,
            Self::Waiting
            | Self::Done
            | Self::WentBack
            | Self::Failed
            | Self::CameToNothing
            | Self::Skipped
            | Self::Refused => false,
        }
    }
}

/// `of`: the state of the move that was made for it.
pub fn stage(item: ItemState, of: Option<MigrationState>) -> Stage {
    use MigrationState as S;
    match (item, of) {
        (ItemState::Waiting, _) => Stage::Waiting,
        (ItemState::Skipped, _) => Stage::Skipped,
        (ItemState::Refused, _) => Stage::Refused,
        (ItemState::Given, Some(S::Offered)) => Stage::Offered,
        (ItemState::Given, Some(S::Queued)) => Stage::Queued,
        (ItemState::Given, Some(S::Preparing | S::Copying | S::Holding | S::Switching)) => {
            Stage::AtWork
        }
        (ItemState::Given, Some(S::Finished | S::Confirmed)) => Stage::Done,
        (ItemState::Given, Some(S::Returning | S::Returned)) => Stage::WentBack,
        (ItemState::Given, Some(S::Failed)) => Stage::Failed,
        (ItemState::Given, Some(S::Expired | S::Cancelled) | None) => Stage::CameToNothing,
    }
}

/// The times of day at which a wave gives something out, in minutes; an end that is not after the beginning is on the next
/// day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub begins: u16,
    pub ends: u16,
}

impl Window {
    pub fn is_open(self, at: Time, zone: &Tz) -> bool {
        let local = at.utc().with_timezone(zone);
        let minute = u16::try_from(local.hour() * 60 + local.minute()).unwrap_or(0);
        if self.begins < self.ends {
            self.begins <= minute && minute < self.ends
        } else {
            self.begins <= minute || minute < self.ends
        }
    }
}

/// How fast a wave goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// So many go first.
    pub canary: i64,
    /// What is given out and not over, at most.
    pub out_most: i64,
}

/// How far a wave is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Far {
    pub out: i64,
    /// Moved, and watched for as long as the first ones are.
    pub well: i64,
    /// Moved, and not watched for so long yet.
    pub fresh: i64,
}

impl Pace {
    /// Have the first ones not all run well yet?
    pub fn is_canary(self, far: Far) -> bool {
        far.well < self.canary
    }

    /// How many more may be given out now.
    pub fn more(self, far: Far) -> i64 {
        let left = if self.is_canary(far) {
            let first = self.canary - far.well - far.fresh;
            first.min(self.out_most) - far.out
        } else {
            self.out_most - far.out
        };
        left.max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::string_enum::StringEnum;

    const EVENTS: [WaveEvent; 5] = [
        WaveEvent::Start,
        WaveEvent::Pause,
        WaveEvent::Resume,
        WaveEvent::Stop,
        WaveEvent::RunOut,
    ];

    #[test]
    fn every_state_answers_every_event() {
        let mut lines = Vec::new();
        for state in WaveState::ALL {
            for event in EVENTS {
                let said = match next(*state, event) {
                    Ok(after) => after.to_string(),
                    Err(why) => format!("- {why}"),
                };
                lines.push(format!("{state} {event:?}: {said}"));
            }
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_is_over_stays_over() {
        for state in [WaveState::Stopped, WaveState::Ended] {
            assert!(EVENTS.iter().all(|event| next(state, *event).is_err()));
            assert!(!holds_moves(state) && !is_open(state));
        }
    }

    #[test]
    fn first_a_few_and_then_as_many_as_may_be_out() {
        let pace = Pace {
            canary: 3,
            out_most: 10,
        };
        let more = |out, well, fresh| pace.more(Far { out, well, fresh });
        assert_eq!(more(0, 0, 0), 3);
        assert_eq!(more(3, 0, 0), 0);
        // One has moved: it is watched first.
        assert_eq!(more(2, 0, 1), 0);
        assert_eq!(more(0, 2, 1), 0);
        // One came to nothing, so another takes its place.
        assert_eq!(more(2, 0, 0), 1);
        assert_eq!(more(0, 3, 0), 10);
        assert_eq!(more(4, 3, 20), 6);
        assert_eq!(more(12, 3, 0), 0);
        let narrow = Pace {
            canary: 3,
            out_most: 2,
        };
        assert_eq!(narrow.more(Far::default()), 2);
        let none = Pace {
            canary: 0,
            out_most: 2,
        };
        assert_eq!(none.more(Far::default()), 2);
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let at = |text: &str| {
            let parsed = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
            Time::new(parsed.and_utc())
        };
        let day = Window {
            begins: 9 * 60,
            ends: 17 * 60,
        };
        let night = Window {
            begins: 22 * 60,
            ends: 6 * 60,
        };
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        for (when, in_day, in_night) in [
            ("2026-11-23 08:00", true, false),
            ("2026-11-23 07:59", false, false),
            ("2026-11-23 15:59", true, false),
            ("2026-11-23 16:00", false, false),
            ("2026-11-23 21:00", false, true),
            ("2026-11-23 04:59", false, true),
            ("2026-11-23 05:00", false, false),
        ] {
            assert_eq!(day.is_open(at(when), &berlin), in_day, "{when}");
            assert_eq!(night.is_open(at(when), &berlin), in_night, "{when}");
        }
        assert!(day.is_open(at("2026-11-23 09:00"), &Tz::UTC));
        assert!(!day.is_open(at("2026-11-23 08:59"), &Tz::UTC));
    }

    #[test]
    fn each_has_one_stage_and_what_is_out_is_not_over() {
        let of = |state| stage(ItemState::Given, Some(state));
        for state in MigrationState::ALL {
            let is_live = crate::domain::migration::is_live(*state);
            assert_eq!(of(*state).is_out(), is_live, "{state}");
        }
        assert_eq!(of(MigrationState::Returned), Stage::WentBack);
        assert_eq!(of(MigrationState::Expired), Stage::CameToNothing);
        assert_eq!(stage(ItemState::Waiting, None), Stage::Waiting);
    }
}
