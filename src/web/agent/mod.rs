//! `/agent/v1`: what host agents ask, as `wire` says. JSON in, JSON out, a bearer credential, no cookies.

mod poll;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::app::context::Agent;
use crate::app::error::AppError;
use crate::domain::ids::{JobId, MigrationId};
use crate::wire::{Enrol, Finish, Finished, Renew, SealedDigests};

/// A body an agent may send, in bytes: an inventory of some ten thousand Linodes.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/agent/v1")
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .route("/enrol", web::post().to(enrol))
            .route("/poll", web::post().to(poll::poll))
            .route("/report", web::post().to(poll::report))
            .route("/samples", web::post().to(poll::samples))
            .route("/jobs/{id}/renew", web::post().to(renew))
            .route("/jobs/{id}/finish", web::post().to(finish))
            .route("/transfers/{id}/digests", web::post().to(digests))
            .route("/credential/rotate", web::post().to(rotate))
            .default_service(web::to(|| async {
                Refusal::new(StatusCode::NOT_FOUND, "no such call").error_response()
            })),
    );
}

/// An error as agents get it: `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {message}")]
struct Refusal {
    status: StatusCode,
    message: String,
    retry_after_s: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
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

type Answer<T> = Result<web::Json<T>, Refusal>;

/// Runs a use case on the blocking pool.
async fn run<T: Send + 'static>(
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

fn parse<T: DeserializeOwned>(body: &web::Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

fn address(request: &HttpRequest) -> String {
    request
        .peer_addr()
        .map(|peer| peer.ip().to_string())
        .unwrap_or_default()
}

/// The agent behind the request's credential, or 401.
async fn agent(app: &web::Data<App>, request: &HttpRequest) -> Result<Agent, Refusal> {
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

fn json<T: Serialize>(value: T) -> web::Json<T> {
    web::Json(value)
}

async fn enrol(
    app: web::Data<App>,
    request: HttpRequest,
    body: web::Bytes,
) -> Answer<crate::wire::Enrolled> {
    let ask: Enrol = parse(&body)?;
    let address = address(&request);
    run(move || app.enrol(&ask, &address)).await.map(json)
}

async fn renew(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<i64>,
    body: web::Bytes,
) -> Answer<crate::wire::Renewed> {
    let agent = agent(&app, &request).await?;
    let renew: Renew = parse(&body)?;
    run(move || app.renew(&agent, JobId(*id), &renew))
        .await
        .map(json)
}

async fn finish(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<i64>,
    body: web::Bytes,
) -> Answer<Finished> {
    let agent = agent(&app, &request).await?;
    let finish: Finish = parse(&body)?;
    run(move || app.finish(&agent, JobId(*id), &finish))
        .await
        .map(|()| json(Finished {}))
}

async fn digests(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<i64>,
    body: web::Bytes,
) -> Answer<Finished> {
    let agent = agent(&app, &request).await?;
    let sealed: SealedDigests = parse(&body)?;
    run(move || app.note_digests(&agent, MigrationId(*id), &sealed))
        .await
        .map(|()| json(Finished {}))
}

async fn rotate(app: web::Data<App>, request: HttpRequest) -> Answer<crate::wire::Rotated> {
    let agent = agent(&app, &request).await?;
    run(move || app.rotate_credential(&agent)).await.map(json)
}
