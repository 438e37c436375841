//! Floods against the portal's program, each from one address: its memory before, at most, right after and a minute after,
//! and how long `/health` takes meanwhile. Prints a table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a bench"
)]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use support::port::free_address;
use support::{On, SECRET, TestApp};

/// How long each flood goes on.
const FLOOD: Duration = Duration::from_secs(15);
const REST: Duration = Duration::from_secs(60);

struct Portal {
    child: Child,
    address: SocketAddr,
    certificate: Option<CertificateDer<'static>>,
    _folder: tempfile::TempDir,
}

impl Portal {
    fn start(app: &TestApp, with_tls: bool) -> Self {
        let (address, folder) = (free_address(), tempfile::tempdir().unwrap());
        let at = |name: &str| folder.path().join(name);
        let mut config = format!("listen = \"{address}\"\n");
        let certificate = with_tls.then(|| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            std::fs::write(at("crt"), certificate.pem()).unwrap();
            std::fs::write(at("key"), key.serialize_pem()).unwrap();
            let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(at("key"), own).unwrap();
            config += &format!(
                "base_url = \"https://localhost\"\n[tls]\ncertificate = {:?}\nkey = {:?}\n",
                at("crt"),
                at("key")
            );
            certificate.der().clone()
        });
        std::fs::write(at("portal.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_xenbeta"))
            .args(["serve", "--config"])
            .arg(at("portal.toml"))
            .env("DATABASE_URL", &app.url)
            .env("XENBETA_SECRET", SECRET)
            .env("RUST_LOG", "error")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_secs(2));
        Self {
            child,
            address,
            certificate,
            _folder: folder,
        }
    }

    /// MB, by its name in the process's status.
    fn memory(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        let kib: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
        kib / 1000.0
    }

    fn client(&self, alpn: &[&[u8]]) -> Option<(Arc<ClientConfig>, SocketAddr)> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()?).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Some((Arc::new(config), self.address))
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One flood, told to end by the flag.
type Flood = fn(&Portal, &AtomicBool);

fn main() {
    let floods: [(&str, bool, Flood); 7] = [
        ("HTTP/2 over TLS, requests without end", true, http_2),
        (
            "300 bodies of 4 MB to `/agent/v1/report`, no credential",
            false,
            |portal, over| {
                bodies(
                    portal,
                    over,
                    ("/agent/v1/report", "application/json", 4_000_000),
                );
            },
        ),
        (
            "300 bodies of 4 MB to `/agent/v1/enrol`",
            false,
            |portal, over| {
                bodies(
                    portal,
                    over,
                    ("/agent/v1/enrol", "application/json", 4_000_000),
                );
            },
        ),
        (
            "300 forms of 64 KB to `/login` without their end",
            false,
            |portal, over| {
                let form = "application/x-www-form-urlencoded";
                bodies(portal, over, ("/login", form, 65_000));
            },
        ),
        (
            "300 uploads of 30 MB, nobody signed in",
            false,
            |portal, over| {
                let form = "multipart/form-data; boundary=x";
                bodies(portal, over, ("/members/bugs/new", form, 30_000_000));
            },
        ),
        ("2,000 heads of 120 KB without their end", false, heads),
        ("2,000 TLS handshakes without their end", true, handshakes),
    ];
    println!("| flood | before | at most | after | a minute after | `/health` p50 | p99 |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (what, with_tls, flood) in floods {
        let app = TestApp::new(On::Sqlite);
        let portal = Portal::start(&app, with_tls);
        let before = portal.memory("VmRSS:");
        let over = AtomicBool::new(false);
        let mut took = thread::scope(|scope| {
            scope.spawn(|| flood(&portal, &over));
            let took = healths(&portal);
            over.store(true, Ordering::Relaxed);
            took
        });
        let (most, after) = (portal.memory("VmHWM:"), portal.memory("VmRSS:"));
        thread::sleep(REST);
        took.sort_by(f64::total_cmp);
        let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
        println!(
            "| {what} | {before:.0} MB | {most:.0} MB | {after:.0} MB | {:.0} MB | {:.1} ms | {:.1} ms |",
            portal.memory("VmRSS:"),
            at(0.5),
            at(0.99)
        );
    }
}

