//! Which processes make up a guest. UML is a main process, the leader of a session of its own, with helpers for disks and
//! signals and one for every program's memory in the guest. They share the main process's open files, **locks included**:
//! a helper that outlives a killed main process still holds the disks. A guest is absent only when all of them are.
//!
//! A jailed guest is what runs as its user, since everything else about a process is the guest's own to choose; its main
//! process is the first of its jail, and its end is the end of all of them. A guest without a jail, and a jail that is only
//! being made, are processes of the agent's user, and are known by their words.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::mconsole::Listener;
use crate::agent::driver::files::pids;
use crate::agent::process::{ProcessRef, Stat};

/// The kernel's `USER_HZ`, as in `agent::process`.
const TICKS_PER_S: u64 = 100;
/// What the argument begins with that names a guest.
const UMID: &[u8] = b"umid=";

/// One process.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub process: ProcessRef,
    pub session: u32,
    uid: u32,
    /// CPU time of the process and of its children that ended, in ticks.
    ticks: u64,
    /// A zombie runs nothing and holds nothing; only its time counts, until it is in its parent's.
    ended: bool,
    args: Vec<Vec<u8>>,
}

impl Row {
    pub(super) fn parse(pid: u32, uid: u32, stat: &str, cmdline: &[u8]) -> Option<Self> {
        let stat = Stat::parse(stat)?;
        Some(Self {
            process: ProcessRef {
                pid,
                started: stat.started,
            },
            session: u32::try_from(stat.session).ok()?,
            uid,
            ticks: stat.ticks.saturating_add(stat.children),
            ended: !stat.lives(),
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
pub(super) struct Table {
    rows: Vec<Row>,
    by_pid: HashMap<u32, usize>,
    by_session: HashMap<u32, Vec<usize>>,
    /// CPU time by session, in ticks.
    ticks: HashMap<u32, u64>,
    by_uid: HashMap<u32, Vec<usize>>,
    /// By an argument `umid=…`, of the agent's own user.
    by_umid: HashMap<Vec<u8>, Vec<usize>>,
}

/// By what a guest is known.
pub(super) struct Marks {
    /// The user of its jail, if it can have one.
    pub uid: Option<u32>,
    pub umid: String,
    /// The path it was started as.
    pub program: PathBuf,
    /// Its main process as noted at its start, for helpers whose own command line tells nothing.
    pub recorded: Option<ProcessRef>,
}

impl Table {
    pub(super) fn read() -> io::Result<Self> {
        let own = geteuid().as_raw();
        let rows = pids()?.filter_map(|pid| {
            let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // Others' words count for nothing, and may be megabytes.
            let words = || fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let cmdline = if uid == own { words() } else { Vec::new() };
            Row::parse(pid, uid, &stat, &cmdline)
        });
        Ok(Self::of(rows.collect(), own))
    }

    /// `own` is the agent's user.
    fn of(mut rows: Vec<Row>, own: u32) -> Self {
        let mut ticks: HashMap<u32, u64> = HashMap::new();
        for row in &rows {
            let sum = ticks.entry(row.session).or_default();
            *sum = sum.saturating_add(row.ticks);
        }
        rows.retain(|row| !row.ended);
        let mut table = Self {
            by_pid: HashMap::new(),
            by_session: HashMap::new(),
            by_uid: HashMap::new(),
            by_umid: HashMap::new(),
            rows: Vec::new(),
            ticks,
        };
        for (at, row) in rows.iter().enumerate() {
            table.by_pid.insert(row.process.pid, at);
            table.by_session.entry(row.session).or_default().push(at);
            table.by_uid.entry(row.uid).or_default().push(at);
            if row.uid != own {
                continue;
            }
            let umids = row.args.iter().filter(|arg| arg.starts_with(UMID));
            for umid in umids.collect::<BTreeSet<_>>() {
                table.by_umid.entry(umid.clone()).or_default().push(at);
            }
        }
        table.rows = rows;
        table
    }

    fn pid(&self, pid: u32) -> Option<&Row> {
        self.rows.get(*self.by_pid.get(&pid)?)
    }

    pub(super) fn has(&self, process: ProcessRef) -> bool {
        self.pid(process.pid)
            .is_some_and(|row| row.process == process)
    }

    /// Everything of a guest.
    pub(super) fn guest(&self, marks: &Marks) -> Guest {
        let of_user = marks.uid.and_then(|uid| self.by_uid.get(&uid));
        let jailed: Vec<ProcessRef> = self.rows_at(of_user).collect();
        let umid = [UMID, marks.umid.as_bytes()].concat();
        let program = marks.program.as_os_str().as_encoded_bytes();
        let named: Vec<ProcessRef> = self
            .at(self.by_umid.get(&umid))
            .filter(|row| row.has(program))
            .map(|row| row.process)
            .collect();
        let main = jailed.iter().chain(&named).copied();
        let main = main.into_iter().find(|process| self.leads(*process));
        let recorded = marks.recorded.filter(|old| !self.recycled(*old));
        let sessions: BTreeSet<u32> = [main, recorded]
            .into_iter()
            .flatten()
            .map(|process| process.pid)
            .collect();
        let mut all: Vec<ProcessRef> = sessions
            .iter()
            .flat_map(|session| self.rows_at(self.by_session.get(session)))
            .chain(jailed.iter().copied())
            .chain(named)
            .collect();
        all.sort_unstable_by_key(|process| (process.pid, process.started));
        all.dedup();
        Guest {
            main,
            jailed: main.is_some_and(|main| jailed.contains(&main)),
            all,
        }
    }

    pub(super) fn session(&self, pid: u32) -> Option<u32> {
        self.pid(pid).map(|row| row.session)
    }

    fn at(&self, found: Option<&Vec<usize>>) -> impl Iterator<Item = &Row> {
        let found = found.map(Vec::as_slice).unwrap_or_default();
        found.iter().filter_map(|at| self.rows.get(*at))
    }

    fn rows_at(&self, found: Option<&Vec<usize>>) -> impl Iterator<Item = ProcessRef> {
        self.at(found).map(|row| row.process)
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
    pub(super) fn cpu_ms(&self, main: ProcessRef) -> u64 {
        let ticks = self.ticks.get(&main.pid).copied().unwrap_or(0);
        ticks.saturating_mul(1000) / TICKS_PER_S
    }
}

/// A guest's processes.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub main: Option<ProcessRef>,
    /// The main process is the first of a jail.
    pub jailed: bool,
    /// All of them, the main one too.
    pub all: Vec<ProcessRef>,
}

impl Guest {
    /// Where it listens, if it has a main process.
    pub(super) fn listener(&self, uml_dir: &Path, umid: &str) -> Option<Listener> {
        self.main.map(|init| {
            if self.jailed {
                let umid = umid.to_owned();
                Listener::Jailed { init, umid }
            } else {
                Listener::plain(uml_dir, umid)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: u32, session: u32, state: char, started: u64, args: &str) -> Option<Row> {
        let stat = format!(
            "{pid} (li) nux) {state} 1 1 {session} 0 -1 0 0 0 0 0 10 5 3 2 20 0 1 0 {started} 0"
        );
        Row::parse(pid, OWN, &stat, args.replace(' ', "\0").as_bytes())
    }

    fn marks(program: &str, umid: &str) -> Marks {
        Marks {
            uid: Some(JAILED),
            umid: umid.to_owned(),
            program: program.into(),
            recorded: None,
        }
    }

    const OWN: u32 = 0;
    const JAILED: u32 = 2_000_000_007;

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
        Table::of(rows.into_iter().flatten().collect(), OWN)
    }

    fn pids(guest: &Guest) -> Vec<u32> {
        guest.all.iter().map(|process| process.pid).collect()
    }

    #[test]
    fn a_guest_is_its_whole_session_and_nothing_else() {
        let guest = table().guest(&marks(PROGRAM, "u1-linode-7"));
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
        let table = Table::of(rest.filter(|row| row.process.pid != 100).collect(), OWN);
        let recorded = ProcessRef {
            pid: 100,
            started: 900,
        };
        let guest = table.guest(&Marks {
            recorded: Some(recorded),
            ..marks(PROGRAM, "u1-linode-7")
        });
        assert_eq!(guest.main, None);
        assert_eq!(pids(&guest), [101, 102]);
        // Without the record, by command line alone.
        let guest = table.guest(&marks(PROGRAM, "u1-linode-7"));
        assert_eq!(pids(&guest), [101]);
    }

    #[test]
    fn a_recycled_pid_is_not_the_guest() {
        let rows = [
            row(100, 100, 'S', 5000, "sshd"),
            row(101, 100, 'S', 5001, "sh"),
        ];
        let table = Table::of(rows.into_iter().flatten().collect(), OWN);
        let recorded = ProcessRef {
            pid: 100,
            started: 900,
        };
        let guest = table.guest(&Marks {
            recorded: Some(recorded),
            ..marks(PROGRAM, "u1-linode-7")
        });
        assert!(guest.main.is_none() && guest.all.is_empty());
    }

    #[test]
    fn a_jailed_guest_is_what_runs_as_its_user_whatever_it_says_of_itself() {
        let strange = [
            // The jail's first process, UML, and a program in the guest.
            row(400, 400, 'S', 970, "/proc/self/exe jail"),
            row(401, 400, 'S', 971, "/boot/linux umid=u1-linode-7"),
            // It passes for another guest.
            row(402, 400, 't', 972, "/var/l/linode-8/linux umid=u1-linode-8"),
        ];
        let strange = strange
            .into_iter()
            .flatten()
            .map(|row| Row { uid: JAILED, ..row });
        let table = Table::of(strange.collect(), OWN);
        let guest = table.guest(&marks(PROGRAM, "u1-linode-7"));
        assert_eq!((guest.main.unwrap().pid, guest.jailed), (400, true));
        assert_eq!(pids(&guest), [400, 401, 402]);
        let other = table.guest(&Marks {
            uid: Some(JAILED + 1),
            ..marks("/var/l/linode-8/linux", "u1-linode-8")
        });
        assert!(other.main.is_none() && other.all.is_empty());
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
        let table = Table::of(rows, OWN);
        for guest in 0..200 {
            let program = format!("/var/l/linode-{guest}/linux");
            let found = table.guest(&marks(&program, &format!("u1-linode-{guest}")));
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
