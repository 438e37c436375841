//! Pages of people who are signed in, beside the constant page (`/health`) of the same portal: requests a second by wrk in
//! turn, medians; how long they take at half that rate; and the portal's memory before and after. On both databases, with
//! ten thousand Linodes. Prints a table a database.
//!
//! `BENCH_PORTAL` names another program than the one just built, `BENCH_ON` one database (`sqlite`, `postgresql`),
//! `BENCH_PACKED=yes` asks for packed pages as browsers do.

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
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use served::Served;
use support::fleet::{MEMBER_EMAIL, STAFF_EMAIL};
use support::{On, TestApp};
use xenbeta::store::error::StoreError;

const CONNECTIONS: usize = 8;
const ROUNDS: usize = 5;
const ROUND_S: usize = 3;
const HALF_LOAD: Duration = Duration::from_secs(5);
/// Threads that wait for work go after ten seconds without any.
const REST: Duration = Duration::from_secs(20);
const CONSTANT: &str = "/health";
const PAGES: [(&str, &str); 3] = [
    ("/members/", MEMBER_EMAIL),
    ("/members/linodes/101", MEMBER_EMAIL),
    ("/staff/migrations", STAFF_EMAIL),
];

fn main() {
    let only = std::env::var("BENCH_ON").unwrap_or_default();
    for (on, name) in [(On::Sqlite, "sqlite"), (On::Postgresql, "postgresql")] {
        if only.is_empty() || only == name {
            bench(on, name);
        }
    }
}

