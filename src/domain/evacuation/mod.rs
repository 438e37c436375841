//! Where the Linodes of a host go when staff empty it: the plan that staff look at before they do. Pure and deterministic,
//! first-fit-decreasing as graduation is ([`super::placement::fitting`]), among the other hosts of the same platform and role; of a
//! production host among those of its plan.

use std::collections::BTreeSet;

use super::host::HostRole;
use super::ids::{HostId, LinodeId, MigrationId, PlanId};
use super::placement::fitting::{self, Guest, Obstacle, Place};
use super::placement::{Blocked, Need};
use super::time::Time;

/// A Linode of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub linode: LinodeId,
    pub label: String,
    pub account: String,
    pub plan: PlanId,
    pub plan_label: String,
    pub memory_mb: i64,
    pub disk_mb: i64,
    /// The kernels its config profiles name.
    pub kernels: BTreeSet<String>,
    pub stands: Stands,
}

/// What its migrations say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// Nothing is in the way. `offer`: one that nobody has taken up, made with this host as its source: it ends.
    Free { offer: Option<MigrationId> },
    /// It is being moved off already; `at`: the time it waits for.
    Evacuating {
        migration: MigrationId,
        to: HostId,
        at: Option<Time>,
    },
    /// Its member, or staff, moves it otherwise.
    Moving(MigrationId),
    /// Its last move is not confirmed, and an evacuation would cut the way back off.
    WayBackOpen(MigrationId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Goes(HostId),
    /// It would go there, if staff close its way back.
    GoesIfClosed(HostId),
    /// There is no place for it.
    Cannot(Obstacle),
    /// Its [`Stands`] says why nothing is planned for it.
    Stays,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub candidate: Candidate,
    pub outcome: Outcome,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub source: Place,
    pub blocked: Option<Blocked>,
    /// By label.
    pub lines: Vec<Line>,
    /// The hosts in question, by name, as they are now.
    pub before: Vec<Place>,
    /// … and when all who go, also those whose way back is to be closed, have gone.
    pub after: Vec<Place>,
}

impl Candidate {
    /// What it wants of its next host.
    pub fn guest(&self, source: &Place) -> Guest<'_> {
        Guest {
            need: Need {
                from: source.room.host,
                plan: self.plan,
                memory_mb: self.memory_mb,
                disk_mb: self.disk_mb,
                role: source.room.role,
            },
            platform: source.room.platform,
            kernels: &self.kernels,
        }
    }
}

/// May a Linode of `source` go to this host at all, were it empty and well?
pub fn is_alike(source: &Place, place: &Place) -> bool {
    let (from, to) = (&source.room, &place.room);
    from.host != to.host
        && from.platform == to.platform
        && from.role == to.role
        && (from.role != HostRole::Production || from.plan == to.plan)
}

/// The plan for all of `residents`, who are on `source`. Those whose way back is open come last: closing it is a choice, and
/// nobody else's place may hang on it.
pub fn plan(source: Place, residents: Vec<Candidate>, places: Vec<Place>) -> Plan {
    let mut places: Vec<Place> = places
        .into_iter()
        .filter(|place| is_alike(&source, place))
        .collect();
    places.sort_by(|a, b| (&a.room.name, a.room.host).cmp(&(&b.room.name, b.room.host)));
    let before = places.clone();
    let all: Vec<usize> = (0..places.len()).collect();
    let mut residents = residents;
    residents.sort_by_key(|it| (rank(&it.stands), -it.memory_mb, -it.disk_mb, it.linode));
    let mut lines: Vec<Line> = residents
        .into_iter()
        .map(|candidate| {
            let mut fit = || fitting::first_fit(&mut places, &all, &candidate.guest(&source));
            let outcome = match candidate.stands {
                Stands::Free { .. } => fit().map_or_else(Outcome::Cannot, Outcome::Goes),
                Stands::WayBackOpen(_) => fit().map_or_else(Outcome::Cannot, Outcome::GoesIfClosed),
                Stands::Evacuating { .. } | Stands::Moving(_) => Outcome::Stays,
            };
            Line { candidate, outcome }
        })
        .collect();
    lines.sort_by(|a, b| {
        let key = |line: &Line| (line.candidate.label.clone(), line.candidate.linode);
        key(a).cmp(&key(b))
    });
    Plan {
        blocked: source.room.door.blocked(),
        source,
        lines,
        before,
        after: places,
    }
}

fn rank(stands: &Stands) -> u8 {
    match stands {
        Stands::Free { .. } => 0,
        Stands::Evacuating { .. } | Stands::Moving(_) => 1,
        Stands::WayBackOpen(_) => 2,
    }
}

/// "the other beta hosts", as a sentence about the source's like names them.
pub fn others(role: HostRole) -> &'static str {
    match role {
        HostRole::Source => "the other hosts of its platform",
        HostRole::Beta => "the other beta hosts",
        HostRole::Production => "the other production hosts of its plan",
    }
}

/// Why no host takes it.
pub fn why(obstacle: Obstacle, role: HostRole) -> String {
    let none = match role {
        HostRole::Source => "there is no other host of its platform",
        HostRole::Beta => "there is no other beta host",
        HostRole::Production => "there is no other production host of its plan",
    };
    obstacle.of_those(others(role), none)
}

impl Plan {
    /// Who goes, with where to.
    pub fn moves(&self) -> impl Iterator<Item = (&Candidate, HostId)> {
        self.lines.iter().filter_map(|line| match line.outcome {
            Outcome::Goes(to) => Some((&line.candidate, to)),
            Outcome::GoesIfClosed(_) | Outcome::Cannot(_) | Outcome::Stays => None,
        })
    }

    /// Who would go, if their ways back are closed.
    pub fn closing(&self) -> impl Iterator<Item = (&Candidate, HostId)> {
        self.lines.iter().filter_map(|line| match line.outcome {
            Outcome::GoesIfClosed(to) => Some((&line.candidate, to)),
            Outcome::Goes(_) | Outcome::Cannot(_) | Outcome::Stays => None,
        })
    }

    /// The name of one of its hosts; empty for none.
    pub fn name(&self, host: HostId) -> &str {
        self.before
            .iter()
            .find(|place| place.room.host == host)
            .map_or("", |place| place.room.name.as_str())
    }

    /// Why this one does not go; empty if it does.
    pub fn reason(&self, line: &Line) -> String {
        match (line.outcome, line.candidate.stands) {
            (Outcome::Goes(_), _) => String::new(),
            (Outcome::Cannot(obstacle), _) => why(obstacle, self.source.room.role),
            (_, Stands::WayBackOpen(_)) => {
                "its last move is not confirmed, and the way back is open".to_owned()
            }
            (_, Stands::Evacuating { .. }) => "it is being moved off already".to_owned(),
            (_, Stands::Moving(_)) => "it is being moved".to_owned(),
            (Outcome::GoesIfClosed(_) | Outcome::Stays, Stands::Free { .. }) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
