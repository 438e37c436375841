//! Guests as Xen domains (PV), over the `xl` toolstack.
//!
//! The rule of this room: what is true is asked of the hypervisor and read from `/sys` and `/proc`, never remembered. A record
//! of the last start only says what to look for; it never says that a guest is there or is not.
//!
//! * `names` and `domain_file` say what a guest is started as; `folder` keeps that; `hotplug.sh` connects its devices;
//! * `xl` calls the toolstack; `keeper` finds the `xl` that stays with each domain; `backend` reads the devices' ends here;
//! * `find` puts together what there is of a guest, `look` judges whether it runs, and `stop` ends it;
//! * `filter` keeps it to its own addresses, `guard` sees to that by `nft`; `share` gives it its part, `waits` watches how long
//!   it waits for it, `memory` says if there is any; `samples` reads what all guests used; `examine` looks at
//!   the host.

mod backend;
mod config;
mod domain_file;
mod examine;
mod filter;
mod find;
mod folder;
mod guard;
mod keeper;
mod look;
mod memory;
mod names;
mod nft;
mod samples;
mod share;
mod stop;
mod waits;
mod xl;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub use config::{KernelConfig, XenConfig};

use self::find::Search;
use self::folder::{Folder, Record};
use self::guard::{Guard, Kept};
use self::waits::Waits;
use super::console::Console;
use super::files::{at, boot_id, host, plain, writer_of};
use super::net;
use super::{Counted, Driver, DriverError, Guest, GuestState, Stopped};
use crate::agent::process::now;
use crate::domain::ids::LinodeId;
use crate::domain::words::Platform;
use crate::wire::{BootSpec, GuestSpec, KernelReport, Share};

const POLL: Duration = Duration::from_millis(250);
const HOTPLUG: &str = include_str!("hotplug.sh");

/// Runs Linodes as Xen domains.
pub struct Xen {
    config: XenConfig,
    state: PathBuf,
    /// When it was read, and what.
    memory_total: Mutex<Option<(Instant, i64)>>,
    waits: Waits,
    guard: Guard,
}

impl Xen {
    /// `state` is the driver's own folder. What runs there already is found again.
    ///
    /// # Errors
    /// If the configuration is wrong, or the folder cannot be made.
    pub fn new(config: XenConfig, state: PathBuf) -> Result<Self, DriverError> {
        config.check().map_err(DriverError::Host)?;
        if plain(&state).is_none() || !state.is_absolute() {
            return Err(DriverError::Host(format!(
                "the driver's folder {} is not an absolute path of plain characters",
                state.display()
            )));
        }
        fs::create_dir_all(&state).map_err(|error| at(&state, &error))?;
        let driver = Self {
            config,
            state,
            memory_total: Mutex::new(None),
            waits: Waits::default(),
            guard: Guard::default(),
        };
        let hotplug = driver.hotplug();
        write_program(&hotplug, HOTPLUG).map_err(|error| at(&hotplug, &error))?;
        Ok(driver)
    }

    /// The script that connects devices. A guest that reboots needs it as long as it lives.
    fn hotplug(&self) -> PathBuf {
        self.state.join("hotplug")
    }

    fn search(&self, linode: LinodeId) -> Result<Search, DriverError> {
        let prefix = &self.config.prefix;
        Search::new(prefix, linode, Folder::new(&self.state, prefix, linode))
    }

    fn console(&self, linode: LinodeId) -> Console {
        let name = names::domain(&self.config.prefix, linode);
        Console {
            now: self.config.console_dir.join(format!("guest-{name}.log")),
            earlier: Folder::new(&self.state, &self.config.prefix, linode).earlier_console(),
        }
    }

    fn kernel(&self, id: &str) -> Result<&KernelConfig, DriverError> {
        let known = self.config.kernels.iter().find(|kernel| kernel.id == id);
        let kernel = known.ok_or_else(|| DriverError::Refused {
            public: format!("The config profile's kernel {id} is not on this host."),
            detail: format!("kernel {id:?} is not in driver.kernels"),
        })?;
        match kernel.files().find(|path| !path.is_file()) {
            None => Ok(kernel),
            Some(missing) => Err(DriverError::Host(format!(
                "kernel {id}: {} is not there",
                missing.display()
            ))),
        }
    }

    /// The domain that the guest runs as, by its port; costs no program.
    fn domain(&self, linode: LinodeId) -> Option<u32> {
        backend::domain_of(&net::port(&self.config.prefix, linode).ok()?)
    }

