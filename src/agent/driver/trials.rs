//! Guests of trials: throw-away clones that boot beside everything else, cut off from every network.
//!
//! They are another driver's, of the same platform, with folders, names and users of its own, and that driver is to be had only
//! through this type: nobody who asks for a Linode's guest is told of its trial, and nobody who ends a trial can end the Linode.

use std::time::Duration;

use super::{Driver, DriverError, Guest, GuestState, Result};
use crate::domain::ids::LinodeId;
use crate::wire::{BootSpec, GuestSpec};

/// Where a driver keeps its trials, in its own folder.
pub(super) const FOLDER: &str = "trials";

pub struct Trials(Box<dyn Driver>);

impl Trials {
    /// Of a driver that gives its guests no network, and shares no name with the one for Linodes.
    pub fn of(driver: impl Driver + 'static) -> Self {
        Self(Box::new(driver))
    }

    /// Could this clone run here? Changes nothing.
    pub fn preflight(&self, linode: LinodeId, spec: &GuestSpec, boot: &BootSpec) -> Result<()> {
        self.0.preflight(linode, spec, boot)
    }

    pub fn start(&self, clone: &Guest<'_>) -> Result<()> {
        self.0.start(clone)
    }

    pub fn runs(&self, linode: LinodeId) -> Result<bool> {
        Ok(matches!(self.0.state(linode)?, GuestState::Running { .. }))
    }

    pub fn console(&self, linode: LinodeId, lines: usize) -> String {
        self.0.console_tail(linode, lines)
    }

    /// Every clone that exists on the host now.
    pub fn guests(&self) -> Result<Vec<LinodeId>> {
        self.0.guests()
    }

    /// At once, as it has nothing to lose, and with all that is kept of it. An error unless it is confirmed absent.
    pub fn destroy(&self, linode: LinodeId) -> Result<()> {
        self.0.stop(linode, Duration::ZERO)?;
        if self.runs(linode)? {
            return Err(DriverError::Host(format!(
                "the clone of Linode {linode} was stopped, and is still there"
            )));
        }
        self.0.forget(linode)
    }
}
