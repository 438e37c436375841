//! What an order asks of a host.

use serde::{Deserialize, Serialize};

use super::{BootSpec, GuestSpec, Peer};
use crate::domain::ids::MigrationId;
use crate::domain::linode::check::Check;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// The Linode already lives here (import): record `granted = epoch`, find its disks, find it running or not.
    /// Refused if the ledger knows a different epoch.
    Adopt {
        epoch: i64,
        guest: GuestSpec,
        boot: Option<BootSpec>,
    },
    Boot {
        epoch: i64,
        guest: GuestSpec,
        boot: BootSpec,
    },
    Reboot {
        epoch: i64,
        guest: GuestSpec,
        boot: BootSpec,
        stop_limit_s: u32,
    },
    Shutdown {
        epoch: i64,
        stop_limit_s: u32,
    },
    /// The last lines of the guest's console, running or not.
    Console {
        epoch: i64,
        lines: u32,
    },
    /// At the owner: does each of these answer now? Each is asked once, at the Linode's own addresses and nowhere else. Only
    /// for agents of protocol 3 and newer.
    Check {
        epoch: i64,
        guest: GuestSpec,
        checks: Vec<Check>,
    },
    /// At the source: the disks are whole, the ledger agrees with `epoch`.
    PreflightSource {
        epoch: i64,
        guest: GuestSpec,
        /// Asked once, at home.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checks: Vec<Check>,
    },
    /// At the destination: space, memory, kernels, addresses, names.
    PreflightDestination {
        migration: MigrationId,
        guest: GuestSpec,
        boots: Vec<BootSpec>,
    },
    /// Make `.partial` volumes for the migration. `base_epoch`: this host still has the Linode's sealed disks of that
    /// epoch (the way back); start from a copy of them.
    Reserve {
        migration: MigrationId,
        guest: GuestSpec,
        base_epoch: Option<i64>,
    },
    /// At the source: let the destination read this Linode's disks. Kept until [`Task::CloseTransfer`].
    OpenTransfer {
        migration: MigrationId,
        epoch: i64,
        guest: GuestSpec,
        peer_fingerprint: String,
        token: String,
    },
    /// At the destination: passes over the live disks until the rest is small or passes stop paying.
    WarmCopy {
        migration: MigrationId,
        guest: GuestSpec,
        source: Peer,
        max_passes: u32,
    },
    /// At the source: stop gracefully, by force after the limit; confirm absence; fsync `sealed = epoch`.
    StopSeal {
        migration: MigrationId,
        epoch: i64,
        stop_limit_s: u32,
    },
    /// At the destination: what differs from the sealed disks, re-read, compared, renamed.
    FinalCopy {
        migration: MigrationId,
        epoch: i64,
        guest: GuestSpec,
        source: Peer,
    },
    /// Accept `epoch`, then boot (`boot: None`: own it, stay off) and watch that it stays up for `watch_s`.
    /// `migration` names the copied disks to use; `None` (a roll-back at the source): the disks already here.
    Start {
        epoch: i64,
        guest: GuestSpec,
        boot: Option<BootSpec>,
        migration: Option<MigrationId>,
        watch_s: u32,
    },
    CloseTransfer {
        migration: MigrationId,
    },
    /// Drop the migration's copies, `.partial` or whole; refused once `epoch` (what they would have run under) was granted here.
    Release {
        migration: MigrationId,
        epoch: i64,
    },
    /// Delete the sealed disks. Refused unless sealed >= epoch >= granted and the Linode is not running here; or, where
    /// the Linode lives here again, just the disks of the earlier stay sealed under exactly this epoch.
    Purge {
        epoch: i64,
    },
    /// At the owner, before old disks elsewhere are deleted: these disks are here, whole, of this size and readable; does
    /// the Linode run? Changes nothing. Only for agents of protocol 2 and newer.
    Prove {
        epoch: i64,
        guest: GuestSpec,
    },
    /// At the destination of a move that is in step: a throw-away clone of its copies boots, without any network, runs for
    /// `limit_s` at the most, and is destroyed. It owns nothing, and neither the copies nor the ledger's marks are touched.
    /// Only for agents of protocol 3 and newer.
    Trial {
        migration: MigrationId,
        guest: GuestSpec,
        boot: BootSpec,
        limit_s: u32,
    },
}

impl Task {
    /// Does another host, another generation of disks or none at all count afterwards?
    pub fn changes_ownership(&self) -> bool {
        match self {
            Self::Adopt { .. }
            | Self::StopSeal { .. }
            | Self::FinalCopy { .. }
            | Self::Start { .. }
            | Self::Release { .. }
            | Self::Purge { .. } => true,
            // These act under an epoch that the ledger has, or make copies that nothing runs from.
            Self::Boot { .. }
            | Self::Reboot { .. }
            | Self::Shutdown { .. }
            | Self::Console { .. }
            | Self::Check { .. }
            | Self::PreflightSource { .. }
            | Self::PreflightDestination { .. }
            | Self::Reserve { .. }
            | Self::OpenTransfer { .. }
            | Self::WarmCopy { .. }
            | Self::CloseTransfer { .. }
            | Self::Prove { .. }
            | Self::Trial { .. } => false,
        }
    }

    /// Does an agent that was started anew go on with it unasked? Copying takes nothing from anybody, and may be what a
    /// stopped Linode waits for.
    pub fn goes_on_unasked(&self) -> bool {
        matches!(self, Self::WarmCopy { .. } | Self::FinalCopy { .. })
    }
}
