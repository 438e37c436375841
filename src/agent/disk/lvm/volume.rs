//! A logical volume, as LVM tells of it.

use crate::agent::disk::{DiskError, DiskFault};

/// The group's room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extents {
    /// Bytes of one.
    pub size: u64,
    pub total: u64,
    pub free: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    /// As LVM writes it, with dashes.
    pub uuid: String,
    pub bytes: u64,
    pub tags: Vec<String>,
    pub writable: bool,
}

pub fn refused(detail: impl Into<String>) -> DiskError {
    DiskError::new(
        DiskFault::Refused,
        "The host's disks are not in the state this step needs",
        detail,
    )
}
