//! `/staff/held`: Linodes of which hosts and the portal remember different things; one with their words side by side, and the
//! one act, to believe the hosts.

use askama::Template;

use crate::app::error::AppError;
use crate::app::ownership::hold::Held;
use crate::domain::audit::Object;
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::migration::MigrationState as State;
use crate::store;
use crate::store::audit::AuditRow;
use crate::store::host::Host;
use crate::store::linode::Linode;
use crate::store::migration::list::{MigrationFilter, MigrationRow};
use crate::web::extract::{Form, Nothing, Path, Query, Staff};
use crate::web::fault::{Fault, Response, Result};
use crate::web::page::{self, Area, ConfirmPage, Filters, Page, ROWS, filters};
use crate::web::portal;
use crate::web::staff::migration::rows::{self, TrailRow};
use crate::web::ui::{Link, Pager, Tag, When, Zone};

const PATH: &str = "/staff/held";

#[derive(Debug, Template)]
#[template(path = "staff/ownership/held.html")]
pub struct HeldPage {
    pub page: Page,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

#[derive(Debug)]
pub struct Row {
    pub link: Link,
    pub since: When,
    pub reason: String,
}

#[derive(Debug, Template)]
#[template(path = "staff/ownership/held_one.html")]
pub struct OnePage {
    pub page: Page,
    pub since: When,
    pub reason: String,
    pub said: Vec<SaidRow>,
    /// Whom the hosts say to believe.
    pub verdict: Option<String>,
    /// Why that is not clear, and what can be done about it.
    pub doubt: Option<(String, &'static str)>,
    pub unheard: Vec<UnheardRow>,
    pub moves: Vec<(Link, Tag)>,
    pub recovers: bool,
    /// Where it is asked to believe the hosts, if that can be done now.
    pub believe: Option<String>,
}

#[derive(Debug)]
pub struct SaidRow {
    pub who: String,
    pub url: String,
    pub granted: String,
    pub sealed: String,
    pub disks: String,
    pub runs: &'static str,
    pub claims: &'static str,
    pub at: Option<When>,
}

#[derive(Debug)]
pub struct UnheardRow {
    pub link: Link,
    pub seen: Option<When>,
    pub waive: String,
}

#[derive(Debug, Template)]
#[template(path = "staff/ownership/held_settled.html")]
pub struct SettledPage {
    pub page: Page,
    pub label: String,
    pub owner: Link,
    pub epoch: i64,
    pub fetched: bool,
    pub status: Tag,
    pub last: Option<TrailRow>,
}

filters! {
    PATH, ROWS, "The list has no such page. Start from its first.";
    /// The last Linode of the page before.
    after,
}

/// `GET /staff/held`
pub async fn list(staff: Staff, asked: Query<Params>) -> Response {
    let asked = asked.0;
    let after = Params::read(&asked.after)?;
    let rows = portal::read(&staff.portal, move |conn| {
        store::ownership::hold::page(conn, after, Params::limit())
    })
    .await?;
    let (rows, pager) = asked.page(rows, |(hold, _)| hold.linode_id.to_string());
    let page = staff.page(Area::Held, "Held Linodes");
    let zone = page.zone();
    page::html(&HeldPage {
        rows: rows
            .into_iter()
            .map(|(hold, label)| Row {
                link: Link::new(format!("{PATH}/{}", hold.linode_id), label),
                since: zone.show(hold.since),
                reason: hold.reason,
            })
            .collect(),
        pager,
        page,
    })
}

enum Standing {
    Held(Box<Case>),
    /// Not held, or not any more.
    Settled(Box<Settled>),
}

struct Case {
    held: Held,
    owner: Option<Host>,
    moves: Vec<MigrationRow>,
    recovers: bool,
}

struct Settled {
    linode: Linode,
    owner: Option<Host>,
    trail: Vec<AuditRow>,
}

/// Migrations that a Linode's finding changes.
const OPEN: [State; 8] = [
    State::Offered,
    State::Queued,
    State::Preparing,
    State::Copying,
    State::Holding,
    State::Switching,
    State::Finished,
    State::Returning,
];

async fn find(staff: &Staff, id: i64) -> Result<Standing> {
    let id = LinodeId(id);
    staff
        .act(move |app, actor| match app.held(actor, id) {
            Ok(held) => app.db.read(|conn| {
                let filter = MigrationFilter {
                    states: OPEN.to_vec(),
                    linode: Some(id),
                    ..MigrationFilter::default()
                };
                Ok(Standing::Held(Box::new(Case {
                    owner: store::host::host(conn, held.linode.host_id)?,
                    moves: store::migration::list::migrations(conn, &filter, None, 20)?,
                    recovers: store::attention::pause(conn, id)?.recovery_since.is_some(),
                    held,
                })))
            }),
            Err(AppError::NotFound) => app.db.read(|conn| {
                let linode = store::linode::linode(conn, id)?.ok_or(AppError::NotFound)?;
                Ok(Standing::Settled(Box::new(Settled {
                    owner: store::host::host(conn, linode.host_id)?,
                    trail: store::audit::audit_of(conn, Object::Linode(id))?,
                    linode,
                })))
            }),
            Err(other) => Err(other),
        })
        .await
}

fn host_link(host: Option<&Host>) -> Link {
    host.map_or_else(
        || Link::new("/staff/hosts", "a host that is gone"),
        |host| Link::new(format!("/staff/hosts/{}", host.id), host.name.clone()),
    )
}

/// `GET /staff/held/{id}`
pub async fn show(staff: Staff, id: Path<i64>) -> Response {
    match find(&staff, id.0).await? {
        Standing::Held(case) => {
            let page = staff
                .page(Area::Held, format!("{} is held", case.held.linode.label))
                .crumb("Held Linodes", PATH);
            page::html(&OnePage::new(page, &case))
        }
        Standing::Settled(of) => {
            let page = staff
                .page(Area::Held, format!("{} is not held", of.linode.label))
                .crumb("Held Linodes", PATH);
            let last = of.trail.iter().find(|row| row.action == "linode.believe");
            page::html(&SettledPage {
                label: of.linode.label.clone(),
                owner: host_link(of.owner.as_ref()),
                epoch: of.linode.epoch,
                fetched: of.linode.fetched,
                status: Tag::linode(of.linode.status),
                last: last.map(|row| rows::trail(row, page.zone())),
                page,
            })
        }
    }
}

impl OnePage {
    fn new(page: Page, case: &Case) -> Self {
        let zone = page.zone();
        let held = &case.held;
        let clear = verdict(held);
        Self {
            since: zone.show(held.hold.since),
            reason: held.hold.reason.clone(),
            said: said(case, zone),
            believe: clear
                .as_ref()
                .filter(|_| held.unheard.is_empty())
                .map(|_| format!("{PATH}/{}/believe", held.linode.id)),
            verdict: clear,
            doubt: held.doubt().map(|why| (why, remedy(held))),
            unheard: held
                .unheard
                .iter()
                .map(|host| UnheardRow {
                    link: host_link(Some(host)),
                    seen: host.last_seen_at.map(|at| zone.precise(at)),
                    waive: format!("/staff/hosts/{}/joint/waive", host.id),
                })
                .collect(),
            moves: case
                .moves
                .iter()
                .map(|row| (move_link(row), Tag::migration(row.migration.state)))
                .collect(),
            recovers: case.recovers,
            page,
        }
    }
}

fn move_link(row: &MigrationRow) -> Link {
    Link::new(
        format!("/staff/migrations/{}", row.migration.id),
        format!(
            "Migration {}, from {} to {}",
            row.migration.id, row.source, row.destination
        ),
    )
}

fn named(held: &Held, id: HostId) -> String {
    let said = held.words.iter().find(|(_, word)| word.host_id == id);
    said.map_or_else(|| format!("host {id}"), |(name, _)| name.clone())
}

/// Whom the hosts say to believe, and what that does.
fn verdict(held: &Held) -> Option<String> {
    let believed = held.believed.ok()?;
    let host = named(held, believed.host);
    if believed.holds {
        return Some(format!(
            "{host} holds it under epoch {}: it becomes its owner in the portal, too. Nothing is started, stopped or copied.",
            believed.epoch
        ));
    }
    let word = held
        .words
        .iter()
        .find(|(_, word)| word.host_id == believed.host);
    let disks = word
        .and_then(|(_, word)| word.generation)
        .map_or_else(String::new, |epoch| format!(", of epoch {epoch}"));
    Some(format!(
        "Every host has sealed it. {host} has its newest disks{disks}: it is granted the Linode under a new epoch, and starts it if it ran."
    ))
}

/// What can be done where the hosts' words are not clear.
fn remedy(held: &Held) -> &'static str {
    use crate::domain::ownership::Doubt;
    match held.believed {
        Ok(_) => "",
        Err(Doubt::Nothing) => "Wait for the hosts' next reports.",
        Err(Doubt::Two(..)) => {
            "Find out on both which one has the data that counts. Shut the other one down for good and have it taken over on its page, or put its right state folder back."
        }
        Err(Doubt::Strayed(_)) => {
            "Stop the Linode on that host by hand. Its next report says that it is off, and then this is clear."
        }
        Err(Doubt::NoDisks) => {
            "Look for its disks on the hosts, and put the state folder back that knows them. If they are lost, the last backup is all there is."
        }
        Err(Doubt::Unknown(_)) => {
            "See on that host why its agent cannot look. If the host is lost for good, have it taken over on its page."
        }
    }
}

fn said(case: &Case, zone: Zone) -> Vec<SaidRow> {
    let held = &case.held;
    let linode = &held.linode;
    let owner = host_link(case.owner.as_ref());
    let mut rows = vec![SaidRow {
        who: format!("The portal, of {}", owner.label),
        url: owner.url,
        granted: if linode.fetched {
            linode.epoch.to_string()
        } else {
            format!("{}, not told yet", linode.epoch)
        },
        sealed: "–".to_owned(),
        disks: "–".to_owned(),
        runs: match linode.status {
            crate::domain::linode::LinodeStatus::Running => "runs",
            crate::domain::linode::LinodeStatus::Offline => "off",
            _ => "changing",
        },
        claims: "owner",
        at: None,
    }];
    rows.extend(held.words.iter().map(|(name, word)| {
        SaidRow {
            who: if held.lost.contains(&word.host_id) {
                format!("{name}, taken over")
            } else {
                name.clone()
            },
            url: format!("/staff/hosts/{}", word.host_id),
            granted: word.granted.to_string(),
            sealed: word.sealed.to_string(),
            disks: word
                .generation
                .map_or_else(|| "none".to_owned(), |epoch| format!("epoch {epoch}")),
            runs: match word.running {
                Some(true) => "runs",
                Some(false) => "off",
                None => "not known",
            },
            claims: if word.word().claims() {
                "owner"
            } else {
                "not the owner"
            },
            at: Some(zone.precise(word.at)),
        }
    }));
    rows
}

/// What becomes of a migration when its Linode is found on that host.
fn fate(row: &MigrationRow, host: HostId) -> String {
    let it = &row.migration;
    let name = move_link(row).label;
    let waits = matches!(it.state, State::Offered | State::Queued);
    if host == it.destination_host_id {
        if it.state == State::Finished {
            format!("{name}: it stays finished.")
        } else if waits {
            format!("{name}: it is cancelled, as the Linode is there already.")
        } else {
            format!("{name}: it is done, as the Linode is at its new host.")
        }
    } else if host == it.source_host_id {
        if waits {
            format!("{name}: it stays as it is.")
        } else {
            format!("{name}: it ends as failed, with the Linode on its old host.")
        }
    } else {
        format!("{name}: it ends, as the Linode is on neither of its hosts.")
    }
}

/// `GET /staff/held/{id}/believe`
pub async fn ask(staff: Staff, id: Path<i64>) -> Response {
    let url = format!("{PATH}/{}", id.0);
    let Standing::Held(case) = find(&staff, id.0).await? else {
        return Ok(page::see_other(&url));
    };
    let held = &case.held;
    let (Ok(believed), Some(verdict)) = (held.believed, verdict(held)) else {
        return Ok(page::see_other(&url));
    };
    let label = &held.linode.label;
    let owner = host_link(case.owner.as_ref()).label;
    let rows = case.moves.iter().map(|row| fate(row, believed.host));
    let what = format!("Believe the hosts about {label}");
    let page = staff
        .page(Area::Held, format!("{what}?"))
        .crumb("Held Linodes", PATH)
        .crumb(label, &url);
    let over = format!(
        "The portal has {owner} with epoch {}. That is written over, and stands in the audit trail.",
        held.linode.epoch
    );
    ConfirmPage::new(page, what, format!("{url}/believe"))
        .says([verdict, over])
        .rows(rows.collect())
        .danger(true)
        .back(url, "Leave it held")
        .html()
}

/// `POST /staff/held/{id}/believe`
pub async fn believe(staff: Staff, id: Path<i64>, _: Form<Nothing>) -> Response {
    let url = format!("{PATH}/{}", id.0);
    match staff
        .act(move |app, actor| app.believe(actor, LinodeId(id.0)))
        .await
    {
        Ok(_) => page::said(
            &url,
            "The hosts are believed: the Linode is not held any more.",
        ),
        // The second click of two, or it was settled by itself: its page says so.
        Err(Fault::NotFound) => Ok(page::see_other(&url)),
        Err(fault) => Err(fault.at(url, "See what the hosts say")),
    }
}
