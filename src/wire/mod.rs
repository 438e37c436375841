//! What portal and agent say to each other: JSON over HTTP, under `/agent/v1`. Shapes only, no behaviour.
//!
//! | call | body → answer |
//! | --- | --- |
//! | `POST /agent/v1/enrol` | [`Enrol`] → [`Enrolled`] (no credential yet; the one-use token is in the body) |
//! | `POST /agent/v1/poll` | [`Poll`] → [`PollAnswer`]; held open up to `wait_s` |
//! | `POST /agent/v1/report` | [`Inventory`] → [`Reported`]; at once, also while a poll is open |
//! | `POST /agent/v1/samples` | [`Samples`] → [`Reported`]; what guests used, every [`SAMPLE_S`] seconds |
//! | `POST /agent/v1/jobs/{id}/renew` | [`Renew`] → [`Renewed`] |
//! | `POST /agent/v1/jobs/{id}/finish` | [`Finish`] → [`Finished`] |
//! | `POST /agent/v1/transfers/{migration}/digests` | [`SealedDigests`] → `{}` |
//! | `POST /agent/v1/credential/rotate` | `{}` → [`Rotated`]; old and new both work until the new one is first used |
//!
//! All but `enrol` carry `Authorization: Bearer <credential>`. Errors are `{"error": "…"}` with a 4xx or 5xx status;
//! 401 means revoked: stop asking. 409 from `renew` or `finish` means stale: drop the job, do not act on it again.
//! Unknown fields are ignored by both ends; a field is never given a new meaning, a new call gets a new path.

mod marks;
mod task;
mod usage;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{DiskId, HostId, IpId, JobId, LinodeId};
use crate::domain::linode::check::Check;
use crate::domain::linode::{Helper, IpKind, KernelFamily, RunLevel};
use crate::domain::platform::Platform;
use crate::domain::trial::TrialEnd;

pub use marks::{DiskProof, LedgerMark, Marked, PortalMark};
pub use task::Task;
pub use usage::{MOST_ROUNDS, Round, SAMPLE_S, Sample, Samples, Used};

/// The version of what is said here, sent with every poll. Agents from before it was sent speak version 1.
pub const PROTOCOL: u32 = 3;

/// From this version on agents show their ledger and what they saw of the portal, and know [`Task::Prove`].
pub const SHOWS_LEDGER: u32 = 2;

/// From this version on agents know [`Task::Check`].
pub const ASKS_CHECKS: u32 = 3;
/// From this version on agents know [`Task::Trial`].
pub const KNOWS_TRIALS: u32 = 3;

fn first_protocol() -> u32 {
    1
}

/// How long an agent asks the portal to hold a poll open.
pub const POLL_WAIT_S: u32 = 25;
/// How long a lease lasts without a renewal; agents renew at least three times in it.
pub const LEASE_S: u32 = 30;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrol {
    pub token: String,
    pub platform: Platform,
    pub agent_version: String,
    /// SHA-256 of the agent's self-signed transfer certificate (DER), 64 lower-case hex digits.
    pub fingerprint: String,
    /// Where other agents reach this one's transfer listener, `address:port`.
    pub transfer_address: String,
    /// The ledger that the host will act by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerMark>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolled {
    pub host: HostId,
    pub name: String,
    /// The agent's credential; the portal keeps only its hash.
    pub credential: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rotated {
    pub credential: String,
}

/// One poll. `held` are the jobs this agent has taken and not yet finished: a job leased to this host that is not
/// among them was lost on the way and is given again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Poll {
    /// [`PROTOCOL`] of the agent.
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerMark>,
    /// The highest mark of the portal that this agent has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<PortalMark>,
    pub wait_s: u32,
    pub held: Vec<JobId>,
    /// How many more jobs the agent can take now; 0 only reports.
    pub free_slots: u32,
    pub inventory: Inventory,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PollAnswer {
    /// As of the order, if there is one. An agent that has seen a higher one takes no order that changes ownership.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal: Option<PortalMark>,
    pub order: Option<Order>,
    /// The host's cap on copying in MB/s (10^6 bytes); `None` is no cap. Applies to running copies too.
    pub cap_mb_s: Option<u32>,
    /// Shares that differ from what this poll reported: to be set on the running guests, now.
    #[serde(default)]
    pub shares: Vec<(LinodeId, Share)>,
}

/// The answer to a report between polls.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Reported {
    /// As [`PollAnswer::shares`].
    #[serde(default)]
    pub shares: Vec<(LinodeId, Share)>,
    /// Something of it came too soon after the portal itself changed that: it is not believed yet, and is to be said again.
    #[serde(default)]
    pub again: bool,
}

