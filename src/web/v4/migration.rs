//! The move of a Linode: the one click as clients know it (`…/migrate`), and what they have no word for (`…/migration`).

use actix_web::HttpRequest;
use actix_web::web::{Path, Payload, ServiceConfig, post, put};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Refusal, date, date_or_null, done, one, run};
use super::asked;
use super::caller::{Changes, Reads};
use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::app::migration::actions::Click;
use crate::domain::ids::{AccountId, LinodeId, MigrationId};
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::domain::time::Time;
use crate::domain::values::{DownLimit, Patience, StopLimit};
use crate::store;
use crate::store::migration::Migration;
use crate::web::method::get;
use crate::web::portal::Portal;

/// Seconds for a clean shutdown, where a call names none.
const STOP_S: i32 = 60;

pub fn configure(surface: &mut ServiceConfig) {
    surface
        .route("/linode/instances/{id}/migrate", post().to(migrate))
        .route("/linode/instances/{id}/migration", get().to(show))
        .route("/linode/instances/{id}/migration", post().to(choose))
        .route("/linode/instances/{id}/migration", put().to(choose))
        .route("/linode/instances/{id}/migration/cancel", post().to(cancel))
        .route(
            "/linode/instances/{id}/migration/confirm",
            post().to(confirm),
        )
        .route(
            "/linode/instances/{id}/migration/way-back",
            post().to(way_back),
        );
}

/// The Linode's newest move, if the Linode is this account's.
fn newest(app: &App, account: AccountId, id: LinodeId) -> Result<Migration, AppError> {
    let found = app.db.read(|conn| {
        let own = store::linode::linode_of(conn, account, id)?;
        match own {
            Some(linode) => store::migration::of_linode(conn, linode.id),
            None => Ok(Vec::new()),
        }
    })?;
    found.into_iter().next().ok_or(AppError::NotFound)
}

/// How far it is; it never falls.
fn percent(row: &Migration) -> i64 {
    match row.state {
        MigrationState::Offered | MigrationState::Queued => 0,
        MigrationState::Preparing => 1,
        MigrationState::Copying => {
            2 + (row.sent_bytes.saturating_mul(86) / row.total_bytes.max(1)).clamp(0, 86)
        }
        MigrationState::Holding => 90,
        MigrationState::Switching => 95,
        _ => 100,
    }
}

fn receipt(row: &Migration) -> Option<String> {
    let has = row.finished_at.is_some();
    has.then(|| format!("/members/migrations/{}/receipt", row.id))
}

async fn show(portal: Portal, caller: Reads, id: Path<i64>) -> Answer {
    let row = run(&portal, move |app| {
        newest(app, caller.account, LinodeId(*id))
    })
    .await?;
    one(json!({
        "id": row.id,
        "linode_id": row.linode_id,
        "kind": row.kind,
        "state": row.state,
        "step": row.step,
        "percent_complete": percent(&row),
        "offered": date(row.offered_at),
        "offer_ends": date(row.expires_at),
        "at": date_or_null(row.not_before),
        "begins": date_or_null(row.begin_at),
        "started": date_or_null(row.started_at),
        "stopped": date_or_null(row.stopped_at),
        "running": date_or_null(row.running_at),
        "finished": date_or_null(row.finished_at),
        "way_back_until": date_or_null(row.way_back_until),
        "down_limit_s": row.down_limit_s,
        "foretold_ms": row.foretold_ms,
        "foretold_most_ms": row.foretold_most_ms,
        "try_first": row.try_first_since.is_some(),
        "cancelling": row.cancel_asked,
        "reason": row.reason,
        "failure": row.failure,
        "page": format!("/members/migrations/{}", row.id),
        "receipt": receipt(&row),
    }))
}

