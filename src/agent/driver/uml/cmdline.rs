//! From a config profile to the words that start `linux.uml`. Pure, so that what a guest is started with can be read in a test.
//!
//! UML joins its arguments with spaces to one kernel command line, and splits disk arguments at `,` and `:`: a value that
//! holds any of these is refused, never escaped.

use std::path::Path;

use crate::agent::driver::bootable;
use crate::agent::driver::files::plain;
use crate::agent::driver::{DriverError, Guest, Result};
use crate::agent::initramfs::words;
use crate::domain::ids::LinodeId;
use crate::domain::linode::RunLevel;
use crate::domain::platform::Platform;
use crate::wire::{BootSpec, GuestSpec};

/// UML gives up on a longer command line (its `COMMAND_LINE_SIZE` is 4096, and the kernel adds words of its own).
const LINE_LIMIT: usize = 3800;
/// Below this UML does not come up.
const RAM_LEAST_MB: i64 = 24;

/// Where a guest's pieces are on this host.
pub(super) struct Place<'a> {
    pub umid: &'a str,
    pub uml_dir: &'a Path,
    /// Without one the guest has no network card.
    pub tap: Option<&'a str>,
    /// With one, the guest is told what to do in it.
    pub initramfs: Option<&'a Path>,
}

/// The guest's arguments, without the program itself.
pub(super) fn arguments(guest: &Guest<'_>, place: &Place<'_>) -> Result<Vec<String>> {
    check(guest.spec, guest.boot)?;
    let boot = guest.boot;
    let uml_dir = plain(place.uml_dir).ok_or_else(|| {
        DriverError::Host(format!("uml_dir {} is not plain", place.uml_dir.display()))
    })?;
    let mut words = vec![format!("mem={}M", boot.ram_mb)];
    for (device, disk) in &boot.devices {
        let path = guest.disks.iter().find(|(id, _)| id == disk);
        let path = path.and_then(|(_, path)| plain(path)).ok_or_else(|| {
            DriverError::Host(format!(
                "disk {disk} for {device} has no path that UML can be told"
            ))
        })?;
        // `d`: a disk is what it is. Without it UML looks for the header of a copy-on-write file in it, and whoever writes
        // one on their disk reads the file of the host that it names.
        words.push(format!("{device}d={path}"));
    }
    words.push(format!("root=/dev/{}", root(boot)));
    words.push(if boot.read_only_root { "ro" } else { "rw" }.to_owned());
    match boot.run_level {
        RunLevel::Default => {}
        RunLevel::Single => words.push("single".to_owned()),
        RunLevel::BinBash => words.push("init=/bin/bash".to_owned()),
    }
    if let Some(path) = place.initramfs {
        let path = plain(path).ok_or_else(|| {
            DriverError::Host(format!("initramfs {} is not plain", path.display()))
        })?;
        words.push(format!("initrd={path}"));
        words.extend(words::words(boot, Platform::Uml).ok_or_else(|| {
            DriverError::Host(format!("root device {:?} is not plain", boot.root_device))
        })?);
    }
    // Output to the console file only; nothing of the host is attached to the guest's consoles and serial lines.
    words.extend(["con=null", "con0=null,fd:2", "ssl=null"].map(str::to_owned));
    words.push(format!("umid={}", place.umid));
    words.push(format!("uml_dir={uml_dir}/"));
    if let Some(tap) = place.tap {
        words.push(format!("eth0=tuntap,{tap},{}", guest.spec.mac));
    }
    let length: usize = words.iter().map(|word| word.len() + 1).sum();
    if length > LINE_LIMIT {
        return Err(DriverError::Host(format!(
            "the kernel's command line would be {length} bytes long, over {LINE_LIMIT}"
        )));
    }
    Ok(words)
}

/// Could UML be told all this? Checks everything that does not need the disks' paths.
pub(super) fn check(spec: &GuestSpec, boot: &BootSpec) -> Result<()> {
    bootable::check(spec, boot, Platform::Uml, RAM_LEAST_MB)?;
    let device = root(boot).trim_end_matches(|c: char| c.is_ascii_digit());
    if root(boot).len() > 8 || !boot.devices.contains_key(device) {
        return bootable::no_root(boot, root(boot));
    }
    Ok(())
}

/// The root device without `/dev/`, which managers' data has in both forms.
fn root(boot: &BootSpec) -> &str {
    boot.root_device
        .strip_prefix("/dev/")
        .unwrap_or(&boot.root_device)
}

/// The name by which UML and this driver know a Linode's guest, unique among the agents of a machine.
pub(super) fn umid(prefix: &str, linode: LinodeId) -> String {
    format!("{prefix}-linode-{linode}")
}

