//! `/staff/jobs`: by state, page by page, filtered. What staff hold back is in [`super::pauses`].

use askama::Template;

use super::pauses;
use super::shared::{PATH, host_choices, kinds};
use crate::domain::account::Right;
use crate::domain::job::{JobKind, JobState};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store;
use crate::store::job::list::{JobFilter, JobRow};
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::{Response, Result};
use crate::web::page::{self, Area, FROM_TABS, Filters, Page, ROWS, age, clipped, filters};
use crate::web::portal::Portal;
use crate::web::staff::linode;
use crate::web::ui::list::{StateTab, count, query};
use crate::web::ui::names::job_name;
use crate::web::ui::{Field, Link, Pager, Tag, When, Zone};

#[derive(Debug, Template)]
#[template(path = "staff/job/list.html")]
pub struct JobsPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    /// In words, if the list shows less than its tab says.
    pub narrowed: Option<String>,
    /// What the form keeps: the tab, the Linode and the days.
    pub kept: Vec<(&'static str, String)>,
    pub fields: Vec<Field>,
    /// In words, what staff hold back.
    pub pauses: Vec<String>,
    /// To try all of them again that the list finds, if they have failed.
    pub retry_url: Option<String>,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub linode: Link,
    pub host: Link,
    pub migration: Option<Link>,
    pub state: Tag,
    pub attempt: i32,
    pub entered: When,
    pub finished: Option<When>,
    pub message: String,
}

filters! {
    PATH, ROWS, FROM_TABS;
    state, host, linode, kind, q,
    /// Entered so many hours ago, or longer.
    age,
    /// Ended within so many days.
    days,
    before,
}

impl Params {
    pub(super) fn filter(&self, now: Time) -> Result<JobFilter> {
        let days = Self::read::<i64>(&self.days)?;
        Ok(JobFilter {
            state: Self::read(&self.state)?,
            host: Self::read(&self.host)?,
            linode: Self::read(&self.linode)?,
            kind: Self::read(&self.kind)?,
            text: clipped(&self.q, 100),
            ended_since: days.map(|days| now.plus_days(-days.clamp(0, 36_500))),
            entered_before: Self::older(&self.age, now)?,
        })
    }

    fn narrowed(&self) -> Option<String> {
        let days = (!self.days.is_empty()).then(|| format!("ended in the last {} days", self.days));
        let linode = (!self.linode.is_empty()).then(|| format!("of Linode {}", self.linode));
        let kind = JobKind::parse(&self.kind).map(|kind| job_name(kind).to_owned());
        let parts: Vec<String> = [kind, linode, days].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

pub(super) fn view(row: &JobRow, zone: Zone) -> Row {
    let job = &row.job;
    Row {
        link: Link::new(
            format!("{PATH}/{}", job.id),
            format!("{} (job {})", job_name(job.kind), job.id),
        ),
        linode: linode::link(job.linode_id, &row.linode),
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
pub async fn list(portal: Portal, asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted = asked
        .filter(portal.now())
        .and_then(|filter| Ok((filter, Params::read(&asked.before)?)));
    let (staff, (rows, counts, hosts, pauses)) = asks
        .read_by(wanted, |conn, (filter, before)| {
            Ok((
                store::job::list::jobs(conn, &filter, before, Params::limit())?,
                store::job::counts(conn)?,
                store::host::names(conn)?,
                store::job::pauses::list(conn)?,
            ))
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.job.id.to_string());
    let page = staff.page(Area::Jobs, "Jobs");
    let zone = page.zone();
    page::html(&JobsPage {
        tabs: tabs(&asked.state, &counts),
        narrowed: asked.narrowed(),
        fields: vec![
            Field::select("kind", "Kind", kinds("All kinds", |_| true)).value(&asked.kind),
            Field::select("host", "Host", host_choices(hosts)).value(&asked.host),
            age(&asked.age),
            Field::text("q", "Linode or account").value(&asked.q),
        ],
        pauses: pauses.iter().map(pauses::words).collect(),
        retry_url: (asked.state == JobState::Failed.as_str()
            && !rows.is_empty()
            && page.may(Right::Jobs))
        .then(|| asked.address("/staff/jobs/retry", "")),
        kept: vec![
            ("state", asked.state.clone()),
            ("linode", asked.linode.clone()),
            ("days", asked.days.clone()),
        ],
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
