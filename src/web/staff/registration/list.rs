//! `/staff/registrations`: the list to review, filtered, page by page, and as CSV. What is done with its rows is in
//! [`super::bulk`].

use askama::Template;

use crate::domain::account::Right;
use crate::domain::ids::RegistrationId;
use crate::domain::registration::{RegistrationState, is_live};
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store;
use crate::store::registration::list::{RegistrationFilter, RegistrationRow};
use crate::web::csv::{self, unformula};
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, FROM_FILTERS, Filters, Page, ROWS, clipped, filters};
use crate::web::staff::linode;
use crate::web::ui::list::{StateTab, count};
use crate::web::ui::{Choice, Field, Link, Pager, Tag, When, Zone, units};

#[derive(Debug, Template)]
#[template(path = "staff/registration/list.html")]
pub struct RegistrationsPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    pub plan: Field,
    pub text: Field,
    pub asked: Params,
    pub csv_url: String,
    pub rows: Vec<Row>,
    pub count: i64,
    pub pager: Pager,
    /// Something can be done with rows of this state.
    pub can_review: bool,
    pub can_configure: bool,
}

#[derive(Debug)]
pub struct Row {
    pub id: i64,
    pub linode: Link,
    pub account: String,
    pub plan: String,
    pub host: String,
    pub disk: String,
    pub has_24_kernel: bool,
    pub requested: When,
    pub state: Tag,
    pub reason: String,
    pub migration: Option<(Tag, Link)>,
}

filters! {
    "/staff/registrations", ROWS, FROM_FILTERS;
    state, plan, q, unconfigured, after,
}

impl Params {
    pub fn filter(&self) -> Result<RegistrationFilter> {
        let state = match self.state.as_str() {
            "" => Some(RegistrationState::Requested),
            "all" => None,
            word => Self::read(word)?,
        };
        Ok(RegistrationFilter {
            state,
            plan: Self::read(&self.plan)?,
            text: clipped(&self.q, 100),
            unconfigured: self.unconfigured == "yes",
        })
    }

    fn key(&self) -> Result<Option<(Time, RegistrationId)>> {
        if self.after.is_empty() {
            return Ok(None);
        }
        let key = self.after.split_once('.').and_then(|(micros, id)| {
            let at = Time::of_micros(micros.parse().ok()?)?;
            Some((at, RegistrationId(id.parse().ok()?)))
        });
        key.map(Some).ok_or_else(|| {
            Fault::BadRequest(
                "This page of the list does not exist. Start from its first page.".to_owned(),
            )
        })
    }
}

/// `GET /staff/registrations`
pub async fn list(asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted = asked.filter().and_then(|it| Ok((it, asked.key()?)));
    let (staff, (filter, rows, count, counts, plans)) = asks
        .read_by(wanted, |conn, (filter, after)| {
            let rows =
                store::registration::list::registrations(conn, &filter, after, Params::limit())?;
            let count = store::registration::list::count_registrations(conn, &filter)?;
            Ok((
                filter,
                rows,
                count,
                store::registration::list::registration_counts(conn)?,
                store::catalogue::plans(conn)?,
            ))
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| {
        let row = &row.registration;
        format!("{}.{}", row.requested_at.utc().timestamp_micros(), row.id)
    });
    let page = staff.page(Area::Registrations, "Registrations");
    let zone = page.zone();
    let plans = plans.iter().map(|plan| Choice::new(plan.id, &plan.label));
    page::html(&RegistrationsPage {
        tabs: tabs(filter.state, &counts),
        plan: Field::select("plan", "Plan", Choice::any("All plans", plans)).value(&asked.plan),
        text: Field::text("q", "Linode or account").value(&asked.q),
        csv_url: asked.csv_url(),
        rows: rows.iter().map(|row| view(row, zone)).collect(),
        count,
        pager,
        can_review: filter.state == Some(RegistrationState::Requested),
        can_configure: filter.state.is_some_and(is_live) && page.may(Right::Registrations),
        asked,
        page,
    })
}

fn tabs(current: Option<RegistrationState>, counts: &[(RegistrationState, i64)]) -> Vec<StateTab> {
    let tab = |word: &str, label: &str, state: Option<RegistrationState>| {
        let url = format!("{}?state={word}", Params::PATH);
        let count = count(counts, |of| state.is_none_or(|state| *of == state));
        StateTab::new(url, label, count, current == state)
    };
    let states = RegistrationState::ALL.iter();
    states
        .map(|state| {
            tab(
                state.as_str(),
                &Tag::registration(*state).text,
                Some(*state),
            )
        })
        .chain([tab("all", "All", None)])
        .collect()
}

fn view(row: &RegistrationRow, zone: Zone) -> Row {
    Row {
        id: row.registration.id.0,
        linode: linode::link(row.linode.id, &row.linode.label),
        account: row.account.clone(),
        plan: row.plan.label.clone(),
        host: row.host.clone(),
        disk: units::mebibytes(row.disk_mb),
        has_24_kernel: row.has_24_kernel,
        requested: zone.show(row.registration.requested_at),
        state: Tag::registration(row.registration.state),
        reason: row.registration.reason.clone(),
        migration: row
            .migration
            .map(|(id, state, _)| (Tag::migration(state), Link::migration(id))),
    }
}

/// `GET /staff/registrations.csv`: exactly what the list's filters find.
pub async fn csv(staff: Staff, asked: Query<Params>) -> Response {
    let filter = asked.0.filter()?;
    let names = [
        "registration",
        "linode",
        "label",
        "account",
        "plan",
        "host",
        "disk_mb",
        "kernel_2_4",
        "requested_utc",
        "state",
        "reason",
        "migration_state",
    ];
    csv::list(
        staff.portal.clone(),
        "registrations.csv",
        &names,
        move |conn, after| {
            let rows = store::registration::list::registrations(conn, &filter, after, csv::PAGE)?;
            let key = |row: &RegistrationRow| (row.registration.requested_at, row.registration.id);
            Ok(csv::Part::of(&rows, key, record))
        },
    )
    .await
}

fn record(row: &RegistrationRow) -> csv::Record {
    let registration = &row.registration;
    vec![
        registration.id.to_string(),
        row.linode.id.to_string(),
        unformula(&row.linode.label),
        unformula(&row.account),
        unformula(&row.plan.label),
        unformula(&row.host),
        row.disk_mb.to_string(),
        row.has_24_kernel.to_string(),
        csv::time(registration.requested_at),
        registration.state.to_string(),
        unformula(&registration.reason),
        row.migration
            .map(|(_, state, _)| state.to_string())
            .unwrap_or_default(),
    ]
}
