//! A whole driver without privilege, for demonstrations and tests: a guest is a real process (`guest`) that holds a lock
//! on its disks, writes synced numbers into them (`records`) and tells an independent `witness` when it starts and stops.
//!
//! A guest is running exactly while the lock on its run file is held. The agent takes that lock *before* it starts the
//! process and hands the locked file over, so there is no moment at which a guest exists unseen.
//!
//! Faults for tests: a file `fail-boot-<linode>`, `ignore-term-<linode>`, `no-network-<linode>`, `no-service-<linode>` or
//! `late-panic-<linode>` in `<state>/driver/faults`.

mod addresses;
mod config;
pub mod guest;
pub mod load;
pub mod records;
pub mod witness;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::bootable::refuse;
use super::{Counted, Driver, DriverError, Guest, GuestState, Result, Stopped, Trials, trials};
use crate::agent::ledger::file;
use crate::agent::process::{ProcessRef, now};
use crate::command::{Tool, printable};
use crate::domain::ids::LinodeId;
use crate::domain::platform::Platform;
use crate::wire::{BootSpec, GuestSpec, KernelReport, Sample, Share};
use config::KernelConfig;
pub use config::SimulatedConfig;
use guest::GuestFile;
use load::{Load, Taker};

/// How long a process may take to exist, or to be gone once killed.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);
const LOCK: &str = "lock";
const CONSOLE: &str = "console";
/// What the guest is given, as it was last set: nothing acts on it here.
const SHARE: &str = "share";
/// How much of a console is looked at for its tail, and after how much it starts anew.
const CONSOLE_LOOK: u64 = 64 * 1024;

#[derive(Debug)]
pub struct Simulated {
    config: SimulatedConfig,
    dir: PathBuf,
    /// A made-up load, instead of what the processes really use.
    load: Option<Load>,
    /// Its guests are trials' clones.
    trial: bool,
}

impl Simulated {
    /// `dir` is the driver's own folder; it is made if it is missing.
    pub fn new(config: SimulatedConfig, dir: &Path) -> Result<Self> {
        file::private_dir(dir)
            .map_err(|error| DriverError::Host(format!("{}: {error}", dir.display())))?;
        Ok(Self {
            load: config.load.clone().map(Load::new),
            config,
            dir: dir.to_owned(),
            trial: false,
        })
    }

    /// Who takes part in the made-up load: every guest that runs, with its weight.
    fn loaded(&self, load: &Load) -> Vec<Taker> {
        let running = self.guests().unwrap_or_default();
        let taker = |linode: LinodeId| {
            let weight = self.kept_share(linode).map_or(1, |share| share.cpu_weight);
            Some(Taker {
                linode,
                run: self.named(linode)?.id(),
                weight,
                wants: load.wants(linode),
            })
        };
        running.into_iter().filter_map(taker).collect()
    }

    /// The process that wrote its name down.
    fn named(&self, linode: LinodeId) -> Option<ProcessRef> {
        let path = self.run_dir(linode).join(guest::PROCESS);
        ProcessRef::parse(&fs::read_to_string(path).ok()?)
    }

    fn kept_share(&self, linode: LinodeId) -> Option<Share> {
        serde_json::from_slice(&fs::read(self.run_dir(linode).join(SHARE)).ok()?).ok()
    }

    /// What the guest's process used itself.
    fn counted(&self, linode: LinodeId) -> Option<Counted> {
        let process = self.named(linode)?;
        let used = process.counters()?;
        Some(Counted {
            run: process.id(),
            sample: Sample {
                at: now(),
                cpu_ms: used.cpu_ms,
                disk_read_bytes: used.read_bytes,
                disk_write_bytes: used.write_bytes,
                disk_read_ops: 0,
                disk_write_ops: 0,
                net_in_bytes: 0,
                net_out_bytes: 0,
                wait_ms: None,
            },
        })
    }

    fn run_dir(&self, linode: LinodeId) -> PathBuf {
        self.dir.join(format!("linode-{linode}"))
    }

    fn fault(&self, name: &str, linode: LinodeId) -> bool {
        self.dir
            .join("faults")
            .join(format!("{name}-{linode}"))
            .exists()
    }

