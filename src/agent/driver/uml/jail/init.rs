//! The first process of a jail. It puts the jail together around itself, starts UML, writes down what UML says, and ends when
//! UML ends; the kernel then ends whatever else is left in the jail. It must be a process of its own: UML as the first would
//! survive its own signals.

use std::fs::OpenOptions;
use std::io::{self, PipeReader, Read, Write};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::io::ioctl_fionread;
use rustix::process::{
    DumpableBehavior, Resource, WaitOptions, set_dumpable_behavior, setsid, umask, wait,
};

use super::spec::{Spec, doing, inside};
use super::{calls, rights, root};
use crate::agent::driver::console::{Console, Cut};

/// A console is read at most this much at a time, and then not for a while: what a guest says beyond 640 KiB a second is
/// lost to it, not to its host.
const CHUNK: usize = 32 * 1024;
const PAUSE: Duration = Duration::from_millis(50);
/// For what UML said at its end to be written down.
const LAST_WORDS: Duration = Duration::from_secs(1);

struct Guest {
    uml: Child,
    said: PipeReader,
    console: Cut,
}

/// Until UML's end.
pub(super) fn run(spec: &Spec, tap: i32) -> io::Result<()> {
    match begin(spec, tap) {
        Ok(guest) => keep(guest, spec.console_bytes),
        Err(error) => {
            // To the jailer, which waits for it.
            print!("{error}");
            io::stdout().flush()
        }
    }
}

fn begin(spec: &Spec, tap: i32) -> io::Result<Guest> {
    setsid()?;
    let console = Console {
        now: spec.console.clone(),
        earlier: spec.console_earlier.clone(),
    };
    let console = console.open_to_cut().map_err(doing("console"))?;
    let longest_file = rights::longest_file(spec).map_err(doing("disks"))?;
    // Folders of the jail are walked by its user, whatever the agent's own files are to be.
    umask(Mode::from_raw_mode(0o022));
    root::enter(spec)?;
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    rights::limits(spec, longest_file)?;
    rights::drop_all(spec.uid)?;
    // What runs as the same user may neither trace this process nor look into it. (UML, a program of its own, may be traced.)
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    calls::allow().map_err(doing("system calls"))?;
    let (uml, said) = uml(spec, tap)?;
    // Even code that took this process over could not fill the host's disk through its console.
    rights::limit_to(Resource::Fsize, 2 * spec.console_bytes)?;
    // The pipe to the jailer, which waits for its end.
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(Guest { uml, said, console })
}

fn uml(spec: &Spec, tap: i32) -> io::Result<(Child, PipeReader)> {
    let (said, says) = io::pipe()?;
    #[allow(
        clippy::disallowed_methods,
        reason = "this process has no other work than this child, and no limit but its guest's life"
    )]
    let mut command = std::process::Command::new(inside::LEAVE);
    command
        .args(&spec.arguments)
        .env_clear()
        .env("LD_PRELOAD", inside::PRELOAD)
        .env("XENBETA_TAP", tap.to_string())
        .stdin(Stdio::null())
        .stdout(says.try_clone()?)
        .stderr(says);
    let child = command.spawn().map_err(doing("kernel"))?;
    Ok((child, said))
}

/// Returns when UML is gone; its orphans are seen off on the way.
fn keep(guest: Guest, limit: u64) -> io::Result<()> {
    let Guest {
        uml,
        said,
        mut console,
    } = guest;
    let rest = said.try_clone()?;
    thread::spawn(move || write_down(said, &mut console, limit));
    while let Some((pid, _)) = wait(WaitOptions::empty())? {
        if u32::try_from(pid.as_raw_pid()) == Ok(uml.id()) {
            break;
        }
    }
    let begun = Instant::now();
    while begun.elapsed() < LAST_WORDS && ioctl_fionread(&rest)? > 0 {
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn write_down(mut said: PipeReader, console: &mut Cut, limit: u64) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = said.read(&mut buffer) {
        // A console that cannot be written is no reason to end the guest.
        let _ = console.write(buffer.get(..length).unwrap_or_default(), limit);
        if length == CHUNK {
            thread::sleep(PAUSE);
        }
    }
}
