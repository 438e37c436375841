//! `/members/`: the member's Linodes, and what is to be done next about each.

use actix_web::HttpResponse;
use askama::Template;

use crate::app::registration::seats_left;
use crate::domain::migration::MigrationState;
use crate::domain::placement::Standing;
use crate::domain::programme::Phase;
use crate::domain::registration::{self, Circumstances, NotEligible, RegistrationState};
use crate::store;
use crate::store::linode::page::{LinodeRow, Wanted};
use crate::web::extract::{Asks, Member, Query};
use crate::web::fault::Response;
use crate::web::members::{migration_link, migration_tag};
use crate::web::page::{self, Area, FROM_FILTERS, Filters, Page, clipped, filters};
use crate::web::portal::Portal;
use crate::web::ui::list::query;
use crate::web::ui::names::platform_name;
use crate::web::ui::{Field, Link, Pager, Tag, Tone, Zone};

#[derive(Debug, Template)]
#[template(path = "members/linode/list.html")]
pub struct LinodesPage {
    pub page: Page,
    pub find: Find,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

filters! {
    "/members/", 50, FROM_FILTERS;
    q, after,
}

/// The form by which Linodes are found; it is there where a page has not all of them.
#[derive(Debug)]
pub struct Find {
    pub action: &'static str,
    /// `None`: all are to be seen.
    pub field: Option<Field>,
    pub filtered: bool,
}

impl Find {
    pub fn new<L: Filters>(q: &str, pager: &Pager) -> Self {
        let filtered = !q.trim().is_empty();
        let label = "Label, address, plan or host";
        Self {
            action: L::PATH,
            field: (filtered || pager.is_of_many()).then(|| Field::text("q", label).value(q)),
            filtered,
        }
    }
}

/// A page of Linodes, and one more to see whether there is another.
pub fn wanted<L: Filters>(q: &str, after: &str) -> Wanted {
    Wanted {
        after: after.to_owned(),
        q: clipped(q, 100),
        most: L::ROWS + 1,
    }
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
    pub fn new(
        page: Page,
        asked: &Params,
        found: Vec<LinodeRow>,
        (programme, seats_left): (Phase, Option<i64>),
    ) -> Self {
        let (found, pager) = asked.page(found, |row| row.linode.label.clone());
        let find = Find::new::<Params>(&asked.q, &pager);
        let rows = found
            .iter()
            .map(|row| Row {
                url: format!("/members/linodes/{}", row.linode.id),
                label: row.linode.label.clone(),
                plan: row.linode.plan.clone(),
                address: row.linode.address.clone().unwrap_or_default(),
                host: row.linode.host.clone(),
                platform: platform_name(row.linode.platform),
                status: Tag::linode(row.linode.status),
                beta: next(row, (programme, seats_left), (&find, page.zone())),
            })
            .collect();
        Self {
            page,
            find,
            rows,
            pager,
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

/// Where the Linode's box is ticked already, and where there are many nothing else is in the way.
fn register_url(row: &LinodeRow, find: &Find) -> String {
    let id = row.linode.id.to_string();
    let many = find
        .field
        .as_ref()
        .map_or("", |_| row.linode.label.as_str());
    format!(
        "/members/xenbeta{}",
        query(&[("q", many), ("linode", id.as_str())])
    )
}

fn next(
    row: &LinodeRow,
    (programme, seats_left): (Phase, Option<i64>),
    (find, zone): (&Find, Zone),
) -> Next {
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
            link: Some(Link::new(
                register_url(row, find),
                format!("Register {label}"),
            )),
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
pub async fn list(portal: Portal, asks: Asks<Member>, asked: Query<Params>) -> Response {
    let now = portal.now();
    let wanted = wanted::<Params>(&asked.0.q, &asked.0.after);
    let (member, (rows, programme, left)) = asks
        .read(move |conn, actor| {
            let account = actor.require_account()?;
            let of = store::linode::page::linodes(conn, account, (&wanted, now))?;
            let left = seats_left(conn, of.programme.seats)?;
            let phase = crate::app::programme::phase(&of.programme, now);
            Ok((of.rows, phase, left))
        })
        .await?;
    page::html(&LinodesPage::new(
        member.page(Area::Linodes, "Linodes"),
        &asked.0,
        rows,
        (programme, left),
    ))
}

/// `GET /members`
pub async fn to_list() -> HttpResponse {
    page::moved("/members/")
}
