//! What an import asks and adds: many rows at once, in batches that stay below both databases' limits on parameters.

use diesel::connection::SimpleConnection;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use diesel::prelude::*;

use super::db::{Db, lock_named};
use super::error::Result;
use super::schema::{
    accounts, config_profiles, disks, hosts, ips, kernels, linodes, migrations, plans, users,
};
use crate::domain::account::UserRole;
use crate::domain::host::{HostRole, HostState};
use crate::domain::ids::{AccountId, ConfigId, DiskId, HostId, LinodeId, PlanId};
use crate::domain::linode::{IpKind, KernelFamily, LinodeStatus, RunLevel};
use crate::domain::migration::{self, MigrationState};
use crate::domain::platform::Platform;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;

/// Rows in one statement. The widest row has 14 columns; SQLite takes 32,766 parameters.
const BATCH: usize = 1000;

/// One import at a time; the lock goes with the transaction. SQLite has one writer anyway.
pub fn lock(conn: &mut Db) -> Result<()> {
    lock_named(conn, *b"xeni")
}

/// Where a Linode that is already there stands.
#[derive(Debug, Clone)]
pub struct Place {
    pub account: AccountId,
    pub host: HostId,
}

pub fn plan_ids(conn: &mut Db) -> Result<HashMap<String, PlanId>> {
    let rows: Vec<(String, PlanId)> = plans::table.select((plans::label, plans::id)).load(conn)?;
    Ok(rows.into_iter().collect())
}

pub fn kernel_platforms(conn: &mut Db) -> Result<HashMap<String, Platform>> {
    let rows: Vec<(String, Platform)> = kernels::table
        .select((kernels::id, kernels::platform))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// By name: id, platform, and whether an agent is enrolled.
pub fn host_ids(conn: &mut Db) -> Result<HashMap<String, (HostId, Platform, bool)>> {
    let rows: Vec<(String, HostId, Platform, Option<String>)> = hosts::table
        .select((hosts::name, hosts::id, hosts::platform, hosts::fingerprint))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(name, id, platform, fingerprint)| (name, (id, platform, fingerprint.is_some())))
        .collect())
}

/// Runs a query for many keys, some at a time, and puts its rows of (key, value) together.
fn for_keys<K, V, Out>(
    keys: &[K],
    mut query: impl FnMut(Vec<K>) -> QueryResult<Vec<(Out, V)>>,
) -> Result<HashMap<Out, V>>
where
    K: Clone,
    Out: Eq + Hash,
{
    let mut found = HashMap::new();
    for some in keys.chunks(BATCH) {
        found.extend(query(some.to_vec())?);
    }
    Ok(found)
}

/// Functions that say of many keys, some at a time, what stands in another column of the rows that have them.
macro_rules! finds {
    ($($(#[$doc:meta])* $name:ident: $table:ident.$key:ident, $keys:ty => $column:ident, $found:ty;)+) => { $(
        $(#[$doc])*
        pub fn $name(conn: &mut Db, keys: &[$keys]) -> Result<HashMap<$keys, $found>> {
            for_keys(keys, |some| {
                $table::table
                    .filter($table::$key.eq_any(some))
                    .select(($table::$key, $table::$column))
                    .load(conn)
            })
        }
    )+ };
}

finds! {
    accounts_named: accounts.name, String => id, AccountId;
    /// The account of each user; `None` for staff without one.
    users_with: users.email, String => account_id, Option<AccountId>;
    macs: linodes.mac, String => id, LinodeId;
    /// The Linode of each disk.
    disks_with: disks.id, DiskId => linode_id, LinodeId;
    /// The Linode of each config profile.
    configs_with: config_profiles.id, ConfigId => linode_id, LinodeId;
    /// The Linode of each address.
    addresses: ips.address, String => linode_id, LinodeId;
}

/// Functions that say which labels are given within each of many owners, and to what.
macro_rules! labels {
    ($($name:ident: $table:ident by $owner:ident, $of:ty => $found:ty;)+) => { $(
        pub fn $name(conn: &mut Db, of: &[$of]) -> Result<HashMap<($of, String), $found>> {
            for_keys(of, |some| {
                let rows: Vec<($of, String, $found)> = $table::table
                    .filter($table::$owner.eq_any(some))
                    .select(($table::$owner, $table::label, $table::id))
                    .load(conn)?;
                let rows = rows.into_iter();
                Ok(rows.map(|(owner, label, id)| ((owner, label), id)).collect())
            })
        }
    )+ };
}

labels! {
    linode_labels: linodes by account_id, AccountId => LinodeId;
    disk_labels: disks by linode_id, LinodeId => DiskId;
    config_labels: config_profiles by linode_id, LinodeId => ConfigId;
}

pub fn linodes_with(conn: &mut Db, ids: &[LinodeId]) -> Result<HashMap<LinodeId, Place>> {
    for_keys(ids, |some| {
        let rows: Vec<(LinodeId, AccountId, HostId)> = linodes::table
            .filter(linodes::id.eq_any(some))
            .select((linodes::id, linodes::account_id, linodes::host_id))
            .load(conn)?;
        Ok(rows
            .into_iter()
            .map(|(id, account, host)| (id, Place { account, host }))
            .collect())
    })
}

/// Those of the Linodes that a migration holds at present, offers included.
pub fn in_migration(conn: &mut Db, of: &[LinodeId]) -> Result<HashSet<LinodeId>> {
    let live = MigrationState::those(migration::is_live);
    let mut found = HashSet::new();
    for some in of.chunks(BATCH) {
        let rows: Vec<LinodeId> = migrations::table
            .filter(migrations::linode_id.eq_any(some.to_vec()))
            .filter(migrations::state.eq_any(live.clone()))
            .select(migrations::linode_id)
            .load(conn)?;
        found.extend(rows);
    }
    Ok(found)
}

#[derive(Insertable)]
#[diesel(table_name = plans)]
pub struct NewPlan<'a> {
    pub label: &'a str,
    pub ram_mb: i64,
    pub disk_mb: i64,
    pub vcpus: i32,
    pub cpu_weight: i64,
}

#[derive(Insertable)]
#[diesel(table_name = kernels, treat_none_as_default_value = false)]
pub struct NewKernel<'a> {
    pub id: &'a str,
    pub label: &'a str,
    pub platform: Platform,
    pub family: KernelFamily,
    pub maps_to: Option<&'a str>,
}

