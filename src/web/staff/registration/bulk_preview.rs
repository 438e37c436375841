//! What a bulk action will do, before it is done: which registrations, and where each would go.

use std::collections::{HashMap, HashSet};

use askama::Template;

use super::list::Params;
use super::shared::{Review, find};
use crate::app::host::liveness::asked_at;
use crate::domain::batch::BatchKind;
use crate::domain::host::HostRole;
use crate::domain::ids::{HostId, RegistrationId};
use crate::domain::placement::{self, Need, Room};
use crate::store;
use crate::store::registration::list::RegistrationRow;
use crate::web::extract::Staff;
use crate::web::fault::Response;
use crate::web::page::{self, Area, Filters, Page};
use crate::web::portal;
use crate::web::staff::linode;
use crate::web::ui::{Choice, Field, Input, Link, Problems, units};

#[derive(Debug, Template)]
#[template(path = "staff/registration/bulk_preview.html")]
struct ReviewPage {
    page: Page,
    kind: BatchKind,
    once: String,
    button: String,
    ids: String,
    filter: Params,
    all: bool,
    count: usize,
    rows: Vec<ReviewRow>,
    rooms: Vec<RoomRow>,
    reason: Option<Field>,
    destination: Option<Field>,
    without_place: usize,
    back_url: String,
}

#[derive(Debug)]
struct ReviewRow {
    linode: Link,
    account: String,
    plan: String,
    place: String,
    has_24_kernel: bool,
}

#[derive(Debug)]
struct RoomRow {
    name: String,
    memory_before: String,
    memory_after: String,
    disk_after: String,
    takes: usize,
}

pub(super) async fn present(staff: &Staff, review: Review, problems: Problems) -> Response {
    let rows = find(&staff.portal, &review).await?;
    let asked_at = asked_at(staff.portal.now());
    let rooms = portal::read(&staff.portal, move |conn| {
        store::host::room::rooms(conn, asked_at)
    })
    .await?;
    let Review { kind, asked, .. } = review;
    let title = kind.title(i64::try_from(rows.len()).unwrap_or(i64::MAX));
    let page = staff
        .page(Area::Registrations, title.clone())
        .crumb("Registrations", asked.url(""))
        .problems(problems);
    let is_configured = kind == BatchKind::Configure;
    let ids: Vec<String> = rows
        .iter()
        .map(|row| row.registration.id.to_string())
        .collect();
    let destination = is_configured.then(|| {
        Field::select("destination", "Host", hosts(&rows, &rooms))
            .value(&review.destination)
            .with(&page.problems)
    });
    let spread = if is_configured {
        let only = review.destination.parse().ok().map(HostId);
        Spread::of(rooms, &rows, only)
    } else {
        Spread::default()
    };
    let (can, without_place) = match spread.places.len() {
        can if is_configured => (can, rows.len() - can),
        _ => (rows.len(), 0),
    };
    let button = if can > 0 && without_place > 0 {
        format!("Configure {can}, leave {without_place} as they are")
    } else {
        title
    };
    let view = ReviewPage {
        button,
        kind,
        once: review.once,
        ids: ids.join(","),
        all: review.count.is_some(),
        count: rows.len(),
        without_place,
        rows: rows.iter().take(200).map(|row| spread.row(row)).collect(),
        rooms: spread.rooms(),
        reason: (kind == BatchKind::Decline).then(|| {
            Field::new("reason", "Reason", Input::Area(4))
                .value(&review.reason)
                .hint("The member reads it, by mail and on the registration page.")
                .with(&page.problems)
        }),
        destination,
        back_url: asked.url(""),
        filter: asked,
        page,
    };
    page::html_status(view.page.problems.status(), &view)
}

/// Where each would go, with the room on all hosts before, and on those in question when all have gone.
#[derive(Default)]
struct Spread {
    before: Vec<Room>,
    after: Vec<Room>,
    places: HashMap<RegistrationId, HostId>,
}

impl Spread {
    /// One after the other.
    fn of(before: Vec<Room>, rows: &[RegistrationRow], only: Option<HostId>) -> Self {
        let mut after: Vec<Room> = before
            .iter()
            .filter(|room| only.is_none_or(|host| host == room.host))
            .cloned()
            .collect();
        let (mut places, mut asked) = (HashMap::new(), HashSet::new());
        for row in rows.iter().filter(|row| !row.way_back_open) {
            let Some(role) = next_role(&before, row.linode.host_id) else {
                continue;
            };
            asked.insert(role);
            let need = Need {
                from: row.linode.host_id,
                plan: row.plan.id,
                memory_mb: row.plan.ram_mb,
                disk_mb: row.disk_mb,
                role,
            };
            let Some(host) = placement::propose(&after, &need).map(|room| room.host) else {
                continue;
            };
            places.insert(row.registration.id, host);
            if let Some(room) = after.iter_mut().find(|room| room.host == host) {
                room.promise(&need);
            }
        }
        after.retain(|room| asked.contains(&room.role));
        Self {
            before,
            after,
            places,
        }
    }

    fn room_before(&self, host: HostId) -> Option<&Room> {
        self.before.iter().find(|room| room.host == host)
    }

    fn row(&self, row: &RegistrationRow) -> ReviewRow {
        let place = self.places.get(&row.registration.id);
        let name = |host: &HostId| self.room_before(*host).map(|room| room.name.clone());
        ReviewRow {
            linode: linode::link(row.linode.id, &row.linode.label),
            account: row.account.clone(),
            plan: row.plan.label.clone(),
            place: place.map_or_else(|| no_place(row), |host| name(host).unwrap_or_default()),
            has_24_kernel: row.has_24_kernel,
        }
    }

    fn rooms(&self) -> Vec<RoomRow> {
        let row = |after: &Room| {
            let before = self.room_before(after.host)?;
            let here = self.places.values().filter(|host| **host == after.host);
            Some(RoomRow {
                name: after.name.clone(),
                memory_before: units::mebibytes(before.memory_free_mb()),
                memory_after: units::mebibytes(after.memory_free_mb()),
                disk_after: units::mebibytes(after.disk_free_mb()),
                takes: here.count(),
            })
        };
        self.after.iter().filter_map(row).collect()
    }
}

/// Where they may go, all of them.
fn hosts(rows: &[RegistrationRow], rooms: &[Room]) -> Vec<Choice> {
    let roles: HashSet<HostRole> = rows
        .iter()
        .filter_map(|row| next_role(rooms, row.linode.host_id))
        .collect();
    let choice = |room: &Room| {
        let free = units::mebibytes(room.memory_free_mb());
        Choice::new(room.host, format!("{} ({free} free)", room.name))
    };
    let fitting = rooms.iter().filter(|room| roles.contains(&room.role));
    Choice::any("The proposed host for each", fitting.map(choice))
}

fn no_place(row: &RegistrationRow) -> String {
    let why = if row.way_back_open {
        "its way back is open"
    } else {
        "no room"
    };
    why.to_owned()
}

/// The role of the hosts that a Linode on this host goes to next.
fn next_role(rooms: &[Room], here: HostId) -> Option<HostRole> {
    let here = rooms.iter().find(|room| room.host == here)?;
    placement::next(placement::standing(here.platform, here.role)).map(|(_, role)| role)
}
