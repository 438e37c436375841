//! Stopping a guest, and being sure of it.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::folder::Folder;
use super::mconsole::Listener;
use super::processes::{Marks, Table};
use crate::agent::driver::files::{host, writer_of};
use crate::agent::driver::{DriverError, Result, Stopped};
use crate::agent::process::ProcessRef;

/// A guest that listens answers its management console at once; a guest that does not must not hold up its own end.
const ASK: Duration = Duration::from_secs(2);
/// A request for a clean end that came before the guest's init listened is repeated.
const REPEAT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// For the helpers to follow a main process that ended.
const HELPERS: Duration = Duration::from_millis(500);
/// For killed processes to be gone; only one stuck in the host's kernel takes longer.
const KILLED: Duration = Duration::from_secs(10);

pub(super) struct Stop<'a> {
    pub folder: &'a Folder,
    pub uml_dir: &'a Path,
    pub marks: Marks,
    /// Nobody may hold these for writing when the guest is called absent.
    pub disks: &'a [PathBuf],
}

impl Stop<'_> {
    /// Idempotent; an error unless the guest is confirmed absent.
    pub(super) fn run(&self, limit: Duration) -> Result<Stopped> {
        let found = self.find()?;
        let Some(main) = found.main else {
            let stopped = if found.all.is_empty() {
                Stopped::WasAbsent
            } else {
                Stopped::ByForce
            };
            self.clear(Duration::ZERO)?;
            return Ok(stopped);
        };
        // From here on the guest ends where it would reboot.
        self.folder.forbid().map_err(host)?;
        let listener = found.listener(self.uml_dir, &self.marks.umid);
        let clean = ask(main, listener.as_ref(), limit);
        if !clean {
            // Immediate, but UML's own way out; no answer is no surprise.
            let _ = listener.map(|listener| listener.ask("halt", ASK));
            let _ = main.wait_gone(HELPERS);
        }
        self.clear(if clean { HELPERS } else { Duration::ZERO })?;
        Ok(if clean {
            Stopped::Cleanly
        } else {
            Stopped::ByForce
        })
    }

    /// Gives what is left of the guest `patience` to end by itself, then ends it, and confirms that nothing is there.
    fn clear(&self, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            let left = self.find()?.all;
            if left.is_empty() {
                break;
            }
            if begun.elapsed() > KILLED {
                let ids: Vec<String> = left.iter().map(ProcessRef::id).collect();
                return Err(DriverError::Host(format!(
                    "the guest's processes {} survive SIGKILL",
                    ids.join(", ")
                )));
            }
            if begun.elapsed() >= patience {
                for process in left {
                    process.signal(Signal::KILL).map_err(host)?;
                }
            }
            thread::sleep(POLL);
        }
        match writer_of(self.disks).map_err(host)? {
            None => self.folder.forget().map_err(host),
            Some((pid, path)) => Err(DriverError::Host(format!(
                "the guest is gone, but process {pid} has {} open for writing",
                path.display()
            ))),
        }
    }

    fn find(&self) -> Result<super::processes::Guest> {
        let table = Table::read().map_err(host)?;
        Ok(table.guest(&self.marks))
    }
}

/// Asks for a clean shutdown and waits for it; true if the main process ended in time.
fn ask(main: ProcessRef, listener: Option<&Listener>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let mut asked: Option<Instant> = None;
    while main.lives() {
        let now = Instant::now();
        if now >= deadline {
            return false;
        }
        let due = asked.is_none_or(|at| now >= at + REPEAT);
        let cad = |listener: &Listener| listener.ask("cad", ASK.min(deadline - now));
        // An error is a guest that does not listen yet, or any more: asked again after a pause.
        if due && listener.is_some_and(|listener| cad(listener).is_ok()) {
            asked = Some(now);
        }
        thread::sleep(POLL);
    }
    true
}