    fn check(&self, spec: &GuestSpec, boot: &BootSpec) -> Result<(), DriverError> {
        domain_file::check(spec, boot)?;
        net::addresses(spec)?;
        self.kernel(&boot.kernel)?;
        if !net::bridge_exists(&self.config.bridge) {
            return Err(DriverError::Host(format!(
                "there is no bridge {}",
                self.config.bridge
            )));
        }
        Ok(())
    }

    /// Nothing of an earlier run may be left when a guest starts, and nobody else may hold its disks.
    fn check_clear(search: &Search, disks: &[PathBuf]) -> Result<(), DriverError> {
        let found = search.find()?;
        let there = found.domains.first().map(|it| format!("domain {}", it.id));
        let keeper = found
            .keepers
            .first()
            .map(|it| format!("process {}", it.id()));
        if let Some(there) = there.or(keeper) {
            return Err(DriverError::Host(format!(
                "Linode {} runs already, as {there}",
                search.linode
            )));
        }
        for disk in disks {
            fs::metadata(disk).map_err(|error| at(disk, &error))?;
        }
        let mut left = search.left()?;
        left.extend(backend::holders(disks).map_err(host)?);
        if !left.is_empty() {
            return Err(DriverError::Host(format!(
                "Linode {} does not run, but there is still: {}",
                search.linode,
                left.join(", ")
            )));
        }
        match writer_of(disks).map_err(host)? {
            None => Ok(()),
            Some((pid, path)) => Err(DriverError::Host(format!(
                "{} is open for writing by process {pid}",
                path.display()
            ))),
        }
    }

    fn kept(search: &Search) -> Kept {
        Kept {
            linode: search.linode,
            port: search.port.clone(),
            file: search.folder.filter(),
        }
    }

    fn filter(&self, search: &Search, spec: &GuestSpec) -> Result<(), DriverError> {
        if self.config.anti_spoofing {
            return self.guard.install(&Self::kept(search), spec);
        }
        tracing::warn!(linode = %search.linode, "anti_spoofing is off: the guest can use any address");
        self.guard.remove(&Self::kept(search))
    }

    fn launch(
        &self,
        search: &mut Search,
        guest: &Guest<'_>,
        disks: Vec<PathBuf>,
    ) -> Result<(), DriverError> {
        let kernel = self.kernel(&guest.boot.kernel)?;
        let folder = &search.folder;
        let inside = |error| at(folder.dir(), &error);
        let uuid = names::uuid(&self.config.prefix, guest.linode)?;
        let (link, initramfs) = (folder.kernel(), folder.initramfs());
        let place = domain_file::Place {
            name: &search.name,
            uuid: &uuid,
            kernel: &link,
            initramfs: kernel.initramfs.as_ref().map(|_| initramfs.as_path()),
            hotplug: &self.hotplug(),
            bridge: &self.config.bridge,
            port: &search.port,
        };
        let text = domain_file::text(guest, &place)?;
        folder.make().map_err(inside)?;
        self.filter(search, guest.spec)?;
        // What was said before this start stays, apart. No domain is there that its log could be taken from.
        self.console(guest.linode).bound(0).map_err(host)?;
        let record = Record {
            boot_id: boot_id().map_err(host)?,
            uuid,
            since: now(),
            disks,
            domains: Vec::new(),
        };
        folder.write(&record).map_err(inside)?;
        folder::replace(&folder.domain_file(), text.as_bytes()).map_err(inside)?;
        folder
            .permit(&kernel.path, kernel.initramfs.as_deref())
            .map_err(inside)?;
        search.record = Some(record);
        xl::create(&search.folder.domain_file())?;
        if let Some(domain) = backend::domain_of(&search.port) {
            search.note(domain)?;
            share::settle(search.port.clone(), guest.spec.io_priority);
        }
        Ok(())
    }

    /// The Linodes that were started here at any time.
    fn known(&self) -> Result<Vec<LinodeId>, DriverError> {
        let entries = fs::read_dir(&self.state).map_err(host)?.flatten();
        let named = entries.filter_map(|entry| {
            let name = entry.file_name();
            names::linode_of(&self.config.prefix, name.to_str()?)
        });
        Ok(named.collect())
    }
}

/// Written whole and then made runnable, so that nobody runs half of it.
fn write_program(path: &Path, text: &str) -> io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o755)
        .open(&next)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    fs::rename(next, path)
}

impl Driver for Xen {
    fn platform(&self) -> Platform {
        Platform::Xen
    }

