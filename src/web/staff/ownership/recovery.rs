//! `/staff/recovery`: is the portal's memory whole, and its clock right; whom it waits for; what waits for a second member of
//! staff.

use std::collections::HashMap;

use askama::Template;

use super::joint_case;
use crate::app::App;
use crate::app::error::AppError;
use crate::app::ownership::recovery::Recovery;
use crate::domain::ids::HostId;
use crate::domain::ownership::joint::JointKind;
use crate::domain::time::Time;
use crate::store;
use crate::store::ownership::joint::JointAct;
use crate::store::ownership::memory::Portal as Memory;
use crate::web::extract::{Form, Nothing, Staff};
use crate::web::fault::Response;
use crate::web::page::{self, Area, ConfirmPage, Page, jump};
use crate::web::portal;
use crate::web::staff::heard;
use crate::web::ui::{Link, Tag, When, Zone};

#[derive(Debug, Template)]
#[template(path = "staff/ownership/recovery.html")]
pub struct RecoveryPage {
    pub page: Page,
    /// Since when its memory is not whole, and why.
    pub recovers: Option<(When, String)>,
    pub waits: Vec<WaitRow>,
    pub held: i64,
    /// By how much the clock jumped, and when that was seen.
    pub clock: Option<(String, Option<When>)>,
    pub asked: Vec<AskedRow>,
}

#[derive(Debug)]
pub struct WaitRow {
    pub link: Link,
    pub heard: Tag,
    pub seen: Option<When>,
    pub waive: Link,
}

#[derive(Debug)]
pub struct AskedRow {
    pub link: Link,
    pub by: String,
    pub at: When,
}

struct Loaded {
    recovery: Option<Recovery>,
    memory: Memory,
    held: i64,
    asked: Vec<(JointAct, String)>,
    names: HashMap<HostId, String>,
    now: Time,
}

/// `GET /staff/recovery`
pub async fn show(staff: Staff) -> Response {
    let facts = portal::run(&staff.portal, |app| {
        let recovery = app.recovery()?;
        app.db.read(|conn| {
            Ok::<_, AppError>(Loaded {
                recovery,
                memory: store::ownership::memory::get(conn)?,
                held: store::attention::get(conn)?.held.unwrap_or(0),
                asked: store::ownership::joint::asked(conn, None)?,
                names: store::host::names(conn)?.into_iter().collect(),
                now: app.now(),
            })
        })
    })
    .await?;
    let page = staff.page(Area::Recovery, "Recovery");
    page::html(&RecoveryPage::new(page, &facts))
}

const PATH: &str = "/staff/recovery";

/// `GET /staff/recovery/clock`
pub async fn ask_clock(staff: Staff) -> Response {
    let memory = portal::read(&staff.portal, store::ownership::memory::get).await?;
    let Some(by) = memory.clock_jump_s else {
        return Ok(page::see_other(PATH));
    };
    let now = staff.zone().both(staff.portal.now().utc()).text;
    let page = staff
        .page(Area::Recovery, "Is the clock right?")
        .crumb("Recovery", PATH);
    let line = "If that is right, offers and ways back end by it again. A way back whose time the portal has not watched go by stays open until it has.";
    let by = jump(by);
    ConfirmPage::new(page, "The clock is right", format!("{PATH}/clock"))
        .says([format!(
            "The portal's clock jumped by {by}, and says {now} now."
        )])
        .says([line])
        .danger(true)
        .back(PATH, "Leave it as it is")
        .html()
}

/// `POST /staff/recovery/clock`
pub async fn clock_is_right(staff: Staff, _: Form<Nothing>) -> Response {
    staff.act(App::clock_is_right).await?;
    page::said(PATH, "The clock counts again.")
}

impl RecoveryPage {
    fn new(page: Page, facts: &Loaded) -> Self {
        let zone = page.zone();
        let name = |id: HostId| facts.names.get(&id).cloned().unwrap_or_default();
        Self {
            recovers: facts
                .recovery
                .as_ref()
                .map(|it| (zone.both(it.since), it.why.clone())),
            waits: facts
                .recovery
                .as_ref()
                .map(|it| waits(it, facts, zone))
                .unwrap_or_default(),
            held: facts.held,
            clock: facts.memory.clock_jump_s.map(|by| {
                let at = facts.memory.clock_jump_at;
                (jump(by), at.map(|at| zone.both(at)))
            }),
            asked: facts
                .asked
                .iter()
                .map(|(act, by)| AskedRow {
                    link: Link::new(
                        format!("/staff/joint/{}", act.id),
                        joint_case::title(act.kind, &name(act.host_id)),
                    ),
                    by: by.clone(),
                    at: zone.both(act.asked_at),
                })
                .collect(),
            page,
        }
    }
}

fn waits(recovery: &Recovery, facts: &Loaded, zone: Zone) -> Vec<WaitRow> {
    let asked = |host: HostId| {
        facts
            .asked
            .iter()
            .map(|(act, _)| act)
            .find(|act| act.host_id == host && act.kind == JointKind::Waive)
    };
    recovery
        .waits_for
        .iter()
        .map(|host| WaitRow {
            link: Link::new(format!("/staff/hosts/{}", host.id), host.name.clone()),
            heard: heard(host, facts.now),
            seen: host.last_seen_at.map(|at| zone.precise(at)),
            waive: asked(host.id).map_or_else(
                || {
                    Link::new(
                        format!("/staff/hosts/{}/joint/{}", host.id, JointKind::Waive),
                        joint_case::title(JointKind::Waive, &host.name),
                    )
                },
                |act| Link::new(format!("/staff/joint/{}", act.id), "Asked for: agree…"),
            ),
        })
        .collect()
}
