//! A disk that is a sparse file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise, fallocate};
use rustix::io::Errno;

use super::Image;
use super::aligned::ALIGN;
use super::dir::Dir;
use super::holes::next_data;

pub(super) struct FileImage {
    file: File,
    /// The same file past the page cache; `None` where the file system cannot.
    direct: Option<File>,
    /// The device wants larger blocks than a page, so `direct` is of no use.
    refused: AtomicBool,
    size: u64,
}

impl FileImage {
    /// A source to read. `size` is what the portal knows; a file of another length is refused.
    pub(super) fn to_read(file: File, size: u64) -> io::Result<Self> {
        Self::checked(file, None, size)
    }

    /// A disk to look at, past the cache where that can be.
    pub(super) fn to_look(folder: &Dir, name: &str, size: u64) -> io::Result<Self> {
        let direct = folder.open_file(name, OFlags::RDONLY | OFlags::DIRECT).ok();
        Self::checked(folder.read_only(name)?, direct, size)
    }

    /// A copy in the making.
    pub(super) fn to_write(folder: &Dir, name: &str, size: u64) -> io::Result<Self> {
        let direct = folder.open_file(name, OFlags::RDWR | OFlags::DIRECT).ok();
        Self::checked(folder.read_write(name)?, direct, size)
    }

    fn checked(file: File, direct: Option<File>, size: u64) -> io::Result<Self> {
        let found = file.metadata()?.len();
        if found == size {
            return Ok(Self {
                file,
                direct,
                refused: AtomicBool::new(false),
                size,
            });
        }
        let text = format!("the disk's file has {found} bytes, not {size}");
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// How much of a transfer may go past the page cache: whole pages at page boundaries, in memory as on the disk.
    fn direct_part(&self, buf: &[u8], offset: u64) -> (Option<&File>, usize) {
        let aligned = offset.is_multiple_of(ALIGN as u64) && buf.as_ptr().align_offset(ALIGN) == 0;
        match &self.direct {
            Some(direct) if aligned => (Some(direct), buf.len() - buf.len() % ALIGN),
            _ => (None, 0),
        }
    }
}

impl Image for FileImage {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn read_uncached(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let (direct, part) = self.direct_part(buf, offset);
        let (head, tail) = buf.split_at_mut(part);
        let mut tail_at = offset + part as u64;
        let mut rest = tail;
        let mut whole;
        if let Some(direct) = direct {
            match direct.read_exact_at(head, offset) {
                Ok(()) => {}
                // A device with larger blocks than a page: the slow way for all of it.
                Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                    self.refused.store(true, Ordering::Relaxed);
                    whole = [head, rest].concat();
                    drop_cached(&self.file, offset, whole.len())?;
                    self.file.read_exact_at(&mut whole, offset)?;
                    buf.copy_from_slice(&whole);
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        } else {
            rest = buf;
            tail_at = offset;
        }
        if rest.is_empty() {
            return Ok(());
        }
        drop_cached(&self.file, tail_at, rest.len())?;
        self.file.read_exact_at(rest, tail_at)
    }

    fn passes_cache(&self) -> bool {
        self.direct.is_some() && !self.refused.load(Ordering::Relaxed)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let (direct, part) = self.direct_part(buf, offset);
        let (head, tail) = buf.split_at(part);
        if let Some(direct) = direct
            && let Err(e) = direct.write_all_at(head, offset)
        {
            if e.raw_os_error() != Some(Errno::INVAL.raw_os_error()) {
                return Err(e);
            }
            self.file.write_all_at(head, offset)?;
        }
        self.file.write_all_at(tail, offset + part as u64)
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, range.start, range.end - range.start) {
            // No holes here: zeros read the same.
            Err(Errno::OPNOTSUPP) => write_zeros(&self.file, range),
            other => Ok(other?),
        }
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        next_data(&self.file, offset, self.size)
    }

    fn prefetch(&self, range: Range<u64>) {
        // Only a hint: without it the copy is slower, not wrong.
        let len = std::num::NonZeroU64::new(range.end.saturating_sub(range.start));
        let _ = fadvise(&self.file, range.start, len, Advice::WillNeed);
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn drop_cached(file: &File, offset: u64, len: usize) -> io::Result<()> {
    fadvise(
        file,
        offset,
        std::num::NonZeroU64::new(len as u64),
        Advice::DontNeed,
    )?;
    Ok(())
}

fn write_zeros(file: &File, range: Range<u64>) -> io::Result<()> {
    let zeros = vec![0; 64 * 1024];
    let mut at = range.start;
    while at < range.end {
        let step = (range.end - at).min(zeros.len() as u64);
        let part = zeros
            .get(..usize::try_from(step).unwrap_or(0))
            .unwrap_or_default();
        file.write_all_at(part, at)?;
        at += step;
    }
    Ok(())
}
