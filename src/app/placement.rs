//! The plan for those who are approved and wait for a place, what it would be if, and offers made of it.

use std::collections::HashMap;

use super::App;
use super::batch::{MOST, NewOrder};
use super::context::Actor;
use super::error::{AppError, Result};
use super::host::liveness::SILENT_S;
use crate::domain::account::Right;
use crate::domain::batch::BatchKind;
use crate::domain::host::HostState;
use crate::domain::ids::{BatchId, HostId, LinodeId, PlanId, RegistrationId};
use crate::domain::placement::fitting::Place;
use crate::domain::placement::plan::{self as planner, Hosts, Plan, Spare};
use crate::domain::placement::schedule::{self, Bounds, Job, Pace, Span};
use crate::domain::registration::RegistrationState;
use crate::store;
use crate::store::batch::NewItem;
use crate::store::migration::Migration;
use crate::store::programme::Programme;
use crate::store::registration::list::RegistrationFilter;

/// Hosts that a plan may be tried with besides.
pub const MORE_MOST: i64 = 500;

/// Whom the plan is for, and what if.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    pub plan: Option<PlanId>,
    /// As of the list of registrations.
    pub text: String,
    /// As if these took no new Linodes.
    pub without: Vec<HostId>,
    /// With so many more like this one, empty.
    pub more: Option<(HostId, i64)>,
    /// As if so many moves could be at work at once, in all.
    pub at_once: Option<i32>,
    pub spare: Spare,
}

/// A plan, and when it would be carried out if every member clicked now.
#[derive(Debug, Clone)]
pub struct Planned {
    pub plan: Plan,
    pub spans: HashMap<LinodeId, Span>,
    /// Moves under way or offered, which come before.
    pub before: usize,
    pub pace: Pace,
    pub at_once: i32,
    /// Says which plan it is.
    pub mark: String,
}

impl App {
    /// Who would go where, as things stand and as is asked.
    pub fn placement_plan(&self, actor: &Actor, asked: &PlanRequest) -> Result<Planned> {
        actor.require(Right::Read)?;
        let now = self.now();
        let filter = RegistrationFilter {
            state: Some(RegistrationState::Approved),
            plan: asked.plan,
            text: asked.text.clone(),
            unconfigured: true,
        };
        let (fleet, hosts, programme, recent) = self.db.read(|conn| {
            let fleet = store::placement::candidates(conn, &filter)?;
            let hosts = store::placement::hosts(conn, now.plus_s(-SILENT_S), &fleet)?;
            let programme = store::programme::get(conn, now)?;
            let recent = store::migration::page::recent_moves(conn)?;
            Ok::<_, AppError>((fleet, hosts, programme, recent))
        })?;
        let links = hosts.links.clone();
        let plan = planner::plan(fleet, as_if(hosts, asked), asked.spare);
        let pace = pace(&recent, &programme);
        let at_once = asked.at_once.unwrap_or(programme.max_overall);
        let bounds = Bounds {
            overall: at_once,
            per_link: programme.max_per_link,
            slots: plan
                .before
                .iter()
                .map(|place| (place.room.host, place.room.door.slots))
                .collect(),
        };
        Ok(Planned {
            before: links.values().map(|count| *count as usize).sum(),
            spans: spans(&plan, &links, (&bounds, pace)),
            mark: mark(&plan),
            plan,
            pace,
            at_once,
        })
    }

    /// Offers each of the plan its place, in the background: each is looked at anew. `seen`: the mark of the plan that staff
    /// saw; another one is not made. A form that was sent before gives what it made then.
    pub fn offer_plan(
        &self,
        actor: &Actor,
        asked: &PlanRequest,
        (seen, once): (&str, &str),
    ) -> Result<BatchId> {
        actor.require(Right::Registrations)?;
        let made = self
            .db
            .read(|conn| store::batch::made(conn, actor.user, once))?;
        if let Some(made) = made {
            return Ok(made);
        }
        let planned = self.placement_plan(actor, asked)?;
        let places = offers(&planned.plan);
        if asked.more.is_some() || places.is_empty() || planned.mark != seen {
            return Err(AppError::conflict(
                "The plan is another one now than you saw: hosts or registrations have changed. Look at it again.",
            ));
        }
        let order = NewOrder {
            kind: BatchKind::Configure,
            of: places
                .into_iter()
                .map(|(registration, to)| NewItem {
                    to: Some(to),
                    ..NewItem::of(registration.0)
                })
                .collect(),
            reason: String::new(),
            off: None,
            once: once.to_owned(),
        };
        self.begin_batch(actor, &order)
    }
}

