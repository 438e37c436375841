//! The host's end of a guest's devices, as the kernel shows it in `/sys`: what a guest has used, which threads do its disks'
//! work, and what is left of it. Looking costs no program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::agent::absent::if_there;
use crate::agent::driver::files::{identity, pids};
use crate::agent::driver::net::sys;

const DEVICES: &str = "/sys/bus/xen-backend/devices";
const SECTOR: u64 = 512;

/// Bytes and operations since the devices were connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// A back-end device, as its name in `/sys` says: `vbd-4-51712`, `vif-4-0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub kind: String,
    pub domain: u32,
    pub number: u32,
}

impl Device {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let (kind, domain, number) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(())?;
        Some(Self {
            kind: kind.to_owned(),
            domain: domain.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    pub(super) fn name(&self) -> String {
        format!("{}-{}-{}", self.kind, self.domain, self.number)
    }

    fn path(&self) -> PathBuf {
        Path::new(DEVICES).join(self.name())
    }

    /// Is it a disk's or a port's? A console's says nothing of what a guest holds.
    fn holds(&self) -> bool {
        matches!(self.kind.as_str(), "vbd" | "vif")
    }
}

/// The disks and ports of all domains.
pub(super) fn devices() -> io::Result<Vec<Device>> {
    let mut found = Vec::new();
    for entry in if_there(fs::read_dir(DEVICES))?.into_iter().flatten() {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(Device::parse).filter(Device::holds));
    }
    Ok(found)
}

/// The domain behind a network port; `None` if there is no such port, or none of Xen's.
pub(super) fn domain_of(port: &str) -> Option<u32> {
    let device = fs::read_link(sys(port).join("device")).ok()?;
    let device = Device::parse(device.file_name()?.to_str()?)?;
    (device.kind == "vif").then_some(device.domain)
}

/// What the disks of each domain did.
pub(super) fn traffic() -> BTreeMap<u32, Traffic> {
    let mut sums: BTreeMap<u32, Traffic> = BTreeMap::new();
    let disks = devices().unwrap_or_default();
    for disk in disks.iter().filter(|disk| disk.kind == "vbd") {
        let sum = sums.entry(disk.domain).or_default();
        let counter = |name: &str| -> u64 {
            let path = disk.path().join("statistics").join(name);
            let text = fs::read_to_string(path).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        sum.read_bytes += counter("rd_sect") * SECTOR;
        sum.write_bytes += counter("wr_sect") * SECTOR;
        sum.reads += counter("rd_req");
        sum.writes += counter("wr_req");
    }
    sums
}

/// The kernel threads that do a domain's disk work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Threads {
    pub ids: Vec<u32>,
    /// Every disk of the domain has at least one; they appear when the guest connects its disks.
    pub complete: bool,
}

pub(super) fn threads(domain: u32) -> Threads {
    let ids = threads_of_all().remove(&domain).unwrap_or_default();
    let disks: BTreeSet<&str> = ids.iter().map(|(_, disk)| disk.as_str()).collect();
    let all = devices().unwrap_or_default();
    let wanted = all.iter().filter(|d| d.domain == domain && d.kind == "vbd");
    Threads {
        complete: !disks.is_empty() && disks.len() >= wanted.count(),
        ids: ids.iter().map(|(id, _)| *id).collect(),
    }
}

/// Of every domain, each with its disk's name. One look at all processes.
pub(super) fn threads_of_all() -> BTreeMap<u32, Vec<(u32, String)>> {
    let mut found: BTreeMap<u32, Vec<(u32, String)>> = BTreeMap::new();
    for pid in pids().into_iter().flatten() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if let Some((domain, disk)) = thread_of(name.trim_end()) {
            // A program may call itself so; only the kernel's own has no command line.
            if fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|args| args.is_empty()) {
                found
                    .entry(domain)
                    .or_default()
                    .push((pid, disk.to_owned()));
            }
        }
    }
    found
}

/// `4.xvda-0`, one a queue; before Linux 4.5 `blkback.4.xvda`. Gives the domain and the disk's name.
pub(super) fn thread_of(name: &str) -> Option<(u32, &str)> {
    let rest = name.strip_prefix("blkback.").unwrap_or(name);
    let (number, rest) = rest.split_once('.')?;
    let disk = rest.split('-').next()?;
    disk.starts_with("xvd").then_some(())?;
    Some((number.parse().ok()?, disk))
}

