//! Anti-spoofing, whatever runs the guest: it can use its own MAC and its own addresses, and no others. One nftables table a
//! guest, in the bridge's family and named after its port; made before the port exists, changed and removed in one transaction.
//! [`super::guard`] sees to it that they are there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::nft::Chain;
use super::{addresses, mac_bytes};
use crate::agent::driver::DriverError;
use crate::wire::GuestSpec;

/// The one chain of a guest's table.
pub(super) const CHAIN: &str = "from_guest";
const HOOK: &str = "prerouting";
/// The last rule's comment begins so: how many rules there are, and their digest.
const MARK: &str = "xenbeta ";

/// The last rule's comment, of the text of [`rules`]: by it the loaded rules are known as these.
pub(super) fn mark(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("comment \"")?;
    let (mark, _) = rest.split_once('"')?;
    mark.starts_with(MARK).then_some(mark)
}

/// Are these the rules of that mark, all of them, where the guest's packets come by? Without a mark (of an earlier
/// release) any rules will do.
pub(super) fn is_whole(chain: Option<&Chain>, mark: Option<&str>) -> bool {
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
/// sources, answers for others, and router advertisements, redirects and DHCP answers, which nobody asks a guest for. What may
/// hide one of those passes only where its kind can be read; later fragments pass, since without the first, which was read,
/// they come to nothing.
pub(super) fn rules(port: &str, spec: &GuestSpec) -> Result<String, DriverError> {
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
    if own.is_empty() {
        return String::new();
    }
    let set = joined(own.iter().map(ToString::to_string));
    let card = format!(
        "ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether {mac}"
    );
    // A client's own address in the hardware's field of its request, 28 bytes after UDP's header: nobody asks for others.
    let asking = format!("@th,288,48 0x{}", mac.replace(':', ""));
    lines(&[
        format!("{card} arp saddr ip {{ {set} }} accept"),
        // A guest asks whether its own address is taken before it has one.
        format!(
            "{card} arp operation request arp saddr ip 0.0.0.0 arp daddr ip {{ {set} }} accept"
        ),
        // And which one is its own.
        format!(
            "ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 {asking} accept"
        ),
        format!("ether type ip ip saddr != {{ {set} }} drop"),
        "ether type ip udp sport != 67 accept".to_owned(),
        "ether type ip ip protocol != udp accept".to_owned(),
        "ether type ip ip frag-off & 0x1fff != 0 accept".to_owned(),
    ])
}

fn rules_v6(own: &[Ipv6Addr]) -> String {
    let set = joined(own.iter().map(ToString::to_string));
    // The address a neighbour's message is about: 128 bits, 64 into the message.
    let about = joined(
        own.iter()
            .map(|address| format!("{:#x}", u128::from(*address))),
    );
    lines(&[
        // Behind these the kind of a fragment's content could stand in another fragment.
        "ether type ip6 frag nexthdr { 0, 43, 44, 51, 60, 135, 139, 140 } drop".to_owned(),
        // Before it has an address: is there a router, is the address taken, and which groups it listens to.
        "ether type ip6 ip6 saddr :: icmpv6 type { nd-router-solicit, mld-listener-report, mld2-listener-report } accept"
            .to_owned(),
        format!("ether type ip6 ip6 saddr :: icmpv6 type nd-neighbor-solicit @th,64,128 {{ {about} }} accept"),
        format!("ether type ip6 ip6 saddr != {{ {set} }} drop"),
        format!("ether type ip6 icmpv6 type nd-neighbor-advert @th,64,128 {{ {about} }} accept"),
        "ether type ip6 icmpv6 type != { nd-router-advert, nd-redirect, nd-neighbor-advert } accept".to_owned(),
        "ether type ip6 udp sport != 547 accept".to_owned(),
        "ether type ip6 meta l4proto != { icmpv6, udp } accept".to_owned(),
        "ether type ip6 frag frag-off != 0 accept".to_owned(),
    ])
}

fn lines(rules: &[String]) -> String {
    let rules = rules.iter();
    rules
        .flat_map(|rule| ["\t\t", rule.as_str(), "\n"])
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
mod frames;
#[cfg(test)]
mod tests;
