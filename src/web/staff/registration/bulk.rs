//! Approve, decline and configure many registrations at once: a page that says what will happen, with the room there is
//! for it, then the deed, then what failed, row by row. A bulk action is about ticked rows, or about all that the list's
//! filter finds; then the number that staff saw is posted with it and checked again. Rule of the room: the page before
//! the deed is in [`preview`], the deed here.

use std::time::Duration;

use serde::Deserialize;

use super::bulk_preview::present;
use super::list::Params;
use super::shared::{Review, filtered, find, kind};
use crate::app::batch::{MOST, NewOrder};
use crate::domain::batch::{BatchKind, BatchState};
use crate::domain::ids::{HostId, RegistrationId};
use crate::store::batch::NewItem;
use crate::store::registration::list::RegistrationRow;
use crate::web::extract::{Form, Path, Query, Staff, ids, once_or};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Filters};
use crate::web::portal::Portal;
use crate::web::ui::{Problems, units};

/// How long its answer waits for many.
const UNTIL_SHOWN: Duration = Duration::from_secs(1);

/// The list's form: filters, ticked rows (repeated `id`), or `all`.
#[derive(Debug, Default)]
struct Chosen {
    asked: Params,
    ids: Vec<RegistrationId>,
    all: bool,
    count: i64,
    deed: String,
}

fn chosen(pairs: Vec<(String, String)>) -> Result<Chosen> {
    let bad = || Fault::BadRequest("The choice cannot be read. Start from the list.".to_owned());
    let mut chosen = Chosen::default();
    for (name, value) in pairs {
        match name.as_str() {
            "id" => chosen
                .ids
                .push(RegistrationId(value.parse().map_err(|_| bad())?)),
            "all" => chosen.all = value == "yes",
            "count" => chosen.count = value.parse().map_err(|_| bad())?,
            "do" => chosen.deed = value,
            "state" => chosen.asked.state = value,
            "plan" => chosen.asked.plan = value,
            "q" => chosen.asked.q = value,
            "unconfigured" => chosen.asked.unconfigured = value,
            _ => return Err(bad()),
        }
    }
    Ok(chosen)
}

/// `GET /staff/registrations/review`
pub async fn review(staff: Staff, query: Query<Vec<(String, String)>>) -> Response {
    let chosen = chosen(query.0)?;
    let kind = kind(&chosen.deed)?;
    if chosen.ids.is_empty() && !chosen.all {
        let said =
            "Nothing was ticked. Tick at least one registration, or all that the filter finds.";
        let list = chosen.asked.url("");
        return Ok(page::see_other_saying(&list, page::Flash::warn(said)));
    }
    let review = Review {
        kind,
        once: once_or(""),
        asked: chosen.asked,
        count: chosen.all.then_some(chosen.count),
        ids: chosen.ids,
        reason: String::new(),
        destination: String::new(),
    };
    present(&staff, review, Problems::default()).await
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeedForm {
    once: String,
    /// Ids, separated by commas; those that the page showed, also for `all`.
    ids: String,
    #[serde(default)]
    all: String,
    count: i64,
    #[serde(default)]
    state: String,
    #[serde(default)]
    plan: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    unconfigured: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    destination: String,
}

/// `POST /staff/registrations/{approve|decline|configure}`
pub async fn act(staff: Staff, deed: Path<String>, form: Form<DeedForm>) -> Response {
    let kind = kind(&deed.0).map_err(|_| Fault::NotFound)?;
    let ids = ids(form.0.ids.split(','))?;
    if ids.len() > MOST {
        return Err(Fault::TooLarge);
    }
    let is_other_count = i64::try_from(ids.len()).unwrap_or(i64::MAX) != form.0.count;
    let is_all = form.0.all == "yes";
    // The page's own ids are what is acted on, so that a second press finds them done instead of finding others; "all" is
    // checked once more: a row that came meanwhile was not seen by anyone.
    let review = form.0.review(kind, ids);
    let back_url = review.asked.url("");
    let rows = find(&staff.portal, &review).await?;
    if is_all && (is_other_count || unseen(&staff.portal, &review).await?) {
        return Err(Fault::conflict_at(
            "The number of rows does not match what you saw. Look again.",
            back_url,
            "Back to the list",
        ));
    }
    let order = NewOrder {
        kind: review.kind,
        of: rows
            .iter()
            .map(|row| NewItem {
                to: review.destination.parse().ok().map(HostId),
                ..NewItem::of(row.registration.id.0)
            })
            .collect(),
        reason: review.reason.clone(),
        off: None,
        once: review.once.clone(),
    };
    let done = staff.submit(move |app, actor| app.carry_out_batch(actor, &order, UNTIL_SHOWN));
    match done.await? {
        Err(problems) => present(&staff, review, problems).await,
        Ok(of) if of.batch.state == BatchState::Ended && of.refused.is_empty() => {
            let many = units::counted(of.in_all(), "registration is", "registrations are");
            page::said(&back_url, format!("{many} {}.", of.batch.kind.past()))
        }
        Ok(of) => Ok(page::see_other(&format!("/staff/batches/{}", of.batch.id))),
    }
}

/// Does the filter find one now that the page did not show? Those that it finds no more were decided meanwhile.
async fn unseen(portal: &Portal, review: &Review) -> Result<bool> {
    let found = filtered(portal, review).await?;
    let shown = |row: &RegistrationRow| review.ids.contains(&row.registration.id);
    Ok(!found.iter().all(shown))
}

impl DeedForm {
    fn review(self, kind: BatchKind, ids: Vec<i64>) -> Review {
        Review {
            kind,
            once: self.once,
            asked: Params {
                state: self.state,
                plan: self.plan,
                q: self.q,
                unconfigured: self.unconfigured,
                after: String::new(),
            },
            count: None,
            ids: ids.into_iter().map(RegistrationId).collect(),
            reason: self.reason,
            destination: self.destination,
        }
    }
}
