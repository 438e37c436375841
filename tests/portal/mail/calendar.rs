//! The calendar files as a mail program gets them: over a real mail server, read by Python's `icalendar` of PyPI.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{Offset, TimeZone};
use serde_json::Value;
use xenbeta::app::migration::actions::Click;
use xenbeta::mail::{SmtpSecurity, SmtpSettings, SmtpTransport};
use xenbeta::work::mailer;

use crate::both_databases;
use crate::support::fleet::{MEMBER_EMAIL, WEB, XEN1};
use crate::support::hand::{self, now_click};
use crate::support::smtp::Smtp;

/// The Python of an environment that has the package, made once beside the other build output; `None`, said plainly, where
/// it cannot be installed.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("icalendar-venv");
        let python = folder.join("bin/python");
        let has = |python: &Path| {
            let done = Command::new(python)
                .args(["-c", "import icalendar"])
                .stderr(Stdio::null())
                .status();
            done.is_ok_and(|status| status.success())
        };
        if !has(&python) {
            let run = |command: &mut Command| {
                command
                    .stdout(Stdio::null())
                    .status()
                    .is_ok_and(|status| status.success())
            };
            let made = run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
                && run(Command::new(&python).args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "icalendar>=5,<7",
                ]));
            if !made || !has(&python) {
                return None;
            }
        }
        Some(python)
    };
    PYTHON.get_or_init(make).as_deref()
}

fn read(python: &Path, file: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/read_ics.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(file.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "it cannot be read: {file}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whatever the zone and its clocks do, the file means the moment, and its own rules say so too.
#[test]
fn another_program_reads_every_kind_of_zone() {
    let Some(python) = python() else {
        eprintln!("skipped: the PyPI package icalendar cannot be installed here");
        return;
    };
    for (zone, at, in_zone) in [
        ("Europe/Vienna", "2026-10-24T22:30:00Z", true),
        ("Europe/Vienna", "2026-10-25T00:30:00Z", false), // ends in the hour that comes twice
        ("Europe/Vienna", "2026-10-25T01:10:00Z", false), // is in it
        ("Europe/Vienna", "2026-10-25T02:10:00Z", true),
        ("Europe/Vienna", "2027-03-28T01:00:00Z", true), // the first moment of summer time
        ("America/New_York", "2026-12-24T17:30:00Z", true),
        ("Australia/Lord_Howe", "2026-12-24T17:30:00Z", true),
        ("Africa/Casablanca", "2026-12-24T17:30:00Z", true),
        ("Europe/Dublin", "2026-12-24T17:30:00Z", true),
        ("Asia/Kolkata", "2026-12-24T17:30:00Z", true),
        ("America/St_Johns", "2026-07-24T17:30:00Z", true),
        ("UTC", "2026-12-24T17:30:00Z", false),
        ("Mars/Olympus", "2026-12-24T17:30:00Z", false),
    ] {
        let starts: chrono::DateTime<chrono::Utc> = at.parse().unwrap();
        let file = xenbeta::mail::calendar_file(&xenbeta::mail::Appointment {
            uid: "migration-7@lpm.example.net".to_owned(),
            sequence: 2,
            stamp: starts,
            starts,
            zone,
            summary: "web moves".to_owned(),
            description: "It moves.".to_owned(),
            url: "https://lpm.example.net/members/migrations/7".to_owned(),
            organizer: "beta@lpm.example.net",
            attendee: "mia@example.com",
            cancelled: false,
        });
        let event = read(python, &file);
        let what = format!("{zone} {at}: {event}\n{file}");
        assert_eq!(event["minutes"], 30.0, "{what}");
        assert_eq!(event["zone"] == zone, in_zone, "{what}");
        let number = |key: &str| event[key].as_f64().unwrap();
        // By the rules of the file, which may be newer than those of this machine: Morocco's are of September 2026.
        let amiss = if in_zone {
            number("offset_s") - number("ruled_offset_s")
        } else {
            0.0
        };
        assert_eq!(
            number("start_s") + amiss,
            starts.timestamp() as f64,
            "{what}"
        );
        assert!(amiss == 0.0 || zone == "Africa/Casablanca", "{what}");
    }
}

both_databases! {
    fn another_program_reads_choice_change_and_cancel(app: TestApp) {
        let Some(python) = python() else {
            eprintln!("skipped: the PyPI package icalendar cannot be installed here");
            return;
        };
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let first = app.now().plus_days(2);
        let second = app.now().plus_days(3);
        for at in [first, second] {
            let click = Click { at: Some(at), ..now_click() };
            app.migrate(&app.member(), WEB, click).unwrap();
        }
        let row = app.newest_migration(WEB);
        app.unschedule(&app.member(), row.id).unwrap();

        let server = Smtp::start();
        let transport = SmtpTransport::new(&SmtpSettings {
            host: "localhost".to_owned(),
            port: Some(server.port),
            security: SmtpSecurity::Plain,
            username: None,
            password: None,
            root_certificate: None,
            timeout: Duration::from_secs(5),
            from: "Xen beta <beta@lpm.example.net>".to_owned(),
            hello_name: None,
        }).unwrap();
        while mailer::round(&app, &transport, "lpm.example.net").unwrap() > 0 {}
        let with_file: Vec<_> = server.received().into_iter().filter(|mail| !mail.attachments.is_empty()).collect();
        assert_eq!(with_file.len(), 3);
        let mut uids = Vec::new();
        let expected = [("REQUEST", "CONFIRMED", first), ("REQUEST", "CONFIRMED", second), ("CANCEL", "CANCELLED", second)];
        for ((number, mail), (method, status, at)) in with_file.iter().enumerate().zip(expected) {
            assert!(mail.text.starts_with("Hello Mia,") && mail.html.contains("Mia"), "text and HTML as ever");
            let [file] = mail.attachments.as_slice() else { panic!("{:?}", mail.attachments) };
            assert_eq!((file.name.as_str(), file.kind.as_str()), ("migration.ics", "text/calendar"));
            assert_eq!(file.method.as_deref(), Some(method));
            assert!(file.text.lines().all(|line| line.len() <= 75) && file.text.matches('\n').count() == file.text.matches("\r\n").count());
            let event = read(python, &file.text);
            assert_eq!(event["method"], method);
            assert_eq!(event["status"], status);
            assert_eq!(event["sequence"], number);
            for zone in ["zone", "end_zone", "zone_id", "shown_zone"] {
                assert_eq!(event[zone], "Europe/Vienna", "the member's: {event}");
            }
            let there = hand::vienna().offset_from_utc_datetime(&at.utc().naive_utc()).fix().local_minus_utc();
            assert_eq!(event["offset_s"], f64::from(there), "{event}");
            assert_eq!(event["ruled_offset_s"], f64::from(there), "{event}");
            assert_eq!(event["start_s"], at.utc().timestamp() as f64);
            assert_eq!(event["minutes"], 30.0);
            assert_eq!(event["summary"], "web stops for its move to xen1");
            assert_eq!(event["attendee"], format!("mailto:{MEMBER_EMAIL}"));
            assert_eq!(event["url"], format!("{}/members/migrations/{}", app.settings.base_url, row.id));
            uids.push(event["uid"].clone());
        }
        uids.dedup();
        assert_eq!(uids.len(), 1, "one appointment: {uids:?}");
    }
}
