//! What a guest sends, past the rules as the kernel has them.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use super::tests::spec;
use super::*;
use crate::agent::driver::net::namespace::inside;
use crate::agent::driver::net::nft::Nft;
use crate::agent::driver::net::{learns, packet, stop_learning, sys, tool};

const HERE: &str = "agent::driver::net::filter::frames::";
const MAC: [u8; 6] = [0xfe, 0xfd, 0x40, 0x16, 0x47, 0xb4];
const OTHER_MAC: [u8; 6] = [0xfe, 0xfd, 0, 0, 0, 0x99];
const ALL: [u8; 6] = [0xff; 6];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 10);
const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 77);
const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
const FOREIGN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77);
const NONE6: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
const NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMP6: u8 = 58;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;

/// A bridge with a guest's port, whose other end is `guest`, and a neighbour's, whose other end is `other`.
struct Wire {
    index: i32,
    _dir: tempfile::TempDir,
}

impl Wire {
    fn new(addresses: &[&str]) -> Self {
        let bridge = [
            "link",
            "add",
            "br0",
            "type",
            "bridge",
            "mcast_snooping",
            "0",
        ];
        tool("ip", &bridge).unwrap();
        for (port, end) in [("xb7", "guest"), ("xb8", "other")] {
            tool(
                "ip",
                &["link", "add", port, "type", "veth", "peer", "name", end],
            )
            .unwrap();
            tool("ip", &["link", "set", "dev", port, "master", "br0", "up"]).unwrap();
            tool("ip", &["link", "set", "dev", end, "up"]).unwrap();
        }
        tool("ip", &["link", "set", "dev", "br0", "up"]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("filter.nft");
        fs::write(&file, rules("xb7", &spec(addresses)).unwrap()).unwrap();
        Nft::default().load(&file).unwrap();
        let index = fs::read_to_string(sys("guest").join("ifindex")).unwrap();
        let wire = Self {
            index: index.trim().parse().unwrap(),
            _dir: dir,
        };
        // The links come up a moment after they were told to.
        let begun = Instant::now();
        while !wire.passes(&[arp(MAC, OWN)]) {
            assert!(begun.elapsed() < Duration::from_secs(10), "nothing passes");
        }
        wire
    }

    fn heard() -> u64 {
        let path = sys("other").join("statistics/rx_packets");
        fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }

    /// Did any of them arrive at the neighbour? One that passes comes after them: once it is there, they are or are not.
    fn passes(&self, frames: &[Vec<u8>]) -> bool {
        let before = Self::heard();
        packet::send(self.index, frames).unwrap();
        packet::send(self.index, &[arp(MAC, OWN)]).unwrap();
        let begun = Instant::now();
        while Self::heard() == before && begun.elapsed() < Duration::from_secs(2) {
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(10));
        Self::heard() > before + 1
    }

    /// Each alone, by its name.
    fn expect(&self, passes: bool, frames: &[(&str, Vec<u8>)]) {
        let frames = frames.iter();
        let wrong = frames.filter(|(_, frame)| self.passes(std::slice::from_ref(frame)) != passes);
        let wrong: Vec<&str> = wrong.map(|(what, _)| *what).collect();
        assert!(wrong.is_empty(), "not so ({passes}): {wrong:?}");
    }
}

fn ethernet(from: [u8; 6], kind: u16, content: &[u8]) -> Vec<u8> {
    let mut frame = [&ALL[..], &from, &kind.to_be_bytes(), content].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

fn arp(card: [u8; 6], sender: Ipv4Addr) -> Vec<u8> {
    ethernet(MAC, 0x0806, &arp_content(1, card, sender, FOREIGN))
}

fn arp_content(operation: u8, card: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, operation];
    [
        &head[..],
        &card,
        &sender.octets(),
        &[0; 6],
        &target.octets(),
    ]
    .concat()
}

/// `fragment`: the flags' and offset's 16 bits.
fn ip4(from: Ipv4Addr, protocol: u8, fragment: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + content.len()).unwrap().to_be_bytes();
    let fragment = fragment.to_be_bytes();
    let head = [
        0x45,
        0,
        length[0],
        length[1],
        0,
        1,
        fragment[0],
        fragment[1],
        64,
        protocol,
        0,
        0,
    ];
    let mut packet = [&head[..], &from.octets(), &[255; 4]].concat();
    let words = packet
        .chunks(2)
        .map(|it| u32::from(it[0]) << 8 | u32::from(it[1]));
    let sum: u32 = words.sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(content);
    ethernet(MAC, 0x0800, &packet)
}

