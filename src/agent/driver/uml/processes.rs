//! Which processes make up a guest. UML is a main process, the leader of a session of its own, with helpers for disks and
//! signals and one for every program's memory in the guest. They share the main process's open files, **locks included**:
//! a helper that outlives a killed main process still holds the disks. A guest is absent only when all of them are.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::agent::process::ProcessRef;

/// The kernel's `USER_HZ`, as in `agent::process`.
const TICKS_PER_S: u64 = 100;

/// One living process (zombies run nothing and hold nothing: they are left out).
#[derive(Debug, Clone)]
pub struct Row {
    pub process: ProcessRef,
    pub session: u32,
    /// CPU time of the process and of its children that ended, in ticks.
    ticks: u64,
    args: Vec<Vec<u8>>,
}

impl Row {
    /// The fields are counted from the last parenthesis: the program's name before it may hold anything.
    fn parse(pid: u32, stat: &str, cmdline: &[u8]) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        if matches!(*fields.first()?, "Z" | "X" | "x") {
            return None;
        }
        Some(Self {
            process: ProcessRef {
                pid,
                started: number(19)?,
            },
            session: u32::try_from(number(3)?).ok()?,
            ticks: number(11)? + number(12)? + number(13)? + number(14)?,
            args: cmdline
                .split(|byte| *byte == 0)
                .map(<[u8]>::to_vec)
                .collect(),
        })
    }

    fn has(&self, word: &[u8]) -> bool {
        self.args.iter().any(|arg| arg == word)
    }
}

/// All processes at one moment.
pub struct Table(Vec<Row>);

impl Table {
    pub fn read() -> io::Result<Self> {
        let rows = pids()?.filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            Row::parse(pid, &stat, &cmdline)
        });
        Ok(Self(rows.collect()))
    }

    /// Everything of the guest that was started as `program` with this umid. `recorded` is its main process as noted at
    /// its start, for helpers whose own command line tells nothing.
    pub fn guest(&self, program: &Path, umid: &str, recorded: Option<ProcessRef>) -> Guest {
        let umid = format!("umid={umid}").into_bytes();
        let program = program.as_os_str().as_encoded_bytes();
        let by_name = |row: &&Row| row.has(program) && row.has(&umid);
        let main = self
            .0
            .iter()
            .filter(by_name)
            .map(|row| row.process)
            .find(|process| self.leads(*process));
        let sessions: Vec<u32> = [main, recorded.filter(|old| !self.recycled(*old))]
            .into_iter()
            .flatten()
            .map(|process| process.pid)
            .collect();
        let all = self
            .0
            .iter()
            .filter(|row| sessions.contains(&row.session) || by_name(row))
            .map(|row| row.process)
            .collect();
        Guest { main, all }
    }

    fn leads(&self, process: ProcessRef) -> bool {
        self.0
            .iter()
            .any(|row| row.process == process && row.session == process.pid)
    }

    /// Linux gives a pid to a new process only when no session has it for a name any more: if another process has it
    /// now, nobody of the recorded session is left.
    fn recycled(&self, old: ProcessRef) -> bool {
        self.0
            .iter()
            .any(|row| row.process.pid == old.pid && row.process != old)
    }

    /// CPU time of a whole guest, in milliseconds. Programs that ended in the guest are in their parent's share.
    #[must_use]
    pub fn cpu_ms(&self, main: ProcessRef) -> u64 {
        let ticks: u64 = self
            .0
            .iter()
            .filter(|row| row.session == main.pid)
            .map(|row| row.ticks)
            .sum();
        ticks * 1000 / TICKS_PER_S
    }
}

/// A guest's processes.
#[derive(Debug, Clone)]
pub struct Guest {
    pub main: Option<ProcessRef>,
    /// All of them, the main one too.
    pub all: Vec<ProcessRef>,
}

