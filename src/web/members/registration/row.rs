//! A Linode's row on the page of the registration: how it stands, and what can be done.

use std::collections::HashMap;

use crate::domain::ids::RegistrationId;
use crate::domain::migration::{self, MigrationKind, MigrationState};
use crate::domain::placement::Standing;
use crate::domain::programme::Phase;
use crate::domain::registration::RegistrationState;
use crate::store::linode::page::{LinodeRow, Registered};
use crate::web::members::linode::list::eligibility;
use crate::web::members::{migration_link, migration_tag};
use crate::web::ui::names::platform_name;
use crate::web::ui::{Link, Tag, Zone};

#[derive(Debug)]
pub struct Row {
    pub id: i64,
    pub url: String,
    pub label: String,
    pub plan: String,
    pub platform: &'static str,
    /// It can be registered: there is a box to tick.
    pub eligible: bool,
    pub chosen: bool,
    pub tag: Option<Tag>,
    pub words: String,
    pub link: Option<Link>,
    pub withdraw: Option<Link>,
}

/// What rows are made from besides themselves.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub phase: Phase,
    pub seats_left: Option<i64>,
    pub positions: &'a HashMap<RegistrationId, usize>,
    /// Linodes ticked in a form that is shown again.
    pub chosen: &'a [i64],
    pub zone: Zone,
}

pub fn beta_row(row: &LinodeRow, facts: &Known<'_>) -> Row {
    let label = &row.linode.label;
    let mut view = Row {
        id: row.linode.id.0,
        url: format!("/members/linodes/{}", row.linode.id),
        label: label.clone(),
        plan: row.linode.plan.clone(),
        platform: platform_name(row.linode.platform),
        eligible: false,
        chosen: facts.chosen.contains(&row.linode.id.0),
        tag: None,
        words: String::new(),
        link: None,
        withdraw: None,
    };
    let eligible = eligibility(row, facts.phase, facts.seats_left);
    view.eligible = eligible.is_ok();
    if let Some(migration) = row.migration {
        view.link = migration_link(migration, label);
        if view.link.is_some() || eligible.is_err() {
            view.tag = Some(migration_tag(migration, facts.zone));
        }
    }
    let Some(registration) = &row.registration else {
        if let (Err(reason), None) = (eligible, &view.link) {
            view.words = reason.to_string();
        }
        return view;
    };
    stands(&mut view, row, registration, facts);
    view
}

/// Whether it is back from the beta, and whether a move into it has begun.
fn moves(row: &LinodeRow, outside: bool) -> (bool, bool) {
    let came_back = outside
        && row.migration.as_ref().is_some_and(|migration| {
            migration.kind == MigrationKind::Return && migration.state == MigrationState::Confirmed
                || migration.state == MigrationState::Returned
        });
    // A move off a host, to its like, begins nothing.
    let has_begun = !came_back
        && row.migration.as_ref().is_some_and(|migration| {
            let is_of_the_beta = migration.kind != MigrationKind::Evacuation || !outside;
            is_of_the_beta
                && !matches!(
                    migration.state,
                    MigrationState::Offered | MigrationState::Expired | MigrationState::Cancelled
                )
        });
    (came_back, has_begun)
}

/// How its registration stands, and what can be done with it.
fn stands(view: &mut Row, row: &LinodeRow, registration: &Registered, facts: &Known<'_>) {
    let eligible = eligibility(row, facts.phase, facts.seats_left);
    let label = &row.linode.label;
    let outside = row.linode.standing() == Standing::Outside;
    let (came_back, has_begun) = moves(row, outside);
    match registration.state {
        RegistrationState::Requested => {
            view.tag = Some(Tag::registration(registration.state));
            view.words = match facts.positions.get(&registration.id) {
                Some(position) => format!("Number {position} in the queue."),
                None => "Far back in the queue.".to_owned(),
            };
            view.withdraw = Some(withdraw_link(registration.id, label));
        }
        RegistrationState::Approved => {
            if view.link.is_none() && !has_begun {
                view.tag = Some(Tag::registration(registration.state));
                view.words = match row.migration.as_ref().map(|migration| migration.state) {
                    _ if !outside => "It runs in the beta.".to_owned(),
                    _ if came_back => "It is back on its old host. We can offer it another place; withdraw it if it shall stay.".to_owned(),
                    Some(MigrationState::Expired) => "Its offer has expired; we are setting up another.".to_owned(),
                    _ => "We are setting up its place on a Xen host, and write to you when it is ready.".to_owned(),
                };
            }
            let held = row.migration.as_ref();
            let held = held.is_some_and(|it| migration::holds_registration(it.kind, it.state));
            if outside && !held {
                view.withdraw = Some(withdraw_link(registration.id, label));
            }
        }
        RegistrationState::Declined => {
            view.tag = Some(Tag::registration(registration.state));
            view.words = format!("{} You can register it again.", registration.reason)
                .trim()
                .to_owned();
            if let Err(reason) = eligible {
                view.words = format!("{} {reason}", registration.reason)
                    .trim()
                    .to_owned();
            }
        }
        RegistrationState::Withdrawn => {
            if let Err(reason) = eligible {
                view.words = reason.to_string();
            }
        }
        RegistrationState::Graduated => {
            view.tag = Some(Tag::registration(registration.state));
            view.words = "It runs on a production host; the beta is over for it.".to_owned();
        }
        RegistrationState::Closed => {
            view.tag = Some(Tag::registration(registration.state));
            view.words = registration.reason.clone();
        }
    }
}

fn withdraw_link(id: RegistrationId, label: &str) -> Link {
    Link::new(
        format!("/members/xenbeta/{id}/withdraw"),
        format!("Withdraw {label}"),
    )
}
