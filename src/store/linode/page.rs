//! What members' pages show, read in a number of queries that does not grow with the number of rows.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;

use super::{ConfigProfile, Disk, Ip, Kernel, Linode, Plan};
use crate::domain::ids::{AccountId, HostId, JobId, LinodeId, MigrationId, RegistrationId};
use crate::domain::time::Time;
use crate::domain::words::{IpKind, JobState, MigrationKind, MigrationState, RegistrationState};
use crate::store::attention::{self, Pause};
use crate::store::db::{Db, StoreError};
use crate::store::host::Host;
use crate::store::job::{self, Job};
use crate::store::migration::{self, Digest, Migration, MigrationEvent, queue};
use crate::store::programme::move_times;
use crate::store::registration::{self, Registration};
use crate::store::{linode, schema};

/// A Linode in a list, with the newest of what concerns its move.
pub struct LinodeRow {
    pub linode: Linode,
    pub plan: Plan,
    pub host: Host,
    /// Its first public address.
    pub address: Option<String>,
    pub registration: Option<Registration>,
    /// The newest; one that came to nothing does not hide a move before it that waits for its confirmation.
    pub migration: Option<Migration>,
    pub disks: usize,
    pub profiles: usize,
}

/// The account's Linodes by label: at most a thousand.
pub fn linodes(conn: &mut Db, account: AccountId) -> Result<Vec<LinodeRow>, StoreError> {
    let rows: Vec<(Linode, Plan, Host)> = schema::linodes::table
        .inner_join(schema::plans::table)
        .inner_join(schema::hosts::table)
        .filter(schema::linodes::account_id.eq(account))
        .order((schema::linodes::label, schema::linodes::id))
        .limit(1000)
        .select((Linode::as_select(), Plan::as_select(), Host::as_select()))
        .load(conn)?;
    let ids: Vec<LinodeId> = rows.iter().map(|(linode, ..)| linode.id).collect();
    let mut addresses = first_addresses(conn, &ids)?;
    let disks = linode::disks_of_all(conn, &ids)?;
    let profiles = linode::profiles_of_all(conn, &ids)?;
    let mut newest_registration = HashMap::new();
    for row in registration::of_account(conn, account)? {
        newest_registration.entry(row.linode_id).or_insert(row);
    }
    let mut newest_migration = HashMap::new();
    for row in migration::of_account(conn, account)? {
        // That staff moved it off a host says nothing of its place in the beta, once that is over.
        let is_over = matches!(
            row.state,
            MigrationState::Confirmed | MigrationState::Returned | MigrationState::Cancelled
        );
        if row.kind == MigrationKind::Evacuation && is_over {
            continue;
        }
        newest_migration
            .entry(row.linode_id)
            .and_modify(|newer: &mut Migration| {
                if came_to_nothing(newer) && row.state == MigrationState::Finished {
                    *newer = row.clone();
                }
            })
            .or_insert(row);
    }
    Ok(rows
        .into_iter()
        .map(|(linode, plan, host)| LinodeRow {
            address: addresses.remove(&linode.id),
            registration: newest_registration.remove(&linode.id),
            migration: newest_migration.remove(&linode.id),
            disks: disks.get(&linode.id).map_or(0, Vec::len),
            profiles: profiles.get(&linode.id).map_or(0, Vec::len),
            linode,
            plan,
            host,
        })
        .collect())
}

fn came_to_nothing(migration: &Migration) -> bool {
    matches!(
        migration.state,
        MigrationState::Expired | MigrationState::Cancelled
    )
}

fn first_addresses(
    conn: &mut Db,
    of: &[LinodeId],
) -> Result<HashMap<LinodeId, String>, StoreError> {
    let rows: Vec<(LinodeId, String)> = schema::ips::table
        .filter(schema::ips::linode_id.eq_any(of.to_vec()))
        .filter(schema::ips::kind.eq(IpKind::Public))
        .order(schema::ips::id)
        .select((schema::ips::linode_id, schema::ips::address))
        .load(conn)?;
    let mut first = HashMap::new();
    for (linode, address) in rows {
        first.entry(linode).or_insert(address);
    }
    Ok(first)
}

