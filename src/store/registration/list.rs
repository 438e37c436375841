//! Registrations as staff's list shows them, read in a number of queries that does not grow with the number of rows, a page
//! at a time, from the key of the last row of the page before.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::Registration;
use crate::domain::ids::{HostId, LinodeId, MigrationId, PlanId, RegistrationId};
use crate::domain::linode::{KernelFamily, LinodeStatus};
use crate::domain::migration::{self, Last, MigrationKind, MigrationState};
use crate::domain::registration::RegistrationState;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::catalogue::Plan;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::linode::Linode;
use crate::store::name_index;
use crate::store::schema::{
    accounts, config_profiles, disks, hosts, kernels, linodes, migrations, plans, registrations,
};

/// A registration in the list.
pub struct RegistrationRow {
    pub registration: Registration,
    pub linode: Linode,
    pub plan: Plan,
    pub account: String,
    pub host: String,
    /// Its newest migration.
    pub migration: Option<(MigrationId, MigrationState, HostId)>,
    /// A move of it is not confirmed: another one would cut the way back off.
    pub way_back_open: bool,
    /// MiB of all its disks.
    pub disk_mb: i64,
    pub has_24_kernel: bool,
}

/// Which registrations a list, an export or a bulk action is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrationFilter {
    pub state: Option<RegistrationState>,
    pub plan: Option<PlanId>,
    /// Parts of the Linode's label, its account's name, or its people's: see `store::name_index`.
    pub text: String,
    /// Approved, with no migration that lives or succeeded: what still has to be configured.
    pub unconfigured: bool,
}

type RegistrationJoin = (Registration, Linode, Plan, String, String);

#[diesel::dsl::auto_type]
fn joined() -> _ {
    registrations::table
        .inner_join(
            linodes::table
                .inner_join(plans::table)
                .inner_join(hosts::table),
        )
        .inner_join(accounts::table)
}

/// Rows in order of request, oldest first; `after`: the key of the last row seen.
pub fn registrations(
    conn: &mut Db,
    filter: &RegistrationFilter,
    after: Option<(Time, RegistrationId)>,
    limit: i64,
) -> Result<Vec<RegistrationRow>> {
    let mut query = joined()
        .select((
            Registration::as_select(),
            Linode::as_select(),
            Plan::as_select(),
            accounts::name,
            hosts::name,
        ))
        .order((registrations::requested_at, registrations::id))
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(registrations::state.eq(state));
    }
    if let Some(plan) = filter.plan {
        query = query.filter(linodes::plan_id.eq(plan));
    }
    for condition in name_index::linodes_with(conn, &filter.text) {
        query = query.filter(condition);
    }
    if filter.unconfigured {
        query = query.filter(diesel::dsl::not(diesel::dsl::exists(taken_up())));
    }
    if let Some((at, id)) = after {
        query = query.filter(
            registrations::requested_at
                .gt(at)
                .or(registrations::requested_at
                    .eq(at)
                    .and(registrations::id.gt(id))),
        );
    }
    let rows: Vec<RegistrationJoin> = query.limited(limit).load(conn)?;
    complete(conn, rows)
}

/// These registrations, whatever their state, in order of request.
pub fn registrations_by_id(conn: &mut Db, ids: &[RegistrationId]) -> Result<Vec<RegistrationRow>> {
    let rows: Vec<RegistrationJoin> = joined()
        .filter(registrations::id.eq_any(ids.to_vec()))
        .select((
            Registration::as_select(),
            Linode::as_select(),
            Plan::as_select(),
            accounts::name,
            hosts::name,
        ))
        .order((registrations::requested_at, registrations::id))
        .load(conn)?;
    complete(conn, rows)
}

pub fn count_registrations(conn: &mut Db, filter: &RegistrationFilter) -> Result<i64> {
    let mut query = registrations::table
        .inner_join(linodes::table)
        .inner_join(accounts::table)
        .select(diesel::dsl::count_star())
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(registrations::state.eq(state));
    }
    if let Some(plan) = filter.plan {
        query = query.filter(linodes::plan_id.eq(plan));
    }
    for condition in name_index::linodes_with(conn, &filter.text) {
        query = query.filter(condition);
    }
    if filter.unconfigured {
        query = query.filter(diesel::dsl::not(diesel::dsl::exists(taken_up())));
    }
    Ok(query.get_result(conn)?)
}

