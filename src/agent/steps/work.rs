//! What every step works with, and what it can fail with.

use crate::agent::control::{Halt, JobControl};
use crate::agent::disk::DiskError;
use crate::agent::driver::DriverError;
use crate::agent::host::{Host, Locked};
use crate::agent::ledger::error::LedgerError;
use crate::agent::ledger::rules::{Marks, Refusal};
use crate::agent::transfer::TransferError;
use crate::domain::ids::DiskId;
use crate::domain::text::CONSOLE_LINES;
use crate::wire::GuestSpec;

/// What comes of a step.
pub type Result<T, E = StepError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The order cannot be carried out as it is; `public` is in words a customer can use.
    #[error("{public}: {detail}")]
    Impossible { public: String, detail: String },
    /// No failure of the step: this host and the portal remember different things.
    #[error("the Linode already lives on this host: granted {}, sealed {}", marks.granted, marks.sealed)]
    Owner { marks: Marks },
    /// Whether the guest runs cannot be found out now. Nothing is done to it; the step is tried again.
    #[error("not known whether the guest runs: {detail}")]
    Unsure { detail: String },
    #[error(transparent)]
    Halted(#[from] Halt),
}

/// A job at work: what a step may use.
pub struct Work<'a> {
    pub host: &'a Host,
    pub control: &'a JobControl,
    /// Proof that nobody else works on this Linode.
    pub locked: &'a Locked<'a>,
}

impl Work<'_> {
    pub fn console(&self) -> String {
        self.host
            .driver
            .console_tail(self.locked.linode(), CONSOLE_LINES)
    }

    /// Where the driver finds the disks of a generation.
    pub fn paths(&self, generation: i64, guest: &GuestSpec) -> Vec<(DiskId, std::path::PathBuf)> {
        let linode = self.locked.linode();
        let path = |disk: DiskId| (disk, self.host.disks.path(linode, generation, disk));
        guest.disks.iter().map(|disk| path(disk.id)).collect()
    }
}
