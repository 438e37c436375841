//! The beta fleet as the planner wants it: a fixed number of queries, however many Linodes there are.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;

use super::db::{Db, StoreError};
use super::hosts as host_rows;
use super::schema::{
    accounts, config_profiles, disks, hosts, linodes, migrations, plans, registrations,
};
use crate::domain::fitting::Place;
use crate::domain::graduation::{Candidate, Stands};
use crate::domain::ids::{HostId, LinodeId, MigrationId, PlanId, RegistrationId};
use crate::domain::migration;
use crate::domain::time::Time;
use crate::domain::words::{HostRole, MigrationKind, MigrationState, Platform, RegistrationState};

/// The Linodes in question: all of the beta, or these if they are of it.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    All,
    These(&'a [LinodeId]),
}

const STAY_ON: [HostRole; 2] = [HostRole::Source, HostRole::Beta];

type Row = (LinodeId, String, String, PlanId, String, i64, HostId);

/// Linodes on Xen hosts that are not production, by id.
pub fn fleet(conn: &mut Db, which: Which<'_>) -> Result<Vec<Candidate>, StoreError> {
    let mut query = linodes::table
        .inner_join(hosts::table)
        .inner_join(plans::table)
        .inner_join(accounts::table)
        .filter(hosts::platform.eq(Platform::Xen))
        .filter(hosts::role.eq_any(STAY_ON))
        .order(linodes::id)
        .select((
            linodes::id,
            linodes::label,
            accounts::name,
            linodes::plan_id,
            plans::label,
            plans::ram_mb,
            linodes::host_id,
        ))
        .into_boxed();
    if let Which::These(ids) = which {
        query = query.filter(linodes::id.eq_any(ids.to_vec()));
    }
    let rows: Vec<Row> = query.load(conn)?;
    let sizes = sizes(conn, which)?;
    let mut kernels = kernels(conn, which)?;
    let registered = registered(conn, which)?;
    let mut moves = moves(conn, which)?;
    Ok(rows
        .into_iter()
        .map(
            |(linode, label, account, plan, plan_label, memory_mb, host)| Candidate {
                stands: stands(
                    registered.get(&linode).copied(),
                    &moves.remove(&linode).unwrap_or_default(),
                ),
                disk_mb: sizes.get(&linode).copied().unwrap_or(0),
                kernels: kernels.remove(&linode).unwrap_or_default(),
                linode,
                label,
                account,
                plan,
                plan_label,
                host,
                memory_mb,
            },
        )
        .collect())
}

struct Move {
    id: MigrationId,
    kind: MigrationKind,
    state: MigrationState,
    to: HostId,
    expires_at: Time,
}

