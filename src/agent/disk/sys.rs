//! The one ioctl no safe crate offers: FIEMAP, "where on the device are this file's bytes".
//!
//! Unsafe is needed because the kernel writes extents into memory we hand it. It is sound here: the struct is
//! `#[repr(C)]`, laid out as `struct fiemap` followed by exactly `COUNT` extents, lives across the call, holds plain
//! integers only (any bit pattern is a value), and the kernel writes at most `extent_count` of them.
#![allow(unsafe_code, reason = "the one exception in the project; see above")]

use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};

/// Extents asked for in one call.
const COUNT: usize = 256;

const FLAG_SYNC: u32 = 1;
const EXTENT_LAST: u32 = 1;
/// Unknown, delalloc, encoded, encrypted, not aligned, inline, tail, unwritten: the place says nothing of the content.
const EXTENT_VAGUE: u32 = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800;

#[repr(C)]
#[derive(Clone, Copy)]
struct RawExtent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

#[repr(C)]
struct Header {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
}

#[repr(C)]
struct Request {
    header: Header,
    extents: [RawExtent; COUNT],
}

struct Fiemap<'a>(&'a mut Request);

// SAFETY: the opcode is FS_IOC_FIEMAP (_IOWR('f', 11, struct fiemap)), its argument a `struct fiemap` with room for
// `extent_count` extents behind it, which is what `Request` is.
unsafe impl Ioctl for Fiemap<'_> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<Header>(b'f', 11)
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(
        _: IoctlOutput,
        _: *mut std::ffi::c_void,
    ) -> rustix::io::Result<Self::Output> {
        Ok(())
    }
}

/// A stretch of a file and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub logical: u64,
    pub length: u64,
    /// `None`: the place says nothing of the content (delayed, unwritten, inline, compressed …).
    pub physical: Option<u64>,
}

impl Extent {
    pub(super) fn end(&self) -> u64 {
        self.logical.saturating_add(self.length)
    }
}

/// The next extents at or after `start` (a bounded batch), and whether the last of the file is among them. `settled`: as
/// they are when all that is in memory is written.
pub(super) fn extents(
    file: impl AsFd,
    start: u64,
    settled: bool,
) -> io::Result<(Vec<Extent>, bool)> {
    let empty = RawExtent {
        logical: 0,
        physical: 0,
        length: 0,
        reserved64: [0; 2],
        flags: 0,
        reserved: [0; 3],
    };
    let mut request = Box::new(Request {
        header: Header {
            start,
            length: u64::MAX - start,
            flags: if settled { FLAG_SYNC } else { 0 },
            mapped_extents: 0,
            extent_count: u32::try_from(COUNT).unwrap_or(0),
            reserved: 0,
        },
        extents: [empty; COUNT],
    });
    // SAFETY: `Fiemap` upholds the ioctl's contract, see its implementation.
    unsafe { ioctl(file, Fiemap(&mut request))? };
    let mapped = usize::try_from(request.header.mapped_extents)
        .unwrap_or(0)
        .min(COUNT);
    let mut last = mapped == 0;
    let mut found = Vec::with_capacity(mapped);
    for raw in request.extents.iter().take(mapped) {
        last |= raw.flags & EXTENT_LAST != 0;
        found.push(Extent {
            logical: raw.logical,
            length: raw.length,
            physical: (raw.flags & EXTENT_VAGUE == 0).then_some(raw.physical),
        });
    }
    Ok((found, last))
}
