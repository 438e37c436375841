//! Processes of the host, named so that a recycled pid is never taken for the one meant: a pid with its start time.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The kernel's `USER_HZ`: the unit of times in `/proc/<pid>/stat`, 100 on every platform Linux runs on today.
const TICKS_PER_S: u64 = 100;

/// One run of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessRef {
    pub pid: u32,
    /// Start time in ticks since the host booted.
    pub started: u64,
}

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub cpu_ms: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
}

impl ProcessRef {
    /// The process that has this pid now; `None` if there is none, or only its zombie.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        stat.lives().then_some(Self {
            pid,
            started: stat.started,
        })
    }

    /// Does this very run still exist? A zombie does not: it runs nothing and holds nothing.
    pub fn lives(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Sends a signal to this run and no other. `Ok(false)`: it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(false);
        };
        // The descriptor pins the process first, and only then is the start time compared: no window for a recycled pid.
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if !self.lives() {
            return Ok(false);
        }
        match pidfd_send_signal(descriptor, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until this run is gone; `false` if it is still there after `limit`.
    pub fn wait_gone(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.lives() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Names this run in one word, `pid:start`.
    pub fn id(&self) -> String {
        format!("{}:{}", self.pid, self.started)
    }

    pub fn parse(id: &str) -> Option<Self> {
        let (pid, started) = id.trim().split_once(':')?;
        Some(Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    /// When it started, to a second or so.
    pub fn since(&self) -> DateTime<Utc> {
        let boot = boot_time().unwrap_or_default();
        let after = TimeDelta::try_milliseconds(
            i64::try_from(self.started.saturating_mul(1000) / TICKS_PER_S).unwrap_or(0),
        );
        // Beyond all years, the record is not this boot's.
        let since = after.and_then(|after| boot.checked_add_signed(after));
        since.unwrap_or(boot)
    }

    /// What it has used; `None` if it is gone. Bytes are those that reached the storage layer.
    pub fn counters(&self) -> Option<Counters> {
        let stat = Stat::read(self.pid).filter(|stat| stat.started == self.started)?;
        let (read_bytes, write_bytes) = storage(self.pid).unwrap_or_default();
        Some(Counters {
            cpu_ms: stat.ticks.saturating_mul(1000) / TICKS_PER_S,
            read_bytes,
            write_bytes,
        })
    }
}

/// Bytes that the process with this pid read and wrote, as far as they reached the storage layer.
pub fn storage(pid: u32) -> Option<(u64, u64)> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let field = |name: &str| {
        io.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    Some((field("read_bytes:")?, field("write_bytes:")?))
}

/// What `/proc/<pid>/stat` says of a process.
pub struct Stat {
    state: char,
    threads: u64,
    pub session: u64,
    /// CPU time of its own, in ticks.
    pub ticks: u64,
    /// That of its children that ended.
    pub children: u64,
    pub started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The program's name (second field, in parentheses) may itself hold spaces and parentheses: fields are counted
    /// from its last parenthesis.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            threads: number(17)?,
            session: number(3)?,
            ticks: number(11)?.saturating_add(number(12)?),
            children: number(13)?.saturating_add(number(14)?),
            started: number(19)?,
        })
    }

    /// A process whose first thread ended looks like a zombie, and runs on with its files if it has another.
    pub fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }
}

fn boot_time() -> Option<DateTime<Utc>> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim();
    DateTime::from_timestamp(seconds.parse().ok()?, 0)
}

/// This host's time, for what is only reported: nothing here is decided by it.
pub fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_a_recycled_pid_does_not() {
        let me = ProcessRef::of(std::process::id()).unwrap();
        assert!(me.lives());
        assert_eq!(ProcessRef::parse(&me.id()), Some(me));
        let other = ProcessRef {
            started: me.started + 1,
            ..me
        };
        assert!(!other.lives());
        assert!(!other.signal(Signal::KILL).unwrap());
        assert!((now() - me.since()).num_seconds() < 3600);
        assert!(me.counters().is_some() && other.counters().is_none());
    }

    #[test]
    fn numbers_that_no_kernel_says_are_only_large() {
        let most = u64::MAX;
        let line = format!("7 (a) S 1 7 7 0 -1 0 1 0 0 0 {most} 30 {most} 1 20 0 1 0 777 0 0");
        let stat = Stat::parse(&line).unwrap();
        assert_eq!((stat.ticks, stat.children), (most, most));
        let never = ProcessRef::parse(&format!("7:{most}")).unwrap();
        assert_eq!(Some(never.since()), boot_time());
    }

    #[test]
    fn a_name_with_parentheses_is_read_right() {
        let line = "7 (a) b) Z 1 7 7 0 -1 4194560 1 0 0 0 12 30 0 0 20 0 1 0 777 0 0";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.ticks, stat.started), ('Z', 42, 777));
        assert!(!stat.lives());
    }
}
