//! The rules as texts; `frames` has what they let by.

use super::*;
use crate::domain::ids::IpId;
use crate::domain::linode::IpKind;
use crate::wire::AddressSpec;

pub(super) fn spec(addresses: &[&str]) -> GuestSpec {
    let address = |address: &&str| AddressSpec {
        id: IpId(1),
        address: (*address).to_owned(),
        prefix: 24,
        gateway: None,
        kind: IpKind::Public,
    };
    GuestSpec {
        label: "a\" accept".to_owned(),
        ram_mb: 64,
        mac: "FE:fd:40:16:47:b4".to_owned(),
        addresses: addresses.iter().map(address).collect(),
        disks: vec![],
        cpu_weight: 64,
        io_priority: 4,
    }
}

#[test]
fn the_whole_table() {
    let text = rules(
        "xb8204",
        &spec(&["10.77.0.10", "192.168.1.2", "2001:db8::10"]),
    )
    .unwrap();
    let digest = mark(&text).unwrap().rsplit(' ').next().unwrap();
    let text = text.replace(digest, "DIGEST");
    insta::assert_snapshot!(text.replace('\t', "  "), @r#"
    add table bridge xb8204
    delete table bridge xb8204
    table bridge xb8204 {
      chain from_guest {
        type filter hook prerouting priority -300; policy accept;
        iifname != "xb8204" accept
        ether saddr != fe:fd:40:16:47:b4 drop
        ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether fe:fd:40:16:47:b4 arp saddr ip { 10.77.0.10, 192.168.1.2 } accept
        ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether fe:fd:40:16:47:b4 arp operation request arp saddr ip 0.0.0.0 arp daddr ip { 10.77.0.10, 192.168.1.2 } accept
        ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 @th,288,48 0xfefd401647b4 accept
        ether type ip ip saddr != { 10.77.0.10, 192.168.1.2 } drop
        ether type ip udp sport != 67 accept
        ether type ip ip protocol != udp accept
        ether type ip ip frag-off & 0x1fff != 0 accept
        ether type ip6 frag nexthdr { 0, 43, 44, 51, 60, 135, 139, 140 } drop
        ether type ip6 ip6 saddr :: icmpv6 type { nd-router-solicit, mld-listener-report, mld2-listener-report } accept
        ether type ip6 ip6 saddr :: icmpv6 type nd-neighbor-solicit @th,64,128 { 0xfe80000000000000fcfd40fffe1647b4, 0x20010db8000000000000000000000010 } accept
        ether type ip6 ip6 saddr != { fe80::fcfd:40ff:fe16:47b4, 2001:db8::10 } drop
        ether type ip6 icmpv6 type nd-neighbor-advert @th,64,128 { 0xfe80000000000000fcfd40fffe1647b4, 0x20010db8000000000000000000000010 } accept
        ether type ip6 icmpv6 type != { nd-router-advert, nd-redirect, nd-neighbor-advert } accept
        ether type ip6 udp sport != 547 accept
        ether type ip6 meta l4proto != { icmpv6, udp } accept
        ether type ip6 frag frag-off != 0 accept
        drop comment "xenbeta 19 DIGEST"
      }
    }
    "#);
}

#[test]
fn the_loaded_rules_are_known_as_these() {
    let one = rules("xb1", &spec(&["10.0.0.1"])).unwrap();
    let other = rules("xb1", &spec(&["10.0.0.2"])).unwrap();
    let (own, others) = (mark(&one).unwrap(), mark(&other).unwrap());
    assert_ne!(own, others);
    let count = one.lines().count() - "add, delete, table, chain, type, }, }".split(',').count();
    let loaded = Chain {
        hook: Some("prerouting".to_owned()),
        rules: count,
        last: Some(own.to_owned()),
    };
    assert!(is_whole(Some(&loaded), Some(own)));
    assert!(!is_whole(Some(&loaded), Some(others)) && !is_whole(None, Some(own)));
    let but = |change: fn(&mut Chain)| {
        let mut chain = loaded.clone();
        change(&mut chain);
        is_whole(Some(&chain), Some(own))
    };
    assert!(!but(|it| it.rules -= 1), "one was deleted");
    assert!(!but(|it| it.last = None), "one came after");
    assert!(!but(|it| it.hook = None), "nothing comes by");
    // Those of an earlier release.
    assert!(is_whole(Some(&loaded), None) && mark("drop\n").is_none());
    assert!(!is_whole(Some(&Chain { rules: 0, ..loaded }), None));
}

#[test]
fn a_guest_without_addresses_may_say_nothing_by_ipv4() {
    let text = rules("xb1", &spec(&[])).unwrap();
    assert!(!text.contains("{  }") && !text.contains("ether type ip ") && !text.contains("arp"));
    assert!(text.contains("ip6 saddr != { fe80::fcfd:40ff:fe16:47b4 }"));
}

#[test]
fn only_addresses_get_in() {
    for address in [
        "10.0.0.1/8",
        "10.0.0.1 accept",
        "",
        "::1 }",
        "10.0.0.1, 10.0.0.2",
    ] {
        assert!(rules("xb1", &spec(&[address])).is_err(), "{address}");
    }
    let mut other = spec(&[]);
    other.mac = "fe:fd:40:16:47:b4 accept".to_owned();
    assert!(rules("xb1", &other).is_err());
}