/// What a Linode is due of its host under contention; `domain::fairness::shares` has the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Share of the CPU relative to its neighbours' (Xen's credit2: 1 to 65535).
    pub cpu_weight: i64,
    /// Level within the best-effort class of disk I/O, 0 (first) to 7 (last).
    pub io_priority: u8,
}

/// What the host has, as the agent found it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    pub agent_version: String,
    /// The boot of the host that this was seen in; empty from agents of before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot: String,
    /// How long it took to look, in milliseconds: so much older than the report may be what it says.
    #[serde(default)]
    pub took_ms: u32,
    pub memory_total_mb: i64,
    pub disk_total_mb: i64,
    pub disk_free_mb: i64,
    /// The store can tell what changed between two passes (reflink clones), so the final pass does not read whole disks.
    pub tells_changes: bool,
    pub kernels: Vec<KernelReport>,
    pub linodes: Vec<LinodeReport>,
    /// Disk folders the ledger does not know. Reported, never touched.
    pub unknown: Vec<String>,
    /// Linodes of the ledger whose guests could not be looked at now; they are not among `linodes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsure: Vec<Marked>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelReport {
    pub id: String,
    pub label: String,
    pub family: KernelFamily,
    /// The host ships this kernel's modules for the guest's `/lib/modules`.
    #[serde(default)]
    pub modules: bool,
    /// It is booted with the provider's initramfs, so boot helpers run.
    #[serde(default)]
    pub initramfs: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinodeReport {
    pub linode: LinodeId,
    /// The newest epoch this agent accepted, and the newest it sealed; 0 is none. It may run only if granted > sealed.
    pub granted: i64,
    pub sealed: i64,
    /// The epoch that names the disks it has here; `None`: none, or an agent that does not say.
    #[serde(default)]
    pub generation: Option<i64>,
    pub running: bool,
    pub since: Option<DateTime<Utc>>,
    pub sample: Option<Sample>,
    /// What the host gives it now, where the platform can say.
    #[serde(default)]
    pub share: Option<Share>,
}

/// One job, given to one host under one lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub job: JobId,
    pub attempt: i32,
    pub lease_token: String,
    pub linode: LinodeId,
    pub task: Task,
}

/// The agent to copy from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    pub address: String,
    pub fingerprint: String,
    pub token: String,
}

/// What stays with a Linode wherever it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestSpec {
    pub label: String,
    pub ram_mb: i64,
    pub mac: String,
    pub addresses: Vec<AddressSpec>,
    pub disks: Vec<DiskSpec>,
    /// As [`Share::cpu_weight`].
    pub cpu_weight: i64,
    /// As [`Share::io_priority`].
    #[serde(default = "default_io_priority")]
    pub io_priority: u8,
}

/// What a process gets that asks for nothing: the middle of its class.
fn default_io_priority() -> u8 {
    4
}

