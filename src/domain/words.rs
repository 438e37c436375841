//! The closed sets of words shared by pages, database, agents and API.

use crate::words;

words! {
    /// What a host runs its Linodes with.
    pub enum Platform { Uml = "uml", Xen = "xen" }
}
words! {
    /// What a host is for: where Linodes come from, where the beta runs, where they go afterwards.
    pub enum HostRole { Source = "source", Beta = "beta", Production = "production" }
}
words! {
    /// `draining` takes no new Linodes; `disabled` takes no jobs at all; `quarantined` was taken over and may not come back.
    pub enum HostState { Enabled = "enabled", Draining = "draining", Disabled = "disabled", Quarantined = "quarantined" }
}
impl HostState {
    /// States in which a host does its work, and should be heard of.
    pub const TAKING_PART: [Self; 2] = [Self::Enabled, Self::Draining];
}
words! {
    pub enum KernelFamily { V24 = "2.4", V26 = "2.6" }
}
words! {
    pub enum UserRole { Member = "member", Staff = "staff" }
}
words! {
    /// What an API token is good for.
    pub enum TokenScope { ReadOnly = "read_only", ReadWrite = "read_write" }
}
words! {
    pub enum IpKind { Public = "public", Private = "private" }
}
words! {
    /// How the guest's init is asked to come up.
    pub enum RunLevel { Default = "default", Single = "single", BinBash = "binbash" }
}
words! {
    /// What the owner host last said of the Linode, or what it was last asked to do.
    pub enum LinodeStatus {
        Running = "running", Offline = "offline", Booting = "booting", Rebooting = "rebooting",
        ShuttingDown = "shutting_down", Provisioning = "provisioning",
    }
}
words! {
    pub enum ProgrammeState { Open = "open", Closed = "closed", Ended = "ended" }
}
words! {
    /// `graduated`: it runs on a production host; `closed`: the beta ended before it moved.
    pub enum RegistrationState {
        Requested = "requested", Approved = "approved", Declined = "declined", Withdrawn = "withdrawn",
        Graduated = "graduated", Closed = "closed",
    }
}
words! {
    pub enum MigrationKind { Beta = "beta", Graduation = "graduation", Return = "return", Evacuation = "evacuation" }
}
words! {
    /// See `docs/ARCHITECTURE.md` for the picture; `domain::migration` has the transitions.
    pub enum MigrationState {
        Offered = "offered", Queued = "queued", Preparing = "preparing", Copying = "copying", Switching = "switching",
        Finished = "finished", Confirmed = "confirmed", Returning = "returning", Returned = "returned",
        Expired = "expired", Cancelled = "cancelled", Failed = "failed",
    }
}
words! {
    /// One step of work on one host.
    pub enum JobKind {
        /// Take over knowledge of a Linode that already lives on this host (after an import).
        Adopt = "adopt",
        Boot = "boot", Reboot = "reboot", Shutdown = "shutdown",
        /// Read the last lines of the guest's console.
        Console = "console",
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
    }
}
impl JobKind {
    /// No steps of a move: they tidy up after one, and go on when it is cancelled or tried again.
    pub const TIDYING: [Self; 4] = [Self::CloseTransfer, Self::Release, Self::Purge, Self::Prove];
}
words! {
    pub enum JobState { Pending = "pending", Leased = "leased", Succeeded = "succeeded", Failed = "failed", Cancelled = "cancelled" }
}
words! {
    /// What takes two staff.
    pub enum JointKind {
        /// A host is dead for good: its Linodes are granted elsewhere, and it may never come back.
        Takeover = "takeover",
        /// A host is off: the recovery does not wait for its report.
        Waive = "waive",
        /// A host's ledger was not trusted, and is the right one after all.
        TrustLedger = "trust_ledger",
    }
}
words! {
    pub enum JointState { Asked = "asked", Done = "done", Withdrawn = "withdrawn" }
}
words! {
    /// Boot helpers of a config profile.
    pub enum Helper {
        /// Move `/lib/tls` out of the way, so that the guest's libc does not use NPTL's segment tricks.
        DisableTls = "disable_tls",
        Fstab = "fstab", Console = "console", Modules = "modules", UdevNet = "udev_net", UpdatedbOff = "updatedb_off",
    }
}
words! {
    /// What a mail tells. Each has its templates in `templates/mail/{word}.txt` and `.html`.
    pub enum MailKind {
        Registered = "registered", Approved = "approved", Declined = "declined", OfferReady = "offer_ready",
        OfferExpired = "offer_expired", Scheduled = "scheduled", Started = "started", Finished = "finished",
        Failed = "failed", Returned = "returned", Confirmed = "confirmed", PasswordReset = "password_reset",
        GraduationReady = "graduation_ready", Graduated = "graduated", BetaEnded = "beta_ended",
        BugOpened = "bug_opened", BugReply = "bug_reply", BugState = "bug_state", QuestionAnswered = "question_answered",
        Unscheduled = "unscheduled", TimeReminder = "time_reminder", OfferReminder = "offer_reminder",
        PasswordChanged = "password_changed", TokenMade = "token_made",
        /// Staff move it off its host, or have called that off.
        Evacuation = "evacuation",
        StaffNeeded = "staff_needed",
    }
}
words! {
    /// A section of the announcement, which staff write. Its word is in its address and its default text's file name.
    pub enum TextSection {
        Brings = "brings", TakePart = "take-part", Tested = "tested", Ends = "ends", Bugs = "bugs", Kernels = "kernels",
        Threads = "nptl", NotYet = "not-yet",
    }
}
