//! Plans, kernels, Linodes and what belongs to a Linode: disks, config profiles, addresses.

pub mod page;

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;

use super::db::{Db, StoreError};
use super::name_index;
use super::schema::{config_profiles, disks, ips, kernels, linodes, plans};
use crate::domain::ids::{AccountId, ConfigId, DiskId, HostId, IpId, LinodeId, PlanId};
use crate::domain::linode::translate;
use crate::domain::ownership::Row;
use crate::domain::time::Time;
use crate::domain::words::{Helper, IpKind, KernelFamily, LinodeStatus, Platform, RunLevel};

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = plans)]
pub struct Plan {
    pub id: PlanId,
    pub label: String,
    pub ram_mb: i64,
    pub disk_mb: i64,
    pub vcpus: i32,
    pub cpu_weight: i64,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = kernels)]
pub struct Kernel {
    pub id: String,
    pub label: String,
    pub platform: Platform,
    pub family: KernelFamily,
    pub maps_to: Option<String>,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = linodes)]
pub struct Linode {
    pub id: LinodeId,
    pub account_id: AccountId,
    pub label: String,
    pub plan_id: PlanId,
    /// The owner: the one host that may run it, under `epoch`.
    pub host_id: HostId,
    pub epoch: i64,
    /// The owner has been told of this epoch (or could have been).
    pub fetched: bool,
    pub status: LinodeStatus,
    pub status_at: Time,
    pub mac: String,
    pub boot_config_id: Option<ConfigId>,
    pub console: Option<String>,
    pub created_at: Time,
    /// When `console` was read.
    pub console_at: Option<Time>,
}

impl Linode {
    /// Who owns it, as the rules of ownership look at it.
    #[must_use]
    pub fn row(&self) -> Row {
        Row {
            host: self.host_id,
            epoch: self.epoch,
            fetched: self.fetched,
        }
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = disks)]
pub struct Disk {
    pub id: DiskId,
    pub linode_id: LinodeId,
    pub label: String,
    pub size_mb: i64,
    pub filesystem: String,
    pub created_at: Time,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = config_profiles)]
pub struct ConfigProfile {
    pub id: ConfigId,
    pub linode_id: LinodeId,
    pub label: String,
    pub kernel_id: String,
    /// JSON: device name → disk id. Read it with [`ConfigProfile::device_map`].
    pub devices: String,
    pub root_device: String,
    pub read_only_root: bool,
    pub run_level: RunLevel,
    /// MiB; 0 is all that the plan has.
    pub ram_limit_mb: i64,
    pub vcpus: i32,
    pub comments: String,
    /// JSON: list of helper words. Read it with [`ConfigProfile::helper_list`].
    pub helpers: String,
}

impl ConfigProfile {
    pub fn device_map(&self) -> Result<BTreeMap<String, DiskId>, StoreError> {
        serde_json::from_str(&self.devices).map_err(|error| {
            StoreError::Data(format!("devices of config profile {}: {error}", self.id))
        })
    }

    pub fn helper_list(&self) -> Result<Vec<Helper>, StoreError> {
        serde_json::from_str(&self.helpers).map_err(|error| {
            StoreError::Data(format!("helpers of config profile {}: {error}", self.id))
        })
    }

    /// The part of it that depends on the platform.
    pub fn platform_part(&self) -> Result<translate::Profile, StoreError> {
        Ok(translate::Profile {
            label: self.label.clone(),
            kernel: self.kernel_id.clone(),
            devices: self.device_map()?,
            root_device: self.root_device.clone(),
            helpers: self.helper_list()?,
            ram_limit_mb: self.ram_limit_mb,
            vcpus: self.vcpus,
        })
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = ips)]
pub struct Ip {
    pub id: IpId,
    pub address: String,
    pub linode_id: LinodeId,
    pub host_id: HostId,
    pub prefix: i32,
    pub gateway: Option<String>,
    pub kind: IpKind,
    pub rdns: String,
}

pub fn plans(conn: &mut Db) -> Result<Vec<Plan>, StoreError> {
    Ok(plans::table
        .order((plans::ram_mb, plans::id))
        .select(Plan::as_select())
        .load(conn)?)
}

pub fn plan(conn: &mut Db, id: PlanId) -> Result<Plan, StoreError> {
    Ok(plans::table
        .find(id)
        .select(Plan::as_select())
        .first(conn)?)
}

/// All kernels, by id, as the translation of config profiles wants them.
pub fn kernels(conn: &mut Db) -> Result<BTreeMap<String, translate::Kernel>, StoreError> {
    let rows: Vec<Kernel> = kernels::table.select(Kernel::as_select()).load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let kernel = translate::Kernel {
                id: row.id.clone(),
                label: row.label,
                platform: row.platform,
                family: row.family,
                maps_to: row.maps_to,
            };
            (row.id, kernel)
        })
        .collect())
}

