//! What the jailer is told, and what things are called in the jail.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::ids::DiskId;

/// Paths in the jail.
pub mod inside {
    /// The guest's leave to run: a link to `KERNEL`, in a folder of the host.
    pub const LEAVE: &str = "/boot/linux";
    pub const BOOT: &str = "/boot";
    pub const KERNEL: &str = "/kernel";
    pub const INITRAMFS: &str = "/initramfs";
    pub const PRELOAD: &str = "/preload.so";
    pub const DISKS: &str = "/disks";
    /// Where UML keeps its control socket.
    pub const UML_DIR: &str = "/u";
}

/// What the jailer is told, in a file that only root reads.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The guest's user and group.
    pub uid: u32,
    /// An empty folder, on which the guest's root is mounted (in the guest's namespace, not in the host's).
    pub root: PathBuf,
    /// The folder with the guest's leave to run.
    pub boot: PathBuf,
    pub kernel: PathBuf,
    pub initramfs: Option<PathBuf>,
    pub preload: PathBuf,
    /// What the kernel is linked to, at the same paths inside.
    pub libraries: Vec<PathBuf>,
    pub disks: Vec<(DiskId, PathBuf)>,
    /// `None`: the guest has no network.
    pub tap: Option<String>,
    pub ram_mb: i64,
    pub console: PathBuf,
    pub console_earlier: PathBuf,
    /// How long a console may become.
    pub console_bytes: u64,
    /// UML's arguments.
    pub arguments: Vec<String>,
}

/// The path of a disk in the jail.
pub fn disk(disk: DiskId) -> PathBuf {
    Path::new(inside::DISKS).join(disk.to_string())
}

/// What an error of the jail's making is about.
pub(super) fn doing<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> io::Error {
    move |error| io::Error::other(format!("the jail's {what}: {error}"))
}
