//! Which host a Linode goes to, and which queued migrations may run now. Pure: the same rows give the same answer.

pub mod fitting;

use std::collections::HashMap;

use super::host::{HostRole, HostState};
use super::ids::{HostId, MigrationId, PlanId};
use super::migration::MigrationKind;
use super::platform::{Platform, TO};
use super::string_enum::StringEnum;

/// A host with what is already promised on it.
#[derive(Debug, Clone)]
pub struct Room {
    pub host: HostId,
    pub name: String,
    pub platform: Platform,
    pub role: HostRole,
    pub plan: Option<PlanId>,
    pub state: HostState,
    pub enrolled: bool,
    pub memory_mb: i64,
    /// Memory of the Linodes it owns and of those on their way to it.
    pub memory_promised_mb: i64,
    pub disk_mb: i64,
    pub disk_promised_mb: i64,
}

impl Room {
    pub fn memory_free_mb(&self) -> i64 {
        self.memory_mb - self.memory_promised_mb
    }

    pub fn disk_free_mb(&self) -> i64 {
        self.disk_mb - self.disk_promised_mb
    }
}

/// How a Linode stands to the beta, by its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not come to the beta.
    Outside,
    InBeta,
    /// It has come through it.
    Graduated,
}

/// A host of the beta may be a second UML host (as [`platform_of`] says), and who runs on Xen has no need to come there.
pub fn standing(platform: Platform, role: HostRole) -> Standing {
    match role {
        HostRole::Source if platform == TO => Standing::InBeta,
        HostRole::Source => Standing::Outside,
        HostRole::Beta => Standing::InBeta,
        HostRole::Production => Standing::Graduated,
    }
}

/// The roles of hosts whose Linodes stand so, of the platform that the programme moves to, or of any other one.
pub fn roles(so: Standing, there: bool) -> Vec<HostRole> {
    let platforms = Platform::those(|platform| (platform == TO) == there);
    HostRole::those(|role| {
        platforms
            .iter()
            .any(|platform| standing(*platform, role) == so)
    })
}

/// Where a Linode goes next that stands so: into the beta, and from there to a production host of its plan. `None`: it is
/// there already.
pub fn next(standing: Standing) -> Option<(MigrationKind, HostRole)> {
    match standing {
        Standing::Outside => Some((MigrationKind::Beta, HostRole::Beta)),
        Standing::InBeta => Some((MigrationKind::Graduation, HostRole::Production)),
        Standing::Graduated => None,
    }
}

/// What has to be placed.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    pub from: HostId,
    pub plan: PlanId,
    pub memory_mb: i64,
    pub disk_mb: i64,
    pub role: HostRole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    #[error("the Linode is already there")]
    SameHost,
    #[error("the host has another role")]
    Role,
    #[error("the host is no Xen host")]
    NotXen,
    #[error("the host is for Linodes of another plan")]
    Plan,
    #[error("the host takes no new Linodes")]
    NotEnabled,
    #[error("no agent is enrolled on the host")]
    NotEnrolled,
    #[error("the host has too little free memory")]
    Memory,
    #[error("the host has too little free disk space")]
    Disk,
}

pub fn fits(room: &Room, need: &Need) -> Result<(), NoRoom> {
    if room.host == need.from {
        return Err(NoRoom::SameHost);
    }
    if room.role != need.role {
        return Err(NoRoom::Role);
    }
    if room.plan.is_some_and(|plan| plan != need.plan) {
        return Err(NoRoom::Plan);
    }
    if room.state != HostState::Enabled {
        return Err(NoRoom::NotEnabled);
    }
    if !room.enrolled {
        return Err(NoRoom::NotEnrolled);
    }
    if room.memory_free_mb() < need.memory_mb {
        return Err(NoRoom::Memory);
    }
    if room.disk_free_mb() < need.disk_mb {
        return Err(NoRoom::Disk);
    }
    Ok(())
}

/// The platform that a host of this role must be of; `None`: either. Linodes come from anywhere, production is Xen's, and a
/// beta's destination may also be a second UML host: that is how a provider tries the move without Xen (`make lab-uml`).
pub fn platform_of(role: HostRole) -> Option<Platform> {
    match role {
        HostRole::Source | HostRole::Beta => None,
        HostRole::Production => Some(TO),
    }
}

/// May an offer be made of it? As [`fits`], which the way back asks too, and it is a Xen host.
pub fn takes(room: &Room, need: &Need) -> Result<(), NoRoom> {
    let fits = fits(room, need);
    let wrong = platform_of(need.role).is_some_and(|platform| platform != room.platform);
    match fits {
        Err(NoRoom::SameHost | NoRoom::Role | NoRoom::Plan) => fits,
        _ if wrong => Err(NoRoom::NotXen),
        _ => fits,
    }
}

/// The host with the most free memory among those it fits on (ties: the lowest id), so that the beta's hosts fill evenly.
pub fn propose<'a>(rooms: &'a [Room], need: &Need) -> Option<&'a Room> {
    rooms
        .iter()
        .filter(|room| takes(room, need).is_ok())
        .max_by_key(|room| (room.memory_free_mb(), std::cmp::Reverse(room.host)))
}

/// A migration between two hosts, waiting or running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub migration: MigrationId,
    pub source: HostId,
    pub destination: HostId,
}

#[derive(Debug, Clone)]
pub struct Limits {
    pub overall: i32,
    pub per_link: i32,
    /// Migrations a host may take part in at once; a host without an entry takes none.
    pub per_host: HashMap<HostId, i32>,
}

/// Which of `waiting` (in queue order) may start beside `running`. A later one may pass an earlier one that waits for
/// a busy host, so that one slow host does not hold up the others.
pub fn admit(waiting: &[Link], running: &[Link], limits: &Limits) -> Vec<MigrationId> {
    let mut overall = i32::try_from(running.len()).unwrap_or(i32::MAX);
    let mut hosts: HashMap<HostId, i32> = HashMap::new();
    let mut links: HashMap<(HostId, HostId), i32> = HashMap::new();
    for link in running {
        *hosts.entry(link.source).or_default() += 1;
        *hosts.entry(link.destination).or_default() += 1;
        *links.entry((link.source, link.destination)).or_default() += 1;
    }
    let mut admitted = Vec::new();
    for link in waiting {
        let busy = |host: HostId| {
            hosts.get(&host).copied().unwrap_or(0)
                >= limits.per_host.get(&host).copied().unwrap_or(0)
        };
        let on_link = links.entry((link.source, link.destination)).or_default();
        if overall >= limits.overall
            || *on_link >= limits.per_link
            || busy(link.source)
            || busy(link.destination)
        {
            continue;
        }
        overall += 1;
        *on_link += 1;
        *hosts.entry(link.source).or_default() += 1;
        *hosts.entry(link.destination).or_default() += 1;
        admitted.push(link.migration);
    }
    admitted
}
