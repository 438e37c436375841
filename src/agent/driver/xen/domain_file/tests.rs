use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::agent::driver::xen::fuzz::KEYS;
use crate::domain::ids::{DiskId, LinodeId};
use crate::domain::linode::Helper;
use crate::wire::DiskSpec;

fn spec() -> GuestSpec {
    let disk = |id, label: &str| DiskSpec {
        id: DiskId(id),
        label: label.to_owned(),
        size_bytes: 64 << 20,
    };
    GuestSpec {
        label: "web\"\non_crash = \"restart\"; rm -rf /".to_owned(),
        ram_mb: 128,
        mac: "FE:fd:40:16:47:b4".to_owned(),
        addresses: vec![],
        disks: vec![disk(11, "root\" ]"), disk(12, "swap")],
        cpu_weight: 128,
        io_priority: 4,
    }
}

fn boot() -> BootSpec {
    BootSpec {
        label: "Debian\"".to_owned(),
        kernel: "2.6".to_owned(),
        devices: BTreeMap::from([
            ("xvda".to_owned(), DiskId(11)),
            ("xvdb".to_owned(), DiskId(12)),
        ]),
        root_device: "/dev/xvda".to_owned(),
        read_only_root: true,
        run_level: RunLevel::Default,
        ram_mb: 128,
        vcpus: 2,
        helpers: vec![Helper::Fstab, Helper::Console],
    }
}

fn file(
    spec: &GuestSpec,
    boot: &BootSpec,
    disk: &str,
    initramfs: bool,
) -> Result<String, DriverError> {
    file_of((spec, boot), disk, initramfs, Some(("xenbr0", "xb7")))
}

fn file_of(
    (spec, boot): (&GuestSpec, &BootSpec),
    disk: &str,
    initramfs: bool,
    vif: Option<(&str, &str)>,
) -> Result<String, DriverError> {
    let disks = [
        (DiskId(11), PathBuf::from(disk)),
        (DiskId(12), PathBuf::from("/srv/linodes/7/12.img")),
    ];
    let guest = Guest {
        linode: LinodeId(7),
        spec,
        boot,
        disks: &disks,
    };
    let place = Place {
        name: "xb-7",
        uuid: "78620000-0000-0000-0007-0123456789ab",
        kernel: Path::new("/var/d/xb-7/kernel"),
        initramfs: initramfs.then_some(Path::new("/var/d/xb-7/initramfs")),
        hotplug: Path::new("/var/d/hotplug"),
        vif,
    };
    text(&guest, &place)
}