#[derive(Insertable)]
#[diesel(table_name = hosts, treat_none_as_default_value = false)]
pub struct NewHost<'a> {
    pub name: &'a str,
    pub platform: Platform,
    pub role: HostRole,
    pub plan_id: Option<PlanId>,
    pub state: HostState,
    pub memory_mb: i64,
    pub disk_mb: i64,
    pub slots: i32,
    pub created_at: Time,
}

#[derive(Insertable)]
#[diesel(table_name = accounts)]
pub struct NewAccount<'a> {
    pub name: &'a str,
    pub created_at: Time,
}

#[derive(Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
pub struct NewUser<'a> {
    pub account_id: Option<AccountId>,
    pub email: &'a str,
    pub name: &'a str,
    pub role: UserRole,
    pub password_hash: Option<&'a str>,
    pub timezone: &'a str,
    pub disabled: bool,
    pub created_at: Time,
}

#[derive(Insertable)]
#[diesel(table_name = linodes)]
pub struct NewLinode<'a> {
    pub id: LinodeId,
    pub account_id: AccountId,
    pub label: &'a str,
    pub plan_id: PlanId,
    pub host_id: HostId,
    pub epoch: i64,
    pub fetched: bool,
    pub status: LinodeStatus,
    pub status_at: Time,
    pub mac: &'a str,
    pub created_at: Time,
}

#[derive(Insertable)]
#[diesel(table_name = disks)]
pub struct NewDisk<'a> {
    pub id: DiskId,
    pub linode_id: LinodeId,
    pub label: &'a str,
    pub size_mb: i64,
    pub filesystem: &'a str,
    pub created_at: Time,
}

#[derive(Insertable)]
#[diesel(table_name = config_profiles)]
pub struct NewConfig<'a> {
    pub id: ConfigId,
    pub linode_id: LinodeId,
    pub label: &'a str,
    pub kernel_id: &'a str,
    pub devices: String,
    pub root_device: String,
    pub read_only_root: bool,
    pub run_level: RunLevel,
    pub ram_limit_mb: i64,
    pub vcpus: i32,
    pub comments: &'a str,
    pub helpers: String,
}

#[derive(Insertable)]
#[diesel(table_name = ips, treat_none_as_default_value = false)]
pub struct NewIp<'a> {
    pub address: String,
    pub linode_id: LinodeId,
    pub host_id: HostId,
    pub prefix: i32,
    pub gateway: Option<String>,
    pub kind: IpKind,
    pub rdns: &'a str,
}

macro_rules! inserts {
    ($($name:ident: $row:ident into $table:ident;)+) => { $(
        pub fn $name(conn: &mut Db, rows: &[$row<'_>]) -> Result<()> {
            for some in rows.chunks(BATCH) {
                // Several rows in one statement are two different statements to Diesel.
                match conn {
                    Db::Pg(pg) => diesel::insert_into($table::table).values(some).execute(pg)?,
                    Db::Sqlite(lite) => diesel::insert_into($table::table).values(some).execute(lite)?,
                };
            }
            Ok(())
        }
    )+ };
}

inserts! {
    add_plans: NewPlan into plans;
    add_kernels: NewKernel into kernels;
    add_hosts: NewHost into hosts;
    add_accounts: NewAccount into accounts;
    add_users: NewUser into users;
    add_linodes: NewLinode into linodes;
    add_disks: NewDisk into disks;
    add_configs: NewConfig into config_profiles;
    add_ips: NewIp into ips;
}

/// After rows with ids of the provider's own: the ids that PostgreSQL gives next must come after them. (SQLite goes by
/// the largest id by itself.)
pub fn move_sequences(conn: &mut Db) -> Result<()> {
    if let Db::Pg(pg) = conn {
        for table in ["linodes", "disks", "config_profiles"] {
            pg.batch_execute(&format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), \
                 GREATEST((SELECT COALESCE(MAX(id), 1) FROM {table}), \
                 nextval(pg_get_serial_sequence('{table}', 'id'))))"
            ))?;
        }
    }
    Ok(())
}
