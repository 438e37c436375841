//! Tables of chunk digests on disk: what a copy is known to hold, and what a source found.
//!
//! The copy's table starts with a head that marks the segments being overwritten. A digest inside the mark may be older
//! than its chunk; after a kill those chunks are read and hashed again. Without the mark, a chunk that went A → B → A at
//! the source while its copy was killed at B would pass for unchanged.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::chunk::{
    CHUNK, CHUNKS_PER_RUN, CHUNKS_PER_SEGMENT, Cut, Digest, UNKNOWN, digest, is_zero, run_buffer,
};
use crate::agent::disk::Image;

const HEAD: u64 = 4096;
const MAGIC: &[u8; 8] = b"xbtable1";
/// Segments marked ahead by one fsync: 1 GiB.
const AHEAD: u32 = 64;
/// Digests read at once when a whole table is gone through.
const BATCH: usize = 32 * 1024;

/// An array of digests in a file; what was never written is [`UNKNOWN`].
pub(super) struct Digests {
    file: File,
    base: u64,
}

impl Digests {
    /// A source's table: digests only.
    pub(super) fn plain(file: File) -> Self {
        Self { file, base: 0 }
    }

    pub(super) fn read(&self, first: u64, count: usize) -> io::Result<Vec<Digest>> {
        let mut bytes = vec![UNKNOWN; count];
        let mut at = self.base + first * 32;
        let mut rest = bytes.as_flattened_mut();
        while !rest.is_empty() {
            match self.file.read_at(rest, at) {
                Ok(0) => break,
                Ok(n) => {
                    at += n as u64;
                    rest = rest.split_at_mut(n).1;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(bytes)
    }

    pub(super) fn write(&self, first: u64, digests: &[Digest]) -> io::Result<()> {
        self.file
            .write_all_at(digests.as_flattened(), self.base + first * 32)
    }

    /// BLAKE3 over the digests in order; `None` if one is not known.
    pub(super) fn root(&self, first: u64, count: u64) -> io::Result<Option<Digest>> {
        let mut hasher = blake3::Hasher::new();
        let mut at = first;
        let end = first + count;
        while at < end {
            let step = usize::try_from(end - at).unwrap_or(BATCH).min(BATCH);
            let batch = self.read(at, step)?;
            if batch.contains(&UNKNOWN) {
                return Ok(None);
            }
            hasher.update(batch.as_flattened());
            at += step as u64;
        }
        Ok(Some(*hasher.finalize().as_bytes()))
    }

    /// Everything known to `from`, in a file of one's own.
    pub(super) fn copy_from(&self, from: &Self, chunks: u64) -> io::Result<()> {
        let mut at = 0;
        while at < chunks {
            let step = usize::try_from(chunks - at).unwrap_or(BATCH).min(BATCH);
            let batch = from.read(at, step)?;
            if batch.iter().any(|d| *d != UNKNOWN) {
                self.write(at, &batch)?;
            }
            at += step as u64;
        }
        Ok(())
    }
}

/// A copy's table, with its mark.
pub(super) struct Table {
    pub digests: Digests,
    cut: Cut,
    /// Segments in [low, high) may be behind their data.
    mark: Mutex<(u32, u32)>,
}

impl Table {
    /// Opens the table of `image`, and brings it up to what the image really holds where a kill left that open (also
    /// for an image that has no table yet, unless it is `blank`: of that nothing is known). `stop` ends the reading
    /// early with `Interrupted`.
    pub(super) fn open(
        file: File,
        image: &dyn Image,
        cut: Cut,
        blank: bool,
        stop: &AtomicBool,
    ) -> io::Result<Self> {
        let mark = read_mark(&file, cut.size)?;
        let unread = blank && mark.is_none();
        let table = Self {
            digests: Digests { file, base: HEAD },
            cut,
            mark: Mutex::new((0, cut.segments())),
        };
        let (low, high) = if let Some(mark) = mark {
            mark
        } else {
            // Not where there is nothing: it would give back the blocks held for the table.
            if table.digests.file.metadata()?.len() > 0 {
                table.digests.file.set_len(0)?;
            }
            table.write_mark((0, cut.segments()))?;
            (0, cut.segments())
        };
        if low < high && !unread {
            image.sync()?;
            table.learn(image, (low, high.min(cut.segments())), stop, |_| {})?;
        }
        table.settle()?;
        Ok(table)
    }

    /// No segment is being overwritten any more.
    pub(super) fn settle(&self) -> io::Result<()> {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if *mark != (0, 0) {
            self.write_mark((0, 0))?;
            *mark = (0, 0);
        }
        Ok(())
    }

    /// Reads all of the copy from the device, and takes what is found for what the copy holds. Killed, it is done when the
    /// table is opened next; told to stop it writes nothing that is wrong, and leaves the rest as it was known before.
    pub(super) fn reread(
        &self,
        image: &dyn Image,
        stop: &AtomicBool,
        checked: &AtomicU64,
    ) -> io::Result<()> {
        let all = (0, self.cut.segments());
        {
            let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
            self.write_mark(all)?;
            *mark = all;
        }
        let learnt = self.learn(image, all, stop, |bytes| {
            checked.fetch_add(bytes, Ordering::Relaxed);
        });
        if matches!(&learnt, Err(e) if e.kind() != io::ErrorKind::Interrupted) {
            return learnt;
        }
        self.settle()?;
        learnt
    }

    /// `segment` is about to be overwritten; no segment below `low()` is any more.
    pub(super) fn mark(&self, segment: u32, low: impl FnOnce() -> u32) -> io::Result<()> {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if segment < mark.1 {
            return Ok(());
        }
        let next = (low(), segment.saturating_add(AHEAD));
        self.write_mark(next)?;
        *mark = next;
        Ok(())
    }

    /// The segment's digests. A chunk not known that is a hole in the copy is zeros, and is written down as such.
    pub(super) fn segment(&self, image: &dyn Image, segment: u32) -> io::Result<Vec<Digest>> {
        let (first, count) = self.cut.segment(segment);
        let mut digests = self.digests.read(first, count)?;
        if !digests.contains(&UNKNOWN) {
            return Ok(digests);
        }
        let mut found = false;
        let mut holes = Holes::new(image);
        for (i, known) in digests.iter_mut().enumerate() {
            let chunk = first + i as u64;
            if *known == UNKNOWN && holes.has(&self.cut.range(chunk, 1))? {
                *known = *self.cut.zero_digest(chunk);
                found = true;
            }
        }
        if found {
            self.digests.write(first, &digests)?;
        }
        Ok(digests)
    }

    pub(super) fn root(&self) -> io::Result<Option<Digest>> {
        self.digests.root(0, self.cut.chunks())
    }

    /// The digest of the segment's digests; `None` if one is not known.
    pub(super) fn segment_root(&self, segment: u32) -> io::Result<Option<Digest>> {
        let (first, count) = self.cut.segment(segment);
        self.digests.root(first, count as u64)
    }

    /// The digests first, durably; then the mark that vouches for them.
    fn write_mark(&self, (low, high): (u32, u32)) -> io::Result<()> {
        self.digests.file.sync_data()?;
        let mut head = head(self.cut.size, low, high);
        let sum = digest(&head);
        head.extend_from_slice(&sum);
        self.digests.file.write_all_at(&head, 0)?;
        self.digests.file.sync_data()
    }

    /// Reads what is there, from the device, and writes down its digests. All cores. `learnt`: so many bytes more.
    fn learn(
        &self,
        image: &dyn Image,
        (low, high): (u32, u32),
        stop: &AtomicBool,
        learnt: impl Fn(u64) + Sync,
    ) -> io::Result<()> {
        let next = AtomicU32::new(low);
        let workers = std::thread::available_parallelism()
            .map_or(1, std::num::NonZero::get)
            .min(8);
        std::thread::scope(|scope| {
            let learn = || {
                let mut buf = run_buffer();
                loop {
                    let segment = next.fetch_add(1, Ordering::Relaxed);
                    if segment >= high {
                        return Ok(());
                    }
                    self.learn_segment(image, segment, &mut buf, stop)?;
                    let (first, count) = self.cut.segment(segment);
                    let range = self.cut.range(first, count);
                    learnt(range.end - range.start);
                }
            };
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(learn)).collect();
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a hashing thread died")))
            })
        })
    }