/// The places of these registrations in the queue for review, counted from 1. Looks at the first 10,000 of the queue;
/// whoever waits further back is not in the answer.
pub fn positions(
    conn: &mut Db,
    of: &[RegistrationId],
) -> Result<HashMap<RegistrationId, usize>, StoreError> {
    if of.is_empty() {
        return Ok(HashMap::new());
    }
    let queue: Vec<RegistrationId> = schema::registrations::table
        .filter(schema::registrations::state.eq(RegistrationState::Requested))
        .order((
            schema::registrations::requested_at,
            schema::registrations::id,
        ))
        .limit(10_000)
        .select(schema::registrations::id)
        .load(conn)?;
    Ok(queue
        .into_iter()
        .enumerate()
        .filter(|(_, id)| of.contains(id))
        .map(|(before, id)| (id, before + 1))
        .collect())
}

/// How long the last decisions took from request to answer, in seconds, newest first: at most 50.
pub fn recent_waits(conn: &mut Db) -> Result<Vec<i64>, StoreError> {
    let rows: Vec<(Time, Option<Time>)> = schema::registrations::table
        .filter(schema::registrations::state.eq(RegistrationState::Approved))
        .filter(schema::registrations::decided_at.is_not_null())
        .order(schema::registrations::id.desc())
        .limit(50)
        .select((
            schema::registrations::requested_at,
            schema::registrations::decided_at,
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .filter_map(|(from, to)| to.map(|to| to.seconds_since(from)))
        .collect())
}

/// Everything on a Linode's own page.
pub struct LinodeDetail {
    pub linode: Linode,
    pub plan: Plan,
    pub host: Host,
    pub disks: Vec<Disk>,
    pub profiles: Vec<ConfigProfile>,
    pub ips: Vec<Ip>,
    pub kernels: BTreeMap<String, Kernel>,
    pub registration: Option<Registration>,
    /// Newest first.
    pub migrations: Vec<Migration>,
    /// The Host Job Queue, newest first: at most 25.
    pub jobs: Vec<Job>,
    pub host_names: HashMap<HostId, String>,
}

/// `None` for no such Linode, and for somebody else's.
pub fn linode(
    conn: &mut Db,
    account: AccountId,
    id: LinodeId,
) -> Result<Option<LinodeDetail>, StoreError> {
    let found: Option<(Linode, Plan, Host)> = schema::linodes::table
        .inner_join(schema::plans::table)
        .inner_join(schema::hosts::table)
        .filter(schema::linodes::id.eq(id))
        .filter(schema::linodes::account_id.eq(account))
        .select((Linode::as_select(), Plan::as_select(), Host::as_select()))
        .first(conn)
        .optional()?;
    let Some((linode, plan, host)) = found else {
        return Ok(None);
    };
    let jobs = job::of_linode(conn, id, 25)?;
    let migrations = migration::of_linode(conn, id)?;
    let mut hosts: Vec<HostId> = jobs.iter().map(|job| job.host_id).collect();
    hosts.extend(
        migrations
            .iter()
            .flat_map(|migration| [migration.source_host_id, migration.destination_host_id]),
    );
    Ok(Some(LinodeDetail {
        disks: linode::disks_of(conn, id)?,
        profiles: linode::profiles_of(conn, id)?,
        ips: linode::ips_of(conn, id)?,
        kernels: kernels(conn)?,
        registration: registration::newest_of(conn, id)?,
        host_names: host_names(conn, hosts)?,
        linode,
        plan,
        host,
        migrations,
        jobs,
    }))
}

/// A Linode's jobs, newest first, older than `before`, with the names of their hosts; `None` for no such Linode, and for
/// somebody else's.
#[allow(clippy::type_complexity, reason = "read in one place")]
pub fn job_history(
    conn: &mut Db,
    account: AccountId,
    id: LinodeId,
    before: Option<JobId>,
    limit: i64,
) -> Result<Option<(Linode, Vec<Job>, HashMap<HostId, String>)>, StoreError> {
    let Some(linode) = linode::linode_of(conn, account, id)? else {
        return Ok(None);
    };
    let jobs: Vec<Job> = schema::jobs::table
        .filter(schema::jobs::linode_id.eq(id))
        .filter(schema::jobs::id.lt(before.unwrap_or(JobId(i64::MAX))))
        .order(schema::jobs::id.desc())
        .limit(limit)
        .select(Job::as_select())
        .load(conn)?;
    let hosts = host_names(conn, jobs.iter().map(|job| job.host_id).collect())?;
    Ok(Some((linode, jobs, hosts)))
}

fn kernels(conn: &mut Db) -> Result<BTreeMap<String, Kernel>, StoreError> {
    let rows: Vec<Kernel> = schema::kernels::table
        .select(Kernel::as_select())
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|kernel| (kernel.id.clone(), kernel))
        .collect())
}

