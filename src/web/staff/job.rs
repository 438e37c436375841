//! `/staff/jobs`: by state, page by page; one with its attempts and raw log, and its retry.

use askama::Template;

use crate::app::error::AppError;
use crate::app::job::progress;
use crate::domain::ids::JobId;
use crate::domain::job::JobState;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store;
use crate::store::job::list::{JobFilter, JobRow};
use crate::web::extract::{Asks, Form, Nothing, Path, Query, Staff};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, FROM_TABS, Filters, Page, ROWS, filters};
use crate::web::portal::Portal;
use crate::web::ui::list::{StateTab, count, query};
use crate::web::ui::names::job_name;
use crate::web::ui::{Action, Link, Pager, Tag, When, Zone, units};

#[derive(Debug, Template)]
#[template(path = "staff/job/list.html")]
pub struct JobsPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    /// In words, if the list shows less than its tab says.
    pub narrowed: Option<String>,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub linode: String,
    pub host: Link,
    pub migration: Option<Link>,
    pub state: Tag,
    pub attempt: i32,
    pub entered: When,
    pub finished: Option<When>,
    pub message: String,
}

#[derive(Debug, Template)]
#[template(path = "staff/job/show.html")]
pub struct JobPage {
    pub page: Page,
    pub row: Row,
    pub actions: Vec<Action>,
    pub facts: Vec<(&'static str, String)>,
    pub detail: String,
}

filters! {
    "/staff/jobs", ROWS, FROM_TABS;
    state, host,
    /// Ended within so many days.
    days,
    before,
}

/// Jobs that failed longer ago are no longer counted where staff look first.
pub const LATELY_DAYS: i64 = 7;

const PATH: &str = Asked::PATH;

impl Asked {
    fn filter(&self, now: Time) -> Result<JobFilter, Fault> {
        let days = Self::read::<i64>(&self.days)?;
        Ok(JobFilter {
            state: Self::read(&self.state)?,
            host: Self::read(&self.host)?,
            ended_since: days.map(|days| now.plus_days(-days.clamp(0, 36_500))),
        })
    }

    fn narrowed(&self) -> Option<String> {
        let host = (!self.host.is_empty()).then(|| format!("host {}", self.host));
        let days = (!self.days.is_empty()).then(|| format!("ended in the last {} days", self.days));
        let parts: Vec<String> = [host, days].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

fn view(row: &JobRow, zone: Zone) -> Row {
    let job = &row.job;
    Row {
        link: Link::new(
            format!("{PATH}/{}", job.id),
            format!("{} (job {})", job_name(job.kind), job.id),
        ),
        linode: row.linode.clone(),
        host: Link::new(format!("/staff/hosts/{}", job.host_id), row.host.clone()),
        migration: job.migration_id.map(Link::migration),
        state: Tag::job(job.state),
        attempt: job.attempt,
        entered: zone.precise(job.entered_at),
        finished: job.finished_at.map(|at| zone.precise(at)),
        message: job.message.clone(),
    }
}

/// `GET /staff/jobs`
pub async fn list(portal: Portal, asks: Asks<Staff>, asked: Query<Asked>) -> Response {
    let asked = asked.0;
    let wanted = asked
        .filter(portal.now())
        .and_then(|filter| Ok((filter, Asked::read(&asked.before)?)));
    let (staff, (rows, counts)) = asks
        .read_by(wanted, |conn, (filter, before)| {
            let rows = store::job::list::jobs(conn, &filter, before, Asked::limit())?;
            Ok((rows, store::job::counts(conn)?))
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.job.id.to_string());
    let page = staff.page(Area::Jobs, "Jobs");
    let zone = page.zone();
    page::html(&JobsPage {
        tabs: tabs(&asked.state, &counts),
        narrowed: asked.narrowed(),
        rows: rows.iter().map(|row| view(row, zone)).collect(),
        pager,
        page,
    })
}

fn tabs(current: &str, counts: &[(JobState, i64)]) -> Vec<StateTab> {
    let tab = |word: &str, label: &str, count: i64| {
        let url = format!("{PATH}{}", query(&[("state", word)]));
        StateTab::new(url, label, count, current == word)
    };
    let states = JobState::ALL.iter().map(|state| {
        let count = count(counts, |of| of == state);
        tab(state.as_str(), &Tag::job(*state).text, count)
    });
    std::iter::once(tab("", "All", count(counts, |_| true)))
        .chain(states)
        .collect()
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
            job.state == JobState::Failed,
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
pub async fn retry(portal: Portal, staff: Staff, id: Path<i64>, _: Form<Nothing>) -> Response {
    let url = format!("{PATH}/{}", id.0);
    match staff
        .act(&portal, move |app, actor| app.retry_job(actor, JobId(id.0)))
        .await
    {
        Ok(()) => page::said(&url, "The job is tried again."),
        Err(fault) => Err(fault.at(url, "See how the job stands")),
    }
}