    /// One segment, as the device has it.
    pub(super) fn learn_segment(
        &self,
        image: &dyn Image,
        segment: u32,
        buf: &mut [u8],
        stop: &AtomicBool,
    ) -> io::Result<()> {
        let (first, count) = self.cut.segment(segment);
        let mut found = Vec::with_capacity(count);
        let mut holes = Holes::new(image);
        for run in (0..count).step_by(CHUNKS_PER_RUN) {
            if stop.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"));
            }
            let n = CHUNKS_PER_RUN.min(count - run);
            let start = first + run as u64;
            let range = self.cut.range(start, n);
            let zero = |i: usize| *self.cut.zero_digest(start + i as u64);
            if holes.has(&range)? {
                found.extend((0..n).map(zero));
                continue;
            }
            let len = usize::try_from(range.end - range.start).unwrap_or(0);
            let bytes = buf.get_mut(..len).unwrap_or_default();
            image.read_uncached(bytes, range.start)?;
            for (i, piece) in bytes.chunks(CHUNK).enumerate() {
                found.push(if is_zero(piece) {
                    zero(i)
                } else {
                    digest(piece)
                });
            }
        }
        self.digests.write(first, &found)
    }
}

fn head(size: u64, low: u32, high: u32) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&(CHUNK as u64).to_le_bytes());
    head.extend_from_slice(&(CHUNKS_PER_SEGMENT as u64).to_le_bytes());
    head.extend_from_slice(&size.to_le_bytes());
    head.extend_from_slice(&low.to_le_bytes());
    head.extend_from_slice(&high.to_le_bytes());
    head
}

