//! A Linode's folder in the driver's state folder: the link that is its kernel, its console, and the record of its last start.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent::absent::if_there;
use crate::agent::driver::console::Console;
use crate::agent::driver::files::{self, absent_is_fine, boot_id};
use crate::agent::process::ProcessRef;
use crate::domain::ids::LinodeId;

/// Written before a guest starts and again once its process is known, so that no crash in between hides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The host's boot: pids and start times mean nothing in another one.
    pub boot_id: String,
    pub main: Option<ProcessRef>,
    pub disks: Vec<PathBuf>,
    pub ram_mb: i64,
    /// The user it was started as, if in a jail.
    #[serde(default)]
    pub uid: Option<u32>,
}

pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    pub fn new(state: &Path, linode: LinodeId) -> Self {
        Self {
            dir: state.join(format!("linode-{linode}")),
        }
    }

    pub fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path by which the guest's kernel is run, a link to the real one. It is also the guest's leave to reboot:
    /// a UML that reboots runs its own program again, so once the link is gone a reboot inside the guest ends it.
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("linux")
    }

    pub fn permit(&self, kernel: &Path) -> io::Result<()> {
        self.forbid()?;
        symlink(kernel, self.kernel())
    }

    /// The folder that a jailed guest sees, with the same leave in it.
    pub fn boot(&self) -> PathBuf {
        self.dir.join("boot")
    }

    /// `kernel` is the kernel's path in the jail.
    pub fn permit_jailed(&self, kernel: &Path) -> io::Result<()> {
        self.forbid()?;
        fs::create_dir_all(self.boot())?;
        // The guest's user walks in it.
        fs::set_permissions(self.boot(), fs::Permissions::from_mode(0o755))?;
        symlink(kernel, self.boot().join("linux"))
    }

    pub fn forbid(&self) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.kernel()))?;
        absent_is_fine(fs::remove_file(self.boot().join("linux")))
    }

    pub fn console(&self) -> Console {
        Console {
            now: self.dir.join("console"),
            earlier: self.dir.join("console.old"),
        }
    }

    /// The record of the last start, if it was in this boot of the host.
    pub fn record(&self) -> io::Result<Option<Record>> {
        let Some(record) = files::record::<Record>(&self.dir)? else {
            return Ok(None);
        };
        Ok((record.boot_id == boot_id()?).then_some(record))
    }

    pub fn write(&self, record: &Record) -> io::Result<()> {
        files::write_record(&self.dir, record)
    }

    pub fn forget(&self) -> io::Result<()> {
        files::forget_record(&self.dir)
    }
}

/// The Linodes that have a folder.
pub(super) fn linodes(state: &Path) -> io::Result<Vec<LinodeId>> {
    let entries = if_there(fs::read_dir(state))?.into_iter().flatten();
    let id = |entry: fs::DirEntry| {
        let name = entry.file_name();
        name.to_str()?.strip_prefix("linode-")?.parse().ok()
    };
    let mut found: Vec<LinodeId> = entries.flatten().filter_map(id).collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_of_one_boot_of_the_host() {
        let dir = tempfile::tempdir().unwrap();
        assert!(linodes(&dir.path().join("none")).unwrap().is_empty());
        let folder = Folder::new(dir.path(), LinodeId(7));
        folder.make().unwrap();
        assert_eq!(folder.record().unwrap(), None);
        let mut record = Record {
            boot_id: boot_id().unwrap(),
            main: ProcessRef::of(std::process::id()),
            disks: vec!["/v/7/11.img".into()],
            ram_mb: 64,
            uid: None,
        };
        folder.write(&record).unwrap();
        assert_eq!(folder.record().unwrap().as_ref(), Some(&record));
        record.boot_id = "another".to_owned();
        folder.write(&record).unwrap();
        assert_eq!(folder.record().unwrap(), None);
        record.boot_id = boot_id().unwrap();
        folder.write(&record).unwrap();
        files::only_whole_records_count(folder.dir(), &record);
        folder.forget().unwrap();
        folder.forget().unwrap();
        assert_eq!(linodes(dir.path()).unwrap(), [LinodeId(7)]);
    }

    #[test]
    fn the_leave_to_reboot_comes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path(), LinodeId(7));
        folder.make().unwrap();
        for _ in 0..2 {
            folder.permit(Path::new("/bin/true")).unwrap();
            assert!(folder.kernel().exists());
        }
        for _ in 0..2 {
            folder.forbid().unwrap();
            assert!(!folder.kernel().exists());
        }
    }
}
