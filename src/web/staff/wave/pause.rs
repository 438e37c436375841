//! `/staff/waves/pause`: the switch that holds all moves back, with why; ended from here. Jobs of a host or of a kind are held
//! back elsewhere (`/staff/jobs/pauses`).

use askama::Template;
use serde::Deserialize;

use super::shared::PATH;
use crate::app::App;
use crate::store;
use crate::web::extract::{Form, Nothing, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Field, FormState, Input, When};

const PAUSE: &str = "/staff/waves/pause";

#[derive(Debug, Template)]
#[template(path = "staff/wave/pause.html")]
pub struct PausePage {
    pub page: Page,
    pub paused: Option<Paused>,
    pub why: Field,
}

#[derive(Debug)]
pub struct Paused {
    pub since: When,
    pub by: String,
    pub why: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseForm {
    #[serde(default)]
    why: String,
}

async fn present(
    portal: &Portal,
    staff: &Staff,
    FormState { typed, problems }: FormState<PauseForm>,
) -> Response {
    let paused = portal::read(portal, store::wave::moves_paused).await?;
    let title = if paused.is_some() {
        "Moves are paused"
    } else {
        "Pause all moves"
    };
    let page = staff
        .page(Area::Waves, title)
        .crumb("Waves", PATH)
        .problems(problems);
    let zone = page.zone();
    let view = PausePage {
        why: Field::new("why", "Why", Input::Area(2))
            .value(typed.unwrap_or_default().why)
            .hint("For the others of the staff, and for the trail. Members read only that moves are paused for now.")
            .with(&page.problems),
        paused: paused.map(|it| Paused {
            since: zone.precise(it.since),
            by: it.by,
            why: it.why,
        }),
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /staff/waves/pause`
pub async fn show(portal: Portal, staff: Staff) -> Response {
    present(&portal, &staff, FormState::anew()).await
}

/// `POST /staff/waves/pause`
pub async fn pause(portal: Portal, staff: Staff, form: Form<PauseForm>) -> Response {
    let (typed, why) = (form.0.clone(), form.0.why);
    let done = staff
        .submit(&portal, move |app, actor| app.pause_moves(actor, &why))
        .await?;
    match done {
        Ok(()) => page::said(PAUSE, "No new move begins. What is under way ends."),
        Err(problems) => present(&portal, &staff, FormState::again(typed, problems)).await,
    }
}

/// `POST /staff/waves/go-on`
pub async fn go_on(portal: Portal, staff: Staff, _: Form<Nothing>) -> Response {
    staff.act(&portal, App::let_moves_go_on).await?;
    page::said(PAUSE, "Moves go on.")
}
