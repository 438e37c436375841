//! What a use case can fail with: a message for people, and a cause for the log.

use crate::domain::account::{self, Right, StaffRole};
use crate::domain::values::Invalid;
use crate::store::error::StoreError;

/// What comes of a use case.
pub type Result<T, E = AppError> = std::result::Result<T, E>;

/// Why a use case did nothing. Everything but `Away` and `Fault` is for the person who asked; their causes are for the log.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such thing, or it is somebody else's: the two look the same.
    #[error("not found")]
    NotFound,
    /// A field cannot be as it is: its form name, and what to do.
    #[error("{field}: {message}")]
    Invalid {
        field: &'static str,
        message: String,
    },
    /// Things are no longer (or not yet) so that this can be done; says how they are.
    #[error("{0}")]
    Conflict(String),
    /// It will be possible, and is not yet: the portal recovers its memory, or hosts contradict it. Agents ask again.
    #[error("{0}")]
    Later(String),
    #[error("not signed in")]
    SignIn,
    #[error("not allowed")]
    Forbidden,
    /// Staff, whose role does not give them this.
    #[error("{}", account::refusal(*.0, *.1))]
    Right(Right, StaffRole),
    /// Staff, who have to have a second factor here and have none.
    #[error("a second factor is needed")]
    SecondFactor,
    /// Somebody signed in, who has to show again who they are.
    #[error("asked again who they are")]
    Prove,
    #[error("too many attempts")]
    TooMany { retry_after_s: u64 },
    /// More at once than the portal does: it will be done when this has passed.
    #[error("busy")]
    Busy { retry_after_s: u64 },
    /// The database is away; what was asked for may have been done or not. With the cause for the log.
    #[error("{0}")]
    Away(String),
    #[error("{0}")]
    Fault(String),
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        if error.is_away() {
            Self::Away(error.to_string())
        } else {
            Self::Fault(error.to_string())
        }
    }
}

impl AppError {
    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::Conflict(text.into())
    }

    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            message: message.into(),
        }
    }

    pub(crate) fn field(field: &'static str) -> impl FnOnce(Invalid) -> Self {
        move |invalid| Self::invalid(field, invalid.0)
    }

    /// What to answer where such a row is there already: another one of the same moment was first.
    pub(crate) fn if_taken(taken: impl FnOnce() -> Self) -> impl FnOnce(StoreError) -> Self {
        |error| {
            if error.is_duplicate() {
                taken()
            } else {
                error.into()
            }
        }
    }
}