    fn kernels(&self) -> Vec<KernelReport> {
        let there = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.exists());
        let report = |kernel: &KernelConfig| KernelReport {
            id: kernel.id.clone(),
            label: kernel.label.clone(),
            family: kernel.family,
            modules: there(&kernel.modules),
            initramfs: there(&kernel.initramfs),
        };
        let kernels = self.config.kernels.iter();
        kernels
            .filter(|kernel| kernel.files().all(Path::is_file))
            .map(report)
            .collect()
    }

    fn memory_total_mb(&self) -> i64 {
        self.memory_total()
    }

    fn preflight(
        &self,
        linode: LinodeId,
        spec: &GuestSpec,
        boot: &BootSpec,
    ) -> Result<(), DriverError> {
        let search = self.search(linode)?;
        self.check(spec, boot)?;
        if self.config.anti_spoofing {
            self.guard.ready()?;
        }
        self.check_memory(&search, boot)
    }

    fn runs_helpers(&self, boot: &BootSpec) -> bool {
        let kernel = self.kernel(&boot.kernel);
        kernel.is_ok_and(|kernel| kernel.initramfs.is_some())
    }

    fn start(&self, guest: &Guest<'_>) -> Result<(), DriverError> {
        let mut search = self.search(guest.linode)?;
        self.check(guest.spec, guest.boot)?;
        let disks: Vec<PathBuf> = guest.disks.iter().map(|(_, path)| path.clone()).collect();
        Self::check_clear(&search, &disks)?;
        self.wait_for_memory(&search, guest.boot)?;
        self.launch(&mut search, guest, disks).inspect_err(|_| {
            // A start that failed leaves nothing behind; if even that fails, `state` goes on saying what is there.
            let _ = self.stop(guest.linode, Duration::ZERO);
        })
    }

    fn stop(&self, linode: LinodeId, limit: Duration) -> Result<Stopped, DriverError> {
        stop::stop(&mut self.search(linode)?, limit)
    }

    fn state(&self, linode: LinodeId) -> Result<GuestState, DriverError> {
        look::state(self, linode)
    }

    fn states(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Result<GuestState, DriverError>> {
        look::states(self, linodes)
    }

    fn guests(&self) -> Result<Vec<LinodeId>, DriverError> {
        look::guests(self)
    }

    fn announce(&self, _linode: LinodeId, spec: &GuestSpec) -> Result<(), DriverError> {
        net::announce(&self.config.bridge, spec)
    }

    /// The port goes with its domain; what is left is the guest's filter.
    fn withdraw(&self, linode: LinodeId) -> Result<(), DriverError> {
        let search = self.search(linode)?;
        if net::sys(&search.port).exists() {
            return Err(DriverError::Host(format!(
                "the port {} is still there",
                search.port
            )));
        }
        self.guard.remove(&Self::kept(&search))
    }

    fn tend(&self) -> Vec<String> {
        if !self.config.anti_spoofing {
            return Vec::new();
        }
        let known = match self.known() {
            Ok(known) => known,
            Err(error) => return vec![format!("anti-spoofing: {error}")],
        };
        let runs = |guest: &Kept| backend::domain_of(&guest.port).is_some();
        let searches = known
            .into_iter()
            .filter_map(|linode| self.search(linode).ok());
        let guests: Vec<Kept> = searches
            .map(|search| Self::kept(&search))
            .filter(runs)
            .collect();
        self.guard.look(&guests, &runs)
    }

    fn console_tail(&self, linode: LinodeId, lines: usize) -> String {
        self.console(linode).tail(lines)
    }

    fn samples(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Counted> {
        samples::all(self, linodes)
    }

    fn glance(&self) {
        // What could not be looked at is a look less.
        if let Ok(states) = xl::vcpus() {
            self.waits.note(&states, Instant::now());
        }
    }

    /// Not until the guest has connected its disks: there is nothing yet that could have a level.
    fn shares(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Share> {
        samples::shares(self, linodes)
    }

    fn set_share(&self, linode: LinodeId, share: Share) -> Result<(), DriverError> {
        domain_file::check_weight(share.cpu_weight)?;
        let id = self.domain(linode).ok_or_else(|| {
            DriverError::Host(format!(
                "Linode {linode} has no domain that could be given a share"
            ))
        })?;
        share::set_weight(id, share.cpu_weight)?;
        share::set_io_priority(id, share.io_priority)
    }

    fn examine(&self) -> Vec<(&'static str, Result<String, String>)> {
        examine::examine(&self.config)
    }
}