impl GuestSpec {
    pub fn share(&self) -> Share {
        Share {
            cpu_weight: self.cpu_weight,
            io_priority: self.io_priority,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddressSpec {
    pub id: IpId,
    pub address: String,
    pub prefix: i32,
    pub gateway: Option<String>,
    pub kind: IpKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskSpec {
    pub id: DiskId,
    pub label: String,
    pub size_bytes: u64,
}

/// A config profile, as the host boots it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BootSpec {
    pub label: String,
    pub kernel: String,
    /// Device name without `/dev/` (`ubda`, `xvda`) → disk.
    pub devices: BTreeMap<String, DiskId>,
    pub root_device: String,
    pub read_only_root: bool,
    pub run_level: RunLevel,
    pub ram_mb: i64,
    pub vcpus: i32,
    pub helpers: Vec<Helper>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Renew {
    pub attempt: i32,
    pub lease_token: String,
    pub progress: Option<Progress>,
    /// Of a trial: its console so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub pass: u32,
    /// Bytes of the disks looked at so far in this pass, of how many.
    pub done_bytes: u64,
    pub total_bytes: u64,
    /// Bytes put on the wire so far in this job.
    pub sent_bytes: u64,
    pub bytes_per_s: u64,
    /// Bytes that this pass will put on the wire still, by what it did so far. Older agents do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_bytes: Option<u64>,
    /// Bytes of the copy that were read once more, as they are while nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_bytes: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Renewed {
    /// The member or staff asked to stop: finish with [`Outcome::Cancelled`] as soon as that is safe.
    pub cancel: bool,
    pub cap_mb_s: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finish {
    pub attempt: i32,
    pub lease_token: String,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Finished {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Succeeded {
        report: Report,
    },
    /// `public` is in words a customer can use; `detail` is for staff. `retry`: the same step may succeed if tried again.
    Failed {
        retry: bool,
        public: String,
        detail: String,
        console: Option<String>,
        /// The host holds itself for the Linode's owner already, under these marks. That is no failure of the step: the
        /// portal and the host remember different things.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owns: Option<Marked>,
    },
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    Done,
    Adopted {
        running: bool,
    },
    Source {
        running: bool,
        total_bytes: u64,
        allocated_bytes: u64,
        tells_changes: bool,
        /// What each check of the order answered. Older agents ask none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checks: Vec<CheckAnswer>,
    },
    Warm {
        passes: u32,
        sent_bytes: u64,
        seconds: f64,
        rest_bytes: u64,
        /// Passes that read a live disk as it changed, because its host had no room for a clone. Older agents do not say.
        #[serde(default)]
        moving_passes: u32,
        /// How long the last pass took, in which `rest_bytes` changed. Older agents do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_pass_s: Option<f64>,
    },
    Sealed {
        epoch: i64,
        forced: bool,
        was_running: bool,
        /// Seconds from taking the order until the guest was gone and its disks were sealed. Older agents do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stopped_after_s: Option<f64>,
    },
    Copied {
        epoch: i64,
        digests: Vec<DiskDigest>,
        sent_bytes: u64,
        seconds: f64,
        /// What was written was read back past the page cache; `false`: the file system does not let it, and it was read
        /// back through the cache. Older agents do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uncached: Option<bool>,
    },
    Started {
        epoch: i64,
        running: bool,
        /// The profile asks for boot helpers, and this host has no initramfs for its kernel that would run them.
        #[serde(default)]
        helpers_skipped: bool,
        /// Seconds from taking the order until the guest had been started, which is before it was watched. Older agents do
        /// not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_after_s: Option<f64>,
        /// Of a reboot: the seconds before that, until the guest was gone. Older agents do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stopped_after_s: Option<f64>,
    },
    /// The guest did not stay up; its disks here are sealed under `epoch`, and it may be granted elsewhere.
    StartFailedSealed {
        epoch: i64,
        public: String,
        /// For staff. Older agents do not say.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
        console: String,
    },
    Stopped {
        forced: bool,
        /// Seconds from taking the order until the guest was gone. Older agents do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stopped_after_s: Option<f64>,
    },
    Console {
        text: String,
    },
    /// Answers [`Task::Check`].
    Checked {
        epoch: i64,
        answers: Vec<CheckAnswer>,
        /// The console's last lines, if one did not answer.
        console: String,
    },
    /// Answers [`Task::Prove`].
    Proof {
        epoch: i64,
        running: bool,
        disks: Vec<DiskProof>,
    },
    /// Answers [`Task::Trial`]: the clone is gone again. One that never ran is [`Outcome::Failed`].
    Tried {
        end: TrialEnd,
        /// The last of its console.
        console: String,
        /// For so long it ran.
        seconds: f64,
    },
}

/// What a check answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckAnswer {
    pub check: Check,
    /// As it should; `None`: this host could not ask.
    pub ok: Option<bool>,
    /// In words a customer can use: the status, or what kept it.
    pub said: String,
}

/// Bytes compared, sent and digested as one; the last chunk of a disk may be short. Smaller finds scattered changes more exactly
/// (1 % of 4 KiB blocks changed at random touch 15 % of 64 KiB chunks but 4 % of these), larger hashes no faster: BLAKE3 works on
/// 16 lanes of 1 KiB at a time.
pub const CHUNK: usize = 16 * 1024;

/// The root digest of one disk: BLAKE3 over its chunks' BLAKE3 digests in order, 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskDigest {
    pub disk: DiskId,
    pub size_bytes: u64,
    pub root: String,
}

/// The source's own account of its sealed disks, sent when it has served the final pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SealedDigests {
    pub epoch: i64,
    pub digests: Vec<DiskDigest>,
}
