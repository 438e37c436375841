//! Who may register which Linode, and what may become of a registration.

use super::migration::MigrationState;
use super::placement::Standing;
use super::platform::{self, Platform};
use super::programme::{Barred, Deed, Phase, allows};
use crate::string_enum;

string_enum! {
    /// `graduated`: it runs on a production host; `closed`: the beta ended before it moved.
    pub enum RegistrationState {
        Requested = "requested", Approved = "approved", Declined = "declined", Withdrawn = "withdrawn",
        Graduated = "graduated", Closed = "closed",
    }
}

/// Does it wait for staff, or stand?
pub fn is_live(state: RegistrationState) -> bool {
    match state {
        RegistrationState::Requested | RegistrationState::Approved => true,
        RegistrationState::Declined
        | RegistrationState::Withdrawn
        | RegistrationState::Graduated
        | RegistrationState::Closed => false,
    }
}

/// What eligibility is decided from.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    pub programme: Phase,
    /// Seats left in the beta; `None` is no limit.
    pub seats_left: Option<i64>,
    pub platform: Platform,
    pub standing: Standing,
    pub registration: Option<RegistrationState>,
    pub migration: Option<MigrationState>,
    pub has_disks: bool,
    pub has_profiles: bool,
}

/// Why a Linode cannot be registered, in words for its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEligible {
    #[error("{0}")]
    Programme(Barred),
    #[error("All places in the beta are taken.")]
    Full,
    #[error("It already runs on Xen.")]
    OnXen,
    #[error("It is on a host of the beta already.")]
    InBeta,
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
        Some(
            RegistrationState::Declined
            | RegistrationState::Withdrawn
            | RegistrationState::Graduated
            | RegistrationState::Closed,
        )
        | None => {}
    }
    if about.migration.is_some_and(super::migration::is_live) {
        return Err(NotEligible::Moving);
    }
    if about.standing != Standing::Outside {
        let is_there = about.platform == platform::TO;
        return Err(if is_there {
            NotEligible::OnXen
        } else {
            NotEligible::InBeta
        });
    }
    allows(about.programme, Deed::Register).map_err(NotEligible::Programme)?;
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
    /// Its Linode runs on a production host, and the way back from there is closed.
    Graduate,
    /// The beta has ended, and its Linode has not moved.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("this was already done")]
    Already,
    #[error("there is no such registration")]
    Missing,
    #[error("the registration was already decided")]
    Decided,
    #[error("the registration was withdrawn")]
    Gone,
    #[error("the registration has ended")]
    Over,
}

pub fn decide(state: RegistrationState, event: Event) -> Result<RegistrationState, Refused> {
    use RegistrationState::{Approved, Closed, Declined, Graduated, Requested, Withdrawn};
    match (state, event) {
        (Requested, Event::Approve) => Ok(Approved),
        (Requested, Event::Decline) => Ok(Declined),
        (Requested | Approved, Event::Withdraw) => Ok(Withdrawn),
        (Requested | Approved, Event::Close) => Ok(Closed),
        (Approved, Event::Graduate) => Ok(Graduated),
        (Approved, Event::Approve)
        | (Declined, Event::Decline)
        | (Withdrawn, Event::Withdraw)
        | (Graduated, Event::Graduate)
        | (Closed, Event::Close) => Err(Refused::Already),
        (Requested, Event::Graduate)
        | (Approved, Event::Decline)
        | (Declined, Event::Approve | Event::Withdraw | Event::Graduate | Event::Close) => {
            Err(Refused::Decided)
        }
        (Withdrawn, Event::Approve | Event::Decline | Event::Graduate | Event::Close) => {
            Err(Refused::Gone)
        }
        (Graduated, Event::Approve | Event::Decline | Event::Withdraw | Event::Close)
        | (Closed, Event::Approve | Event::Decline | Event::Withdraw | Event::Graduate) => {
            Err(Refused::Over)
        }
    }
}
