//! Anti-spoofing: a guest can use its own MAC and its own addresses, and no others. One nftables table a guest, in the bridge's
//! family and named after its port; made before the port exists, changed and removed in one transaction. [`super::guard`]
//! sees to it that they are there.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::nft::Chain;
use crate::agent::driver::DriverError;
use crate::agent::driver::net::{addresses, mac_bytes};
use crate::wire::GuestSpec;

/// The one chain of a guest's table.
pub const CHAIN: &str = "from_guest";
const HOOK: &str = "prerouting";
/// The last rule's comment begins so: how many rules there are, and their digest.
const MARK: &str = "xenbeta ";

/// The last rule's comment, of the text of [`rules`]: by it the loaded rules are known as these.
pub fn mark(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("comment \"")?;
    let (mark, _) = rest.split_once('"')?;
    mark.starts_with(MARK).then_some(mark)
}

/// Are these the rules of that mark, all of them, where the guest's packets come by? Without a mark (of an earlier
/// release) any rules will do.
pub fn is_whole(chain: Option<&Chain>, mark: Option<&str>) -> bool {
    let Some(chain) = chain.filter(|chain| chain.hook.as_deref() == Some(HOOK)) else {
        return false;
    };
    let Some(mark) = mark else {
        return chain.rules > 0;
    };
    let count = mark
        .strip_prefix(MARK)
        .and_then(|rest| rest.split(' ').next());
    chain.last.as_deref() == Some(mark) && count == Some(&chain.rules.to_string())
}

/// What may come out of the guest. Everything is named; what is not named is dropped: other protocols (802.1Q, STP), other
/// sources, answers for others, and router advertisements, redirects and DHCP answers, which nobody asks a guest for.
pub fn rules(port: &str, spec: &GuestSpec) -> Result<String, DriverError> {
    let mac = spec.mac.to_ascii_lowercase();
    let bytes = mac_bytes(&mac).ok_or_else(|| DriverError::Host(format!("mac {:?}", spec.mac)))?;
    let mut v4 = Vec::new();
    let mut v6 = vec![link_local(bytes)];
    for address in addresses(spec)? {
        match address {
            IpAddr::V4(address) => v4.push(address),
            IpAddr::V6(address) => v6.push(address),
        }
    }
    let body = format!(
        "\t\tiifname != \"{port}\" accept\n\
         \t\tether saddr != {mac} drop\n\
         {}\
         {}",
        rules_v4(&mac, &v4),
        rules_v6(&v6),
    );
    let digest = blake3::hash(body.as_bytes()).to_hex();
    let digest = digest.as_str().get(..16).unwrap_or_default();
    let count = body.lines().count() + 1;
    Ok(format!(
        "add table bridge {port}\n\
         delete table bridge {port}\n\
         table bridge {port} {{\n\
         \tchain {CHAIN} {{\n\
         \t\ttype filter hook {HOOK} priority -300; policy accept;\n\
         {body}\
         \t\tdrop comment \"{MARK}{count} {digest}\"\n\
         \t}}\n\
         }}\n"
    ))
}

fn rules_v4(mac: &str, own: &[Ipv4Addr]) -> String {
    let mut text = String::new();
    if own.is_empty() {
        return text;
    }
    let set = joined(own.iter().map(ToString::to_string));
    let card = format!(
        "ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether {mac}"
    );
    let mut line = |rule: &str| {
        let _ = writeln!(text, "\t\t{rule}");
    };
    line(&format!("{card} arp saddr ip {{ {set} }} accept"));
    // A guest asks whether its own address is taken before it has one.
    line(&format!(
        "{card} arp operation request arp saddr ip 0.0.0.0 arp daddr ip {{ {set} }} accept"
    ));
    line("ether type ip udp sport 67 drop");
    line(&format!("ether type ip ip saddr {{ {set} }} accept"));
    text
}

fn rules_v6(own: &[Ipv6Addr]) -> String {
    let set = joined(own.iter().map(ToString::to_string));
    // The address a neighbour advertisement is about: 128 bits, 64 into the message.
    let targets = joined(
        own.iter()
            .map(|address| format!("{:#x}", u128::from(*address))),
    );
    [
        "ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } drop".to_owned(),
        "ether type ip6 udp sport 547 drop".to_owned(),
        format!("ether type ip6 icmpv6 type nd-neighbor-advert @th,64,128 != {{ {targets} }} drop"),
        format!("ether type ip6 ip6 saddr {{ {set} }} accept"),
        // Before it has an address: is it taken, and which groups it listens to.
        "ether type ip6 ip6 saddr :: icmpv6 type { nd-neighbor-solicit, mld2-listener-report } accept".to_owned(),
    ]
    .iter()
    .flat_map(|rule| ["\t\t", rule, "\n"])
    .collect()
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// The address every IPv6 interface has by its MAC (the modified EUI-64 form).
fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [first, second, third, rest @ ..] = mac;
    let mut octets = [0; 16];
    octets[0] = 0xfe;
    octets[1] = 0x80;
    octets[8..13].copy_from_slice(&[first ^ 2, second, third, 0xff, 0xfe]);
    octets[13..].copy_from_slice(&rest);
    octets.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::domain::ids::IpId;
    use crate::domain::linode::IpKind;
    use crate::wire::AddressSpec;

    fn spec(addresses: &[&str]) -> GuestSpec {
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
            ether type ip udp sport 67 drop
            ether type ip ip saddr { 10.77.0.10, 192.168.1.2 } accept
            ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } drop
            ether type ip6 udp sport 547 drop
            ether type ip6 icmpv6 type nd-neighbor-advert @th,64,128 != { 0xfe80000000000000fcfd40fffe1647b4, 0x20010db8000000000000000000000010 } drop
            ether type ip6 ip6 saddr { fe80::fcfd:40ff:fe16:47b4, 2001:db8::10 } accept
            ether type ip6 ip6 saddr :: icmpv6 type { nd-neighbor-solicit, mld2-listener-report } accept
            drop comment "xenbeta 12 DIGEST"
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
        let count =
            one.lines().count() - "add, delete, table, chain, type, }, }".split(',').count();
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
        assert!(
            !text.contains("saddr {  }")
                && !text.contains("ether type ip ")
                && !text.contains("arp")
        );
        assert!(text.contains("ip6 saddr { fe80::fcfd:40ff:fe16:47b4 }"));
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
}
