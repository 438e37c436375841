//! `/staff/batches/{id}`: how far it is, what was refused and why; stopped from here.

use askama::Template;

use crate::app::error::AppError;
use crate::domain::batch::{BatchKind, BatchState, ItemOutcome};
use crate::domain::ids::BatchId;
use crate::store;
use crate::store::batch::{Batch, Progress};
use crate::web::extract::{Asks, Form, Nothing, Path, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::staff::linode;
use crate::web::ui::{Action, Link, Tag, Tone, When};

pub(super) const PATH: &str = "/staff/batches";

#[derive(Debug, Template)]
#[template(path = "staff/batch/show.html")]
pub struct BatchPage {
    pub page: Page,
    pub state: Tag,
    pub is_running: bool,
    pub settled: i64,
    pub in_all: i64,
    pub facts: Vec<(String, i64)>,
    pub made_by: String,
    pub made_at: When,
    pub ended_at: Option<When>,
    pub actions: Vec<Action>,
    /// Its members are told.
    pub tells: bool,
    pub back: Link,
    pub refused: Vec<(Link, String)>,
    /// Refused beside those that are shown.
    pub more: i64,
}

pub(super) fn state(of: BatchState) -> Tag {
    match of {
        BatchState::Running => Tag::new("At work", Tone::Info),
        BatchState::Ended => Tag::new("Ended", Tone::Good),
        BatchState::Stopped => Tag::new("Stopped", Tone::Warn),
    }
}

/// Where it was asked for.
fn back(of: &Batch) -> Link {
    match of.kind {
        BatchKind::Approve | BatchKind::Decline | BatchKind::Configure => {
            Link::new("/staff/registrations", "Back to the registrations")
        }
        BatchKind::Graduate => Link::new("/staff/graduation", "Back to the plan"),
        BatchKind::Evacuate => {
            let host = of.source_host_id.map(|host| host.to_string());
            let url = format!("/staff/hosts/{}", host.unwrap_or_default());
            Link::new(url, "Back to the host")
        }
        BatchKind::Retry => Link::new("/staff/jobs", "Back to the jobs"),
    }
}

impl BatchPage {
    fn new(page: Page, of: &Progress, may_stop: bool) -> Self {
        let (zone, batch) = (page.zone(), &of.batch);
        let is_running = batch.state == BatchState::Running;
        let count = |outcome| of.count(Some(outcome));
        let refused = count(ItemOutcome::Refused);
        let left = if is_running { "to be done" } else { "not done" };
        Self {
            state: state(batch.state),
            tells: batch.kind != BatchKind::Retry,
            back: back(batch),
            is_running,
            settled: of.in_all() - of.count(None),
            in_all: of.in_all(),
            facts: vec![
                (batch.kind.past().to_owned(), count(ItemOutcome::Done)),
                ("so before".to_owned(), count(ItemOutcome::Before)),
                ("refused".to_owned(), refused),
                (left.to_owned(), of.count(None)),
            ],
            made_by: of.made_by.clone(),
            made_at: zone.precise(batch.made_at),
            ended_at: batch.ended_at.map(|at| zone.precise(at)),
            actions: Action::those([(
                is_running && may_stop,
                Action::send(format!("{PATH}/{}/stop", batch.id), "Stop the rest").second(),
            )]),
            more: refused - i64::try_from(of.refused.len()).unwrap_or(refused),
            refused: of
                .refused
                .iter()
                .map(|(id, label, why)| (linode::link(*id, label), why.clone()))
                .collect(),
            page,
        }
    }
}

/// `GET /staff/batches/{id}`
pub async fn show(asks: Asks<Staff>, id: Path<i64>) -> Response {
    let id = BatchId(id.0);
    let (staff, of) = asks
        .read(move |conn, _| store::batch::progress(conn, id)?.ok_or(AppError::NotFound))
        .await?;
    let page = staff
        .page(Area::Batches, of.batch.kind.title(of.in_all()))
        .crumb("Batches", PATH);
    let may_stop = staff.actor.may(of.batch.kind.right());
    page::html(&BatchPage::new(page, &of, may_stop))
}

/// `POST /staff/batches/{id}/stop`
pub async fn stop(staff: Staff, id: Path<i64>, _: Form<Nothing>) -> Response {
    let url = format!("{PATH}/{}", id.0);
    staff
        .act(move |app, actor| app.stop_batch(actor, BatchId(id.0)))
        .await?;
    page::said(&url, "What is not done yet is not done.")
}
