//! What a ledger is known by: random bits made with it, and a count of its records and starts. An old folder put back, or
//! a copy of one, is told from the real one by them; `domain::ownership` has what follows from that.

use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::error::{LedgerError, Result};
use super::file;
use crate::agent::driver::files::boot_id;
use crate::wire::LedgerMark;

pub const NAME: &str = "identity.json";
/// Where a machine says which it is, the best first.
const MACHINE: [&str; 3] = [
    "/etc/machine-id",
    "/sys/class/dmi/id/product_uuid",
    "/proc/sys/kernel/hostname",
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// 128 random bits in hex.
    pub id: String,
    /// The ledger's count when the agent started last.
    pub serial: i64,
}

impl Identity {
    /// For a ledger that has none, whose records were counted up to `counted`.
    pub fn anew(counted: i64) -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| LedgerError::Write {
            path: NAME.into(),
            source: io::Error::other(error.to_string()),
        })?;
        let mut id = String::with_capacity(32);
        for byte in bytes {
            // Writing to a text cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        Ok(Self {
            id,
            serial: counted + 1,
        })
    }

    /// The same, one start later.
    #[must_use]
    pub fn started(self, counted: i64) -> Self {
        Self {
            serial: counted.max(self.serial) + 1,
            ..self
        }
    }

    /// `None`: there is no file. One that cannot be read is never replaced by a guess.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        read(dir, NAME)
    }

    pub fn write(&self, dir: &Path) -> Result<()> {
        write(dir, NAME, self, true)
    }

    pub fn mark(&self, dir: &Path, serial: i64) -> LedgerMark {
        LedgerMark {
            id: self.id.clone(),
            serial,
            machine: machine(),
            place: place(dir),
        }
    }
}

/// A file of its own beside the records, with a digest as they have.
pub(super) fn read<T: serde::de::DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>> {
    let path = dir.join(name);
    match fs::read(&path) {
        Ok(bytes) => match file::decode(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(reason) => Err(LedgerError::Damaged { path, reason }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LedgerError::Read { path, source }),
    }
}

pub(super) fn write<T: Serialize>(dir: &Path, name: &str, record: &T, durable: bool) -> Result<()> {
    let failed = |source| LedgerError::Write {
        path: dir.join(name),
        source,
    };
    let bytes = file::encode(record).map_err(|error| failed(io::Error::other(error)))?;
    let written = if durable {
        file::replace(dir, name, &bytes)
    } else {
        file::replace_unsynced(dir, name, &bytes)
    };
    written.map_err(failed)
}

/// A hash: who reads it elsewhere learns nothing of the machine.
fn machine() -> String {
    let said = |path: &&str| {
        let text = fs::read_to_string(path).ok()?;
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let text = MACHINE.iter().find_map(said);
    let text = text.unwrap_or_else(|| "a machine that does not say which it is".into());
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// This very folder, since the machine's start.
fn place(dir: &Path) -> String {
    let folder = fs::metadata(dir).map_or((0, 0), |about| (about.dev(), about.ino()));
    let boot = boot_id().unwrap_or_default();
    let text = format!("{boot} {} {}", folder.0, folder.1);
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