pub fn linode(conn: &mut Db, id: LinodeId) -> Result<Option<Linode>, StoreError> {
    Ok(linodes::table
        .find(id)
        .select(Linode::as_select())
        .first(conn)
        .optional()?)
}

/// The Linode if it is this account's; somebody else's looks the same as none.
pub fn linode_of(
    conn: &mut Db,
    account: AccountId,
    id: LinodeId,
) -> Result<Option<Linode>, StoreError> {
    Ok(linodes::table
        .find(id)
        .filter(linodes::account_id.eq(account))
        .select(Linode::as_select())
        .first(conn)
        .optional()?)
}

pub fn linodes_of(conn: &mut Db, account: AccountId) -> Result<Vec<Linode>, StoreError> {
    Ok(linodes::table
        .filter(linodes::account_id.eq(account))
        .order((linodes::label, linodes::id))
        .limit(1000)
        .select(Linode::as_select())
        .load(conn)?)
}

/// Takes the Linode's row lock on PostgreSQL, so that of two who ask for the same thing the second sees what the first
/// did. SQLite has one writer anyway.
pub fn lock(conn: &mut Db, id: LinodeId) -> Result<(), StoreError> {
    if let Db::Pg(pg) = conn {
        linodes::table
            .find(id)
            .select(linodes::id)
            // Others' rows may refer to it meanwhile.
            .for_no_key_update()
            .first::<LinodeId>(pg)
            // One that is not there is found out by who looks for it.
            .optional()?;
    }
    Ok(())
}

pub fn linodes_on(conn: &mut Db, host: HostId) -> Result<Vec<Linode>, StoreError> {
    Ok(linodes::table
        .filter(linodes::host_id.eq(host))
        .order(linodes::id)
        .select(Linode::as_select())
        .load(conn)?)
}

/// Those of these that there are, in no order.
pub fn some(conn: &mut Db, ids: &[LinodeId]) -> Result<Vec<Linode>, StoreError> {
    Ok(linodes::table
        .filter(linodes::id.eq_any(ids.to_vec()))
        .select(Linode::as_select())
        .load(conn)?)
}

pub fn disks_of(conn: &mut Db, linode: LinodeId) -> Result<Vec<Disk>, StoreError> {
    Ok(disks::table
        .filter(disks::linode_id.eq(linode))
        .order(disks::id)
        .select(Disk::as_select())
        .load(conn)?)
}

pub fn profiles_of(conn: &mut Db, linode: LinodeId) -> Result<Vec<ConfigProfile>, StoreError> {
    Ok(config_profiles::table
        .filter(config_profiles::linode_id.eq(linode))
        .order(config_profiles::id)
        .select(ConfigProfile::as_select())
        .load(conn)?)
}

pub fn ips_of(conn: &mut Db, linode: LinodeId) -> Result<Vec<Ip>, StoreError> {
    Ok(ips::table
        .filter(ips::linode_id.eq(linode))
        .order((ips::kind.desc(), ips::id))
        .select(Ip::as_select())
        .load(conn)?)
}

/// Disks of several Linodes in one query, by Linode.
pub fn disks_of_all(
    conn: &mut Db,
    of: &[LinodeId],
) -> Result<HashMap<LinodeId, Vec<Disk>>, StoreError> {
    let rows: Vec<Disk> = disks::table
        .filter(disks::linode_id.eq_any(of.to_vec()))
        .order(disks::id)
        .select(Disk::as_select())
        .load(conn)?;
    Ok(group(rows, |disk| disk.linode_id))
}

pub fn profiles_of_all(
    conn: &mut Db,
    of: &[LinodeId],
) -> Result<HashMap<LinodeId, Vec<ConfigProfile>>, StoreError> {
    let rows: Vec<ConfigProfile> = config_profiles::table
        .filter(config_profiles::linode_id.eq_any(of.to_vec()))
        .order(config_profiles::id)
        .select(ConfigProfile::as_select())
        .load(conn)?;
    Ok(group(rows, |profile| profile.linode_id))
}

fn group<T>(rows: Vec<T>, key: impl Fn(&T) -> LinodeId) -> HashMap<LinodeId, Vec<T>> {
    let mut groups: HashMap<LinodeId, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}

