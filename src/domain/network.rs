//! Where a request comes from: the address as it is, for the trail, and what of it is counted as one asker.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::text::line;

/// Characters of an address that could not be read.
const KEPT: usize = 60;

/// Who asks, as far as the network tells. IPv4 addresses that come as IPv6 are plain here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Ip(IpAddr),
    /// A trusted proxy's word for whom it stands for, which is no address: those with the same word are one asker, and no
    /// others.
    Unread(String),
}

impl Address {
    pub fn of(ip: IpAddr) -> Self {
        Self::Ip(ip.to_canonical())
    }

    /// As proxies write it: alone, in brackets, with a port, with a zone, in quotes.
    pub fn read(text: &str) -> Self {
        let text = text.trim().trim_matches('"');
        let bare = || {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            Some(inner.split('%').next().unwrap_or(inner))
        };
        let ip = (text.parse::<IpAddr>().ok())
            .or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()))
            .or_else(|| bare()?.parse::<Ipv6Addr>().ok().map(IpAddr::V6))
            .or_else(|| text.split_once('%')?.0.parse::<IpAddr>().ok());
        match ip {
            Some(ip) => Self::of(ip),
            None => Self::Unread(line(text, KEPT)),
        }
    }

    /// Whom it is taken for where addresses are counted: a customer has a /64 of IPv6. Words that are none are told apart by a place in
    /// a network that nobody has on the Internet.
    pub fn near(&self) -> IpAddr {
        match self {
            Self::Ip(IpAddr::V6(ip)) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
            Self::Ip(ip) => *ip,
            Self::Unread(word) => {
                let mut hasher = DefaultHasher::new();
                word.hash(&mut hasher);
                let place = u128::from(hasher.finish() >> 8) << 64;
                Ipv6Addr::from_bits(0xfd << 120 | place).into()
            }
        }
    }

    /// Is it one of these, which may be written as mapped ones?
    pub fn is_among(&self, list: &[IpAddr]) -> bool {
        matches!(self, Self::Ip(ip) if list.iter().any(|one| one.to_canonical() == *ip))
    }

    pub fn is_loopback(&self) -> bool {
        matches!(self, Self::Ip(ip) if ip.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Unread(word) => write!(f, "unreadable: {word}"),
        }
    }
}

/// What is counted as one asker. A household has a /64 of IPv6 at the least, and may have a /56: whoever has one must not
/// count as 2⁶⁴ others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    pub own: String,
    /// The network around it, with larger budgets.
    pub wide: Option<String>,
}

impl Asker {
    /// Of an address as the trail has it.
    pub fn of(address: &str) -> Self {
        match Address::read(address) {
            Address::Ip(IpAddr::V6(ip)) => Self {
                own: network(ip, 64),
                wide: Some(network(ip, 56)),
            },
            Address::Ip(ip) => Self::alone(ip.to_string()),
            Address::Unread(word) => Self::alone(word),
        }
    }

    /// With no network around it.
    pub fn alone(own: String) -> Self {
        Self { own, wide: None }
    }

    /// The widest that it is counted by.
    pub fn widest(&self) -> &str {
        self.wide.as_deref().unwrap_or(&self.own)
    }
}

fn network(ip: Ipv6Addr, bits: u32) -> String {
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    format!("{}/{bits}", Ipv6Addr::from(u128::from(ip) & mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_proxies_write_it() {
        for (text, is) in [
            ("198.51.100.7", "198.51.100.7"),
            (" 198.51.100.7:40512 ", "198.51.100.7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("[::ffff:198.51.100.7]:443", "198.51.100.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("\"[2001:db8::7]:443\"", "2001:db8::7"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%eth0]", "fe80::1"),
            ("unknown", "unreadable: unknown"),
            ("_hidden\r\nX", "unreadable: _hiddenX"),
            ("198.51.100.7, 1", "unreadable: 198.51.100.7, 1"),
        ] {
            assert_eq!(Address::read(text).to_string(), is, "{text}");
        }
    }

    #[test]
    fn a_customer_is_one_however_many_addresses_they_have() {
        let of = |text: &str| Address::read(text).near().to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:3::6"), "2001:db8:1:3::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("unknown"), of("unknown"));
        assert_ne!(of("unknown"), of("_other"));
    }

    #[test]
    fn one_network_is_one_asker() {
        let of = |text: &str| Asker::of(text);
        assert_eq!(of("2001:db8:7:7::1"), of("2001:db8:7:7:ffff::9"));
        assert_ne!(of("2001:db8:7:7::1").own, of("2001:db8:7:8::1").own);
        assert_eq!(of("2001:db8:7:7::1").wide, of("2001:db8:7:ff::1").wide);
        assert_eq!(of("2001:db8:7:7::1").widest(), "2001:db8:7::/56");
        assert_eq!(of("::ffff:198.51.100.7"), of("198.51.100.7"));
        assert_eq!(of("198.51.100.7").wide, None);
        assert_ne!(of("unknown"), of("_other"));
        // As the trail has it.
        let unread = Address::read("unknown").to_string();
        assert_eq!(of(&unread).own, "unreadable: unknown");
    }
}
