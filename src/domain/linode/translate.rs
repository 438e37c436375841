//! A config profile on one platform, as it must be on another: kernel, device names, CPUs, boot helpers. What stays, stays.

use std::collections::BTreeMap;

use crate::domain::ids::DiskId;
use crate::domain::linode::{Helper, KernelFamily};
use crate::domain::platform::Platform;
use crate::domain::string_enum::StringEnum;

/// The parts of a config profile that depend on the platform, or on the plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Profile {
    pub label: String,
    pub kernel: String,
    pub devices: BTreeMap<String, DiskId>,
    pub root_device: String,
    pub helpers: Vec<Helper>,
    /// MiB; 0 is all that the plan has.
    #[serde(default)]
    pub ram_limit_mb: i64,
    #[serde(default = "one")]
    pub vcpus: i32,
}

fn one() -> i32 {
    1
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

/// Where profiles are taken to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub platform: Platform,
    pub kernels: &'a BTreeMap<String, Kernel>,
    pub plan_ram_mb: i64,
    pub plan_vcpus: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTranslatable {
    #[error(
        "the kernel {kernel:?} of the config profile {profile:?} has no counterpart on {platform}"
    )]
    NoKernel {
        profile: String,
        kernel: String,
        platform: Platform,
    },
    #[error("two devices of the config profile {profile:?} would be {device} on {platform}")]
    SameDevice {
        profile: String,
        device: String,
        platform: Platform,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    pub profile: Profile,
    /// The kernel's family changes (2.4 to 2.6): the member must accept it first.
    pub needs_acceptance: bool,
}

/// What makes the names inside a guest fit its new platform; switched on by every change of platform.
const FOR_NAMES: [Helper; 4] = [
    Helper::Fstab,
    Helper::Console,
    Helper::Modules,
    Helper::UdevNet,
];

/// `ubda` as `xvda` or the reverse, with or without `/dev/` in front; any other name stays. Where disks may be counted as well
/// (`ubd0`, and `ubd/0` under devfs), the number is a letter elsewhere.
pub fn device(name: &str, to: Platform) -> String {
    let (folder, bare) = name
        .strip_prefix("/dev/")
        .map_or(("", name), |bare| ("/dev/", bare));
    let mut others = Platform::ALL.iter().filter(|it| **it != to);
    let Some(unit) = others.find_map(|it| bare.strip_prefix(it.offers().disks)) else {
        return name.to_owned();
    };
    let there = to.offers();
    let number = unit.strip_prefix('/').unwrap_or(unit).parse::<usize>();
    let letter = number.ok().and_then(|number| ('a'..='p').nth(number));
    match letter {
        Some(letter) if there.only_letters => format!("{folder}{}{letter}", there.disks),
        _ => format!("{folder}{}{unit}", there.disks),
    }
}

/// The kernel of this platform that a profile with that one has there: itself, or what stands in for it; `None`: it has no
/// counterpart.
pub fn stand_in<'a>(
    kernel: &str,
    to: Platform,
    kernels: &'a BTreeMap<String, Kernel>,
) -> Option<&'a Kernel> {
    let kernel = kernels.get(kernel)?;
    if kernel.platform == to {
        return Some(kernel);
    }
    let stand_in = kernels.get(kernel.maps_to.as_ref()?)?;
    (stand_in.platform == to).then_some(stand_in)
}

/// `profile` as it is on the target. On the platform it is already for, only what the plan limits can change.
pub fn translate(profile: &Profile, target: Target<'_>) -> Result<Translated, NotTranslatable> {
    let missing = || NotTranslatable::NoKernel {
        profile: profile.label.clone(),
        kernel: profile.kernel.clone(),
        platform: target.platform,
    };
    let kernel = target.kernels.get(&profile.kernel).ok_or_else(missing)?;
    let stand_in =
        stand_in(&profile.kernel, target.platform, target.kernels).ok_or_else(missing)?;
    let mut after = profile.clone();
    if after.ram_limit_mb > target.plan_ram_mb {
        after.ram_limit_mb = 0;
    }
    if kernel.platform == target.platform {
        return Ok(Translated {
            profile: after,
            needs_acceptance: false,
        });
    }
    after.kernel.clone_from(&stand_in.id);
    after.devices = BTreeMap::new();
    for (name, disk) in &profile.devices {
        let there = device(name, target.platform);
        if after.devices.insert(there.clone(), *disk).is_some() {
            return Err(NotTranslatable::SameDevice {
                profile: profile.label.clone(),
                device: there,
                platform: target.platform,
            });
        }
    }
    after.root_device = device(&profile.root_device, target.platform);
    after.vcpus = vcpus(profile.vcpus, target);
    after.helpers = helpers(&profile.helpers, target.platform);
    Ok(Translated {
        needs_acceptance: kernel.family != stand_in.family,
        profile: after,
    })
}

