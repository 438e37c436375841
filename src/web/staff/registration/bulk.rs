//! Approve, decline and configure many registrations at once: a page that says what will happen, with the room there is
//! for it, then the deed, then what failed, row by row. A bulk action is about ticked rows, or about all that the list's
//! filter finds; then the number that staff saw is posted with it and checked again. Rule of the room: the page before
//! the deed is in [`preview`], the deed here.

use std::collections::HashMap;

use askama::Template;
use serde::Deserialize;

use super::bulk_preview::{Review, present};
use super::list::Asked;
use super::shared::{AT_ONCE, Deed, find};
use crate::app::App;
use crate::app::bulk::Outcome;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::domain::ids::{HostId, RegistrationId};
use crate::domain::registration::RegistrationState;
use crate::web::extract::{Form, Query, Staff, ids};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, Area, Filters, Page};
use crate::web::portal::{self, Portal};
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
    ids: Vec<i64>,
    all: bool,
    count: i64,
    deed: String,
}

fn chosen(pairs: Vec<(String, String)>) -> Result<Chosen, Fault> {
    let bad = || Fault::BadRequest("The choice cannot be read. Start from the list.".to_owned());
    let mut chosen = Chosen::default();
    for (name, value) in pairs {
        match name.as_str() {
            "id" => chosen.ids.push(value.parse().map_err(|_| bad())?),
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
    deed: crate::web::extract::Path<String>,
    form: Form<DeedForm>,
) -> Response {
    let deed = Deed::parse(&deed.0).map_err(|_| Fault::NotFound)?;
    let form = form.0;
    let ids = ids(form.ids.split(','))?;
    if ids.len() > AT_ONCE {
        return Err(Fault::TooLarge);
    }
    let asked = form.asked();
    let back_url = asked.url("");
    let is_all = form.all == "yes";
    // The page's own ids are what is acted on, so that a second press finds them done instead of finding others; "all" is
    // checked once more: a row that came meanwhile was not seen by anyone.
    let rows = find(&portal, &asked, None, ids.clone()).await?;
    if is_all && i64::try_from(ids.len()).unwrap_or(i64::MAX) != form.count {
        return Err(Fault::conflict_at(
            "The number of rows does not match what you saw. Look again.",
            back_url,
            "Back to the list",
        ));
    }
    let labels: HashMap<RegistrationId, String> = rows
        .iter()
        .map(|row| (row.registration.id, row.linode.label.clone()))
        .collect();
    let states: Vec<(RegistrationId, RegistrationState)> = rows
        .iter()
        .map(|row| (row.registration.id, row.registration.state))
        .collect();
    let (actor, sent) = (staff.actor.clone(), form.clone());
    match portal::submit(&portal, move |app| {
        sent.carry_out(deed, app, &actor, &states)
    })
    .await?
    {
        Err(problems) => {
            let review = Review {
                deed,
                asked,
                count: None,
                ids,
                reason: form.reason,
                destination: form.destination,
            };
            present(&portal, &staff, review, problems).await
        }
        Ok(many) if many.refused.is_empty() => {
            let count = many.done.len();
            let many = units::counted(count, "registration is", "registrations are");
            let said = format!("{many} {}.", deed.past());
            page::said(&back_url, said)
        }
        Ok(many) => {
            let (refused, past) = (many.refused.len(), deed.past());
            let title = format!("{refused} of {} not {past}", refused + many.done.len());
            let label = |id: &RegistrationId| {
                let known = labels.get(id).cloned();
                known.unwrap_or_else(|| format!("Registration {id}"))
            };
            let refused = many.refused.iter();
            page::refused(&DonePage {
                page: staff
                    .page(Area::Registrations, title)
                    .crumb("Registrations", &back_url),
                done: many.done.len(),
                past,
                refused: refused.map(|(id, why)| (label(id), why.clone())).collect(),
                back_url,
            })
        }
    }
}

impl DeedForm {
    fn asked(&self) -> Asked {
        Asked {
            state: self.state.clone(),
            plan: self.plan.clone(),
            q: self.q.clone(),
            unconfigured: self.unconfigured.clone(),
            after: String::new(),
        }
    }

    fn carry_out(
        &self,
        deed: Deed,
        app: &App,
        actor: &Actor,
        rows: &[(RegistrationId, RegistrationState)],
    ) -> Result<Outcome<RegistrationId>, AppError> {
        let ids: Vec<RegistrationId> = rows.iter().map(|(id, _)| *id).collect();
        match deed {
            Deed::Approve => app.approve(actor, &ids),
            Deed::Decline => app.decline(actor, &ids, &self.reason),
            Deed::Configure => {
                let waiting: Vec<RegistrationId> = rows
                    .iter()
                    .filter(|(_, state)| *state == RegistrationState::Requested)
                    .map(|(id, _)| *id)
                    .collect();
                let refused = app.approve(actor, &waiting)?.refused;
                offer(app, actor, ids, (self.destination.parse().ok(), refused))
            }
        }
    }
}

/// A place for each that was not refused before.
fn offer(
    app: &App,
    actor: &Actor,
    ids: Vec<RegistrationId>,
    (destination, refused): (Option<i64>, Vec<(RegistrationId, String)>),
) -> Result<Outcome<RegistrationId>, AppError> {
    let mut many = Outcome {
        done: Vec::new(),
        refused,
    };
    for id in ids {
        if many.refused.iter().any(|(refused, _)| *refused == id) {
            continue;
        }
        match app.offer(actor, id, destination.map(HostId)) {
            Ok(_) => many.done.push(id),
            Err(AppError::Conflict(why)) => many.refused.push((id, why)),
            Err(AppError::NotFound) => many
                .refused
                .push((id, "There is no such registration or host.".to_owned())),
            Err(other) => return Err(other),
        }
    }
    Ok(many)
}
