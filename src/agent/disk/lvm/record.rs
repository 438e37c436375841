//! Which volume a disk of a generation is: a small file in the generation's folder. A volume's name means nothing by
//! itself; a record that names it (by its UUID) makes it somebody's disk.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use super::group::TAG;
use super::volume::{Volume, refused};
use crate::agent::absent::if_there;
use crate::agent::disk::dir::Dir;
use crate::agent::disk::layout::{at, number};
use crate::agent::disk::{DiskError, DiskFault, Result};
use crate::domain::ids::{DiskId, LinodeId, MigrationId};

/// A record is a line; anything longer is not one.
const MAX: u64 = 4096;

/// `<disk>.vol`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub name: String,
    pub uuid: String,
    /// As the guest is meant to see it; the volume ends at an extent's boundary and may be longer.
    pub size: u64,
    /// Made as it came out of the group, for a copy that starts from nothing: what it holds says nothing.
    pub blank: bool,
}

/// `<disk>.making`: written before the volume is made, so that a kill in between leaves nothing that is nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intent {
    pub name: String,
    pub migration: MigrationId,
}

impl Intent {
    /// Is this the volume that was then made? The name alone may by now be another migration's.
    pub(super) fn is(&self, linode: LinodeId, volume: &Volume) -> bool {
        let tags = tags(linode, self.migration);
        volume.name == self.name && tags.iter().all(|tag| volume.tags.contains(tag))
    }
}

fn record_name(disk: DiskId) -> String {
    format!("{disk}.vol")
}

fn intent_name(disk: DiskId) -> String {
    format!("{disk}.making")
}

pub(super) fn read(folder: &Dir, disk: DiskId) -> Result<Option<Record>> {
    parse(folder, &record_name(disk))
}

/// The disk's record; none is an error.
pub(super) fn of(folder: &Dir, disk: DiskId) -> Result<Record> {
    read(folder, disk)?.ok_or_else(|| {
        DiskError::new(
            DiskFault::Missing,
            "A disk of this Linode was not found on its host",
            format!("no record of disk {disk}"),
        )
    })
}

/// From now on the volume is this folder's; what was intended is done.
pub(super) fn write(folder: &Dir, disk: DiskId, record: &Record) -> Result<()> {
    put(folder, &record_name(disk), record)?;
    forget_intent(folder, disk)
}

pub(super) fn forget_intent(folder: &Dir, disk: DiskId) -> Result<()> {
    folder
        .remove(&intent_name(disk))
        .and_then(|()| folder.sync())
        .map_err(at("write a disk's record"))
}

pub(super) fn read_intent(folder: &Dir, disk: DiskId) -> Result<Option<Intent>> {
    parse(folder, &intent_name(disk))
}

pub(super) fn write_intent(folder: &Dir, disk: DiskId, intent: &Intent) -> Result<()> {
    put(folder, &intent_name(disk), intent)
}

pub(super) fn forget(folder: &Dir, disk: DiskId) -> Result<()> {
    folder
        .remove(&record_name(disk))
        .and_then(|()| folder.sync())
        .map_err(at("drop a disk's record"))
}

/// Everything a folder names.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub records: Vec<(DiskId, Record)>,
    pub intents: Vec<Intent>,
}

impl Named {
    pub(super) fn in_folder(folder: &Dir) -> Result<Self> {
        let mut named = Self::default();
        for entry in folder.names().map_err(at("list a generation"))? {
            if let Some(disk) = number(&entry, "", ".vol").map(DiskId) {
                named.records.extend(read(folder, disk)?.map(|r| (disk, r)));
            } else if let Some(disk) = number(&entry, "", ".making").map(DiskId) {
                named.intents.extend(read_intent(folder, disk)?);
            }
        }
        Ok(named)
    }

    pub(super) fn names(&self, linode: LinodeId, volume: &Volume) -> bool {
        self.records.iter().any(|(_, r)| r.uuid == volume.uuid)
            || self.intents.iter().any(|i| i.is(linode, volume))
    }
}

/// `xb-<linode>-<disk>-<n>` with an `n` that no volume has.
pub(super) fn free_name(linode: LinodeId, disk: DiskId, volumes: &[Volume]) -> String {
    free(&format!("xb-{linode}-{disk}-"), volumes)
}

/// Of a trial's snapshot, so that whoever reads a list of volumes takes it for no disk.
pub(super) fn free_snapshot_name(linode: LinodeId, disk: DiskId, volumes: &[Volume]) -> String {
    free(&format!("xbt-{linode}-{disk}-"), volumes)
}

fn free(prefix: &str, volumes: &[Volume]) -> String {
    let taken = volumes
        .iter()
        .filter_map(|volume| number(&volume.name, prefix, ""));
    let next = taken.max().unwrap_or(0).saturating_add(1);
    format!("{prefix}{next}")
}

pub(super) fn linode_tag(linode: LinodeId) -> String {
    format!("{TAG}.linode={linode}")
}

/// What is on a volume made for a migration. The last one stays for good: it says where a disk came from.
pub(super) fn tags(linode: LinodeId, migration: MigrationId) -> Vec<String> {
    vec![
        TAG.into(),
        linode_tag(linode),
        format!("{TAG}.migration={migration}"),
    ]
}

fn parse<T: serde::de::DeserializeOwned>(folder: &Dir, name: &str) -> Result<Option<T>> {
    let opened = if_there(folder.read_only(name)).map_err(at("open a disk's record"))?;
    let Some(file) = opened else {
        return Ok(None);
    };
    let mut text = String::new();
    file.take(MAX)
        .read_to_string(&mut text)
        .map_err(at("read a disk's record"))?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| refused(format!("{name} does not parse: {e}")))
}

fn put<T: Serialize>(folder: &Dir, name: &str, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec(value).map_err(|e| refused(e.to_string()))?;
    text.push(b'\n');
    let fresh = format!("{name}.new");
    let mut file = folder
        .create_anew(&fresh)
        .map_err(at("write a disk's record"))?;
    file.write_all(&text)
        .and_then(|()| file.sync_all())
        .and_then(|()| folder.rename(&fresh, name))
        .and_then(|()| folder.sync())
        .map_err(at("write a disk's record"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str) -> Volume {
        Volume {
            name: name.into(),
            uuid: String::new(),
            bytes: 0,
            tags: vec![],
            writable: true,
        }
    }

    #[test]
    fn a_free_name_is_above_all_that_are_taken() {
        let (linode, disk) = (LinodeId(7), DiskId(2));
        assert_eq!(free_name(linode, disk, &[]), "xb-7-2-1");
        let volumes = [
            "xb-7-2-3",
            "xb-7-2-1",
            "xb-7-21-9",
            "xb-77-2-9",
            "xb-7-2-x",
            "other",
        ];
        let volumes: Vec<_> = volumes.into_iter().map(volume).collect();
        assert_eq!(free_name(linode, disk, &volumes), "xb-7-2-4");
        assert_eq!(free_snapshot_name(linode, disk, &volumes), "xbt-7-2-1");
    }

    #[test]
    fn tags_say_whose_a_volume_is() {
        assert_eq!(
            tags(LinodeId(7), MigrationId(5)),
            ["xb", "xb.linode=7", "xb.migration=5"]
        );
    }
}
