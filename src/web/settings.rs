//! What the web layer has to be told. Filled from the portal's configuration; passed as `web::Data<Settings>`.

use std::net::IpAddr;

use actix_web::http::Uri;

#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Scheme and authority under which people reach the portal (`https://lpm.example.net`), with no path. `None` only
    /// where the portal listens on plain loopback: then the request's own `Host` counts.
    pub public_origin: Option<String>,
    /// Only from these peers is `X-Forwarded-For` believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Settings {
    /// Are pages served over TLS (by us or by a proxy)? Then cookies are `__Host-` and Secure, and HSTS is sent.
    pub fn secure(&self) -> bool {
        self.public_origin
            .as_deref()
            .is_some_and(|origin| origin.starts_with("https://"))
    }

    /// Does `origin` (the request's `Origin` header) name this portal? `host` is the request's `Host`.
    pub fn is_own_origin(&self, origin: &str, host: &str) -> bool {
        match &self.public_origin {
            Some(own) => own.eq_ignore_ascii_case(origin),
            None => origin
                .parse::<Uri>()
                .ok()
                .and_then(|uri| {
                    uri.authority()
                        .map(|authority| authority.as_str().eq_ignore_ascii_case(host))
                })
                .unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_origin_is_exact() {
        let tls = Settings {
            public_origin: Some("https://lpm.example.net".into()),
            ..Settings::default()
        };
        assert!(tls.secure());
        assert!(tls.is_own_origin("https://lpm.example.net", "anything"));
        for foreign in [
            "http://lpm.example.net",
            "https://lpm.example.net.evil.test",
            "https://lpm.example.net:444",
            "null",
            "",
        ] {
            assert!(!tls.is_own_origin(foreign, "lpm.example.net"), "{foreign}");
        }
        let plain = Settings::default();
        assert!(!plain.secure());
        assert!(plain.is_own_origin("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(!plain.is_own_origin("http://127.0.0.1:8081", "127.0.0.1:8080"));
        assert!(!plain.is_own_origin("null", "127.0.0.1:8080"));
    }
}
