//! A folder's records of one kind, each a file `<prefix>-<id>.json`, with a copy in memory that is changed only after
//! the disk was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{LedgerError, Result};
use super::file;

/// A record is small; anything larger is not one.
const RECORD_LIMIT: u64 = 4 * 1024 * 1024;

/// What to do with a record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// Keep it, and refuse every question about it.
    Refuse,
    /// Rename it to `….damaged`: what it said comes again from elsewhere.
    SetAside,
}

/// Must a record survive a power cut?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    Yes,
    /// Any kill of the process, but not a power cut: for what the portal gives again anyway.
    NotPower,
}

type Kept<T> = BTreeMap<i64, Result<T, String>>;

#[derive(Debug)]
pub(super) struct RecordStore<T> {
    dir: PathBuf,
    prefix: &'static str,
    durable: Durable,
    kept: Mutex<Kept<T>>,
}

impl<T: Serialize + DeserializeOwned + Clone> RecordStore<T> {
    pub(super) fn open(
        dir: &Path,
        prefix: &'static str,
        damage: Damage,
        durable: Durable,
    ) -> Result<Self> {
        let read = |source| LedgerError::Read {
            path: dir.to_owned(),
            source,
        };
        file::private_dir(dir).map_err(read)?;
        let mut kept = Kept::new();
        for found in fs::read_dir(dir).map_err(read)? {
            let found = found.map_err(read)?;
            let Some(id) = id_of(prefix, &found.file_name().to_string_lossy()) else {
                continue;
            };
            let record = read_record(&found.path()).map_err(read)?;
            if let (Err(reason), Damage::SetAside) = (&record, damage) {
                tracing::error!(path = %found.path().display(), reason, "a damaged record is set aside");
                let aside = found.path().with_extension("json.damaged");
                fs::rename(found.path(), aside).map_err(read)?;
                continue;
            }
            kept.insert(id, record);
        }
        Ok(Self {
            dir: dir.to_owned(),
            prefix,
            durable,
            kept: Mutex::new(kept),
        })
    }

    pub(super) fn get(&self, id: i64) -> Result<Option<T>> {
        match self.lock().get(&id) {
            None => Ok(None),
            Some(Ok(record)) => Ok(Some(record.clone())),
            Some(Err(reason)) => Err(LedgerError::Damaged {
                path: self.path(id),
                reason: reason.clone(),
            }),
        }
    }

    pub(super) fn all(&self) -> Kept<T> {
        self.lock().clone()
    }

    pub(super) fn put(&self, id: i64, record: &T) -> Result<()> {
        self.get(id)?;
        let failed = |source| LedgerError::Write {
            path: self.path(id),
            source,
        };
        let bytes = file::encode(record).map_err(|error| failed(io::Error::other(error)))?;
        let mut kept = self.lock();
        let name = name(self.prefix, id);
        match self.durable {
            Durable::Yes => file::replace(&self.dir, &name, &bytes),
            Durable::NotPower => file::replace_unsynced(&self.dir, &name, &bytes),
        }
        .map_err(failed)?;
        kept.insert(id, Ok(record.clone()));
        Ok(())
    }

    pub(super) fn remove(&self, id: i64) -> Result<()> {
        let mut kept = self.lock();
        let name = name(self.prefix, id);
        match self.durable {
            Durable::Yes => file::remove(&self.dir, &name),
            Durable::NotPower => file::remove_unsynced(&self.dir, &name),
        }
        .map_err(|source| LedgerError::Write {
            path: self.path(id),
            source,
        })?;
        kept.remove(&id);
        Ok(())
    }

    fn path(&self, id: i64) -> PathBuf {
        self.dir.join(name(self.prefix, id))
    }

    /// The map is consistent at every moment, so a thread that died holding it left nothing half done.
    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(prefix: &str, id: i64) -> String {
    format!("{prefix}-{id}.json")
}

fn id_of(prefix: &str, file: &str) -> Option<i64> {
    file.strip_prefix(prefix)?
        .strip_prefix('-')?
        .strip_suffix(".json")?
        .parse()
        .ok()
}

/// The outer error is the folder's, the inner one this record's.
fn read_record<T: DeserializeOwned>(path: &Path) -> io::Result<Result<T, String>> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_file() || about.len() > RECORD_LIMIT {
        return Ok(Err("it is not a file of a record's size".into()));
    }
    match fs::read(path) {
        Ok(bytes) => Ok(file::decode(&bytes)),
        Err(error) => Ok(Err(error.to_string())),
    }
}