/// A process other than this one that holds one of `files` open for writing.
pub fn writer_of(files: &[PathBuf]) -> io::Result<Option<(u32, PathBuf)>> {
    let wanted: HashSet<(u64, u64)> = files
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|meta| identity(&meta))
        .collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    for pid in pids()?.filter(|pid| *pid != std::process::id()) {
        // Gone meanwhile, or a kernel thread.
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for descriptor in descriptors.flatten() {
            let open = fs::metadata(descriptor.path());
            let hit = open.is_ok_and(|meta| wanted.contains(&identity(&meta)));
            if hit && writes(pid, &descriptor.file_name().to_string_lossy()) {
                let path = fs::read_link(descriptor.path()).unwrap_or_default();
                return Ok(Some((pid, path)));
            }
        }
    }
    Ok(None)
}

/// Files are one if device and inode agree; block devices if their numbers do, whichever node they were opened by.
fn identity(meta: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::FileTypeExt;
    if meta.file_type().is_block_device() {
        (u64::MAX, meta.rdev())
    } else {
        (meta.dev(), meta.ino())
    }
}

fn writes(pid: u32, descriptor: &str) -> bool {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).unwrap_or_default();
    let flags = info
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    // The lowest two bits are the access mode; 0 is reading only.
    flags.is_some_and(|flags| flags & 3 != 0)
}

fn pids() -> io::Result<impl Iterator<Item = u32>> {
    Ok(fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn row(pid: u32, session: u32, state: char, started: u64, args: &str) -> Option<Row> {
        let stat = format!(
            "{pid} (li) nux) {state} 1 1 {session} 0 -1 0 0 0 0 0 10 5 3 2 20 0 1 0 {started} 0"
        );
        Row::parse(pid, &stat, args.replace(' ', "\0").as_bytes())
    }

    const PROGRAM: &str = "/var/l/linode-7/linux";
    const ARGS: &str = "/var/l/linode-7/linux mem=64M umid=u1-linode-7 ";

    fn table() -> Table {
        let rows = [
            row(100, 100, 'S', 900, ARGS),
            row(101, 100, 'S', 901, ARGS),
            row(102, 100, 't', 902, ""),
            row(103, 100, 'Z', 903, ARGS),
            row(
                200,
                200,
                'S',
                950,
                "/var/l/linode-70/linux umid=u1-linode-70",
            ),
            row(300, 250, 'S', 960, "grep umid=u1-linode-7"),
        ];
        Table(rows.into_iter().flatten().collect())
    }

    fn pids(guest: &Guest) -> Vec<u32> {
        guest.all.iter().map(|process| process.pid).collect()
    }

    #[test]
    fn a_guest_is_its_whole_session_and_nothing_else() {
        let guest = table().guest(Path::new(PROGRAM), "u1-linode-7", None);
        assert_eq!(
            guest.main,
            Some(ProcessRef {
                pid: 100,
                started: 900
            })
        );
        assert_eq!(pids(&guest), [100, 101, 102]);
        assert_eq!(table().cpu_ms(guest.main.unwrap()), 3 * 200);
    }

    #[test]
    fn helpers_that_outlive_the_main_process_are_found() {
        let mut table = table();
        table.0.retain(|row| row.process.pid != 100);
        let recorded = ProcessRef {
            pid: 100,
            started: 900,
        };
        let guest = table.guest(Path::new(PROGRAM), "u1-linode-7", Some(recorded));
        assert_eq!(guest.main, None);
        assert_eq!(pids(&guest), [101, 102]);
        // Without the record, by command line alone.
        let guest = table.guest(Path::new(PROGRAM), "u1-linode-7", None);
        assert_eq!(pids(&guest), [101]);
    }

    #[test]
    fn a_recycled_pid_is_not_the_guest() {
        let rows = [
            row(100, 100, 'S', 5000, "sshd"),
            row(101, 100, 'S', 5001, "sh"),
        ];
        let table = Table(rows.into_iter().flatten().collect());
        let recorded = ProcessRef {
            pid: 100,
            started: 900,
        };
        let guest = table.guest(Path::new(PROGRAM), "u1-linode-7", Some(recorded));
        assert!(guest.main.is_none() && guest.all.is_empty());
    }

    #[test]
    fn this_process_is_in_the_table() {
        let me = std::process::id();
        assert!(
            Table::read()
                .unwrap()
                .0
                .iter()
                .any(|row| row.process.pid == me)
        );
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
            #[allow(clippy::disallowed_methods, reason = "a bystander with an open file")]
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
}
