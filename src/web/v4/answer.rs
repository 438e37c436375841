//! How the API answers: lists in pages, `{}` for what was done, and every error as `{"errors":[{"reason","field"}]}`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError, web};
use serde_json::{Value, json};

use crate::app::App;
use crate::app::error::AppError;
use crate::domain::time::Time;
use crate::web::extract::body::Unread;
use crate::web::portal::Portal;

#[derive(Debug, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Refusal {
    status: StatusCode,
    reason: String,
    field: Option<String>,
    retry_after_s: Option<u64>,
}

impl Refusal {
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            field: None,
            retry_after_s: None,
        }
    }

    /// 400: this part of the request cannot be as it is.
    pub fn field(field: &str, reason: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, reason)
        }
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found")
    }

    fn later(status: StatusCode, reason: impl Into<String>, seconds: u64) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..Self::new(status, reason)
        }
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        match error {
            AppError::NotFound | AppError::Forbidden => Self::not_found(),
            AppError::Invalid { field, message } => Self::field(field, message),
            AppError::Conflict(reason) => Self::new(StatusCode::CONFLICT, reason),
            AppError::Later(reason) => Self::later(unavailable, reason, 5),
            AppError::SignIn => Self::new(StatusCode::UNAUTHORIZED, "Invalid Token"),
            AppError::Right(..) | AppError::SecondFactor | AppError::Prove => {
                Self::new(StatusCode::FORBIDDEN, "This is done on the pages only")
            }
            AppError::TooMany { retry_after_s } => Self::later(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests",
                retry_after_s,
            ),
            AppError::Busy { retry_after_s } => Self::later(unavailable, "Busy", retry_after_s),
            AppError::Away(cause) => {
                tracing::error!(%cause, "a call of the API found no database");
                Self::later(unavailable, "The database is away; try again", 5)
            }
            AppError::Fault(cause) => {
                tracing::error!(%cause, "a call of the API failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The portal failed")
            }
        }
    }
}

impl From<Unread> for Refusal {
    fn from(why: Unread) -> Self {
        match why {
            Unread::Late => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "The body did not arrive in time",
            ),
            Unread::Cut => Self::new(StatusCode::BAD_REQUEST, "The body broke off on its way"),
            Unread::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Unread::Busy => Self::later(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too much is being sent to the portal now",
                5,
            ),
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after_s {
            answer.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        let mut error = json!({ "reason": self.reason });
        if let (Some(field), Some(error)) = (&self.field, error.as_object_mut()) {
            error.insert("field".to_owned(), json!(field));
        }
        answer.json(json!({ "errors": [error] }))
    }
}

/// Is this path the API's, whose every answer is JSON?
pub fn is_path(path: &str) -> bool {
    ["/v4", "/v4beta"].iter().any(|root| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The answer to what did not come as far as a handler of the API.
pub fn bare(status: StatusCode) -> HttpResponse {
    let reason = status.canonical_reason().unwrap_or("Error");
    Refusal::new(status, reason).error_response()
}

pub type Answer = Result<HttpResponse, Refusal>;

pub fn done() -> Answer {
    Ok(HttpResponse::Ok().json(json!({})))
}

pub fn one(value: Value) -> Answer {
    Ok(HttpResponse::Ok().json(value))
}

/// As the API writes a moment: UTC, without a zone.
pub fn date(at: Time) -> String {
    at.utc().format("%Y-%m-%dT%H:%M:%S").to_string()
}

pub fn date_or_null(at: Option<Time>) -> Value {
    at.map_or(Value::Null, |at| json!(date(at)))
}

/// One call of a use case, on a thread where it may block.
pub async fn run<T: Send + 'static>(
    portal: &Portal,
    call: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
) -> Result<T, Refusal> {
    let portal = portal.clone();
    match web::block(move || call(&portal)).await {
        Ok(result) => result.map_err(Refusal::from),
        Err(_) => Err(Refusal::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "The portal is stopping",
            5,
        )),
    }
}
