//! Guests as User Mode Linux: each a few ordinary processes of the host.
//!
//! The rule of this room: what is true is read from `/proc`, never remembered. A record of the last start only helps to
//! find processes; it never says that one is there or is not.
//!
//! * `cmdline` says with what words a guest is started; * `folder` what is kept of one; * `processes` finds them;
//! * `launch` starts them; `jail` makes them strangers to the host; `examine` says what a host lacks;
//! * `waits` adds up how long they wait for a CPU, `memory` what they take; * `mconsole` and `stop` end them; * `network` and `packet` connect them; * `console` keeps their output small.

mod cmdline;
mod config;
mod examine;
mod folder;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod jail;
mod launch;
mod mconsole;
mod memory;
mod network;
mod processes;
mod stop;
mod waits;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

pub use config::{Jail, KernelConfig, UmlConfig};

use self::folder::{Folder, Record};
use self::processes::{Marks, Table};
use self::stop::Stop;
use self::waits::Waits;
use super::files::{absent_is_fine, at, host, plain, writer_of};
use super::net;
use super::net::guard::{Guard, Kept};
use super::{Counted, Driver, DriverError, Guest, GuestState, Result, Stopped, Trials, trials};
use crate::agent::process::{ProcessRef, now, storage};
use crate::domain::ids::LinodeId;
use crate::domain::platform::Platform;
use crate::wire::{BootSpec, GuestSpec, KernelReport, Sample, Share};

/// Runs Linodes with `linux.uml`.
pub struct Uml {
    config: UmlConfig,
    state: PathBuf,
    /// What is loaded into UML.
    preload: PathBuf,
    /// The jailer. Unless told otherwise this very program, even if it was replaced on the disk by its next release.
    program: PathBuf,
    waits: Waits,
    guard: Guard,
    /// Its guests are trials' clones.
    trial: bool,
}

/// Between the user of a Linode's guest and that of its trial.
const TRIAL_USERS: u32 = 70_000_000;

impl Uml {
    /// `state` is the driver's own folder. What runs there already is found again.
    ///
    /// # Errors
    /// If the configuration is wrong, or the folders cannot be made.
    pub fn new(config: UmlConfig, state: PathBuf) -> Result<Self> {
        config.check().map_err(DriverError::Host)?;
        if plain(&state).is_none() {
            return Err(DriverError::Host(format!(
                "the driver's folder {} is not a path of plain characters",
                state.display()
            )));
        }
        for dir in [&state, &config.uml_dir] {
            fs::create_dir_all(dir).map_err(|error| at(dir, &error))?;
        }
        if config.jail == Jail::Required {
            jail::claim(config.first_uid, &state)?;
        }
        let this = || PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        Ok(Self {
            preload: jail::write_preload(&state).map_err(|error| at(&state, &error))?,
            program: config.program.clone().unwrap_or_else(this),
            config,
            state,
            waits: Waits::default(),
            guard: Guard::default(),
            trial: false,
        })
    }

    /// The driver of the host's other guests: of trials, if this is the Linodes', and the other way round. It shares no
    /// name, folder or user with this one.
    fn twin(&self) -> Option<Self> {
        let users = self.config.first_uid;
        let (first_uid, state) = if self.trial {
            let first = users.checked_sub(TRIAL_USERS);
            (first?, self.state.parent()?.to_owned())
        } else {
            let first = users.checked_add(TRIAL_USERS);
            (first?, self.state.join(trials::FOLDER))
        };
        Some(Self {
            config: UmlConfig {
                first_uid,
                ..self.config.clone()
            },
            state,
            preload: self.preload.clone(),
            program: self.program.clone(),
            waits: Waits::default(),
            guard: Guard::default(),
            trial: !self.trial,
        })
    }

    fn folder(&self, linode: LinodeId) -> Folder {
        Folder::new(&self.state, linode)
    }

    fn umid(&self, linode: LinodeId) -> String {
        let umid = if self.trial {
            cmdline::trial_umid
        } else {
            cmdline::umid
        };
        umid(&self.config.prefix, linode)
    }

    /// The user as which it runs, if it does in a jail: `first_uid` may have been another at its start.
    fn user(&self, linode: LinodeId, record: Option<&Record>) -> Option<u32> {
        let recorded = record.and_then(|record| record.uid);
        recorded.or_else(|| self.uid(linode).ok())
    }

    /// The user of the Linode's guest.
    fn uid(&self, linode: LinodeId) -> Result<u32> {
        jail::uid(self.config.first_uid, linode)
    }

    fn tap(&self, linode: LinodeId) -> Result<String> {
        net::port(&self.config.prefix, linode)
    }

