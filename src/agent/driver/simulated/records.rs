//! The numbers a simulated guest writes into its first disk, made so that a reader can prove that none is missing.
//!
//! The last bytes of the disk are a ring of 512-byte records; record `n` is in slot `n % slots` and carries its number
//! and a digest. Writing is strictly in order, each record synced before the next, so at any moment the ring holds an
//! unbroken run of numbers (one short of the ring's size, because the slot being written may be torn).

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::domain::ids::LinodeId;

pub const RECORD: usize = 512;
const MAGIC: &[u8; 8] = b"xbguest1";
const MOST_SLOTS: u64 = 512;
const BODY: usize = RECORD - 32;

/// Where the ring of a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    pub offset: u64,
    pub slots: u64,
}

/// What a ring holds: the newest number (0: none yet), and whether the run before it is unbroken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingState {
    pub newest: u64,
    pub oldest: u64,
    pub missing: Vec<u64>,
}

impl Ring {
    /// The ring of a disk of this size; `None` if it is too small for one.
    pub fn of(size: u64) -> Option<Self> {
        let record = RECORD as u64;
        let slots = (size / 2 / record).min(MOST_SLOTS);
        let offset = (size / record).checked_sub(slots)? * record;
        (slots >= 4).then_some(Self { offset, slots })
    }

    /// Writes record `number` and returns once it is on the disk.
    pub fn write(&self, disk: &File, linode: LinodeId, number: u64) -> io::Result<()> {
        disk.write_all_at(
            &encode(linode, number),
            self.offset + number % self.slots * RECORD as u64,
        )?;
        disk.sync_data()
    }

    /// Reads the whole ring. Records of another Linode or with a wrong digest count as absent.
    pub fn read(&self, disk: &File, linode: LinodeId) -> io::Result<RingState> {
        let mut ring = vec![0; usize::try_from(self.slots).unwrap_or(0) * RECORD];
        disk.read_exact_at(&mut ring, self.offset)?;
        let numbers: BTreeSet<u64> = ring
            .chunks_exact(RECORD)
            .filter_map(|bytes| decode(bytes, linode))
            .collect();
        let newest = numbers.last().copied().unwrap_or(0);
        let oldest = (newest + 2).saturating_sub(self.slots).max(1);
        let missing = (oldest..=newest).filter(|n| !numbers.contains(n)).collect();
        Ok(RingState {
            newest,
            oldest,
            missing,
        })
    }
}

fn encode(linode: LinodeId, number: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&linode.0.to_le_bytes());
    bytes.resize(BODY, 0);
    let digest = blake3::hash(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    bytes
}

fn decode(bytes: &[u8], linode: LinodeId) -> Option<u64> {
    let number = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    (bytes == encode(linode, number).as_slice()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINODE: LinodeId = LinodeId(3);

    fn disk(size: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        file
    }

    #[test]
    fn a_ring_stays_inside_its_disk_at_any_size() {
        assert_eq!(Ring::of(100), None);
        for size in [4096, 5000, 70_000, 1 << 20, (1 << 30) + 7] {
            let ring = Ring::of(size).unwrap();
            assert!(
                ring.offset + ring.slots * RECORD as u64 <= size,
                "{size}: {ring:?}"
            );
        }
    }

    #[test]
    fn every_number_is_found_before_and_after_the_ring_wraps() {
        let file = disk(8192);
        let ring = Ring::of(8192).unwrap();
        for number in 1..40 {
            ring.write(&file, LINODE, number).unwrap();
            let found = ring.read(&file, LINODE).unwrap();
            assert_eq!((found.newest, found.missing.len()), (number, 0));
        }
        assert_eq!(ring.read(&file, LinodeId(4)).unwrap().newest, 0);
    }

    #[test]
    fn a_lost_record_is_missing_and_a_torn_newest_is_not() {
        let file = disk(8192);
        let ring = Ring::of(8192).unwrap();
        for number in 1..=20 {
            ring.write(&file, LINODE, number).unwrap();
        }
        let slot = |number: u64| ring.offset + number % ring.slots * RECORD as u64;
        file.write_all_at(b"torn", slot(21)).unwrap();
        assert_eq!(ring.read(&file, LINODE).unwrap().missing, Vec::<u64>::new());
        file.write_all_at(b"lost", slot(17)).unwrap();
        assert_eq!(ring.read(&file, LINODE).unwrap().missing, [17]);
    }
}
