//! Where a request comes from, for throttling and the audit trail.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use crate::domain::address::near;
use crate::web::bounds::Whose;
use crate::web::fault::Fault;
use crate::web::settings::Settings;

/// The client's address, and its browser as it calls itself (cut to 200 characters).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    pub agent: String,
}

impl Client {
    pub fn of(request: &HttpRequest) -> Self {
        let peer = request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let proxies = request
            .app_data::<web::Data<Settings>>()
            .map_or(&[][..], |settings| &settings.trusted_proxies);
        let forwarded = request
            .headers()
            .get_all("x-forwarded-for")
            .filter_map(|value| value.to_str().ok());
        let list: Vec<&str> = forwarded
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let agent = request
            .headers()
            .get(actix_web::http::header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        Self {
            address: client_address(peer, &list, proxies),
            agent: agent.chars().take(200).collect(),
        }
    }

    /// Whose bodies are theirs, as long as nothing else is known of them.
    pub fn whose(&self) -> Whose {
        Whose::Address(near(self.address))
    }
}

/// The last address that none of our proxies has; what stands before it anyone can have written.
fn client_address(peer: IpAddr, forwarded: &[&str], proxies: &[IpAddr]) -> IpAddr {
    let mut address = peer;
    for hop in forwarded.iter().rev() {
        if !proxies.contains(&address) {
            break;
        }
        match hop.parse() {
            Ok(next) => address = next,
            Err(_) => break,
        }
    }
    address
}

impl FromRequest for Client {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_count_only_behind_our_proxies() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        assert_eq!(
            client_address(ip("192.0.2.9"), &["198.51.100.1"], &proxies),
            ip("192.0.2.9"),
            "not from a proxy"
        );
        assert_eq!(
            client_address(ip("10.0.0.1"), &["6.6.6.6", "198.51.100.1"], &proxies),
            ip("198.51.100.1"),
            "the first is forged"
        );
        assert_eq!(
            client_address(ip("10.0.0.1"), &["198.51.100.1", "10.0.0.2"], &proxies),
            ip("198.51.100.1")
        );
        assert_eq!(
            client_address(ip("10.0.0.1"), &["rubbish"], &proxies),
            ip("10.0.0.1")
        );
        assert_eq!(
            client_address(ip("10.0.0.1"), &[], &proxies),
            ip("10.0.0.1")
        );
    }
}
