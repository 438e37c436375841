//! TLS 1.3 and nothing older; both ends show a certificate, and its fingerprint is all that is believed of it. The
//! handshake's signature is checked as always: a copied certificate without its key is of no use.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring as provider, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, SignatureScheme,
};

use super::identity::{Identity, fingerprint};

/// AES-128-GCM first: the fastest of the three where the processor has AES instructions.
fn crypto() -> Arc<CryptoProvider> {
    let mut crypto = provider::default_provider();
    crypto.cipher_suites = vec![
        provider::cipher_suite::TLS13_AES_128_GCM_SHA256,
        provider::cipher_suite::TLS13_AES_256_GCM_SHA384,
        provider::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    Arc::new(crypto)
}

/// Is the certificate with this fingerprint waited for?
pub(super) type Expects = Arc<dyn Fn(&str) -> bool + Send + Sync>;

pub(super) fn server(identity: &Identity, expects: Expects) -> Result<Arc<ServerConfig>, Error> {
    let crypto = crypto();
    let verifier = Arc::new(Expected {
        expects,
        algorithms: crypto.signature_verification_algorithms,
    });
    let mut config = ServerConfig::builder_with_provider(crypto)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate()], identity.key())?;
    // Every connection proves both keys: nothing is resumed.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// A client that speaks only to the holder of the certificate with this fingerprint.
pub(super) fn client(identity: &Identity, peer: &str) -> Result<Arc<ClientConfig>, Error> {
    let crypto = crypto();
    let algorithms = crypto.signature_verification_algorithms;
    let verifier = Arc::new(Pinned {
        fingerprint: peer.to_owned(),
        algorithms,
    });
    let mut config = ClientConfig::builder_with_provider(crypto)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![identity.certificate()], identity.key())?;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = fingerprint(end_entity);
        if !found.is_empty() && super::same_token(&found, &self.fingerprint) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Lets keys prove themselves that something waits for; which one it is, the hello's token is checked against.
struct Expected {
    expects: Expects,
    algorithms: WebPkiSupportedAlgorithms,
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expected")
    }
}

impl ClientCertVerifier for Expected {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if (self.expects)(&fingerprint(end_entity)) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::UnixTime;
    use rustls::time_provider::TimeProvider;
    use rustls::{ClientConnection, ServerConnection};

    use super::*;

    /// A machine's clock, so many seconds after 1970.
    #[derive(Debug)]
    struct Stands(u64);

    impl TimeProvider for Stands {
        fn current_time(&self) -> Option<UnixTime> {
            Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
                self.0,
            )))
        }
    }

    fn dated(from: i32, to: i32) -> Identity {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        Identity::of(&certificate, &key)
    }

    /// Keys are pinned, so dates say nothing; a host whose clock is wrong moves its Linodes all the same.
    #[test]
    fn two_hosts_whose_clocks_are_years_apart_trust_each_others_keys() {
        for (theirs, ours) in [((2090, 2091), (1970, 1971)), ((1971, 1972), (2090, 2091))] {
            let (source, destination) = (dated(theirs.0, theirs.1), dated(ours.0, ours.1));
            let expected = destination.fingerprint().to_owned();
            let mut serves = server(&source, Arc::new(move |key: &str| key == expected)).unwrap();
            Arc::get_mut(&mut serves).unwrap().time_provider = Arc::new(Stands(0));
            let mut asks = client(&destination, source.fingerprint()).unwrap();
            Arc::get_mut(&mut asks).unwrap().time_provider = Arc::new(Stands(4_000_000_000));
            let mut serves = ServerConnection::new(serves).unwrap();
            let mut asks = ClientConnection::new(asks, "agent".try_into().unwrap()).unwrap();
            for _ in 0..10 {
                let mut wire = Vec::new();
                asks.write_tls(&mut wire).unwrap();
                serves.read_tls(&mut wire.as_slice()).unwrap();
                serves.process_new_packets().unwrap();
                let mut wire = Vec::new();
                serves.write_tls(&mut wire).unwrap();
                asks.read_tls(&mut wire.as_slice()).unwrap();
                asks.process_new_packets().unwrap();
            }
            assert!(!asks.is_handshaking() && !serves.is_handshaking());
        }
    }
}
