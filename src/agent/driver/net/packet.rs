//! Frames that tell a network where addresses are now, and the socket that sends them as they are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};

const BROADCAST: [u8; 6] = [0xff; 6];
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The multicast address that `ALL_NODES` is sent to on Ethernet.
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// The kernel's `sockaddr_ll`, which names an interface.
#[repr(C)]
struct Link {
    family: u16,
    protocol: u16,
    interface: i32,
    hardware: u16,
    kind: u8,
    length: u8,
    address: [u8; 8],
}

// SAFETY: `Link` is `repr(C)` with the fields of `sockaddr_ll` in order and without padding (20 bytes, all initialised);
// the closure gets a pointer to a live one with exactly its size.
#[allow(
    unsafe_code,
    reason = "rustix has no address type for packet sockets, and its trait for one is unsafe"
)]
unsafe impl SocketAddrArg for Link {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        const LENGTH: SocketAddrLen = 20;
        const { assert!(size_of::<Link>() == LENGTH as usize) };
        f(std::ptr::from_ref(self).cast(), LENGTH)
    }
}

/// Sends whole Ethernet frames out of one interface. Needs `CAP_NET_RAW`.
pub(super) fn send(interface: i32, frames: &[Vec<u8>]) -> io::Result<()> {
    // No protocol: this socket receives nothing.
    let socket = socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let to = Link {
        family: AddressFamily::PACKET.as_raw(),
        protocol: 0,
        interface,
        hardware: 0,
        kind: 0,
        length: 6,
        address: [0xff; 8],
    };
    for frame in frames {
        sendto(&socket, frame, SendFlags::empty(), &to)?;
    }
    Ok(())
}

/// The frame that says "`address` is at `mac`": a gratuitous ARP request, or an unsolicited neighbour advertisement.
pub(super) fn announcement(mac: [u8; 6], address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp(mac, address),
        IpAddr::V6(address) => advertisement(mac, address),
    }
}

fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16) -> Vec<u8> {
    [&to[..], &from[..], &kind.to_be_bytes()[..]].concat()
}

fn arp(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, ARP);
    // Ethernet and IPv4, their lengths, and "request": the form every neighbour heeds.
    frame.extend([0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend(address.octets());
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

fn advertisement(mac: [u8; 6], address: Ipv6Addr) -> Vec<u8> {
    // Neighbour advertisement, no sum yet, "override", the target, and the option with its link-layer address.
    let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend(address.octets());
    message.extend([2, 1]);
    message.extend(mac);
    let sum = checksum(address, ALL_NODES, &message);
    message.splice(2..4, sum.to_be_bytes());
    let mut frame = ethernet(ALL_NODES_MAC, mac, IPV6);
    // Version 6, the length, ICMPv6 next, and the hop limit that proves it came from this link.
    frame.extend([0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame.extend(address.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(message);
    frame
}

/// The internet checksum of an `ICMPv6` message with its pseudo header.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes
            .chunks_exact(2)
            .map(|pair| {
                pair.iter()
                    .fold(0, |word, byte| word << 8 | u32::from(*byte))
            })
            .sum()
    };
    let length = u32::try_from(message.len()).unwrap_or(0);
    let mut sum = words(&from.octets()) + words(&to.octets()) + words(message) + length + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0xfe, 0xfd, 0x40, 0x16, 0x47, 0xb4];

    fn hex(bytes: &[u8]) -> String {
        data_encoding::HEXLOWER.encode(bytes)
    }

    #[test]
    fn gratuitous_arp() {
        let frame = announcement(MAC, "10.77.0.10".parse().unwrap());
        assert_eq!(
            hex(&frame),
            concat!(
                "ffffffffffff",
                "fefd401647b4",
                "0806",
                "0001080006040001",
                "fefd401647b4",
                "0a4d000a",
                "000000000000",
                "0a4d000a"
            )
        );
    }

    #[test]
    fn unsolicited_advertisement() {
        let address: Ipv6Addr = "2001:db8::10".parse().unwrap();
        let frame = announcement(MAC, address.into());
        assert_eq!(frame.len(), 14 + 40 + 32);
        assert_eq!(
            hex(&frame[..22]),
            "333300000001fefd401647b486dd6000000000203aff"
        );
        assert_eq!(frame[54..56], [136, 0]);
        // A right sum makes the sum over everything come out as nothing.
        assert_eq!(checksum(address, ALL_NODES, &frame[54..]), 0);
    }
}