    /// The port that the guest is given: a trial's has none.
    fn tap_of_guest(&self, linode: LinodeId) -> Result<Option<String>> {
        (!self.trial).then(|| self.tap(linode)).transpose()
    }

    fn kept(&self, linode: LinodeId) -> Result<Kept> {
        Ok(Kept {
            linode,
            port: self.tap(linode)?,
            file: self.folder(linode).dir().join("filter.nft"),
        })
    }

    /// The kernel of a profile, if all that it boots with is there.
    fn kernel(&self, id: &str) -> Result<&KernelConfig> {
        let known = self.config.kernels.iter().find(|kernel| kernel.id == id);
        let kernel = known.ok_or_else(|| DriverError::Refused {
            public: format!("The config profile's kernel {id} is not on this host."),
            detail: format!("kernel {id:?} is not in driver.kernels"),
        })?;
        let files = [Some(&kernel.path), kernel.initramfs.as_ref()];
        for path in files.into_iter().flatten() {
            let fine = match self.config.jail {
                Jail::Required => examine::readable(path, path == &kernel.path),
                Jail::None if path.is_file() => Ok(()),
                Jail::None => Err(format!("{} is not there", path.display())),
            };
            fine.map_err(|error| DriverError::Host(format!("kernel {id}: {error}")))?;
        }
        Ok(kernel)
    }

    fn find(&self, table: &Table, linode: LinodeId) -> Result<processes::Guest> {
        let folder = self.folder(linode);
        let recorded = folder.record().map_err(|error| at(folder.dir(), &error))?;
        Ok(table.guest(&self.marks(table, linode, recorded.as_ref())))
    }

    fn marks(&self, table: &Table, linode: LinodeId, record: Option<&Record>) -> Marks {
        Marks {
            uid: self.user(linode, record),
            umid: self.umid(linode),
            program: self.folder(linode).kernel(),
            recorded: record.and_then(|record| alive(table, record)),
        }
    }

    fn state_in(&self, table: &Table, linode: LinodeId) -> Result<GuestState> {
        let found = self.find(table, linode)?;
        // Helpers without a main process hold the disks: that is not absent.
        let Some(process) = found.main.or(found.all.first().copied()) else {
            return Ok(GuestState::Absent);
        };
        // A console that cannot be cut is no reason not to say what runs.
        let _ = self
            .folder(linode)
            .console()
            .bound(self.config.console_kb * 1024);
        Ok(GuestState::Running {
            id: process.id(),
            since: process.since(),
        })
    }

    /// Guests that an earlier release started, in words for staff.
    fn unjailed(&self, known: &[LinodeId]) -> Vec<String> {
        // Asked with every report: where all were started in jails, their records are enough.
        let without_user = |linode: &&LinodeId| {
            let record = self.folder(**linode).record().ok().flatten();
            record.is_some_and(|record| record.uid.is_none())
        };
        let known: Vec<&LinodeId> = known.iter().filter(without_user).collect();
        if known.is_empty() {
            return Vec::new();
        }
        let Ok(table) = Table::read() else {
            return Vec::new();
        };
        let is_free = |linode: &&LinodeId| {
            let found = self.find(&table, **linode);
            found.is_ok_and(|found| found.main.is_some() && !found.jailed)
        };
        let free = known.into_iter().filter(is_free);
        free.map(|linode| format!("Linode {linode} runs without a jail until its next start"))
            .collect()
    }

    fn counted(&self, table: &Table, linode: LinodeId) -> Option<Counted> {
        let found = self.find(table, linode).ok()?;
        let main = found.main?;
        let (net_in_bytes, net_out_bytes) = net::traffic(&self.tap(linode).ok()?);
        let disk = found.all.iter().filter_map(|it| storage(it.pid));
        let (disk_read_bytes, disk_write_bytes) = disk.fold((0, 0), |sum, (read, written)| {
            (sum.0 + read, sum.1 + written)
        });
        Some(Counted {
            run: main.id(),
            sample: Sample {
                at: now(),
                cpu_ms: table.cpu_ms(main),
                disk_read_bytes,
                disk_write_bytes,
                // UML's process does the reads and writes of its disk and its console alike, so operations say nothing.
                disk_read_ops: 0,
                disk_write_ops: 0,
                net_in_bytes,
                net_out_bytes,
                wait_ms: self.waits.of(linode, main, &found.all),
            },
        })
    }

