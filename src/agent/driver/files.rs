//! Small things about files and open disks that more than one driver needs.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DriverError;
use crate::agent::absent::if_there;
use crate::agent::ledger::file;

/// The record of a guest's last start, in its folder.
const RECORD: &str = "run.json";

/// Pids, domains and interfaces mean nothing in another boot of the host; this names the present one.
pub(crate) fn boot_id() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

pub(crate) fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    if_there(outcome).map(drop)
}

/// The record of the last start in a guest's folder, as [`write_record`] left it. One that is torn is of an earlier boot:
/// in this one it is replaced as a whole.
pub(crate) fn record<T: DeserializeOwned>(dir: &Path) -> io::Result<Option<T>> {
    let Some(text) = if_there(fs::read(dir.join(RECORD)))? else {
        return Ok(None);
    };
    let read = file::decode_or_plain(&text).inspect_err(|error| {
        tracing::warn!(dir = %dir.display(), %error, "a record of a guest's start that is torn or damaged is void");
    });
    Ok(read.ok())
}

/// Whole or not at all; not fsynced, since it is void after a crash of the host.
pub(crate) fn write_record<T: Serialize>(dir: &Path, record: &T) -> io::Result<()> {
    replace(&dir.join(RECORD), &file::encode(record)?)
}

pub(crate) fn forget_record(dir: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(dir.join(RECORD)))
}

pub(crate) fn host(error: io::Error) -> DriverError {
    DriverError::Host(error.to_string())
}

pub(crate) fn at(path: &Path, error: &io::Error) -> DriverError {
    DriverError::Host(format!("{}: {error}", path.display()))
}

/// A file whole or not at all, for this boot of the host. Several threads may do it at once: the last one's stands, whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut next = path.as_os_str().to_owned();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    next.push(format!(".{}-{number}.next", std::process::id()));
    let written = File::create(&next).and_then(|mut file| file.write_all(bytes));
    written
        .and_then(|()| fs::rename(&next, path))
        .inspect_err(|_| {
            // What is left would only take room; the error is what counts.
            let _ = fs::remove_file(&next);
        })
}

/// The path as text, if it can stand in a guest's configuration as it is: nothing that quotes, separates or escapes.
pub(crate) fn plain(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let fine = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | ':' | '"' | '\'' | '\\' | '=');
    (!text.is_empty() && text.chars().all(fine)).then_some(text)
}

/// `key = "value"` of a file in the shell's way, or in that of Xen's; the last one counts.
pub(crate) fn setting(text: &str, key: &str) -> Option<String> {
    text.lines().rev().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })
}

/// A process other than this one that holds one of `files` open for writing.
pub(crate) fn writer_of(files: &[PathBuf]) -> io::Result<Option<(u32, PathBuf)>> {
    let wanted: HashSet<(u64, u64)> = files
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|meta| identity(&meta))
        .collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    for pid in pids()?.filter(|pid| *pid != std::process::id()) {
        if let Some(path) = written_by(pid, &wanted) {
            return Ok(Some((pid, path)));
        }
    }
    Ok(None)
}

/// Threads may have descriptors of their own, and outlive the first, which then shows none.
fn written_by(pid: u32, wanted: &HashSet<(u64, u64)>) -> Option<PathBuf> {
    let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    // Nothing: gone meanwhile, or a kernel thread.
    for thread in entries(format!("/proc/{pid}/task").into()) {
        for descriptor in entries(thread.path().join("fd")) {
            let open = fs::metadata(descriptor.path());
            let hit = open.is_ok_and(|meta| wanted.contains(&identity(&meta)));
            if hit && writes(&thread.path().join("fdinfo").join(descriptor.file_name())) {
                return Some(fs::read_link(descriptor.path()).unwrap_or_default());
            }
        }
    }
    None
}

/// Files are one if device and inode agree; block devices if their numbers do, whichever node they were opened by.
pub(crate) fn identity(meta: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::FileTypeExt;
    if meta.file_type().is_block_device() {
        (u64::MAX, meta.rdev())
    } else {
        (meta.dev(), meta.ino())
    }
}

fn writes(info: &Path) -> bool {
    let info = fs::read_to_string(info).unwrap_or_default();
    let flags = info
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    // The lowest two bits are the access mode; 0 is reading only.
    flags.is_some_and(|flags| flags & 3 != 0)
}

/// The processes there are now.
pub(crate) fn pids() -> io::Result<impl Iterator<Item = u32>> {
    Ok(fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// For tests of a platform's record: what is in `dir` is `kept`, as it was written.
#[cfg(test)]
pub(super) fn only_whole_records_count<T>(dir: &Path, kept: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let path = dir.join(RECORD);
    let whole = fs::read(&path).unwrap();
    for torn in [&b""[..], b"{\"boot_id\":\"a", &[0; 64]] {
        fs::write(&path, torn).unwrap();
        assert_eq!(record::<T>(dir).unwrap(), None, "void, not an error");
    }
    for at in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        *flipped.get_mut(at / 8).unwrap() ^= 1 << (at % 8);
        fs::write(&path, flipped).unwrap();
        assert_eq!(record::<T>(dir).unwrap(), None, "bit {at}");
    }
    fs::write(&path, serde_json::to_vec(kept).unwrap()).unwrap();
    assert_eq!(record::<T>(dir).unwrap().as_ref(), Some(kept), "of old");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        assert_eq!(setting("a = \"off\"\n", "a").as_deref(), Some("off"));
        assert_eq!(setting("a=1\na=2\n", "a").as_deref(), Some("2"));
        assert_eq!(setting("#a=\"off\"\n", "a"), None);
    }

    #[test]
    fn writers_are_found_and_readers_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        fs::write(&disk, "x").unwrap();
        let link = dir.path().join("other-name");
        fs::hard_link(&disk, &link).unwrap();
        let find = || writer_of(std::slice::from_ref(&disk)).unwrap();
        let hold = |how: &str| {
            let script = format!("exec 9{how}{}; echo; read x", link.display());
            let mut child = std::process::Command::new("sh")
                .args(["-c", &script])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut byte = [0];
            io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
            child
        };
        assert!(find().is_none());
        let mut reader = hold("<");
        assert!(find().is_none());
        let mut writer = hold(">>");
        assert_eq!(find().map(|(pid, _)| pid), Some(writer.id()));
        for child in [&mut reader, &mut writer] {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        assert!(find().is_none());
    }

    /// Its first thread ends: to a list of processes it is a zombie without files, and it writes on.
    #[test]
    fn a_writer_that_looks_dead_is_found_and_lives() {
        let disk = tempfile::NamedTempFile::new().unwrap();
        let script = "import ctypes, sys, threading, time\n\
             disk = open(sys.argv[1], 'a')\n\
             threading.Thread(target=time.sleep, args=(60,)).start()\n\
             print(flush=True)\n\
             ctypes.CDLL(None).syscall(60, 0)";
        let mut child = std::process::Command::new("/usr/bin/python3")
            .args(["-c", script])
            .arg(disk.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let stat = || fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        while !stat().contains(") Z ") {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let found = writer_of(&[disk.path().to_owned()]).unwrap();
        let lives = crate::agent::process::ProcessRef::of(child.id()).is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((found.map(|(pid, _)| pid), lives), (Some(child.id()), true));
    }
}
