//! Where many Linodes go that come to the beta together: the plan that staff look at before it becomes offers. Pure and
//! deterministic: the same rows give the same plan, however they are ordered. Whether a host takes a Linode is
//! [`placement::fits`] and [`fitting::takes`], as everywhere; here is which of those that do.
//!
//! The largest first, as it is the hardest to place. Each goes to the host where its account has the fewest Linodes; of those
//! to one of the least filled, in eighths, so that hosts fill evenly; of those to where few come from the same
//! source. What is left is decided by a rank that the Linode and the host have among each other (rendezvous hashing), not by
//! what came before: so one Linode more moves few of the others.
//!
//! Room for one host that fails is kept (N+1): the hosts of a pool (of one platform, role and plan) keep as much memory and
//! disk free, all together, as their largest has for Linodes. That is exactly that what is on any of them would find as much room on the
//! others: a sum, so a large Linode may still find no single host for itself. A pool of one host keeps nothing: there are no
//! others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fitting::{self, Guest, Obstacle, Place};
use super::{Need, Room};
use crate::domain::host::HostRole;
use crate::domain::ids::{AccountId, HostId, LinodeId, PlanId, RegistrationId};
use crate::domain::placement;
use crate::domain::platform::{self, Platform};

/// Parts of a host in which it is said how full it is.
const LEVELS: i64 = 8;
/// Moves from one host to another one that count as no more than one: finer steps make others move with one Linode more.
const LINK_STEP: u32 = 4;

/// A Linode that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub linode: LinodeId,
    pub registration: RegistrationId,
    pub label: String,
    pub account: AccountId,
    pub account_name: String,
    pub plan_label: String,
    pub need: Need,
    /// The kernels that its config profiles name there.
    pub kernels: BTreeSet<String>,
    /// Why it cannot be offered a place on any host.
    pub hurdle: Option<Hurdle>,
}

/// What is in the way of a move, whatever hosts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hurdle {
    #[error("its last move is not confirmed, and the way back is open")]
    WayBackOpen,
    #[error("it has come to the beta already")]
    There,
    #[error("a kernel of its config profiles has no counterpart on Xen")]
    NoCounterpart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Goes(HostId),
    /// No host takes it.
    Cannot(Obstacle),
    Not(Hurdle),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub candidate: Candidate,
    pub outcome: Outcome,
}

/// The hosts, and what is on them.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    pub places: Vec<Place>,
    /// Linodes of an account that live on a host, or are on their way to it.
    pub living: HashMap<AccountId, BTreeMap<HostId, u32>>,
    /// Moves on their way from a host to another one.
    pub links: HashMap<(HostId, HostId), u32>,
}

#[derive(Debug, Clone)]
pub struct Plan {
    /// By destination's name; those that go nowhere last; each by label.
    pub lines: Vec<Line>,
    /// Every host, by name, as it is now.
    pub before: Vec<Place>,
    /// … and when all who go have gone.
    pub after: Vec<Place>,
}

/// Whether room is kept for one host that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spare {
    Kept,
    Used,
}

/// The plan for all of `fleet`.
pub fn plan(mut fleet: Vec<Candidate>, mut hosts: Hosts, spare: Spare) -> Plan {
    let by_name =
        |a: &Place, b: &Place| (&a.room.name, a.room.host).cmp(&(&b.room.name, b.room.host));
    hosts.places.sort_by(by_name);
    let before = hosts.places.clone();
    fleet.sort_by_key(|it| (-it.need.memory_mb, -it.need.disk_mb, it.linode));
    let mut planner = Planner::new(hosts, spare);
    let lines = fleet
        .into_iter()
        .map(|candidate| {
            let outcome = match candidate.hurdle {
                Some(hurdle) => Outcome::Not(hurdle),
                None => planner
                    .place(&candidate)
                    .map_or_else(Outcome::Cannot, Outcome::Goes),
            };
            Line { candidate, outcome }
        })
        .collect();
    let mut plan = Plan {
        lines,
        before,
        after: planner.hosts.places,
    };
    plan.sort();
    plan
}

