//! What changed between two files that share blocks (reflink clones): where both have the same bytes at the same place
//! on the device, and neither can be written in place, the content is the same.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Ground;
use super::dir::Dir;
use super::sys::{self, Extent};

/// An empty file that no name leads to: it is gone with whoever holds it. `name` is free again at once.
pub(super) fn nameless(folder: &Dir, name: &str) -> io::Result<File> {
    let file = folder.create_anew(name)?;
    folder.remove(name)?;
    Ok(file)
}

/// Whether clones work in this folder and their places can be asked: found by doing it. Under names of its own: `check` may try
/// it while an agent starts, and that agent would read whole disks from then on.
pub(super) fn supported(folder: &Dir, ground: &dyn Ground) -> bool {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = |which: &str| format!(".probe-{}-{number}-{which}", std::process::id());
    let tried = || -> io::Result<bool> {
        let one = nameless(folder, &name("a"))?;
        std::os::unix::fs::FileExt::write_all_at(&one, &[1; 8192], 0)?;
        one.sync_all()?;
        let two = nameless(folder, &name("b"))?;
        ground.share(&one, &two)?;
        let mut differs = false;
        ground.differences(&one, &two, 8192, &mut |_| differs = true)?;
        Ok(!differs)
    };
    tried().unwrap_or(false)
}

/// Reports every stretch below `size` where `a` and `b` may differ. Reads no content; holds one batch of extents each.
pub(super) fn differences(
    a: impl AsFd,
    b: impl AsFd,
    size: u64,
    report: &mut dyn FnMut(Range<u64>),
) -> io::Result<()> {
    walk(a, b, size, true, &mut |range, left, right| {
        if left != right || left == Place::Vague {
            report(range);
        }
    })
}

/// Bytes of `clone` that `live` has at no other place of its own: what is overwritten of them takes new blocks. Counts too
/// much rather than too little; what is not yet on the device counts as shared.
pub(super) fn still_shared(clone: impl AsFd, live: impl AsFd, size: u64) -> io::Result<u64> {
    let mut shared = 0;
    // Without waiting for what is not yet written: this asks in the middle of a guest's life.
    walk(clone, live, size, false, &mut |range, left, right| {
        let own = matches!(right, Place::At(_)) && left != right;
        if left != Place::Hole && !own {
            shared += range.end - range.start;
        }
    })?;
    Ok(shared)
}

/// Goes through two files side by side, stretch by stretch. `settled`: what is still in memory is written first.
fn walk(
    a: impl AsFd,
    b: impl AsFd,
    size: u64,
    settled: bool,
    tell: &mut dyn FnMut(Range<u64>, Place, Place),
) -> io::Result<()> {
    let mut a = Walk::new(a, settled);
    let mut b = Walk::new(b, settled);
    let mut at = 0;
    while at < size {
        let left = a.at(at)?;
        let right = b.at(at)?;
        let end = left.until.min(right.until).min(size).max(at + 1);
        tell(at..end, left.place, right.place);
        at = end;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Hole,
    /// The device's address of the byte asked for.
    At(u64),
    Vague,
}

struct Here {
    place: Place,
    until: u64,
}

/// Goes through a file's extents in order, a batch at a time.
struct Walk<F> {
    file: F,
    settled: bool,
    batch: std::collections::VecDeque<Extent>,
    ended: bool,
    asked: u64,
}

impl<F: AsFd> Walk<F> {
    fn new(file: F, settled: bool) -> Self {
        Self {
            file,
            settled,
            batch: std::collections::VecDeque::new(),
            ended: false,
            asked: 0,
        }
    }

    /// Where byte `offset` is, and until where that holds. Offsets must not go back.
    fn at(&mut self, offset: u64) -> io::Result<Here> {
        loop {
            while self
                .batch
                .front()
                .is_some_and(|extent| extent.end() <= offset)
            {
                self.batch.pop_front();
            }
            if let Some(extent) = self.batch.front() {
                return Ok(here(extent, offset));
            }
            if self.ended {
                return Ok(Here {
                    place: Place::Hole,
                    until: u64::MAX,
                });
            }
            let from = self.asked.max(offset);
            let (found, last) = sys::extents(&self.file, from, self.settled)?;
            // A batch that brings nothing on cannot be followed by another: never ask the same twice.
            let reached = found.last().map_or(from, Extent::end);
            self.ended = last || reached <= from;
            self.asked = reached;
            self.batch.extend(found);
        }
    }
}

fn here(extent: &Extent, offset: u64) -> Here {
    if extent.logical > offset {
        return Here {
            place: Place::Hole,
            until: extent.logical,
        };
    }
    let place = extent.physical.map_or(Place::Vague, |start| {
        Place::At(start + (offset - extent.logical))
    });
    Here {
        place,
        until: extent.end(),
    }
}