/// Asks every 20 ms while the flood goes on; how long each answer took, in ms.
fn healths(portal: &Portal) -> Vec<f64> {
    let begun = Instant::now();
    let ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut took = Vec::new();
    while begun.elapsed() < FLOOD {
        let asked = Instant::now();
        let mut answer = String::new();
        let mut stream = TcpStream::connect(portal.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let heard = match portal.client(&[]) {
            Some((config, _)) => {
                let name = ServerName::try_from("localhost").unwrap();
                let mut connection = ClientConnection::new(config, name).unwrap();
                let mut tls = rustls::Stream::new(&mut connection, &mut stream);
                tls.write_all(ask)
                    .and_then(|()| tls.read_to_string(&mut answer))
            }
            None => stream
                .write_all(ask)
                .and_then(|()| stream.read_to_string(&mut answer)),
        };
        let took_ms = asked.elapsed().as_secs_f64() * 1000.0;
        let is_fine = heard.is_ok() && answer.starts_with("HTTP/1.1 200");
        took.push(if is_fine { took_ms } else { 30_000.0 });
        thread::sleep(Duration::from_millis(20));
    }
    took
}

/// Eight threads, each with connections one after the other, on which as many requests go out as are taken. Where HTTP/2
/// is not spoken, that is none.
fn http_2(portal: &Portal, over: &AtomicBool) {
    // HEADERS of GET / with an authority, its stream's number to be filled in; indexed fields of HPACK.
    let head = |stream: u32| {
        let fields = [
            0x82, 0x84, 0x87, 0x41, 9, b'l', b'o', b'c', b'a', b'l', b'h', b'o', b's', b't',
        ];
        let mut frame = vec![0, 0, fields.len() as u8, 1, 5];
        frame.extend(stream.to_be_bytes());
        frame.extend(fields);
        frame
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let (config, address) = portal.client(&[b"h2"]).unwrap();
                    let name = ServerName::try_from("localhost").unwrap();
                    let mut connection = ClientConnection::new(config, name).unwrap();
                    let Ok(mut stream) = TcpStream::connect(address) else {
                        continue;
                    };
                    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
                    let begun =
                        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
                    let mut number = 1;
                    while begun.is_ok()
                        && !over.load(Ordering::Relaxed)
                        && tls.write_all(&head(number)).is_ok()
                    {
                        number += 2;
                    }
                }
            });
        }
    });
}

/// Begins them, sends all but their ends, and holds what stays open; what was cut is begun anew.
fn bodies(portal: &Portal, over: &AtomicBool, (path, kind, length): (&str, &str, usize)) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    let body = vec![b'a'; 64 * 1024];
    thread::scope(|scope| {
        for _ in 0..300 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let mut stream = TcpStream::connect(portal.address).unwrap();
                    let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
                    let mut left = length - 1;
                    let mut is_open = stream.write_all(head.as_bytes()).is_ok();
                    while is_open && left > 0 {
                        let now = left.min(body.len());
                        is_open = stream.write_all(&body[..now]).is_ok();
                        left -= now;
                    }
                    hold(&mut stream, over);
                }
            });
        }
    });
}

fn hold(stream: &mut TcpStream, over: &AtomicBool) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    let mut piece = [0; 4096];
    while !over.load(Ordering::Relaxed) {
        match stream.read(&mut piece) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn heads(portal: &Portal, over: &AtomicBool) {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}",
        "a".repeat(120_000)
    );
    many(portal, over, head.as_bytes());
}

/// A record's head, and not the record.
fn handshakes(portal: &Portal, over: &AtomicBool) {
    many(portal, over, &[22, 3, 1, 64, 0]);
}

/// Two thousand connections that begin so and say no more; those that were cut are begun anew.
fn many(portal: &Portal, over: &AtomicBool, begin: &[u8]) {
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut open = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    while open.len() < 100 {
                        let Ok(mut stream) = TcpStream::connect(portal.address) else {
                            break;
                        };
                        let _ = stream.set_nonblocking(true);
                        let _ = stream.write(begin);
                        open.push(stream);
                    }
                    thread::sleep(Duration::from_millis(100));
                    open.retain_mut(|stream: &mut TcpStream| {
                        let read = stream.read(&mut [0; 512]);
                        read.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
                    });
                }
            });
        }
    });
}
