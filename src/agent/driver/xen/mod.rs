//! Guests as Xen domains (PV), over the `xl` toolstack.
//!
//! The rule of this room: what is true is asked of the hypervisor and read from `/sys` and `/proc`, never remembered. A record
//! of the last start only says what to look for; it never says that a guest is there or is not.
//!
//! * `domains` is the host's Linodes as domains; `names` and `domain_file` say what a guest is started as; `folder` keeps that; `hotplug.sh` connects its devices;
//! * `xl` calls the toolstack; `keeper` finds the `xl` that stays with each domain; `backend` reads the devices' ends here;
//! * `find` puts together what there is of a guest, `look` judges whether it runs, and `stop` ends it;
//! * `share` gives it its part, `waits` watches how long it waits for it, `memory` says if there is any; `samples` reads what
//!   all guests used; `examine` looks at the host.

mod backend;
mod config;
mod domain_file;
mod domains;
mod examine;
mod find;
mod folder;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod keeper;
mod look;
mod memory;
mod names;
mod samples;
mod share;
mod stop;
mod waits;
mod xl;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

pub use config::{KernelConfig, XenConfig};
pub use domains::Xen;

use super::files::{absent_is_fine, host};
use super::net;
use super::{Counted, Driver, DriverError, Guest, GuestState, Result, Stopped, Trials};
use crate::domain::ids::LinodeId;
use crate::domain::platform::Platform;
use crate::wire::{BootSpec, GuestSpec, KernelReport, Share};

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

    fn preflight(&self, linode: LinodeId, spec: &GuestSpec, boot: &BootSpec) -> Result<()> {
        let search = self.search(linode)?;
        self.check(spec, boot)?;
        if self.config.anti_spoofing && !self.trial {
            self.guard.ready()?;
        }
        self.check_memory(&search, boot)
    }

    fn runs_helpers(&self, boot: &BootSpec) -> bool {
        let kernel = self.kernel(&boot.kernel);
        kernel.is_ok_and(|kernel| kernel.initramfs.is_some())
    }

    fn start(&self, guest: &Guest<'_>) -> Result<()> {
        let mut search = self.search(guest.linode)?;
        self.check(guest.spec, guest.boot)?;
        let disks: Vec<PathBuf> = guest.disks.iter().map(|(_, path)| path.clone()).collect();
        Self::check_clear(&mut search, &disks)?;
        self.wait_for_memory(&search, guest.boot)?;
        self.launch(&mut search, guest, disks).inspect_err(|_| {
            // A start that failed leaves nothing behind; if even that fails, `state` goes on saying what is there.
            let _ = self.stop(guest.linode, Duration::ZERO);
        })
    }

    fn stop(&self, linode: LinodeId, limit: Duration) -> Result<Stopped> {
        stop::stop(&mut self.search(linode)?, limit)
    }

    fn state(&self, linode: LinodeId) -> Result<GuestState> {
        look::state(self, linode)
    }

    fn states(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Result<GuestState>> {
        look::states(self, linodes)
    }

    fn guests(&self) -> Result<Vec<LinodeId>> {
        look::guests(self)
    }

    fn announce(&self, _linode: LinodeId, spec: &GuestSpec) -> Result<()> {
        net::announce(&self.config.bridge, spec)
    }

    /// The port goes with its domain; what is left is the guest's filter.
    fn withdraw(&self, linode: LinodeId) -> Result<()> {
        let search = self.search(linode)?;
        if net::sys(&search.port).exists() {
            return Err(DriverError::Host(format!(
                "the port {} is still there",
                search.port
            )));
        }
        self.guard.remove(&Self::kept(&search))
    }

    fn maintain(&self) -> Vec<String> {
        let known = match self.known() {
            Ok(known) => known,
            Err(error) => return vec![error.to_string()],
        };
        let mut said = look::restless(self, &known);
        if self.config.anti_spoofing {
            let kept = |linode| Ok(Self::kept(&self.search(linode)?));
            said.extend(self.guard.maintain(known, kept));
        }
        said
    }

    fn console_tail(&self, linode: LinodeId, lines: usize) -> String {
        self.console(linode).tail(lines)
    }

    fn samples(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Counted> {
        samples::all(self, linodes)
    }

    fn sample_waits(&self) {
        // What could not be looked at is a look less.
        if let Ok(states) = xl::vcpus() {
            self.waits.note(&states, Instant::now());
        }
    }

    /// Not until the guest has connected its disks: there is nothing yet that could have a level.
    fn shares(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Share> {
        samples::shares(self, linodes)
    }

    fn set_share(&self, linode: LinodeId, share: Share) -> Result<()> {
        domain_file::check_weight(share.cpu_weight)?;
        let id = samples::domain(self, linode).ok_or_else(|| {
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

    fn trials(&self) -> Option<Trials> {
        let made = self.of_trials();
        let made = made.inspect_err(|error| tracing::error!(%error, "nothing can be tried here"));
        made.ok().map(Trials::of)
    }

    fn forget(&self, linode: LinodeId) -> Result<()> {
        let search = self.search(linode)?;
        let gone = |done: io::Result<()>| absent_is_fine(done).map_err(host);
        gone(fs::remove_file(self.console(linode).now))?;
        gone(fs::remove_dir_all(search.folder.dir()))
    }
}
