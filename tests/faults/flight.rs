//! A bit flips while it moves: between the agents, to the destination's disk, and back from it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xenbeta::agent::disk::Image;

use crate::line::{Bit, flipping};
use crate::mover::Lab;
use crate::mover_store::{Faults, Faulty};
use crate::rng::Rng;

pub const SIZE: u64 = 256 * 1024;

pub fn from_source(rng: &mut Rng) -> Result<(), String> {
    // Half of them in the handshake and the first frames.
    let below = if rng.below(2) == 0 { 800 } else { SIZE };
    line(rng, below, true)
}

pub fn to_source(rng: &mut Rng) -> Result<(), String> {
    line(rng, 850, false)
}

fn line(rng: &mut Rng, below: u64, from_source: bool) -> Result<(), String> {
    let mut lab = Lab::new(&[SIZE]);
    rng.write(&lab.source_disk(1), 0, SIZE as usize);
    let bit = Bit {
        at: rng.below(below),
        bit: rng.below(8),
        from_source,
    };
    let (address, flipped) = flipping(lab.peer.address.clone(), bit);
    lab.peer.address = address;
    lab.seal();
    // An attempt may be given up, in words; the next one ends right.
    let report = lab
        .finish()
        .or_else(|_| lab.finish())
        .map_err(|e| e.to_string())?;
    lab.assert_equal(&report);
    if flipped.load(Ordering::SeqCst) {
        Ok(())
    } else {
        Err(format!("no bit flipped at {}", bit.at))
    }
}

/// Flips a bit of the byte at `at` the first time it passes, on the way to the disk or back from it.
struct OneBit {
    at: u64,
    bit: u64,
    to_disk: bool,
    passed: AtomicU64,
}

impl OneBit {
    fn hits(&self, buf: &[u8], at: u64, to_disk: bool) -> bool {
        self.to_disk == to_disk
            && (at..at + buf.len() as u64).contains(&self.at)
            && self.passed.fetch_add(1, Ordering::SeqCst) == 0
    }
}

impl Faults for OneBit {
    fn write(&self, image: &dyn Image, buf: &[u8], at: u64) -> io::Result<()> {
        let mut sent = buf.to_vec();
        if self.hits(buf, at, true) {
            sent[(self.at - at) as usize] ^= 1 << self.bit;
        }
        image.write_at(&sent, at)
    }
    fn read_uncached(&self, image: &dyn Image, buf: &mut [u8], at: u64) -> io::Result<()> {
        image.read_uncached(buf, at)?;
        if self.hits(buf, at, false) {
            buf[(self.at - at) as usize] ^= 1 << self.bit;
        }
        Ok(())
    }
}

pub fn written(rng: &mut Rng) -> Result<(), String> {
    at_the_disk(rng, true)
}

pub fn read_back(rng: &mut Rng) -> Result<(), String> {
    at_the_disk(rng, false)
}

fn at_the_disk(rng: &mut Rng, to_disk: bool) -> Result<(), String> {
    let fault = Arc::new(OneBit {
        at: rng.below(SIZE),
        bit: rng.below(8),
        to_disk,
        passed: AtomicU64::new(0),
    });
    let lab = Lab::wrapped(&[SIZE], |store| Faulty::wrap(store, fault.clone()));
    rng.write(&lab.source_disk(1), 0, SIZE as usize);
    lab.seal();
    let report = lab.finish().map_err(|e| e.to_string())?;
    lab.assert_equal(&report);
    // Found, and so it passed once more.
    match fault.passed.load(Ordering::SeqCst) {
        0 | 1 => Err(format!("nobody noticed at {}", fault.at)),
        _ => Ok(()),
    }
}
