//! Where a request comes from, for throttling and the audit trail.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Once;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use crate::app::account::sign_in::Origin;
use crate::domain::network::Address;
use crate::web::bounds::Whose;
use crate::web::context::cookie_names;
use crate::web::fault::{Fault, Result};
use crate::web::settings::Settings;

/// The client's address, its browser as it calls itself (cut to 200 characters), and what it says of itself as a device that
/// somebody signed in on before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub address: Address,
    pub agent: String,
    pub device: String,
}

impl Client {
    pub fn of(request: &HttpRequest) -> Self {
        let settings = request
            .app_data::<web::Data<Settings>>()
            .cloned()
            .unwrap_or_default();
        let peer = request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let forwarded: Vec<_> = request
            .headers()
            .get_all("x-forwarded-for")
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let list: Vec<&str> = forwarded
            .iter()
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|hop| !hop.is_empty())
            .collect();
        let agent = request
            .headers()
            .get(actix_web::http::header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let device = request.cookie(cookie_names(settings.secure()).device);
        Self {
            address: client_address(peer, &list, &settings.trusted_proxies),
            agent: agent.chars().take(200).collect(),
            device: device.map_or_else(String::new, |it| it.value().chars().take(200).collect()),
        }
    }

    /// As a use case is told of it.
    pub fn origin<'a>(&'a self, address: &'a str) -> Origin<'a> {
        Origin {
            address,
            user_agent: &self.agent,
            device: &self.device,
        }
    }

    /// Whose bodies are theirs, as long as nothing else is known of them.
    pub fn whose(&self) -> Whose {
        Whose::Address(self.address.near())
    }
}

/// The last address that none of our proxies has; what stands before it anyone can have written.
pub(super) fn client_address(peer: IpAddr, forwarded: &[&str], proxies: &[IpAddr]) -> Address {
    static TOLD: Once = Once::new();
    let mut address = Address::of(peer);
    for hop in forwarded.iter().rev() {
        if !address.is_among(proxies) {
            break;
        }
        address = Address::read(hop);
        if matches!(address, Address::Unread(_)) {
            TOLD.call_once(|| {
                tracing::warn!(
                    ?hop,
                    "a trusted proxy writes what is no address into X-Forwarded-For: whoever has the same word counts as one asker (said once)"
                );
            });
        }
    }
    address
}

impl FromRequest for Client {
    type Error = Fault;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn forwarded_addresses_count_only_behind_our_proxies() {
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        let seen = |peer: &str, forwarded: &[&str]| {
            client_address(ip(peer), forwarded, &proxies).to_string()
        };
        assert_eq!(
            seen("192.0.2.9", &["198.51.100.1"]),
            "192.0.2.9",
            "not from a proxy"
        );
        assert_eq!(
            seen("10.0.0.1", &["6.6.6.6", "198.51.100.1"]),
            "198.51.100.1",
            "the first is forged"
        );
        assert_eq!(
            seen("10.0.0.1", &["198.51.100.1", "10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_port_or_brackets_make_nobody_the_proxy() {
        let seen =
            |hop: &str| client_address(ip("10.0.0.1"), &[hop], &[ip("10.0.0.1")]).to_string();
        assert_eq!(seen("198.51.100.7:40512"), "198.51.100.7");
        assert_eq!(seen("[2001:db8::7]:443"), "2001:db8::7");
        // What cannot be read is not the proxy either, which all share.
        assert_eq!(seen("rubbish"), "unreadable: rubbish");
    }

    #[test]
    fn a_mapped_address_is_the_plain_one_wherever_it_stands() {
        for (peer, proxy) in [
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("127.0.0.1", "::ffff:127.0.0.1"),
        ] {
            let seen = client_address(ip(peer), &["::ffff:198.51.100.7"], &[ip(proxy)]);
            assert_eq!(seen.to_string(), "198.51.100.7");
        }
    }
}
