//! Volumes that were there before the agent become a Linode's disks.

use super::group::TAG;
use super::record::{self, Record};
use super::trials::is_snapshot;
use super::{LvmStore, refused};
use crate::agent::disk::layout::{at, generation, number, taken};
use crate::agent::disk::{DiskError, DiskFault, Result};
use crate::domain::ids::{DiskId, LinodeId};

/// A volume that is a Linode's disk. `size`: what the guest is meant to see of it, all of it unless given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    pub disk: DiskId,
    pub volume: String,
    pub size: Option<u64>,
}

impl std::str::FromStr for Adopted {
    type Err = String;

    /// `<disk>=<volume>[:<bytes>]`
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not <disk>=<volume>[:<bytes>]");
        let (disk, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (volume, size) = match rest.split_once(':') {
            Some((volume, size)) => (volume, Some(size.parse().map_err(|_| wrong())?)),
            None => (rest, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "+_.-".contains(c);
        if volume.is_empty() || volume.starts_with('-') || !volume.chars().all(plain) {
            return Err(wrong());
        }
        Ok(Self {
            disk: DiskId(disk.parse().map_err(|_| wrong())?),
            volume: volume.into(),
            size,
        })
    }
}

impl LvmStore {
    /// Makes these volumes generation `epoch` of a Linode that has none, and tags them. Their content is left alone.
    /// For whoever holds the state folder's lock: no agent may make volumes or generations beside it.
    pub fn adopt(&self, linode: LinodeId, epoch: i64, disks: &[Adopted]) -> Result<()> {
        let mut records = Vec::new();
        for disk in disks {
            let record = self.adoptable(linode, disk)?;
            if records
                .iter()
                .any(|(_, r): &(_, Record)| r.uuid == record.uuid)
            {
                return Err(taken(&format!("{} is named twice", record.name)));
            }
            records.push((disk.disk, record));
        }
        let home = self
            .folders
            .root
            .make_dir(&linode.to_string())
            .map_err(at("make the Linode's folder"))?;
        let to = generation(epoch);
        let names = home.names().map_err(at("adopt volumes"))?;
        if let Some(other) = names.iter().find(|name| number(name, "e", "").is_some()) {
            return Err(taken(&format!("{other} of Linode {linode} exists already")));
        }
        // Under a name of its own until it is whole; a kill leaves it there, and the next attempt makes it anew.
        let fresh = format!("{to}.adopting");
        home.remove_folder(&fresh).map_err(at("adopt volumes"))?;
        let folder = home.make_dir(&fresh).map_err(at("adopt volumes"))?;
        for (disk, record) in &records {
            if record::read(&folder, *disk)?.is_some() {
                return Err(taken(&format!("disk {disk} is named twice")));
            }
            record::write(&folder, *disk, record)?;
            self.group
                .add_tags(&record.uuid, &[TAG.into(), record::linode_tag(linode)])?;
        }
        home.rename(&fresh, &to)
            .and_then(|()| home.sync())
            .map_err(at("adopt volumes"))?;
        self.forget_report();
        Ok(())
    }

    /// The record of a volume that is nobody's yet, and long enough.
    fn adoptable(&self, linode: LinodeId, disk: &Adopted) -> Result<Record> {
        let Some(volume) = self.group.named(&disk.volume)? else {
            return Err(DiskError::new(
                DiskFault::Missing,
                "A disk of this Linode was not found on its host",
                format!("no volume {}", disk.volume),
            ));
        };
        let owner = format!("{TAG}.linode=");
        let owner = volume.tags.iter().find(|tag| tag.starts_with(&owner));
        let other = owner.is_some_and(|tag| *tag != record::linode_tag(linode));
        let mut named = self.all_named(&mut |_, error| Err(error))?.into_iter();
        if other
            || is_snapshot(&volume)
            || named.any(|(linode, named)| named.names(linode, &volume))
        {
            return Err(taken(&format!("{} is somebody's already", volume.name)));
        }
        let record = Record {
            size: disk.size.unwrap_or(volume.bytes),
            name: volume.name,
            uuid: volume.uuid,
            blank: false,
        };
        if record.size > volume.bytes {
            let (bytes, size) = (volume.bytes, record.size);
            return Err(refused(format!(
                "{} has {bytes} bytes, not {size}",
                record.name
            )));
        }
        // The device is what it should be, before anything depends on it.
        self.image(&record, false)?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_adopt_is_read_strictly() {
        let one: Adopted = "3=web-root".parse().unwrap();
        assert_eq!((one.disk, one.size), (DiskId(3), None));
        let two: Adopted = "4=web_swap:1048577".parse().unwrap();
        assert_eq!(
            (two.volume.as_str(), two.size),
            ("web_swap", Some(1_048_577))
        );
        for odd in [
            "", "3", "3=", "x=a", "3=a:b", "3=-a", "3=a/b", "3=../a", "3=a b", "3=a\"b",
        ] {
            assert!(odd.parse::<Adopted>().is_err(), "{odd}");
        }
    }
}
