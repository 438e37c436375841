//! `/members/linodes/{id}/jobs`: the Host Job Queue with its whole history, newest first.

use askama::Template;

use super::shared::{page_of, url_of};
use crate::domain::ids::{JobId, LinodeId};
use crate::store;
use crate::store::job::list::QueuedJob;
use crate::web::extract::{Member, Path, Query};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Filters, Page, UNREADABLE, filters};
use crate::web::portal;
use crate::web::ui::names::job_name;
use crate::web::ui::{Pager, Tag, When, Zone, units};

#[derive(Debug, Template)]
#[template(path = "members/linode/job_queue.html")]
pub struct QueuePage {
    pub page: Page,
    pub linode: String,
    pub rows: Vec<JobRow>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct JobRow {
    pub what: &'static str,
    pub state: Tag,
    pub host: String,
    pub entered: When,
    pub started: Option<When>,
    pub finished: Option<When>,
    /// From start to finish.
    pub took: Option<String>,
    pub message: String,
}

impl JobRow {
    pub fn new(job: &QueuedJob, zone: Zone) -> Self {
        Self {
            what: job_name(job.kind),
            state: Tag::job(job.state),
            host: job.host.clone(),
            entered: zone.precise(job.entered_at),
            started: job.started_at.map(|at| zone.precise(at)),
            finished: job.finished_at.map(|at| zone.precise(at)),
            took: job
                .started_at
                .zip(job.finished_at)
                .map(|(from, to)| units::span(to.seconds_since(from).max(0))),
            message: job.message.clone(),
        }
    }
}

filters! {
    "/members/linodes", 50, UNREADABLE;
    /// The last job of the page before.
    before,
}

/// `GET /members/linodes/{id}/jobs`
pub async fn history(member: Member, id: Path<i64>, asked: Query<Params>) -> Response {
    let (account, asked) = (member.account, asked.0);
    let before = Params::read(&asked.before)?.map(JobId);
    let found = portal::read(&member.portal, move |conn| {
        store::job::list::job_history(conn, account, LinodeId(id.0), before, Params::limit())
    });
    let (linode, jobs) = found.await?.ok_or(Fault::NotFound)?;
    let path = format!("{}/jobs", url_of(&linode));
    let (jobs, pager) = asked.page_at(&path, jobs, |job| job.id.to_string());
    let page = page_of(
        &member,
        &linode,
        format!("Host Job Queue of {}", linode.label),
    );
    let zone = page.zone();
    page::html(&QueuePage {
        linode: linode.label.clone(),
        rows: jobs.iter().map(|job| JobRow::new(job, zone)).collect(),
        pager,
        page,
    })
}
