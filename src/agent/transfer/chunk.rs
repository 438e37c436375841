//! Sizes, and the digest of one chunk.

use crate::agent::disk::aligned::AlignedBuf;
use crate::domain::ids::DiskId;
pub(super) use crate::wire::CHUNK;
use crate::wire::DiskDigest;

/// Bytes asked for as one.
pub(super) const SEGMENT: usize = 16 * 1024 * 1024;
pub(super) const CHUNKS_PER_SEGMENT: usize = SEGMENT / CHUNK;
/// Bytes read, sent and written as one.
pub(super) const RUN: usize = 1024 * 1024;
pub(super) const CHUNKS_PER_RUN: usize = RUN / CHUNK;

pub(super) type Digest = [u8; 32];

/// "Not known": no chunk has this digest.
pub(super) const UNKNOWN: Digest = [0; 32];

static ZEROS: [u8; CHUNK] = [0; CHUNK];

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(CHUNK)
        .all(|part| ZEROS.get(..part.len()).is_some_and(|zeros| zeros == part))
}

pub(super) fn digest(bytes: &[u8]) -> Digest {
    *blake3::hash(bytes).as_bytes()
}

/// A disk cut into chunks and segments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub size: u64,
    zero: Digest,
    last_zero: Digest,
}

impl Cut {
    pub(super) fn new(size: u64) -> Self {
        let tail = usize::try_from(size % CHUNK as u64).unwrap_or(0);
        let tail = if tail == 0 { CHUNK } else { tail };
        Self {
            size,
            zero: digest(&ZEROS),
            last_zero: digest(ZEROS.get(..tail).unwrap_or_default()),
        }
    }

    pub(super) fn chunks(&self) -> u64 {
        self.size.div_ceil(CHUNK as u64)
    }

    pub(super) fn segments(&self) -> u32 {
        u32::try_from(self.size.div_ceil(SEGMENT as u64)).unwrap_or(u32::MAX)
    }

    /// First chunk and number of chunks of a segment.
    pub(super) fn segment(&self, segment: u32) -> (u64, usize) {
        let first = u64::from(segment) * CHUNKS_PER_SEGMENT as u64;
        let count = self
            .chunks()
            .saturating_sub(first)
            .min(CHUNKS_PER_SEGMENT as u64);
        (first, usize::try_from(count).unwrap_or(0))
    }

    /// Bytes `count` chunks from `first` take; the last chunk of a disk may be short.
    pub(super) fn range(&self, first: u64, count: usize) -> std::ops::Range<u64> {
        let start = (first * CHUNK as u64).min(self.size);
        let end = first
            .saturating_add(count as u64)
            .saturating_mul(CHUNK as u64)
            .min(self.size);
        start..end
    }

    /// The digest of this chunk if it is all zeros.
    pub(super) fn zero_digest(&self, chunk: u64) -> &Digest {
        if chunk + 1 == self.chunks() {
            &self.last_zero
        } else {
            &self.zero
        }
    }
}

pub(super) fn run_buffer() -> AlignedBuf {
    AlignedBuf::new(RUN)
}

pub(super) fn disk_digest(disk: DiskId, size_bytes: u64, root: &Digest) -> DiskDigest {
    DiskDigest {
        disk,
        size_bytes,
        root: data_encoding::HEXLOWER.encode(root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_a_disk_with_a_short_last_chunk() {
        let cut = Cut::new(SEGMENT as u64 + CHUNK as u64 + 5);
        assert_eq!(cut.chunks(), CHUNKS_PER_SEGMENT as u64 + 2);
        assert_eq!(cut.segments(), 2);
        assert_eq!(cut.segment(1), (CHUNKS_PER_SEGMENT as u64, 2));
        let last = CHUNKS_PER_SEGMENT as u64 + 1;
        assert_eq!(cut.range(last, 1), cut.size - 5..cut.size);
        assert_eq!(cut.zero_digest(last), &digest(&[0; 5]));
        assert_eq!(cut.zero_digest(0), &digest(&[0; CHUNK]));
        assert_eq!(Cut::new(0).segments(), 0);
    }

    #[test]
    fn zeros_are_only_zeros() {
        assert!(is_zero(&[]));
        assert!(is_zero(&[0; 3 * CHUNK + 7]));
        let mut bytes = vec![0; 2 * CHUNK];
        bytes[2 * CHUNK - 1] = 1;
        assert!(!is_zero(&bytes));
    }
}
