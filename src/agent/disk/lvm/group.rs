//! What the store asks of LVM, and how it is asked: one `lvm` process for as many volumes as there are (each costs 50 to
//! 100 ms, and some stand in a move's downtime), volumes named by their UUID wherever something is changed, so that a
//! volume renamed or made anew by hand is never mistaken for ours.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FileType, OFlags, fstat, major, minor};

use super::report;
use super::volume::{Extents, Volume, refused};
use crate::agent::disk::{DiskError, DiskFault, Result};
use crate::command::{CommandError, Tool};

/// On every volume of ours, so that one report finds them all.
pub const TAG: &str = "xb";
/// And on snapshots, which are a trial's and never anybody's disk.
pub const TRIAL_TAG: &str = "xb.trial";

/// Reports and changes of metadata. LVM waits for others' locks.
const LIMIT: Duration = Duration::from_secs(60);
/// Discarding a whole volume, which some devices do slowly, and how much of it at once: others' reads and writes go between.
const DISCARD_LIMIT: Duration = Duration::from_secs(600);
const DISCARD_STEP: &str = "128MiB";

/// Said with every call, so that no host's `lvm.conf` changes what an answer looks like or how many rows it has.
const SETTINGS: [(&str, &str); 15] = [
    ("devices/issue_discards", "0"),
    ("log/command_names", "0"),
    ("log/prefix", "\"  \""),
    ("log/report_command_log", "0"),
    ("report/binary_values_as_numeric", "0"),
    ("report/buffered", "1"),
    ("report/columns_as_rows", "0"),
    ("report/compact_output", "0"),
    ("report/compact_output_cols", "\"\""),
    ("report/list_item_separator", "\",\""),
    ("report/lvs_sort", "\"lv_name\""),
    ("report/mark_hidden_devices", "0"),
    ("report/prefixes", "0"),
    ("report/quoted", "1"),
    ("report/vgs_sort", "\"vg_name\""),
];

/// One volume group. Everything that changes something may be repeated.
pub trait Group: Send + Sync {
    fn extents(&self) -> Result<Extents>;

    /// The volumes with our tag.
    fn volumes(&self) -> Result<Vec<Volume>>;

    /// Any volume by its name.
    fn named(&self, name: &str) -> Result<Option<Volume>>;

    /// A linear volume, active, with these tags from its first moment on. What is on it is what was there before.
    fn create(&self, name: &str, extents: u64, tags: &[String]) -> Result<()>;

    /// A snapshot of this very volume, active and writable, with these tags from its first moment on. What is written to it,
    /// or to the volume, has room in so many extents; beyond them the snapshot is lost, and the volume stays as it is.
    fn snapshot(&self, of: (&str, &str), name: &str, extents: u64, tags: &[String]) -> Result<()>;

    /// Is a snapshot more than half full, or lost?
    fn is_short_of_room(&self) -> Result<bool>;

    fn add_tags(&self, uuid: &str, tags: &[String]) -> Result<()>;

    /// Removes those of these volumes that are there and have our tag; one in use is an error.
    fn remove(&self, uuids: &[&str]) -> Result<()>;

    fn set_writable(&self, uuids: &[&str], writable: bool) -> Result<()>;

    /// Where a guest finds it.
    fn path(&self, name: &str) -> PathBuf;

    /// Opens the volume's device past the page cache (others write to it without the cache), made active if it is not.
    /// A device that is not this very volume is refused.
    fn open(&self, name: &str, uuid: &str, write: bool) -> Result<File>;

    /// Whether the kernel lets anybody write to this device.
    fn is_writable(&self, device: &File) -> Result<bool>;
}

/// A group of this machine, through LVM's commands.
pub struct Commands {
    program: PathBuf,
    vg: String,
}

impl Commands {
    pub fn new(vg: &str) -> Self {
        Self::through("lvm", vg)
    }

    /// By a program that takes LVM's place.
    pub fn through(program: impl Into<PathBuf>, vg: &str) -> Self {
        Self {
            program: program.into(),
            vg: vg.into(),
        }
    }

    /// Settings of this host that its `lvm.conf` keeps to, whatever a call says: answers cannot be relied on, or errors
    /// cannot be read.
    pub fn stubborn(&self) -> Result<Vec<String>> {
        let values =
            |tool: Tool| -> Result<String> { Ok(tool.run().map_err(|e| failed(&e))?.text()) };
        let is_so = |said: &str, key: &str, value: &str| {
            let line = format!("{}={value}", key.rsplit('/').next().unwrap_or(key));
            said.lines().any(|said| said.trim() == line)
        };
        let merged = self
            .tool(&["lvmconfig", "--mergedconfig"])
            .args(with_settings());
        let merged = values(merged.args(SETTINGS.map(|(key, _)| key)))?;
        let others = SETTINGS
            .iter()
            .filter(|(key, value)| !is_so(&merged, key, value));
        let mut found: Vec<String> = others.map(|(key, _)| (*key).to_owned()).collect();
        // Believed before a command line is read, and again after it: an error stands amid hundreds of lines.
        let own = values(self.tool(&["lvmconfig", "--typeconfig", "full", "log/verbose"]))?;
        if !is_so(&own, "log/verbose", "0") {
            found.push("log/verbose".to_owned());
        }
        Ok(found)
    }