fn bench(on: On, name: &str) {
    let app = TestApp::new(on).with_fleet().with_passwords();
    fill(&app);
    // Only the portal under test is to hold it.
    let (url, _folder) = app.apart();
    let url = match on {
        On::Sqlite => url,
        On::Postgresql => support::pg::by_socket(&url),
    };
    let program = std::env::var("BENCH_PORTAL");
    let program = program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_xenbeta"));
    let portal = Served::program(program, &url, "");
    let site = portal.site();
    let mut asked = vec![(CONSTANT, String::new())];
    for (path, email) in PAGES {
        let cookie = format!("lpm={}", site.signed_in(email).cookies["lpm"]);
        let begun = portal.fetch(path, &cookie);
        assert!(begun.starts_with("HTTP/1.1 200"), "{path}: {begun}");
        asked.push((path, cookie));
    }
    let [before, _] = portal.memory();
    let mut rates = vec![Vec::new(); asked.len()];
    for _ in 0..ROUNDS {
        for (rates, (path, cookie)) in rates.iter_mut().zip(&asked) {
            rates.push(portal.by_wrk(path, cookie));
        }
    }
    let rates: Vec<f64> = rates.iter_mut().map(|rates| median(rates)).collect();
    println!("\n{name}, wrk -t1 -c{CONNECTIONS}, medians of {ROUNDS} rounds of {ROUND_S} s\n");
    println!("| page | requests/s | of the constant page | at half load: median | p99 |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for ((path, cookie), rate) in asked.iter().zip(&rates) {
        let (middle, late) = portal.at_rate(path, cookie, rate / 2.0);
        println!(
            "| {path} | {rate:.0} | {:.3} | {middle:.2} ms | {late:.2} ms |",
            rate / rates[0]
        );
    }
    std::thread::sleep(REST);
    let [after, most] = portal.memory();
    let mib = |kib: u64| kib as f64 / 1024.0;
    println!(
        "\nMemory of the portal: {:.1} MiB before, {:.1} MiB at most, {:.1} MiB {} s after.",
        mib(before),
        mib(most),
        mib(after),
        REST.as_secs()
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A thousand accounts with ten Linodes each on a hundred hosts, what belongs to them, and what became of them; the one who
/// looks has what the others have.
fn fill(app: &TestApp) {
    let at = "'2026-01-01T00:00:00.000000Z'";
    let mut sql = String::new();
    for n in 1..=100 {
        let id = 1000 + n;
        sql.push_str(&format!("INSERT INTO hosts (id, name, platform, role, state, memory_mb, disk_mb, credential_hash, created_at) VALUES ({id}, 'host{n}', '{}', '{}', 'enabled', 65536, 4000000, 'b{n}', {at});\n",
            if n % 2 == 0 { "xen" } else { "uml" }, if n % 2 == 0 { "beta" } else { "source" }));
    }
    for n in 0..1000 {
        let account = if n == 0 { 1 } else { 1000 + n };
        if n > 0 {
            sql.push_str(&format!("INSERT INTO accounts (id, name, created_at) VALUES ({account}, 'Account {n}', {at});
                INSERT INTO users (id, account_id, email, name, role, timezone, disabled, created_at) VALUES ({account}, {account}, 'm{n}@example.org', 'M', 'member', 'UTC', FALSE, {at});\n"));
        }
        for m in 0..10 {
            linode(&mut sql, account, n * 10 + m, at);
        }
    }
    for n in 1..=12 {
        sql.push_str(&format!("INSERT INTO jobs (host_id, linode_id, kind, state, epoch, run_after, entered_at, started_at, finished_at) VALUES (1, 101, 'reboot', 'succeeded', 1, {at}, {at}, {at}, '2026-01-01T00:00:{n:02}.000000Z');\n"));
    }
    sql.push_str("ANALYZE;");
    app.db
        .write(|conn| conn.batch_execute(&sql).map_err(StoreError::from))
        .unwrap();
}

/// One with two disks, a profile and two addresses. Every other one was registered, and moved.
fn linode(sql: &mut String, account: i64, n: i64, at: &str) {
    let id = 10_000 + n;
    let from = 1001 + 2 * (n % 50);
    let (host, to) = (if n % 2 == 0 { from + 1 } else { from }, from + 1);
    let user = account;
    let (d1, d2, i1, i2) = (
        20_000 + 2 * n,
        20_001 + 2 * n,
        50_000 + 2 * n,
        50_001 + 2 * n,
    );
    let (device, kernel) = if n % 2 == 0 {
        ("xvda", "xen-2.6")
    } else {
        ("ubda", "uml-2.6")
    };
    sql.push_str(&format!(
        "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, {account}, 'linode-{n}', 1, {host}, 1, TRUE, 'running', {at}, 'fe:fd:01:{:02x}:{:02x}:00', {at});
         INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({d1}, {id}, 'root', 20000, 'ext4', {at}), ({d2}, {id}, 'swap', 256, 'swap', {at});
         INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES ({id}, {id}, 'default', '{kernel}', '{{\"{device}\":{d1}}}', '/dev/{device}', TRUE, 'default', '[]');
         INSERT INTO ips (id, address, linode_id, host_id, prefix, gateway, kind) VALUES ({i1}, '10.{}.{}.1', {id}, {host}, 24, '10.0.0.1', 'public'), ({i2}, '10.{}.{}.2', {id}, {host}, 17, NULL, 'private');\n",
        n / 256, n % 256, n / 256, n % 256, n / 256, n % 256
    ));
    if n % 2 == 0 {
        sql.push_str(&format!(
            "INSERT INTO registrations (id, linode_id, account_id, requested_by, state, requested_at) VALUES ({id}, {id}, {account}, {user}, 'approved', {at});
             INSERT INTO migrations (id, kind, linode_id, account_id, registration_id, source_host_id, destination_host_id, state, epoch, offered_at, expires_at, started_at, finished_at) VALUES ({id}, 'beta', {id}, {account}, {id}, {from}, {to}, 'confirmed', 1, {at}, {at}, {at}, {at});\n"
        ));
    }
}

/// What one asks the portal.
impl Served {
    fn connect(&self) -> Asking {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        Asking {
            stream,
            got: Vec::new(),
        }
    }

    fn fetch(&self, path: &str, cookie: &str) -> String {
        String::from_utf8_lossy(&self.connect().ask(&request(path, cookie))).into_owned()
    }

    fn by_wrk(&self, path: &str, cookie: &str) -> f64 {
        let mut wrk = Command::new("wrk");
        wrk.arg("-t1")
            .arg(format!("-c{CONNECTIONS}"))
            .arg(format!("-d{ROUND_S}s"));
        for header in headers(cookie) {
            wrk.arg("-H").arg(header);
        }
        let out = wrk
            .arg(format!("http://{}{path}", self.address))
            .output()
            .expect("wrk runs (scripts/setup bench installs it)");
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(
            out.status.success() && !text.contains("Non-2xx"),
            "{path}: {text}"
        );
        let rate = text
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"))
            .expect("a rate");
        rate.trim().parse().unwrap()
    }

    /// Asks so many times a second, whether or not earlier answers have come: median and 99th percentile in milliseconds,
    /// each from when the question was due.
    fn at_rate(&self, path: &str, cookie: &str, rate: f64) -> (f64, f64) {
        let text = request(path, cookie);
        let all = (rate * HALF_LOAD.as_secs_f64()) as usize;
        let begin = Instant::now() + Duration::from_millis(20);
        let mut took: Vec<f64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..CONNECTIONS)
                .map(|first| {
                    let (mut asking, text) = (self.connect(), &text);
                    scope.spawn(move || {
                        let mut took = Vec::new();
                        for n in (first..all).step_by(CONNECTIONS) {
                            let due = begin + Duration::from_secs_f64(n as f64 / rate);
                            std::thread::sleep(due.saturating_duration_since(Instant::now()));
                            asking.ask(text);
                            took.push(due.elapsed().as_secs_f64() * 1000.0);
                        }
                        took
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|it| it.join().unwrap())
                .collect()
        });
        took.sort_by(f64::total_cmp);
        (took[took.len() / 2], took[took.len() * 99 / 100])
    }
}

fn headers(cookie: &str) -> Vec<String> {
    let mut all = Vec::new();
    if !cookie.is_empty() {
        all.push(format!("Cookie: {cookie}"));
    }
    if std::env::var("BENCH_PACKED").is_ok() {
        all.push("Accept-Encoding: gzip".to_owned());
    }
    all
}

fn request(path: &str, cookie: &str) -> String {
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers(cookie) {
        text.push_str(&header);
        text.push_str("\r\n");
    }
    text + "\r\n"
}

/// One connection that is kept.
struct Asking {
    stream: TcpStream,
    got: Vec<u8>,
}

impl Asking {
    /// The whole answer, if it says how long it is.
    fn ask(&mut self, request: &str) -> Vec<u8> {
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut piece = [0; 16 * 1024];
        loop {
            if let Some(end) = whole(&self.got) {
                return self.got.drain(..end).collect();
            }
            let read = self.stream.read(&mut piece).unwrap();
            assert!(read > 0, "the portal hung up");
            self.got.extend_from_slice(&piece[..read]);
        }
    }
}

/// Where the answer that these bytes begin with ends.
fn whole(got: &[u8]) -> Option<usize> {
    let head = got.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&got[..head]).to_lowercase();
    if text.contains("transfer-encoding: chunked") {
        let end = got[head..]
            .windows(5)
            .position(|five| five == b"0\r\n\r\n")?;
        return Some(head + end + 5);
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    (got.len() >= head + length).then_some(head + length)
}
