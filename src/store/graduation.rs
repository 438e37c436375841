//! The beta fleet as the planner wants it: a fixed number of queries, however many Linodes there are.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;

use super::db::Db;
use super::error::Result;
use super::host;
use super::schema::{
    accounts, config_profiles, disks, hosts, linodes, migrations, plans, registrations,
};
use crate::domain::graduation::{Candidate, Stands};
use crate::domain::host::HostRole;
use crate::domain::ids::{HostId, LinodeId, MigrationId, PlanId, RegistrationId};
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::{self, Last, MigrationKind, MigrationState};
use crate::domain::placement::fitting::Place;
use crate::domain::placement::{self, Standing};
use crate::domain::platform::{self, Platform};
use crate::domain::registration::RegistrationState;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;

/// The Linodes in question: all of the beta, or these if they are of it; or all of a host, or these if they are on it.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    All,
    These(&'a [LinodeId]),
    On(HostId),
    TheseOn(HostId, &'a [LinodeId]),
}

/// The part of a boxed query over Linodes and hosts that is in question; `$id`: its column of Linodes.
macro_rules! within {
    ($query:expr, $which:expr, $id:expr) => {
        match $which {
            Which::All => $query.filter(stand(Standing::InBeta)),
            Which::These(ids) => $query
                .filter(stand(Standing::InBeta))
                .filter($id.eq_any(ids.to_vec())),
            Which::On(host) => $query.filter(linodes::host_id.eq(host)),
            Which::TheseOn(host, ids) => $query
                .filter(linodes::host_id.eq(host))
                .filter($id.eq_any(ids.to_vec())),
        }
    };
}

/// A Linode as every plan wants it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub linode: LinodeId,
    pub label: String,
    pub account: String,
    pub plan: PlanId,
    pub plan_label: String,
    pub memory_mb: i64,
    pub disk_mb: i64,
    pub kernels: BTreeSet<String>,
    pub host: HostId,
    pub status: LinodeStatus,
    /// Newest first.
    pub moves: Vec<Move>,
}

type Columns = (
    LinodeId,
    String,
    String,
    PlanId,
    String,
    i64,
    HostId,
    LinodeStatus,
);

/// The Linodes in question, by id, with what they have and what has become of them.
pub(super) fn rows(conn: &mut Db, which: Which<'_>) -> Result<Vec<Row>> {
    let query = linodes::table
        .inner_join(hosts::table)
        .inner_join(plans::table)
        .inner_join(accounts::table)
        .order(linodes::id)
        .select((
            linodes::id,
            linodes::label,
            accounts::name,
            linodes::plan_id,
            plans::label,
            plans::ram_mb,
            linodes::host_id,
            linodes::status,
        ))
        .into_boxed();
    let found: Vec<Columns> = within!(query, which, linodes::id).load(conn)?;
    let sizes = sizes(conn, which)?;
    let mut kernels = kernels(conn, which)?;
    let mut moves = moves(conn, which)?;
    Ok(found
        .into_iter()
        .map(
            |(linode, label, account, plan, plan_label, memory_mb, host, status)| Row {
                disk_mb: sizes.get(&linode).copied().unwrap_or(0),
                kernels: kernels.remove(&linode).unwrap_or_default(),
                moves: moves.remove(&linode).unwrap_or_default(),
                linode,
                label,
                account,
                plan,
                plan_label,
                memory_mb,
                host,
                status,
            },
        )
        .collect())
}

/// Linodes on Xen hosts that are not production, by id.
pub fn fleet(conn: &mut Db, which: Which<'_>) -> Result<Vec<Candidate>> {
    let rows = rows(conn, which)?;
    let registered = registered(conn, which)?;
    Ok(rows
        .into_iter()
        .map(|row| Candidate {
            stands: stands(registered.get(&row.linode).copied(), &row),
            linode: row.linode,
            label: row.label,
            account: row.account,
            plan: row.plan,
            plan_label: row.plan_label,
            host: row.host,
            memory_mb: row.memory_mb,
            disk_mb: row.disk_mb,
            kernels: row.kernels,
        })
        .collect())
}

#[derive(Debug, Clone, Queryable)]
pub(super) struct Move {
    pub id: MigrationId,
    pub kind: MigrationKind,
    pub state: MigrationState,
    pub from: HostId,
    pub to: HostId,
    pub expires_at: Time,
    pub not_before: Option<Time>,
    pub was_running: bool,
}

impl Move {
    /// Its way back is open, and in the way of a further move.
    pub(crate) fn is_open(&self, row: &Row) -> bool {
        migration::blocks_next(&Last {
            kind: self.kind,
            state: self.state,
            was_running: self.was_running,
            status: row.status,
            at_destination: row.host == self.to,
        })
    }
}

fn stands(registration: Option<RegistrationId>, row: &Row) -> Stands {
    let moves = &row.moves;
    if let Some(live) = moves.iter().find(|it| migration::is_live(it.state)) {
        return if live.state == MigrationState::Offered {
            Stands::Offered {
                migration: live.id,
                to: live.to,
                until: live.expires_at,
            }
        } else {
            Stands::Moving(live.id)
        };
    }
    if let Some(open) = moves.iter().find(|it| it.is_open(row)) {
        return Stands::WayBackOpen(open.id);
    }
    let Some(registration) = registration else {
        return Stands::NotRegistered;
    };
    let expired = moves
        .iter()
        .find(|it| it.kind == MigrationKind::Graduation)
        .filter(|it| it.state == MigrationState::Expired)
        .map(|it| (it.id, it.expires_at));
    Stands::Ready {
        registration,
        expired,
    }
}