    fn check(&self, linode: LinodeId, spec: &GuestSpec, boot: &BootSpec) -> Result<()> {
        cmdline::check(spec, boot)?;
        self.kernel(&boot.kernel)?;
        if self.tap_of_guest(linode)?.is_some() && !net::bridge_exists(&self.config.bridge) {
            return Err(DriverError::Host(format!(
                "there is no bridge {}",
                self.config.bridge
            )));
        }
        let free = self.config.memory_mb - self.memory_used_mb(linode)?;
        examine::room_for(self.config.jail, boot.ram_mb).map_err(DriverError::Host)?;
        if boot.ram_mb > free {
            return Err(DriverError::Refused {
                public: format!(
                    "The host has not enough free memory for the Linode's {} MB.",
                    boot.ram_mb
                ),
                detail: format!("{free} MB are free of {}", self.config.memory_mb),
            });
        }
        Ok(())
    }

    /// Nothing of an earlier run may be left when a guest starts, and nobody else may write its disks.
    fn check_clear(&self, guest: &Guest<'_>, disks: &[PathBuf]) -> Result<()> {
        let table = Table::read().map_err(host)?;
        if let Some(process) = self.find(&table, guest.linode)?.all.first() {
            return Err(DriverError::Host(format!(
                "Linode {} runs already, as process {}",
                guest.linode,
                process.id()
            )));
        }
        for disk in disks {
            fs::metadata(disk).map_err(|error| at(disk, &error))?;
        }
        match writer_of(disks).map_err(host)? {
            None => Ok(()),
            Some((pid, path)) => Err(DriverError::Host(format!(
                "{} is open for writing by process {pid}",
                path.display()
            ))),
        }
    }
}

/// The main process of a record, if it lives or something of its session holds the guest's disks. A pid may have come to
/// another process since, whose children would be in the session of that name.
fn alive(table: &Table, record: &Record) -> Option<ProcessRef> {
    let main = record.main?;
    if table.has(main) {
        return Some(main);
    }
    let (holder, _) = writer_of(&record.disks).ok().flatten()?;
    (table.session(holder) == Some(main.pid)).then_some(main)
}

impl Driver for Uml {
    fn platform(&self) -> Platform {
        Platform::Uml
    }

    fn kernels(&self) -> Vec<KernelReport> {
        let report = |kernel: &KernelConfig| KernelReport {
            id: kernel.id.clone(),
            label: kernel.label.clone(),
            family: kernel.family,
            modules: false,
            initramfs: kernel.initramfs.as_ref().is_some_and(|path| path.is_file()),
        };
        let there = self.config.kernels.iter().filter(|k| k.path.is_file());
        there.map(report).collect()
    }

    fn memory_total_mb(&self) -> i64 {
        self.config.memory_mb
    }

    fn preflight(&self, linode: LinodeId, spec: &GuestSpec, boot: &BootSpec) -> Result<()> {
        if !self.trial {
            self.guard.ready()?;
        }
        self.check(linode, spec, boot)
    }

    fn runs_helpers(&self, boot: &BootSpec) -> bool {
        let kernel = self.kernel(&boot.kernel);
        kernel.is_ok_and(|kernel| kernel.initramfs.is_some())
    }

    fn start(&self, guest: &Guest<'_>) -> Result<()> {
        self.check(guest.linode, guest.spec, guest.boot)?;
        let disks: Vec<PathBuf> = guest.disks.iter().map(|(_, path)| path.clone()).collect();
        self.check_clear(guest, &disks)?;
        if !self.trial {
            let kept = self.kept(guest.linode)?;
            network::ensure_tap(&self.guard, &kept, &self.config.bridge, guest.spec)?;
        }
        self.launch(guest, disks).inspect_err(|_| {
            // A start that failed leaves nothing behind; if even that fails, `state` goes on saying what is there.
            let _ = self.stop(guest.linode, Duration::ZERO);
        })
    }

    fn stop(&self, linode: LinodeId, limit: Duration) -> Result<Stopped> {
        let folder = self.folder(linode);
        let record = folder.record().map_err(|error| at(folder.dir(), &error))?;
        let table = Table::read().map_err(host)?;
        Stop {
            folder: &folder,
            uml_dir: &self.config.uml_dir,
            marks: self.marks(&table, linode, record.as_ref()),
            disks: record.as_ref().map_or(&[], |record| &record.disks),
        }
        .run(limit)
    }

    fn state(&self, linode: LinodeId) -> Result<GuestState> {
        self.state_in(&Table::read().map_err(host)?, linode)
    }