/// The migrations of a registration that make configuring another one wrong.
#[diesel::dsl::auto_type]
fn taken_up() -> _ {
    let states: Vec<MigrationState> = MigrationState::those(migration::takes_registration);
    let back: MigrationKind = MigrationKind::Return;
    migrations::table
        .filter(migrations::registration_id.eq(registrations::id.nullable()))
        .filter(migrations::state.eq_any(states))
        // Who went back can be offered another place.
        .filter(migrations::kind.ne(back))
}

fn complete(conn: &mut Db, rows: Vec<RegistrationJoin>) -> Result<Vec<RegistrationRow>> {
    let ids: Vec<LinodeId> = rows.iter().map(|(_, linode, ..)| linode.id).collect();
    let (newest, open) = moves(conn, &rows)?;
    let mut sizes: HashMap<LinodeId, i64> = HashMap::new();
    let all: Vec<(LinodeId, i64)> = disks::table
        .filter(disks::linode_id.eq_any(ids.clone()))
        .select((disks::linode_id, disks::size_mb))
        .load(conn)?;
    for (linode, size) in all {
        *sizes.entry(linode).or_default() += size;
    }
    let old: Vec<LinodeId> = config_profiles::table
        .inner_join(kernels::table)
        .filter(config_profiles::linode_id.eq_any(ids))
        .filter(kernels::family.eq(KernelFamily::V24))
        .select(config_profiles::linode_id)
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(
            |(registration, linode, plan, account, host)| RegistrationRow {
                migration: newest.get(&linode.id).copied(),
                way_back_open: open.contains(&linode.id),
                disk_mb: sizes.get(&linode.id).copied().unwrap_or(0),
                has_24_kernel: old.contains(&linode.id),
                registration,
                linode,
                plan,
                account,
                host,
            },
        )
        .collect())
}

type Newest = HashMap<LinodeId, (MigrationId, MigrationState, HostId)>;

/// Each one's newest migration, and those whose way back is open.
fn moves(conn: &mut Db, rows: &[RegistrationJoin]) -> Result<(Newest, HashSet<LinodeId>)> {
    let now: HashMap<LinodeId, (LinodeStatus, HostId)> = rows
        .iter()
        .map(|(_, linode, ..)| (linode.id, (linode.status, linode.host_id)))
        .collect();
    let ids: Vec<LinodeId> = rows.iter().map(|(_, linode, ..)| linode.id).collect();
    let (mut newest, mut open) = (HashMap::new(), HashSet::new());
    let all: Vec<(
        LinodeId,
        MigrationId,
        MigrationState,
        HostId,
        MigrationKind,
        bool,
    )> = migrations::table
        .filter(migrations::linode_id.eq_any(ids))
        .order(migrations::id.desc())
        .select((
            migrations::linode_id,
            migrations::id,
            migrations::state,
            migrations::destination_host_id,
            migrations::kind,
            migrations::was_running,
        ))
        .load(conn)?;
    for (linode, id, state, host, kind, was_running) in all {
        let Some(&(status, here)) = now.get(&linode) else {
            continue;
        };
        if migration::blocks_next(&Last {
            kind,
            state,
            was_running,
            status,
            at_destination: here == host,
        }) {
            open.insert(linode);
        }
        if kind == MigrationKind::Evacuation && !migration::is_live(state) {
            continue;
        }
        newest.entry(linode).or_insert((id, state, host));
    }
    Ok((newest, open))
}

/// Registrations by state, each with when the first of them was asked for.
pub fn oldest(conn: &mut Db) -> Result<Vec<(RegistrationState, i64, Option<Time>)>> {
    Ok(registrations::table
        .group_by(registrations::state)
        .select((
            registrations::state,
            diesel::dsl::count_star(),
            diesel::dsl::min(registrations::requested_at),
        ))
        .load(conn)?)
}

pub fn registration_counts(conn: &mut Db) -> Result<Vec<(RegistrationState, i64)>> {
    Ok(registrations::table
        .group_by(registrations::state)
        .select((registrations::state, diesel::dsl::count_star()))
        .load(conn)?)
}
