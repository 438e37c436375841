//! The independent witness: a file to which every simulated guest of every host appends what happens to it, for the
//! tests to judge. The guests write it, not the agents; that two run at once is found by the kernel (a lock
//! per Linode beside the file, held as long as the guest lives), so that no kill can hide it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::ids::LinodeId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The guest has its locks and begins to write; `number` is the first it will write.
    Start,
    /// It ends by itself; `number` is the last it wrote.
    Stop,
    /// The driver used force and has confirmed that it is gone.
    Gone,
    /// It found another runner of the same Linode alive. Must never happen.
    Overlap,
    /// Its disk misses numbers that had been written. Must never happen.
    Gap,
    /// A trial's clone begins: it is no run of the Linode, and what it writes is nobody's.
    Trial,
    /// The clone is gone, with all that was kept of it.
    TrialOver,
    /// It found another trial of the Linode alive, or the Linode itself on its own host. Must never happen.
    TrialOverlap,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Nanoseconds since the machine booted: one clock for all hosts simulated on it.
    pub at_ns: u64,
    pub event: Event,
    pub linode: LinodeId,
    pub host: String,
    pub pid: u32,
    /// The epoch in the name of the disks' folder, if it has one.
    pub epoch: Option<i64>,
    pub number: u64,
    /// At a start: the newest number any earlier run reported as synced.
    pub acknowledged: u64,
}

/// Nanoseconds since boot.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Appends a line; one write each, so lines of several processes do not mix.
pub fn append(witness: &Path, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line).map_err(io::Error::other)?;
    bytes.push(b'\n');
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(witness)?
        .write_all(&bytes)
}

fn beside(witness: &Path, linode: LinodeId, what: &str) -> PathBuf {
    let mut name = witness.as_os_str().to_owned();
    name.push(format!(".{what}-{linode}"));
    PathBuf::from(name)
}

/// Takes the Linode's lock for the life of the returned file; `None`: somebody else has it.
pub fn alone(witness: &Path, linode: LinodeId) -> io::Result<Option<File>> {
    lock(witness, linode, "lock")
}

/// As [`alone`], among the Linode's trials: these may run beside it.
pub fn only_trial(witness: &Path, linode: LinodeId) -> io::Result<Option<File>> {
    lock(witness, linode, "trial")
}

fn lock(witness: &Path, linode: LinodeId, what: &str) -> io::Result<Option<File>> {
    let file = open(&beside(witness, linode, what))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Where a guest says which number was synced last. In the page cache it outlives any kill of a process.
pub struct Acknowledged(File);

impl Acknowledged {
    pub fn open(witness: &Path, linode: LinodeId) -> io::Result<Self> {
        open(&beside(witness, linode, "synced")).map(Self)
    }

    pub fn newest(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        let read = self.0.read_at(&mut bytes, 0)?;
        Ok(if read == 8 {
            u64::from_le_bytes(bytes)
        } else {
            0
        })
    }

    pub fn say(&self, number: u64) -> io::Result<()> {
        self.0.write_all_at(&number.to_le_bytes(), 0)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}
