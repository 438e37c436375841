//! The Linodes of this host as domains: how it is set up, where each one's folder is, and how one is started.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use super::config::{KernelConfig, XenConfig};
use super::find::Search;
use super::folder::{Folder, Record};
use super::waits::Waits;
use super::{backend, domain_file, names, share, xl};
use crate::agent::driver::console::Console;
use crate::agent::driver::files::{at, boot_id, host, plain, replace, writer_of};
use crate::agent::driver::net::guard::{Guard, Kept};
use crate::agent::driver::{DriverError, Guest, Result, net, trials};
use crate::agent::process::now;
use crate::domain::ids::LinodeId;
use crate::wire::{BootSpec, GuestSpec};

const HOTPLUG: &str = include_str!("hotplug.sh");

/// Runs Linodes as Xen domains.
pub struct Xen {
    pub config: XenConfig,
    state: PathBuf,
    /// When it was read, and what.
    pub memory_total: Mutex<Option<(Instant, i64)>>,
    pub waits: Waits,
    pub guard: Guard,
    /// Its guests are trials' clones, without a port.
    pub trial: bool,
}

impl Xen {
    /// `state` is the driver's own folder. What runs there already is found again.
    ///
    /// # Errors
    /// If the configuration is wrong, or the folder cannot be made.
    pub fn new(config: XenConfig, state: PathBuf) -> Result<Self> {
        config.check().map_err(DriverError::Host)?;
        Self::open(config, state)
    }

    /// The driver of trials: by a prefix that no agent can be given, so that none of its domains is taken for a Linode's.
    pub fn of_trials(&self) -> Result<Self> {
        let config = XenConfig {
            prefix: format!("{}.trial", self.config.prefix),
            ..self.config.clone()
        };
        Ok(Self {
            trial: true,
            ..Self::open(config, self.state.join(trials::FOLDER))?
        })
    }

    fn open(config: XenConfig, state: PathBuf) -> Result<Self> {
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
            trial: false,
        };
        let hotplug = driver.hotplug();
        write_program(&hotplug, HOTPLUG).map_err(|error| at(&hotplug, &error))?;
        Ok(driver)
    }

    /// The script that connects devices. A guest that reboots needs it as long as it lives.
    pub fn hotplug(&self) -> PathBuf {
        self.state.join("hotplug")
    }

    pub fn search(&self, linode: LinodeId) -> Result<Search> {
        let prefix = &self.config.prefix;
        let folder = Folder::new(&self.state, prefix, linode);
        if self.trial {
            return Search::without_port(prefix, linode, folder);
        }
        Search::new(prefix, linode, folder)
    }

    pub fn console(&self, linode: LinodeId) -> Console {
        let name = names::domain(&self.config.prefix, linode);
        Console {
            now: self.config.console_dir.join(format!("guest-{name}.log")),
            earlier: Folder::new(&self.state, &self.config.prefix, linode).earlier_console(),
        }
    }

    pub fn kernel(&self, id: &str) -> Result<&KernelConfig> {
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
    pub fn domain(&self, linode: LinodeId) -> Option<u32> {
        backend::domain_of(&net::port(&self.config.prefix, linode).ok()?)
    }

    pub fn check(&self, spec: &GuestSpec, boot: &BootSpec) -> Result<()> {
        domain_file::check(spec, boot)?;
        net::addresses(spec)?;
        self.kernel(&boot.kernel)?;
        if !self.trial && !net::bridge_exists(&self.config.bridge) {
            return Err(DriverError::Host(format!(
                "there is no bridge {}",
                self.config.bridge
            )));
        }
        Ok(())
    }

    /// Nothing of an earlier run may be left when a guest starts, and nobody else may hold its disks.
    pub fn check_clear(search: &mut Search, disks: &[PathBuf]) -> Result<()> {
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

    pub fn kept(search: &Search) -> Kept {
        Kept {
            linode: search.linode,
            port: search.port.clone(),
            file: search.folder.filter(),
        }
    }

    pub fn filter(&self, search: &Search, spec: &GuestSpec) -> Result<()> {
        if self.config.anti_spoofing {
            return self.guard.install(&Self::kept(search), spec);
        }
        tracing::warn!(linode = %search.linode, "anti_spoofing is off: the guest can use any address");
        self.guard.remove(&Self::kept(search))
    }

    pub fn launch(
        &self,
        search: &mut Search,
        guest: &Guest<'_>,
        disks: Vec<PathBuf>,
    ) -> Result<()> {
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
            vif: (!self.trial).then_some((&self.config.bridge, &search.port)),
        };
        let text = domain_file::text(guest, &place)?;
        folder.make().map_err(inside)?;
        if !self.trial {
            self.filter(search, guest.spec)?;
        }
        // What was said before this start stays, apart. No domain is there that its log could be taken from.
        self.console(guest.linode).bound(0).map_err(host)?;
        let record = Record {
            boot_id: boot_id().map_err(host)?,
            uuid,
            since: now(),
            disks,
            ram_mb: guest.boot.ram_mb,
            domains: Vec::new(),
            noted: Vec::new(),
            restless: false,
        };
        folder.write(&record).map_err(inside)?;
        replace(&folder.domain_file(), text.as_bytes()).map_err(inside)?;
        folder
            .permit(&kernel.path, kernel.initramfs.as_deref())
            .map_err(inside)?;
        search.record = Some(record);
        xl::create(&search.folder.domain_file(), self.config.create_limit())?;
        if self.trial {
            // No port names its domain.
            for domain in search.find()?.domains {
                search.note(domain.id)?;
            }
        } else if let Some(domain) = backend::domain_of(&search.port) {
            search.note(domain)?;
            share::settle(search.port.clone(), guest.spec.io_priority);
        }
        Ok(())
    }

    /// The Linodes that were started here at any time.
    pub fn known(&self) -> Result<Vec<LinodeId>> {
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
