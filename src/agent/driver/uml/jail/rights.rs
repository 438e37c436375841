//! What the first process of a jail gives up, for itself and for all that it starts.

use std::fs;
use std::io;

use rustix::fs::{Gid, Uid};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::spec::{Spec, doing};

/// Each process of the guest is one of the host, as long as it has memory of its own. More than a guest needs, and far fewer
/// than the host has pids: a bomb ends here.
fn processes(ram_mb: i64) -> u64 {
    let wanted = u64::try_from(ram_mb).unwrap_or(0).saturating_mul(2);
    wanted.clamp(400, 4096)
}

/// How long a file of the guest's may become: its longest disk, or its memory. Otherwise a disk could be made to fill the store.
pub(super) fn longest_file(spec: &Spec) -> io::Result<u64> {
    let memory = u64::try_from(spec.ram_mb + 1).unwrap_or(0) << 20;
    spec.disks.iter().try_fold(memory, |longest, (_, path)| {
        Ok(longest.max(fs::metadata(path)?.len()))
    })
}

/// Limits that no process of the guest can raise again.
pub(super) fn limits(spec: &Spec, longest_file: u64) -> io::Result<()> {
    let limits = [
        (Resource::Fsize, longest_file),
        // No core file of a guest's memory is ever written.
        (Resource::Core, 0),
        (Resource::Nproc, processes(spec.ram_mb)),
        // What waits in a socket is the host's memory, too, and counted nowhere.
        (Resource::Nofile, 128),
        (Resource::Stack, 8 << 20),
        // What a process has beside the guest's memory, which is a file and has a limit of its own.
        (Resource::Data, 16 << 20),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    for (resource, limit) in limits {
        limit_to(resource, limit)?;
    }
    Ok(())
}

pub(super) fn limit_to(resource: Resource, limit: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    setrlimit(resource, limit).map_err(doing("a limit"))
}

/// Becomes the guest's user, for ever.
pub(super) fn drop_all(uid: u32) -> io::Result<()> {
    clear_ambient_capability_set().map_err(doing("ambient capabilities"))?;
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // Not known to this host's kernel.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(doing("the bounding set")(error)),
        }
    }
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    set_thread_groups(&[]).map_err(doing("groups"))?;
    set_thread_res_gid(group, group, group).map_err(doing("the group"))?;
    set_thread_res_uid(user, user, user).map_err(doing("the user"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(doing("capabilities"))?;
    set_no_new_privs(true).map_err(doing("no new privileges"))
}

#[cfg(test)]
mod tests {
    use super::processes;

    #[test]
    fn a_small_guest_has_processes_enough_and_a_large_one_more() {
        assert_eq!([24, 360, 4096, -1].map(processes), [400, 720, 4096, 400]);
    }
}