/// What holds one of `disks` open on behalf of any domain: back-end devices and loop devices, by their names.
pub(super) fn holders(disks: &[PathBuf]) -> io::Result<Vec<String>> {
    let mut numbers = BTreeSet::new();
    let mut files = Vec::new();
    for meta in disks.iter().filter_map(|disk| fs::metadata(disk).ok()) {
        if meta.file_type().is_block_device() {
            numbers.insert(device_number(meta.rdev()));
        } else {
            files.push(identity(&meta));
        }
    }
    let mut found = Vec::new();
    if !files.is_empty() {
        for (name, number, backing) in loops()? {
            if fs::metadata(&backing).is_ok_and(|meta| files.contains(&identity(&meta))) {
                numbers.insert(number);
                found.push(name);
            }
        }
    }
    for device in devices()? {
        let text = fs::read_to_string(device.path().join("physical_device")).unwrap_or_default();
        if hex_number(&text).is_some_and(|number| numbers.contains(&number)) {
            found.push(device.name());
        }
    }
    Ok(found)
}

/// Writes that the host's kernel has begun and not ended, summed over those of `disks` that are block devices: a back-end
/// that is gone may have left some.
pub(super) fn writes_in_flight(disks: &[PathBuf]) -> u64 {
    let numbers = disks.iter().filter_map(|disk| {
        let meta = fs::metadata(disk).ok()?;
        (meta.file_type().is_block_device()).then(|| device_number(meta.rdev()))
    });
    let writes = |(major, minor): (u32, u32)| -> Option<u64> {
        let path = format!("/sys/dev/block/{major}:{minor}/inflight");
        let text = fs::read_to_string(path).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    numbers.filter_map(writes).sum()
}

fn device_number(device: u64) -> (u32, u32) {
    (rustix::fs::major(device), rustix::fs::minor(device))
}

/// `fd:0`, as a disk's back-end has it.
pub(super) fn hex_number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once(':')?;
    let part = |text| u32::from_str_radix(text, 16).ok();
    part(major).zip(part(minor))
}

/// A loop device in use: its name, its number, the file behind it.
type Loop = (String, (u32, u32), PathBuf);

fn loops() -> io::Result<Vec<Loop>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block")?.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let Ok(backing) = fs::read_to_string(path.join("loop/backing_file")) else {
            continue;
        };
        let number = fs::read_to_string(path.join("dev")).unwrap_or_default();
        let number = number
            .trim()
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        if let (Some(name), Some(number)) = (name.to_str(), number) {
            found.push((
                name.to_owned(),
                number,
                PathBuf::from(backing.trim_end_matches('\n')),
            ));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_threads_are_read_from_their_names() {
        let device = Device::parse("vbd-4-51712").unwrap();
        assert_eq!((device.domain, device.number), (4, 51712));
        assert_eq!(device.name(), "vbd-4-51712");
        assert!(device.holds() && !Device::parse("console-4-0").unwrap().holds());
        for other in ["", "vbd", "vbd-x-1", "vbd-4-51712-2", "vbd--4-1"] {
            assert_eq!(Device::parse(other), None, "{other}");
        }
        assert_eq!(thread_of("4.xvda-0"), Some((4, "xvda")));
        assert_eq!(thread_of("blkback.14.xvdb"), Some((14, "xvdb")));
        for other in [
            "x4.xvda-0",
            "4.hda-0",
            "xb8204-q0-guest-rx",
            "4xvda",
            "kworker/1.xvda",
        ] {
            assert_eq!(thread_of(other), None, "{other}");
        }
        assert_eq!(hex_number("fd:0\n"), Some((253, 0)));
        assert_eq!(hex_number("7:1f"), Some((7, 31)));
        assert_eq!(hex_number(""), None);
    }

    #[test]
    fn a_host_without_xen_has_nothing_of_any_guest() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        fs::write(&disk, "x").unwrap();
        assert!(holders(std::slice::from_ref(&disk)).unwrap().is_empty());
        assert_eq!(writes_in_flight(&[disk]), 0);
        assert_eq!(threads(4_000_000), Threads::default());
        assert_eq!(domain_of("lo"), None);
    }
}
