//! What staff's pages show, read in a number of queries that does not grow with the number of rows. Lists are read a
//! page at a time, from the key of the last row of the page before.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::Registration;
use crate::domain::ids::{HostId, JobId, LinodeId, MigrationId, PlanId, RegistrationId, UserId};
use crate::domain::migration::{self, AT_WORK, Last};
use crate::domain::time::Time;
use crate::domain::words::{
    JobState, KernelFamily, LinodeStatus, MigrationKind, MigrationState, RegistrationState,
};
use crate::store::db::{Db, StoreError};
use crate::store::job::Job;
use crate::store::linode::{Linode, Plan};
use crate::store::migration::Migration;
use crate::store::name_index;
use crate::store::schema::{
    accounts, audit_events, config_profiles, disks, hosts, jobs, kernels, linodes,
    migration_events, migrations, plans, registrations, users,
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
    /// Beginnings of words of the Linode's label or the account's name, whatever the case.
    pub text: String,
    /// Approved, with no migration that lives or succeeded: what still has to be configured.
    pub unconfigured: bool,
}

type RegistrationJoin = (Registration, Linode, Plan, String, String);

/// Rows in order of request, oldest first; `after`: the key of the last row seen.
pub fn registrations(
    conn: &mut Db,
    filter: &RegistrationFilter,
    after: Option<(Time, RegistrationId)>,
    limit: i64,
) -> Result<Vec<RegistrationRow>, StoreError> {
    let mut query = registrations::table
        .inner_join(
            linodes::table
                .inner_join(plans::table)
                .inner_join(hosts::table),
        )
        .inner_join(accounts::table)
        .select((
            Registration::as_select(),
            Linode::as_select(),
            Plan::as_select(),
            accounts::name,
            hosts::name,
        ))
        .order((registrations::requested_at, registrations::id))
        .limit(limit)
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(registrations::state.eq(state));
    }
    if let Some(plan) = filter.plan {
        query = query.filter(linodes::plan_id.eq(plan));
    }
    for condition in name_index::linodes_with(&filter.text) {
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
    let rows: Vec<RegistrationJoin> = query.load(conn)?;
    complete(conn, rows)
}

