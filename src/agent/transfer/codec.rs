//! Numbers, text and digests as bytes, little-endian; what is read is bounded before it is allocated.

use super::chunk::{CHUNKS_PER_SEGMENT, Digest, UNKNOWN};
use super::{Fault, Result, TransferError};

/// The longest text in a message.
const TEXT_MAX: usize = 1024;

pub(super) fn malformed(what: &str) -> TransferError {
    TransferError::new(Fault::Protocol, format!("malformed message: {what}"))
}

/// A frame being written.
pub(super) struct Put(Vec<u8>);

impl Put {
    pub(super) fn new(kind: u8) -> Self {
        let mut out = Vec::with_capacity(64);
        out.push(kind);
        out.extend_from_slice(&[0; 4]);
        Self(out)
    }
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    pub(super) fn u8(self, v: u8) -> Self {
        self.raw(&[v])
    }
    pub(super) fn u16(self, v: u16) -> Self {
        self.raw(&v.to_le_bytes())
    }
    pub(super) fn u32(self, v: u32) -> Self {
        self.raw(&v.to_le_bytes())
    }
    pub(super) fn u64(self, v: u64) -> Self {
        self.raw(&v.to_le_bytes())
    }
    pub(super) fn i64(self, v: i64) -> Self {
        self.raw(&v.to_le_bytes())
    }
    pub(super) fn count(self, v: usize) -> Self {
        self.u32(u32::try_from(v).unwrap_or(u32::MAX))
    }
    pub(super) fn text(self, v: &str) -> Self {
        let mut end = v.len().min(TEXT_MAX);
        while !v.is_char_boundary(end) {
            end -= 1;
        }
        let v = v.get(..end).unwrap_or_default();
        self.count(v.len()).raw(v.as_bytes())
    }
    pub(super) fn digests(self, all: &[Digest]) -> Self {
        self.raw(all.as_flattened())
    }
    /// The frame, its length filled in; `more` bytes will follow outside of it.
    pub(super) fn done(mut self, more: usize) -> Vec<u8> {
        let len = u32::try_from(self.0.len() - 5 + more).unwrap_or(u32::MAX);
        if let Some(field) = self.0.get_mut(1..5) {
            field.copy_from_slice(&len.to_le_bytes());
        }
        self.0
    }
}

/// A body being read.
pub(super) struct Get<'a>(pub &'a [u8]);

impl<'a> Get<'a> {
    pub(super) fn raw(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .0
            .split_at_checked(n)
            .ok_or_else(|| malformed("too short"))?;
        self.0 = rest;
        Ok(head)
    }
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], TransferError> {
        self.raw(N)?.try_into().map_err(|_| malformed("too short"))
    }
    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }
    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    pub(super) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }
    pub(super) fn count(&mut self, max: usize) -> Result<usize> {
        let n = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if n > max {
            Err(malformed("a count is too large"))
        } else {
            Ok(n)
        }
    }
    pub(super) fn text(&mut self) -> Result<String> {
        let n = self.count(TEXT_MAX)?;
        String::from_utf8(self.raw(n)?.to_vec()).map_err(|_| malformed("text is not UTF-8"))
    }
    pub(super) fn digests(&mut self, n: usize) -> Result<Vec<Digest>> {
        let (all, _) = self.raw(n.saturating_mul(32))?.as_chunks::<32>();
        Ok(all.to_vec())
    }
    pub(super) fn end(&self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(malformed("too long"))
        }
    }
}

/// A table as runs of equal digests: most of a sparse disk is one digest, of a new copy "unknown".
pub(super) fn put_table(put: Put, table: &[Digest]) -> Put {
    let mut put = put.count(table.len());
    let mut rest = table;
    while let Some(first) = rest.first() {
        let equal = rest.iter().take_while(|d| *d == first).count();
        // Single digests are gathered until the next real run.
        let differ = rest
            .windows(2)
            .take_while(|w| w.first() != w.last())
            .count()
            .max(1);
        let (kind, n) = if equal > 1 { (0, equal) } else { (1, differ) };
        let (head, tail) = rest.split_at(n.min(rest.len()));
        put = put.u8(kind).count(head.len());
        put = put.digests(if kind == 0 {
            head.get(..1).unwrap_or_default()
        } else {
            head
        });
        rest = tail;
    }
    put
}

pub(super) fn get_table(get: &mut Get<'_>) -> Result<Vec<Digest>> {
    let n = get.count(CHUNKS_PER_SEGMENT)?;
    let mut table = Vec::with_capacity(n);
    while table.len() < n {
        let kind = get.u8()?;
        let count = get.count(n - table.len())?;
        match (kind, count) {
            (_, 0) => return Err(malformed("an empty run")),
            (0, _) => {
                let digest = get.digests(1)?.first().copied().unwrap_or(UNKNOWN);
                table.extend(std::iter::repeat_n(digest, count));
            }
            (1, _) => table.extend(get.digests(count)?),
            _ => return Err(malformed("unknown run")),
        }
    }
    Ok(table)
}
