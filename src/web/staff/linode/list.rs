//! `/staff/linodes`: all Linodes by label, found by words of their names, an address, a host.

use askama::Template;

use super::PATH;
use crate::domain::ids::LinodeId;
use crate::domain::platform::Platform;
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::linode::directory::{EntryRow, LinodeFilter};
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::{Response, Result};
use crate::web::page::{self, Area, FROM_TABS, Filters, Page, ROWS, clipped, filters};
use crate::web::ui::list::{StateTab, count, query};
use crate::web::ui::names::platform_name;
use crate::web::ui::{Field, Link, Pager, Tag};

#[derive(Debug, Template)]
#[template(path = "staff/linode/list.html")]
pub struct LinodesPage {
    pub page: Page,
    pub tabs: Vec<StateTab>,
    pub platform: String,
    pub host: String,
    pub text: Field,
    /// What it is only of, if a host is named.
    pub only: Option<Link>,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub account: String,
    pub plan: String,
    pub address: String,
    pub host: Link,
    pub platform: &'static str,
    pub status: Tag,
    pub registration: Option<Tag>,
    pub migration: Option<(Tag, Link)>,
}

filters! {
    PATH, ROWS, FROM_TABS;
    platform, host, q, after,
}

impl Params {
    fn filter(&self) -> Result<LinodeFilter> {
        let platform = match self.platform.as_str() {
            "" => None,
            word => Some(Platform::parse(word).ok_or_else(Self::unknown)?),
        };
        Ok(LinodeFilter {
            platform,
            host: Self::read(&self.host)?,
            text: clipped(&self.q, 100),
        })
    }
}

fn view(row: &EntryRow) -> Row {
    let of = &row.entry;
    Row {
        link: super::link(of.id, &of.label),
        account: of.account.clone(),
        plan: of.plan.clone(),
        address: of.address.clone().unwrap_or_default(),
        host: Link::new(format!("/staff/hosts/{}", of.host_id), of.host.clone()),
        platform: platform_name(of.platform),
        status: Tag::linode(of.status),
        registration: row.registration.map(Tag::registration),
        migration: row.migration.map(|of| {
            let tag = Tag::moved(of.kind, of.state);
            (tag, Link::migration(of.id))
        }),
    }
}

/// `GET /staff/linodes`
pub async fn list(asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let wanted = asked
        .filter()
        .and_then(|it| Ok((it, Params::read::<LinodeId>(&asked.after)?)));
    let (staff, (rows, counts, host)) = asks
        .read_by(wanted, |conn, (filter, after)| {
            let rows = store::linode::directory::entries(conn, &filter, after, Params::limit())?;
            let host = match filter.host {
                Some(id) => store::host::host(conn, id)?,
                None => None,
            };
            Ok((rows, store::linode::directory::counts(conn)?, host))
        })
        .await?;
    let (rows, pager) = asked.page(rows, |row| row.entry.id.to_string());
    page::html(&LinodesPage {
        page: staff.page(Area::StaffLinodes, "Linodes"),
        tabs: tabs(&asked.platform, &counts),
        text: Field::text("q", "Linode or account, or an address").value(&asked.q),
        only: host.map(|host| Link::new(format!("/staff/hosts/{}", host.id), host.name)),
        rows: rows.iter().map(view).collect(),
        pager,
        platform: asked.platform,
        host: asked.host,
    })
}

fn tabs(current: &str, counts: &[(Platform, i64)]) -> Vec<StateTab> {
    let tab = |word: &str, label: &str, count: i64| {
        let url = format!("{PATH}{}", query(&[("platform", word)]));
        StateTab::new(url, label, count, current == word)
    };
    let platforms = Platform::ALL.iter().map(|platform| {
        let count = count(counts, |of| of == platform);
        tab(platform.as_str(), platform_name(*platform), count)
    });
    std::iter::once(tab("", "All", count(counts, |_| true)))
        .chain(platforms)
        .collect()
}
