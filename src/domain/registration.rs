//! Who may register which Linode, and what may become of a registration.

use super::words::{MigrationState, Platform, ProgrammeState, RegistrationState};

/// What eligibility is decided from.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    pub programme: ProgrammeState,
    /// Seats left in the beta; `None` is no limit.
    pub seats_left: Option<i64>,
    pub platform: Platform,
    pub registration: Option<RegistrationState>,
    pub migration: Option<MigrationState>,
    pub has_disks: bool,
    pub has_profiles: bool,
}

/// Why a Linode cannot be registered, in words for its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEligible {
    #[error("The beta has ended.")]
    Ended,
    #[error("The beta takes no new registrations at present.")]
    Closed,
    #[error("All places in the beta are taken.")]
    Full,
    #[error("It already runs on Xen.")]
    OnXen,
    #[error("It is registered and waits for staff.")]
    Waiting,
    #[error("Its registration is approved.")]
    Approved,
    #[error("It is being moved.")]
    Moving,
    #[error("It has no disk images to move.")]
    NoDisks,
    #[error("It has no config profile to boot from.")]
    NoProfiles,
}

pub fn eligible(about: &Circumstances) -> Result<(), NotEligible> {
    match about.registration {
        Some(RegistrationState::Requested) => return Err(NotEligible::Waiting),
        Some(RegistrationState::Approved) => return Err(NotEligible::Approved),
        Some(RegistrationState::Declined | RegistrationState::Withdrawn) | None => {}
    }
    if about.migration.is_some_and(super::migration::is_live) {
        return Err(NotEligible::Moving);
    }
    if about.platform == Platform::Xen {
        return Err(NotEligible::OnXen);
    }
    match about.programme {
        ProgrammeState::Open => {}
        ProgrammeState::Closed => return Err(NotEligible::Closed),
        ProgrammeState::Ended => return Err(NotEligible::Ended),
    }
    if about.seats_left.is_some_and(|left| left <= 0) {
        return Err(NotEligible::Full);
    }
    if !about.has_disks {
        return Err(NotEligible::NoDisks);
    }
    if !about.has_profiles {
        return Err(NotEligible::NoProfiles);
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Approve,
    Decline,
    Withdraw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("this was already done")]
    Already,
    #[error("the registration was already decided")]
    Decided,
    #[error("the registration was withdrawn")]
    Gone,
}

pub fn decide(state: RegistrationState, event: Event) -> Result<RegistrationState, Refused> {
    use RegistrationState::{Approved, Declined, Requested, Withdrawn};
    match (state, event) {
        (Requested, Event::Approve) => Ok(Approved),
        (Requested, Event::Decline) => Ok(Declined),
        (Requested | Approved, Event::Withdraw) => Ok(Withdrawn),
        (Approved, Event::Approve) | (Declined, Event::Decline) | (Withdrawn, Event::Withdraw) => {
            Err(Refused::Already)
        }
        (Approved, Event::Decline) | (Declined, Event::Approve | Event::Withdraw) => {
            Err(Refused::Decided)
        }
        (Withdrawn, Event::Approve | Event::Decline) => Err(Refused::Gone),
    }
}
