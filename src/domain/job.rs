//! What agents are asked to do, and how long a job waits that is to be tried again.

use crate::string_enum;

string_enum! {
    /// One step of work on one host.
    pub enum JobKind {
        /// Take over knowledge of a Linode that already lives on this host (after an import).
        Adopt = "adopt",
        Boot = "boot", Reboot = "reboot", Shutdown = "shutdown",
        /// Read the last lines of the guest's console.
        Console = "console",
        /// Ask whether the Linode's checks answer.
        Check = "check",
        PreflightSource = "preflight_source", PreflightDestination = "preflight_destination",
        Reserve = "reserve", OpenTransfer = "open_transfer", WarmCopy = "warm_copy", StopSeal = "stop_seal",
        FinalCopy = "final_copy",
        /// Accept ownership under a new epoch and boot, at the destination or, after a roll-back, at the source.
        Start = "start",
        CloseTransfer = "close_transfer",
        /// Drop what was reserved and copied for a migration that will not happen.
        Release = "release",
        Purge = "purge",
        /// Show that the Linode's disks are whole at their owner, before others are deleted.
        Prove = "prove",
        /// Boot a throw-away clone of a move's copies beside their Linode, to see whether it comes up.
        Trial = "trial",
    }
}
impl JobKind {
    /// No steps of a move. Some tidy up after one, and go on when it is cancelled or tried again; trials and checks are ended by
    /// themselves, and their move waits for none.
    pub const NO_STEPS: [Self; 6] = [
        Self::CloseTransfer,
        Self::Release,
        Self::Purge,
        Self::Prove,
        Self::Trial,
        Self::Check,
    ];

    /// What staff may hold back: the others bring a Linode that a move has stopped up again, and never wait. (Nor does the
    /// stop at a destination that could not start it, which is of a kind with the stop at the source.)
    pub fn may_wait(self) -> bool {
        !Self::NEVER_WAIT.contains(&self)
    }

    pub const NEVER_WAIT: [Self; 2] = [Self::FinalCopy, Self::Start];
}
string_enum! {
    pub enum JobState { Pending = "pending", Leased = "leased", Succeeded = "succeeded", Failed = "failed", Cancelled = "cancelled" }
}

/// Does it wait for an agent, or is one at work on it?
pub fn is_open(state: JobState) -> bool {
    match state {
        JobState::Pending | JobState::Leased => true,
        JobState::Succeeded | JobState::Failed | JobState::Cancelled => false,
    }
}

/// No job pauses for longer.
pub const LONGEST_PAUSE_S: i64 = 900;

/// The pause after so many failures or losses: 1, 2, 4, 8, 16 seconds.
pub fn pause_s(tries: i32) -> i64 {
    1_i64 << tries.clamp(1, 5).saturating_sub(1)
}
