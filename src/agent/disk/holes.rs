//! Where a file has data. Whether a stretch without data may be left out of a copy is the file system's word, and not every
//! one's is good: ZFS before `OpenZFS` 2.2.2 passed over data that was not on its disks yet (openzfs/zfs#15526), and FUSE and network
//! file systems say what somebody else says. Both sides of a copy would agree on zeros that never were on the disk.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::{FsWord, SeekFrom, fstatfs, seek};
use rustix::io::Errno;

/// ext2 to ext4, XFS, btrfs, tmpfs, F2FS: what is written counts as data at once (statfs(2) has the numbers).
const BELIEVED: [FsWord; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010];

/// The next stretch of data below `size`, from `offset` on. On a file system that is not believed all is data.
pub(super) fn next_data(file: &File, offset: u64, size: u64) -> io::Result<Option<Range<u64>>> {
    if offset >= size {
        return Ok(None);
    }
    if !is_believed(fstatfs(file)?.f_type) {
        return Ok(Some(offset..size));
    }
    let start = match seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let end = seek(file, SeekFrom::Hole(start))?;
    Ok(stretch(offset, (start, end), size))
}

/// What the two answers mean. Some file systems say of a file that is all hole that data and a hole begin at the same place
/// (openzfs/zfs#12477): what leads nowhere is read to its end.
fn stretch(offset: u64, (start, end): (u64, u64), size: u64) -> Option<Range<u64>> {
    if start < offset || end <= start {
        return Some(offset..size);
    }
    (start < size).then(|| start..end.min(size))
}

fn is_believed(kind: FsWord) -> bool {
    BELIEVED.contains(&kind)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn holes_are_believed_of_known_file_systems_only() {
        const MIB: u64 = 1 << 20;
        let (zfs, fuse, nfs) = (0x2fc1_2fc1, 0x6573_5546, 0x6969);
        for kind in [zfs, fuse, nfs] {
            assert!(!is_believed(kind), "{kind:#x}");
        }
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 * MIB).unwrap();
        file.write_all_at(&[1; 4096], 4 * MIB).unwrap();
        let data = next_data(&file, 0, 8 * MIB).unwrap().unwrap();
        if is_believed(fstatfs(&file).unwrap().f_type) {
            assert_eq!(data, 4 * MIB..4 * MIB + 4096);
            assert_eq!(next_data(&file, data.end, 8 * MIB).unwrap(), None);
        } else {
            assert_eq!(data, 0..8 * MIB);
        }
        assert_eq!(next_data(&file, 8 * MIB, 8 * MIB).unwrap(), None);
    }

    #[test]
    fn an_answer_that_leads_nowhere_is_read_as_data() {
        assert_eq!(stretch(0, (0, 0), 100), Some(0..100));
        assert_eq!(stretch(40, (0, 0), 100), Some(40..100));
        assert_eq!(stretch(40, (50, 50), 100), Some(40..100));
        assert_eq!(stretch(40, (50, 60), 100), Some(50..60));
        assert_eq!(stretch(40, (50, 160), 100), Some(50..100));
        assert_eq!(stretch(40, (100, 160), 100), None);
    }
}
