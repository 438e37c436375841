//! Who of the beta goes to which production host: the plan that staff look at before they make offers of it. Pure and
//! deterministic: the same rows give the same plan, however they are ordered.
//!
//! First-fit-decreasing: the largest Linode first, each to the first host (by name) that takes it, so that hosts fill one
//! after the other and the large ones are not left over.

use std::collections::{BTreeMap, BTreeSet};

use super::host::HostRole;
use super::ids::{HostId, LinodeId, MigrationId, PlanId, RegistrationId};
use super::placement::Need;
use super::placement::fitting::{self, Guest, Obstacle, Place};
use super::platform;
use super::time::Time;

/// A Linode of the beta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub linode: LinodeId,
    pub label: String,
    pub account: String,
    pub plan: PlanId,
    pub plan_label: String,
    pub host: HostId,
    pub memory_mb: i64,
    pub disk_mb: i64,
    /// The kernels its config profiles name.
    pub kernels: BTreeSet<String>,
    pub stands: Stands,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// It can be offered a place. `expired`: an offer it had, and when that ended unused.
    Ready {
        registration: RegistrationId,
        expired: Option<(MigrationId, Time)>,
    },
    Offered {
        migration: MigrationId,
        to: HostId,
        until: Time,
    },
    /// Queued, or at work.
    Moving(MigrationId),
    /// Its last move is not confirmed; a further one would cut its way back off.
    WayBackOpen(MigrationId),
    /// It has no approved registration, so that nobody has asked for it.
    NotRegistered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It can be offered a place on this host.
    Goes(HostId),
    /// It could, were there a place.
    Cannot(Obstacle),
    /// Its [`Stands`] says why nothing is planned for it now.
    Waits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub candidate: Candidate,
    pub outcome: Outcome,
}

#[derive(Debug, Clone)]
pub struct Plan {
    /// Host by host: who comes to each production host, then who stays on each beta host; each by label.
    pub lines: Vec<Line>,
    /// Every host, by name, as it is now.
    pub before: Vec<Place>,
    /// … and when all who go have gone.
    pub after: Vec<Place>,
}

impl Candidate {
    /// What it wants of a production host.
    pub fn guest(&self) -> Guest<'_> {
        Guest {
            need: Need {
                from: self.host,
                plan: self.plan,
                memory_mb: self.memory_mb,
                disk_mb: self.disk_mb,
                role: HostRole::Production,
            },
            platform: platform::TO,
            kernels: &self.kernels,
        }
    }
}

/// The plan for all of `fleet`.
pub fn plan(fleet: Vec<Candidate>, mut places: Vec<Place>) -> Plan {
    places.sort_by(|a, b| (&a.room.name, a.room.host).cmp(&(&b.room.name, b.room.host)));
    let before = places.clone();
    let mut of_plan: BTreeMap<PlanId, Vec<usize>> = BTreeMap::new();
    for (index, place) in places.iter().enumerate() {
        if let (HostRole::Production, Some(plan)) = (place.room.role, place.room.plan) {
            of_plan.entry(plan).or_default().push(index);
        }
    }
    let mut fleet = fleet;
    fleet.sort_by_key(|it| (-it.memory_mb, -it.disk_mb, it.linode));
    let lines = fleet
        .into_iter()
        .map(|candidate| {
            let outcome = match candidate.stands {
                Stands::Ready { .. } => {
                    let hosts = of_plan.get(&candidate.plan).map_or(&[][..], Vec::as_slice);
                    match fitting::first_fit(&mut places, hosts, &candidate.guest()) {
                        Ok(host) => Outcome::Goes(host),
                        Err(obstacle) => Outcome::Cannot(obstacle),
                    }
                }
                Stands::Offered { .. }
                | Stands::Moving(_)
                | Stands::WayBackOpen(_)
                | Stands::NotRegistered => Outcome::Waits,
            };
            Line { candidate, outcome }
        })
        .collect();
    let mut plan = Plan {
        lines,
        before,
        after: places,
    };
    plan.sort();
    plan
}

impl Plan {
    fn sort(&mut self) {
        let places: BTreeMap<HostId, usize> = self
            .before
            .iter()
            .enumerate()
            .map(|(index, place)| (place.room.host, index))
            .collect();
        let at = |host: HostId| places.get(&host).copied().unwrap_or(usize::MAX);
        self.lines.sort_by_cached_key(|line| {
            let (stays, host) = match line.outcome {
                Outcome::Goes(to) => (false, to),
                Outcome::Cannot(_) | Outcome::Waits => (true, line.candidate.host),
            };
            let it = &line.candidate;
            (stays, at(host), it.label.clone(), it.linode)
        });
    }

    pub fn place(&self, host: HostId) -> Option<&Place> {
        self.before.iter().find(|place| place.room.host == host)
    }

    /// The host's name; empty for none.
    pub fn name(&self, host: HostId) -> &str {
        self.place(host)
            .map_or("", |place| place.room.name.as_str())
    }

    /// Why nothing is planned for it.
    pub fn words(&self, of: &Candidate) -> String {
        match of.stands {
            Stands::Ready { .. } => "ready".to_owned(),
            Stands::Offered { to, .. } => format!("a place on {} is offered", self.name(to)),
            Stands::Moving(_) => "it is being moved".to_owned(),
            Stands::WayBackOpen(_) => {
                "its last move is not confirmed, and the way back is open".to_owned()
            }
            Stands::NotRegistered => "it has no approved registration".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