    fn states(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Result<GuestState>> {
        let table = Table::read().map_err(|error| error.to_string());
        let state = |linode: LinodeId| match &table {
            Ok(table) => self.state_in(table, linode),
            Err(error) => Err(DriverError::Host(error.clone())),
        };
        let each = linodes.iter().map(|linode| (*linode, state(*linode)));
        each.collect()
    }

    fn guests(&self) -> Result<Vec<LinodeId>> {
        let table = Table::read().map_err(host)?;
        let mut running = Vec::new();
        for linode in folder::linodes(&self.state).map_err(host)? {
            match self.find(&table, linode) {
                Ok(found) if found.all.is_empty() => {}
                Ok(_) => running.push(linode),
                // `state` says so for this one; the others are listed.
                Err(error) => tracing::warn!(%linode, %error, "a guest cannot be looked for"),
            }
        }
        Ok(running)
    }

    fn announce(&self, _linode: LinodeId, spec: &GuestSpec) -> Result<()> {
        net::announce(&self.config.bridge, spec)
    }

    fn withdraw(&self, linode: LinodeId) -> Result<()> {
        network::remove_tap(&self.guard, &self.kept(linode)?)
    }

    fn maintain(&self) -> Vec<String> {
        let known = match folder::linodes(&self.state) {
            Ok(known) => known,
            Err(error) => return vec![format!("anti-spoofing: {error}")],
        };
        let mut wrong = match self.config.jail {
            Jail::Required => self.unjailed(&known),
            Jail::None => Vec::new(),
        };
        wrong.extend(self.guard.maintain(known, |linode| self.kept(linode)));
        wrong
    }

    fn console_tail(&self, linode: LinodeId, lines: usize) -> String {
        self.folder(linode).console().tail(lines)
    }

    fn samples(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Counted> {
        let Ok(table) = Table::read() else {
            return BTreeMap::new();
        };
        self.waits.keep(|main| table.has(main));
        let each = linodes.iter();
        each.filter_map(|linode| Some((*linode, self.counted(&table, *linode)?)))
            .collect()
    }

    fn examine(&self) -> Vec<(&'static str, Result<String, String>)> {
        examine::examine(&self.config)
    }

    fn trials(&self) -> Option<Trials> {
        let made = || {
            let twin = self.twin().ok_or_else(|| {
                DriverError::Host("driver.first_uid leaves no users for trials".to_owned())
            })?;
            fs::create_dir_all(&twin.state).map_err(|error| at(&twin.state, &error))?;
            if twin.config.jail == Jail::Required {
                jail::claim(twin.config.first_uid, &twin.state)?;
            }
            Ok::<_, DriverError>(Trials::of(twin))
        };
        let made = made().inspect_err(|error| tracing::error!(%error, "nothing can be tried here"));
        made.ok()
    }

    fn forget(&self, linode: LinodeId) -> Result<()> {
        let folder = self.folder(linode);
        absent_is_fine(fs::remove_dir_all(folder.dir())).map_err(|error| at(folder.dir(), &error))
    }

    /// UML's guests are plain processes here: its token limiter is not in Debian's kernel, and there are no weights.
    fn shares(&self, _linodes: &[LinodeId]) -> BTreeMap<LinodeId, Share> {
        BTreeMap::new()
    }

    fn set_share(&self, _linode: LinodeId, _share: Share) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::driver::files::boot_id;
    use crate::command::Tool;
    use std::path::Path;

    /// A session whose leader has ended, with one process in it, which holds `disk` if it is told to.
    fn orphans(disk: &Path, holds: bool) -> (ProcessRef, ProcessRef) {
        let hold = if holds { "9>>" } else { "9<" };
        let script = format!(
            "sleep 60 {hold}{} >/dev/null 2>&1 & echo $$ $!",
            disk.display()
        );
        let said = Tool::new("setsid").args(["sh", "-c", &script]).run();
        let text = said.unwrap().text();
        let (leader, child) = text.trim().split_once(' ').unwrap();
        let leader = ProcessRef {
            pid: leader.parse().unwrap(),
            started: 1,
        };
        (leader, ProcessRef::of(child.parse().unwrap()).unwrap())
    }

    #[test]
    fn what_is_left_of_a_guest_is_known_by_its_disks_and_others_children_are_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("11.img");
        fs::write(&disk, "").unwrap();
        for holds in [true, false] {
            let (leader, child) = orphans(&disk, holds);
            let record = Record {
                boot_id: boot_id().unwrap(),
                main: Some(leader),
                disks: vec![disk.clone()],
                ram_mb: 64,
                uid: None,
            };
            let found = alive(&Table::read().unwrap(), &record);
            assert_eq!(found, holds.then_some(leader));
            child.signal(rustix::process::Signal::KILL).unwrap();
            assert!(child.wait_gone(Duration::from_secs(10)));
        }
    }
}
