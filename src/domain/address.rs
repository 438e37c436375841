//! Network addresses, as whose they are.

use std::net::{IpAddr, Ipv6Addr};

/// Whom an address is taken for: with IPv6 a customer has all of a /64, and IPv4 may come in its clothes.
pub fn near(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_customer_is_one_however_many_addresses_they_have() {
        let of = |text: &str| near(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:3::6"), "2001:db8:1:3::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }
}
