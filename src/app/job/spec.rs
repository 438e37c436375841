//! A Linode and its config profiles, as orders tell them.

use crate::app::error::Result;
use crate::app::host::report::{claim, share_due};
use crate::domain::linode::translate;
use crate::store;
use crate::store::catalogue::Plan;
use crate::store::db::Db;
use crate::store::linode::Linode;
use crate::store::linode::profile::ConfigProfile;
use crate::wire::{AddressSpec, BootSpec, DiskSpec, GuestSpec};

/// What stays with the Linode wherever it runs.
pub(super) fn guest(conn: &mut Db, linode: &Linode) -> Result<GuestSpec> {
    let plan = store::catalogue::plan(conn, linode.plan_id)?;
    let disks = store::linode::disk::disks_of(conn, linode.id)?
        .into_iter()
        .map(|disk| DiskSpec {
            id: disk.id,
            label: disk.label,
            size_bytes: u64::try_from(disk.size_mb).unwrap_or(0) * 1024 * 1024,
        })
        .collect();
    let addresses = store::linode::address::ips_of(conn, linode.id)?
        .into_iter()
        .map(|ip| AddressSpec {
            id: ip.id,
            address: ip.address,
            prefix: ip.prefix,
            gateway: ip.gateway,
            kind: ip.kind,
        })
        .collect();
    let own = store::fairness::weights::own(conn, linode.id)?;
    let share = share_due(store::fairness::weights::rule(conn)?, claim(&plan, own));
    Ok(GuestSpec {
        label: linode.label.clone(),
        ram_mb: plan.ram_mb,
        mac: linode.mac.clone(),
        addresses,
        disks,
        cpu_weight: share.cpu_weight,
        io_priority: share.io_priority,
    })
}

/// The config profile the Linode boots from: the chosen one, else its first.
pub(super) fn boot(conn: &mut Db, linode: &Linode) -> Result<Option<BootSpec>> {
    let plan = store::catalogue::plan(conn, linode.plan_id)?;
    let profiles = store::linode::profile::profiles_of(conn, linode.id)?;
    let chosen = profiles
        .iter()
        .find(|profile| Some(profile.id) == linode.boot_config_id)
        .or(profiles.first());
    chosen
        .map(|profile| Ok(boot_spec(profile, profile.platform_part()?, &plan)))
        .transpose()
}

pub(super) fn boot_spec(
    profile: &ConfigProfile,
    part: translate::Profile,
    plan: &Plan,
) -> BootSpec {
    let ram_mb = match part.ram_limit_mb {
        limit if limit > 0 => limit.min(plan.ram_mb),
        _ => plan.ram_mb,
    };
    BootSpec {
        label: part.label,
        kernel: part.kernel,
        devices: part.devices,
        root_device: part.root_device,
        read_only_root: profile.read_only_root,
        run_level: profile.run_level,
        ram_mb,
        vcpus: part.vcpus.clamp(1, plan.vcpus.max(1)),
        helpers: part.helpers,
    }
}
