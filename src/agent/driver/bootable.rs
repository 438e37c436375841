//! What no guest is started with, whatever its driver: checked before anything of a config profile becomes an argument.

use super::net::is_unicast_mac;
use super::{DriverError, Result};
use crate::domain::platform::Platform;
use crate::wire::{BootSpec, GuestSpec};

pub(super) fn refuse<T>(public: &str, detail: String) -> Result<T> {
    let public = public.to_owned();
    Err(DriverError::Refused { public, detail })
}

/// Its card, its memory, and the devices its disks are on.
pub(super) fn check(spec: &GuestSpec, boot: &BootSpec, on: Platform, least_mb: i64) -> Result<()> {
    if !is_unicast_mac(&spec.mac) {
        return refuse(
            "The Linode's network card has an address that cannot be used.",
            format!("mac {:?}", spec.mac),
        );
    }
    if boot.ram_mb < least_mb {
        return refuse(
            &format!(
                "The config profile gives the Linode {} MB of memory; it needs at least {least_mb}.",
                boot.ram_mb
            ),
            format!("ram_mb {}", boot.ram_mb),
        );
    }
    let disks = on.offers().disks;
    let is_device = |name: &str| {
        name.strip_prefix(disks)
            .is_some_and(|unit| matches!(unit.as_bytes(), [b'a'..=b'p']))
    };
    for (device, disk) in &boot.devices {
        if !is_device(device) {
            return refuse(
                &format!(
                    "The config profile names the device {device}, which this host does not have."
                ),
                format!("device {device:?} is not {disks}a to {disks}p"),
            );
        }
        if !spec.disks.iter().any(|known| known.id == *disk) {
            return refuse(
                &format!(
                    "The config profile puts a disk on {device} that the Linode does not have."
                ),
                format!("disk {disk} is not in the guest"),
            );
        }
    }
    Ok(())
}

pub(super) fn no_root<T>(boot: &BootSpec, named: &str) -> Result<T> {
    refuse(
        &format!("The config profile boots from {named}, but no disk is there."),
        format!("root device {:?} is not mapped", boot.root_device),
    )
}