/// Names of these hosts.
pub fn host_names(
    conn: &mut Db,
    mut of: Vec<HostId>,
) -> Result<HashMap<HostId, String>, StoreError> {
    of.sort_unstable();
    of.dedup();
    let rows: Vec<(HostId, String)> = schema::hosts::table
        .filter(schema::hosts::id.eq_any(of))
        .select((schema::hosts::id, schema::hosts::name))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// Everything on a migration's page.
pub struct MigrationDetail {
    pub migration: Migration,
    pub linode: Linode,
    pub source: Host,
    pub destination: Host,
    pub events: Vec<MigrationEvent>,
    pub digests: Vec<Digest>,
    pub disks: Vec<Disk>,
    /// The step at work or waiting, if any.
    pub job: Option<Job>,
    /// The way back begun from this migration, newest.
    pub child: Option<Migration>,
    pub queue: Place,
}

/// Where a migration stands among the queued, and what holds it back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// From 1, while it is queued and its time has come.
    pub position: Option<i64>,
    /// The end of the quiet hours, if they hold it, or will when its time comes.
    pub held_until: Option<Time>,
    /// Why nothing happens to its Linode at all.
    pub pause: Pause,
}

/// What changes of a migration while one looks: the row, its job at work or waiting, its place in the queue.
/// `account`: whose it must be; `None` for staff. `None` comes back for no such
/// migration, and for somebody else's.
#[allow(clippy::type_complexity, reason = "read in one place")]
pub fn migration_now(
    conn: &mut Db,
    account: Option<AccountId>,
    id: MigrationId,
    now: Time,
) -> Result<Option<(Migration, Option<Job>, Place)>, StoreError> {
    let Some(migration) = migration::migration(conn, id)? else {
        return Ok(None);
    };
    if account.is_some_and(|account| account != migration.account_id) {
        return Ok(None);
    }
    let job = schema::jobs::table
        .filter(schema::jobs::migration_id.eq(id))
        .filter(schema::jobs::state.eq_any([JobState::Pending, JobState::Leased, JobState::Failed]))
        .order(schema::jobs::id.desc())
        .select(Job::as_select())
        .first(conn)
        .optional()?;
    let is_due = migration.not_before.is_none_or(|at| at <= now);
    let position = if migration.state == MigrationState::Queued && is_due {
        let quiet = move_times::limits(conn)?.0.is_quiet(now);
        Some(queue::queued_before(conn, &migration, now, quiet)? + 1)
    } else {
        None
    };
    let queue = Place {
        position,
        held_until: move_times::held_until(conn, &migration, now)?,
        pause: attention::pause(conn, migration.linode_id)?,
    };
    Ok(Some((migration, job, queue)))
}

/// Everything on a migration's page; `account` as for [`migration_now`].
pub fn migration(
    conn: &mut Db,
    account: Option<AccountId>,
    id: MigrationId,
    now: Time,
) -> Result<Option<MigrationDetail>, StoreError> {
    let Some((migration, job, queue)) = migration_now(conn, account, id, now)? else {
        return Ok(None);
    };
    let Some(linode) = linode::linode(conn, migration.linode_id)? else {
        return Ok(None);
    };
    let mut hosts: Vec<Host> = schema::hosts::table
        .filter(schema::hosts::id.eq_any([migration.source_host_id, migration.destination_host_id]))
        .select(Host::as_select())
        .load(conn)?;
    let mut take = |id: HostId| {
        hosts
            .iter()
            .position(|host| host.id == id)
            .map(|at| hosts.swap_remove(at))
    };
    let (Some(source), Some(destination)) = (
        take(migration.source_host_id),
        take(migration.destination_host_id),
    ) else {
        return Err(StoreError::Data(format!(
            "migration {id} names a host that does not exist"
        )));
    };
    let child = schema::migrations::table
        .filter(schema::migrations::parent_id.eq(id))
        .order(schema::migrations::id.desc())
        .select(Migration::as_select())
        .first(conn)
        .optional()?;
    Ok(Some(MigrationDetail {
        events: migration::events(conn, id)?,
        digests: migration::digests(conn, id)?,
        disks: linode::disks_of(conn, linode.id)?,
        migration,
        linode,
        source,
        destination,
        job,
        child,
        queue,
    }))
}

/// Bytes on the wire and seconds of the last finished migrations, for a rate to promise from: at most 20.
pub fn recent_moves(conn: &mut Db) -> Result<Vec<Migration>, StoreError> {
    Ok(schema::migrations::table
        .filter(schema::migrations::finished_at.is_not_null())
        .order(schema::migrations::id.desc())
        .limit(20)
        .select(Migration::as_select())
        .load(conn)?)
}
