//! Connections: so many of one address that answer nothing.

use std::time::Duration;

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