/// Linodes that the same hosts take, but for room.
type Kind = (PlanId, HostRole, BTreeSet<String>);

/// The hosts of which one may fail.
type PoolKey = (Platform, HostRole, Option<PlanId>);

struct Planner {
    hosts: Hosts,
    /// For each kind, the hosts in question (indices into the places), and the furthest obstacle of the others.
    kinds: HashMap<Kind, (Vec<usize>, Obstacle)>,
    /// What may still be promised of each pool's memory and disk, if room is kept for one that fails.
    spare: HashMap<PoolKey, [i64; 2]>,
}

fn pool(room: &Room) -> PoolKey {
    (room.platform, room.role, room.plan)
}

/// Free memory and disk of each pool's hosts that take new Linodes, and how much the largest of them has for Linodes, free or
/// not; with how many they are.
fn pools(places: &[Place]) -> HashMap<PoolKey, ([i64; 2], [i64; 2], usize)> {
    let mut pools = HashMap::new();
    for room in places.iter().map(|place| &place.room) {
        if room.door.closed().is_some() {
            continue;
        }
        let (free, largest, count) = pools
            .entry(pool(room))
            .or_insert(([0_i64; 2], [0_i64; 2], 0_usize));
        let here = [
            (room.memory_free_mb(), room.memory_promised_mb),
            (room.disk_free_mb(), room.disk_promised_mb),
        ];
        for ((sum, most), (left, promised)) in free.iter_mut().zip(largest.iter_mut()).zip(here) {
            *sum += left.max(0);
            // What a host has free and what is promised on it: all of it, unless others use its disk too.
            *most = (left.max(0) + promised).max(*most);
        }
        *count += 1;
    }
    pools
}

/// Would what is on any one of the hosts of this role find as much room on the others of its pool? `None`: there is no pool of
/// more than one host that takes new Linodes.
pub fn keeps_one(places: &[Place], role: HostRole) -> Option<bool> {
    let of_role = pools(places).into_iter().filter(|(key, _)| key.1 == role);
    of_role
        .filter(|(_, (_, _, count))| *count > 1)
        .map(|(_, (free, largest, _))| free.iter().zip(largest).all(|(free, most)| *free >= most))
        .reduce(|one, other| one && other)
}

impl Planner {
    fn new(hosts: Hosts, spare: Spare) -> Self {
        let spare = match spare {
            Spare::Used => HashMap::new(),
            Spare::Kept => pools(&hosts.places)
                .into_iter()
                .filter(|(_, (_, _, count))| *count > 1)
                .map(|(key, ([memory, disk], [most_memory, most_disk], _))| {
                    (key, [memory - most_memory, disk - most_disk])
                })
                .collect(),
        };
        Self {
            hosts,
            kinds: HashMap::new(),
            spare,
        }
    }

    /// The hosts that take such a Linode if they have room, and why others do not.
    fn kind(&mut self, of: &Candidate) -> (Vec<usize>, Obstacle) {
        let key = (of.need.plan, of.need.role, of.kernels.clone());
        if let Some(known) = self.kinds.get(&key) {
            return known.clone();
        }
        let guest = Guest {
            need: Need {
                memory_mb: 0,
                disk_mb: 0,
                ..of.need
            },
            platform: platform::TO,
            kernels: &of.kernels,
        };
        let (mut able, mut furthest) = (Vec::new(), Obstacle::NoHost);
        for (index, place) in self.hosts.places.iter().enumerate() {
            match fitting::takes(place, &guest) {
                Ok(()) => able.push(index),
                Err(obstacle) => furthest = furthest.max(obstacle),
            }
        }
        self.kinds.insert(key, (able.clone(), furthest));
        (able, furthest)
    }

    /// Has the pool so much beside what is kept for one that fails?
    fn spares(&self, room: &Room, need: &Need) -> bool {
        self.spare
            .get(&pool(room))
            .is_none_or(|[memory, disk]| *memory >= need.memory_mb && *disk >= need.disk_mb)
    }

