//! The portal's own TLS listener.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Served;
use crate::support::{On, TestApp};

struct Client {
    served: Served,
    certificate: CertificateDer<'static>,
    _folder: tempfile::TempDir,
}

impl Client {
    fn of(app: &TestApp) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (crt, pem) = (folder.path().join("crt"), folder.path().join("key"));
        std::fs::write(&crt, certificate.pem()).unwrap();
        std::fs::write(&pem, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&pem, std::fs::Permissions::from_mode(0o600)).unwrap();
        let tls = format!(
            "base_url = \"https://localhost\"\n[tls]\ncertificate = {crt:?}\nkey = {pem:?}"
        );
        Self {
            served: Served::start(app, &tls),
            certificate: certificate.der().clone(),
            _folder: folder,
        }
    }

    /// Connected, by one of these protocols.
    fn connect(&self, alpn: &[&str]) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(self.served.address)?);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(stream)
    }
}

/// One connection with streams without end took all memory.
#[test]
fn a_client_that_wants_http_2_gets_http_1() {
    let app = TestApp::new(On::Sqlite);
    let client = Client::of(&app);
    let mut both = client.connect(&["h2", "http/1.1"]).unwrap();
    assert_eq!(both.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    both.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    both.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(client.connect(&["h2"]).is_err());
    // Without asking.
    let mut plain = client.connect(&[]).unwrap();
    plain
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
}
