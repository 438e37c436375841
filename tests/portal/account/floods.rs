//! A flood at the doors, at the program itself: what it takes of memory, and that others are served.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::browser::{Browser, Site};
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL};
use crate::support::port::free_address;
use crate::support::{On, SECRET, TestApp};

const MB: u64 = 1024;

struct Portal {
    program: Child,
    site: Site,
}

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Portal {
    fn start(folder: &std::path::Path, database: &str) -> Self {
        let address = free_address();
        let config = folder.join("portal.toml");
        let text = format!(
            "listen = \"{address}\"\ndatabase_url = {database:?}\ntrusted_proxies = [\"127.0.0.1\"]\n"
        );
        std::fs::write(&config, text).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_xenbeta"))
            .args(["serve", "--config"])
            .arg(&config)
            .env("XENBETA_SECRET", SECRET)
            .env("RUST_LOG", "warn")
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let site = Site {
            base: format!("http://{address}"),
        };
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it serves");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { program, site }
    }

    /// In KiB: what it has, and the most that it ever had.
    fn memory(&self) -> [u64; 2] {
        let file = format!("/proc/{}/status", self.program.id());
        let text = std::fs::read_to_string(file).unwrap();
        ["VmRSS:", "VmHWM:"].map(|key| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        })
    }
}

/// So many at once, each from an address of its own, by the form of a page that was loaded before.
fn flood(portal: &Portal, count: usize, path: &str, fields: &[(&str, &str)]) -> Vec<u16> {
    let mut first = portal.site.visitor();
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
                .site
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
    let (url, folder) = TestApp::new(On::Sqlite)
        .with_fleet()
        .with_passwords()
        .apart();
    let portal = Portal::start(folder.path(), &url);
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
            assert_eq!(portal.site.visitor().get("/health").status, 200);
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
