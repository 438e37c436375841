//! `/members/`: the member's Linodes, and what is to be done next about each.

use actix_web::HttpResponse;
use askama::Template;
use serde::Deserialize;

use crate::app::registration::seats_left;
use crate::domain::migration::MigrationState;
use crate::domain::placement::Standing;
use crate::domain::programme::Phase;
use crate::domain::registration::{self, Circumstances, NotEligible, RegistrationState};
use crate::store;
use crate::store::linode::page::{LinodePage, LinodeRow};
use crate::web::extract::{Asks, Member, Query};
use crate::web::fault::Response;
use crate::web::members::{migration_link, migration_tag};
use crate::web::page::{self, Area, Page};
use crate::web::portal::Portal;
use crate::web::ui::list::query;
use crate::web::ui::names::platform_name;
use crate::web::ui::{Link, Tag, Tone, Zone};

#[derive(Debug, Template)]
#[template(path = "members/linode/list.html")]
pub struct LinodesPage {
    pub page: Page,
    pub rows: Vec<Row>,
    /// The next Linodes, where there are more than a page has.
    pub next: Option<String>,
}

/// Where a page of Linodes begins: after this label.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Begin {
    pub after: String,
}

/// The page after this label, if there is one.
pub fn next_url(path: &str, next: Option<&str>) -> Option<String> {
    next.map(|after| format!("{path}{}", query(&[("after", after)])))
}

#[derive(Debug)]
pub struct Row {
    pub url: String,
    pub label: String,
    pub plan: String,
    pub address: String,
    pub host: String,
    pub platform: &'static str,
    pub status: Tag,
    pub beta: Next,
}

/// What a Linode's place in the beta is, and the link to act on it.
#[derive(Debug)]
pub struct Next {
    pub tag: Option<Tag>,
    pub link: Option<Link>,
}

impl LinodesPage {
    pub fn new(page: Page, of: &LinodePage, programme: Phase, seats_left: Option<i64>) -> Self {
        let rows = of
            .rows
            .iter()
            .map(|row| Row {
                url: format!("/members/linodes/{}", row.linode.id),
                label: row.linode.label.clone(),
                plan: row.linode.plan.clone(),
                address: row.linode.address.clone().unwrap_or_default(),
                host: row.linode.host.clone(),
                platform: platform_name(row.linode.platform),
                status: Tag::linode(row.linode.status),
                beta: next(row, programme, seats_left, page.zone()),
            })
            .collect();
        Self {
            page,
            rows,
            next: next_url("/members/", of.next.as_deref()),
        }
    }
}

/// May it be registered, and if not, why not?
pub fn eligibility(
    row: &LinodeRow,
    programme: Phase,
    seats_left: Option<i64>,
) -> Result<(), NotEligible> {
    registration::eligible(&Circumstances {
        programme,
        seats_left,
        platform: row.linode.platform,
        standing: row.linode.standing(),
        registration: row
            .registration
            .as_ref()
            .map(|registration| registration.state),
        migration: row.migration.as_ref().map(|migration| migration.state),
        has_disks: row.linode.has_disks,
        has_profiles: row.linode.has_profiles,
    })
}

fn next(row: &LinodeRow, programme: Phase, seats_left: Option<i64>, zone: Zone) -> Next {
    let label = &row.linode.label;
    if let Some(migration) = row.migration
        && let Some(link) = migration_link(migration, label)
    {
        return Next {
            tag: Some(migration_tag(migration, zone)),
            link: Some(link),
        };
    }
    let over = row.migration.as_ref().is_some_and(|migration| {
        matches!(
            migration.state,
            MigrationState::Confirmed | MigrationState::Returned
        )
    });
    match row
        .registration
        .as_ref()
        .map(|registration| registration.state)
    {
        Some(RegistrationState::Requested) => {
            return Next {
                tag: Some(Tag::registration(RegistrationState::Requested)),
                link: None,
            };
        }
        Some(RegistrationState::Approved) if row.linode.standing() != Standing::Outside => {
            return Next {
                tag: Some(Tag::new("In the beta", Tone::Good)),
                link: None,
            };
        }
        Some(RegistrationState::Approved) if !over => {
            return Next {
                tag: Some(Tag::new("Approved: being configured", Tone::Good)),
                link: None,
            };
        }
        _ => {}
    }
    match eligibility(row, programme, seats_left) {
        Ok(()) => Next {
            tag: None,
            link: Some(Link::new("/members/xenbeta", format!("Register {label}"))),
        },
        Err(_) => Next {
            tag: row
                .migration
                .as_ref()
                .map(|migration| migration_tag(*migration, zone)),
            link: None,
        },
    }
}

/// `GET /members/`
pub async fn list(portal: Portal, asks: Asks<Member>, from: Query<Begin>) -> Response {
    let now = portal.now();
    let (member, (rows, programme, left)) = asks
        .read(move |conn, actor| {
            let account = actor.require_account()?;
            let rows = store::linode::page::linodes(conn, account, (&from.0.after, now))?;
            let left = seats_left(conn, rows.programme.seats)?;
            let programme = crate::app::programme::phase(&rows.programme, now);
            Ok((rows, programme, left))
        })
        .await?;
    page::html(&LinodesPage::new(
        member.page(Area::Linodes, "Linodes"),
        &rows,
        programme,
        left,
    ))
}

/// `GET /members`
pub async fn to_list() -> HttpResponse {
    page::moved("/members/")
}
