//! A Linode's folder in the driver's own: the file its domain is made from, the links to its kernel, and the record of its
//! last start. The record says what to look for when the guest should be gone; it never says that it is there or is not.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::names;
use crate::agent::absent::if_there;
use crate::agent::driver::files::{self, absent_is_fine, boot_id};
use crate::domain::ids::LinodeId;

/// A guest that reboots has a new domain each time; older ones than so many are long gone.
const DOMAINS_KEPT: usize = 8;
/// A guest with so many new domains in such a time does nothing but reboot. Xen's numbers for domains are 32,752, and each
/// reboot makes the toolstack work for some seconds.
const REBOOTS: usize = 20;
const WITHIN: TimeDelta = TimeDelta::minutes(10);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The host's boot: domains mean nothing in another one.
    pub boot_id: String,
    pub uuid: String,
    pub since: DateTime<Utc>,
    pub disks: Vec<PathBuf>,
    /// What it was started with; 0 in records of an earlier release.
    #[serde(default)]
    pub ram_mb: i64,
    /// The domains the guest was seen as last, the newest last.
    pub domains: Vec<u32>,
    /// When the newest were seen first.
    #[serde(default)]
    pub noted: Vec<DateTime<Utc>>,
    /// It rebooted all the time, and its next reboot ends it.
    #[serde(default)]
    pub restless: bool,
}

impl Record {
    pub fn note(&mut self, domain: u32, at: DateTime<Utc>) {
        if self.domains.contains(&domain) {
            return;
        }
        self.domains.push(domain);
        let extra = self.domains.len().saturating_sub(DOMAINS_KEPT);
        self.domains.drain(..extra);
        self.noted.push(at);
        self.noted.retain(|noted| at - noted < WITHIN);
        self.restless |= self.noted.len() > REBOOTS;
    }
}

pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    pub fn new(state: &Path, prefix: &str, linode: LinodeId) -> Self {
        Self {
            dir: state.join(names::domain(prefix, linode)),
        }
    }

    pub fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What `xl create` is given. Its path stands in the arguments of the `xl` that stays behind, and in no other's.
    pub fn domain_file(&self) -> PathBuf {
        self.dir.join("domain.cfg")
    }

    /// A link to the kernel, and the guest's leave to reboot: `xl` opens it again to make a rebooted guest's domain, so
    /// once the link is gone a reboot ends the guest, whoever notices it and whenever.
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("kernel")
    }

    pub fn initramfs(&self) -> PathBuf {
        self.dir.join("initramfs")
    }

    pub fn filter(&self) -> PathBuf {
        self.dir.join("filter.nft")
    }

    pub fn earlier_console(&self) -> PathBuf {
        self.dir.join("console.old")
    }

    pub fn permit(&self, kernel: &Path, initramfs: Option<&Path>) -> io::Result<()> {
        self.forbid()?;
        absent_is_fine(fs::remove_file(self.initramfs()))?;
        if let Some(initramfs) = initramfs {
            symlink(initramfs, self.initramfs())?;
        }
        symlink(kernel, self.kernel())
    }

    pub fn forbid(&self) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.kernel()))
    }

    /// The record of the last start, if it was in this boot of the host.
    pub fn record(&self) -> io::Result<Option<Record>> {
        let Some(record) = files::record::<Record>(&self.dir)? else {
            return Ok(None);
        };
        Ok((record.boot_id == boot_id()?).then_some(record))
    }

    pub fn write(&self, record: &Record) -> io::Result<()> {
        let _alone = self.alone()?;
        files::write_record(&self.dir, record)
    }

    /// Changes the record if it is still that of the start `uuid`: whoever looked earlier knows nothing of a newer one.
    pub fn change(&self, uuid: &str, change: impl Fn(&mut Record)) -> io::Result<()> {
        let _alone = self.alone()?;
        let Some(mut record) = self.record()?.filter(|record| record.uuid == uuid) else {
            return Ok(());
        };
        change(&mut record);
        files::write_record(&self.dir, &record)
    }

    pub fn forget(&self) -> io::Result<()> {
        let _alone = self.alone()?;
        files::forget_record(&self.dir)
    }

    /// The right to change the record: other threads look at guests, and other programs (`status`).
    fn alone(&self) -> io::Result<Option<File>> {
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        // Without a folder there is no record either.
        let lock = if_there(options.open(self.dir.join("run.lock")))?;
        lock.as_ref().map_or(Ok(()), File::lock)?;
        Ok(lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(dir: &Path) -> Folder {
        let folder = Folder::new(dir, "xb", LinodeId(7));
        folder.make().unwrap();
        folder
    }

    #[test]
    fn a_record_is_of_one_boot_of_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        assert!(folder.dir().ends_with("xb-7"));
        assert_eq!(folder.record().unwrap(), None);
        let mut record = Record {
            boot_id: boot_id().unwrap(),
            uuid: "u".to_owned(),
            since: DateTime::default(),
            disks: vec!["/dev/vg0/a".into()],
            ram_mb: 128,
            domains: vec![],
            noted: vec![],
            restless: false,
        };
        let hour = |n: u32| DateTime::default() + TimeDelta::hours(n.into());
        (0..2).for_each(|_| record.note(4, hour(4)));
        assert_eq!((record.domains.len(), record.noted.len()), (1, 1));
        (5..40).for_each(|domain| record.note(domain, hour(domain)));
        assert!(!record.restless, "now and then is no loop");
        assert_eq!(
            (record.domains.len(), record.domains.last()),
            (8, Some(&39))
        );
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
    }

    #[test]
    fn a_look_that_began_before_a_start_changes_nothing_of_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let record = |uuid: &str| Record {
            boot_id: boot_id().unwrap(),
            uuid: uuid.to_owned(),
            since: DateTime::default(),
            disks: vec![],
            ram_mb: 128,
            domains: vec![],
            noted: vec![],
            restless: false,
        };
        let note = |uuid: &str| {
            let note = |record: &mut Record| record.note(4, DateTime::default());
            folder.change(uuid, note).unwrap();
            folder.record().unwrap()
        };
        assert_eq!(note("old"), None, "nor makes one");
        folder.write(&record("new")).unwrap();
        assert_eq!(note("old"), Some(record("new")));
        assert_eq!(note("new").unwrap().domains, [4]);
        folder.forget().unwrap();
        assert_eq!(note("new"), None);
    }

    #[test]
    fn the_leave_to_reboot_comes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        for initramfs in [Some(Path::new("/bin/sh")), None] {
            folder.permit(Path::new("/bin/true"), initramfs).unwrap();
            assert!(folder.kernel().exists());
            assert_eq!(folder.initramfs().exists(), initramfs.is_some());
        }
        for _ in 0..2 {
            folder.forbid().unwrap();
            assert!(!folder.kernel().exists());
        }
    }
}
