//! From a config profile to the file that `xl create` reads. Pure, so that what a guest is started with can be read in a
//! test.
//!
//! Every value is checked against what it may be made of before it stands in quotes; one that could end its quotes, or
//! separate, is refused, never escaped. The label goes nowhere.

use std::collections::BTreeSet;
use std::path::Path;

use crate::agent::driver::bootable::{self, refuse};
use crate::agent::driver::files::plain;
use crate::agent::driver::{DriverError, Guest, Result};
use crate::agent::initramfs::words;
use crate::domain::linode::RunLevel;
use crate::domain::platform::Platform;
use crate::wire::{BootSpec, GuestSpec};

/// A PV guest's start page holds a command line of 1024 bytes.
const LINE_LIMIT: usize = 1000;
/// Below this no Linux of this century comes up.
const RAM_LEAST_MB: i64 = 32;
const VCPUS: std::ops::RangeInclusive<i32> = 1..=128;
const WEIGHTS: std::ops::RangeInclusive<i64> = 1..=65_535;

/// What the guest is made of on this host.
pub(super) struct Place<'a> {
    pub name: &'a str,
    pub uuid: &'a str,
    pub kernel: &'a Path,
    pub initramfs: Option<&'a Path>,
    pub hotplug: &'a Path,
    /// Its bridge and its port; `None`: it has no network card.
    pub vif: Option<(&'a str, &'a str)>,
}

/// The whole file.
pub(super) fn text(guest: &Guest<'_>, place: &Place<'_>) -> Result<String> {
    check(guest.spec, guest.boot)?;
    let boot = guest.boot;
    let path = |path: &Path| {
        plain(path).map(str::to_owned).ok_or_else(|| {
            DriverError::Host(format!("xl cannot be told the path {}", path.display()))
        })
    };
    let hotplug = path(place.hotplug)?;
    let mut disks = Vec::new();
    for (device, disk) in &boot.devices {
        let (_, target) = guest
            .disks
            .iter()
            .find(|(id, _)| id == disk)
            .ok_or_else(|| DriverError::Host(format!("disk {disk} for {device} has no path")))?;
        let target = path(target)?;
        disks.push(format!(
            "\n    \"format=raw,vdev={device},access=rw,backendtype=phy,script={hotplug},target={target}\","
        ));
    }
    let mut text = "# Written by xenbeta-agent at the guest's start. Changing it changes nothing.\ntype = \"pv\"\n".to_owned();
    let mut line = |key: &str, value: &str| text.push_str(&format!("{key} = {value}\n"));
    let quoted = |value: &str| format!("\"{value}\"");
    line("name", &quoted(place.name));
    line("uuid", &quoted(place.uuid));
    line("kernel", &quoted(&path(place.kernel)?));
    if let Some(initramfs) = place.initramfs {
        line("ramdisk", &quoted(&path(initramfs)?));
    }
    line(
        "cmdline",
        &quoted(&command_line(boot, place.initramfs.is_some())?),
    );
    line("memory", &boot.ram_mb.to_string());
    line("maxmem", &boot.ram_mb.to_string());
    line("vcpus", &boot.vcpus.to_string());
    line("cpu_weight", &guest.spec.cpu_weight.to_string());
    line("disk", &format!("[{}\n]", disks.concat()));
    let vif = place.vif.map(|(bridge, port)| {
        format!(
            "[ \"mac={},bridge={bridge},vifname={port},script={hotplug}\" ]",
            guest.spec.mac.to_ascii_lowercase()
        )
    });
    line("vif", vif.as_deref().unwrap_or("[]"));
    line("on_poweroff", "\"destroy\"");
    // A reboot inside is the guest's own affair: `xl` makes its domain anew, also while no agent runs. What takes that
    // leave away at a stop is the link to the kernel (see `folder`).
    line("on_reboot", "\"restart\"");
    // The console's log stays.
    line("on_crash", "\"destroy\"");
    line("on_watchdog", "\"destroy\"");
    line("on_soft_reset", "\"destroy\"");
    Ok(text)
}

fn command_line(boot: &BootSpec, initramfs: bool) -> Result<String> {
    let mut line = vec![
        format!("root=/dev/{}", root(boot)?),
        if boot.read_only_root { "ro" } else { "rw" }.to_owned(),
        "console=hvc0".to_owned(),
    ];
    match boot.run_level {
        RunLevel::Default => {}
        RunLevel::Single => line.push("single".to_owned()),
        RunLevel::BinBash => line.push("init=/bin/bash".to_owned()),
    }
    if initramfs {
        line.extend(words::words(boot, Platform::Xen).unwrap_or_default());
    }
    let line = line.join(" ");
    if line.len() > LINE_LIMIT {
        return Err(DriverError::Host(format!(
            "the kernel's command line would be {} bytes long, over {LINE_LIMIT}",
            line.len()
        )));
    }
    Ok(line)
}

/// The root device without `/dev/`.
fn root(boot: &BootSpec) -> Result<&str> {
    let name = words::root_name(boot);
    let disk = name.map(|name| name.trim_end_matches(|c: char| c.is_ascii_digit()));
    match (name, disk) {
        (Some(name), Some(disk)) if boot.devices.contains_key(disk) => Ok(name),
        _ => bootable::no_root(boot, &boot.root_device),
    }
}

/// Could Xen be told all this? Checks everything that does not need the disks' paths.
pub(super) fn check(spec: &GuestSpec, boot: &BootSpec) -> Result<()> {
    bootable::check(spec, boot, Platform::Xen, RAM_LEAST_MB)?;
    if !VCPUS.contains(&boot.vcpus) {
        return refuse(
            &format!(
                "The config profile gives the Linode {} processors.",
                boot.vcpus
            ),
            format!("vcpus {}", boot.vcpus),
        );
    }
    check_weight(spec.cpu_weight)?;
    let disks: BTreeSet<_> = boot.devices.values().collect();
    if disks.len() < boot.devices.len() {
        return refuse(
            "The config profile names one disk twice.",
            format!("devices {:?}", boot.devices),
        );
    }
    root(boot).map(drop)
}

pub(super) fn check_weight(weight: i64) -> Result<()> {
    if WEIGHTS.contains(&weight) {
        Ok(())
    } else {
        Err(DriverError::Host(format!(
            "no domain can have the weight {weight}"
        )))
    }
}

#[cfg(test)]
mod tests;