    fn run(&self, limit: Duration, args: &[&str]) -> Result<Vec<u8>> {
        self.run_on(&self.vg, limit, args)
    }

    /// `what`: the group, or a volume of it.
    fn run_on(&self, what: &str, limit: Duration, args: &[&str]) -> Result<Vec<u8>> {
        let tool = self.tool(args).args(with_settings()).arg(what).limit(limit);
        Ok(tool.run().map_err(|e| failed(&e))?.stdout)
    }

    /// Why something that needs so many extents could not be made: asked, not read from what LVM said, as a host may have it
    /// say more than is kept.
    fn why_not_made(&self, extents: u64, error: DiskError) -> DiskError {
        match self.extents() {
            Ok(room) if room.free < extents => {
                let public = "The host has no room left for this Linode's disks";
                DiskError::new(DiskFault::NoSpace, public, error.detail)
            }
            _ => error,
        }
    }

    fn tool(&self, args: &[&str]) -> Tool {
        // Its answers are parsed: no other language. It complains of files its starter holds open.
        Tool::new(&self.program)
            .args(args)
            .env("LC_ALL", "C")
            .env("LVM_SUPPRESS_FD_WARNINGS", "1")
    }

    fn report(&self, command: &str, fields: &str, select: &str) -> Result<Vec<u8>> {
        let mut args = vec![command, "--reportformat", "json", "--units", "b"];
        args.extend(["--nosuffix", "--options", fields]);
        if !select.is_empty() {
            args.extend(["--select", select]);
        }
        self.run(LIMIT, &args)
    }

    /// Gives the device back what is on the volume, where it takes it.
    fn discard(&self, volume: &Volume) -> Result<()> {
        let device = self.open(&volume.name, &volume.uuid, false)?;
        let most = kernel_says(&device, "queue/discard_max_bytes");
        if most.is_ok_and(|bytes| bytes == "0") {
            return Ok(());
        }
        if !volume.writable {
            self.set_writable(&[&volume.uuid], true)?;
        }
        // This very device, whatever has its name meanwhile.
        let path = format!("/proc/{}/fd/{}", std::process::id(), device.as_raw_fd());
        let tool = Tool::new("blkdiscard").args(["--step", DISCARD_STEP, &path]);
        tool.limit(DISCARD_LIMIT).run().map_err(|e| failed(&e))?;
        Ok(())
    }