async fn migrate(
    portal: Portal,
    caller: Changes,
    id: Path<i64>,
    (request, payload): (HttpRequest, Payload),
) -> Answer {
    let said = asked::body(&request, payload, caller.account).await?;
    match said.get("type").and_then(Value::as_str) {
        None | Some("cold" | "warm") => {}
        Some(_) => return Err(Refusal::field("type", "cold or warm")),
    }
    let click = Click {
        accept_kernels: flag(&said, "upgrade")?,
        ..click(&Map::new())?
    };
    begin(portal, caller, LinodeId(*id), click).await
}

async fn choose(
    portal: Portal,
    caller: Changes,
    id: Path<i64>,
    (request, payload): (HttpRequest, Payload),
) -> Answer {
    let said = asked::body(&request, payload, caller.account).await?;
    let click = click(&said)?;
    begin(portal, caller, LinodeId(*id), click).await
}

async fn begin(portal: Portal, caller: Changes, id: LinodeId, click: Click) -> Answer {
    run(&portal, move |app| app.migrate(&caller.actor, id, click)).await?;
    done()
}

fn flag(said: &Map<String, Value>, name: &'static str) -> Result<bool, Refusal> {
    match said.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| Refusal::field(name, "true or false")),
    }
}

fn number(said: &Map<String, Value>, name: &'static str) -> Result<Option<i32>, Refusal> {
    match said.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| Refusal::field(name, "A whole number is wanted")),
    }
}

fn moment(said: &Map<String, Value>) -> Result<Option<Time>, Refusal> {
    let text = match said.get("at") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str().unwrap_or_default(),
    };
    let plain = text.strip_suffix('Z').unwrap_or(text);
    chrono::NaiveDateTime::parse_from_str(plain, "%Y-%m-%dT%H:%M:%S")
        .ok()
        .and_then(|at| Time::of_micros(at.and_utc().timestamp_micros()))
        .map(Some)
        .ok_or_else(|| Refusal::field("at", "A moment in UTC is wanted: 2009-03-01T02:00:00"))
}

fn click(said: &Map<String, Value>) -> Result<Click, Refusal> {
    let wrong = |field: &'static str| {
        move |invalid: crate::domain::values::Invalid| Refusal::field(field, invalid.0)
    };
    let patience = number(said, "patience_h")?.map(Patience::parse);
    let down_limit = number(said, "down_limit_s")?.map(DownLimit::parse);
    let stop_s = number(said, "stop_limit_s")?.unwrap_or(STOP_S);
    Ok(Click {
        at: moment(said)?,
        patience: patience
            .transpose()
            .map_err(wrong("patience_h"))?
            .unwrap_or_default(),
        accept_kernels: flag(said, "accept_kernels")?,
        stop_limit: StopLimit::parse(stop_s).map_err(wrong("stop_limit_s"))?,
        down_limit: down_limit.transpose().map_err(wrong("down_limit_s"))?,
        try_first: flag(said, "try_first")?,
    })
}

/// What is done to the Linode's newest move.
async fn act(
    portal: Portal,
    caller: Changes,
    id: i64,
    call: impl FnOnce(&App, &Actor, MigrationId) -> Result<Migration, AppError> + Send + 'static,
) -> Answer {
    run(&portal, move |app| {
        let row = newest(app, caller.account, LinodeId(id))?;
        call(app, &caller.actor, row.id)
    })
    .await?;
    done()
}

async fn cancel(portal: Portal, caller: Changes, id: Path<i64>) -> Answer {
    act(portal, caller, *id, App::cancel_migration).await
}

async fn confirm(portal: Portal, caller: Changes, id: Path<i64>) -> Answer {
    act(portal, caller, *id, App::confirm_migration).await
}

async fn way_back(portal: Portal, caller: Changes, id: Path<i64>) -> Answer {
    let id = LinodeId(*id);
    run(&portal, move |app| {
        let row = newest(app, caller.account, id)?;
        // The second call of two finds it under way.
        let is_begun = row.kind == MigrationKind::Return && row.closed_at.is_none();
        if !is_begun {
            app.way_back(&caller.actor, row.id)?;
        }
        Ok(())
    })
    .await?;
    done()
}
