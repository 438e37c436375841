//! The `[driver]` section for `kind = "simulated"`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::domain::linode::KernelFamily;
use crate::domain::platform::Platform;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedConfig {
    /// The host's name in the witness file.
    pub host: String,
    /// Shared by all hosts simulated on this machine.
    pub witness: PathBuf,
    #[serde(default = "default_platform")]
    pub platform: Platform,
    /// A folder, shared by all hosts, with a file per IP address that says who answers there.
    pub addresses: Option<PathBuf>,
    /// The program with the `guest` command; this very program unless given.
    pub guest_program: Option<PathBuf>,
    #[serde(default = "default_memory_mb")]
    pub memory_mb: i64,
    /// How long a guest takes to shut down.
    #[serde(default = "default_stop_delay_ms")]
    pub stop_delay_ms: u64,
    #[serde(default = "default_write_every_ms")]
    pub write_every_ms: u64,
    /// Make sample disks for adopted Linodes that have none.
    #[serde(default)]
    pub provision_missing: bool,
    /// Kernels to offer; every kernel is taken for bootable if empty.
    #[serde(default)]
    pub kernels: Vec<KernelConfig>,
    /// A made-up load that guests' figures are computed from; without it, what their processes really use.
    pub load: Option<LoadConfig>,
}

/// CPUs that guests share, and what they want of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadConfig {
    pub cpus: f64,
    /// The host deals alike to all, whatever their weights.
    #[serde(default)]
    pub ignore_weights: bool,
    /// CPUs each guest wants that is not in `guests`, about: it goes up and down over half an hour.
    #[serde(default)]
    pub wants: f64,
    /// Linode → CPUs it wants, all the time.
    #[serde(default)]
    pub guests: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelConfig {
    pub id: String,
    pub label: String,
    pub family: KernelFamily,
}

fn default_platform() -> Platform {
    Platform::Uml
}
fn default_memory_mb() -> i64 {
    16 * 1024
}
fn default_stop_delay_ms() -> u64 {
    200
}
fn default_write_every_ms() -> u64 {
    100
}
