//! `/staff/hosts`: every host with its room; one of them is in [`super::show`].

use std::collections::HashMap;

use askama::Template;

use super::shared::PATH;
use crate::app::host::liveness::{SILENT_S, asked_at};
use crate::domain::ids::{HostId, PlanId};
use crate::domain::placement::Room;
use crate::domain::time::Time;
use crate::store;
use crate::store::host::{Host, HostFilter};
use crate::web::extract::{Asks, Query, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, FROM_TABS, Filters, Page, ROWS, clipped, filters};
use crate::web::portal::Portal;
use crate::web::staff::heard;
use crate::web::ui::names::{platform_name, role_name};
use crate::web::ui::{Field, Link, Pager, Tag, When, Zone, units};

#[derive(Debug, Template)]
#[template(path = "staff/host/list.html")]
pub struct HostsPage {
    pub page: Page,
    pub only_silent: bool,
    pub only_emptying: bool,
    pub only_untrusted: bool,
    /// What the form keeps.
    pub kept: Vec<(&'static str, String)>,
    pub text: Field,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub platform: &'static str,
    pub role: String,
    pub state: Tag,
    pub heard: Tag,
    pub memory_promised: String,
    pub memory_free: String,
    pub disk_free: String,
    pub slots: i32,
    pub seen: Option<When>,
}

filters! {
    PATH, ROWS, FROM_TABS;
    silent,
    /// Only those that staff empty.
    emptying,
    /// `untrusted`: only those whose ledger is not trusted.
    ledger,
    /// A part of the name.
    q,
    /// The name of the last host of the page before.
    after,
}

pub(super) fn row(
    host: &Host,
    room: Option<&Room>,
    plan: Option<&str>,
    (now, zone): (Time, Zone),
) -> Row {
    Row {
        link: Link::new(format!("{PATH}/{}", host.id), host.name.clone()),
        platform: platform_name(host.platform),
        role: plan.map_or_else(
            || role_name(host.role).to_owned(),
            |plan| format!("{}, {plan}", role_name(host.role)),
        ),
        state: Tag::host(host.state),
        heard: heard(host, now),
        memory_promised: format!(
            "{} of {}",
            units::mebibytes(room.map_or(0, |room| room.memory_promised_mb)),
            units::mebibytes(host.memory_mb)
        ),
        memory_free: room
            .map(|room| signed_mebibytes(room.memory_free_mb()))
            .unwrap_or_default(),
        disk_free: room
            .map(|room| signed_mebibytes(room.disk_free_mb()))
            .unwrap_or_default(),
        slots: host.slots,
        seen: host.last_seen_at.map(|at| zone.precise(at)),
    }
}

/// More can be promised than there is, where an import said so.
fn signed_mebibytes(count: i64) -> String {
    if count < 0 {
        format!("{} too much", units::mebibytes(-count))
    } else {
        units::mebibytes(count)
    }
}

/// `GET /staff/hosts`
pub async fn list(portal: Portal, asks: Asks<Staff>, asked: Query<Params>) -> Response {
    let (now, asked) = (portal.now(), asked.0);
    let only_silent = asked.silent == "yes";
    let only_emptying = asked.emptying == "yes";
    let only_untrusted = asked.ledger == "untrusted";
    let filter = HostFilter {
        silent_since: only_silent.then(|| now.plus_s(-SILENT_S)),
        emptying: only_emptying,
        untrusted: only_untrusted,
        text: clipped(&asked.q, 100),
    };
    let after = asked.after.clone();
    let (staff, (all, rooms, plans)) = asks
        .read(move |conn, _| {
            let after = (!after.is_empty()).then_some(after.as_str());
            let all = store::host::page(conn, &filter, after, Params::limit())?;
            Ok((
                all,
                store::host::room::rooms(conn, asked_at(now))?,
                store::catalogue::plans(conn)?,
            ))
        })
        .await?;
    let (all, pager) = asked.page(all, |host| host.name.clone());
    let page = staff.page(
        Area::Hosts,
        match (only_silent, only_emptying, only_untrusted) {
            (true, ..) => "Silent hosts",
            (false, true, _) => "Hosts being emptied",
            (false, false, true) => "Hosts whose ledger is not trusted",
            (false, false, false) => "Hosts",
        },
    );
    let rooms: HashMap<HostId, Room> = rooms.into_iter().map(|room| (room.host, room)).collect();
    let plan = |id: Option<PlanId>| {
        id.and_then(|id| plans.iter().find(|plan| plan.id == id))
            .map(|plan| plan.label.as_str())
    };
    let rows = all
        .iter()
        .map(|host| {
            row(
                host,
                rooms.get(&host.id),
                plan(host.plan_id),
                (now, page.zone()),
            )
        })
        .collect();
    page::html(&HostsPage {
        page,
        only_silent,
        only_emptying,
        only_untrusted,
        text: Field::text("q", "Name").value(&asked.q),
        kept: vec![
            ("silent", asked.silent),
            ("emptying", asked.emptying),
            ("ledger", asked.ledger),
        ],
        rows,
        pager,
    })
}
