//! Which processes make up a guest. UML is a main process, the leader of a session of its own, with helpers for disks and
//! signals and one for every program's memory in the guest. They share the main process's open files, **locks included**:
//! a helper that outlives a killed main process still holds the disks. A guest is absent only when all of them are.

use std::fs;
use std::io;
use std::path::Path;

use crate::agent::driver::files::pids;
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
}
