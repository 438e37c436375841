//! `/staff/waves/new`: who goes, how fast, and what pauses it. Nothing is given out before it is started from its page.

use askama::Template;

use super::form::{Asked, Fields, WaveForm};
use super::shared::PATH;
use crate::store;
use crate::web::extract::{Form, Query, Staff, once_or};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Choice, Problems};

#[derive(Debug, Template)]
#[template(path = "staff/wave/new.html")]
pub struct NewPage {
    pub page: Page,
    pub once: String,
    pub fields: Fields,
}

async fn present(portal: &Portal, staff: &Staff, typed: WaveForm, problems: Problems) -> Response {
    let (plans, hosts, limits) = portal::read(portal, |conn| {
        Ok((
            store::catalogue::plans(conn)?,
            store::host::names(conn)?,
            store::programme::move_times::limits(conn)?.0,
        ))
    })
    .await?;
    let page = staff
        .page(Area::Waves, "Make a wave")
        .crumb("Waves", PATH)
        .problems(problems);
    let plans = plans.iter().map(|plan| Choice::new(plan.id, &plan.label));
    let hosts = hosts.into_iter().map(|(id, name)| Choice::new(id, name));
    let choices = (plans.collect(), hosts.collect());
    let view = NewPage {
        fields: typed.fields(choices, limits.zone.name(), &page.problems),
        once: once_or(&typed.once),
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /staff/waves/new`
pub async fn new(portal: Portal, staff: Staff, asked: Query<Asked>) -> Response {
    present(&portal, &staff, WaveForm::new(asked.0), Problems::default()).await
}

/// `POST /staff/waves`
pub async fn make(portal: Portal, staff: Staff, form: Form<WaveForm>) -> Response {
    let typed = form.0;
    let wanted = match typed.parse() {
        Ok(wanted) => wanted,
        Err(problems) => return present(&portal, &staff, typed, problems).await,
    };
    let made = staff.submit(&portal, move |app, actor| app.make_wave(actor, &wanted));
    match made.await? {
        Ok(id) => page::said(
            &format!("{PATH}/{id}"),
            "Look at it, and start it from here: nothing is given out before.",
        ),
        Err(problems) => {
            let problems = problems.renamed("why", "reason");
            present(&portal, &staff, typed, problems).await
        }
    }
}
