//! `/staff/jobs/{id}`: one with its attempts and raw log, and its retry.

use askama::Template;

use super::list::{Row, view};
use super::shared::PATH;
use crate::app::error::AppError;
use crate::app::job::progress;
use crate::domain::account::Right;
use crate::domain::ids::JobId;
use crate::domain::job::JobState;
use crate::store;
use crate::web::extract::{Asks, Form, Nothing, Path, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::ui::names::job_name;
use crate::web::ui::{Action, units};

#[derive(Debug, Template)]
#[template(path = "staff/job/show.html")]
pub struct JobPage {
    pub page: Page,
    pub row: Row,
    pub actions: Vec<Action>,
    pub facts: Vec<(&'static str, String)>,
    pub detail: String,
}

/// `GET /staff/jobs/{id}`
pub async fn show(asks: Asks<Staff>, id: Path<i64>) -> Response {
    let id = JobId(id.0);
    let (staff, row) = asks
        .read(move |conn, _| store::job::list::job(conn, id)?.ok_or(AppError::NotFound))
        .await?;
    let page = staff
        .page(
            Area::Jobs,
            format!("{} of {} (job {})", job_name(row.job.kind), row.linode, id),
        )
        .crumb("Jobs", PATH);
    let zone = page.zone();
    let job = &row.job;
    let mut facts = vec![("Epoch", job.epoch.to_string())];
    if let Some(at) = job.started_at {
        facts.push(("Started", zone.precise(at).text));
    }
    if let Some(until) = job.lease_until {
        facts.push(("Lease until", zone.precise(until).text));
    }
    if let Some(progress) = progress::seen(job).map(|seen| seen.said) {
        let words = format!(
            "Pass {}, {} of {}, {} sent, {}",
            progress.pass,
            units::bytes(progress.done_bytes),
            units::bytes(progress.total_bytes),
            units::bytes(progress.sent_bytes),
            units::rate(progress.bytes_per_s)
        );
        facts.push(("Last progress", words));
    }
    page::html(&JobPage {
        row: view(&row, zone),
        actions: Action::those([(
            job.state == JobState::Failed && page.may(Right::Jobs),
            Action::send(
                format!("{PATH}/{}/retry", id.0),
                format!("Retry job {}", id.0),
            ),
        )]),
        facts,
        detail: job.detail.clone(),
        page,
    })
}

/// `POST /staff/jobs/{id}/retry`
pub async fn retry(staff: Staff, id: Path<i64>, _: Form<Nothing>) -> Response {
    let url = format!("{PATH}/{}", id.0);
    match staff
        .act(move |app, actor| app.retry_job(actor, JobId(id.0)))
        .await
    {
        Ok(()) => page::said(&url, "The job is tried again."),
        Err(fault) => Err(fault.at(url, "See how the job stands")),
    }
}