/// The mark of a table of this size and these chunks; `None` if it is not one.
fn read_mark(file: &File, size: u64) -> io::Result<Option<(u32, u32)>> {
    let len = head(size, 0, 0).len();
    let mut bytes = vec![0; len + 32];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    Ok(mark_in(&bytes, size))
}

pub(super) fn mark_in(bytes: &[u8], size: u64) -> Option<(u32, u32)> {
    let (found, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    let (fixed, marks) = found.split_at_checked(found.len().checked_sub(8)?)?;
    if digest(found) != sum || head(size, 0, 0).strip_suffix(&[0; 8]) != Some(fixed) {
        return None;
    }
    let (low, high) = marks.split_at_checked(4)?;
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
    Some((number(low), number(high)))
}

/// Asks an image, front to back, which stretches are holes.
pub(super) struct Holes<'a> {
    image: &'a dyn Image,
    /// The stretch of data at or after where we asked last.
    data: Option<std::ops::Range<u64>>,
    asked: bool,
}

impl<'a> Holes<'a> {
    pub(super) fn new(image: &'a dyn Image) -> Self {
        Self {
            image,
            data: None,
            asked: false,
        }
    }

    /// Nothing but a hole in `range`? Ranges must not go back.
    pub(super) fn has(&mut self, range: &std::ops::Range<u64>) -> io::Result<bool> {
        let stale = self
            .data
            .as_ref()
            .is_some_and(|data| data.end <= range.start);
        if !self.asked || stale {
            self.data = self.image.next_data(range.start)?;
            self.asked = true;
        }
        Ok(self
            .data
            .as_ref()
            .is_none_or(|data| data.start >= range.end))
    }
}
