//! A tap as a descriptor: who has it sends and receives the frames of that one port, and needs no right for it.
#![allow(
    unsafe_code,
    reason = "no safe crate attaches a tap; see the SAFETY comment"
)]

use std::fs::{File, OpenOptions};
use std::io;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `struct ifreq`: a name, and for this call its flags.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// `TUNSETIFF`, which is declared with an `int`, whatever it takes.
const SET_INTERFACE: Opcode = opcode::write::<i32>(b'T', 202);
/// Ethernet frames, without a header of the driver's in front of them.
const TAP: u16 = 0x0002;
const NO_HEADER: u16 = 0x1000;

/// Attaches to the tap of this name, in the network namespace of the caller. Needs `CAP_NET_ADMIN`.
pub(crate) fn open(name: &str) -> io::Result<File> {
    let mut request = Request {
        name: [0; 16],
        flags: TAP | NO_HEADER,
        rest: [0; 22],
    };
    // The last byte stays 0.
    for (to, from) in request.name.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: TUNSETIFF reads a `struct ifreq` (40 bytes, all initialised here) and writes its name back into it, which
    // lives across the call.
    unsafe { ioctl(&file, Setter::<SET_INTERFACE, Request>::new(request)) }?;
    Ok(file)
}
