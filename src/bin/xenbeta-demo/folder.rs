//! The demo's folder: who may use it, and what lies where.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use xenbeta::agent::ledger::file;
use xenbeta::app::secrets;

use crate::Failure;

/// How much of a log's end is shown in an error.
const LOG_END: u64 = 2000;
/// A log longer than this starts anew when the demo does.
const LOG_MAX: u64 = 4 << 20;

pub struct Folder {
    path: PathBuf,
    secret: String,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, and takes it for this process.
    pub fn open(path: Option<PathBuf>) -> Result<Self, Failure> {
        let path = std::path::absolute(path.unwrap_or_else(usual))?;
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        if path.to_str().is_none() {
            return Err(format!("{}: the path is not UTF-8", path.display()).into());
        }
        file::private_dir(&path).map_err(named)?;
        let lock = private(&path.join("lock"), false).map_err(named)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "another demo runs on {}: use that one, stop it, or choose another folder with --data",
                    path.display()
                )
                .into());
            }
            Err(TryLockError::Error(error)) => return Err(named(error).into()),
        }
        let secret = match fs::read_to_string(path.join("secret")) {
            Ok(secret) => secret,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = secrets::new_token()?;
                file::replace(&path, "secret", secret.as_bytes()).map_err(named)?;
                secret
            }
            Err(error) => return Err(named(error).into()),
        };
        Ok(Self {
            path,
            secret,
            _lock: lock,
        })
    }

    /// Everything secret in the demo is derived from this one, so that it is the same every time.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn shown(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    pub fn database(&self) -> Result<String, Failure> {
        let path = self.path.join("portal.db");
        // Password hashes are in it.
        private(&path, false)?;
        Ok(path
            .to_str()
            .ok_or("the folder's path is not UTF-8")?
            .to_owned())
    }

    pub fn mail(&self) -> Result<PathBuf, Failure> {
        let path = self.path.join("mail");
        file::private_dir(&path)?;
        Ok(path)
    }

    /// A log to append to.
    pub fn log(&self, name: &str) -> Result<File, Failure> {
        let path = self.path.join(name);
        let long = fs::metadata(&path).is_ok_and(|about| about.len() > LOG_MAX);
        let mut log = private(&path, true)?;
        if long {
            log.set_len(0)?;
        }
        writeln!(log, "--- the demo starts")?;
        Ok(log)
    }

    /// The last lines of a log, for an error.
    pub fn log_end(&self, name: &str) -> String {
        let read = || {
            let mut log = File::open(self.path.join(name))?;
            let from = log.metadata()?.len().saturating_sub(LOG_END);
            log.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            log.take(LOG_END).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        match read() {
            Ok(text) => text,
            Err(error) => format!("({name}: {error})"),
        }
    }

    /// Has a demo on this folder been ready before?
    pub fn was_ready(&self) -> bool {
        self.path.join("demo.json").exists()
    }

    pub fn write_summary(&self, text: &str) -> Result<(), Failure> {
        Ok(file::replace(&self.path, "demo.json", text.as_bytes())?)
    }
}

fn private(path: &Path, append: bool) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .append(append)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Where state belongs in a home, or a build's folder where there is no home.
fn usual() -> PathBuf {
    #[allow(
        clippy::disallowed_methods,
        reason = "where a home is, only the environment knows"
    )]
    let folder = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .map_or_else(
            || PathBuf::from("target/demo"),
            |state| state.join("xenbeta/demo"),
        )
}
