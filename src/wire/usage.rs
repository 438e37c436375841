//! What guests used.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Share;
use crate::domain::ids::LinodeId;

/// Counters since the guest started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When they were read, by the host's clock: shares are differences over time.
    #[serde(default)]
    pub at: DateTime<Utc>,
    /// CPU time used by all its vCPUs together.
    pub cpu_ms: u64,
    pub disk_read_bytes: u64,
    pub disk_write_bytes: u64,
    #[serde(default)]
    pub disk_read_ops: u64,
    #[serde(default)]
    pub disk_write_ops: u64,
    pub net_in_bytes: u64,
    pub net_out_bytes: u64,
    /// Time it could have run and was not let, all vCPUs together; `None` where the platform cannot tell.
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

/// How often agents look what guests used.
pub const SAMPLE_S: u32 = 10;
/// How many rounds one call carries at most; what an agent kept while the portal was away goes in several.
pub const MOST_ROUNDS: usize = 30;

/// What the guests of a host used since the look before, oldest round first. A round sent twice counts once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    pub rounds: Vec<Round>,
}

/// One look at all guests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// When the interval ended, by the host's clock.
    pub at: DateTime<Utc>,
    pub guests: Vec<Used>,
}

/// What one guest used in the interval: differences of counters of the same run, so nothing of a restart or a move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Used {
    pub linode: LinodeId,
    /// The interval's length: counters are read one guest after the other.
    pub ms: u64,
    pub cpu_ms: u64,
    /// As [`Sample::wait_ms`].
    #[serde(default)]
    pub wait_ms: Option<u64>,
    #[serde(default)]
    pub disk_read_bytes: u64,
    #[serde(default)]
    pub disk_write_bytes: u64,
    #[serde(default)]
    pub disk_read_ops: u64,
    #[serde(default)]
    pub disk_write_ops: u64,
    #[serde(default)]
    pub net_in_bytes: u64,
    #[serde(default)]
    pub net_out_bytes: u64,
    /// What was in force, where the platform can say.
    #[serde(default)]
    pub share: Option<Share>,
}
