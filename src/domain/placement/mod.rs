//! Which host a Linode goes to, and which queued migrations may run now. Pure: the same rows give the same answer.

pub mod fitting;
pub mod plan;
pub mod schedule;

use std::collections::{BTreeMap, HashMap};

use super::host::{HostRole, HostState};
use super::ids::{HostId, MigrationId, PlanId, WaveId};
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
    pub door: Door,
    pub memory_mb: i64,
    /// Memory of the Linodes it owns and of those on their way to it.
    pub memory_promised_mb: i64,
    pub disk_mb: i64,
    /// Disks of the Linodes it owns and of those on their way to it, and copies of others that are still on it.
    pub disk_promised_mb: i64,
    /// What its agent found free, without what is on its way; `None`: it did not say.
    pub disk_found_mb: Option<i64>,
}

/// Whether a host takes part in moves now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    pub state: HostState,
    /// Its agent has a credential that was not revoked, and a ledger that is trusted.
    pub enrolled: bool,
    /// Its agent was heard from lately.
    pub heard: bool,
    /// Migrations it takes part in at once.
    pub slots: i32,
}

impl Room {
    pub fn memory_free_mb(&self) -> i64 {
        self.memory_mb - self.memory_promised_mb
    }

    pub fn disk_free_mb(&self) -> i64 {
        let unpromised = self.disk_mb - self.disk_promised_mb;
        self.disk_found_mb
            .map_or(unpromised, |found| found.min(unpromised))
    }

    /// Books a place for it.
    pub fn promise(&mut self, need: &Need) {
        self.memory_promised_mb += need.memory_mb;
        self.disk_promised_mb += need.disk_mb;
        self.disk_found_mb = self.disk_found_mb.map(|found| found - need.disk_mb);
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    #[error("the host is silent")]
    Silent,
    #[error("the host takes no migrations: it has no slots")]
    NoSlots,
    #[error("the host has too little free memory")]
    Memory,
    #[error("the host has too little free disk space")]
    Disk,
}

/// Why no Linode can be moved off a host at all: its agent has to stop and seal them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    #[error(
        "no agent is enrolled on it, and only its agent can stop a Linode there and close its disks"
    )]
    NotEnrolled,
    #[error("it is silent, and only its agent can stop a Linode there and close its disks")]
    Silent,
    #[error("it takes no jobs in its present state")]
    TakesNoJobs,
    #[error("it takes part in no migrations: it has no slots")]
    NoSlots,
}

impl Door {
    /// Why nobody can be moved off the host, if so.
    pub fn blocked(&self) -> Option<Blocked> {
        match self.state {
            HostState::Disabled | HostState::Quarantined => return Some(Blocked::TakesNoJobs),
            HostState::Enabled | HostState::Draining => {}
        }
        if !self.enrolled {
            Some(Blocked::NotEnrolled)
        } else if !self.heard {
            Some(Blocked::Silent)
        } else if self.slots < 1 {
            Some(Blocked::NoSlots)
        } else {
            None
        }
    }

    /// Why nobody can come to it. Asked when an offer is made, when it is clicked, and when the move begins.
    pub fn closed(&self) -> Option<NoRoom> {
        if self.state != HostState::Enabled {
            Some(NoRoom::NotEnabled)
        } else if !self.enrolled {
            Some(NoRoom::NotEnrolled)
        } else if !self.heard {
            Some(NoRoom::Silent)
        } else if self.slots < 1 {
            Some(NoRoom::NoSlots)
        } else {
            None
        }
    }
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
    if let Some(closed) = room.door.closed() {
        return Err(closed);
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
    /// A way back: it may come to a host that takes no others.
    pub is_back: bool,
}

#[derive(Debug, Clone)]
pub struct Limits {
    pub overall: i32,
    pub per_link: i32,
    /// How many a host takes part in at once, if in any.
    pub doors: BTreeMap<HostId, Door>,
    pub waves: Waves,
}

/// What waves allow of their moves, beside all the rest.
#[derive(Debug, Clone, Default)]
pub struct Waves {
    /// Which wave a move is of; most are of none.
    pub of: BTreeMap<MigrationId, WaveId>,
    /// One that is not here holds nothing back any more.
    pub limits: BTreeMap<WaveId, WaveLimit>,
    /// Those of their moves that hold: they take no slot, and are at work for their wave all the same, as they go on to their
    /// stop without asking.
    pub holding: Vec<Link>,
}

/// Moves of a wave at work at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaveLimit {
    /// 0: none begins.
    pub at_once: i32,
    /// On a host, as its source or its destination.
    pub per_host: i32,
}

impl Waves {
    fn limit(&self, link: &Link) -> Option<(WaveId, WaveLimit)> {
        let wave = *self.of.get(&link.migration)?;
        Some((wave, *self.limits.get(&wave)?))
    }
}

/// Why one of the two hosts of a move cannot do its part now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Shut {
    #[error(transparent)]
    Source(Blocked),
    #[error(transparent)]
    Destination(NoRoom),
}

/// Which of its hosts a move waits for, and why. A host that is not among `doors` is asked nothing.
pub fn shut(link: &Link, doors: &BTreeMap<HostId, Door>) -> Option<(HostId, Shut)> {
    let (source, destination) = (doors.get(&link.source), doors.get(&link.destination));
    if let Some(why) = source.and_then(Door::blocked) {
        return Some((link.source, Shut::Source(why)));
    }
    let to = destination?;
    let why = if link.is_back && to.blocked().is_none() {
        None
    } else {
        to.closed()
    };
    why.map(|why| (link.destination, Shut::Destination(why)))
}

