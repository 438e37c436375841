//! How much memory the host has for guests, and whether one more fits.

use std::thread;
use std::time::{Duration, Instant};

use super::find::Search;
use super::{POLL, Xen, xl};
use crate::agent::driver::DriverError;
use crate::wire::BootSpec;

/// A domain takes a little more than the memory its guest sees.
const OVERHEAD_MB: i64 = 4;
/// Xen wipes what a domain had before it gives it away again.
const WIPED: Duration = Duration::from_secs(30);

impl Xen {
    /// Memory that a guest could have now: what Xen has free, and what an earlier run of the same guest still has. The
    /// control domain is never made smaller for it.
    fn memory_free_mb(&self, search: &Search) -> Result<i64, DriverError> {
        let domains = xl::domains()?;
        let sum = |ours: bool| -> i64 {
            let guests = domains.iter().filter(|domain| domain.id != 0);
            guests
                .filter(|domain| search.is_ours(domain) == ours)
                .map(|domain| domain.memory_mb)
                .sum()
        };
        let free = xl::info()?.free_memory_mb + sum(true) - OVERHEAD_MB;
        let allowed = self.config.memory_mb.map(|total| total - sum(false));
        Ok(allowed.map_or(free, |allowed| allowed.min(free)))
    }

    pub fn check_memory(&self, search: &Search, boot: &BootSpec) -> Result<(), DriverError> {
        let free = self.memory_free_mb(search)?;
        if boot.ram_mb <= free {
            return Ok(());
        }
        Err(DriverError::Refused {
            public: format!(
                "The host has not enough free memory for the Linode's {} MB.",
                boot.ram_mb
            ),
            detail: format!("{free} MB are free"),
        })
    }

    /// After a stop the memory of the earlier run may not be wiped yet.
    pub fn wait_for_memory(&self, search: &Search, boot: &BootSpec) -> Result<(), DriverError> {
        let deadline = Instant::now() + WIPED;
        loop {
            match self.check_memory(search, boot) {
                Err(DriverError::Refused { .. }) if Instant::now() < deadline => {
                    thread::sleep(POLL)
                }
                outcome => return outcome,
            }
        }
    }

    /// Without a setting: what is free and what guests have. That does not change while the host runs, so it is asked once.
    pub fn memory_total(&self) -> i64 {
        if let Some(total) = self.config.memory_mb.or(self.memory_total.get().copied()) {
            return total;
        }
        let total = || -> Result<i64, DriverError> {
            let domains = xl::domains()?;
            let guests = domains.iter().filter(|domain| domain.id != 0);
            let used: i64 = guests.map(|domain| domain.memory_mb).sum();
            Ok(xl::info()?.free_memory_mb + used)
        };
        match total() {
            Ok(total) => *self.memory_total.get_or_init(|| total),
            Err(error) => {
                tracing::warn!(%error, "the host's memory is not known");
                0
            }
        }
    }
}
