//! The root of a disk image, computed piece by piece.

use std::ops::RangeInclusive;

use data_encoding::HEXLOWER;

/// BLAKE3 of the chunks' BLAKE3 digests in order; the last chunk may be short.
pub const ALGORITHM: &str = "blake3-of-blake3-chunks";
/// Sizes of a chunk that are taken.
pub const CHUNKS: RangeInclusive<u64> = 512..=16 * 1024 * 1024;

/// A root in the making.
pub struct Root {
    chunk: u64,
    /// Of the chunk that is not whole yet, and its bytes so far.
    open: blake3::Hasher,
    filled: u64,
    all: blake3::Hasher,
}

impl Root {
    /// `None`: no chunk is of that size.
    pub fn of_chunks(bytes: u64) -> Option<Self> {
        CHUNKS.contains(&bytes).then(|| Self {
            chunk: bytes,
            open: blake3::Hasher::new(),
            filled: 0,
            all: blake3::Hasher::new(),
        })
    }

    /// The next bytes, however many.
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.chunk - self.filled).unwrap_or(usize::MAX);
            let (part, rest) = bytes.split_at(room.min(bytes.len()));
            self.open.update(part);
            self.filled += part.len() as u64;
            if self.filled == self.chunk {
                self.close();
            }
            bytes = rest;
        }
    }

    fn close(&mut self) {
        self.all.update(self.open.finalize().as_bytes());
        self.open.reset();
        self.filled = 0;
    }

    /// 64 lower-case hexadecimal digits.
    pub fn hex(mut self) -> String {
        if self.filled > 0 {
            self.close();
        }
        HEXLOWER.encode(self.all.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_no_difference_and_the_last_chunk_may_be_short() {
        let bytes: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
        let mut wanted = blake3::Hasher::new();
        for chunk in bytes.chunks(1024) {
            wanted.update(blake3::hash(chunk).as_bytes());
        }
        let wanted = HEXLOWER.encode(wanted.finalize().as_bytes());
        for piece in [1, 7, 1023, 1024, 1025, 4096, bytes.len()] {
            let mut root = Root::of_chunks(1024).unwrap();
            bytes.chunks(piece).for_each(|it| root.add(it));
            assert_eq!(root.hex(), wanted, "{piece}");
        }
        assert!(Root::of_chunks(0).is_none() && Root::of_chunks(1 << 40).is_none());
    }
}