fn udp(from: u16, to: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + content.len()).unwrap();
    let head: Vec<u8> = [from, to, length, 0]
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .collect();
    [&head[..], content].concat()
}

/// A request of DHCP for this card.
fn discover(card: [u8; 6]) -> Vec<u8> {
    let mut content = vec![0; 300];
    content[..4].copy_from_slice(&[1, 1, 6, 0]);
    content[28..34].copy_from_slice(&card);
    udp(68, 67, &content)
}

fn ip6(from: Ipv6Addr, next: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = [0x60, 0, 0, 0, length[0], length[1], next, 255];
    let packet = [&head[..], &from.octets(), &NODES.octets(), content].concat();
    ethernet(MAC, 0x86dd, &packet)
}

/// A message of ICMPv6 with an address 8 bytes into it.
fn icmp6(kind: u8, about: Ipv6Addr) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &about.octets()].concat()
}

/// A fragment's header before its content: what it is of, at which byte, and whether more comes.
fn fragment(next: u8, at: u16, more: bool, content: &[u8]) -> Vec<u8> {
    let offset = (at | u16::from(more)).to_be_bytes();
    [&[next, 0, offset[0], offset[1], 0, 0, 0, 1][..], content].concat()
}

/// Options that take so many eights of bytes, padded, before `next`.
fn options(next: u8, eights: u8) -> Vec<u8> {
    let mut header = vec![0; usize::from(eights) * 8];
    let fill = u8::try_from(header.len() - 4).unwrap();
    header[..4].copy_from_slice(&[next, eights - 1, 1, fill]);
    header
}

const ROUTER: u8 = 134;
const SOLICIT: u8 = 135;
const ADVERT: u8 = 136;

#[test]
fn a_guest_says_only_what_is_its_own_whatever_it_is_said_in() {
    inside(
        &format!("{HERE}a_guest_says_only_what_is_its_own_whatever_it_is_said_in"),
        || {
            let wire = Wire::new(&["10.77.0.10", "2001:db8::10"]);
            let tagged =
                |packet: Vec<u8>| [&packet[..12], &[0x81, 0, 0, 5], &packet[12..]].concat();
            let as_other = |mut packet: Vec<u8>| {
                packet[6..12].copy_from_slice(&OTHER_MAC);
                packet
            };
            let ping = icmp6(128, OWN6);
            wire.expect(
                true,
                &[
                    ("its own IPv4", ip4(OWN, 1, 0, &[8, 0, 0, 0])),
                    ("its own IPv6", ip6(OWN6, ICMP6, &ping)),
                    ("its own link-local", ip6(link_local(MAC), ICMP6, &ping)),
                    ("an ARP request", arp(MAC, OWN)),
                    (
                        "an ARP probe",
                        ethernet(MAC, 0x0806, &arp_content(1, MAC, NONE, OWN)),
                    ),
                    ("where it is itself", ip6(OWN6, ICMP6, &icmp6(ADVERT, OWN6))),
                ],
            );
            wire.expect(
                false,
                &[
                    ("another card", as_other(ip4(OWN, 1, 0, &[8, 0, 0, 0]))),
                    ("another IPv4", ip4(FOREIGN, 1, 0, &[8, 0, 0, 0])),
                    ("another IPv6", ip6(FOREIGN6, ICMP6, &ping)),
                    ("another in ARP", arp(MAC, FOREIGN)),
                    ("another's card in ARP", arp(OTHER_MAC, OWN)),
                    (
                        "an ARP answer from nowhere",
                        ethernet(MAC, 0x0806, &arp_content(2, MAC, NONE, OWN)),
                    ),
                    (
                        "another's ARP probe",
                        ethernet(MAC, 0x0806, &arp_content(1, MAC, NONE, FOREIGN)),
                    ),
                    (
                        "where another is",
                        ip6(OWN6, ICMP6, &icmp6(ADVERT, FOREIGN6)),
                    ),
                    (
                        "a router",
                        ip6(link_local(MAC), ICMP6, &icmp6(ROUTER, OWN6)),
                    ),
                    ("a redirect", ip6(link_local(MAC), ICMP6, &icmp6(137, OWN6))),
                    ("a DHCP answer", ip4(OWN, UDP, 0, &udp(67, 68, &[0; 300]))),
                    ("a DHCPv6 answer", ip6(OWN6, UDP, &udp(547, 546, &[0; 60]))),
                    ("a VLAN's", tagged(ip4(OWN, 1, 0, &[8, 0, 0, 0]))),
                    ("a VLAN's IPv6", tagged(ip6(OWN6, ICMP6, &ping))),
                    ("spanning tree", ethernet(MAC, 38, &[0x42, 0x42, 3])),
                    ("another protocol", ethernet(MAC, 0x88cc, &[])),
                ],
            );
        },
    );
}

