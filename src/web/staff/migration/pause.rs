//! `/staff/migrations/pause`: all new moves, paused at once and let go on.

use askama::Template;
use serde::Deserialize;

use super::shared::PATH;
use crate::app::App;
use crate::store;
use crate::web::extract::{Form, Nothing, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::ui::{Field, FormState, Input, When};

const HERE: &str = "/staff/migrations/pause";

#[derive(Debug, Template)]
#[template(path = "staff/migration/pause.html")]
pub struct PausePage {
    pub page: Page,
    pub paused: Option<Paused>,
    pub reason: Field,
}

#[derive(Debug)]
pub struct Paused {
    pub since: When,
    pub made_by: String,
    pub reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseForm {
    #[serde(default)]
    reason: String,
}

async fn present(staff: &Staff, FormState { typed, problems }: FormState<PauseForm>) -> Response {
    let paused = portal::read(&staff.portal, store::migration::pause::get).await?;
    let page = staff
        .page(Area::Migrations, "Pause new moves")
        .crumb("Migrations", PATH)
        .problems(problems);
    let zone = page.zone();
    let view = PausePage {
        paused: paused.map(|(pause, made_by)| Paused {
            since: zone.show(pause.made_at),
            made_by,
            reason: pause.reason,
        }),
        reason: Field::new("reason", "Why", Input::Area(2))
            .value(&typed.unwrap_or_default().reason)
            .hint("For the others of the staff, and for the trail. Members read only that new moves are paused.")
            .with(&page.problems),
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /staff/migrations/pause`
pub async fn show(staff: Staff) -> Response {
    present(&staff, FormState::anew()).await
}

/// `POST /staff/migrations/pause`
pub async fn pause(staff: Staff, form: Form<PauseForm>) -> Response {
    let typed = form.0;
    let reason = typed.reason.clone();
    let done = staff.submit(move |app, actor| app.pause_moves(actor, &reason));
    match done.await.map_err(|fault| fault.at(HERE, "See why"))? {
        Ok(()) => page::said(HERE, "From now on no new move begins."),
        Err(problems) => present(&staff, FormState::again(typed, problems)).await,
    }
}

/// `POST /staff/migrations/pause/end`
pub async fn end(staff: Staff, _: Form<Nothing>) -> Response {
    staff.act(App::resume_moves).await?;
    page::said(HERE, "New moves begin again.")
}
