//! A disk that is a volume. Everything goes past the page cache: a Xen guest's writes do, so what this host's memory
//! remembers of a volume may be old.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, SeekFrom, fallocate};
use rustix::io::Errno;

use crate::agent::disk::Image;
use crate::agent::disk::aligned::{ALIGN, AlignedBuf};

const BLOCK: u64 = ALIGN as u64;
/// Bytes that go through a buffer of ours at once, where the caller's does not fit.
const PIECE: usize = 1 << 20;

pub(super) struct VolumeImage {
    device: File,
    size: u64,
    /// Bytes of the device: whole blocks, `size` at least.
    room: u64,
    /// Parts of blocks are read, changed and written: one at a time.
    parts: Mutex<()>,
}

impl VolumeImage {
    /// `size` is what the guest is meant to see.
    pub(super) fn new(device: File, size: u64) -> io::Result<Self> {
        let room = rustix::fs::seek(&device, SeekFrom::End(0))?;
        if room < size || !room.is_multiple_of(BLOCK) {
            let text = format!("the volume has {room} bytes, for a disk of {size}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Self {
            device,
            size,
            room,
            parts: Mutex::new(()),
        })
    }

    /// Zeros behind the disk's end, up to the volume's.
    pub(super) fn clear_tail(&self) -> io::Result<()> {
        let part = self.size % BLOCK;
        if part > 0 {
            let zeros = vec![0; usize::try_from(BLOCK - part).unwrap_or(0)];
            self.write_part(&zeros, self.size)?;
        }
        zero(&self.device, self.size.next_multiple_of(BLOCK)..self.room)
    }

    /// Only zeros behind the disk's end?
    pub(super) fn tail_is_clear(&self) -> io::Result<bool> {
        let mut buf = AlignedBuf::new(PIECE);
        let mut at = self.size - self.size % BLOCK;
        while at < self.room {
            let n = piece(self.room - at);
            let bytes = buf.get_mut(..n).unwrap_or_default();
            self.device.read_exact_at(bytes, at)?;
            let skip = usize::try_from(self.size.saturating_sub(at))
                .unwrap_or(n)
                .min(n);
            if bytes.iter().skip(skip).any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += n as u64;
        }
        Ok(true)
    }

    fn inside(&self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len as u64);
        if end.is_some_and(|end| end <= self.size) {
            return Ok(());
        }
        let text = format!("{len} bytes from {offset} on a disk of {}", self.size);
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
    }

    /// How much may go straight between the device and the caller's memory: whole blocks, in both places.
    fn straight(&self, buf: &[u8], offset: u64) -> usize {
        let fits = offset.is_multiple_of(BLOCK) && buf.as_ptr().align_offset(ALIGN) == 0;
        if fits {
            buf.len() - buf.len() % ALIGN
        } else {
            0
        }
    }

    /// Any bytes within the device, by way of whole blocks.
    fn write_part(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let _one = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bounce = AlignedBuf::new(PIECE);
        each_piece(offset, buf.len(), |blocks, inner, outer| {
            let whole = bounce
                .get_mut(..piece(blocks.end - blocks.start))
                .unwrap_or_default();
            if inner.len() < whole.len() {
                self.device.read_exact_at(whole, blocks.start)?;
            }
            let from = buf.get(outer).unwrap_or_default();
            whole
                .get_mut(inner)
                .unwrap_or_default()
                .copy_from_slice(from);
            self.device.write_all_at(whole, blocks.start)
        })
    }

    fn read_part(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut bounce = AlignedBuf::new(PIECE);
        each_piece(offset, buf.len(), |blocks, inner, outer| {
            let whole = bounce
                .get_mut(..piece(blocks.end - blocks.start))
                .unwrap_or_default();
            self.device.read_exact_at(whole, blocks.start)?;
            let from = whole.get(inner).unwrap_or_default();
            buf.get_mut(outer).unwrap_or_default().copy_from_slice(from);
            Ok(())
        })
    }
}

impl Image for VolumeImage {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_uncached(buf, offset)
    }

    fn read_uncached(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.inside(offset, buf.len())?;
        let straight = self.straight(buf, offset);
        let (head, rest) = buf.split_at_mut(straight);
        self.device.read_exact_at(head, offset)?;
        self.read_part(rest, offset + straight as u64)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.inside(offset, buf.len())?;
        let straight = self.straight(buf, offset);
        let (head, rest) = buf.split_at(straight);
        self.device.write_all_at(head, offset)?;
        self.write_part(rest, offset + straight as u64)
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.inside(
            range.start,
            usize::try_from(range.end - range.start).unwrap_or(usize::MAX),
        )?;
        let first = range.start.next_multiple_of(BLOCK).min(range.end);
        // What is behind the disk's end is zeros already, so the last block may go as a whole.
        let last = if range.end == self.size {
            range.end.next_multiple_of(BLOCK)
        } else {
            (range.end - range.end % BLOCK).max(first)
        };
        let zeros = [0; ALIGN];
        let part = |from: u64, to: u64| {
            zeros
                .get(..piece(to.saturating_sub(from)))
                .unwrap_or_default()
        };
        self.write_part(part(range.start, first), range.start)?;
        zero(&self.device, first..last)?;
        self.write_part(part(last, range.end), last)
    }

    /// A volume does not know what was never written: all of it may hold something.
    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok((offset < self.size).then_some(offset..self.size))
    }

    fn prefetch(&self, _: Range<u64>) {
        // Nothing is kept in this host's memory; several connections side by side keep the device busy.
    }

    fn sync(&self) -> io::Result<()> {
        self.device.sync_data()
    }
}

fn piece(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(PIECE).min(PIECE)
}

/// Goes through `len` bytes from `offset` in pieces: the blocks a piece is in, where it is in those, and where in all.
fn each_piece(
    offset: u64,
    len: usize,
    mut act: impl FnMut(Range<u64>, Range<usize>, Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        let at = offset + done as u64;
        let skip = usize::try_from(at % BLOCK).unwrap_or(0);
        let n = (PIECE - skip).min(len - done);
        let blocks = at - skip as u64..(at + n as u64).next_multiple_of(BLOCK);
        act(blocks, skip..skip + n, done..done + n)?;
        done += n;
    }
    Ok(())
}

/// Makes whole blocks of a device read as zeros, whoever wrote what there before. The kernel promises that for both of
/// these (a mere discard promises nothing); the first gives room back where the device can.
fn zero(device: &File, range: Range<u64>) -> io::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let len = range.end - range.start;
    for how in [FallocateFlags::PUNCH_HOLE, FallocateFlags::ZERO_RANGE] {
        match fallocate(device, how | FallocateFlags::KEEP_SIZE, range.start, len) {
            Err(Errno::OPNOTSUPP) => {}
            other => return Ok(other?),
        }
    }
    let zeros = AlignedBuf::new(PIECE);
    let mut at = range.start;
    while at < range.end {
        let n = piece(range.end - at);
        device.write_all_at(zeros.get(..n).unwrap_or_default(), at)?;
        at += n as u64;
    }
    Ok(())
}
