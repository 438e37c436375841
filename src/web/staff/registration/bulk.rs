//! Approve, decline and configure many registrations at once: a page that says what will happen, with the room there is
//! for it, then the deed, then what failed, row by row. A bulk action is about ticked rows, or about all that the list's
//! filter finds; then the number that staff saw is posted with it and checked again. Rule of the room: the page before
//! the deed is in [`preview`], the deed here.

use std::collections::HashMap;

use askama::Template;
use serde::Deserialize;

use super::bulk_preview::present;
use super::list::Asked;
use super::shared::{AT_ONCE, Deed, Review, filtered, find};
use crate::app::App;
use crate::app::bulk::Outcome;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::domain::ids::{HostId, RegistrationId};
use crate::domain::registration::RegistrationState;
use crate::store::registration::list::RegistrationRow;
use crate::web::extract::{Form, Path, Query, Staff, ids};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Filters, Page};
use crate::web::portal::Portal;
use crate::web::ui::{Problems, units};

#[derive(Debug, Template)]
#[template(path = "staff/registration/bulk.html")]
pub struct DonePage {
    pub page: Page,
    pub done: usize,
    pub past: &'static str,
    pub refused: Vec<(String, String)>,
    pub back_url: String,
}

/// The list's form: filters, ticked rows (repeated `id`), or `all`.
#[derive(Debug, Default)]
struct Chosen {
    asked: Asked,
    ids: Vec<RegistrationId>,
    all: bool,
    count: i64,
    deed: String,
}

fn chosen(pairs: Vec<(String, String)>) -> Result<Chosen, Fault> {
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
pub async fn review(portal: Portal, staff: Staff, query: Query<Vec<(String, String)>>) -> Response {
    let chosen = chosen(query.0)?;
    let deed = Deed::parse(&chosen.deed)?;
    let review = Review {
        deed,
        asked: chosen.asked,
        count: chosen.all.then_some(chosen.count),
        ids: chosen.ids,
        reason: String::new(),
        destination: String::new(),
    };
    present(&portal, &staff, review, Problems::default()).await
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeedForm {
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
pub async fn act(
    portal: Portal,
    staff: Staff,
    deed: Path<String>,
    form: Form<DeedForm>,
) -> Response {
    let deed = Deed::parse(&deed.0).map_err(|_| Fault::NotFound)?;
    let ids = ids(form.0.ids.split(','))?;
    if ids.len() > AT_ONCE {
        return Err(Fault::TooLarge);
    }
    let is_other_count = i64::try_from(ids.len()).unwrap_or(i64::MAX) != form.0.count;
    let is_all = form.0.all == "yes";
    // The page's own ids are what is acted on, so that a second press finds them done instead of finding others; "all" is
    // checked once more: a row that came meanwhile was not seen by anyone.
    let review = form.0.review(deed, ids);
    let back_url = review.asked.url("");
    let rows = find(&portal, &review).await?;
    if is_all && (is_other_count || unseen(&portal, &review).await?) {
        return Err(Fault::conflict_at(
            "The number of rows does not match what you saw. Look again.",
            back_url,
            "Back to the list",
        ));
    }
    let of = |row: &RegistrationRow| (row.registration.id, row.registration.state);
    let (states, asked): (Vec<_>, _) = (rows.iter().map(of).collect(), review.clone());
    let done = staff.submit(&portal, move |app, actor| {
        asked.carry_out(app, actor, &states)
    });
    match done.await? {
        Err(problems) => present(&portal, &staff, review, problems).await,
        Ok(many) if many.refused.is_empty() => {
            let count = many.done.len();
            let many = units::counted(count, "registration is", "registrations are");
            let said = format!("{many} {}.", deed.past());
            page::said(&back_url, said)
        }
        Ok(many) => {
            let (refused, past) = (many.refused.len(), deed.past());
            let title = format!("{refused} of {} not {past}", refused + many.done.len());
            page::refused(&DonePage {
                page: staff
                    .page(Area::Registrations, title)
                    .crumb("Registrations", &back_url),
                done: many.done.len(),
                past,
                refused: refusals(&rows, many.refused),
                back_url,
            })
        }
    }
}

/// Does the filter find one now that the page did not show? Those that it finds no more were decided meanwhile.
async fn unseen(portal: &Portal, review: &Review) -> Result<bool, Fault> {
    let found = filtered(portal, review).await?;
    let shown = |row: &RegistrationRow| review.ids.contains(&row.registration.id);
    Ok(!found.iter().all(shown))
}

/// Labels, with why.
fn refusals(
    rows: &[RegistrationRow],
    refused: Vec<(RegistrationId, String)>,
) -> Vec<(String, String)> {
    let labels: HashMap<RegistrationId, &str> = rows
        .iter()
        .map(|row| (row.registration.id, row.linode.label.as_str()))
        .collect();
    let label = |id: RegistrationId| {
        let known = labels.get(&id);
        known.map_or_else(|| format!("Registration {id}"), ToString::to_string)
    };
    refused
        .into_iter()
        .map(|(id, why)| (label(id), why))
        .collect()
}

impl DeedForm {
    fn review(self, deed: Deed, ids: Vec<i64>) -> Review {
        Review {
            deed,
            asked: Asked {
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

impl Review {
    fn carry_out(
        &self,
        app: &App,
        actor: &Actor,
        rows: &[(RegistrationId, RegistrationState)],
    ) -> Result<Outcome<RegistrationId>, AppError> {
        let ids: Vec<RegistrationId> = rows.iter().map(|(id, _)| *id).collect();
        match self.deed {
            Deed::Approve => app.approve(actor, &ids),
            Deed::Decline => app.decline(actor, &ids, &self.reason),
            Deed::Configure => {
                let waiting: Vec<RegistrationId> = rows
                    .iter()
                    .filter(|(_, state)| *state == RegistrationState::Requested)
                    .map(|(id, _)| *id)
                    .collect();
                let refused = app.approve(actor, &waiting)?.refused;
                self.offer(app, actor, Outcome { done: ids, refused })
            }
        }
    }

    /// A place for each that was not refused before.
    fn offer(
        &self,
        app: &App,
        actor: &Actor,
        approved: Outcome<RegistrationId>,
    ) -> Result<Outcome<RegistrationId>, AppError> {
        let destination = self.destination.parse().ok().map(HostId);
        let mut many = Outcome {
            done: Vec::new(),
            refused: approved.refused,
        };
        for id in approved.done {
            if many.refused.iter().any(|(refused, _)| *refused == id) {
                continue;
            }
            let answer = match app.offer(actor, id, destination) {
                Ok(_) => Ok(()),
                Err(AppError::Conflict(why)) => Err(why),
                Err(AppError::NotFound) => Err("There is no such registration or host.".to_owned()),
                Err(other) => return Err(other),
            };
            many.note(id, answer);
        }
        Ok(many)
    }
}
