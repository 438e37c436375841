//! The simulated guest itself: a process of its own that outlives the agent. Its standard input is the locked file that
//! marks it as running; it writes numbers into its first disk until it is told to stop.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGTERM;

use super::records::Ring;
use super::witness::{self, Acknowledged, Event, Line};
use crate::agent::ledger::file;
use crate::agent::process::ProcessRef;
use crate::domain::ids::LinodeId;

/// What the driver tells the process, in a JSON file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestFile {
    pub linode: LinodeId,
    pub label: String,
    pub host: String,
    pub disks: Vec<PathBuf>,
    pub epoch: Option<i64>,
    pub witness: PathBuf,
    pub run_dir: PathBuf,
    pub write_every_ms: u64,
    pub stop_delay_ms: u64,
    pub ignore_term: bool,
    pub fail_boot: bool,
    pub no_service: bool,
    /// It comes up, serves nothing, and dies when nobody watches it any more.
    pub late_panic: bool,
    /// It is a trial's clone: it serves nobody, and promises nothing of what it writes.
    #[serde(default)]
    pub trial: bool,
}

/// In the guest's run folder.
pub const PROCESS: &str = "process";
pub const PORT: &str = "port";
/// The port of its web server.
pub const WEB: &str = "web";

/// How long a guest that cannot boot takes to find out.
const PANIC_AFTER: Duration = Duration::from_millis(150);

/// Longer than the demonstrations and tests watch a start.
const LATE_PANIC: Duration = Duration::from_secs(3);

