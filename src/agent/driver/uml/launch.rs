//! Starting a guest, as a stranger to the host or with all rights of its agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::config::{Jail, KernelConfig};
use super::folder::{Folder, Record};
use super::mconsole::Listener;
use super::{Uml, cmdline, jail};
use crate::agent::driver::files::{absent_is_fine, at, boot_id, host};
use crate::agent::driver::{Driver, DriverError, Guest, Result};
use crate::agent::process::ProcessRef;
use crate::command::Tool;
use crate::domain::ids::LinodeId;

/// From its start until UML opens its management console; half a second on an idle machine.
const COMES_UP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
/// Lines of the console in the error of a guest that ended at once.
const LAST_WORDS: usize = 15;

impl Uml {
    /// Starts a guest with all rights of its agent. The chain of small programs ends in the guest itself, with the pid of its first.
    fn start_plain(
        &self,
        guest: &Guest<'_>,
        kernel: &KernelConfig,
        folder: &Folder,
    ) -> Result<u32> {
        let (umid, tap) = (self.umid(guest.linode), self.tap_of_guest(guest.linode)?);
        let arguments = cmdline::arguments(
            guest,
            &cmdline::Place {
                umid: &umid,
                uml_dir: &self.config.uml_dir,
                tap: tap.as_deref(),
                initramfs: kernel.initramfs.as_deref(),
            },
        )?;
        let inside = |error| at(folder.dir(), &error);
        // Left by a run that was killed. UML would take its pid file's word if that pid is in use again.
        let stale = fs::remove_dir_all(self.config.uml_dir.join(&umid));
        absent_is_fine(stale).map_err(host)?;
        let console = folder.console().open().map_err(inside)?;
        folder.permit(&kernel.path).map_err(inside)?;
        // Without a random layout UML needs no filler between itself and its memory (hundreds of MB of page tables);
        // no core file of a guest's memory is ever written.
        let started = Tool::new("setsid")
            .args(["env", "-i"])
            .arg(format!("LD_PRELOAD={}", self.preload.display()))
            .args(["setarch", "-R", "prlimit", "--core=0:0"])
            .arg(folder.kernel())
            .args(&arguments)
            .cwd(folder.dir())
            .detach(None, console);
        started.map_err(|error| DriverError::Host(error.to_string()))
    }

    /// Starts a guest as a stranger: the same words, but for the names of what it is handed.
    fn start_jailed(
        &self,
        guest: &Guest<'_>,
        kernel: &KernelConfig,
        folder: &Folder,
    ) -> Result<u32> {
        let (umid, tap) = (self.umid(guest.linode), self.tap_of_guest(guest.linode)?);
        let disks: Vec<_> = guest
            .disks
            .iter()
            .map(|(id, _)| (*id, jail::disk(*id)))
            .collect();
        let arguments = cmdline::arguments(
            &Guest {
                disks: &disks,
                ..*guest
            },
            &cmdline::Place {
                umid: &umid,
                uml_dir: Path::new(jail::inside::UML_DIR),
                tap: tap.as_deref(),
                initramfs: kernel
                    .initramfs
                    .as_ref()
                    .map(|_| Path::new(jail::inside::INITRAMFS)),
            },
        )?;
        folder
            .permit_jailed(Path::new(jail::inside::KERNEL))
            .map_err(|error| at(folder.dir(), &error))?;
        let console = folder.console();
        let spec = jail::Spec {
            uid: self.uid(guest.linode)?,
            root: folder.dir().join("root"),
            boot: folder.boot(),
            kernel: kernel.path.clone(),
            initramfs: kernel.initramfs.clone(),
            preload: self.preload.clone(),
            libraries: jail::libraries(&kernel.path)?,
            disks: guest.disks.to_vec(),
            tap,
            ram_mb: guest.boot.ram_mb,
            console: console.now,
            console_earlier: console.earlier,
            console_bytes: self.config.console_kb * 1024,
            arguments,
        };
        let words = [
            folder.kernel().display().to_string(),
            format!("umid={umid}"),
        ];
        jail::start(&self.program, folder, &spec, &words)
    }

    /// Waits until UML can be talked to: from then on it can be asked to stop.
    fn wait_up(&self, process: ProcessRef, linode: LinodeId) -> Result<()> {
        let umid = self.umid(linode);
        let listener = match self.config.jail {
            Jail::Required => Listener::Jailed {
                init: process,
                umid,
            },
            Jail::None => Listener::plain(&self.config.uml_dir, &umid),
        };
        let deadline = Instant::now() + COMES_UP;
        while !listener.is_there() {
            if !process.lives() {
                return Err(self.ended_at_once(linode));
            }
            if Instant::now() > deadline {
                return Err(DriverError::Host(format!(
                    "the guest opened no management console in {COMES_UP:?}"
                )));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn ended_at_once(&self, linode: LinodeId) -> DriverError {
        DriverError::Host(format!(
            "the guest ended as it started; its last words: {}",
            self.console_tail(linode, LAST_WORDS)
        ))
    }

    pub(super) fn launch(&self, guest: &Guest<'_>, disks: Vec<PathBuf>) -> Result<()> {
        let folder = self.folder(guest.linode);
        let kernel = self.kernel(&guest.boot.kernel)?;
        let inside = |error| at(folder.dir(), &error);
        folder.make().map_err(inside)?;
        let mut record = Record {
            boot_id: boot_id().map_err(host)?,
            main: None,
            disks,
            ram_mb: guest.boot.ram_mb,
            uid: match self.config.jail {
                Jail::Required => Some(self.uid(guest.linode)?),
                Jail::None => None,
            },
        };
        folder.write(&record).map_err(inside)?;
        let pid = match self.config.jail {
            Jail::Required => self.start_jailed(guest, kernel, &folder)?,
            Jail::None => self.start_plain(guest, kernel, &folder)?,
        };
        record.main = ProcessRef::of(pid);
        folder.write(&record).map_err(inside)?;
        let process = record
            .main
            .ok_or_else(|| self.ended_at_once(guest.linode))?;
        self.wait_up(process, guest.linode)
    }
}
