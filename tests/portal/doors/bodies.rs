//! Bodies: whose they are is asked first, they are small and come in time, and together they hold only so much.

use std::time::{Duration, Instant};

use xenbeta::app::context::PORTAL;
use xenbeta::domain::ids::HostId;
use xenbeta::domain::platform::Platform;
use xenbeta::wire::{Enrol, Inventory};

use super::{Raw, status};
use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{XEN1, XEN2};

const MIB: usize = 1024 * 1024;

fn credential(app: &TestApp, host: HostId) -> String {
    let ask = Enrol {
        token: app.new_enrolment_token(PORTAL, host).unwrap(),
        platform: Platform::Xen,
        agent_version: "test".to_owned(),
        fingerprint: "a".repeat(64),
        transfer_address: "127.0.0.1:7001".to_owned(),
        ledger: None,
    };
    app.enrol(&ask, "127.0.0.1").unwrap().credential
}

fn bearer(credential: &str, length: usize) -> String {
    format!("Authorization: Bearer {credential}\r\nContent-Length: {length}")
}

fn report() -> Vec<u8> {
    serde_json::to_vec(&Inventory::default()).unwrap()
}

const CALLS: [&str; 7] = [
    "poll",
    "report",
    "samples",
    "jobs/1/renew",
    "jobs/1/finish",
    "transfers/1/digests",
    "credential/rotate",
];

both_databases! {
    fn nothing_is_read_of_an_agent_without_a_credential(app: TestApp) {
        let app = app.with_fleet();
        let site = Site::serve(&app);
        for call in CALLS {
            let path = format!("/agent/v1/{call}");
            for more in ["Content-Length: 4000000".to_owned(), bearer("unknown", 4_000_000), "Transfer-Encoding: chunked".to_owned()] {
                let mut raw = Raw::posts(&site, &path, &more, b"");
                assert_eq!(raw.status_within(1.5), 401, "{path} {more}");
            }
        }
    }

    fn what_a_host_enrols_with_is_small(app: TestApp) {
        let app = app.with_fleet();
        let site = Site::serve(&app);
        let mut raw = Raw::posts(&site, "/agent/v1/enrol", "Content-Length: 4000000", &[b' '; 9000]);
        assert_eq!(raw.status_within(1.5), 413);
        let whole = credential(&app, XEN1);
        let body = report();
        let mut raw = Raw::posts(&site, "/agent/v1/report", &bearer(&whole, body.len()), &body);
        assert_eq!(raw.status_within(1.5), 200);
    }
}

#[test]
fn a_body_is_whole_within_fifteen_seconds() {
    let app = TestApp::new(crate::support::On::Sqlite).with_fleet();
    let site = Site::serve(&app);
    let known = credential(&app, XEN1);
    let begun = Instant::now();
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000";
    let mut slow = [
        ("/agent/v1/enrol", "Content-Length: 5000".to_owned()),
        ("/agent/v1/report", bearer(&known, 5000)),
        ("/login", form.to_owned()),
        ("/password/forgot", form.to_owned()),
    ]
    .map(|(path, more)| (path, Raw::posts(&site, path, &more, b" ")));
    while begun.elapsed() < Duration::from_millis(14_500) {
        std::thread::sleep(Duration::from_millis(500));
        for (path, raw) in &mut slow {
            assert!(raw.sends(b" "), "{path}");
        }
    }
    for (path, raw) in &mut slow {
        let answer = raw.answer();
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(17), "{path}: {took:?}");
        assert!([400, 408].contains(&status(&answer)), "{path}: {answer}");
    }
}

#[test]
fn the_bodies_of_one_leave_room_for_the_others() {
    let app = TestApp::new(crate::support::On::Sqlite).with_fleet();
    let site = Site::serve(&app);
    let (greedy, other) = (credential(&app, XEN1), credential(&app, XEN2));
    // All but their ends.
    let mut open: Vec<Raw> = (0..10)
        .map(|_| {
            let head = bearer(&greedy, 4 * MIB);
            Raw::posts(&site, "/agent/v1/report", &head, &vec![b' '; 4 * MIB - 1])
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let refused: Vec<String> = open
        .iter_mut()
        .map(|raw| {
            raw.0
                .set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            raw.answer()
        })
        .filter(|answer| !answer.is_empty())
        .collect();
    assert!((6..=8).contains(&refused.len()), "{} of 10", refused.len());
    for answer in refused {
        assert_eq!(status(&answer), 503, "{answer}");
        assert!(
            answer.to_ascii_lowercase().contains("retry-after: 5"),
            "{answer}"
        );
    }
    let mut body = vec![b' '; 3 * MIB];
    body.extend(report());
    let mut raw = Raw::posts(
        &site,
        "/agent/v1/report",
        &bearer(&other, body.len()),
        &body,
    );
    assert_eq!(raw.status_within(5.0), 200);
}
