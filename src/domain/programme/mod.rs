//! What the programme's state lets people do. What runs, runs on: no state stops a migration that was started, closes a way
//! back, or keeps anyone from their Linodes.

#[cfg(feature = "portal")]
pub mod move_times;

use super::time::Time;
use crate::string_enum;

string_enum! {
    pub enum ProgrammeState { Open = "open", Closed = "closed", Ended = "ended" }
}
string_enum! {
    /// A section of the announcement, which staff write. Its word is in its address and its default text's file name.
    pub enum TextSection {
        Brings = "brings", TakePart = "take-part", Tested = "tested", Ends = "ends", Bugs = "bugs", Kernels = "kernels",
        Threads = "nptl", NotYet = "not-yet",
    }
}
use super::migration::MigrationKind;

/// Where the programme stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Open, but not before this moment.
    Announced(Time),
    Open,
    Closed,
    Ended,
}

pub fn phase(state: ProgrammeState, opens_at: Option<Time>, now: Time) -> Phase {
    match (state, opens_at) {
        (ProgrammeState::Ended, _) => Phase::Ended,
        (ProgrammeState::Closed, _) => Phase::Closed,
        (ProgrammeState::Open, Some(at)) if at > now => Phase::Announced(at),
        (ProgrammeState::Open, _) => Phase::Open,
    }
}

/// The programme's dates, as they were set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dates {
    pub opens_at: Option<Time>,
    pub expected_end_at: Option<Time>,
    pub ended_at: Option<Time>,
}

/// Those of its dates that say something now, each with its word. None is said of a day that has gone by, or has not come,
/// that the programme's state contradicts.
pub fn said_of(phase: Phase, dates: Dates, now: Time) -> Vec<(&'static str, Time)> {
    let opening = match phase {
        Phase::Announced(at) => Some(("Opens", at)),
        Phase::Open => dates.opens_at.map(|at| ("Opened", at)),
        Phase::Closed | Phase::Ended => None,
    };
    let end = match phase {
        Phase::Ended => dates.ended_at.map(|at| ("Ended", at)),
        Phase::Announced(_) | Phase::Open | Phase::Closed => dates
            .expected_end_at
            .filter(|at| *at > now)
            .map(|at| ("Expected to end", at)),
    };
    opening.into_iter().chain(end).collect()
}

/// What someone wants to do in the programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A member registers a Linode.
    Register,
    /// Staff take a registration in.
    Approve,
    /// Staff offer a move of this kind.
    Offer(MigrationKind),
    /// A member takes such an offer up.
    Start(MigrationKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    #[error("The beta has not opened yet.")]
    NotYet,
    #[error("The beta takes no new registrations at present.")]
    Closed,
    #[error("The beta has ended.")]
    Ended,
}

/// May it be done in this phase?
pub fn allows(phase: Phase, deed: Deed) -> Result<(), Barred> {
    match (phase, deed) {
        (Phase::Announced(_), Deed::Register) => Err(Barred::NotYet),
        (Phase::Closed, Deed::Register) => Err(Barred::Closed),
        // No Linode enters the beta any more. Those that are in it go on to production, or home.
        (
            Phase::Ended,
            Deed::Register
            | Deed::Approve
            | Deed::Offer(MigrationKind::Beta)
            | Deed::Start(MigrationKind::Beta),
        ) => Err(Barred::Ended),
        (
            Phase::Announced(_) | Phase::Open | Phase::Closed,
            Deed::Approve | Deed::Offer(_) | Deed::Start(_),
        )
        | (Phase::Open, Deed::Register)
        | (
            Phase::Ended,
            Deed::Offer(
                MigrationKind::Graduation | MigrationKind::Return | MigrationKind::Evacuation,
            )
            | Deed::Start(
                MigrationKind::Graduation | MigrationKind::Return | MigrationKind::Evacuation,
            ),
        ) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn dates_are_told_as_they_are() {
        let now = Time::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let (past, soon) = (now.plus_days(-1), now.plus_days(1));
        let all = [None, Some(past), Some(now), Some(soon)];
        let words = |state, opens_at, expected_end_at| {
            let dates = Dates {
                opens_at,
                expected_end_at,
                ended_at: (state == ProgrammeState::Ended).then_some(past),
            };
            let said = said_of(phase(state, opens_at, now), dates, now);
            said.iter().map(|(word, _)| *word).collect::<Vec<_>>()
        };
        for opens_at in all {
            for end in all {
                let expected = (end == Some(soon)).then_some("Expected to end");
                let opening = match opens_at {
                    None => None,
                    Some(at) if at > now => Some("Opens"),
                    Some(_) => Some("Opened"),
                };
                let open: Vec<&str> = opening.into_iter().chain(expected).collect();
                assert_eq!(words(ProgrammeState::Open, opens_at, end), open);
                let closed: Vec<&str> = expected.into_iter().collect();
                assert_eq!(words(ProgrammeState::Closed, opens_at, end), closed);
                assert_eq!(words(ProgrammeState::Ended, opens_at, end), ["Ended"]);
            }
        }
        // An end that was never dated is told by the state alone.
        let undated = Dates {
            opens_at: Some(soon),
            expected_end_at: Some(soon),
            ended_at: None,
        };
        assert_eq!(said_of(Phase::Ended, undated, now), []);
    }

    #[test]
    fn each_state_lets_in_whom_it_says() {
        let now = Time::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let soon = now.plus_days(1);
        assert_eq!(phase(ProgrammeState::Open, None, now), Phase::Open);
        assert_eq!(phase(ProgrammeState::Open, Some(now), now), Phase::Open);
        let announced = phase(ProgrammeState::Open, Some(soon), now);
        assert_eq!(announced, Phase::Announced(soon));
        assert_eq!(
            phase(ProgrammeState::Closed, Some(soon), now),
            Phase::Closed
        );
        assert_eq!(allows(announced, Deed::Register), Err(Barred::NotYet));
        assert_eq!(allows(Phase::Open, Deed::Register), Ok(()));
        assert_eq!(allows(Phase::Closed, Deed::Register), Err(Barred::Closed));
        assert_eq!(
            allows(Phase::Closed, Deed::Start(MigrationKind::Beta)),
            Ok(())
        );
        for deed in [
            Deed::Register,
            Deed::Approve,
            Deed::Offer(MigrationKind::Beta),
            Deed::Start(MigrationKind::Beta),
        ] {
            assert_eq!(allows(Phase::Ended, deed), Err(Barred::Ended), "{deed:?}");
        }
        for kind in [MigrationKind::Graduation, MigrationKind::Return] {
            assert_eq!(allows(Phase::Ended, Deed::Start(kind)), Ok(()));
        }
    }
}