#[test]
fn the_whole_file() {
    insta::assert_snapshot!(file(&spec(), &boot(), "/dev/vg0/xb-7-11-e4", true).unwrap(), @r#"
    # Written by xenbeta-agent at the guest's start. Changing it changes nothing.
    type = "pv"
    name = "xb-7"
    uuid = "78620000-0000-0000-0007-0123456789ab"
    kernel = "/var/d/xb-7/kernel"
    ramdisk = "/var/d/xb-7/initramfs"
    cmdline = "root=/dev/xvda ro console=hvc0 xb.platform=xen xb.root=/dev/xvda xb.helpers=fstab,console"
    memory = 128
    maxmem = 128
    vcpus = 2
    cpu_weight = 128
    disk = [
        "format=raw,vdev=xvda,access=rw,backendtype=phy,script=/var/d/hotplug,target=/dev/vg0/xb-7-11-e4",
        "format=raw,vdev=xvdb,access=rw,backendtype=phy,script=/var/d/hotplug,target=/srv/linodes/7/12.img",
    ]
    vif = [ "mac=fe:fd:40:16:47:b4,bridge=xenbr0,vifname=xb7,script=/var/d/hotplug" ]
    on_poweroff = "destroy"
    on_reboot = "restart"
    on_crash = "destroy"
    on_watchdog = "destroy"
    on_soft_reset = "destroy"
    "#);
}

#[test]
fn a_clone_without_a_network_is_told_of_none() {
    let text = file_of((&spec(), &boot()), "/a", true, None).unwrap();
    assert!(text.contains("\nvif = []\n"), "{text}");
    assert!(!text.contains("bridge") && !text.contains("mac="), "{text}");
}

#[test]
fn without_an_initramfs_and_for_rescue() {
    let mut rescue = boot();
    rescue.root_device = "xvdb1".to_owned();
    rescue.read_only_root = false;
    rescue.run_level = RunLevel::BinBash;
    let text = file(&spec(), &rescue, "/a", false).unwrap();
    assert!(text.contains("cmdline = \"root=/dev/xvdb1 rw console=hvc0 init=/bin/bash\"\n"));
    assert!(!text.contains("ramdisk") && !text.contains("xb."));
    rescue.run_level = RunLevel::Single;
    assert!(
        file(&spec(), &rescue, "/a", true)
            .unwrap()
            .contains(" rw console=hvc0 single xb.")
    );
}

/// The label of a Linode, a disk or a profile is any text; a path comes from the host's configuration and from numbers.
#[test]
fn nothing_breaks_out_of_its_quotes() {
    let text = file(&spec(), &boot(), "/a", true).unwrap();
    assert!(!text.contains("rm -rf") && text.matches("on_crash").count() == 1);
    for path in [
        "/a b", "/a,b", "/a:b", "/a\nb", "/a\"b", "", "/ä", "/a=b", "/a'b", "/a\\b",
    ] {
        let said = file(&spec(), &boot(), path, true);
        assert!(matches!(said, Err(DriverError::Host(_))), "{path:?}");
    }
}

/// A boot loader of the control domain (pygrub) reads the guest's own disk there as root, a device model is a program for it there,
/// and a core file fills its disk. The file has none of them whatever a profile says.
#[test]
fn nothing_in_the_control_domain_works_for_the_guest_but_its_back_ends() {
    let mut other = boot();
    other.kernel = "pv-grub\"\nbootloader = \"pygrub".to_owned();
    other.run_level = RunLevel::BinBash;
    other.read_only_root = false;
    for (boot, initramfs) in [(boot(), true), (other, false)] {
        let text = file(&spec(), &boot, "/a", initramfs).unwrap();
        let keys = text.lines().filter_map(|line| line.split_once(" = "));
        let keys: Vec<&str> = keys.map(|(key, _)| key).collect();
        let mut known = KEYS.to_vec();
        known.retain(|key| initramfs || *key != "ramdisk");
        assert_eq!(keys, known);
        assert_eq!(
            text.matches("vdev=").count(),
            text.matches("format=raw,vdev=").count()
        );
        assert_eq!(
            text.matches("vdev=").count(),
            text.matches("backendtype=phy").count()
        );
        for ending in ["coredump", "preserve", "rename"] {
            assert!(!text.contains(ending));
        }
    }
}

#[test]
fn profiles_that_cannot_work_are_refused_in_words() {
    type Change = fn(&mut GuestSpec, &mut BootSpec);
    let cases: [(Change, &str); 14] = [
        (|_, b| b.root_device = "/dev/xvdc".to_owned(), "xvdc"),
        (
            |_, b| b.root_device = "xvda init=/bin/sh".to_owned(),
            "boots from",
        ),
        (|_, b| b.root_device = "xvda\"".to_owned(), "boots from"),
        (|_, b| b.root_device = String::new(), "boots from"),
        (
            |_, b| b.devices.extend([("ubda".to_owned(), DiskId(11))]),
            "ubda",
        ),
        (
            |_, b| b.devices.extend([("xvdq".to_owned(), DiskId(11))]),
            "xvdq",
        ),
        (
            |_, b| {
                b.devices
                    .extend([("xvdc,target=/dev/sda".to_owned(), DiskId(11))])
            },
            "does not have",
        ),
        (
            |_, b| b.devices.extend([("xvdc".to_owned(), DiskId(99))]),
            "xvdc",
        ),
        (
            |_, b| b.devices.extend([("xvdc".to_owned(), DiskId(11))]),
            "twice",
        ),
        (|_, b| b.ram_mb = 1, "memory"),
        (|_, b| b.vcpus = 0, "processors"),
        (|_, b| b.vcpus = 1000, "processors"),
        (|s, _| s.mac = "01:00:5e:00:00:01".to_owned(), "network"),
        (
            |s, _| s.mac = "fe:fd:40:16:47:b4,bridge=x".to_owned(),
            "network",
        ),
    ];
    for (change, expected) in cases {
        let (mut spec, mut boot) = (spec(), boot());
        change(&mut spec, &mut boot);
        let Err(DriverError::Refused { public, .. }) = check(&spec, &boot) else {
            panic!("{expected}: not refused");
        };
        assert!(public.contains(expected), "{public}");
    }
    let mut heavy = spec();
    heavy.cpu_weight = 70_000;
    assert!(matches!(check(&heavy, &boot()), Err(DriverError::Host(_))));
}
