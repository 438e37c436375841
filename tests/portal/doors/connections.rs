//! Connections: so many of one address that answer nothing, so many opened in a time, and heads of requests so long.

use std::time::{Duration, Instant};

use super::Raw;
use crate::browser::Site;
use crate::support::{On, TestApp};

/// Whether its other end let go of it.
fn is_cut(raw: &mut Raw) -> bool {
    use std::io::Read;
    raw.0.set_nonblocking(true).unwrap();
    match raw.0.read(&mut [0; 512]) {
        Ok(count) => count == 0,
        Err(e) => e.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn of_the_connections_of_an_address_the_oldest_gives_way() {
    let app = TestApp::new(On::Sqlite);
    let site = Site::serve(&app);
    let mut open: Vec<Raw> = (0..400)
        .map(|_| {
            let mut raw = Raw::to(&site.base);
            raw.sends(b"GET /health HTTP/1.1\r\nX-Slow: ");
            raw
        })
        .collect();
    assert_eq!(site.visitor().get("/health").status, 200);
    std::thread::sleep(Duration::from_millis(500));
    let cut = open
        .iter_mut()
        .filter_map(|raw| is_cut(raw).then_some(()))
        .count();
    assert!((195..=205).contains(&cut), "{cut}");
    let first = open.iter_mut().take(190).all(is_cut);
    assert!(first, "the oldest");
}

#[test]
fn who_connects_without_end_is_let_go_before_anything_is_read() {
    const ASK: &[u8] = b"GET /health HTTP/1.1\r\nHost: portal\r\n\r\n";
    let app = TestApp::new(On::Sqlite);
    let site = Site::serve(&app);
    let begun = Instant::now();
    let served = || {
        let mut raw = Raw::to(&site.base);
        raw.sends(ASK);
        !raw.answer().is_empty()
    };
    let served: usize = std::thread::scope(|scope| {
        let flood = [(); 8].map(|()| scope.spawn(|| (0..500).filter(|_| served()).count()));
        flood.into_iter().map(|some| some.join().unwrap()).sum()
    });
    let may = 2000.0 + 200.0 * begun.elapsed().as_secs_f64();
    assert!(
        served >= 2000 && served as f64 <= may + 1.0,
        "{served} of {may}"
    );
    let mut elsewhere = Raw::from([127, 0, 0, 2], &site.base);
    elsewhere.sends(ASK);
    assert_eq!(elsewhere.status_within(2.0), 200);
}

#[test]
fn a_head_without_its_end_is_let_go() {
    let app = TestApp::new(On::Sqlite);
    let site = Site::serve(&app);
    let cookies = |length: usize| {
        let mut raw = Raw::to(&site.base);
        let head = format!(
            "GET /health HTTP/1.1\r\nHost: portal\r\nCookie: a={}",
            "b".repeat(length)
        );
        raw.sends(head.as_bytes());
        raw
    };
    let mut long = cookies(24 * 1024);
    long.sends(b"\r\n\r\n");
    assert_eq!(long.status_within(5.0), 200);
    let begun = Instant::now();
    let mut without_end = cookies(100 * 1024);
    while !is_cut(&mut without_end) {
        assert!(begun.elapsed() < Duration::from_secs(3));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn who_sends_what_nobody_wants_comes_to_read_why_and_sends_not_much_of_it() {
    let app = TestApp::new(On::Sqlite).with_fleet();
    let site = Site::serve(&app);
    let refused = |length: usize| {
        let length_line = format!("Content-Length: {length}");
        let mut raw = Raw::posts(
            &site,
            "/agent/v1/report",
            &length_line,
            &vec![b' '; 100_000],
        );
        assert_eq!(raw.status_within(2.0), 401);
        raw
    };
    refused(200_000);
    let mut raw = refused(100_000_000);
    let sent = (0..1000)
        .take_while(|_| raw.sends(&[b' '; 100_000]))
        .count();
    assert!(sent < 200, "{sent}");
}