/// Which of `due` (first those that are to stop first) may stop beside those that are stopped already, so many at once on a
/// host.
pub fn stops(due: &[Link], stopped: &[Link], at_once: i32) -> Vec<MigrationId> {
    let mut hosts: HashMap<HostId, i32> = HashMap::new();
    let mut take = |link: &Link| {
        for host in [link.source, link.destination] {
            *hosts.entry(host).or_default() += 1;
        }
        let most = |host| hosts.get(&host).copied().unwrap_or(0);
        most(link.source).max(most(link.destination))
    };
    for link in stopped {
        take(link);
    }
    let mut free = Vec::new();
    for link in due {
        if take(link) <= at_once {
            free.push(link.migration);
        }
    }
    free
}

/// What is taken of the limits.
#[derive(Default)]
struct Busy {
    overall: i32,
    hosts: HashMap<HostId, i32>,
    links: HashMap<(HostId, HostId), i32>,
    waves: HashMap<WaveId, i32>,
    /// Of a wave, on a host.
    of_wave: HashMap<(WaveId, HostId), i32>,
}

impl Busy {
    fn take(&mut self, link: &Link, limits: &Limits) {
        self.overall = self.overall.saturating_add(1);
        *self
            .links
            .entry((link.source, link.destination))
            .or_default() += 1;
        for host in [link.source, link.destination] {
            *self.hosts.entry(host).or_default() += 1;
        }
        self.take_of_wave(link, limits);
    }

    fn take_of_wave(&mut self, link: &Link, limits: &Limits) {
        let Some((wave, _)) = limits.waves.limit(link) else {
            return;
        };
        *self.waves.entry(wave).or_default() += 1;
        for host in [link.source, link.destination] {
            *self.of_wave.entry((wave, host)).or_default() += 1;
        }
    }

    fn has_place(&self, link: &Link, limits: &Limits) -> bool {
        let hosts = [link.source, link.destination];
        let is_busy = |host: &HostId| {
            let slots = limits.doors.get(host).map_or(0, |door| door.slots);
            self.hosts.get(host).copied().unwrap_or(0) >= slots
        };
        let between = (link.source, link.destination);
        let on_link = self.links.get(&between).copied().unwrap_or(0);
        let wave_has = limits.waves.limit(link).is_none_or(|(wave, limit)| {
            let on = |host: &HostId| self.of_wave.get(&(wave, *host)).copied().unwrap_or(0);
            self.waves.get(&wave).copied().unwrap_or(0) < limit.at_once
                && hosts.iter().all(|host| on(host) < limit.per_host)
        });
        self.overall < limits.overall
            && on_link < limits.per_link
            && !hosts.iter().any(is_busy)
            && wave_has
    }
}

/// Which of `waiting` (in queue order) may start beside `running`. A later one may pass an earlier one that waits for
/// a busy host, so that one slow host does not hold up the others.
pub fn admit(waiting: &[Link], running: &[Link], limits: &Limits) -> Vec<MigrationId> {
    let mut busy = Busy::default();
    for link in running {
        busy.take(link, limits);
    }
    for link in &limits.waves.holding {
        busy.take_of_wave(link, limits);
    }
    let mut admitted = Vec::new();
    for link in waiting {
        if shut(link, &limits.doors).is_some() || !busy.has_place(link, limits) {
            continue;
        }
        busy.take(link, limits);
        admitted.push(link.migration);
    }
    admitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host::HostState;

    fn limits(of: &[(i64, i64)], wave: WaveLimit) -> Limits {
        let door = Door {
            state: HostState::Enabled,
            enrolled: true,
            heard: true,
            slots: 10,
        };
        let id = |(migration, wave): &(i64, i64)| (MigrationId(*migration), WaveId(*wave));
        Limits {
            overall: 100,
            per_link: 100,
            doors: (1..=9).map(|host| (HostId(host), door)).collect(),
            waves: Waves {
                of: of.iter().map(id).collect(),
                limits: BTreeMap::from([(WaveId(1), wave)]),
                holding: Vec::new(),
            },
        }
    }

    fn link(migration: i64, source: i64, destination: i64) -> Link {
        Link {
            migration: MigrationId(migration),
            source: HostId(source),
            destination: HostId(destination),
            is_back: false,
        }
    }

    #[test]
    fn a_wave_is_one_more_limit_and_only_its_own_moves_have_it() {
        let of = [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2)];
        let waiting = [
            link(1, 1, 5),
            link(2, 1, 6),
            link(3, 2, 6),
            link(4, 3, 7),
            link(5, 1, 5),
            link(6, 1, 5),
        ];
        let admitted = |running: &[Link], at_once, per_host| -> Vec<i64> {
            let limits = limits(&of, WaveLimit { at_once, per_host });
            let all = admit(&waiting, running, &limits);
            all.into_iter().map(|id| id.0).collect()
        };
        assert_eq!(admitted(&[], 10, 10), [1, 2, 3, 4, 5, 6]);
        assert_eq!(admitted(&[], 2, 10), [1, 2, 5, 6]);
        // One on a host: the second is of the same source, so the third goes.
        assert_eq!(admitted(&[], 10, 1), [1, 3, 4, 5, 6]);
        // Paused; the others go on, also those of a wave that is over.
        assert_eq!(admitted(&[], 0, 10), [5, 6]);
        // What is at work counts, also while it holds.
        let one = WaveLimit {
            at_once: 1,
            per_host: 9,
        };
        let mut limits = limits(&[(9, 1), (1, 1)], one);
        assert_eq!(admit(&waiting[..1], &[link(9, 3, 7)], &limits), []);
        assert_eq!(admit(&waiting[..1], &[], &limits), [MigrationId(1)]);
        limits.waves.holding.push(link(9, 3, 7));
        assert_eq!(admit(&waiting[..1], &[], &limits), []);
    }
}
