//! Config profiles of Linodes, and which one boots.

use std::collections::BTreeMap;

use diesel::prelude::*;

use crate::domain::ids::{ConfigId, DiskId, LinodeId, OWN_CONFIGS};
use crate::domain::linode::{Helper, RunLevel, translate};
use crate::store::db::{Columns, Db, columns, direct, lock_named};
use crate::store::error::{Result, StoreError};
use crate::store::schema::{config_profiles, linodes};

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = config_profiles)]
pub struct ConfigProfile {
    pub id: ConfigId,
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
    pub fn device_map(&self) -> Result<BTreeMap<String, DiskId>> {
        serde_json::from_str(&self.devices).map_err(|error| {
            StoreError::Data(format!("devices of config profile {}: {error}", self.id))
        })
    }

    pub fn helper_list(&self) -> Result<Vec<Helper>> {
        serde_json::from_str(&self.helpers).map_err(|error| {
            StoreError::Data(format!("helpers of config profile {}: {error}", self.id))
        })
    }

    /// The part of it that depends on the platform.
    pub fn platform_part(&self) -> Result<translate::Profile> {
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

#[diesel::dsl::auto_type]
pub(super) fn of_linode(linode: LinodeId) -> _ {
    let all: Columns<ConfigProfile> = columns::<ConfigProfile>();
    config_profiles::table
        .filter(config_profiles::linode_id.eq(linode))
        .order(config_profiles::id)
        .select(all)
}

pub fn profiles_of(conn: &mut Db, linode: LinodeId) -> Result<Vec<ConfigProfile>> {
    Ok(direct!(conn, |conn| of_linode(linode).load(conn))?)
}

pub fn set_boot_config(conn: &mut Db, linode: LinodeId, config: ConfigId) -> Result<()> {
    diesel::update(linodes::table.find(linode))
        .set(linodes::boot_config_id.eq(config))
        .execute(conn)?;
    Ok(())
}

/// Rewrites the part of a config profile that depends on the platform or the plan.
pub fn set_profile(conn: &mut Db, id: ConfigId, profile: &translate::Profile) -> Result<()> {
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

pub fn helpers_json(helpers: &[Helper]) -> Result<String> {
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

pub fn change_profile(conn: &mut Db, id: ConfigId, change: &ProfileChange<'_>) -> Result<()> {
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

/// Its number is of the portal's own range: those below are given by the manager, whose next import brings them.
pub fn insert_profile(conn: &mut Db, new: &NewProfile<'_>) -> Result<ConfigId> {
    lock_named(conn, *b"xenc")?;
    let last: Option<i64> = config_profiles::table
        .filter(config_profiles::id.ge(OWN_CONFIGS))
        .select(diesel::dsl::max(config_profiles::id))
        .get_result(conn)?;
    let id = last.map_or(OWN_CONFIGS.0, |last| last + 1);
    Ok(diesel::insert_into(config_profiles::table)
        .values((config_profiles::id.eq(id), new))
        .returning(config_profiles::id)
        .get_result(conn)?)
}

pub fn delete_profile(conn: &mut Db, id: ConfigId) -> Result<()> {
    diesel::delete(config_profiles::table.find(id)).execute(conn)?;
    Ok(())
}
