//! What there is of the guest and its disks, before anything is done.

use super::work::{Result, StepError, Work};
use crate::agent::driver::GuestState;
use crate::agent::ledger::Entry;

pub(super) fn is_running(work: &Work<'_>) -> Result<bool> {
    let state = work.host.driver.state(work.locked.linode())?;
    Ok(matches!(state, GuestState::Running { .. }))
}

/// The generation in use here; an error if this host has none of the Linode's disks.
pub(super) fn generation(entry: &Entry) -> Result<i64> {
    entry.generation.ok_or_else(|| StepError::Impossible {
        public: "The Linode's disks are not on this host".into(),
        detail: format!(
            "Linode {}: the ledger names no generation of disks",
            entry.linode
        ),
    })
}
