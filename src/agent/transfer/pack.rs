//! Compression where it pays: on a link slower than the compressor, of what shrinks.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and times: a part in a million does not matter, and all are positive"
)]

use super::chunk::CHUNK;
use super::policy;

const LEVEL: i32 = 1;
/// Bytes the link's rate is measured over.
const MEASURED: u64 = 1 << 20;
/// After a sample that did not shrink, so many runs go uncompressed before another is tried.
const HOLD_OFF: u32 = 16;

/// One connection's compressor.
pub(super) struct Packer {
    packed: Vec<u8>,
    /// Bytes and seconds of wire at the last look.
    seen: (u64, f64),
    /// Bytes a second the link took since, its own pace and the cap's together.
    rate: f64,
    hold_off: u32,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            packed: Vec::new(),
            seen: (0, 0.0),
            rate: f64::INFINITY,
            hold_off: 0,
        }
    }
}

impl Packer {
    /// The compressed form, if that pays.
    pub(super) fn pack(&mut self, raw: &[u8]) -> std::io::Result<Option<&[u8]>> {
        if !policy::compress_on(self.rate) || raw.len() < CHUNK {
            return Ok(None);
        }
        if self.hold_off > 0 {
            self.hold_off -= 1;
            return Ok(None);
        }
        let middle = raw.len() / 2 / CHUNK * CHUNK;
        let sample = raw.get(middle..).unwrap_or_default();
        let sample = sample.get(..CHUNK.min(sample.len())).unwrap_or_default();
        let small = zstd::bulk::compress(sample, LEVEL)?;
        if !policy::compress_pays(sample.len(), small.len()) {
            self.hold_off = HOLD_OFF;
            return Ok(None);
        }
        self.packed = zstd::bulk::compress(raw, LEVEL)?;
        Ok(Some(&*self.packed).filter(|packed| packed.len() < raw.len()))
    }

    /// All bytes put on the wire so far, and the seconds that took.
    pub(super) fn measure(&mut self, wire_bytes: u64, wire_seconds: f64) {
        let (bytes, seconds) = (wire_bytes - self.seen.0, wire_seconds - self.seen.1);
        if bytes >= MEASURED {
            self.rate = bytes as f64 / seconds.max(1e-6);
            self.seen = (wire_bytes, wire_seconds);
        }
    }
}
