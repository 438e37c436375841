//! A real mail server for a test: `smtp.py` as a child process, what it took as values.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

/// A mail as Python's parser read it.
#[derive(Debug, Clone, Deserialize)]
pub struct Received {
    /// Seconds since 1970.
    pub at: f64,
    pub from: String,
    pub to: Vec<String>,
    pub headers: BTreeMap<String, String>,
    pub text: String,
    pub html: String,
    pub encrypted: bool,
    pub attachments: Vec<Attachment>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Attachment {
    pub name: String,
    pub kind: String,
    pub method: Option<String>,
    pub text: String,
}

pub struct Smtp {
    pub port: u16,
    /// The PEM of its certificate, if it has one.
    pub certificate: Option<Vec<u8>>,
    folder: TempDir,
    /// It ends with its standard input, so also when the test's process dies.
    child: Child,
}

impl Smtp {
    pub fn start() -> Self {
        Self::launch(0, false)
    }

    /// One that insists on STARTTLS, and on `beta` with the password `secret`.
    pub fn with_tls() -> Self {
        Self::launch(0, true)
    }

    /// On a port that was found free before.
    pub fn on_port(port: u16) -> Self {
        Self::launch(port, false)
    }

    fn launch(port: u16, tls: bool) -> Self {
        let folder = TempDir::new().expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp.py");
        // Debian's own Python: it is the one that Debian's aiosmtpd belongs to.
        let mut command = Command::new("/usr/bin/python3");
        command.arg("-B").arg(script).arg(folder.path());
        let certificate = tls.then(|| {
            let pair =
                rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
            let (cert, key) = (
                folder.path().join("cert.pem"),
                folder.path().join("key.pem"),
            );
            std::fs::write(&cert, pair.cert.pem()).expect("is written");
            std::fs::write(&key, pair.signing_key.serialize_pem()).expect("is written");
            command.arg(cert).arg(key);
            pair.cert.pem().into_bytes()
        });
        let mut child = command
            .env("SMTP_PORT", port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("/usr/bin/python3 is missing: run scripts/setup");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("is piped"))
            .read_line(&mut line)
            .expect("it speaks");
        let port = line.trim().parse().unwrap_or_else(|_| {
            panic!(
                "the mail server did not start: run scripts/setup (Debian package python3-aiosmtpd)"
            )
        });
        Self {
            port,
            certificate,
            folder,
            child,
        }
    }

    /// What it took, in order.
    pub fn received(&self) -> Vec<Received> {
        self.received_after(0)
    }

    /// How much it took.
    pub fn count(&self) -> usize {
        self.files().len()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path())
            .expect("is readable")
            .map(|entry| entry.expect("is readable").path())
            .filter(|path| path.extension().is_some_and(|it| it == "json"))
            .collect();
        files.sort();
        files
    }

    /// What it took after the first so many.
    pub fn received_after(&self, first: usize) -> Vec<Received> {
        self.files()
            .iter()
            .skip(first)
            .map(|path| {
                let text = std::fs::read_to_string(path).expect("is readable");
                serde_json::from_str(&text).expect("is what smtp.py writes")
            })
            .collect()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
