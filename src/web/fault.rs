//! What a handler can fail with; `layer::error_page` turns it into a page. A fault has a public part, in words for its
//! reader, and a cause that only the log sees; they are different fields, so they cannot be mixed up.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::app::error::AppError;
use crate::domain::account::{self, Right, StaffRole};
use crate::store::error::StoreError;

/// What a handler answers.
pub type Result<T, E = Fault> = std::result::Result<T, E>;
pub type Response = Result<HttpResponse>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("bad request: {0}")]
    BadRequest(String),
    /// Nobody is signed in; the edge leads to the sign-in page and back.
    #[error("not signed in")]
    SignIn,
    /// May not do this. Never used for other people's objects: those are [`Fault::NotFound`].
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// Staff, whose role does not give them this.
    #[error("{}", account::refusal(*needs, *has))]
    Right { needs: Right, has: StaffRole },
    /// Staff, who have to set a second factor up first.
    #[error("a second factor is needed")]
    SecondFactor,
    /// Somebody signed in, who has to show again who they are.
    #[error("asked again who they are")]
    Prove,
    #[error("not found")]
    NotFound,
    /// Things are no longer as the page showed them; says how they are, and where to look.
    #[error("conflict: {message}")]
    Conflict {
        message: String,
        back: Option<(String, String)>,
    },
    #[error("the request's body is too large")]
    TooLarge,
    #[error("too many requests")]
    TooMany { retry_after_s: u64 },
    /// More at once than is done here.
    #[error("busy")]
    Busy { retry_after_s: u64 },
    /// The form's token is missing, foreign, or of a session that ended.
    #[error("the form has expired")]
    Expired,
    /// The database is.
    #[error("away: {0}")]
    Away(Cause),
    #[error("internal: {0}")]
    Internal(Cause),
}

impl Fault {
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict {
            message: message.into(),
            back: None,
        }
    }

    /// When to try again, where that is known.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_s } | Self::Busy { retry_after_s } => Some(*retry_after_s),
            Self::Away(_) => Some(5),
            _ => None,
        }
    }

    /// The page of what has to be done before this can be, if it can be then.
    pub fn first(&self) -> Option<&'static str> {
        match self {
            Self::SignIn => Some("/login"),
            Self::Prove => Some("/again"),
            Self::SecondFactor => Some("/members/accounts/second-factor/setup"),
            _ => None,
        }
    }

    /// With a link to where things stand now.
    pub fn conflict_at(
        message: impl Into<String>,
        url: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self::Conflict {
            message: message.into(),
            back: Some((url.into(), label.into())),
        }
    }

    /// A conflict leads there; other faults stay as they are.
    #[must_use]
    pub fn at(self, url: impl Into<String>, label: impl Into<String>) -> Self {
        match self {
            Self::Conflict { message, .. } => Self::conflict_at(message, url, label),
            other => other,
        }
    }
}

impl From<AppError> for Fault {
    fn from(error: AppError) -> Self {
        match error {
            // What someone may not see is not there for them.
            AppError::NotFound | AppError::Forbidden => Self::NotFound,
            AppError::Right(needs, has) => Self::Right { needs, has },
            // Handlers that show a form again have taken this out before; elsewhere the field was never on a page.
            AppError::Invalid { message, .. } => Self::BadRequest(format!("{message}.")),
            AppError::Conflict(message) | AppError::Later(message) => Self::conflict(message),
            AppError::SignIn => Self::SignIn,
            AppError::SecondFactor => Self::SecondFactor,
            AppError::Prove => Self::Prove,
            AppError::TooMany { retry_after_s } => Self::TooMany { retry_after_s },
            AppError::Busy { retry_after_s } => Self::Busy { retry_after_s },
            AppError::Away(cause) => Self::Away(cause.into()),
            AppError::Fault(cause) => Self::Internal(cause.into()),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        AppError::from(error).into()
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::SignIn => StatusCode::SEE_OTHER,
            Self::Forbidden(_)
            | Self::Right { .. }
            | Self::SecondFactor
            | Self::Prove
            | Self::Expired => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy { .. } | Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Empty: the edge layer, which knows the request, writes the page.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}