    /// Promises it a place.
    fn place(&mut self, of: &Candidate) -> Result<HostId, Obstacle> {
        let (able, mut furthest) = self.kind(of);
        let living = self.hosts.living.get(&of.account);
        let mut best = None;
        for index in able {
            let Some(Place { room, .. }) = self.hosts.places.get(index) else {
                continue;
            };
            let obstacle = match placement::fits(room, &of.need) {
                Ok(()) if self.spares(room, &of.need) => {
                    let beside = living.and_then(|on| on.get(&room.host)).copied();
                    let link = self.hosts.links.get(&(of.need.from, room.host)).copied();
                    let rank = (
                        beside.unwrap_or(0),
                        level(room, &of.need),
                        link.unwrap_or(0) / LINK_STEP,
                        rendezvous(of.linode, room.host),
                    );
                    if best.is_none_or(|(least, _)| rank < least) {
                        best = Some((rank, index));
                    }
                    continue;
                }
                Ok(()) => Obstacle::Spare,
                Err(placement::NoRoom::Memory) => Obstacle::Memory,
                Err(placement::NoRoom::Disk) => Obstacle::Disk,
                Err(_) => Obstacle::NoHost,
            };
            furthest = furthest.max(obstacle);
        }
        let place = best.and_then(|(_, index)| self.hosts.places.get_mut(index));
        let room = &mut place.ok_or(furthest)?.room;
        room.promise(&of.need);
        if let Some([memory, disk]) = self.spare.get_mut(&pool(room)) {
            *memory -= of.need.memory_mb;
            *disk -= of.need.disk_mb;
        }
        let living = self.hosts.living.entry(of.account).or_default();
        *living.entry(room.host).or_default() += 1;
        *self
            .hosts
            .links
            .entry((of.need.from, room.host))
            .or_default() += 1;
        Ok(room.host)
    }
}

/// How full it is with this one, of memory or of disk.
fn level(room: &Room, need: &Need) -> i64 {
    let of = |promised: i64, all: i64| promised.saturating_mul(LEVELS) / all.max(1);
    let memory = of(room.memory_promised_mb + need.memory_mb, room.memory_mb);
    memory.max(of(room.disk_promised_mb + need.disk_mb, room.disk_mb))
}

/// The rank of a host for a Linode, as good as chance and always the same (Thaler and Ravishankar, 1998; mixed as in
/// `SplitMix64`).
fn rendezvous(linode: LinodeId, host: HostId) -> u64 {
    let mix = |value: u64| {
        let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    mix(mix(linode.0.cast_unsigned()) ^ host.0.cast_unsigned())
}

impl Plan {
    fn sort(&mut self) {
        let at: HashMap<HostId, usize> = self
            .before
            .iter()
            .enumerate()
            .map(|(index, place)| (place.room.host, index))
            .collect();
        self.lines.sort_by_cached_key(|line| {
            let host = match line.outcome {
                Outcome::Goes(to) => at.get(&to).copied(),
                Outcome::Cannot(_) | Outcome::Not(_) => None,
            };
            let it = &line.candidate;
            (host.unwrap_or(usize::MAX), it.label.clone(), it.linode)
        });
    }

    /// Who goes, with where to.
    pub fn moves(&self) -> impl Iterator<Item = (&Candidate, HostId)> {
        self.lines.iter().filter_map(|line| match line.outcome {
            Outcome::Goes(to) => Some((&line.candidate, to)),
            Outcome::Cannot(_) | Outcome::Not(_) => None,
        })
    }
}

/// Why it goes nowhere; empty if it does.
pub fn why(line: &Line) -> String {
    match line.outcome {
        Outcome::Goes(_) => String::new(),
        Outcome::Not(hurdle) => hurdle.to_string(),
        Outcome::Cannot(obstacle) => match line.candidate.need.role {
            HostRole::Production => obstacle.to_string(),
            HostRole::Source | HostRole::Beta => {
                obstacle.of_those("the beta hosts", "there is no beta host for it")
            }
        },
    }
}

#[cfg(test)]
mod tests;