/// The same of its trial's clone: no longer, and no guest's.
pub(super) fn trial_umid(prefix: &str, linode: LinodeId) -> String {
    format!("{prefix}-trial-{linode}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::domain::ids::DiskId;
    use crate::domain::linode::Helper;
    use crate::wire::DiskSpec;

    fn spec() -> GuestSpec {
        let disk = |id, label: &str| DiskSpec {
            id: DiskId(id),
            label: label.to_owned(),
            size_bytes: 64 << 20,
        };
        GuestSpec {
            label: "web-01".to_owned(),
            ram_mb: 64,
            mac: "fe:fd:40:16:47:b4".to_owned(),
            addresses: vec![],
            disks: vec![disk(11, "root; rm -rf /"), disk(12, "swap")],
            cpu_weight: 64,
            io_priority: 4,
        }
    }

    fn boot() -> BootSpec {
        BootSpec {
            label: "Debian".to_owned(),
            kernel: "2.6".to_owned(),
            devices: BTreeMap::from([
                ("ubda".to_owned(), DiskId(11)),
                ("ubdb".to_owned(), DiskId(12)),
            ]),
            root_device: "/dev/ubda".to_owned(),
            read_only_root: false,
            run_level: RunLevel::Default,
            ram_mb: 64,
            vcpus: 1,
            helpers: vec![],
        }
    }

    fn line(boot: &BootSpec, disk: &str) -> Result<String> {
        line_with(boot, disk, None)
    }

    fn line_with(boot: &BootSpec, disk: &str, initramfs: Option<&Path>) -> Result<String> {
        line_of(boot, disk, (initramfs, Some("u17")))
    }

    fn line_of(
        boot: &BootSpec,
        disk: &str,
        (initramfs, tap): (Option<&Path>, Option<&str>),
    ) -> Result<String> {
        let disks = [
            (DiskId(11), PathBuf::from(disk)),
            (DiskId(12), PathBuf::from("/v/7/12.img")),
        ];
        let guest = Guest {
            linode: LinodeId(7),
            spec: &spec(),
            boot,
            disks: &disks,
        };
        let place = Place {
            umid: "u1-linode-7",
            uml_dir: Path::new("/run/uml"),
            tap,
            initramfs,
        };
        arguments(&guest, &place).map(|words| words.join(" "))
    }

    #[test]
    fn the_whole_line() {
        insta::assert_snapshot!(line(&boot(), "/v/7/11.img").unwrap(), @"mem=64M ubdad=/v/7/11.img ubdbd=/v/7/12.img root=/dev/ubda rw con=null con0=null,fd:2 ssl=null umid=u1-linode-7 uml_dir=/run/uml/ eth0=tuntap,u17,fe:fd:40:16:47:b4");
    }

    #[test]
    fn a_clone_without_a_network_is_told_of_none() {
        let cut_off = line_of(&boot(), "/v/7/11.img", (None, None)).unwrap();
        assert!(
            !cut_off.contains("eth") && !cut_off.contains("tuntap"),
            "{cut_off}"
        );
        assert!(trial_umid("u1", LinodeId(7)).len() <= umid("u1", LinodeId(7)).len());
        assert_ne!(trial_umid("u1", LinodeId(7)), umid("u1", LinodeId(7)));
    }

    #[test]
    fn with_an_initramfs_the_guest_is_told_its_helpers() {
        let mut helped = boot();
        helped.helpers = vec![Helper::Console, Helper::Fstab];
        let with = line_with(&helped, "/v/7/11.img", Some(Path::new("/b/uml.img"))).unwrap();
        assert!(with.contains(
            " root=/dev/ubda rw initrd=/b/uml.img xb.platform=uml xb.root=/dev/ubda xb.helpers=fstab,console con="
        ));
        assert_eq!(
            line(&helped, "/v/7/11.img").unwrap(),
            line(&boot(), "/v/7/11.img").unwrap()
        );
        assert!(line_with(&helped, "/a", Some(Path::new("/b c"))).is_err());
    }

    #[test]
    fn rescue_and_read_only() {
        let mut rescue = boot();
        rescue.root_device = "ubdb1".to_owned();
        rescue.read_only_root = true;
        rescue.run_level = RunLevel::BinBash;
        assert!(
            line(&rescue, "/a")
                .unwrap()
                .contains(" root=/dev/ubdb1 ro init=/bin/bash con=")
        );
        rescue.run_level = RunLevel::Single;
        assert!(line(&rescue, "/a").unwrap().contains(" ro single con="));
    }

    #[test]
    fn no_path_adds_a_word_or_a_second_file() {
        for path in ["/a b", "/a,b", "/a:b", "/a\nb", "/a\"b", "", "/ä", "/a=b"] {
            assert!(
                matches!(line(&boot(), path), Err(DriverError::Host(_))),
                "{path:?}"
            );
        }
    }

    #[test]
    fn profiles_that_cannot_work_are_refused_in_words() {
        type Change = fn(&mut GuestSpec, &mut BootSpec);
        let cases: [(Change, &str); 7] = [
            (|_, b| b.root_device = "/dev/ubdc".to_owned(), "ubdc"),
            (
                |_, b| b.root_device = "ubda init=/bin/sh".to_owned(),
                "boots from",
            ),
            (
                |_, b| b.devices.extend([("xvda".to_owned(), DiskId(11))]),
                "xvda",
            ),
            (
                |_, b| b.devices.extend([("ubdc".to_owned(), DiskId(99))]),
                "ubdc",
            ),
            (|_, b| b.ram_mb = 1, "memory"),
            (|s, _| s.mac = "01:00:5e:00:00:01".to_owned(), "network"),
            (|s, _| s.mac = "fe:fd:40:16:47:b4,x".to_owned(), "network"),
        ];
        for (change, expected) in cases {
            let (mut spec, mut boot) = (spec(), boot());
            change(&mut spec, &mut boot);
            let Err(DriverError::Refused { public, .. }) = check(&spec, &boot) else {
                panic!("{expected}: not refused");
            };
            assert!(public.contains(expected), "{public}");
        }
    }

    #[test]
    fn names_are_of_the_agent() {
        assert_eq!(umid("u1", LinodeId(7)), "u1-linode-7");
    }
}
