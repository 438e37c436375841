//! `/members/xenbeta`: what the beta is and tests, and a row per Linode: register, wait, go on, withdraw.

use std::collections::HashMap;

use askama::Template;

use super::linodes::eligibility;
use super::{Link, migration_link, platform_name};
use crate::domain::ids::RegistrationId;
use crate::domain::words::{MigrationState, ProgrammeState, RegistrationState};
use crate::store::pages_members::LinodeRow;
use crate::store::programme::Programme;
use crate::web::page::Page;
use crate::web::ui::{Tag, Tone, units};

#[derive(Debug, Template)]
#[template(path = "members/beta.html")]
pub struct BetaPage {
    pub page: Page,
    pub programme: String,
    pub state: Tag,
    pub state_words: &'static str,
    pub seats_left: Option<i64>,
    pub waiting: i64,
    /// How long answers have taken lately, if any were given.
    pub usual_wait: Option<String>,
    pub offer_days: i32,
    pub way_back_days: i32,
    pub irc: Option<String>,
    pub forum: Option<String>,
    pub rows: Vec<Row>,
    pub any_eligible: bool,
    pub error: Option<String>,
}

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

/// What the page is made from.
pub struct Facts<'a> {
    pub name: &'a str,
    pub programme: &'a Programme,
    pub seats_left: Option<i64>,
    pub waiting: i64,
    pub waits: &'a [i64],
    pub rows: &'a [LinodeRow],
    pub positions: &'a HashMap<RegistrationId, usize>,
    /// Linodes ticked in a form that is shown again.
    pub chosen: &'a [i64],
}

impl BetaPage {
    #[must_use]
    pub fn new(page: Page, facts: &Facts<'_>) -> Self {
        let programme = facts.programme;
        let (state, state_words) = match programme.state {
            ProgrammeState::Open => (Tag::new("Open", Tone::Good), "Registration is open."),
            ProgrammeState::Closed => (Tag::new("Closed to new registrations", Tone::Warn), "No new registrations are taken at present. What is registered goes on."),
            ProgrammeState::Ended => (Tag::new("Ended", Tone::Plain), "The beta has ended."),
        };
        let rows: Vec<Row> = facts.rows.iter().map(|row| beta_row(row, facts)).collect();
        let link = |url: &str| (url.starts_with("https://") || url.starts_with("http://") || url.starts_with("irc://") || url.starts_with("ircs://")).then(|| url.to_owned());
        Self {
            programme: facts.name.to_owned(),
            state,
            state_words,
            seats_left: facts.seats_left.map(|left| left.max(0)),
            waiting: facts.waiting,
            usual_wait: usual(facts.waits),
            offer_days: programme.offer_days,
            way_back_days: programme.way_back_days,
            irc: link(&programme.irc_url),
            forum: link(&programme.forum_url),
            any_eligible: rows.iter().any(|row| row.eligible),
            error: page.problems.of("linode").map(str::to_owned),
            rows,
            page,
        }
    }
}

/// The median of the last answers.
fn usual(waits: &[i64]) -> Option<String> {
    let mut sorted = waits.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map(|median| units::span(*median))
}

fn beta_row(row: &LinodeRow, facts: &Facts<'_>) -> Row {
    let label = &row.linode.label;
    let mut view = Row {
        id: row.linode.id.0,
        url: format!("/members/linodes/{}", row.linode.id),
        label: label.clone(),
        plan: row.plan.label.clone(),
        platform: platform_name(row.host.platform),
        eligible: false,
        chosen: facts.chosen.contains(&row.linode.id.0),
        tag: None,
        words: String::new(),
        link: None,
        withdraw: None,
    };
    let eligible = eligibility(row, facts.programme.state, facts.seats_left);
    view.eligible = eligible.is_ok();
    if let Some(migration) = &row.migration {
        view.link = migration_link(migration, label);
        if view.link.is_some() || eligible.is_err() {
            view.tag = Some(Tag::migration(migration.state));
        }
    }
    let Some(registration) = &row.registration else {
        if let (Err(reason), None) = (eligible, &view.link) {
            view.words = reason.to_string();
        }
        return view;
    };
    let has_begun = row.migration.as_ref().is_some_and(|migration| {
        !matches!(migration.state, MigrationState::Offered | MigrationState::Expired | MigrationState::Cancelled)
    });
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
                    Some(MigrationState::Expired) => "Its offer has expired; we are setting up another.".to_owned(),
                    _ => "We are setting up its place on a Xen host, and write to you when it is ready.".to_owned(),
                };
            }
            if !has_begun {
                view.withdraw = Some(withdraw_link(registration.id, label));
            }
        }
        RegistrationState::Declined => {
            view.tag = Some(Tag::registration(registration.state));
            view.words = format!("{} You can register it again.", registration.reason).trim().to_owned();
            if let Err(reason) = eligible {
                view.words = format!("{} {reason}", registration.reason).trim().to_owned();
            }
        }
        RegistrationState::Withdrawn => {
            if let Err(reason) = eligible {
                view.words = reason.to_string();
            }
        }
    }
    view
}

fn withdraw_link(id: RegistrationId, label: &str) -> Link {
    Link::new(format!("/members/xenbeta/{id}/withdraw"), format!("Withdraw {label}"))
}
