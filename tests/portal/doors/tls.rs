//! The portal's own TLS listener.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};

use crate::served::Served;
use crate::served::tls::Certificate;
use crate::support::{On, TestApp};

struct Client {
    served: Served,
    certificate: Certificate,
}

impl Client {
    fn of(app: &TestApp) -> Self {
        let certificate = Certificate::of_localhost();
        Self {
            served: Served::start(app, &certificate.config()),
            certificate,
        }
    }

    /// Connected, by one of these protocols.
    fn connect(&self, alpn: &[&str]) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let client = self.certificate.client(alpn);
        let mut stream = StreamOwned::new(client, TcpStream::connect(self.served.address)?);
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
