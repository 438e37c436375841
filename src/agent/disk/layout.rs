//! Names of the layouts of [`super::folders`] and [`super::files`], and the faults all stores share.

use std::io;

use super::{DiskError, DiskFault};
use crate::domain::ids::{DiskId, MigrationId};

pub(super) fn at(what: &'static str) -> impl Fn(io::Error) -> DiskError {
    move |e| DiskError::io(what, &e)
}

pub(super) fn generation(epoch: i64) -> String {
    format!("e{epoch}")
}

pub(super) fn partial(migration: MigrationId) -> String {
    format!("m{migration}.partial")
}

pub(super) fn source(migration: MigrationId) -> String {
    format!("m{migration}.source")
}

/// A trial's clones of a migration's copies.
pub(super) fn trial(migration: MigrationId) -> String {
    format!("m{migration}.trial")
}

pub(super) fn image(disk: DiskId) -> String {
    format!("{disk}.img")
}

pub(super) fn digests(disk: DiskId) -> String {
    format!("{disk}.digests")
}

/// `prefix` digits `suffix`, and nothing that `parse` would be lenient about.
pub(super) fn number(name: &str, prefix: &str, suffix: &str) -> Option<i64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

pub(super) fn is_ours(entry: &str) -> bool {
    let gone = entry.strip_suffix(".gone").unwrap_or_default();
    number(entry, "m", ".source").is_some()
        || number(gone, "e", "").is_some()
        || number(gone, "m", ".partial").is_some()
        || number(gone, "m", ".trial").is_some()
}

pub(super) fn no_room(wanted: u64, free: u64) -> DiskError {
    DiskError::new(
        DiskFault::NoSpace,
        "The new host does not have enough free disk space for this Linode. Staff can make room on it or offer another",
        format!("{wanted} bytes wanted, {free} free"),
    )
}

pub(super) fn taken(detail: &str) -> DiskError {
    DiskError::new(
        DiskFault::Refused,
        "The host's disks are not in the state this step needs",
        detail,
    )
}