    fn lock_file(&self, linode: LinodeId) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.run_dir(linode).join(LOCK))
    }

    /// Is the guest's lock held by somebody? A look takes it shared for a moment.
    fn held(&self, linode: LinodeId) -> io::Result<bool> {
        if !self.run_dir(linode).join(LOCK).exists() {
            return Ok(false);
        }
        match self.lock_file(linode)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The process that holds the lock. It may still be about to write its name down.
    fn process(&self, linode: LinodeId) -> Result<Option<ProcessRef>> {
        let deadline = Instant::now() + PATIENCE;
        while self.held(linode).map_err(host)? {
            if let Some(process) = self.named(linode).filter(ProcessRef::lives) {
                return Ok(Some(process));
            }
            if Instant::now() >= deadline {
                let message = format!("Linode {linode}: its lock is held by an unnamed process");
                return Err(DriverError::Host(message));
            }
            thread::sleep(PAUSE);
        }
        Ok(None)
    }

    fn take_lock(&self, linode: LinodeId) -> Result<File> {
        let lock = self.lock_file(linode).map_err(host)?;
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) => return Err(host(error)),
                // Somebody may only be looking; a guest that runs does not let go.
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let message = format!("Linode {linode} already runs here");
                    return Err(DriverError::Host(message));
                }
            }
        }
    }

    fn guest_file(&self, guest: &Guest<'_>) -> GuestFile {
        let disks: Vec<PathBuf> = guest.disks.iter().map(|(_, path)| path.clone()).collect();
        GuestFile {
            linode: guest.linode,
            label: guest.spec.label.clone(),
            host: self.config.host.clone(),
            epoch: disks.first().and_then(|path| epoch_in(path)),
            disks,
            witness: self.config.witness.clone(),
            run_dir: self.run_dir(guest.linode),
            write_every_ms: self.config.write_every_ms,
            stop_delay_ms: self.config.stop_delay_ms,
            ignore_term: self.fault("ignore-term", guest.linode),
            fail_boot: self.fault("fail-boot", guest.linode),
            no_service: self.fault("no-service", guest.linode),
            late_panic: self.fault("late-panic", guest.linode),
            trial: self.trial,
        }
    }

    fn console(&self, linode: LinodeId) -> io::Result<File> {
        let path = self.run_dir(linode).join(CONSOLE);
        let long = fs::metadata(&path).is_ok_and(|about| about.len() > CONSOLE_LOOK);
        OpenOptions::new()
            .create(true)
            .write(true)
            .append(!long)
            .truncate(long)
            .open(path)
    }

    fn program(&self) -> io::Result<PathBuf> {
        match &self.config.guest_program {
            Some(program) => Ok(program.clone()),
            None => std::env::current_exe(),
        }
    }

    /// Waits until the guest is up; an error if it ended before.
    fn wait_up(&self, linode: LinodeId) -> Result<()> {
        let port = self.run_dir(linode).join(guest::PORT);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if port.exists() || self.fault("fail-boot", linode) {
                return Ok(());
            }
            if !self.held(linode).map_err(host)? {
                let tail = self.console_tail(linode, 5);
                return Err(DriverError::Host(format!(
                    "the guest ended at once: {tail}"
                )));
            }
            thread::sleep(PAUSE);
        }
        Err(DriverError::Host("the guest did not come up".into()))
    }

    fn confirm_absent(&self, linode: LinodeId) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.held(linode).map_err(host)? {
            if Instant::now() >= deadline {
                let message = format!("Linode {linode}: killed, and its lock is still held");
                return Err(DriverError::Host(message));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn tell(&self, event: witness::Event, linode: LinodeId, pid: u32) -> io::Result<()> {
        let line = witness::Line {
            at_ns: witness::now_ns(),
            event,
            linode,
            host: self.config.host.clone(),
            pid,
            epoch: None,
            number: 0,
            acknowledged: 0,
        };
        witness::append(&self.config.witness, &line)
    }
}

fn host(error: impl std::fmt::Display) -> DriverError {
    DriverError::Host(error.to_string())
}

/// The epoch in a folder's name `e<epoch>` above the disk.
fn epoch_in(disk: &Path) -> Option<i64> {
    disk.ancestors()
        .find_map(|part| part.file_name()?.to_str()?.strip_prefix('e')?.parse().ok())
}

impl Driver for Simulated {
    fn platform(&self) -> Platform {
        self.config.platform
    }

    fn kernels(&self) -> Vec<KernelReport> {
        let report = |kernel: &KernelConfig| KernelReport {
            id: kernel.id.clone(),
            label: kernel.label.clone(),
            family: kernel.family,
            modules: false,
            initramfs: false,
        };
        self.config.kernels.iter().map(report).collect()
    }

    fn memory_total_mb(&self) -> i64 {
        self.config.memory_mb
    }

    fn preflight(&self, _linode: LinodeId, spec: &GuestSpec, boot: &BootSpec) -> Result<()> {
        let kernels = &self.config.kernels;
        if !kernels.is_empty() && kernels.iter().all(|kernel| kernel.id != boot.kernel) {
            return refuse(
                "The new host does not have this kernel.",
                boot.kernel.clone(),
            );
        }
        if boot.ram_mb.max(spec.ram_mb) > self.config.memory_mb {
            return refuse(
                "The new host does not have this much memory.",
                format!("{} MiB", boot.ram_mb),
            );
        }
        Ok(())
    }

    fn start(&self, guest: &Guest<'_>) -> Result<()> {
        let run_dir = self.run_dir(guest.linode);
        file::private_dir(&run_dir).map_err(host)?;
        let lock = self.take_lock(guest.linode)?;
        for stale in [guest::PROCESS, guest::PORT, guest::WEB] {
            file::remove(&run_dir, stale).map_err(host)?;
        }
        let bytes = serde_json::to_vec_pretty(&self.guest_file(guest)).map_err(host)?;
        file::replace(&run_dir, "guest.json", &bytes).map_err(host)?;
        self.set_share(guest.linode, guest.spec.share())?;
        let console = self.console(guest.linode).map_err(host)?;
        let pid = Tool::new(self.program().map_err(host)?)
            .args(["guest", "--spec"])
            .arg(run_dir.join("guest.json"))
            .detach(Some(lock), console)
            .map_err(host)?;
        tracing::info!(linode = %guest.linode, pid, "a simulated guest is started");
        self.wait_up(guest.linode)
    }

    fn stop(&self, linode: LinodeId, limit: Duration) -> Result<Stopped> {
        let Some(process) = self.process(linode)? else {
            return Ok(Stopped::WasAbsent);
        };
        process.signal(Signal::TERM).map_err(host)?;
        if process.wait_gone(limit) {
            self.confirm_absent(linode)?;
            return Ok(Stopped::Cleanly);
        }
        process.signal(Signal::KILL).map_err(host)?;
        if !process.wait_gone(PATIENCE) {
            let message = format!("Linode {linode}: process {} cannot be killed", process.pid);
            return Err(DriverError::Host(message));
        }
        self.confirm_absent(linode)?;
        if !self.trial {
            self.tell(witness::Event::Gone, linode, process.pid)
                .map_err(host)?;
        }
        Ok(Stopped::ByForce)
    }

    fn state(&self, linode: LinodeId) -> Result<GuestState> {
        Ok(match self.process(linode)? {
            Some(process) => GuestState::Running {
                id: process.id(),
                since: process.since(),
            },
            None => GuestState::Absent,
        })
    }

    fn guests(&self) -> Result<Vec<LinodeId>> {
        let mut running = Vec::new();
        for found in fs::read_dir(&self.dir).map_err(host)? {
            let name = found.map_err(host)?.file_name();
            let id = name
                .to_str()
                .and_then(|name| name.strip_prefix("linode-")?.parse().ok());
            if let Some(id) = id.map(LinodeId)
                && self.held(id).map_err(host)?
            {
                running.push(id);
            }
        }
        Ok(running)
    }

    fn announce(&self, linode: LinodeId, spec: &GuestSpec) -> Result<()> {
        if self.fault("no-network", linode) {
            return Ok(());
        }
        self.tell_addresses(linode, spec).map_err(host)
    }

    fn reach(&self, linode: LinodeId, at: SocketAddr) -> Option<SocketAddr> {
        self.reached(linode, at)
    }

    fn withdraw(&self, linode: LinodeId) -> Result<()> {
        self.take_addresses_away(linode).map_err(host)
    }

    fn console_tail(&self, linode: LinodeId, lines: usize) -> String {
        let bytes = fs::read(self.run_dir(linode).join(CONSOLE)).unwrap_or_default();
        let text = printable(&bytes, usize::try_from(CONSOLE_LOOK).unwrap_or(usize::MAX));
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..)
            .unwrap_or_default()
            .join("\n")
    }

    fn samples(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Counted> {
        let Some(load) = &self.load else {
            let each = linodes.iter();
            return each
                .filter_map(|it| Some((*it, self.counted(*it)?)))
                .collect();
        };
        let mut all = load.samples(|| self.loaded(load));
        all.retain(|linode, _| linodes.contains(linode));
        all
    }

    fn shares(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Share> {
        let each = linodes.iter();
        each.filter_map(|it| Some((*it, self.kept_share(*it)?)))
            .collect()
    }

    fn set_share(&self, linode: LinodeId, share: Share) -> Result<()> {
        let text = serde_json::to_vec(&share).map_err(|error| host(io::Error::other(error)))?;
        file::replace(&self.run_dir(linode), SHARE, &text).map_err(host)
    }

    fn trials(&self) -> Option<Trials> {
        let config = SimulatedConfig {
            load: None,
            ..self.config.clone()
        };
        let driver = Self::new(config, &self.dir.join(trials::FOLDER));
        let driver =
            driver.inspect_err(|error| tracing::error!(%error, "nothing can be tried here"));
        Some(Trials::of(Self {
            trial: true,
            ..driver.ok()?
        }))
    }

    fn forget(&self, linode: LinodeId) -> Result<()> {
        let dir = self.run_dir(linode);
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(host)?;
            // Of one that was killed nobody else would say so.
            self.tell(witness::Event::TrialOver, linode, 0)
                .map_err(host)?;
        }
        Ok(())
    }
}
