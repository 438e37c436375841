//! `/agent/v1`: what host agents ask, as `wire` says. JSON in, JSON out, a bearer credential, no cookies.

mod answer;
mod poll;

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};

use super::agent::answer::{Answer, Call, Refusal, address, agent, json, run, said, take};
use super::bounds::{Bounds, listens};
use super::extract::Client;
use crate::app::App;
use crate::app::doors::Door;
use crate::domain::ids::{JobId, MigrationId};
use crate::wire::{Enrol, Finish, Finished, Renew, SealedDigests};

/// What a host enrols with, in bytes.
const ENROL_LIMIT: usize = 8 * 1024;

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/agent/v1")
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

async fn enrol(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer<crate::wire::Enrolled> {
    let share = Bounds::of(&request)
        .forms
        .share(Client::of(&request).whose());
    let listening = listens(&request);
    let ask: Enrol = said(payload, ENROL_LIMIT, share).await?;
    drop(listening);
    let address = address(&request);
    run(move || {
        app.doors.knock(Door::Enrol, &address)?;
        app.enrol(&ask, &address)
    })
    .await
    .map(json)
}

async fn renew(call: Call, id: web::Path<i64>) -> Answer<crate::wire::Renewed> {
    take(call, move |app, agent, renew: &Renew| {
        app.renew(agent, JobId(*id), renew)
    })
    .await
    .map(json)
}

async fn finish(call: Call, id: web::Path<i64>) -> Answer<Finished> {
    take(call, move |app, agent, finish: &Finish| {
        app.finish(agent, JobId(*id), finish)
    })
    .await
    .map(|()| json(Finished {}))
}

async fn digests(call: Call, id: web::Path<i64>) -> Answer<Finished> {
    take(call, move |app, agent, sealed: &SealedDigests| {
        app.note_digests(agent, MigrationId(*id), sealed)
    })
    .await
    .map(|()| json(Finished {}))
}

async fn rotate(app: web::Data<App>, request: HttpRequest) -> Answer<crate::wire::Rotated> {
    let agent = agent(&app, &request).await?;
    run(move || app.rotate_credential(&agent)).await.map(json)
}
