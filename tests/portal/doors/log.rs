//! What the program writes down of what strangers say.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::served::Served;
use crate::support::{On, TestApp};

/// Names a field so that it would begin a line of its own, and waits until the log has heard of it.
fn heard(served: &Served) -> String {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream
        .write_all(b"GET /login HTTP/1.1\r\nHost: portal\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let between = |text: &str, from: &str, to: &str| {
        text.split(from)
            .nth(1)
            .unwrap()
            .split(to)
            .next()
            .unwrap()
            .to_owned()
    };
    let cookie = between(&page, "set-cookie: ", ";");
    let token = between(&page, "name=\"csrf\" value=\"", "\"");
    let body =
        format!("csrf={token}&x%0D%0A2026-11-28T00%3A00%3A00Z%20ERROR%20forged%1B%5B2J%E2%80%AE=1");
    let mut stream = TcpStream::connect(served.address).unwrap();
    write!(
        stream,
        "POST /login HTTP/1.1\r\nHost: portal\r\nCookie: {cookie}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let until = Instant::now() + Duration::from_secs(5);
    while !served.log().contains("forged") {
        assert!(Instant::now() < until, "{}", served.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    served.log()
}

#[test]
fn a_field_of_a_stranger_forges_no_line_of_the_log() {
    let app = TestApp::new(On::Sqlite);
    let log = heard(&Served::start(&app, ""));
    assert!(!log.contains(['\r', '\u{1b}', '\u{202e}']), "{log:?}");
    assert!(
        !log.lines()
            .any(|line| line.contains("ERROR") && !line.contains("fault=")),
        "{log}"
    );
    let line = log.lines().find(|line| line.contains("forged")).unwrap();
    assert!(
        line.contains(" INFO ") && line.contains("\\r\\n2026"),
        "{line}"
    );
}

#[test]
fn a_log_in_json_has_an_object_a_line() {
    let app = TestApp::new(On::Sqlite);
    let log = heard(&Served::start(&app, "log = \"json\""));
    for line in log.lines() {
        let said: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(
            said["level"].is_string() && said["timestamp"].is_string(),
            "{line}"
        );
    }
    assert!(!log.contains(['\u{1b}', '\u{202e}']), "{log}");
}
