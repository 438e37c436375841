//! Floods against the portal's program, each from one address: its memory before, at most, right after and a minute after,
//! and how long `/health` takes meanwhile for somebody at another address. Prints a table. `BENCH_FLOOD` names one.
//! Those who flood would be on machines of their own: here they take what processor the portal leaves them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a bench"
)]

#[path = "../tests/portal/browser.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod browser;
#[path = "../tests/portal/served.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod served;
#[path = "../tests/support/mod.rs"]
#[allow(dead_code, unused_macros, reason = "shared with the tests")]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use served::tls::Certificate;
use served::{Served, connect_from};
use support::fleet::STAFF_EMAIL;
use support::{On, TestApp};

/// How long each flood goes on.
const FLOOD: Duration = Duration::from_secs(15);
const REST: Duration = Duration::from_secs(60);
/// Where floods come from, and somebody else who asks meanwhile.
const FLOODER: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

/// How the portal is reached.
#[derive(Clone, Copy, PartialEq)]
enum Front {
    Plain,
    Tls,
    /// The flood comes through a proxy, from as many addresses as it has requests.
    Proxy,
}

struct Portal {
    served: Served,
    certificate: Option<Certificate>,
}

impl Portal {
    fn start(app: &TestApp, front: Front) -> Self {
        let certificate = (front == Front::Tls).then(Certificate::of_localhost);
        let more = match (&certificate, front) {
            (Some(certificate), _) => certificate.config(),
            (None, Front::Proxy) => "trusted_proxies = [\"127.0.0.1\"]".to_owned(),
            (None, _) => String::new(),
        };
        let served = Served::start(app, &more);
        thread::sleep(Duration::from_secs(2));
        Self {
            served,
            certificate,
        }
    }

    /// MB that it has, and the most that it ever had.
    fn memory(&self) -> [f64; 2] {
        self.served.memory().map(|kib| kib as f64 / 1000.0)
    }

    fn connect(&self, from: [u8; 4]) -> std::io::Result<TcpStream> {
        connect_from(from, self.served.address)
    }
}

const JSON: &str = "application/json";

/// One flood, told to end by the flag.
type Flood = fn(&Portal, &AtomicBool);

fn main() {
    let floods: [(&str, Front, Flood); 8] = [
        ("HTTP/2 over TLS, requests without end", Front::Tls, http_2),
        (
            "300 bodies of 4 MB to `/agent/v1/report`, no credential",
            Front::Plain,
            |portal, over| bodies(portal, over, ("/agent/v1/report", JSON, 4_000_000)),
        ),
        (
            "300 bodies of 4 MB to `/agent/v1/enrol`",
            Front::Plain,
            |portal, over| bodies(portal, over, ("/agent/v1/enrol", JSON, 4_000_000)),
        ),
        (
            "300 forms of 64 KB to `/login` without their end",
            Front::Plain,
            |portal, over| {
                let form = "application/x-www-form-urlencoded";
                bodies(portal, over, ("/login", form, 65_000));
            },
        ),
        (
            "300 uploads of 30 MB, nobody signed in",
            Front::Plain,
            |portal, over| {
                let form = "multipart/form-data; boundary=x";
                bodies(portal, over, ("/members/bugs/new", form, 30_000_000));
            },
        ),
        (
            "2,000 heads of 120 KB without their end",
            Front::Plain,
            |portal, over| {
                let long = "a".repeat(120_000);
                let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}");
                many(portal, over, head.as_bytes());
            },
        ),
        // A record's head, and not the record.
        (
            "2,000 TLS handshakes without their end",
            Front::Tls,
            |portal, over| many(portal, over, &[22, 3, 1, 64, 0]),
        ),
        (
            "sign-ins with a wrong password, 100 at once, each from an address of its own",
            Front::Proxy,
            sign_ins,
        ),
    ];
    println!("| flood | before | at most | after | a minute after | `/health` p50 | p99 |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let only = std::env::var("BENCH_FLOOD").unwrap_or_default();
    for (what, front, flood) in floods {
        if !what.contains(&only) {
            continue;
        }
        let app = TestApp::new(On::Sqlite).with_fleet().with_passwords();
        let portal = Portal::start(&app, front);
        let [before, _] = portal.memory();
        let over = AtomicBool::new(false);
        let mut took = thread::scope(|scope| {
            scope.spawn(|| flood(&portal, &over));
            let took = healths(&portal);
            over.store(true, Ordering::Relaxed);
            took
        });
        let [after, most] = portal.memory();
        thread::sleep(REST);
        let [later, _] = portal.memory();
        took.sort_by(f64::total_cmp);
        let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
        println!(
            "| {what} | {before:.0} MB | {most:.0} MB | {after:.0} MB | {later:.0} MB | {:.1} ms | {:.1} ms |",
            at(0.5),
            at(0.99)
        );
    }
}

/// Asks every 20 ms while the flood goes on; how long each answer took, in ms.
fn healths(portal: &Portal) -> Vec<f64> {
    let begun = Instant::now();
    let mut took = Vec::new();
    while begun.elapsed() < FLOOD {
        let asked = Instant::now();
        let is_fine = health(portal).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
        let took_ms = asked.elapsed().as_secs_f64() * 1000.0;
        took.push(if is_fine { took_ms } else { 30_000.0 });
        thread::sleep(Duration::from_millis(20));
    }
    took
}

fn health(portal: &Portal) -> std::io::Result<String> {
    let ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    let mut stream = portal.connect(OTHER)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    if let Some(certificate) = &portal.certificate {
        let mut client = certificate.client(&[]);
        let mut tls = rustls::Stream::new(&mut client, &mut stream);
        tls.write_all(ask)?;
        tls.read_to_string(&mut answer)?;
    } else {
        stream.write_all(ask)?;
        stream.read_to_string(&mut answer)?;
    }
    Ok(answer)
}

/// By the form of a page that was loaded before.
fn sign_ins(portal: &Portal, over: &AtomicBool) {
    let mut first = portal.served.site().visitor();
    let page = first.get("/login");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fields = [
        pair("csrf", &page.token()),
        pair("email", STAFF_EMAIL),
        pair("password", "a guess that is wrong"),
    ];
    let (cookies, fields) = (&first.cookies, &fields);
    thread::scope(|scope| {
        for of in 0..100 {
            scope.spawn(move || {
                gives_way();
                let mut n = 0;
                while !over.load(Ordering::Relaxed) {
                    n = (n + 1) % 250;
                    let address = format!("198.51.{of}.{n}");
                    let mut browser = portal.served.site().visitor_from(address);
                    browser.cookies.clone_from(cookies);
                    browser.post("/login", fields);
                }
            });
        }
    });
}

/// Of the calling thread.
fn gives_way() {
    rustix::process::setpriority_process(None, 19).unwrap();
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
    let h2 = || portal.certificate.as_ref().unwrap().client(&["h2"]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                gives_way();
                while !over.load(Ordering::Relaxed) {
                    let Ok(mut stream) = portal.connect(FLOODER) else {
                        continue;
                    };
                    let mut client = h2();
                    let mut tls = rustls::Stream::new(&mut client, &mut stream);
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
                gives_way();
                while !over.load(Ordering::Relaxed) {
                    let Ok(mut stream) = portal.connect(FLOODER) else {
                        continue;
                    };
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

/// Two thousand connections that begin so and say no more; those that were cut are begun anew.
fn many(portal: &Portal, over: &AtomicBool, begin: &[u8]) {
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                gives_way();
                let mut open = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    while open.len() < 100 {
                        let Ok(mut stream) = portal.connect(FLOODER) else {
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
