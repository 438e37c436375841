//! A Linode's config profiles: changed within what is checked, and not while a move was agreed on them.

pub mod add_remove;
pub mod translation;

use crate::domain::audit::{Action, Object};
use translation::needs_acceptance;

use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::{AppError, Result};
use crate::app::linode::shared::own_linode;
use crate::domain::ids::{ConfigId, LinodeId};
use crate::domain::linode::{Helper, RunLevel};
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::domain::values::{Label, RootDevice};
use crate::store;
use crate::store::db::Db;
use crate::store::linode::Linode;
use crate::store::linode::profile::{ConfigProfile, ProfileChange};

/// Characters of a profile's comments.
const COMMENTS: usize = 1000;
/// Below this no kernel here comes up with its initramfs (docs/BOOT.md).
const LEAST_RAM_MB: i64 = 64;

/// What a member may change of a config profile.
#[derive(Debug, Clone)]
pub struct ProfileEdit {
    pub label: Label,
    pub kernel: String,
    /// With or without `/dev/`; a disk of the device map, or a partition of one.
    pub root_device: String,
    pub read_only_root: bool,
    pub run_level: RunLevel,
    /// MiB; 0 is all that the plan has.
    pub ram_limit_mb: i64,
    pub vcpus: i32,
    pub comments: String,
    pub helpers: Vec<Helper>,
}

impl App {
    /// Changes a config profile. It holds from the next boot on.
    pub fn edit_profile(
        &self,
        actor: &Actor,
        linode: LinodeId,
        id: ConfigId,
        edit: &ProfileEdit,
    ) -> Result<()> {
        let account = actor.require_account()?;
        self.transact(actor.who(), |tx| {
            store::linode::lock(tx.conn, linode)?;
            let linode = own_linode(tx.conn, account, linode)?;
            let profiles = store::linode::profile::profiles_of(tx.conn, linode.id)?;
            let before = profiles
                .iter()
                .find(|it| it.id == id)
                .ok_or(AppError::NotFound)?;
            not_moving(tx.conn, linode.id)?;
            let twin = |it: &ConfigProfile| it.id != id && it.label == edit.label.as_str();
            if profiles.iter().any(twin) {
                return Err(same_name());
            }
            check(tx.conn, &linode, before, edit)?;
            let change = ProfileChange {
                label: edit.label.as_str(),
                kernel_id: &edit.kernel,
                root_device: &edit.root_device,
                read_only_root: edit.read_only_root,
                run_level: edit.run_level,
                ram_limit_mb: edit.ram_limit_mb,
                vcpus: edit.vcpus,
                comments: &edit.comments,
                helpers: &store::linode::profile::helpers_json(&edit.helpers)?,
            };
            let (old, new) = (before_text(before), format!("{change:?}"));
            if old == new {
                // The second press of two.
                return Ok(());
            }
            store::linode::profile::change_profile(tx.conn, id, &change)
                .map_err(AppError::if_taken(same_name))?;
            as_agreed(tx.conn, linode.id)?;
            tx.audit(
                Action::ConfigProfile,
                Object::ConfigProfile(linode.id, id),
                (&old, &new),
            )
        })
    }
}

/// As the change itself is written, so that both can be compared.
fn before_text(row: &ConfigProfile) -> String {
    let change = ProfileChange {
        label: &row.label,
        kernel_id: &row.kernel_id,
        root_device: &row.root_device,
        read_only_root: row.read_only_root,
        run_level: row.run_level,
        ram_limit_mb: row.ram_limit_mb,
        vcpus: row.vcpus,
        comments: &row.comments,
        helpers: &row.helpers,
    };
    format!("{change:?}")
}

pub(in crate::app) fn same_name() -> AppError {
    AppError::invalid(
        "label",
        "Another config profile of this Linode has this name",
    )
}

/// What both hosts have agreed on must not change under them. Whoever starts a move now waits for what is changed here.
pub(in crate::app) fn not_moving(conn: &mut Db, linode: LinodeId) -> Result<()> {
    let moving = store::migration::locked_of_linode(conn, linode)?
        .iter()
        .any(|row| {
            matches!(
                row.state,
                MigrationState::Preparing
                    | MigrationState::Copying
                    | MigrationState::Holding
                    | MigrationState::Switching
                    | MigrationState::Returning
            )
        });
    if moving {
        return Err(AppError::conflict(
            "The Linode is being moved. Change its config profiles when that is done.",
        ));
    }
    Ok(())
}

/// A move that was asked for without a change of a kernel's family must not come to need one. Called after the change;
/// the error takes it back with the transaction.
pub(in crate::app) fn as_agreed(conn: &mut Db, linode: LinodeId) -> Result<()> {
    for row in store::migration::of_linode(conn, linode)? {
        let asked_for = matches!(row.state, MigrationState::Queued | MigrationState::Failed)
            && row.kind != MigrationKind::Return;
        if asked_for && !row.kernels_accepted && needs_acceptance(conn, &row)? {
            return Err(AppError::invalid(
                "kernel",
                "The move that is asked for would then change the kernel's family, which you did not agree to. Cancel the move first, or keep the kernel",
            ));
        }
    }
    Ok(())
}

pub(in crate::app) fn check(
    conn: &mut Db,
    linode: &Linode,
    before: &ConfigProfile,
    edit: &ProfileEdit,
) -> Result<()> {
    let plan = store::catalogue::plan(conn, linode.plan_id)?;
    let host = store::host::host(conn, linode.host_id)?.ok_or(AppError::NotFound)?;
    let kernels = store::catalogue::kernels(conn)?;
    let offered = host.kernel_list()?;
    let fits = kernels
        .get(&edit.kernel)
        .is_some_and(|kernel| kernel.platform == host.platform)
        && (offered.is_empty() || offered.iter().any(|kernel| kernel.id == edit.kernel));
    // What it has already may stay, also if the host lost it meanwhile.
    if !fits && edit.kernel != before.kernel_id {
        return Err(AppError::invalid(
            "kernel",
            "Choose a kernel of the Linode's host",
        ));
    }
    let devices = before.device_map()?;
    let is_here = |root: RootDevice| devices.contains_key(root.device.as_str());
    if !RootDevice::parse(&edit.root_device).is_ok_and(is_here) {
        let known: Vec<String> = devices.into_keys().collect();
        return Err(AppError::invalid(
            "root_device",
            format!(
                "Enter a device of this profile ({}), or a partition of one",
                known.join(", ")
            ),
        ));
    }
    let range = LEAST_RAM_MB.min(plan.ram_mb)..=plan.ram_mb;
    if edit.ram_limit_mb != 0 && !range.contains(&edit.ram_limit_mb) {
        let (least, most) = range.into_inner();
        let message = format!("Enter 0 for all of the plan, or from {least} to {most} MB");
        return Err(AppError::invalid("ram_limit_mb", message));
    }
    let most = host.platform.most_cpus(plan.vcpus);
    // Where there is one, the number does not count; what an import brought may stay.
    if !(1..=most).contains(&edit.vcpus) && edit.vcpus != before.vcpus {
        return Err(AppError::invalid(
            "vcpus",
            format!("Enter a number from 1 to {most}"),
        ));
    }
    if edit.comments.chars().count() > COMMENTS {
        let message = format!("Use {COMMENTS} characters or fewer");
        return Err(AppError::invalid("comments", message));
    }
    Ok(())
}
