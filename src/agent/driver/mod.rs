//! How a host runs its guests. The engine knows only this trait; which platform is behind it is the configuration's choice.
//! A driver obeys: it never decides whether a Linode may run (`agent::steps` does, from the ledger).

mod bootable;
mod console;
pub(super) mod files;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod net;
mod settings;
pub mod simulated;
mod trials;
pub mod uml;
pub mod xen;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::ids::{DiskId, LinodeId};
use crate::domain::platform::Platform;
use crate::wire::{BootSpec, GuestSpec, KernelReport, Sample, Share};

pub use trials::Trials;

/// What comes of anything that a driver does.
pub type Result<T, E = DriverError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The Linode itself is at fault or cannot run here; `public` is in words its member can use.
    #[error("{public}: {detail}")]
    Refused { public: String, detail: String },
    /// The host failed; trying again may help.
    #[error("{0}")]
    Host(String),
}

/// A guest that is about to start: its identity and where its disks are now.
pub struct Guest<'a> {
    pub linode: LinodeId,
    pub spec: &'a GuestSpec,
    pub boot: &'a BootSpec,
    /// The file or block device of every disk of `spec`.
    pub disks: &'a [(DiskId, PathBuf)],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestState {
    /// `id` names this very run of the guest (a pid with its start time, or a domain id): it changes on every start.
    Running {
        id: String,
        since: DateTime<Utc>,
    },
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was not running to begin with.
    WasAbsent,
    Cleanly,
    ByForce,
}

/// What a running guest has used, and in which run.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// As in [`GuestState::Running`]; the counters are of this run and no other.
    pub run: String,
    pub sample: Sample,
}

pub trait Driver: Send + Sync {
    fn platform(&self) -> Platform;

    /// Kernels this host can boot.
    fn kernels(&self) -> Vec<KernelReport>;

    /// Memory for guests, in MiB.
    fn memory_total_mb(&self) -> i64;

    /// Could this guest run here? Changes nothing.
    fn preflight(&self, linode: LinodeId, spec: &GuestSpec, boot: &BootSpec) -> Result<()>;

    /// Does a guest that boots this profile here run its boot helpers? Without the provider's initramfs for its kernel it
    /// boots, and its files keep the names they have.
    fn runs_helpers(&self, _boot: &BootSpec) -> bool {
        true
    }

    /// Starts the guest and returns once it exists. It outlives the agent. Starting one that runs is an error.
    fn start(&self, guest: &Guest<'_>) -> Result<()>;

    /// Asks for a clean shutdown, uses force after `limit`, and returns only when the guest is **confirmed absent**
    /// (an error otherwise: never a guess). Idempotent.
    fn stop(&self, linode: LinodeId, limit: Duration) -> Result<Stopped>;

    /// What is true now, found out from the host and not from memory: guests are found again after an agent's restart.
    fn state(&self, linode: LinodeId) -> Result<GuestState>;

    /// [`Driver::state`] of many, for reports: what has to be asked of the host as a whole is asked once for all of them.
    fn states(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Result<GuestState>> {
        let each = linodes.iter().map(|linode| (*linode, self.state(*linode)));
        each.collect()
    }

    /// Every guest of this agent's that exists on the host now.
    fn guests(&self) -> Result<Vec<LinodeId>>;

    /// Tells the network where the Linode's addresses are now (gratuitous ARP, unsolicited neighbour advertisement).
    fn announce(&self, linode: LinodeId, spec: &GuestSpec) -> Result<()>;

    /// Takes the Linode's network port away, so that nothing answers on its addresses from here. Idempotent.
    fn withdraw(&self, linode: LinodeId) -> Result<()>;

    /// Where this host reaches an address of its guest; `None`: nobody is there.
    fn reach(&self, _linode: LinodeId, at: SocketAddr) -> Option<SocketAddr> {
        Some(at)
    }

    /// The last `lines` lines of the guest's console, made printable.
    fn console_tail(&self, linode: LinodeId, lines: usize) -> String;

    /// What these guests have used, those of them that run. The host is looked at once for all of them.
    fn samples(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Counted>;

    /// Called every second, for what can only be found out by looking often.
    fn sample_waits(&self) {}

    /// What these guests are given now, those of them that run; none where the platform has no such setting. The host is
    /// asked once for all of them.
    fn shares(&self, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Share>;

    /// Sets it on the running guest. Idempotent; does nothing where the platform has no such setting.
    fn set_share(&self, linode: LinodeId, share: Share) -> Result<()>;

    /// Puts right what somebody else undid of what keeps the guests that run apart from each other. Gives back what was or
    /// is wrong with it, in words for staff.
    fn maintain(&self) -> Vec<String> {
        Vec::new()
    }

    /// Looks at what this platform needs of the host, for `xenbeta-agent check`: what was looked at, and what was found
    /// or is wrong. Changes nothing.
    fn examine(&self) -> Vec<(&'static str, Result<String, String>)> {
        Vec::new()
    }

    /// The guests of trials on this host, which are none of this driver's; `None`: it has none.
    fn trials(&self) -> Option<Trials> {
        None
    }

    /// Forgets what is kept of a guest that is gone: its folder, its console. Done to those of trials only.
    fn forget(&self, _linode: LinodeId) -> Result<()> {
        Ok(())
    }
}