fn sizes(conn: &mut Db, which: Which<'_>) -> Result<HashMap<LinodeId, i64>> {
    let query = disks::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .select((disks::linode_id, disks::size_mb))
        .into_boxed();
    let rows: Vec<(LinodeId, i64)> = within!(query, which, disks::linode_id).load(conn)?;
    let mut sizes = HashMap::new();
    for (linode, size) in rows {
        *sizes.entry(linode).or_default() += size;
    }
    Ok(sizes)
}

fn kernels(conn: &mut Db, which: Which<'_>) -> Result<HashMap<LinodeId, BTreeSet<String>>> {
    let query = config_profiles::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .select((config_profiles::linode_id, config_profiles::kernel_id))
        .into_boxed();
    let rows: Vec<(LinodeId, String)> =
        within!(query, which, config_profiles::linode_id).load(conn)?;
    let mut kernels: HashMap<LinodeId, BTreeSet<String>> = HashMap::new();
    for (linode, kernel) in rows {
        kernels.entry(linode).or_default().insert(kernel);
    }
    Ok(kernels)
}

fn registered(conn: &mut Db, which: Which<'_>) -> Result<HashMap<LinodeId, RegistrationId>> {
    let query = registrations::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(registrations::state.eq(RegistrationState::Approved))
        .select((registrations::linode_id, registrations::id))
        .into_boxed();
    let rows: Vec<(LinodeId, RegistrationId)> =
        within!(query, which, registrations::linode_id).load(conn)?;
    Ok(rows.into_iter().collect())
}

fn moves(conn: &mut Db, which: Which<'_>) -> Result<HashMap<LinodeId, Vec<Move>>> {
    let query = migrations::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .order(migrations::id.desc())
        .select((
            migrations::linode_id,
            (
                migrations::id,
                migrations::kind,
                migrations::state,
                migrations::source_host_id,
                migrations::destination_host_id,
                migrations::expires_at,
                migrations::not_before,
                migrations::was_running,
            ),
        ))
        .into_boxed();
    let rows: Vec<(LinodeId, Move)> = within!(query, which, migrations::linode_id).load(conn)?;
    let mut moves: HashMap<LinodeId, Vec<Move>> = HashMap::new();
    for (linode, of) in rows {
        moves.entry(linode).or_default().push(of);
    }
    Ok(moves)
}

/// Every host as a place; `heard_since`: an agent heard of before this is silent.
pub fn places(conn: &mut Db, heard_since: Time) -> Result<Vec<Place>> {
    let asked = host::room::RoomQuery {
        heard_since,
        of: None,
    };
    let mut rooms: HashMap<HostId, _> = host::room::rooms(conn, asked)?
        .into_iter()
        .map(|room| (room.host, room))
        .collect();
    let mut places = Vec::with_capacity(rooms.len());
    for host in host::all(conn)? {
        let kernels: BTreeSet<String> = host
            .kernel_list()?
            .into_iter()
            .map(|kernel| kernel.id)
            .collect();
        // One that came between the two queries is in the next plan.
        if let Some(room) = rooms.remove(&host.id) {
            places.push(Place {
                room,
                kernels: (!kernels.is_empty()).then_some(kernels),
            });
        }
    }
    Ok(places)
}

/// Of hosts: a Linode on them stands so.
#[diesel::dsl::auto_type]
pub(super) fn stand(so: Standing) -> _ {
    let to: Platform = platform::TO;
    let there: Vec<HostRole> = placement::roles(so, true);
    let elsewhere: Vec<HostRole> = placement::roles(so, false);
    let is_there = hosts::platform.eq(to).and(hosts::role.eq_any(there));
    let is_elsewhere = hosts::platform.ne(to).and(hosts::role.eq_any(elsewhere));
    is_there.or(is_elsewhere)
}

/// As `domain::migration::blocks_next`, of migrations and the Linodes and hosts that they stand beside.
#[diesel::dsl::auto_type]
fn blocks_next() -> _ {
    let back: MigrationKind = MigrationKind::Return;
    let evacuation: MigrationKind = MigrationKind::Evacuation;
    let open: Vec<MigrationState> = MigrationState::those(migration::has_way_back);
    let finished: MigrationState = MigrationState::Finished;
    let running: LinodeStatus = LinodeStatus::Running;
    let gives_way = migrations::kind
        .eq(evacuation)
        .and(migrations::state.eq(finished))
        .and(linodes::host_id.eq(migrations::destination_host_id))
        .and(
            linodes::status
                .eq(running)
                .or(migrations::was_running.eq(false)),
        );
    migrations::kind
        .ne(back)
        .and(migrations::state.eq_any(open))
        .and(diesel::dsl::not(gives_way))
}

/// Linodes of the beta that wait for an offer to graduate: approved, with no move that lives or can still be taken back.
pub fn count_ready(conn: &mut Db) -> Result<i64> {
    let live = MigrationState::those(migration::is_live);
    let in_the_way = migrations::table
        .filter(migrations::linode_id.eq(registrations::linode_id))
        .filter(migrations::state.eq_any(live).or(blocks_next()));
    Ok(registrations::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(registrations::state.eq(RegistrationState::Approved))
        .filter(stand(Standing::InBeta))
        .filter(diesel::dsl::not(diesel::dsl::exists(in_the_way)))
        .count()
        .get_result(conn)?)
}