    fn device(&self, path: &Path, uuid: &str, write: bool) -> io::Result<File> {
        let flags = OFlags::DIRECT | OFlags::NONBLOCK | OFlags::NOCTTY;
        let device = File::options()
            .read(true)
            .write(write)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
            .open(path)?;
        let known = "LVM-".len() + 2 * 32;
        let found = kernel_says(&device, "dm/uuid")?;
        // The group's UUID and the volume's, both without dashes.
        if found.len() == known && found.ends_with(&uuid.replace('-', "")) {
            return Ok(device);
        }
        let text = format!("{} is not volume {uuid} but {found}", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

impl Group for Commands {
    fn extents(&self) -> Result<Extents> {
        let fields = "vg_extent_size,vg_extent_count,vg_free_count";
        report::extents(&self.report("vgs", fields, "")?)
    }

    fn volumes(&self) -> Result<Vec<Volume>> {
        report::volumes(&self.report("lvs", report::VOLUME, &format!("lv_tags=\"{TAG}\""))?)
    }

    fn named(&self, name: &str) -> Result<Option<Volume>> {
        let select = format!("lv_name=\"{name}\"");
        let found = report::volumes(&self.report("lvs", report::VOLUME, &select)?)?;
        Ok(found.into_iter().next())
    }

    fn create(&self, name: &str, extents: u64, tags: &[String]) -> Result<()> {
        let count = extents.to_string();
        // Nothing is wiped by LVM: the store takes care of every byte, and asks nobody whether a signature may go.
        let mut args = vec!["lvcreate", "--yes", "--type", "linear", "--wipesignatures"];
        args.extend(["n", "--zero", "n", "--extents", &count, "--name", name]);
        args.extend(tags.iter().flat_map(|tag| ["--addtag", tag.as_str()]));
        let done = self.run(LIMIT, &args).map(drop);
        done.map_err(|error| self.why_not_made(extents, error))
    }

    fn snapshot(
        &self,
        (of, uuid): (&str, &str),
        name: &str,
        extents: u64,
        tags: &[String],
    ) -> Result<()> {
        // LVM takes an origin by its name only.
        if self.named(of)?.is_none_or(|volume| volume.uuid != uuid) {
            return Err(refused(format!("{of} is not volume {uuid}")));
        }
        let count = extents.to_string();
        let mut args = vec!["lvcreate", "--yes", "--snapshot", "--permission", "rw"];
        args.extend(["--extents", &count, "--name", name]);
        args.extend(tags.iter().flat_map(|tag| ["--addtag", tag.as_str()]));
        let done = self.run_on(&format!("{}/{of}", self.vg), LIMIT, &args);
        done.map(drop)
            .map_err(|error| self.why_not_made(extents, error))
    }

    fn is_short_of_room(&self) -> Result<bool> {
        let select =
            format!("lv_tags=\"{TRIAL_TAG}\" && (lv_snapshot_invalid=1 || snap_percent>50)");
        let short = report::volumes(&self.report("lvs", report::VOLUME, &select)?)?;
        Ok(!short.is_empty())
    }

    fn add_tags(&self, uuid: &str, tags: &[String]) -> Result<()> {
        let select = format!("lv_uuid=\"{uuid}\"");
        let mut args = vec!["lvchange", "--yes"];
        args.extend(tags.iter().flat_map(|tag| ["--addtag", tag.as_str()]));
        args.extend(["--select", &select]);
        self.run(LIMIT, &args).map(|_| ())
    }

    fn remove(&self, uuids: &[&str]) -> Result<()> {
        if uuids.is_empty() {
            return Ok(());
        }
        // Not by LVM, which would hold the group's lock for as long as it takes: every other call on this host waits for it.
        let idle = format!("{} && lv_device_open=0", ours(uuids));
        for volume in report::volumes(&self.report("lvs", report::VOLUME, &idle)?)? {
            if let Err(error) = self.discard(&volume) {
                tracing::warn!(volume = volume.name, %error, "a volume is removed without being discarded");
            }
        }
        let args = ["lvremove", "--yes", "--select"];
        self.run(LIMIT, &[&args[..], &[&ours(uuids)]].concat())
            .map(|_| ())
    }

    fn set_writable(&self, uuids: &[&str], writable: bool) -> Result<()> {
        let permission = if writable { "rw" } else { "r" };
        let args = ["lvchange", "--yes", "--permission", permission, "--select"];
        let change = |uuids: &[&str]| self.run(LIMIT, &[&args[..], &[&ours(uuids)]].concat());
        let Err(error) = change(uuids) else {
            return Ok(());
        };
        // LVM takes "it is so already" for an error. Asked only now: this is in a move's downtime.
        let now = self.volumes()?;
        let is_so = |uuid: &str| now.iter().any(|v| v.uuid == uuid && v.writable == writable);
        let others: Vec<&str> = uuids.iter().copied().filter(|uuid| !is_so(uuid)).collect();
        match others.len() {
            0 => Ok(()),
            left if left == uuids.len() => Err(error),
            _ => change(&others).map(|_| ()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("/dev").join(&self.vg).join(name)
    }

    fn open(&self, name: &str, uuid: &str, write: bool) -> Result<File> {
        let path = self.path(name);
        let opened = match self.device(&path, uuid, write) {
            // Not active (yet): a host that was rebooted, or an operator.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let args = ["lvchange", "--yes", "--activate", "y", "--select"];
                self.run(LIMIT, &[&args[..], &[&ours(&[uuid])]].concat())?;
                self.device(&path, uuid, write)
            }
            other => other,
        };
        let device = opened.map_err(|e| {
            if e.kind() == io::ErrorKind::InvalidData {
                return refused(e.to_string());
            }
            DiskError::io(&format!("open {}", path.display()), &e)
        })?;
        // The kernel lets a sealed volume be opened for writing, and refuses only the writes.
        if write && !self.is_writable(&device)? {
            return Err(refused(format!("{} is sealed", path.display())));
        }
        Ok(device)
    }

    fn is_writable(&self, device: &File) -> Result<bool> {
        let said = kernel_says(device, "ro").map_err(|e| DiskError::io("ask the kernel", &e))?;
        Ok(said == "0")
    }
}

/// Selects these volumes, and only if they are ours.
fn ours(uuids: &[&str]) -> String {
    let any: Vec<String> = uuids
        .iter()
        .map(|uuid| format!("lv_uuid=\"{uuid}\""))
        .collect();
    format!("lv_tags=\"{TAG}\" && ({})", any.join(" || "))
}

/// What the kernel's tree of devices says of an open block device: no process needed.
fn kernel_says(device: impl AsFd, of: &str) -> io::Result<String> {
    let stat = fstat(device)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::BlockDevice {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a device"));
    }
    let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
    let said = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/{of}"))?;
    Ok(said.trim().to_owned())
}

/// Without remarks among the answers.
fn with_settings() -> [String; 3] {
    let settings = SETTINGS.map(|(key, value)| format!("{key}={value}"));
    ["-qq".into(), "--config".into(), settings.join(" ")]
}

fn failed(error: &CommandError) -> DiskError {
    let public = "The host's storage reported an error";
    DiskError::new(DiskFault::Io, public, error.to_string())
}
