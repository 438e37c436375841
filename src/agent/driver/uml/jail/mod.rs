//! A guest as a stranger to its host. Its members have root in it, and root in a UML guest is code of their choice in a
//! process of the host: with a module of their own they make the host's system calls with all rights that UML has. So UML
//! gets none: a user of its own per Linode, an empty root with nothing but what it needs, namespaces of its own, no
//! capability, and few system calls.
//!
//! * Here is the agent's side: what a guest is handed, and its start.
//! * `start` is the jailer, a short-lived program that makes the namespaces; `init` is what it leaves behind, the first process in
//!   them, which starts UML, writes its console and ends everything when UML ends; `root` puts the root together; `calls`
//!   are the system calls; `rights` what is given up.

mod calls;
mod init;
mod rights;
mod root;
mod spec;
mod start;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::spec::{Spec, disk, inside};
pub use self::start::main;
use super::folder::Folder;
use crate::agent::driver::files::{at, host};
use crate::agent::driver::{DriverError, Result};
use crate::command::Tool;
use crate::domain::ids::{DiskId, LinodeId};

/// From the jailer's start until the guest runs; a tenth of a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);
/// What is loaded into UML, compiled by `build.rs`.
const PRELOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload.so"));

/// The user of a Linode's guest: nobody else's, as the ids from `first` on are the agent's alone.
pub fn uid(first: u32, linode: LinodeId) -> Result<u32> {
    let uid = u32::try_from(linode.0)
        .ok()
        .and_then(|id| first.checked_add(id));
    // Above 2^31 some programs of a host take a user for a negative number.
    uid.filter(|uid| i32::try_from(*uid).is_ok())
        .ok_or_else(|| {
            DriverError::Host(format!(
                "Linode {linode} has no user of its own: driver.first_uid is {first}"
            ))
        })
}

/// Where agents of one machine say whose users are whose; gone with the host's boot.
const CLAIMS: &str = "/run/xenbeta-users";

/// Guests are known by their users alone: two agents with the same ones would stop each other's.
pub fn claim(first: u32, state: &Path) -> Result<()> {
    let path = Path::new(CLAIMS).join(first.to_string());
    let own = state.as_os_str().as_encoded_bytes();
    match fs::read(&path) {
        Ok(there) if there == own => return Ok(()),
        Ok(there) if Path::new(OsStr::from_bytes(&there)).exists() => {
            return Err(DriverError::Host(format!(
                "driver.first_uid: {first} is that of the agent with {} (else remove {})",
                String::from_utf8_lossy(&there),
                path.display()
            )));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(&path, &error)),
    }
    let written = fs::create_dir_all(CLAIMS).and_then(|()| fs::write(&path, own));
    match written {
        // Who cannot write there starts no guest either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(|error| at(&path, &error)),
    }
}

/// Writes what is loaded into UML; guests that run keep what they have.
pub fn write_preload(state: &Path) -> io::Result<PathBuf> {
    let path = state.join("preload.so");
    if fs::read(&path).is_ok_and(|there| there == PRELOAD) {
        return Ok(path);
    }
    let next = state.join("preload.so.next");
    fs::write(&next, PRELOAD)?;
    fs::set_permissions(&next, fs::Permissions::from_mode(0o644))?;
    fs::rename(next, &path)?;
    Ok(path)
}

/// What a kernel is linked to: UML is an ordinary program. The kernel is the host's own, so that `ldd` may run it.
pub fn libraries(kernel: &Path) -> Result<Vec<PathBuf>> {
    let said = Tool::new("ldd").arg(kernel).run();
    let said = said.map_err(|error| {
        DriverError::Host(format!(
            "{} is not linked dynamically, so that it cannot be jailed: {error}",
            kernel.display()
        ))
    })?;
    Ok(paths(&said.text()))
}

/// `ldd` says `NAME => /PATH (0x…)`, or `/PATH (0x…)` for the loader.
pub(super) fn paths(said: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let words = line.split_ascii_whitespace();
        words
            .map(Path::new)
            .find(|word| word.is_absolute())
            .map(Path::to_path_buf)
    };
    said.lines().filter_map(path).collect()
}

/// The guest's disks are its own. A device of the host's stays as it is: the jail has a node of its own for it.
fn own(disks: &[(DiskId, PathBuf)], uid: u32) -> io::Result<()> {
    for (_, path) in disks {
        let meta = fs::metadata(path)?;
        if !meta.file_type().is_block_device() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            chown(path, Some(uid), Some(uid))?;
        }
    }
    Ok(())
}

/// Starts the guest. `words` name it in the list of processes for as long as its user does not yet.
pub fn start(program: &Path, folder: &Folder, spec: &Spec, words: &[String]) -> Result<u32> {
    let inside = |error: io::Error| at(folder.dir(), &error);
    own(&spec.disks, spec.uid).map_err(inside)?;
    fs::create_dir_all(&spec.root).map_err(inside)?;
    let path = folder.dir().join("jail.json");
    fs::write(
        &path,
        serde_json::to_vec(spec).map_err(|error| host(error.into()))?,
    )
    .map_err(inside)?;
    // Without a random layout UML needs no filler between itself and its memory (hundreds of MB of page tables).
    let said = Tool::new("setarch")
        .arg("-R")
        .arg(program)
        .arg("jail")
        .arg("--spec")
        .arg(&path)
        .args(words)
        .limit(LIMIT)
        .run()
        .map_err(|error| DriverError::Host(error.to_string()))?;
    let text = said.text();
    text.trim()
        .parse()
        .map_err(|_| DriverError::Host(format!("the jailer says {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_linode_has_a_user_of_its_own_or_none() {
        assert_eq!(uid(1_000_000_000, LinodeId(8204)).unwrap(), 1_000_008_204);
        for (first, id) in [(1_000_000_000, -1), (i32::MAX as u32 - 6, 7), (1, i64::MAX)] {
            assert!(uid(first, LinodeId(id)).is_err(), "{first} {id}");
        }
    }

    #[test]
    fn what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x00007f9d07e5b000)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f9d07c67000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f9d07e5d000)\n";
        let found = paths(said);
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }
}
