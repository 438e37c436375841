//! When to stop warm passes, and when to compress. Pure: figures in, a word out.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and times: a part in a million does not matter, and all are positive"
)]

use std::time::Duration;

/// What one warm pass took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PassStats {
    /// Bytes of the disks that differed and were sent, before compression.
    pub changed_bytes: u64,
    pub took: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Again,
    /// What the final pass will have to send is small.
    Small,
    /// Another pass would find about as much changed as this one did.
    NoGain,
    /// As many passes as were asked for.
    Enough,
}

/// A rest that takes less than this to send is not worth another pass.
const SMALL: Duration = Duration::from_millis(200);
/// A rest below this is never worth another pass.
const SMALL_BYTES: u64 = 4 << 20;
/// A pass must have found at most this share of what the pass before it found.
const GAIN: f64 = 0.7;

/// After these passes of one warm copy: another? The rest is taken to be what the last pass found changed, scaled by how
/// long that pass was against the one before: a guest dirties in proportion to time.
pub fn next(passes: &[PassStats], max_passes: u32) -> Next {
    let Some(last) = passes.last() else {
        return if max_passes == 0 {
            Next::Enough
        } else {
            Next::Again
        };
    };
    if passes.len() >= usize::try_from(max_passes).unwrap_or(usize::MAX) {
        return Next::Enough;
    }
    // The first pass finds everything "changed" and says nothing of how fast the guest writes.
    let Some(before) = passes.len().checked_sub(2).and_then(|i| passes.get(i)) else {
        return if last.changed_bytes == 0 {
            Next::Small
        } else {
            Next::Again
        };
    };
    let rest = rest_bytes(passes);
    let rate = last.changed_bytes.max(1) as f64 / last.took.as_secs_f64().max(1e-3);
    if rest <= SMALL_BYTES || rest as f64 / rate <= SMALL.as_secs_f64() {
        return Next::Small;
    }
    if last.changed_bytes as f64 > before.changed_bytes as f64 * GAIN {
        return Next::NoGain;
    }
    Next::Again
}

/// What the guest has probably changed since the last pass began.
pub fn rest_bytes(passes: &[PassStats]) -> u64 {
    match passes {
        [.., before, last] => {
            let scale = last.took.as_secs_f64() / before.took.as_secs_f64().max(1e-3);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "never negative, and no more than changed_bytes"
            )]
            let scaled = (last.changed_bytes as f64 * scale.min(1.0)) as u64;
            scaled
        }
        [only] => only.changed_bytes,
        [] => 0,
    }
}

/// A connection slower than this gains by level-1 compression of what compresses well; a faster one is held up by it
/// (level 1 does a few hundred MB/s a core, and both cores have hashing and encryption to do).
const SLOW_LINK: f64 = 60e6;
/// A sample must shrink to this share or less.
const WORTH: f64 = 0.8;

/// Try a sample on a connection that lately took `bytes_per_s`?
pub fn compress_on(bytes_per_s: f64) -> bool {
    bytes_per_s < SLOW_LINK
}

pub fn compress_pays(sample: usize, compressed: usize) -> bool {
    (compressed as f64) < sample as f64 * WORTH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(changed_mb: u64, ms: u64) -> PassStats {
        PassStats {
            changed_bytes: changed_mb << 20,
            took: Duration::from_millis(ms),
        }
    }

    #[test]
    fn an_idle_guest_gets_two_passes() {
        assert_eq!(next(&[], 5), Next::Again);
        assert_eq!(next(&[pass(2048, 4000)], 5), Next::Again);
        assert_eq!(next(&[pass(2048, 4000), pass(1, 900)], 5), Next::Small);
    }

    #[test]
    fn an_empty_disk_gets_one() {
        assert_eq!(next(&[pass(0, 10)], 5), Next::Small);
    }

    #[test]
    fn a_guest_that_writes_gets_passes_while_they_shrink() {
        let mut passes = vec![pass(8000, 80_000), pass(2000, 20_000)];
        assert_eq!(next(&passes, 9), Next::Again);
        passes.push(pass(500, 5_000));
        assert_eq!(next(&passes, 9), Next::Again);
        passes.push(pass(450, 4_500));
        assert_eq!(next(&passes, 9), Next::NoGain);
    }

    #[test]
    fn never_more_than_asked() {
        assert_eq!(next(&[], 0), Next::Enough);
        assert_eq!(next(&[pass(2048, 4000)], 1), Next::Enough);
        assert_eq!(next(&[pass(2048, 4000), pass(900, 2000)], 2), Next::Enough);
    }

    #[test]
    fn compression_is_for_slow_links_and_what_shrinks() {
        assert!(!compress_on(f64::INFINITY));
        assert!(!compress_on(500e6));
        assert!(compress_on(12e6));
        assert!(compress_pays(16_384, 5_000));
        assert!(!compress_pays(16_384, 16_000));
    }

    #[test]
    fn the_rest_shrinks_with_the_pass() {
        assert_eq!(
            rest_bytes(&[pass(8000, 80_000), pass(2000, 20_000)]),
            500 << 20
        );
        assert_eq!(rest_bytes(&[pass(3, 10)]), 3 << 20);
        assert_eq!(rest_bytes(&[]), 0);
    }
}
