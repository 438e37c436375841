//! What the toolstack says and what processes call themselves, for `crate::fuzz`. Guests choose a part of both.

use std::collections::BTreeSet;
use std::path::Path;

use super::domain_file::{self, Place};
use super::{backend, keeper, names, samples, share, xl};
use crate::agent::driver::Guest;

/// The tables and the list of `xl`. Every line of the list is somebody's: none is passed over, and none stands for two.
pub(crate) fn tables(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().count();
    if let Ok(domains) = xl::parse_domains(&text) {
        assert_eq!(domains.known.len() + domains.odd.len(), lines - 1);
        assert_eq!(domains.known.first().map(|first| first.id), Some(0));
        for domain in &domains.known {
            assert!(xl::is_uuid(&domain.uuid) && !domain.name.is_empty());
            let linode = names::linode_of("xb", &domain.name);
            let by_number = names::linode_of_uuid("xb", &domain.uuid);
            if let Some(linode) = linode {
                assert_eq!(names::domain("xb", linode), domain.name);
            }
            if let Some(linode) = by_number {
                let lead = names::lead("xb", linode).unwrap_or_default();
                assert!(domain.uuid.starts_with(&lead));
            }
        }
        let shown: BTreeSet<&str> = domains.odd.iter().map(|odd| odd.line.as_str()).collect();
        assert!(shown.iter().all(|line| text.contains(line)));
        assert!(domains.odd.iter().all(|odd| xl::is_uuid(&odd.uuid)));
    }
    let _ = xl::parse_info(&text);
    if let Ok(weights) = xl::parse_weights(&text) {
        assert!(weights.len() <= lines);
    }
    if let Ok(vcpus) = xl::parse_vcpus(&text) {
        assert!(vcpus.len() <= lines);
        for vcpu in &vcpus {
            let _ = vcpu.may_be_on(vcpu.cpu.unwrap_or(u32::MAX));
        }
    }
    for line in text.lines() {
        let level = share::parse(line);
        assert!(level <= 7 || level == share::OTHER, "{line:?}: {level}");
    }
}

/// Words that processes were started with, and names in `/proc` and `/sys`.
pub(crate) fn processes(bytes: &[u8]) {
    let file = b"/var/d/xb-7/domain.cfg".as_slice();
    let kept = keeper::kept(bytes, |arg| (arg == file).then_some(0));
    let args = || bytes.split(|byte| *byte == 0);
    let is = args().any(|arg| arg == b"create") && args().any(|arg| arg == file);
    assert_eq!(kept.is_some(), is);
    let _ = keeper::logs_guests(bytes);
    let text = String::from_utf8_lossy(bytes);
    for name in text.lines() {
        if let Some(device) = backend::Device::parse(name) {
            assert_eq!(backend::Device::parse(&device.name()), Some(device));
        }
        if let Some((_, disk)) = backend::thread_of(name) {
            assert!(disk.starts_with("xvd") && name.contains(disk));
        }
        let _ = (backend::hex_number(name), samples::domain_in(name));
        if let Some(linode) = names::linode_of("xb", name) {
            assert_eq!(names::domain("xb", linode), name);
        }
    }
}

/// The keys of a domain's file; whatever an order says, there are no others.
pub(super) const KEYS: [&str; 17] = [
    "type",
    "name",
    "uuid",
    "kernel",
    "ramdisk",
    "cmdline",
    "memory",
    "maxmem",
    "vcpus",
    "cpu_weight",
    "disk",
    "vif",
    "on_poweroff",
    "on_reboot",
    "on_crash",
    "on_watchdog",
    "on_soft_reset",
];

/// What `xl create` would read: a line a key, each once, and quotes only around values.
pub(crate) fn starts(guest: &Guest<'_>) {
    let place = Place {
        name: "xb-7",
        uuid: "78620000-0000-0000-200c-0123456789ab",
        kernel: Path::new("/boot/vmlinuz"),
        initramfs: Some(Path::new("/boot/xen.img")),
        hotplug: Path::new("/run/hotplug"),
        vif: Some(("xenbr0", "xb7")),
    };
    let Ok(text) = domain_file::text(guest, &place) else {
        return;
    };
    let mut keys = BTreeSet::new();
    for line in text.lines().skip(1) {
        if let Some((key, value)) = line.split_once(" = ") {
            let lone = KEYS.contains(&key) && (key != "disk" || value == "[");
            assert!(lone && keys.insert(key), "{line}");
        } else {
            assert!(
                line == "]" || line.starts_with("    \"format=raw,vdev=xvd"),
                "{line}"
            );
        }
        let quotes = line.matches(['"', '\'']).count();
        assert!(quotes == 0 || quotes == 2, "{line}");
        assert!(!line.contains('\\') && line.is_ascii(), "{line}");
    }
}
