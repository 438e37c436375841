//! `/staff/jobs/retry`: all failed jobs that the list finds are tried again: asked first, counted again, worked off in a batch.

use std::time::Duration;

use serde::Deserialize;

use super::list::Params;
use super::shared::PATH;
use crate::app::batch::{FEW, MOST, NewOrder};
use crate::domain::batch::{BatchKind, BatchState};
use crate::domain::job::JobState;
use crate::store;
use crate::store::batch::NewItem;
use crate::store::job::list::JobRow;
use crate::web::extract::{Form, Query, Staff, once_or};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, ConfirmPage, Filters};
use crate::web::portal::{self, Portal};
use crate::web::ui::units;

const ACTION: &str = "/staff/jobs/retry";
/// Rows that are named one by one.
const LISTED: usize = 100;
/// How long its answer waits for many.
const UNTIL_SHOWN: Duration = Duration::from_millis(500);

/// Those that failed, of what the list's filters find.
async fn failed(portal: &Portal, asked: &Params) -> Result<Vec<JobRow>> {
    let mut filter = asked.filter(portal.now())?;
    filter.state = Some(JobState::Failed);
    let limit = i64::try_from(MOST).unwrap_or(i64::MAX - 1) + 1;
    let rows = portal::read(portal, move |conn| {
        store::job::list::jobs(conn, &filter, None, limit)
    })
    .await?;
    let refuse = |why: String| Err(Fault::conflict_at(why, asked.url(""), "Back to the jobs"));
    match rows.len() {
        0 => refuse("No failed job is among them now: there is nothing to try again.".to_owned()),
        many if many > MOST => refuse(format!(
            "At most {MOST} can be taken at once. Narrow the filter."
        )),
        _ => Ok(rows),
    }
}

/// `GET /staff/jobs/retry`
pub async fn ask(staff: Staff, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let rows = failed(&staff.portal, &asked).await?;
    let title = format!("Try {} again", units::counted(rows.len(), "job", "jobs"));
    let page = staff.page(Area::Jobs, title.clone()).crumb("Jobs", PATH);
    let name = |row: &JobRow| format!("{} of {} on {}", row.job.kind, row.linode, row.host);
    let mut names: Vec<String> = rows.iter().take(LISTED).map(name).collect();
    if rows.len() > LISTED {
        names.push(format!("and {} more", rows.len() - LISTED));
    }
    let mut confirm = ConfirmPage::new(page, title, ACTION)
        .says([
            "Each gets new tries, if somebody still waits for it; those that nobody waits for any more are refused, and listed.",
        ])
        .rows(names)
        .hidden("once", once_or(""))
        .hidden("count", rows.len().to_string())
        .back(asked.url(""), "Back to the jobs");
    for (name, value) in asked.pairs() {
        confirm = confirm.hidden(name, value);
    }
    confirm.html()
}

#[derive(Debug, Clone, Deserialize)]
pub struct RetryForm {
    once: String,
    count: usize,
    #[serde(flatten)]
    asked: Params,
}

/// `POST /staff/jobs/retry`
pub async fn retry(staff: Staff, form: Form<RetryForm>) -> Response {
    let RetryForm { once, count, asked } = form.0;
    let back_url = asked.url("");
    let rows = failed(&staff.portal, &asked).await?;
    if rows.len() != count {
        let why = format!(
            "The list has changed: {count} had failed when you looked, and {} now. Look again.",
            rows.len()
        );
        return Err(Fault::conflict_at(why, back_url, "Back to the jobs"));
    }
    let order = NewOrder {
        kind: BatchKind::Retry,
        of: rows.iter().map(|row| NewItem::of(row.job.id.0)).collect(),
        reason: String::new(),
        off: None,
        once,
    };
    let of = staff
        .act(move |app, actor| app.carry_out_batch(actor, &order, UNTIL_SHOWN))
        .await?;
    if count <= FEW && of.batch.state == BatchState::Ended && of.refused.is_empty() {
        let many = units::counted(of.in_all(), "job is", "jobs are");
        return page::said(&back_url, format!("{many} tried again."));
    }
    Ok(page::see_other(&format!("/staff/batches/{}", of.batch.id)))
}
