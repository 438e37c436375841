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

/// `ubda` as `xvda` or the reverse, with or without `/dev/` in front; any other name stays.
fn device(name: &str, to: Platform) -> String {
    let (from_prefix, to_prefix) = match to {
        Platform::Xen => ("ubd", "xvd"),
        Platform::Uml => ("xvd", "ubd"),
    };
    let (folder, bare) = name
        .strip_prefix("/dev/")
        .map_or(("", name), |bare| ("/dev/", bare));
    bare.strip_prefix(from_prefix).map_or_else(
        || name.to_owned(),
        |rest| format!("{folder}{to_prefix}{rest}"),
    )
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn kernels() -> BTreeMap<String, Kernel> {
        [
            ("uml-2.4", Platform::Uml, KernelFamily::V24, Some("xen-2.6")),
            ("uml-2.6", Platform::Uml, KernelFamily::V26, Some("xen-2.6")),
            ("xen-2.6", Platform::Xen, KernelFamily::V26, Some("uml-2.6")),
            ("lonely", Platform::Uml, KernelFamily::V26, None),
        ]
        .into_iter()
        .map(|(id, platform, family, maps_to)| {
            let kernel = Kernel {
                id: id.to_owned(),
                label: id.to_owned(),
                platform,
                family,
                maps_to: maps_to.map(str::to_owned),
            };
            (id.to_owned(), kernel)
        })
        .collect()
    }

    fn profile(kernel: &str) -> Profile {
        Profile {
            label: "default".to_owned(),
            kernel: kernel.to_owned(),
            devices: BTreeMap::from([
                ("ubda".to_owned(), DiskId(1)),
                ("ubdb".to_owned(), DiskId(2)),
            ]),
            root_device: "/dev/ubda".to_owned(),
            helpers: vec![Helper::DisableTls],
        }
    }

    #[test]
    fn there_and_back_is_where_it_was() {
        let there = translate(&profile("uml-2.6"), &kernels(), Platform::Xen).unwrap();
        assert!(!there.needs_acceptance);
        assert_eq!(there.profile.kernel, "xen-2.6");
        assert_eq!(there.profile.root_device, "/dev/xvda");
        assert_eq!(
            there.profile.devices.keys().collect::<Vec<_>>(),
            ["xvda", "xvdb"]
        );
        let back = translate(&there.profile, &kernels(), Platform::Uml).unwrap();
        assert_eq!(back.profile, profile("uml-2.6"));
    }

    #[test]
    fn another_family_wants_the_members_word() {
        assert!(
            translate(&profile("uml-2.4"), &kernels(), Platform::Xen)
                .unwrap()
                .needs_acceptance
        );
    }

    #[test]
    fn on_its_own_platform_it_stays() {
        let same = translate(&profile("uml-2.4"), &kernels(), Platform::Uml).unwrap();
        assert_eq!(
            (same.profile, same.needs_acceptance),
            (profile("uml-2.4"), false)
        );
    }

    #[test]
    fn a_kernel_without_counterpart_is_named() {
        for kernel in ["lonely", "unknown"] {
            let error = translate(&profile(kernel), &kernels(), Platform::Xen).unwrap_err();
            assert!(error.to_string().contains(kernel));
        }
    }
}