/// Those who get an offer of it, the first to ask first; as many as a batch takes.
fn offers(plan: &Plan) -> Vec<(RegistrationId, HostId)> {
    let mut all: Vec<_> = plan.moves().map(|(it, to)| (it.registration, to)).collect();
    all.sort_unstable();
    all.truncate(MOST);
    all
}

/// How many offers are made of it at once.
pub fn count_offers(plan: &Plan) -> usize {
    plan.moves().count().min(MOST)
}

fn as_if(mut hosts: Hosts, asked: &PlanRequest) -> Hosts {
    for place in &mut hosts.places {
        if asked.without.contains(&place.room.host) {
            place.room.door.state = HostState::Disabled;
        }
    }
    let like = asked.more.and_then(|(like, count)| {
        let like = hosts.places.iter().find(|place| place.room.host == like)?;
        Some((like.clone(), count))
    });
    if let Some((like, count)) = like {
        let more = (1..=count.clamp(0, MORE_MOST)).map(|n| new_host(&like, n));
        hosts.places.extend(more);
    }
    hosts
}

/// One that there is not, empty and open; its number is below all there are.
fn new_host(like: &Place, n: i64) -> Place {
    let mut place = like.clone();
    let room = &mut place.room;
    room.host = HostId(-n);
    room.name = format!("new {n} like {}", room.name);
    room.door.state = HostState::Enabled;
    room.door.enrolled = true;
    room.door.heard = true;
    room.door.slots = room.door.slots.max(1);
    room.memory_promised_mb = 0;
    room.disk_promised_mb = 0;
    room.disk_found_mb = None;
    place
}

fn pace(recent: &[Migration], programme: &Programme) -> Pace {
    let measured: Vec<(i64, i64)> = recent
        .iter()
        .filter_map(|row| {
            let took_s = row.finished_at?.seconds_since(row.started_at?);
            Some((row.total_bytes, took_s))
        })
        .collect();
    Pace::new(&measured, i64::from(programme.watch_s))
}

/// When each would move: behind those that are under way or offered, which take as long as the others in the middle.
fn spans(
    plan: &Plan,
    links: &HashMap<(HostId, HostId), u32>,
    (bounds, pace): (&Bounds, Pace),
) -> HashMap<LinodeId, Span> {
    let mut going: Vec<_> = plan.moves().collect();
    going.sort_unstable_by_key(|(it, _)| it.registration);
    let disks: i64 = going.iter().map(|(it, _)| it.need.disk_mb).sum();
    let count = i64::try_from(going.len()).unwrap_or(i64::MAX).max(1);
    let mut links: Vec<_> = links.iter().collect();
    links.sort_unstable();
    let mut jobs = Vec::new();
    for ((source, destination), many) in links {
        let job = Job {
            source: *source,
            destination: *destination,
            takes_s: pace.takes_s(disks / count),
        };
        jobs.extend((0..*many).map(|_| job));
    }
    let first = jobs.len();
    jobs.extend(going.iter().map(|(it, to)| Job {
        source: it.need.from,
        destination: *to,
        takes_s: pace.takes_s(it.need.disk_mb),
    }));
    let spans = schedule::simulate(&jobs, bounds);
    let of = |((it, _), span): (&(&planner::Candidate, HostId), &Option<Span>)| {
        span.map(|span| (it.linode, span))
    };
    going
        .iter()
        .zip(spans.iter().skip(first))
        .filter_map(of)
        .collect()
}

fn mark(plan: &Plan) -> String {
    let mut hasher = blake3::Hasher::new();
    for (registration, host) in offers(plan) {
        hasher.update(&registration.0.to_le_bytes());
        hasher.update(&host.0.to_le_bytes());
    }
    let hex = hasher.finalize().to_hex();
    hex.chars().take(16).collect()
}
