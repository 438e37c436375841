//! `/staff/jobs/pauses`: what staff hold back on hosts, and why; ended from here.

use askama::Template;
use serde::Deserialize;

use super::shared::{PATH, host_choices, kinds};
use crate::domain::ids::{HostId, JobPauseId};
use crate::domain::job::{JobKind, JobState};
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::job::pauses::JobPause;
use crate::web::extract::{Form, Nothing, Path, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::ui::list::query;
use crate::web::ui::names::job_name;
use crate::web::ui::{Field, FormState, Input, Link, When};

const PAUSES: &str = "/staff/jobs/pauses";

#[derive(Debug, Template)]
#[template(path = "staff/job/pauses.html")]
pub struct PausesPage {
    pub page: Page,
    pub fields: Vec<Field>,
    pub rows: Vec<Row>,
}

#[derive(Debug)]
pub struct Row {
    pub id: i64,
    pub what: String,
    pub reason: String,
    pub made_by: String,
    pub since: When,
    /// Those that wait.
    pub waiting: Link,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseForm {
    #[serde(default)]
    host: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    reason: String,
}

/// What is held back: "Copy while running on xen-3".
fn what((pause, host, _): &(JobPause, Option<String>, String)) -> String {
    let kind = pause.kind.map_or("All jobs", job_name);
    let host = host.as_deref().unwrap_or("all hosts");
    format!("{kind} on {host}")
}

/// … and why, in a sentence.
pub(super) fn words(of: &(JobPause, Option<String>, String)) -> String {
    format!("Paused: {}. {}", what(of), of.0.reason)
}

async fn present(staff: &Staff, FormState { typed, problems }: FormState<PauseForm>) -> Response {
    let (rows, hosts) = portal::read(&staff.portal, |conn| {
        Ok((store::job::pauses::list(conn)?, store::host::names(conn)?))
    })
    .await?;
    let page = staff
        .page(Area::Jobs, "Paused jobs")
        .crumb("Jobs", PATH)
        .problems(problems);
    let zone = page.zone();
    let typed = typed.unwrap_or_default();
    let row = |of: &(JobPause, Option<String>, String)| {
        let host = of.0.host_id.map(|id| id.to_string()).unwrap_or_default();
        let kind = of.0.kind.map(|kind| kind.to_string()).unwrap_or_default();
        let state = JobState::Pending.to_string();
        let pairs = [("state", state), ("host", host), ("kind", kind)];
        Row {
            id: of.0.id.0,
            what: what(of),
            reason: of.0.reason.clone(),
            made_by: of.2.clone(),
            since: zone.show(of.0.made_at),
            waiting: Link::new(format!("{PATH}{}", query(&pairs)), "What waits"),
        }
    };
    let view = PausesPage {
        fields: vec![
            Field::select("host", "Host", host_choices(hosts))
                .value(&typed.host)
                .with(&page.problems),
            Field::select("kind", "Kind", kinds("All kinds", JobKind::may_wait))
                .value(&typed.kind)
                .with(&page.problems),
            Field::new("reason", "Why", Input::Area(2))
                .value(&typed.reason)
                .hint("For the others of the staff, and for the trail.")
                .with(&page.problems),
        ],
        rows: rows.iter().map(row).collect(),
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// `GET /staff/jobs/pauses`
pub async fn show(staff: Staff) -> Response {
    present(&staff, FormState::anew()).await
}

/// `POST /staff/jobs/pauses`
pub async fn pause(staff: Staff, form: Form<PauseForm>) -> Response {
    let typed = form.0;
    let host = typed.host.parse().ok().map(HostId);
    let kind = JobKind::parse(&typed.kind);
    let reason = typed.reason.clone();
    let done = staff.submit(move |app, actor| app.pause_jobs(actor, (host, kind), &reason));
    match done
        .await
        .map_err(|fault| fault.at(PAUSES, "See what is paused"))?
    {
        Ok(()) => page::said(PAUSES, "They wait from now on; those in hand go on."),
        Err(problems) => present(&staff, FormState::again(typed, problems)).await,
    }
}

/// `POST /staff/jobs/pauses/{id}/end`
pub async fn end(staff: Staff, id: Path<i64>, _: Form<Nothing>) -> Response {
    staff
        .act(move |app, actor| app.end_pause(actor, JobPauseId(id.0)))
        .await?;
    page::said(PAUSES, "They go on.")
}
