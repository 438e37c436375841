//! What a bulk action will do, before it is done: which registrations, and where each would go.

use std::collections::{HashMap, HashSet};

use askama::Template;

use super::list::Asked;
use super::shared::{Deed, find};
use crate::domain::host::HostRole;
use crate::domain::ids::{HostId, RegistrationId};
use crate::domain::placement::{self, Need, Room};
use crate::store;
use crate::store::registration::list::RegistrationRow;
use crate::web::extract::Staff;
use crate::web::fault::Response;
use crate::web::page::{self, Area, Filters, Page};
use crate::web::portal::{self, Portal};
use crate::web::ui::{Choice, Field, Input, Problems, units};

#[derive(Debug, Template)]
#[template(path = "staff/registration/bulk_preview.html")]
struct ReviewPage {
    page: Page,
    deed: Deed,
    ids: String,
    filter: Asked,
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
    label: String,
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

/// What is to be done, and with which rows: these, or as many as the list's filter finds.
pub struct Review {
    pub deed: Deed,
    pub asked: Asked,
    pub count: Option<i64>,
    pub ids: Vec<i64>,
    pub reason: String,
    pub destination: String,
}

pub async fn present(
    portal: &Portal,
    staff: &Staff,
    review: Review,
    problems: Problems,
) -> Response {
    let Review {
        deed,
        asked,
        count,
        ids,
        reason,
        destination,
    } = review;
    let rows = find(portal, &asked, count, ids).await?;
    let rooms = portal::read(portal, store::host::room::rooms).await?;
    let status = problems.status();
    let many = units::counted(rows.len(), "registration", "registrations");
    let title = format!("{} {many}", deed.verb());
    let page = staff
        .page(Area::Registrations, title)
        .crumb("Registrations", asked.url(""))
        .problems(problems);
    let only = destination.parse().ok().map(HostId);
    let (places, after) = if deed == Deed::Configure {
        spread(&rooms, &rows, only)
    } else {
        (HashMap::new(), Vec::new())
    };
    let view = ReviewPage {
        deed,
        ids: rows
            .iter()
            .map(|row| row.registration.id.to_string())
            .collect::<Vec<_>>()
            .join(","),
        all: count.is_some(),
        count: rows.len(),
        without_place: if deed == Deed::Configure {
            rows.len() - places.len()
        } else {
            0
        },
        rows: rows
            .iter()
            .take(200)
            .map(|row| review_row(row, &places, &rooms))
            .collect(),
        rooms: after
            .iter()
            .filter_map(|room| room_row(room, &places, &rooms))
            .collect(),
        reason: (deed == Deed::Decline).then(|| {
            Field::new("reason", "Reason", Input::Area(4))
                .value(&reason)
                .hint("The member reads it, by mail and on the registration page.")
                .with(&page.problems)
        }),
        destination: (deed == Deed::Configure).then(|| {
            Field::select("destination", "Host", hosts(&rows, &rooms))
                .value(&destination)
                .with(&page.problems)
        }),
        back_url: asked.url(""),
        filter: asked,
        page,
    };
    page::html_status(status, &view)
}

fn room_of(host: HostId, rooms: &[Room]) -> Option<&Room> {
    rooms.iter().find(|room| room.host == host)
}

fn review_row(
    row: &RegistrationRow,
    places: &HashMap<RegistrationId, HostId>,
    rooms: &[Room],
) -> ReviewRow {
    let name = |host: &HostId| room_of(*host, rooms).map(|room| room.name.clone());
    let place = places.get(&row.registration.id);
    ReviewRow {
        label: row.linode.label.clone(),
        account: row.account.clone(),
        plan: row.plan.label.clone(),
        place: place.map_or_else(|| no_place(row), |host| name(host).unwrap_or_default()),
        has_24_kernel: row.has_24_kernel,
    }
}

fn room_row(
    after: &Room,
    places: &HashMap<RegistrationId, HostId>,
    rooms: &[Room],
) -> Option<RoomRow> {
    let before = room_of(after.host, rooms)?;
    Some(RoomRow {
        name: after.name.clone(),
        memory_before: units::mebibytes(before.memory_free_mb()),
        memory_after: units::mebibytes(after.memory_free_mb()),
        disk_after: units::mebibytes(after.disk_free_mb()),
        takes: places.values().filter(|host| **host == after.host).count(),
    })
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

/// Where each would go, one after the other, and the room on the hosts in question when all have gone.
fn spread(
    rooms: &[Room],
    rows: &[RegistrationRow],
    only: Option<HostId>,
) -> (HashMap<RegistrationId, HostId>, Vec<Room>) {
    let mut left: Vec<Room> = rooms
        .iter()
        .filter(|room| only.is_none_or(|host| host == room.host))
        .cloned()
        .collect();
    let (mut places, mut asked) = (HashMap::new(), HashSet::new());
    for row in rows.iter().filter(|row| !row.way_back_open) {
        let Some(role) = next_role(rooms, row.linode.host_id) else {
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
        let Some(host) = placement::propose(&left, &need).map(|room| room.host) else {
            continue;
        };
        places.insert(row.registration.id, host);
        if let Some(room) = left.iter_mut().find(|room| room.host == host) {
            room.memory_promised_mb += need.memory_mb;
            room.disk_promised_mb += need.disk_mb;
        }
    }
    left.retain(|room| asked.contains(&room.role));
    (places, left)
}
