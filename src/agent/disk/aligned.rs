//! Buffers that start on a page boundary, as reads and writes past the page cache need them.

use std::ops::{Deref, DerefMut};

/// Memory, offset and length of uncached I/O are multiples of this: the page size, at least every device's block size.
pub const ALIGN: usize = 4096;

pub struct AlignedBuf {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuf {
    /// `len` zero bytes, the first of them on a boundary of [`ALIGN`].
    pub fn new(len: usize) -> Self {
        let memory = vec![0; len + ALIGN];
        // An address is only looked at, never made into a pointer again.
        let start = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { memory, start, len }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory
            .get(self.start..self.start + self.len)
            .unwrap_or_default()
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory
            .get_mut(self.start..self.start + self.len)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_boundary_and_has_its_length() {
        for len in [0, 1, ALIGN, 1 << 20] {
            let buf = AlignedBuf::new(len);
            assert_eq!(buf.len(), len);
            assert_eq!(buf.as_ptr().align_offset(ALIGN), 0);
        }
    }
}
