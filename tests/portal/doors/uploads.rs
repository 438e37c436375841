//! Uploads that break off, or hardly go on.

use std::time::{Duration, Instant};

use super::{Raw, multipart, upload_head};
use crate::both_databases;
use crate::browser::{Browser, Site};
use crate::bug::thread::opened;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL};
use crate::support::{On, TestApp};

const REPLY: &str = "Send the reply";

/// A reply with a file whose body ends like this, of a length as it says.
fn begun(site: &Site, browser: &mut Browser, path: &str, (file, end): (&[u8], &[u8])) -> Raw {
    let page = browser.get(path);
    let (action, mut body) = multipart(&page, REPLY, file);
    body.extend(end);
    Raw::posts(
        site,
        &action,
        &upload_head(site, browser, body.len()),
        &body,
    )
}

both_databases! {
    fn an_upload_without_its_end_is_refused_at_once_and_holds_no_place(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut mia = site.signed_in(MEMBER_EMAIL);
        let path = format!("/members/bugs/{}", opened(&app, "cut"));
        let ends: [&[u8]; 6] = [b"", b"\r\n", b"\r\n--c", b"\r\n--cut", b"\r\n--cut\r\n", b"\r\n--cut\r\nContent-Disp"];
        for end in ends {
            let mut raw = begun(&site, &mut mia, &path, (b"hello", end));
            assert_eq!(raw.status_within(1.0), 400, "{:?}", String::from_utf8_lossy(end));
        }
        // Gone before its end.
        for _ in 0..3 {
            let page = mia.get(&path);
            let (action, body) = multipart(&page, REPLY, b"hello");
            drop(Raw::posts(&site, &action, &upload_head(&site, &mia, 100_000), &body));
        }
        std::thread::sleep(Duration::from_millis(300));
        let mut whole = begun(&site, &mut mia, &path, (b"hello", b"\r\n--cut--\r\n"));
        assert_eq!(whole.status_within(5.0), 303);
        mia.get(&path).shows(&["a.txt"]);
    }
}

/// Eight uploads were all that went on at a time, of four members or of forty.
#[test]
fn four_slow_members_stop_nobody_elses_upload() {
    let app = TestApp::new(On::Sqlite).with_fleet().with_passwords();
    for id in 11..15 {
        app.sql(&format!(
            "INSERT INTO accounts (id, name, created_at) VALUES ({id}, 'A{id}', '2026-01-01T00:00:00.000000Z');
             INSERT INTO users (id, account_id, email, name, role, timezone, disabled, created_at, password_hash)
             SELECT {id}, {id}, 'm{id}@example.com', 'M{id}', 'member', 'UTC', FALSE, created_at, password_hash FROM users WHERE id = 1"
        ));
    }
    let site = Site::serve(&app.app);
    let path = format!("/members/bugs/{}", opened(&app, "slow"));
    let file = vec![b'a'; 900_000];
    let begins = Instant::now();
    let mut slow = Vec::new();
    for id in 11..15 {
        let mut member = site.signed_in(&format!("m{id}@example.com"));
        for _ in 0..2 {
            let page = member.get(&path);
            let (action, body) = multipart(&page, REPLY, &file);
            let head = upload_head(&site, &member, body.len() + 1000);
            slow.push(Raw::posts(&site, &action, &head, &body));
        }
        // A third one is one too many of theirs, once those two are read.
        let refused = (0..20).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            let ends: (&[u8], &[u8]) = (b"hello", b"\r\n--cut--\r\n");
            begun(&site, &mut member, &path, ends).status_within(2.0) == 429
        });
        assert!(refused);
    }
    let mut mia = site.signed_in(MEMBER_EMAIL);
    let mut whole = begun(&site, &mut mia, &path, (&file, b"\r\n--cut--\r\n"));
    assert_eq!(whole.status_within(3.0), 303);
    let mut sam = site.signed_in(STAFF_EMAIL);
    let path = path.replace("members", "staff");
    let mut whole = begun(&site, &mut sam, &path, (&file, b"\r\n--cut--\r\n"));
    assert_eq!(whole.status_within(3.0), 303);
    // And theirs are given up, though a byte comes now and then.
    while begins.elapsed() < Duration::from_secs(40) && !slow.is_empty() {
        std::thread::sleep(Duration::from_millis(500));
        slow.retain_mut(|raw| raw.sends(b"a"));
    }
    assert!(slow.is_empty(), "{} are there yet", slow.len());
}
