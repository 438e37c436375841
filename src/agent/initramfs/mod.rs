//! The provider's initramfs: what runs in a guest's own domain between the kernel and the guest's init, and how it is made.
//!
//! The rule of this room: no host mounts or parses a customer's file system. What must be changed in one is changed by the
//! scripts of `files/`, inside the guest, where a malicious image hurts nobody but itself.
//!
//! * `words` says what the scripts learn from the kernel's command line; * `build` puts an initramfs together from
//!   busybox, the scripts and a kernel's modules; * `modules` reads what `depmod` wrote; * `cpio` writes archives; `elf` asks a
//!   program what it needs.

mod build;
mod cpio;
mod elf;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod modules;
pub mod words;

pub use build::{Compression, Options, Set, build, write};
