//! Batches: many of a kind that staff decide at once.

use super::account::Right;
use crate::string_enum;

string_enum! {
    /// What is done with each.
    pub enum BatchKind {
        /// With registrations.
        Approve = "approve", Decline = "decline", Configure = "configure",
        /// Each registration's place on the production host named for it.
        Graduate = "graduate",
        /// Each Linode's move off the host that staff empty.
        Evacuate = "evacuate",
        /// A failed job's further try.
        Retry = "retry",
    }
}
string_enum! {
    pub enum BatchState {
        Running = "running", Ended = "ended",
        /// By staff, or as who made it may decide no more: what was not done by then is not done.
        Stopped = "stopped",
    }
}
string_enum! {
    /// What came of one of them.
    pub enum ItemOutcome {
        Done = "done",
        /// It was so before.
        Before = "before",
        Refused = "refused",
    }
}

/// What the items of a batch are, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Registrations,
    Linodes,
    Jobs,
}

impl BatchKind {
    pub fn of(self) -> Of {
        match self {
            Self::Approve | Self::Decline | Self::Configure | Self::Graduate => Of::Registrations,
            Self::Evacuate => Of::Linodes,
            Self::Retry => Of::Jobs,
        }
    }

    /// What it takes to ask for it, and to stop it.
    pub fn right(self) -> Right {
        match self {
            Self::Approve | Self::Decline | Self::Configure => Right::Registrations,
            Self::Graduate => Right::Graduation,
            Self::Evacuate => Right::Evacuation,
            Self::Retry => Right::Jobs,
        }
    }

    /// "Configure 2 registrations".
    pub fn title(self, count: i64) -> String {
        let (verb, one) = match self {
            Self::Approve => ("Approve", "registration"),
            Self::Decline => ("Decline", "registration"),
            Self::Configure => ("Configure", "registration"),
            Self::Graduate => ("Offer", "place"),
            Self::Evacuate => ("Evacuate", "Linode"),
            Self::Retry => ("Retry", "job"),
        };
        let many = if count == 1 { "" } else { "s" };
        format!("{verb} {count} {one}{many}")
    }

    pub fn past(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Decline => "declined",
            Self::Configure => "configured",
            Self::Graduate => "offered a place",
            Self::Evacuate => "on their way off the host",
            Self::Retry => "tried again",
        }
    }
}