/// What the plan has, as far as the platform gives it, unless the member chose a number before.
fn vcpus(before: i32, target: Target<'_>) -> i32 {
    let most = target.platform.most_cpus(target.plan_vcpus);
    if before > 1 { before.min(most) } else { most }
}

/// In the order of [`Helper::ALL`], so that two lists of the same helpers are equal.
pub fn helpers(before: &[Helper], to: Platform) -> Vec<Helper> {
    let wanted = |helper: &Helper| {
        before.contains(helper)
            || FOR_NAMES.contains(helper)
            // Off unless the member turns it on again.
            || (*helper == Helper::DisableTls && to.offers().slow_tls)
    };
    Helper::ALL.iter().copied().filter(wanted).collect()
}

/// One line of the difference that a translation makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub what: Part,
    pub before: String,
    pub after: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Kernel,
    Devices,
    RootDevice,
    Console,
    Memory,
    Cpus,
    Helpers,
}

/// What differs between a profile and its translation, in the order in which a page lists it. Kernels are given by id,
/// helpers by their words, only those that were added or taken away.
pub fn difference(before: &Profile, after: &Profile, from: Platform, to: Platform) -> Vec<Line> {
    let memory = |limit: i64| match limit {
        0 => "all of the plan".to_owned(),
        limit => format!("{limit} MB"),
    };
    let only_in = |one: &Profile, other: &Profile| {
        let words: Vec<&str> = one
            .helpers
            .iter()
            .filter(|helper| !other.helpers.contains(helper))
            .map(|helper| helper.as_str())
            .collect();
        words.join(", ")
    };
    let names = |profile: &Profile| {
        let names: Vec<&str> = profile.devices.keys().map(String::as_str).collect();
        names.join(", ")
    };
    [
        (Part::Kernel, before.kernel.clone(), after.kernel.clone()),
        (Part::Devices, names(before), names(after)),
        (
            Part::RootDevice,
            before.root_device.clone(),
            after.root_device.clone(),
        ),
        (
            Part::Console,
            from.offers().console.to_owned(),
            to.offers().console.to_owned(),
        ),
        (
            Part::Memory,
            memory(before.ram_limit_mb),
            memory(after.ram_limit_mb),
        ),
        (
            Part::Cpus,
            before.vcpus.to_string(),
            after.vcpus.to_string(),
        ),
        (
            Part::Helpers,
            only_in(before, after),
            only_in(after, before),
        ),
    ]
    .into_iter()
    .filter(|(_, before, after)| before != after)
    .map(|(what, before, after)| Line {
        what,
        before,
        after,
    })
    .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fmt::Write as _;

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

    fn to(platform: Platform, kernels: &BTreeMap<String, Kernel>) -> Target<'_> {
        Target {
            platform,
            kernels,
            plan_ram_mb: 512,
            plan_vcpus: 4,
        }
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
            ram_limit_mb: 0,
            vcpus: 1,
        }
    }

    fn xen(profile: &Profile) -> Translated {
        translate(profile, to(Platform::Xen, &kernels())).unwrap()
    }

    /// A translation as it is shown, with what it leads to.
    fn golden(before: &Profile, from: Platform, to_platform: Platform) -> String {
        let done = translate(before, to(to_platform, &kernels())).unwrap();
        let mut text = String::new();
        for line in difference(before, &done.profile, from, to_platform) {
            writeln!(text, "{:?}: {} -> {}", line.what, line.before, line.after).unwrap();
        }
        if done.needs_acceptance {
            text.push_str("wants acceptance\n");
        }
        text
    }

    #[test]
    fn a_plain_profile_to_xen() {
        insta::assert_snapshot!(golden(&profile("uml-2.6"), Platform::Uml, Platform::Xen), @r"
        Kernel: uml-2.6 -> xen-2.6
        Devices: ubda, ubdb -> xvda, xvdb
        RootDevice: /dev/ubda -> /dev/xvda
        Console: tty0 -> hvc0
        Cpus: 1 -> 4
        Helpers:  -> fstab, console, modules, udev_net
        ");
    }

    #[test]
    fn a_24_kernel_limits_and_odd_names_to_xen() {
        let mut before = profile("uml-2.4");
        before.devices = ["ubd0", "ubd/1", "ubdc", "sda"]
            .into_iter()
            .zip(1..)
            .map(|(name, id)| (name.to_owned(), DiskId(id)))
            .collect();
        before.root_device = "/dev/ubd/1".to_owned();
        before.ram_limit_mb = 600;
        before.vcpus = 9;
        before.helpers = vec![Helper::UpdatedbOff];
        insta::assert_snapshot!(golden(&before, Platform::Uml, Platform::Xen), @r"
        Kernel: uml-2.4 -> xen-2.6
        Devices: sda, ubd/1, ubd0, ubdc -> sda, xvda, xvdb, xvdc
        RootDevice: /dev/ubd/1 -> /dev/xvdb
        Console: tty0 -> hvc0
        Memory: 600 MB -> all of the plan
        Cpus: 9 -> 4
        Helpers:  -> disable_tls, fstab, console, modules, udev_net
        wants acceptance
        ");
    }

    #[test]
    fn back_to_uml() {
        let mut there = xen(&profile("uml-2.6")).profile;
        there.ram_limit_mb = 256;
        insta::assert_snapshot!(golden(&there, Platform::Xen, Platform::Uml), @r"
        Kernel: xen-2.6 -> uml-2.6
        Devices: xvda, xvdb -> ubda, ubdb
        RootDevice: /dev/xvda -> /dev/ubda
        Console: hvc0 -> tty0
        Cpus: 4 -> 1
        ");
    }

    #[test]
    fn there_and_back_is_where_it_was_but_for_helpers() {
        let there = xen(&profile("uml-2.6")).profile;
        let back = translate(&there, to(Platform::Uml, &kernels()))
            .unwrap()
            .profile;
        assert_eq!(
            back,
            Profile {
                helpers: there.helpers.clone(),
                ..profile("uml-2.6")
            },
            "the helpers stay on: names inside the guest have to be put back"
        );
        assert_eq!(xen(&back).profile, there, "and there again is the same");
    }

    #[test]
    fn on_its_own_platform_only_the_plan_limits_it() {
        let mut before = profile("uml-2.4");
        before.vcpus = 3;
        let same = translate(&before, to(Platform::Uml, &kernels())).unwrap();
        assert_eq!((&same.profile, same.needs_acceptance), (&before, false));
        before.ram_limit_mb = 513;
        let fits = translate(&before, to(Platform::Uml, &kernels())).unwrap();
        assert_eq!(fits.profile.ram_limit_mb, 0);
    }

    #[test]
    fn a_kernel_without_counterpart_is_named() {
        for kernel in ["lonely", "unknown"] {
            let error = translate(&profile(kernel), to(Platform::Xen, &kernels())).unwrap_err();
            assert!(error.to_string().contains(kernel));
        }
    }

    #[test]
    fn two_devices_never_become_one() {
        let mut before = profile("uml-2.6");
        before.devices.insert("ubd0".to_owned(), DiskId(9));
        let error = translate(&before, to(Platform::Xen, &kernels())).unwrap_err();
        assert!(error.to_string().contains("would be xvda"), "{error}");
    }

    #[test]
    fn devices_by_letter_number_and_partition() {
        let pairs = [
            ("ubda", "xvda"),
            ("/dev/ubdb1", "/dev/xvdb1"),
            ("ubd15", "xvdp"),
            ("/dev/ubd/0", "/dev/xvda"),
            ("ubd16", "xvd16"),
            ("LABEL=root", "LABEL=root"),
            ("xvda", "xvda"),
        ];
        for (uml, xen) in pairs {
            assert_eq!(device(uml, Platform::Xen), xen);
        }
        assert_eq!(device("/dev/xvda1", Platform::Uml), "/dev/ubda1");
    }
}
