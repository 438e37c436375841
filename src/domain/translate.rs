//! A config profile on one platform, as it must be on another: kernel and device names. What stays, stays.

use std::collections::BTreeMap;

use super::ids::DiskId;
use super::words::{Helper, KernelFamily, Platform};

/// The parts of a config profile that depend on the platform.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Profile {
    pub label: String,
    pub kernel: String,
    pub devices: BTreeMap<String, DiskId>,
    pub root_device: String,
    pub helpers: Vec<Helper>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    pub id: String,
    pub label: String,
    pub platform: Platform,
    pub family: KernelFamily,
    /// The kernel that stands in for it on the other platform.
    pub maps_to: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kernel {kernel:?} of the config profile {profile:?} has no counterpart on {platform}")]
pub struct NoKernel {
    pub profile: String,
    pub kernel: String,
    pub platform: Platform,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    pub profile: Profile,
    /// The kernel's family changes (2.4 to 2.6): the member must accept it first.
    pub needs_acceptance: bool,
}

fn device(name: &str, to: Platform) -> String {
    let (from_prefix, to_prefix) = match to {
        Platform::Xen => ("ubd", "xvd"),
        Platform::Uml => ("xvd", "ubd"),
    };
    name.strip_prefix(from_prefix)
        .map_or_else(|| name.to_owned(), |rest| format!("{to_prefix}{rest}"))
}

/// `profile` as it is on `to`. On the platform it is already for, it comes back unchanged.
pub fn translate(
    profile: &Profile,
    kernels: &BTreeMap<String, Kernel>,
    to: Platform,
) -> Result<Translated, NoKernel> {
    let missing = || NoKernel {
        profile: profile.label.clone(),
        kernel: profile.kernel.clone(),
        platform: to,
    };
    let kernel = kernels.get(&profile.kernel).ok_or_else(missing)?;
    if kernel.platform == to {
        return Ok(Translated {
            profile: profile.clone(),
            needs_acceptance: false,
        });
    }
    let target = kernel
        .maps_to
        .as_ref()
        .and_then(|id| kernels.get(id))
        .filter(|target| target.platform == to)
        .ok_or_else(missing)?;
    let devices = profile
        .devices
        .iter()
        .map(|(name, disk)| (device(name, to), *disk))
        .collect();
    Ok(Translated {
        needs_acceptance: kernel.family != target.family,
        profile: Profile {
            label: profile.label.clone(),
            kernel: target.id.clone(),
            devices,
            root_device: device(&profile.root_device, to),
            helpers: profile.helpers.clone(),
        },
    })
}