#[test]
fn a_guest_that_asks_for_its_address_is_let() {
    inside(
        &format!("{HERE}a_guest_that_asks_for_its_address_is_let"),
        || {
            let wire = Wire::new(&["10.77.0.10", "2001:db8::10"]);
            let renew = ip4(OWN, UDP, 0, &discover(MAC));
            let dhcp6 = udp(546, 547, &[1, 0, 0, 1]);
            wire.expect(
                true,
                &[
                    ("DHCP from nowhere", ip4(NONE, UDP, 0, &discover(MAC))),
                    ("DHCP from its address", renew),
                    ("DHCPv6", ip6(link_local(MAC), UDP, &dhcp6)),
                    (
                        "is its address taken",
                        ip6(NONE6, ICMP6, &icmp6(SOLICIT, OWN6)),
                    ),
                    (
                        "is its link-local taken",
                        ip6(NONE6, ICMP6, &icmp6(SOLICIT, link_local(MAC))),
                    ),
                    (
                        "is there a router",
                        ip6(NONE6, ICMP6, &[133, 0, 0, 0, 0, 0, 0, 0]),
                    ),
                    ("groups", ip6(NONE6, ICMP6, &[143, 0, 0, 0, 0, 0, 0, 0])),
                ],
            );
            wire.expect(
                false,
                &[
                    (
                        "DHCP for another card",
                        ip4(NONE, UDP, 0, &discover(OTHER_MAC)),
                    ),
                    (
                        "anything else from nowhere",
                        ip4(NONE, UDP, 0, &udp(68, 53, &[0; 300])),
                    ),
                    ("a ping from nowhere", ip4(NONE, 1, 0, &[8, 0, 0, 0])),
                    (
                        "DHCP in fragments",
                        ip4(NONE, UDP, 0x2000, &discover(MAC)[..16]),
                    ),
                    (
                        "is another's taken",
                        ip6(NONE6, ICMP6, &icmp6(SOLICIT, FOREIGN6)),
                    ),
                    (
                        "an answer from nowhere",
                        ip6(NONE6, ICMP6, &icmp6(ADVERT, OWN6)),
                    ),
                    ("a ping from nowhere", ip6(NONE6, ICMP6, &icmp6(128, OWN6))),
                ],
            );
        },
    );
}

