//! What comes with an event of a migration.

use crate::domain::text::{line, lines};
use crate::store::migration::Change;

#[derive(Debug, Clone, Default)]
pub struct EventDetails {
    /// Facts to store with the transition.
    pub change: Change,
    /// What happened, for the migration's log; empty for the usual words.
    pub message: String,
}

/// What is said of something, for the member, and for staff.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    pub public: &'a str,
    pub detail: &'a str,
}

impl<'a> Words<'a> {
    pub fn of(public: &'a str) -> Self {
        Self { public, detail: "" }
    }
}

impl EventDetails {
    pub fn with(change: Change) -> Self {
        Self {
            change,
            message: String::new(),
        }
    }

    pub fn saying(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    pub fn failure(Words { public, detail }: Words<'_>) -> Self {
        Self {
            change: Change {
                failure: Some(line(public, 500)),
                failure_detail: Some(lines(detail, 4000)),
                ..Change::default()
            },
            message: line(public, 500),
        }
    }
}
