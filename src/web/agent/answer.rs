//! How an agent's call is read, who makes it, and how it is answered.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::app::context::Agent;
use crate::app::error::AppError;

/// An error as agents get it: `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {message}")]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    retry_after_s: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after_s: None,
        }
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound => Self::new(StatusCode::NOT_FOUND, "not found"),
            AppError::Invalid { field, message } => {
                Self::new(StatusCode::BAD_REQUEST, format!("{field}: {message}"))
            }
            AppError::Conflict(message) => Self::new(StatusCode::CONFLICT, message),
            AppError::Later(message) => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                message,
                retry_after_s: Some(5),
            },
            AppError::SignIn => Self::new(StatusCode::UNAUTHORIZED, "unknown credential"),
            AppError::Forbidden => Self::new(
                StatusCode::FORBIDDEN,
                "this token was used, has expired, or was never given",
            ),
            AppError::TooMany { retry_after_s } => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                message: "too many requests".to_owned(),
                retry_after_s: Some(retry_after_s),
            },
            AppError::Fault(cause) => {
                tracing::error!(%cause, "an agent's request failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the portal failed; try again",
                )
            }
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
        answer.json(serde_json::json!({ "error": self.message }))
    }
}

pub(super) type Answer<T> = Result<web::Json<T>, Refusal>;

/// Runs a use case on the blocking pool.
pub(super) async fn run<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, AppError> + Send + 'static,
) -> Result<T, Refusal> {
    match web::block(f).await {
        Ok(result) => result.map_err(Refusal::from),
        Err(_) => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the portal is stopping",
        )),
    }
}

pub(super) fn parse<T: DeserializeOwned>(body: &web::Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

pub(super) fn address(request: &HttpRequest) -> String {
    request
        .peer_addr()
        .map(|peer| peer.ip().to_string())
        .unwrap_or_default()
}

/// The agent behind the request's credential, or 401.
pub(super) async fn agent(app: &web::Data<App>, request: &HttpRequest) -> Result<Agent, Refusal> {
    let unknown = || Refusal::new(StatusCode::UNAUTHORIZED, "unknown or revoked credential");
    let credential = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|credential| !credential.is_empty() && credential.len() <= 200)
        .ok_or_else(unknown)?
        .to_owned();
    let app = app.clone();
    run(move || app.agent(&credential))
        .await?
        .ok_or_else(unknown)
}

/// What an agent says, taken in by `call`.
pub(super) async fn take<B, T>(
    app: web::Data<App>,
    request: &HttpRequest,
    body: &web::Bytes,
    call: impl FnOnce(&App, &Agent, &B) -> Result<T, AppError> + Send + 'static,
) -> Result<T, Refusal>
where
    B: DeserializeOwned + Send + 'static,
    T: Send + 'static,
{
    let agent = agent(&app, request).await?;
    let said: B = parse(body)?;
    run(move || call(&app, &agent, &said)).await
}

pub(super) fn json<T: Serialize>(value: T) -> web::Json<T> {
    web::Json(value)
}