#[test]
fn nothing_hides_in_fragments() {
    inside(&format!("{HERE}nothing_hides_in_fragments"), || {
        let wire = Wire::new(&["10.77.0.10", "2001:db8::10"]);
        let own = link_local(MAC);
        let router = icmp6(ROUTER, OWN6);
        let plain = [options(ICMP6, 2), router.clone()].concat();
        let (long, early) = (options(ICMP6, 3), options(OPTIONS, 1));
        let first = |next, content: &[u8]| ip6(own, FRAGMENT, &fragment(next, 0, true, content));
        wire.expect(
            false,
            &[
                ("a router behind options", ip6(own, OPTIONS, &plain)),
                ("a router in a first fragment", first(ICMP6, &router[..16])),
                (
                    "in one that is all",
                    ip6(own, FRAGMENT, &fragment(ICMP6, 0, false, &router)),
                ),
                (
                    "options alone, the router in the second",
                    first(OPTIONS, &long),
                ),
                ("options cut short", first(OPTIONS, &long[..16])),
                (
                    "the second of them",
                    ip6(own, FRAGMENT, &fragment(OPTIONS, 24, false, &router)),
                ),
                (
                    "options before the fragment, and in it",
                    ip6(
                        own,
                        OPTIONS,
                        &[options(FRAGMENT, 1), fragment(OPTIONS, 0, true, &early)].concat(),
                    ),
                ),
                (
                    "a fragment in a fragment",
                    first(FRAGMENT, &fragment(ICMP6, 8, false, &router)),
                ),
                ("an empty first", first(ICMP6, &[])),
                (
                    "an answer for others, cut before its target",
                    first(ICMP6, &icmp6(ADVERT, FOREIGN6)[..8]),
                ),
                ("a DHCPv6 answer", first(UDP, &udp(547, 546, &[0; 16]))),
                (
                    "options that go beyond the end",
                    ip6(own, OPTIONS, &[ICMP6, 200, 1, 4, 0, 0, 0, 0]),
                ),
                (
                    "a DHCP answer by IPv4",
                    ip4(OWN, UDP, 0x2000, &udp(67, 68, &[0; 16])),
                ),
                (
                    "an empty first by IPv4",
                    ip4(OWN, UDP, 0x2000, &[])[..34].to_vec(),
                ),
            ],
        );
        // What is large and honest goes on in fragments.
        let ping = icmp6(128, OWN6);
        wire.expect(
            true,
            &[
                ("a first", first(ICMP6, &ping)),
                (
                    "a later",
                    ip6(own, FRAGMENT, &fragment(ICMP6, 24, false, &[0; 32])),
                ),
                ("a first of UDP", first(UDP, &udp(53, 5353, &[0; 16]))),
                (
                    "a later of UDP",
                    ip6(own, FRAGMENT, &fragment(UDP, 24, true, &[0; 32])),
                ),
                (
                    "a first by IPv4",
                    ip4(OWN, UDP, 0x2000, &udp(53, 5353, &[0; 16])),
                ),
                ("a later by IPv4", ip4(OWN, UDP, 3, &[0; 32])),
                ("TCP", ip6(own, 6, &[0; 20])),
            ],
        );
        wire.expect(
            false,
            &[(
                "a later from another",
                ip6(FOREIGN6, FRAGMENT, &fragment(ICMP6, 24, false, &[0; 32])),
            )],
        );
    });
}

#[test]
fn a_frame_that_no_rule_sees_moves_no_neighbour() {
    inside(
        &format!("{HERE}a_frame_that_no_rule_sees_moves_no_neighbour"),
        || {
            let wire = Wire::new(&["10.77.0.10"]);
            let victim = "fe:fd:00:00:00:99";
            let at = |port: &str| {
                let said = crate::command::Tool::new("bridge")
                    .args(["fdb", "show", "dev", port])
                    .run();
                said.unwrap().text().contains(victim)
            };
            let place = || {
                tool(
                    "bridge",
                    &["fdb", "replace", victim, "dev", "xb8", "master", "static"],
                )
            };
            let mut frame = ethernet(OTHER_MAC, 0x88cc, &[2, 7, 4]);
            frame[..6].copy_from_slice(&[1, 0x80, 0xc2, 0, 0, 0x0e]);
            place().unwrap();
            // The kernel as it is: the rules keep nobody from this.
            assert!(learns("xb7"));
            wire.passes(std::slice::from_ref(&frame));
            assert!(
                at("xb7") && !at("xb8"),
                "this kernel would not need the test"
            );
            place().unwrap();
            stop_learning("xb7").unwrap();
            assert!(!learns("xb7") && !learns("lo"));
            for last in 0..16 {
                frame[5] = last;
                wire.passes(std::slice::from_ref(&frame));
            }
            assert!(at("xb8") && !at("xb7"));
        },
    );
}
