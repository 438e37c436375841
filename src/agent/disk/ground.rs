//! What the file system under a store is asked about clones and room. The real one asks the kernel; tests have one that
//! copies, on a disk as full as they like.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::{fstatvfs, ioctl_ficlone};

use super::dir::Dir;
use super::{Space, clones};

pub trait Ground: Send + Sync {
    /// Bytes in all, and those a guest can still take.
    fn space(&self) -> io::Result<Space>;
    /// Makes the empty file `to` share all of `from`'s blocks.
    fn share(&self, from: &File, to: &File) -> io::Result<()>;
    /// Reports every stretch below `size` where the two may differ.
    fn differences(
        &self,
        elder: &File,
        newer: &File,
        size: u64,
        report: &mut dyn FnMut(Range<u64>),
    ) -> io::Result<()>;
    /// How many bytes of `clone` the guest of `live` may still need anew: all that it has not yet overwritten elsewhere.
    fn still_shared(&self, clone: &File, live: &File, size: u64) -> io::Result<u64>;
}

/// The file system that a folder is on.
pub(super) struct Kernel(pub Dir);

impl Ground for Kernel {
    fn space(&self) -> io::Result<Space> {
        let stat = fstatvfs(&self.0)?;
        Ok(Space {
            total: stat.f_blocks * stat.f_frsize,
            free: stat.f_bavail * stat.f_frsize,
        })
    }

    fn share(&self, from: &File, to: &File) -> io::Result<()> {
        Ok(ioctl_ficlone(to, from)?)
    }

    fn differences(
        &self,
        elder: &File,
        newer: &File,
        size: u64,
        report: &mut dyn FnMut(Range<u64>),
    ) -> io::Result<()> {
        clones::differences(elder, newer, size, report)
    }

    fn still_shared(&self, clone: &File, live: &File, size: u64) -> io::Result<u64> {
        clones::still_shared(clone, live, size)
    }
}
