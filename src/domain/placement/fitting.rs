//! Which of several hosts takes a Linode, with what is promised so far: what the plans for graduation and for emptying a
//! host have in common. First-fit-decreasing, so that hosts fill one after the other and the large ones are not left over.

use std::collections::BTreeSet;

use super::{Need, NoRoom, Room};
use crate::domain::ids::HostId;
use crate::domain::placement;
use crate::domain::platform::Platform;

/// A host with what planning needs to know beyond its room.
#[derive(Debug, Clone)]
pub struct Place {
    pub room: Room,
    /// Kernels its agent named; `None` is any.
    pub kernels: Option<BTreeSet<String>>,
}

#[cfg(test)]
impl Place {
    /// An open host of the beta with nothing on it, for tests.
    pub(in crate::domain) fn sample(id: i64, name: &str, memory_mb: i64) -> Self {
        use crate::domain::host::{HostRole, HostState};
        use crate::domain::placement::Door;
        Self {
            room: Room {
                host: HostId(id),
                name: name.to_owned(),
                platform: Platform::Xen,
                role: HostRole::Beta,
                plan: None,
                door: Door {
                    state: HostState::Enabled,
                    enrolled: true,
                    heard: true,
                    slots: 2,
                },
                memory_mb,
                memory_promised_mb: 0,
                disk_mb: 100_000,
                disk_promised_mb: 0,
                disk_found_mb: None,
            },
            kernels: Some(BTreeSet::from(["xen-2.6".to_owned()])),
        }
    }
}

/// What a Linode wants of its next host.
#[derive(Debug, Clone, Copy)]
pub struct Guest<'a> {
    pub need: Need,
    pub platform: Platform,
    /// The kernels that its config profiles name.
    pub kernels: &'a BTreeSet<String>,
}

/// Why a host does not take a Linode, in the order in which hosts are asked: of several, the one that came furthest is told.
/// The words are those of graduation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Obstacle {
    #[error("there is no production host for its plan")]
    NoHost,
    #[error("the production hosts for its plan are no Xen hosts")]
    NotXen,
    #[error("the production hosts for its plan take no new Linodes")]
    NotEnabled,
    #[error("no agent is enrolled on the production hosts for its plan")]
    NotEnrolled,
    #[error("the production hosts for its plan are silent")]
    Silent,
    #[error("the production hosts for its plan take no migrations: they have no slots")]
    NoSlots,
    #[error("the production hosts for its plan lack a kernel of its config profiles")]
    Kernel,
    #[error("too little memory is left on the production hosts for its plan")]
    Memory,
    #[error("too little disk space is left on the production hosts for its plan")]
    Disk,
    #[error("what is left on the production hosts for its plan is kept free for one that fails")]
    Spare,
}

impl Obstacle {
    /// The same of one host.
    pub fn of_one(self) -> &'static str {
        match self {
            Self::NoHost => "it is no production host for the plan",
            Self::NotXen => "it is no Xen host",
            Self::NotEnabled => "it takes no new Linodes",
            Self::NotEnrolled => "no agent is enrolled on it",
            Self::Silent => "it is silent",
            Self::NoSlots => "it takes no migrations: it has no slots",
            Self::Kernel => "it lacks a kernel of the config profiles",
            Self::Memory => "it has too little free memory",
            Self::Disk => "it has too little free disk space",
            Self::Spare => "what is left there is kept free for a host that fails",
        }
    }

    /// The same of several hosts: `those` names them, `none` says that there are none.
    pub fn of_those(self, those: &str, none: &str) -> String {
        match self {
            Self::NoHost | Self::NotXen => none.to_owned(),
            Self::NotEnabled => format!("{those} take no new Linodes"),
            Self::NotEnrolled => format!("no agent is enrolled on {those}"),
            Self::Silent => format!("{those} are silent"),
            Self::NoSlots => format!("{those} take no migrations: they have no slots"),
            Self::Kernel => format!("{those} lack a kernel of its config profiles"),
            Self::Memory => format!("too little memory is left on {those}"),
            Self::Disk => format!("too little disk space is left on {those}"),
            Self::Spare => format!("what is left on {those} is kept free for one that fails"),
        }
    }
}

/// May this host take it, with what is promised so far?
pub fn takes(place: &Place, guest: &Guest<'_>) -> Result<(), Obstacle> {
    let room = placement::fits(&place.room, &guest.need);
    if let Err(NoRoom::SameHost | NoRoom::Role | NoRoom::Plan) = room {
        return Err(Obstacle::NoHost);
    }
    if place.room.platform != guest.platform {
        return Err(Obstacle::NotXen);
    }
    match room {
        Err(NoRoom::SameHost | NoRoom::Role | NoRoom::Plan) => return Err(Obstacle::NoHost),
        Err(NoRoom::NotXen) => return Err(Obstacle::NotXen),
        Err(NoRoom::NotEnabled) => return Err(Obstacle::NotEnabled),
        Err(NoRoom::NotEnrolled) => return Err(Obstacle::NotEnrolled),
        Err(NoRoom::Silent) => return Err(Obstacle::Silent),
        Err(NoRoom::NoSlots) => return Err(Obstacle::NoSlots),
        Ok(()) | Err(NoRoom::Memory | NoRoom::Disk) => {}
    }
    if let Some(kernels) = &place.kernels
        && !guest.kernels.is_subset(kernels)
    {
        return Err(Obstacle::Kernel);
    }
    match room {
        Err(NoRoom::Memory) => Err(Obstacle::Memory),
        Err(NoRoom::Disk) => Err(Obstacle::Disk),
        _ => Ok(()),
    }
}

/// The first of these hosts, which are indices into `places`, that takes it; it is promised there. Of several obstacles the
/// furthest is told.
pub fn first_fit(
    places: &mut [Place],
    hosts: &[usize],
    guest: &Guest<'_>,
) -> Result<HostId, Obstacle> {
    let mut furthest = Obstacle::NoHost;
    for index in hosts {
        let Some(place) = places.get_mut(*index) else {
            continue;
        };
        match takes(place, guest) {
            Ok(()) => {
                place.room.promise(&guest.need);
                return Ok(place.room.host);
            }
            Err(obstacle) => furthest = furthest.max(obstacle),
        }
    }
    Err(furthest)
}
