//! `/staff/members/{id}`: one with what is theirs. What is done with them is in [`super::access`].

use askama::Template;

use super::shared::{PATH, state};
use crate::domain::account::{Right, role_words};
use crate::domain::audit::Object;
use crate::domain::ids::UserId;
use crate::store;
use crate::store::account::page::UserDetail;
use crate::web::extract::{Path, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, Page};
use crate::web::portal;
use crate::web::staff::linode;
use crate::web::ui::list::query;
use crate::web::ui::{Action, Link, Tag, When, Zone};

#[derive(Debug, Template)]
#[template(path = "staff/account/show.html")]
pub struct PersonPage {
    pub page: Page,
    pub state: Tag,
    pub actions: Vec<Action>,
    pub facts: Vec<(&'static str, String)>,
    pub others: Vec<Link>,
    pub linodes: Vec<LinodeRow>,
    pub linodes_in_all: i64,
    pub registrations: Vec<RegistrationRow>,
    pub lists: Vec<Link>,
}

#[derive(Debug)]
pub struct LinodeRow {
    pub linode: Link,
    pub host: Link,
    pub status: Tag,
}

#[derive(Debug)]
pub struct RegistrationRow {
    pub linode: Link,
    pub state: Tag,
    pub requested: When,
}

/// `GET /staff/members/{id}`
pub async fn show(staff: Staff, id: Path<i64>) -> Response {
    let now = staff.portal.now();
    let idle_since = now.plus_s(-staff.portal.settings.session_idle_s);
    let found = portal::find(&staff.portal, move |conn| {
        store::account::page::user(conn, UserId(id.0), now, idle_since)
    })
    .await?;
    let page = staff
        .page(Area::People, found.user.email.clone())
        .crumb("Members", PATH);
    page::html(&PersonPage::new(page, &found, staff.actor.user))
}

impl PersonPage {
    fn new(page: Page, of: &UserDetail, me: UserId) -> Self {
        let (user, zone) = (&of.user, page.zone());
        let ask =
            |verb: &str, label: &str| Action::ask(format!("{PATH}/{}/{verb}", user.id), label);
        let may = page.may(Right::People);
        Self {
            state: state(user.staff_role, user.disabled),
            actions: Action::those([
                (may && user.disabled, ask("enable", "Enable…")),
                (
                    may && !user.disabled,
                    ask("send-reset", "Send a link for a new password…").second(),
                ),
                (
                    may && user.staff_role.is_some() && user.id != me,
                    ask("role", "Change the role…").second(),
                ),
                (
                    may && user.second_factor_at.is_some() && user.id != me,
                    ask("remove-second-factor", "Take the second factor away…").second(),
                ),
                (
                    may && !user.disabled && user.id != me,
                    ask("disable", "Disable…").second(),
                ),
            ]),
            facts: facts(of, zone),
            others: of
                .others
                .iter()
                .map(|(id, email)| Link::new(format!("{PATH}/{id}"), email.clone()))
                .collect(),
            linodes: of
                .linodes
                .iter()
                .map(|(of, host)| LinodeRow {
                    linode: linode::link(of.id, &of.label),
                    host: Link::new(format!("/staff/hosts/{}", of.host_id), host.clone()),
                    status: Tag::linode(of.status),
                })
                .collect(),
            linodes_in_all: of.linodes_in_all,
            registrations: of
                .registrations
                .iter()
                .map(|(row, label)| RegistrationRow {
                    linode: linode::link(row.linode_id, label),
                    state: Tag::registration(row.state),
                    requested: zone.show(row.requested_at),
                })
                .collect(),
            lists: lists(of),
            page,
        }
    }
}

/// Where else there is something of theirs.
fn lists(of: &UserDetail) -> Vec<Link> {
    let user = &of.user;
    let list = |list: &str, pairs: &[(&str, &str)], label: String| {
        Link::new(format!("/staff/{list}{}", query(pairs)), label)
    };
    let (email, object) = (user.email.as_str(), Object::User(user.id).to_string());
    let mut lists = vec![
        list("audit", &[("actor", email)], format!("What {email} did")),
        list(
            "audit",
            &[("object", &object)],
            format!("What was done to {email}"),
        ),
        list("mail", &[("q", email)], format!("Mail to {email}")),
    ];
    if let Some(account) = &of.account {
        let pairs = [("state", "all"), ("q", account.as_str())];
        lists.push(list(
            "registrations",
            &pairs,
            format!("Registrations of {account}"),
        ));
    }
    lists
}

fn facts(of: &UserDetail, zone: Zone) -> Vec<(&'static str, String)> {
    let user = &of.user;
    let mut facts = vec![("Name", user.name.clone())];
    if let Some(account) = &of.account {
        facts.push(("Account", account.clone()));
    }
    if let Some(role) = user.staff_role {
        facts.push(("Role", format!("{role}: {}", role_words(role))));
    }
    facts.push(("Time zone", user.timezone.clone()));
    facts.push(("Since", zone.text(user.created_at)));
    facts.push(("Sessions", of.sessions.to_string()));
    if let Some(at) = of.last_seen {
        facts.push(("Last seen", zone.text(at)));
    }
    facts.push(("API tokens", of.tokens.to_string()));
    let password = if user.password_hash.is_some() {
        "set"
    } else {
        "not set"
    };
    facts.push(("Password", password.to_owned()));
    let factor = user
        .second_factor_at
        .map_or("none".to_owned(), |at| format!("since {}", zone.text(at)));
    facts.push(("Second factor", factor));
    if let Some(at) = of.last_reset {
        facts.push(("Last link for a new password", zone.text(at)));
    }
    facts.push(("Open registrations", of.registrations_open.to_string()));
    facts.push(("Migrations", of.migrations.to_string()));
    facts
}