/// These registrations, whatever their state, in order of request.
pub fn registrations_by_id(
    conn: &mut Db,
    ids: &[RegistrationId],
) -> Result<Vec<RegistrationRow>, StoreError> {
    let rows: Vec<RegistrationJoin> = registrations::table
        .inner_join(
            linodes::table
                .inner_join(plans::table)
                .inner_join(hosts::table),
        )
        .inner_join(accounts::table)
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

pub fn count_registrations(conn: &mut Db, filter: &RegistrationFilter) -> Result<i64, StoreError> {
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
    for condition in name_index::linodes_with(&filter.text) {
        query = query.filter(condition);
    }
    if filter.unconfigured {
        query = query.filter(diesel::dsl::not(diesel::dsl::exists(taken_up())));
    }
    Ok(query.first(conn)?)
}

/// The migrations of a registration that make configuring another one wrong.
#[diesel::dsl::auto_type]
fn taken_up() -> _ {
    let states: [MigrationState; 8] = TAKEN_UP;
    let back: MigrationKind = MigrationKind::Return;
    migrations::table
        .filter(migrations::registration_id.eq(registrations::id.nullable()))
        .filter(migrations::state.eq_any(states))
        // Who went back can be offered another place.
        .filter(migrations::kind.ne(back))
}

const TAKEN_UP: [MigrationState; 8] = [
    MigrationState::Offered,
    MigrationState::Queued,
    MigrationState::Preparing,
    MigrationState::Copying,
    MigrationState::Switching,
    MigrationState::Finished,
    MigrationState::Confirmed,
    MigrationState::Returning,
];

fn complete(
    conn: &mut Db,
    rows: Vec<RegistrationJoin>,
) -> Result<Vec<RegistrationRow>, StoreError> {
    let ids: Vec<LinodeId> = rows.iter().map(|(_, linode, ..)| linode.id).collect();
    let now: HashMap<LinodeId, (LinodeStatus, HostId)> = rows
        .iter()
        .map(|(_, linode, ..)| (linode.id, (linode.status, linode.host_id)))
        .collect();
    let mut newest = HashMap::new();
    let mut open = HashSet::new();
    let all: Vec<(
        LinodeId,
        MigrationId,
        MigrationState,
        HostId,
        MigrationKind,
        bool,
    )> = migrations::table
        .filter(migrations::linode_id.eq_any(ids.clone()))
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

pub fn registration_counts(conn: &mut Db) -> Result<Vec<(RegistrationState, i64)>, StoreError> {
    Ok(registrations::table
        .group_by(registrations::state)
        .select((registrations::state, diesel::dsl::count_star()))
        .load(conn)?)
}

/// A migration in a list.
pub struct MigrationRow {
    pub migration: Migration,
    pub linode: String,
    pub account: String,
    pub source: String,
    pub destination: String,
}

#[derive(Debug, Clone, Default)]
pub struct MigrationFilter {
    pub states: Vec<MigrationState>,
    pub host: Option<HostId>,
    pub linode: Option<LinodeId>,
    pub kind: Option<MigrationKind>,
    pub source: Option<HostId>,
    pub made_since: Option<Time>,
    /// Started from the first moment on, before the second; ways back aside.
    pub started: Option<(Time, Time)>,
    /// Only what was started at all.
    pub begun: bool,
    /// Only with (or without) a try that failed.
    pub failed_try: Option<bool>,
    /// Only these.
    pub among: Option<Vec<MigrationId>>,
}

/// Newest first; `before`: the key of the last row seen.
pub fn migrations(
    conn: &mut Db,
    filter: &MigrationFilter,
    before: Option<MigrationId>,
    limit: i64,
) -> Result<Vec<MigrationRow>, StoreError> {
    let mut query = migrations::table
        .inner_join(linodes::table)
        .inner_join(accounts::table)
        .select((Migration::as_select(), linodes::label, accounts::name))
        .order(migrations::id.desc())
        .limit(limit)
        .into_boxed();
    if !filter.states.is_empty() {
        query = query.filter(migrations::state.eq_any(filter.states.clone()));
    }
    if let Some(host) = filter.host {
        query = query.filter(
            migrations::source_host_id
                .eq(host)
                .or(migrations::destination_host_id.eq(host)),
        );
    }
    if let Some(linode) = filter.linode {
        query = query.filter(migrations::linode_id.eq(linode));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(migrations::kind.eq(kind));
    }
    if let Some(source) = filter.source {
        query = query.filter(migrations::source_host_id.eq(source));
    }
    if let Some(since) = filter.made_since {
        query = query.filter(migrations::offered_at.ge(since));
    }
    if let Some((from, to)) = filter.started {
        query = query
            .filter(migrations::started_at.ge(from))
            .filter(migrations::started_at.lt(to))
            .filter(migrations::kind.ne(MigrationKind::Return));
    }
    if filter.begun {
        query = query.filter(migrations::started_at.is_not_null());
    }
    if let Some(wanted) = filter.failed_try {
        let failed = diesel::dsl::exists(failed_tries());
        query = if wanted {
            query.filter(failed)
        } else {
            query.filter(diesel::dsl::not(failed))
        };
    }
    if let Some(among) = &filter.among {
        query = query.filter(migrations::id.eq_any(among.clone()));
    }
    if let Some(before) = before {
        query = query.filter(migrations::id.lt(before));
    }
    let rows: Vec<(Migration, String, String)> = query.load(conn)?;
    let of = rows
        .iter()
        .flat_map(|(row, ..)| [row.source_host_id, row.destination_host_id])
        .collect();
    let names = crate::store::linode::page::host_names(conn, of)?;
    let name = |id: HostId| names.get(&id).cloned().unwrap_or_default();
    Ok(rows
        .into_iter()
        .map(|(migration, linode, account)| MigrationRow {
            source: name(migration.source_host_id),
            destination: name(migration.destination_host_id),
            migration,
            linode,
            account,
        })
        .collect())
}

/// Migrations at work that need staff: their present step has failed for good, or its host is silent; at most 1,000.
pub fn stuck(conn: &mut Db, silent_since: Time) -> Result<Vec<MigrationId>, StoreError> {
    Ok(migrations::table
        .inner_join(jobs::table.on(jobs::id.nullable().eq(migrations::step_job_id)))
        .inner_join(hosts::table.on(hosts::id.eq(jobs::host_id)))
        .filter(migrations::state.eq_any(AT_WORK))
        .filter(
            jobs::state
                .eq(JobState::Failed)
                .or(crate::store::host::silence::is_silent(silent_since)),
        )
        .order(migrations::id)
        .limit(1000)
        .select(migrations::id)
        .load(conn)?)
}

/// A migration's events of tries that failed.
#[diesel::dsl::auto_type]
fn failed_tries() -> _ {
    let failed: MigrationState = MigrationState::Failed;
    migration_events::table
        .filter(migration_events::migration_id.eq(migrations::id))
        .filter(migration_events::state.eq(failed))
}

/// A job in a list.
pub struct JobRow {
    pub job: Job,
    pub linode: String,
    pub host: String,
}

#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub state: Option<JobState>,
    pub host: Option<HostId>,
    pub ended_since: Option<Time>,
}

/// Newest first; `before`: the key of the last row seen.
pub fn jobs(
    conn: &mut Db,
    filter: &JobFilter,
    before: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobRow>, StoreError> {
    let mut query = jobs::table
        .inner_join(linodes::table)
        .inner_join(hosts::table)
        .select((Job::as_select(), linodes::label, hosts::name))
        .order(jobs::id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(jobs::state.eq(state));
    }
    if let Some(host) = filter.host {
        query = query.filter(jobs::host_id.eq(host));
    }
    if let Some(since) = filter.ended_since {
        query = query.filter(jobs::finished_at.ge(since));
    }
    if let Some(before) = before {
        query = query.filter(jobs::id.lt(before));
    }
    let rows: Vec<(Job, String, String)> = query.load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(job, linode, host)| JobRow { job, linode, host })
        .collect())
}