/// The whole life of a guest. Its console is standard output.
pub fn main(spec: &Path) -> ExitCode {
    match live(spec) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("the guest failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn live(spec: &Path) -> io::Result<ExitCode> {
    let spec: GuestFile = serde_json::from_slice(&fs::read(spec)?).map_err(io::Error::other)?;
    let mut stop = StopRequest::listen()?;
    // Fails only if it already leads a session, which is just as good.
    let _ = rustix::process::setsid();
    name_process(&spec.run_dir)?;
    say(&format!(
        "Linux version 2.6.16-simulated (host {})",
        spec.host
    ));
    let _alone = take_lock(&spec)?;
    let disks = open_disks(&spec.disks)?;
    let first = disks
        .first()
        .ok_or_else(|| io::Error::other("no disk to boot from"))?;
    let ring = Ring::of(first.metadata()?.len())
        .ok_or_else(|| io::Error::other("the first disk is too small"))?;
    if spec.trial {
        return try_out(&spec, first, ring, &mut stop);
    }
    let acknowledged = Acknowledged::open(&spec.witness, spec.linode)?;
    let found = ring.read(first, spec.linode)?;
    let told = acknowledged.newest()?;
    if !found.missing.is_empty() {
        say(&format!("numbers are missing: {:?}", found.missing));
        report(&spec, Event::Gap, found.newest, told)?;
    }
    if spec.fail_boot {
        return Ok(panic());
    }
    report(&spec, Event::Start, found.newest + 1, told)?;
    let newest = Arc::new(AtomicU64::new(found.newest));
    if !spec.no_service && !spec.late_panic {
        serve_web(&spec)?;
    }
    serve(&spec, Arc::clone(&newest))?;
    say(&format!("{} login:", spec.label));
    if write_until_told(&spec, first, ring, &acknowledged, &newest, &mut stop)? == Ended::Died {
        say("Kernel panic - not syncing: Attempted to kill init!");
        report(&spec, Event::Gone, newest.load(Ordering::Relaxed), 0)?;
        return Ok(ExitCode::FAILURE);
    }
    say("The system is going down for system halt NOW!");
    thread::sleep(Duration::from_millis(spec.stop_delay_ms));
    report(&spec, Event::Stop, newest.load(Ordering::Relaxed), 0)?;
    say("Power down.");
    Ok(ExitCode::SUCCESS)
}

/// A clone's life: the copies of a Linode that runs are not of one moment, so what it misses is no loss.
fn try_out(
    spec: &GuestFile,
    disk: &File,
    ring: Ring,
    stop: &mut StopRequest,
) -> io::Result<ExitCode> {
    report(spec, Event::Trial, 0, 0)?;
    if spec.fail_boot {
        return Ok(panic());
    }
    let mut number = ring.read(disk, spec.linode)?.newest;
    file::replace(&spec.run_dir, PORT, b"0")?;
    say("Network: none");
    say(&format!("{} login:", spec.label));
    loop {
        number += 1;
        ring.write(disk, spec.linode, number)?;
        let pause = Duration::from_millis(spec.write_every_ms.max(1));
        if stop.comes_within(pause)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn panic() -> ExitCode {
    thread::sleep(PANIC_AFTER);
    say("VFS: Cannot open root device\nKernel panic - not syncing: No init found.");
    ExitCode::FAILURE
}

/// Says on the console; a full or closed console is no reason to die.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn name_process(run_dir: &Path) -> io::Result<()> {
    let me = ProcessRef::of(std::process::id())
        .ok_or_else(|| io::Error::other("/proc does not know this process"))?;
    file::replace(run_dir, PROCESS, me.id().as_bytes())
}

/// The witness's lock, if nobody else runs this Linode; if somebody does, that is told, and the guest runs on: the
/// disaster is to be seen whole.
fn take_lock(spec: &GuestFile) -> io::Result<Option<File>> {
    let (lock, overlap) = if spec.trial {
        let lock = witness::only_trial(&spec.witness, spec.linode)?;
        (lock, Event::TrialOverlap)
    } else {
        (witness::alone(&spec.witness, spec.linode)?, Event::Overlap)
    };
    if lock.is_none() {
        report(spec, overlap, 0, 0)?;
    }
    Ok(lock)
}

fn open_disks(paths: &[PathBuf]) -> io::Result<Vec<File>> {
    let open = |path: &PathBuf| {
        let named = |error: &dyn std::fmt::Display| {
            io::Error::other(format!("disk {}: {error}", path.display()))
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| named(&error))?;
        file.try_lock().map_err(|error| named(&error))?;
        Ok(file)
    };
    paths.iter().map(open).collect()
}

fn report(spec: &GuestFile, event: Event, number: u64, acknowledged: u64) -> io::Result<()> {
    let line = Line {
        at_ns: witness::now_ns(),
        event,
        linode: spec.linode,
        host: spec.host.clone(),
        pid: std::process::id(),
        epoch: spec.epoch,
        number,
        acknowledged,
    };
    witness::append(&spec.witness, &line)
}

#[derive(PartialEq)]
enum Ended {
    AsTold,
    Died,
}

fn write_until_told(
    spec: &GuestFile,
    disk: &File,
    ring: Ring,
    acknowledged: &Acknowledged,
    newest: &AtomicU64,
    stop: &mut StopRequest,
) -> io::Result<Ended> {
    let pause = Duration::from_millis(spec.write_every_ms.max(1));
    let begun = Instant::now();
    loop {
        let number = newest.load(Ordering::Relaxed) + 1;
        ring.write(disk, spec.linode, number)?;
        newest.store(number, Ordering::Relaxed);
        acknowledged.say(number)?;
        if stop.comes_within(pause)? && !spec.ignore_term {
            return Ok(Ended::AsTold);
        }
        if spec.late_panic && begun.elapsed() >= LATE_PANIC {
            return Ok(Ended::Died);
        }
    }
}

/// SIGTERM as a byte in a pipe: a guest sleeps in one read, and dozens of them cost a machine nothing.
struct StopRequest(UnixStream);

impl StopRequest {
    fn listen() -> io::Result<Self> {
        let (told, signal) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGTERM, signal)?;
        Ok(Self(told))
    }

    fn comes_within(&mut self, limit: Duration) -> io::Result<bool> {
        self.0.set_read_timeout(Some(limit))?;
        match self.0.read(&mut [0; 16]) {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Ok(false)
            }
            // The signal's handler ran on this thread; the byte is there at the next look.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Answers on a port of loopback with who and where it is, as the guest's network service; `announce` tells the world.
fn serve(spec: &GuestFile, newest: Arc<AtomicU64>) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    file::replace(&spec.run_dir, PORT, port.as_bytes())?;
    let who = format!("linode {} host {}", spec.linode, spec.host);
    let answer = move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.set_write_timeout(Some(Duration::from_secs(1)));
            let _ = writeln!(client, "{who} number {}", newest.load(Ordering::Relaxed));
        }
    };
    thread::Builder::new().name("serve".into()).spawn(answer)?;
    Ok(())
}

/// Its web server: one page, at `/`.
fn serve_web(spec: &GuestFile) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    file::replace(&spec.run_dir, WEB, port.as_bytes())?;
    let page = format!("linode {} host {}\n", spec.linode, spec.host);
    let answer = move || {
        for mut client in listener.incoming().flatten() {
            let limit = Some(Duration::from_secs(1));
            let _ = client
                .set_read_timeout(limit)
                .and(client.set_write_timeout(limit));
            let mut head = [0; 2048];
            let read = client.read(&mut head).unwrap_or(0);
            let status = match head.get(..read) {
                Some(head) if head.starts_with(b"GET / ") => "200 OK",
                Some(head) if head.starts_with(b"GET /") => "404 Not Found",
                _ => "400 Bad Request",
            };
            let length = page.len();
            let _ = write!(
                client,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
            );
        }
    };
    thread::Builder::new().name("web".into()).spawn(answer)?;
    Ok(())
}
