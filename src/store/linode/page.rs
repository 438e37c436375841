//! What members' pages of Linodes show, read in a number of queries that does not grow with the number of rows.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;

use super::Linode;
use super::address::Ip;
use super::disk::Disk;
use super::profile::ConfigProfile;
use crate::domain::ids::{AccountId, HostId, LinodeId};
use crate::domain::words::{IpKind, MigrationKind, MigrationState};
use crate::store::catalogue::{Kernel, Plan};
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::host::{Host, host_names};
use crate::store::job::{self, Job};
use crate::store::migration::{self, Migration};
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
    let disks = linode::disk::disks_of_all(conn, &ids)?;
    let profiles = linode::profile::profiles_of_all(conn, &ids)?;
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
        disks: linode::disk::disks_of(conn, id)?,
        profiles: linode::profile::profiles_of(conn, id)?,
        ips: linode::address::ips_of(conn, id)?,
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

fn kernels(conn: &mut Db) -> Result<BTreeMap<String, Kernel>, StoreError> {
    let rows: Vec<Kernel> = schema::kernels::table
        .select(Kernel::as_select())
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|kernel| (kernel.id.clone(), kernel))
        .collect())
}