/// `moves`: newest first.
fn stands(registration: Option<RegistrationId>, moves: &[Move]) -> Stands {
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
    let open = |it: &&Move| {
        it.kind != MigrationKind::Return
            && matches!(
                it.state,
                MigrationState::Finished | MigrationState::Returning
            )
    };
    if let Some(open) = moves.iter().find(open) {
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

fn sizes(conn: &mut Db, which: Which<'_>) -> Result<HashMap<LinodeId, i64>, StoreError> {
    let mut query = disks::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(hosts::platform.eq(Platform::Xen))
        .filter(hosts::role.eq_any(STAY_ON))
        .select((disks::linode_id, disks::size_mb))
        .into_boxed();
    if let Which::These(ids) = which {
        query = query.filter(disks::linode_id.eq_any(ids.to_vec()));
    }
    let rows: Vec<(LinodeId, i64)> = query.load(conn)?;
    let mut sizes = HashMap::new();
    for (linode, size) in rows {
        *sizes.entry(linode).or_default() += size;
    }
    Ok(sizes)
}

fn kernels(
    conn: &mut Db,
    which: Which<'_>,
) -> Result<HashMap<LinodeId, BTreeSet<String>>, StoreError> {
    let mut query = config_profiles::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(hosts::platform.eq(Platform::Xen))
        .filter(hosts::role.eq_any(STAY_ON))
        .select((config_profiles::linode_id, config_profiles::kernel_id))
        .into_boxed();
    if let Which::These(ids) = which {
        query = query.filter(config_profiles::linode_id.eq_any(ids.to_vec()));
    }
    let rows: Vec<(LinodeId, String)> = query.load(conn)?;
    let mut kernels: HashMap<LinodeId, BTreeSet<String>> = HashMap::new();
    for (linode, kernel) in rows {
        kernels.entry(linode).or_default().insert(kernel);
    }
    Ok(kernels)
}

fn registered(
    conn: &mut Db,
    which: Which<'_>,
) -> Result<HashMap<LinodeId, RegistrationId>, StoreError> {
    let mut query = registrations::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(registrations::state.eq(RegistrationState::Approved))
        .filter(hosts::platform.eq(Platform::Xen))
        .filter(hosts::role.eq_any(STAY_ON))
        .select((registrations::linode_id, registrations::id))
        .into_boxed();
    if let Which::These(ids) = which {
        query = query.filter(registrations::linode_id.eq_any(ids.to_vec()));
    }
    let rows: Vec<(LinodeId, RegistrationId)> = query.load(conn)?;
    Ok(rows.into_iter().collect())
}

type MoveRow = (
    LinodeId,
    MigrationId,
    MigrationKind,
    MigrationState,
    HostId,
    Time,
);

fn moves(conn: &mut Db, which: Which<'_>) -> Result<HashMap<LinodeId, Vec<Move>>, StoreError> {
    let mut query = migrations::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(hosts::platform.eq(Platform::Xen))
        .filter(hosts::role.eq_any(STAY_ON))
        .order(migrations::id.desc())
        .select((
            migrations::linode_id,
            migrations::id,
            migrations::kind,
            migrations::state,
            migrations::destination_host_id,
            migrations::expires_at,
        ))
        .into_boxed();
    if let Which::These(ids) = which {
        query = query.filter(migrations::linode_id.eq_any(ids.to_vec()));
    }
    let rows: Vec<MoveRow> = query.load(conn)?;
    let mut moves: HashMap<LinodeId, Vec<Move>> = HashMap::new();
    for (linode, id, kind, state, to, expires_at) in rows {
        moves.entry(linode).or_default().push(Move {
            id,
            kind,
            state,
            to,
            expires_at,
        });
    }
    Ok(moves)
}

/// Every host as a place; `heard_since`: an agent heard of before this is silent.
pub fn places(conn: &mut Db, heard_since: Time) -> Result<Vec<Place>, StoreError> {
    let mut rooms: HashMap<HostId, _> = host_rows::rooms(conn)?
        .into_iter()
        .map(|room| (room.host, room))
        .collect();
    let mut places = Vec::with_capacity(rooms.len());
    for host in host_rows::all(conn)? {
        let kernels: BTreeSet<String> = host
            .kernel_list()?
            .into_iter()
            .map(|kernel| kernel.id)
            .collect();
        // One that came between the two queries is in the next plan.
        if let Some(room) = rooms.remove(&host.id) {
            places.push(Place {
                room,
                slots: host.slots,
                heard: host.last_seen_at.is_some_and(|at| at >= heard_since),
                kernels: (!kernels.is_empty()).then_some(kernels),
            });
        }
    }
    Ok(places)
}

/// Linodes of the beta that wait for an offer to graduate: approved, with no move that lives or can still be taken back.
pub fn count_ready(conn: &mut Db) -> Result<i64, StoreError> {
    let in_the_way: [MigrationState; 7] = [
        MigrationState::Offered,
        MigrationState::Queued,
        MigrationState::Preparing,
        MigrationState::Copying,
        MigrationState::Switching,
        MigrationState::Finished,
        MigrationState::Returning,
    ];
    let moving = migrations::table
        .filter(migrations::linode_id.eq(registrations::linode_id))
        .filter(migrations::state.eq_any(in_the_way))
        .filter(
            migrations::kind
                .ne(MigrationKind::Return)
                .or(migrations::state.ne(MigrationState::Finished)),
        );
    Ok(registrations::table
        .inner_join(linodes::table.inner_join(hosts::table))
        .filter(registrations::state.eq(RegistrationState::Approved))
        .filter(hosts::platform.eq(Platform::Xen))
        .filter(hosts::role.eq_any(STAY_ON))
        .filter(diesel::dsl::not(diesel::dsl::exists(moving)))
        .count()
        .get_result(conn)?)
}