/// The one compare-and-set by which ownership changes; `false` if the Linode is not as `from` says.
pub fn hand_over(
    conn: &mut Db,
    linode: LinodeId,
    (from, to): (Row, Row),
) -> Result<bool, StoreError> {
    let changed = diesel::update(
        linodes::table
            .find(linode)
            .filter(linodes::host_id.eq(from.host))
            .filter(linodes::epoch.eq(from.epoch))
            .filter(linodes::fetched.eq(from.fetched)),
    )
    .set((
        linodes::host_id.eq(to.host),
        linodes::epoch.eq(to.epoch),
        linodes::fetched.eq(to.fetched),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

pub fn set_status(
    conn: &mut Db,
    linode: LinodeId,
    status: LinodeStatus,
    now: Time,
) -> Result<(), StoreError> {
    diesel::update(linodes::table.find(linode))
        .set((linodes::status.eq(status), linodes::status_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub fn set_console(
    conn: &mut Db,
    linode: LinodeId,
    console: &str,
    now: Time,
) -> Result<(), StoreError> {
    diesel::update(linodes::table.find(linode))
        .set((linodes::console.eq(console), linodes::console_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub fn set_boot_config(
    conn: &mut Db,
    linode: LinodeId,
    config: ConfigId,
) -> Result<(), StoreError> {
    diesel::update(linodes::table.find(linode))
        .set(linodes::boot_config_id.eq(config))
        .execute(conn)?;
    Ok(())
}

/// Rewrites the part of a config profile that depends on the platform or the plan.
pub fn set_profile(
    conn: &mut Db,
    id: ConfigId,
    profile: &translate::Profile,
) -> Result<(), StoreError> {
    let json = |error: serde_json::Error| StoreError::Data(error.to_string());
    diesel::update(config_profiles::table.find(id))
        .set((
            config_profiles::kernel_id.eq(&profile.kernel),
            config_profiles::devices.eq(serde_json::to_string(&profile.devices).map_err(json)?),
            config_profiles::root_device.eq(&profile.root_device),
            config_profiles::ram_limit_mb.eq(profile.ram_limit_mb),
            config_profiles::vcpus.eq(profile.vcpus),
            config_profiles::helpers.eq(helpers_json(&profile.helpers)?),
        ))
        .execute(conn)?;
    Ok(())
}

pub fn helpers_json(helpers: &[Helper]) -> Result<String, StoreError> {
    serde_json::to_string(helpers).map_err(|error| StoreError::Data(error.to_string()))
}

/// The parts of a config profile that its member edits.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = config_profiles)]
pub struct ProfileChange<'a> {
    pub label: &'a str,
    pub kernel_id: &'a str,
    pub root_device: &'a str,
    pub read_only_root: bool,
    pub run_level: RunLevel,
    pub ram_limit_mb: i64,
    pub vcpus: i32,
    pub comments: &'a str,
    /// JSON: list of helper words.
    pub helpers: &'a str,
}

pub fn change_profile(
    conn: &mut Db,
    id: ConfigId,
    change: &ProfileChange<'_>,
) -> Result<(), StoreError> {
    diesel::update(config_profiles::table.find(id))
        .set(change)
        .execute(conn)?;
    Ok(())
}

#[derive(Debug, Insertable)]
#[diesel(table_name = config_profiles)]
pub struct NewProfile<'a> {
    pub linode_id: LinodeId,
    pub label: &'a str,
    pub kernel_id: &'a str,
    /// JSON: device name → disk id.
    pub devices: &'a str,
    pub root_device: &'a str,
    pub read_only_root: bool,
    pub run_level: RunLevel,
    pub ram_limit_mb: i64,
    pub vcpus: i32,
    pub comments: &'a str,
    /// JSON: list of helper words.
    pub helpers: &'a str,
}

pub fn insert_profile(conn: &mut Db, new: &NewProfile<'_>) -> Result<ConfigId, StoreError> {
    Ok(diesel::insert_into(config_profiles::table)
        .values(new)
        .returning(config_profiles::id)
        .get_result(conn)?)
}

pub fn delete_profile(conn: &mut Db, id: ConfigId) -> Result<(), StoreError> {
    diesel::delete(config_profiles::table.find(id)).execute(conn)?;
    Ok(())
}

/// Fails with a duplicate if the Linode has a disk of this label.
pub fn rename_disk(conn: &mut Db, id: DiskId, label: &str) -> Result<(), StoreError> {
    diesel::update(disks::table.find(id))
        .set(disks::label.eq(label))
        .execute(conn)?;
    Ok(())
}

/// A duplicate if another Linode of its account has this label.
pub fn rename_linode(conn: &mut Db, id: LinodeId, label: &str) -> Result<(), StoreError> {
    diesel::update(linodes::table.find(id))
        .set(linodes::label.eq(label))
        .execute(conn)?;
    name_index::set_linode(conn, id, label)
}

pub fn set_rdns(conn: &mut Db, id: IpId, name: &str) -> Result<(), StoreError> {
    diesel::update(ips::table.find(id))
        .set(ips::rdns.eq(name))
        .execute(conn)?;
    Ok(())
}
