//! What strangers, and those who are slow or many, can do from outside: by raw bytes, to a portal that serves.

mod bodies;
mod connections;
mod log;
mod ready;
mod streams;
#[cfg(feature = "agent")]
mod tls;
mod uploads;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::browser::{Browser, Site};
use crate::served::connect_from;

/// A connection on which bytes are sent as a test likes.
pub struct Raw(TcpStream);

impl Raw {
    pub fn to(base: &str) -> Self {
        Self::on(TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap())
    }

    /// From another address of this machine.
    pub fn from(address: [u8; 4], base: &str) -> Self {
        let to = base.strip_prefix("http://").unwrap().parse().unwrap();
        Self::on(connect_from(address, to).unwrap())
    }

    fn on(stream: TcpStream) -> Self {
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
