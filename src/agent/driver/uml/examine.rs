//! What `xenbeta-agent check` looks at on a UML host, and each start again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::thread::{CapabilitySet, capabilities};

use super::config::{Jail, UmlConfig};
use super::jail;
use crate::agent::driver::net;

type Verdict = Result<String, String>;

/// What a jail is made with.
const NEEDED: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::NET_ADMIN);
/// Where UML keeps a guest's memory if it has no place of its own for it.
const SHARED: &str = "/dev/shm";

pub(super) fn examine(config: &UmlConfig) -> Vec<(&'static str, Verdict)> {
    vec![
        ("jail", jail(config)),
        ("kernels", kernels(config)),
        ("memory", memory(config)),
        ("bridge", net::examine::bridge(&config.bridge)),
        ("spoofing", net::examine::spoofing(true)),
    ]
}

fn jail(config: &UmlConfig) -> Verdict {
    if config.jail == Jail::None {
        return Err(
            "jail = \"none\": the root of any guest has all rights of the agent on this host"
                .to_owned(),
        );
    }
    let own = capabilities(None).map_err(|error| error.to_string())?;
    let lacking = NEEDED.difference(own.effective);
    if !lacking.is_empty() {
        let names: Vec<_> = lacking.iter_names().map(|(name, _)| name).collect();
        return Err(format!(
            "no guest can start: the agent lacks {} (install the unit of this release)",
            names.join(", ")
        ));
    }
    for namespace in ["mnt", "pid", "net", "ipc", "uts"] {
        if !Path::new("/proc/self/ns").join(namespace).exists() {
            return Err(format!(
                "no guest can start: the kernel has no {namespace} namespaces"
            ));
        }
    }
    Ok(format!(
        "each guest is a user of its own, from {} on",
        config.first_uid
    ))
}

fn kernels(config: &UmlConfig) -> Verdict {
    for kernel in &config.kernels {
        let files = [Some(&kernel.path), kernel.initramfs.as_ref()];
        for path in files.into_iter().flatten() {
            readable(path, path == &kernel.path)
                .map_err(|error| format!("{}: {error}", kernel.id))?;
        }
        if config.jail == Jail::Required {
            jail::libraries(&kernel.path).map_err(|error| error.to_string())?;
        }
    }
    if config.preload.is_some() {
        return Err(
            "driver.preload is of no use any more (the agent brings it along): take it out"
                .to_owned(),
        );
    }
    Ok(format!("{} are there", config.kernels.len()))
}

/// A jailed guest opens its initramfs, and runs its kernel, as its own user.
pub(super) fn readable(path: &Path, runs: bool) -> Result<(), String> {
    let meta = fs::metadata(path).map_err(|_| format!("{} is not there", path.display()))?;
    let (wanted, how) = if runs {
        (0o005, "o+rx")
    } else {
        (0o004, "o+r")
    };
    if meta.permissions().mode() & wanted != wanted {
        return Err(format!(
            "{} is not for guests' users: chmod {how}",
            path.display()
        ));
    }
    Ok(())
}

fn memory(config: &UmlConfig) -> Verdict {
    let total = meminfo("MemTotal")?;
    if config.memory_mb > total {
        return Err(format!(
            "memory_mb is {}, but the host has {total} MiB in all",
            config.memory_mb
        ));
    }
    if config.jail == Jail::None {
        let shared = shared(|stat| stat.f_blocks)?;
        if config.memory_mb > shared {
            return Err(format!(
                "memory_mb is {}, but {SHARED}, where guests' memory is, holds {shared} MiB: guests would end each other (mount -o remount,size=…)",
                config.memory_mb
            ));
        }
    }
    Ok(format!(
        "{} of {total} MiB are for guests",
        config.memory_mb
    ))
}

/// Is there memory for one more guest, now? A guest that got more than there is would end others as it fills it.
pub(super) fn room_for(jail: Jail, ram_mb: i64) -> Result<(), String> {
    let available = meminfo("MemAvailable")?;
    let shared = match jail {
        Jail::Required => available,
        Jail::None => shared(|stat| stat.f_bavail)?,
    };
    let room = available.min(shared);
    if ram_mb > room {
        return Err(format!(
            "the host has {room} MiB of memory left, and the guest is to have {ram_mb}"
        ));
    }
    Ok(())
}

fn shared(blocks: impl Fn(&rustix::fs::StatVfs) -> u64) -> Result<i64, String> {
    let stat = statvfs(SHARED).map_err(|error| format!("{SHARED}: {error}"))?;
    mib(blocks(&stat).saturating_mul(stat.f_frsize) / 1024)
}

fn meminfo(key: &str) -> Result<i64, String> {
    let text = fs::read_to_string("/proc/meminfo").map_err(|error| error.to_string())?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    mib(kib.ok_or_else(|| format!("/proc/meminfo has no {key}"))?)
}

fn mib(kib: u64) -> Result<i64, String> {
    i64::try_from(kib / 1024).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_gets_no_more_memory_than_there_is() {
        assert!(meminfo("MemTotal").unwrap() >= meminfo("MemAvailable").unwrap());
        for jail in [Jail::Required, Jail::None] {
            room_for(jail, 1).unwrap();
            let error = room_for(jail, i64::MAX).unwrap_err();
            assert!(error.contains("left"), "{error}");
        }
    }

    #[test]
    fn a_kernel_that_guests_cannot_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel");
        fs::write(&path, "").unwrap();
        for (mode, reads, runs) in [
            (0o600, false, false),
            (0o644, true, false),
            (0o755, true, true),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = [false, true].map(|it| readable(&path, it).is_ok());
            assert_eq!(found, [reads, runs]);
        }
    }
}
