//! How an agent's call is read, who makes it, and how it is answered.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::app::context::Agent;
use crate::app::error::AppError;
use crate::web::bounds::{Bounds, Share, Whose};
use crate::web::extract::body::{self, Unread};
use crate::web::extract::{Client, bearer};

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
            AppError::Forbidden
            | AppError::Right(..)
            | AppError::SecondFactor
            | AppError::Prove => Self::new(
                StatusCode::FORBIDDEN,
                "this token was used, has expired, or was never given",
            ),
            AppError::Busy { retry_after_s } => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                message: "busy".to_owned(),
                retry_after_s: Some(retry_after_s),
            },
            AppError::TooMany { retry_after_s } => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                message: "too many requests".to_owned(),
                retry_after_s: Some(retry_after_s),
            },
            AppError::Away(cause) => {
                tracing::error!(%cause, "an agent's request found no database");
                Self {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    message: "the database is away; try again".to_owned(),
                    retry_after_s: Some(5),
                }
            }
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

impl From<Unread> for Refusal {
    fn from(why: Unread) -> Self {
        match why {
            Unread::Late => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time",
            ),
            Unread::Cut => Self::new(StatusCode::BAD_REQUEST, "the body broke off on its way"),
            Unread::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than this call takes",
            ),
            Unread::Busy => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                message: "too much is being sent to the portal now".to_owned(),
                retry_after_s: Some(5),
            },
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

/// What a body says; it counts against its sender's share until it is understood.
pub(super) async fn said<T: DeserializeOwned>(
    payload: web::Payload,
    most: usize,
    mut share: Share,
) -> Result<T, Refusal> {
    let body = body::read(payload.into_inner(), most, &mut share).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

pub(super) fn address(request: &HttpRequest) -> String {
    Client::of(request).address.to_string()
}

/// The agent behind the request's credential, or 401.
pub(super) async fn agent(app: &web::Data<App>, request: &HttpRequest) -> Result<Agent, Refusal> {
    let unknown = || Refusal::new(StatusCode::UNAUTHORIZED, "unknown or revoked credential");
    let credential = bearer(request).ok_or_else(unknown)?.to_owned();
    let (app, address) = (app.clone(), address(request));
    run(move || app.agent_at(&credential, &address))
        .await?
        .ok_or_else(unknown)
}

/// A body an agent may send, in bytes: an inventory of some ten thousand Linodes.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// A call as it came.
pub(super) type Call = (web::Data<App>, HttpRequest, web::Payload);

/// Whose credential it is, and then what they say: nothing is read of strangers.
pub(super) async fn hear<B: DeserializeOwned>(
    (app, request, payload): Call,
) -> Result<(web::Data<App>, Agent, B), Refusal> {
    let agent = agent(&app, &request).await?;
    let share = Bounds::of(&request).agents.share(Whose::Host(agent.host));
    let said = said(payload, BODY_LIMIT, share).await?;
    Ok((app, agent, said))
}

/// What an agent says, taken in by `call`.
pub(super) async fn take<B, T>(
    came: Call,
    call: impl FnOnce(&App, &Agent, &B) -> Result<T, AppError> + Send + 'static,
) -> Result<T, Refusal>
where
    B: DeserializeOwned + Send + 'static,
    T: Send + 'static,
{
    let (app, agent, said) = hear(came).await?;
    run(move || call(&app, &agent, &said)).await
}

pub(super) fn json<T: Serialize>(value: T) -> web::Json<T> {
    web::Json(value)
}
