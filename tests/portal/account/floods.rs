//! A flood at the doors, at the program itself: what it takes of memory, and that others are served.

use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::served::Served;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL};
use crate::support::{On, TestApp};

const MB: u64 = 1024;

/// So many at once, each from an address of its own, by the form of a page that was loaded before.
fn flood(portal: &Served, count: usize, path: &str, fields: &[(&str, &str)]) -> Vec<u16> {
    let mut first = portal.site().visitor();
    let page = first.get(path);
    let mut sent: Vec<(String, String)> = vec![("csrf".to_owned(), page.token())];
    sent.extend(
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    let cookies = first.cookies;
    let one = |n: usize| {
        let mut browser: Browser =
            portal
                .site()
                .visitor_from(format!("198.51.{}.{}", n / 200, n % 200));
        browser.cookies.clone_from(&cookies);
        browser.post(path, &sent).status
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..count).map(|n| scope.spawn(move || one(n))).collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

#[test]
fn floods_at_the_doors_stay_below_200_mb() {
    let app = TestApp::new(On::Sqlite).with_fleet().with_passwords();
    let portal = Served::start(&app, "trusted_proxies = [\"127.0.0.1\"]");
    let [before, _] = portal.memory();
    let mut slowest = Duration::ZERO;
    let (links, sign_ins) = std::thread::scope(|scope| {
        let floods = scope.spawn(|| {
            let links = flood(&portal, 300, "/password/forgot", &[("email", MEMBER_EMAIL)]);
            let guess = [
                ("email", STAFF_EMAIL),
                ("password", "a guess that is wrong"),
            ];
            (links, flood(&portal, 150, "/login", &guess))
        });
        while !floods.is_finished() {
            let begun = Instant::now();
            assert_eq!(portal.site().visitor().get("/health").status, 200);
            slowest = slowest.max(begun.elapsed());
            std::thread::sleep(Duration::from_millis(10));
        }
        floods.join().unwrap()
    });
    let [after, most] = portal.memory();
    println!(
        "before {} MB, at most {} MB, then {} MB; /health {slowest:?} at most",
        before / MB,
        most / MB,
        after / MB
    );
    assert!(links.iter().all(|it| [303, 503].contains(it)), "{links:?}");
    assert!(
        sign_ins.iter().all(|it| [422, 503].contains(it)),
        "{sign_ins:?}"
    );
    assert!(most < 200 * MB, "{} MB", most / MB);
}
