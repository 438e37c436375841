//! `/v4/betas` and `/v4/account/betas`: the programme, and taking part in it with every Linode that can.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Path, Payload, ServiceConfig, post};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, date_or_null, done, one, run};
use super::asked::{self, Page};
use super::caller::{Changes, Reads};
use crate::app::bulk::AT_ONCE;
use crate::app::doors::Door;
use crate::app::error::AppError;
use crate::domain::ids::{AccountId, LinodeId};
use crate::store;
use crate::store::error::StoreError;
use crate::store::linode::page::Wanted;
use crate::store::programme::Programme;
use crate::web::method::get;
use crate::web::portal::Portal;

/// The one that there is.
const XEN: &str = "xen";

pub fn configure(surface: &mut ServiceConfig) {
    surface
        .route("/betas", get().to(list))
        .route("/betas/{id}", get().to(show))
        .route("/account/betas", get().to(own))
        .route("/account/betas", post().to(enrol))
        .route("/account/betas/{id}", get().to(show_own));
}

fn beta(programme: &Programme) -> Value {
    json!({
        "id": XEN,
        "label": "Xen public beta",
        "description": "Your Linodes on the provider's Xen platform.",
        "started": date_or_null(programme.opens_at),
        "ended": date_or_null(programme.ended_at),
        "greenlight_only": false,
        "more_info": Value::Null,
    })
}

async fn programme(portal: &Portal) -> Result<Programme, Refusal> {
    run(portal, |app| {
        let now = app.now();
        Ok(app.db.read(|conn| store::programme::get(conn, now))?)
    })
    .await
}

/// As [`beta`], for an account that takes part.
async fn enrolled(portal: &Portal, account: AccountId) -> Result<Option<Value>, Refusal> {
    let (programme, since) = run(portal, move |app| {
        let now = app.now();
        Ok(app.db.read(|conn| {
            let since = store::registration::first_of_account(conn, account)?;
            Ok::<_, StoreError>((store::programme::get(conn, now)?, since))
        })?)
    })
    .await?;
    Ok(since.map(|since| {
        let mut beta = beta(&programme);
        if let Some(beta) = beta.as_object_mut() {
            beta.insert("enrolled".to_owned(), date_or_null(Some(since)));
        }
        beta
    }))
}

async fn list(portal: Portal, _caller: Reads, request: HttpRequest) -> Answer {
    let page = Page::of(&request)?;
    page.cut(vec![beta(&programme(&portal).await?)])
}

async fn show(portal: Portal, _caller: Reads, id: Path<String>) -> Answer {
    if *id != XEN {
        return Err(Refusal::not_found());
    }
    one(beta(&programme(&portal).await?))
}

async fn own(portal: Portal, caller: Reads, request: HttpRequest) -> Answer {
    let page = Page::of(&request)?;
    page.cut(
        enrolled(&portal, caller.account)
            .await?
            .into_iter()
            .collect(),
    )
}

async fn show_own(portal: Portal, caller: Reads, id: Path<String>) -> Answer {
    let found = enrolled(&portal, caller.account).await?;
    one(found
        .filter(|_| *id == XEN)
        .ok_or_else(Refusal::not_found)?)
}

async fn enrol(portal: Portal, caller: Changes, request: HttpRequest, payload: Payload) -> Answer {
    let said = asked::body(&request, payload, caller.account).await?;
    if said.get("id").and_then(Value::as_str) != Some(XEN) {
        return Err(Refusal::field("id", "There is one beta: xen"));
    }
    portal
        .doors
        .knock(Door::Register, &caller.actor.address)
        .map_err(Refusal::from)?;
    let refused = run(&portal, move |app| {
        let every = Wanted {
            most: usize::MAX,
            ..Wanted::default()
        };
        let all = app
            .db
            .read(|conn| store::linode::page::labels(conn, caller.account, &every))?;
        let ids: Vec<LinodeId> = all.into_iter().map(|(id, _)| id).collect();
        let mut why = "The account has no Linodes".to_owned();
        for some in ids.chunks(AT_ONCE) {
            let outcome = app.register(&caller.actor, some)?;
            if let Some((_, reason)) = outcome.refused.into_iter().next() {
                why = reason;
            }
        }
        // What is registered, now or before, is what was asked for; the others cannot be.
        let takes_part = app
            .db
            .read(|conn| store::registration::first_of_account(conn, caller.account))?;
        Ok::<_, AppError>(takes_part.is_none().then_some(why))
    })
    .await?;
    match refused {
        None => done(),
        Some(why) => Err(Refusal::new(StatusCode::BAD_REQUEST, why)),
    }
}