pub fn job(conn: &mut Db, id: JobId) -> Result<Option<JobRow>, StoreError> {
    let row: Option<(Job, String, String)> = jobs::table
        .inner_join(linodes::table)
        .inner_join(hosts::table)
        .filter(jobs::id.eq(id))
        .select((Job::as_select(), linodes::label, hosts::name))
        .first(conn)
        .optional()?;
    Ok(row.map(|(job, linode, host)| JobRow { job, linode, host }))
}

/// The jobs of a migration with their hosts' names, in order.
pub fn jobs_of_migration(conn: &mut Db, id: MigrationId) -> Result<Vec<JobRow>, StoreError> {
    let rows: Vec<(Job, String, String)> = jobs::table
        .inner_join(linodes::table)
        .inner_join(hosts::table)
        .filter(jobs::migration_id.eq(id))
        .order(jobs::id)
        .limit(1000)
        .select((Job::as_select(), linodes::label, hosts::name))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(job, linode, host)| JobRow { job, linode, host })
        .collect())
}

/// An entry of the audit trail about one thing.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit_events)]
pub struct AuditRow {
    pub at: Time,
    pub actor: String,
    pub address: String,
    pub action: String,
    pub before: String,
    pub after: String,
}

/// `object` as the trail names it ("migration 7"); newest first, at most 200.
pub fn audit_of(conn: &mut Db, object: &str) -> Result<Vec<AuditRow>, StoreError> {
    Ok(audit_events::table
        .filter(audit_events::object.eq(object))
        .order(audit_events::id.desc())
        .limit(200)
        .select(AuditRow::as_select())
        .load(conn)?)
}

/// Names of these users.
pub fn user_names(conn: &mut Db, of: Vec<UserId>) -> Result<HashMap<UserId, String>, StoreError> {
    let rows: Vec<(UserId, String)> = users::table
        .filter(users::id.eq_any(of))
        .select((users::id, users::name))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}
