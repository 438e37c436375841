//! A file system that clones, on one that need not: clones are copies, and how full it is follows from them. Guests write
//! through it, so that it knows when one of them would have found no room.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use xenbeta::agent::disk::{Ground, Space};

const BLOCK: usize = 4096;

pub struct FakeGround {
    total: u64,
    /// Bytes that something else takes.
    pub others: AtomicU64,
    /// Live disks, and the clones made of them.
    state: Mutex<State>,
    /// Writes of guests that would have found no room.
    pub hurt: AtomicU64,
}

#[derive(Default)]
struct State {
    disks: Vec<File>,
    /// Clone and disk.
    clones: Vec<(File, File)>,
}

impl State {
    fn used(&self) -> u64 {
        let stored = self.disks.iter().map(blocks);
        let held = self.clones.iter().map(|(clone, disk)| own(clone, disk));
        (stored.sum::<usize>() + held.sum::<usize>()) as u64 * BLOCK as u64
    }
}

impl FakeGround {
    pub fn new(total: u64) -> Arc<Self> {
        Arc::new(Self {
            total,
            others: AtomicU64::new(0),
            state: Mutex::default(),
            hurt: AtomicU64::new(0),
        })
    }

    /// Counts a live disk.
    pub fn disk(&self, disk: &File) {
        let disk = disk.try_clone().unwrap();
        self.state.lock().unwrap().disks.push(disk);
    }

    /// What was tried before there were disks counts for nothing.
    pub fn forget_clones(&self) {
        self.state.lock().unwrap().clones.clear();
    }

    /// Something else takes all but so many bytes.
    pub fn leave(&self, free: u64) {
        let used = self.state.lock().unwrap().used();
        self.others
            .store(self.total - used - free, Ordering::SeqCst);
    }

    /// A guest's write: whole blocks, to a disk that is counted.
    pub fn write(&self, disk: &File, at: u64, bytes: &[u8]) {
        let state = self.state.lock().unwrap();
        let used = state.used();
        disk.write_all_at(bytes, at).unwrap();
        let free = self.free(used);
        if state.used().saturating_sub(used) > free {
            self.hurt.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Clones that hold anything.
    pub fn clones(&self) -> usize {
        let state = self.state.lock().unwrap();
        let there = |(clone, _): &&(File, File)| blocks(clone) > 0;
        state.clones.iter().filter(there).count()
    }

    fn free(&self, used: u64) -> u64 {
        let others = self.others.load(Ordering::SeqCst);
        self.total.saturating_sub(used).saturating_sub(others)
    }
}

/// What a disk holds; nothing if it was cut while it was read.
fn content(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().size()).unwrap()];
    if file.read_exact_at(&mut bytes, 0).is_err() {
        bytes.clear();
    }
    bytes
}

/// Zeros are kept nowhere by this file system.
fn is_hole(piece: &[u8]) -> bool {
    piece == &[0; BLOCK][..piece.len()]
}

fn blocks(disk: &File) -> usize {
    let content = content(disk);
    content
        .chunks(BLOCK)
        .filter(|piece| !is_hole(piece))
        .count()
}

/// How many blocks of `clone` are so, in comparison with the disk's.
fn count(clone: &File, disk: &File, so: impl Fn(&[u8], &[u8]) -> bool) -> usize {
    let (clone, disk) = (content(clone), content(disk));
    let pairs = clone.chunks(BLOCK).zip(disk.chunks(BLOCK));
    let held = pairs.filter(|(clone, _)| !is_hole(clone));
    held.filter(|(clone, disk)| so(clone, disk)).count()
}

/// Blocks of `clone` that are no longer the disk's.
fn own(clone: &File, disk: &File) -> usize {
    count(clone, disk, |clone, disk| clone != disk)
}

impl Ground for FakeGround {
    fn space(&self) -> io::Result<Space> {
        let used = self.state.lock().unwrap().used();
        Ok(Space {
            total: self.total,
            free: self.free(used),
        })
    }

    fn share(&self, from: &File, to: &File) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        to.set_len(from.metadata()?.len())?;
        for (piece, at) in content(from).chunks(BLOCK).zip(0..) {
            if !is_hole(piece) {
                to.write_all_at(piece, at * BLOCK as u64)?;
            }
        }
        state.clones.push((to.try_clone()?, from.try_clone()?));
        Ok(())
    }

    fn differences(
        &self,
        elder: &File,
        newer: &File,
        _: u64,
        report: &mut dyn FnMut(Range<u64>),
    ) -> io::Result<()> {
        let _still = self.state.lock().unwrap();
        let (elder, newer) = (content(elder), content(newer));
        let at = |of: &[u8], from: usize| {
            let end = (from + BLOCK).min(of.len());
            of.get(from..end).unwrap_or_default().to_vec()
        };
        for from in (0..elder.len().max(newer.len())).step_by(BLOCK) {
            let (elder, newer) = (at(&elder, from), at(&newer, from));
            if elder != newer && !(is_hole(&elder) && is_hole(&newer)) {
                report(from as u64..(from + BLOCK) as u64);
            }
        }
        Ok(())
    }

    fn still_shared(&self, clone: &File, live: &File, _: u64) -> io::Result<u64> {
        let _still = self.state.lock().unwrap();
        let shared = count(clone, live, |clone, live| is_hole(live) || clone == live);
        Ok((shared * BLOCK) as u64)
    }
}
