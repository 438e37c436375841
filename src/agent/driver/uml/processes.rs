//! Which processes make up a guest. UML is a main process, the leader of a session of its own, with helpers for disks and
//! signals and one for every program's memory in the guest. They share the main process's open files, **locks included**:
//! a helper that outlives a killed main process still holds the disks. A guest is absent only when all of them are.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use crate::agent::driver::files::pids;
use crate::agent::process::ProcessRef;

/// The kernel's `USER_HZ`, as in `agent::process`.
const TICKS_PER_S: u64 = 100;
/// What the argument begins with that names a guest.
const UMID: &[u8] = b"umid=";

/// One process.
#[derive(Debug, Clone)]
pub struct Row {
    pub process: ProcessRef,
    pub session: u32,
    /// CPU time of the process and of its children that ended, in ticks.
    ticks: u64,
    /// A zombie runs nothing and holds nothing; only its time counts, until it is in its parent's.
    ended: bool,
    args: Vec<Vec<u8>>,
}

impl Row {
    /// The fields are counted from the last parenthesis: the program's name before it may hold anything.
    fn parse(pid: u32, stat: &str, cmdline: &[u8]) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            process: ProcessRef {
                pid,
                started: number(19)?,
            },
            session: u32::try_from(number(3)?).ok()?,
            ticks: number(11)? + number(12)? + number(13)? + number(14)?,
            ended: matches!(*fields.first()?, "Z" | "X" | "x"),
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

/// All processes at one moment, and where to find those of a guest: a host may have hundreds, with dozens each.
pub struct Table {
    rows: Vec<Row>,
    by_pid: HashMap<u32, usize>,
    by_session: HashMap<u32, Vec<usize>>,
    /// CPU time by session, in ticks.
    ticks: HashMap<u32, u64>,
    /// By an argument `umid=…`.
    by_umid: HashMap<Vec<u8>, Vec<usize>>,
}

impl Table {
    pub fn read() -> io::Result<Self> {
        let rows = pids()?.filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            Row::parse(pid, &stat, &cmdline)
        });
        Ok(Self::of(rows.collect()))
    }

    fn of(mut rows: Vec<Row>) -> Self {
        let mut ticks: HashMap<u32, u64> = HashMap::new();
        for row in &rows {
            *ticks.entry(row.session).or_default() += row.ticks;
        }
        rows.retain(|row| !row.ended);
        let mut table = Self {
            by_pid: HashMap::new(),
            by_session: HashMap::new(),
            by_umid: HashMap::new(),
            rows: Vec::new(),
            ticks,
        };
        for (at, row) in rows.iter().enumerate() {
            table.by_pid.insert(row.process.pid, at);
            table.by_session.entry(row.session).or_default().push(at);
            let umids = row.args.iter().filter(|arg| arg.starts_with(UMID));
            for umid in umids.collect::<BTreeSet<_>>() {
                table.by_umid.entry(umid.clone()).or_default().push(at);
            }
        }
        table.rows = rows;
        table
    }

    fn in_session(&self, session: u32) -> impl Iterator<Item = &Row> {
        let found = self.by_session.get(&session);
        let found = found.map(Vec::as_slice).unwrap_or_default();
        found.iter().filter_map(|at| self.rows.get(*at))
    }

    fn pid(&self, pid: u32) -> Option<&Row> {
        self.rows.get(*self.by_pid.get(&pid)?)
    }

    pub fn has(&self, process: ProcessRef) -> bool {
        self.pid(process.pid)
            .is_some_and(|row| row.process == process)
    }

    /// Everything of the guest that was started as `program` with this umid. `recorded` is its main process as noted at
    /// its start, for helpers whose own command line tells nothing.
    pub fn guest(&self, program: &Path, umid: &str, recorded: Option<ProcessRef>) -> Guest {
        let umid = [UMID, umid.as_bytes()].concat();
        let program = program.as_os_str().as_encoded_bytes();
        let named = self.by_umid.get(&umid);
        let named = named.map(Vec::as_slice).unwrap_or_default();
        let named: Vec<&Row> = named
            .iter()
            .filter_map(|at| self.rows.get(*at))
            .filter(|row| row.has(program))
            .collect();
        let main = named
            .iter()
            .map(|row| row.process)
            .find(|process| self.leads(*process));
        let sessions: BTreeSet<u32> = [main, recorded.filter(|old| !self.recycled(*old))]
            .into_iter()
            .flatten()
            .map(|process| process.pid)
            .collect();
        let mut all: Vec<ProcessRef> = sessions
            .iter()
            .flat_map(|session| self.in_session(*session))
            .chain(named.iter().copied())
            .map(|row| row.process)
            .collect();
        all.sort_unstable_by_key(|process| (process.pid, process.started));
        all.dedup();
        Guest { main, all }
    }

    fn leads(&self, process: ProcessRef) -> bool {
        self.pid(process.pid)
            .is_some_and(|row| row.process == process && row.session == process.pid)
    }

    /// Linux gives a pid to a new process only when no session has it for a name any more: if another process has it
    /// now, nobody of the recorded session is left.
    fn recycled(&self, old: ProcessRef) -> bool {
        self.pid(old.pid).is_some_and(|row| row.process != old)
    }

    /// CPU time of a whole guest, in milliseconds. Programs that ended in the guest are in their parent's share.
    pub fn cpu_ms(&self, main: ProcessRef) -> u64 {
        let ticks = self.ticks.get(&main.pid).copied().unwrap_or(0);
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
        Table::of(rows.into_iter().flatten().collect())
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
        let used = table().cpu_ms(guest.main.unwrap());
        assert_eq!(used, 4 * 200, "a zombie's time is in nobody else's yet");
    }

    #[test]
    fn helpers_that_outlive_the_main_process_are_found() {
        let rest = table().rows.into_iter();
        let table = Table::of(rest.filter(|row| row.process.pid != 100).collect());
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
        let table = Table::of(rows.into_iter().flatten().collect());
        let recorded = ProcessRef {
            pid: 100,
            started: 900,
        };
        let guest = table.guest(Path::new(PROGRAM), "u1-linode-7", Some(recorded));
        assert!(guest.main.is_none() && guest.all.is_empty());
    }

    /// Two hundred guests of fifteen processes each: what is asked of a table costs no look at all of it.
    #[test]
    fn two_hundred_guests_are_found_in_no_time() {
        let mut rows = Vec::new();
        for guest in 0..200 {
            let (pid, dir) = (1000 + 20 * guest, format!("/var/l/linode-{guest}/linux"));
            let args = format!("{dir} mem=64M ubd0=/dev/vg/x con=null umid=u1-linode-{guest} ");
            rows.extend((0..15).filter_map(|n| row(pid + n, pid, 'S', 900, &args)));
        }
        let begun = std::time::Instant::now();
        let table = Table::of(rows);
        for guest in 0..200 {
            let program = format!("/var/l/linode-{guest}/linux");
            let found = table.guest(Path::new(&program), &format!("u1-linode-{guest}"), None);
            let main = found.main.unwrap();
            assert_eq!((main.pid, found.all.len()), (1000 + 20 * guest, 15));
            assert_eq!(table.cpu_ms(main), 15 * 200);
            assert!(table.has(main));
        }
        eprintln!("200 guests of 15 processes: {:?}", begun.elapsed());
        let begun = std::time::Instant::now();
        let read = Table::read().unwrap();
        eprintln!(
            "{} processes read in {:?}",
            read.rows.len(),
            begun.elapsed()
        );
    }

    #[test]
    fn this_process_is_in_the_table() {
        let me = std::process::id();
        assert!(Table::read().unwrap().pid(me).is_some());
    }
}
