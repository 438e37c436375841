//! What changed between two files that share blocks (reflink clones): where both have the same bytes at the same place
//! on the device, and neither can be written in place, the content is the same.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::ioctl_ficlone;

use super::dir::Dir;
use super::sys::{self, Extent};

/// Makes `to` in `folder` a clone of `from`, in the place of whatever was there.
pub fn clone_file(from: &File, folder: &Dir, to: &str) -> io::Result<File> {
    let clone = folder.create_anew(to)?;
    ioctl_ficlone(&clone, from)?;
    Ok(clone)
}

/// Whether clones work in this folder and their places can be asked: found by doing it.
pub fn supported(folder: &Dir) -> bool {
    let tried = || -> io::Result<bool> {
        let one = folder.create_anew(".probe-a")?;
        std::os::unix::fs::FileExt::write_all_at(&one, &[1; 8192], 0)?;
        one.sync_all()?;
        let two = clone_file(&one, folder, ".probe-b")?;
        let mut differs = false;
        differences(&one, &two, 8192, &mut |_| differs = true)?;
        Ok(!differs)
    };
    let works = tried().unwrap_or(false);
    for name in [".probe-a", ".probe-b"] {
        let _ = folder.remove(name);
    }
    works
}

/// Reports every stretch below `size` where `a` and `b` may differ. Reads no content; holds one batch of extents each.
pub fn differences(
    a: impl AsFd,
    b: impl AsFd,
    size: u64,
    report: &mut dyn FnMut(Range<u64>),
) -> io::Result<()> {
    let mut a = Walk::new(a);
    let mut b = Walk::new(b);
    let mut at = 0;
    while at < size {
        let left = a.at(at)?;
        let right = b.at(at)?;
        let end = left.until.min(right.until).min(size);
        if left.place != right.place || left.place == Place::Vague {
            report(at..end);
        }
        at = end.max(at + 1);
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
    batch: std::collections::VecDeque<Extent>,
    ended: bool,
    asked: u64,
}

impl<F: AsFd> Walk<F> {
    fn new(file: F) -> Self {
        Self {
            file,
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
            let (found, last) = sys::extents(&self.file, from)?;
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
