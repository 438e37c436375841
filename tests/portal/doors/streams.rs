//! Live streams: so many of one member, the newest of them.

use std::io::Read;
use std::time::{Duration, Instant};

use super::Raw;
use crate::both_databases;
use crate::browser::{Browser, Site};
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, WEB};

fn stream(site: &Site, browser: &Browser, path: &str) -> Raw {
    let mut raw = Raw::to(&site.base);
    raw.sends(
        format!(
            "GET {path} HTTP/1.1\r\nHost: portal\r\nCookie: {}\r\n\r\n",
            browser.cookie()
        )
        .as_bytes(),
    );
    raw
}

/// What comes of it until it has said these words, and whether it has ended.
fn heard(raw: &mut Raw, words: &str) -> (String, bool) {
    let begun = Instant::now();
    raw.0
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    loop {
        match raw.0.read(&mut piece) {
            Ok(count) if count > 0 => text += &String::from_utf8_lossy(&piece[..count]),
            _ if !text.contains(words) && begun.elapsed() < Duration::from_secs(5) => {}
            _ => return (text.clone(), text.ends_with("0\r\n\r\n")),
        }
    }
}

both_databases! {
    fn a_members_oldest_stream_gives_way_to_the_newest(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let id = app.clicked(WEB).id;
        let site = Site::serve(&app.app);
        let mia = site.signed_in(MEMBER_EMAIL);
        let path = format!("/members/migrations/{id}/events");
        let mut open = Vec::new();
        for _ in 0..5 {
            let mut raw = stream(&site, &mia, &path);
            let (text, is_over) = heard(&mut raw, "data: {");
            assert!(text.contains("data: {") && text.contains("retry: 2000") && !is_over, "{text}");
            open.push(raw);
        }
        // It is told not to come again at once: it would only take the place of another.
        let (text, is_over) = heard(&mut open[0], "retry: 60000");
        assert!(is_over && text.contains("retry: 60000"), "{text}");
        for raw in &mut open[1..] {
            assert!(!heard(raw, "").1);
        }
        let sam = site.signed_in(STAFF_EMAIL);
        let (text, is_over) = heard(&mut stream(&site, &sam, &path.replace("members", "staff")), "data: {");
        assert!(text.contains("data: {") && !is_over, "{text}");
    }
}
