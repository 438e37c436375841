//! What strangers, and those who are slow or many, can do from outside: by raw bytes, to a portal that serves.

mod bodies;
mod connections;
mod log;
mod ready;
mod streams;
#[cfg(feature = "agent")]
mod tls;
mod uploads;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::browser::{Browser, Site};
use crate::support::port::free_address;
use crate::support::{SECRET, TestApp};

/// A connection on which bytes are sent as a test likes.
pub struct Raw(TcpStream);

impl Raw {
    pub fn to(base: &str) -> Self {
        let stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Self(stream)
    }

    /// A request's head, and as much of its body as is there.
    pub fn posts(site: &Site, path: &str, more: &str, body: &[u8]) -> Self {
        let mut raw = Self::to(&site.base);
        // Which the forms' origin is compared with.
        let host = site.base.trim_start_matches("http://");
        raw.sends(format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n\r\n").as_bytes());
        raw.sends(body);
        raw
    }

    /// `false`: nobody takes it any more.
    pub fn sends(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The answer as far as it has come by the end of its head, and of its body if it says how long that is.
    pub fn answer(&mut self) -> String {
        let (mut text, mut piece) = (String::new(), [0; 4096]);
        loop {
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    let line = line.to_ascii_lowercase();
                    line.strip_prefix("content-length: ")?.parse().ok()
                });
                if body.len() >= length.unwrap_or(0_usize) {
                    return text;
                }
            }
            match self.0.read(&mut piece) {
                Ok(count) if count > 0 => {
                    text.push_str(&String::from_utf8_lossy(&piece[..count]));
                }
                _ => return text,
            }
        }
    }

    /// The answer's status, which comes within this time.
    #[track_caller]
    pub fn status_within(&mut self, seconds: f64) -> u16 {
        let begun = Instant::now();
        let answer = self.answer();
        let took = begun.elapsed().as_secs_f64();
        assert!(took < seconds, "{took:.1} s: {answer}");
        status(&answer)
    }
}

/// 0 where there was no answer.
pub fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1);
    status.map_or(0, |status| status.parse().unwrap())
}

/// As a browser sends a form with a file, up to the end of that file.
pub fn multipart(page: &crate::browser::Reply, button: &str, file: &[u8]) -> (String, Vec<u8>) {
    let (_, action, fields) = page.form(button, &[]);
    let mut body = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| name != "file") {
        let value = if value.is_empty() { "something" } else { value };
        body.extend(
            format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .bytes(),
        );
    }
    body.extend(
        b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n",
    );
    body.extend(file);
    (action, body)
}

/// The head of such a form.
pub fn upload_head(site: &Site, browser: &Browser, length: usize) -> String {
    format!(
        "Cookie: {}\r\nOrigin: {}\r\nContent-Type: multipart/form-data; boundary=cut\r\nContent-Length: {length}",
        browser.cookie(),
        site.base
    )
}

/// The program itself, until the test ends.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Served {
    /// `more`: of the configuration.
    pub fn start(app: &TestApp, more: &str) -> Self {
        let address = free_address();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("portal.toml");
        std::fs::write(&config, format!("listen = \"{address}\"\n{more}\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenbeta"));
        command
            .args(["serve", "--config"])
            .arg(&config)
            .env("DATABASE_URL", &app.url);
        Self::by(command, address)
    }

    /// By a command that becomes the program.
    pub fn by(mut command: Command, address: SocketAddr) -> Self {
        let mut child = command
            .env("XENBETA_SECRET", SECRET)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (said, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(said).split(b'\n') {
                let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
                *kept.lock().unwrap() += &format!("{line}\n");
            }
        });
        let served = Self {
            child,
            address,
            log,
        };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "{}", served.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        served
    }

    pub fn site(&self) -> Site {
        Site {
            base: format!("http://{}", self.address),
        }
    }

    /// In KiB: what it has, and the most that it ever had.
    pub fn memory(&self) -> [u64; 2] {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        ["VmRSS:", "VmHWM:"].map(|key| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
