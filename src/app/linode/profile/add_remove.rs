//! Config profiles are added and deleted. What holds for changes holds for these: nothing that a move was agreed on
//! changes under it.

use crate::domain::audit::{Action, Object};
use std::collections::BTreeMap;

use super::{ProfileEdit, as_agreed, check, not_moving, same_name};
use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::app::linode::shared::own_linode;
use crate::domain::ids::{ConfigId, DiskId, LinodeId};
use crate::domain::migration::MigrationState;
use crate::store;
use crate::store::db::Db;
use crate::store::linode::Linode;
use crate::store::linode::profile::{ConfigProfile, NewProfile};

/// Config profiles that one Linode can have.
const MOST: usize = 25;
/// Devices of a profile: a to h.
pub const LETTERS: [char; 8] = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

impl App {
    /// Adds a config profile; `disks`: what stands behind each device, by its letter. The same label twice is refused, so
    /// a form sent twice makes one.
    pub fn add_profile(
        &self,
        actor: &Actor,
        linode: LinodeId,
        edit: &ProfileEdit,
        disks: &BTreeMap<char, DiskId>,
    ) -> Result<ConfigId> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            // Of two at once the second sees what the first left.
            store::linode::lock(tx.conn, linode)?;
            let linode = own_linode(tx.conn, account, linode)?;
            not_moving(tx.conn, linode.id)?;
            let profiles = store::linode::profile::profiles_of(tx.conn, linode.id)?;
            if profiles.iter().any(|it| it.label == edit.label.as_str()) {
                return Err(same_name());
            }
            if profiles.len() >= MOST {
                let message =
                    format!("A Linode has {MOST} config profiles at most. Delete one first");
                return Err(AppError::invalid("label", message));
            }
            let devices = devices(tx.conn, &linode, disks)?;
            let helpers = store::linode::profile::helpers_json(&edit.helpers)?;
            check(tx.conn, &linode, &blank(&devices), edit)?;
            let new = NewProfile {
                linode_id: linode.id,
                label: edit.label.as_str(),
                kernel_id: &edit.kernel,
                devices: &devices,
                root_device: &edit.root_device,
                read_only_root: edit.read_only_root,
                run_level: edit.run_level,
                ram_limit_mb: edit.ram_limit_mb,
                vcpus: edit.vcpus,
                comments: &edit.comments,
                helpers: &helpers,
            };
            let id = store::linode::profile::insert_profile(tx.conn, &new)
                .map_err(AppError::if_taken(same_name))?;
            as_agreed(tx.conn, linode.id)?;
            tx.audit(
                Action::ConfigProfileAdd,
                Object::ConfigProfile(linode.id, id),
                ("", &format!("{new:?}")),
            )?;
            Ok(id)
        })
    }

    /// Deletes a config profile: not the last one, not the one the Linode boots, not while a move is asked for.
    pub fn delete_profile(&self, actor: &Actor, linode: LinodeId, id: ConfigId) -> Result<()> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            // Of two at once the second sees what the first left.
            store::linode::lock(tx.conn, linode)?;
            let linode = own_linode(tx.conn, account, linode)?;
            let profiles = store::linode::profile::profiles_of(tx.conn, linode.id)?;
            let row = profiles
                .iter()
                .find(|it| it.id == id)
                .ok_or(AppError::NotFound)?;
            not_moving(tx.conn, linode.id)?;
            if let Some(why) = stays(&linode, &profiles, id) {
                return Err(AppError::conflict(why));
            }
            let queued = store::migration::of_linode(tx.conn, linode.id)?
                .iter()
                .any(|it| it.state == MigrationState::Queued);
            if queued {
                return Err(AppError::conflict(
                    "A move of this Linode is asked for. Delete config profiles when it is done, or cancel it first.",
                ));
            }
            store::linode::profile::delete_profile(tx.conn, id)?;
            tx.audit(Action::ConfigProfileDelete, Object::ConfigProfile(linode.id, id), (&format!("{row:?}"), ""))
        })
    }
}

/// Why a profile cannot be deleted now, if it cannot.
pub fn stays(linode: &Linode, profiles: &[ConfigProfile], id: ConfigId) -> Option<&'static str> {
    let chosen = profiles
        .iter()
        .find(|it| Some(it.id) == linode.boot_config_id)
        .or(profiles.first());
    if profiles.len() < 2 {
        Some("It is the only config profile of this Linode, which could not boot without one.")
    } else if chosen.is_some_and(|it| it.id == id) {
        Some("The Linode boots with this config profile. Boot it with another one first.")
    } else {
        None
    }
}

/// What the fields of a new profile are checked against.
fn blank(devices: &str) -> ConfigProfile {
    ConfigProfile {
        id: ConfigId(0),
        label: String::new(),
        kernel_id: String::new(),
        devices: devices.to_owned(),
        root_device: String::new(),
        read_only_root: true,
        run_level: crate::domain::linode::RunLevel::Default,
        ram_limit_mb: 0,
        vcpus: 1,
        comments: String::new(),
        helpers: String::new(),
    }
}

/// JSON: device name by the Linode's platform → disk of this Linode, each once.
fn devices(conn: &mut Db, linode: &Linode, disks: &BTreeMap<char, DiskId>) -> Result<String> {
    let host = store::host::host(conn, linode.host_id)?.ok_or(AppError::NotFound)?;
    let known = store::linode::disk::disks_of(conn, linode.id)?;
    let mut map = BTreeMap::new();
    for (letter, disk) in disks {
        if !LETTERS.contains(letter) || !known.iter().any(|it| it.id == *disk) {
            return Err(AppError::invalid(
                "device_a",
                "Choose disk images of this Linode",
            ));
        }
        if map.values().any(|other| other == disk) {
            return Err(AppError::invalid(
                "device_a",
                "Choose each disk image for one device only",
            ));
        }
        map.insert(host.platform.disk(*letter), *disk);
    }
    if map.is_empty() {
        return Err(AppError::invalid(
            "device_a",
            "Choose a disk image for one device at least",
        ));
    }
    serde_json::to_string(&map).map_err(|error| AppError::Fault(format!("devices: {error}")))
}
