//! What this host was granted and what it sealed, on disk before it is acted upon. A record that cannot be read is never
//! guessed at: nothing is done for that Linode until a person looked. `rules` decides, this remembers.

pub mod file;
pub mod rules;
mod shelf;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::ids::{JobId, LinodeId, MigrationId};
use crate::wire::{BootSpec, GuestSpec, Order, Outcome};
use rules::Marks;
use shelf::{Damage, Durable, Shelf};

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("the ledger's record {path} cannot be trusted: {reason}")]
    Damaged { path: PathBuf, reason: String },
    #[error("the ledger's record {path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("the ledger in {path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{linode}: the marks would go down, from {from:?} to {to:?}")]
    Backwards {
        linode: LinodeId,
        from: Marks,
        to: Marks,
    },
}

/// One Linode, as this host knows it. Stays after the disks are purged: an old epoch must remain old.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub linode: LinodeId,
    #[serde(flatten)]
    pub marks: Marks,
    /// The epoch that names the folder of the disks in use here: the epoch they were copied for, or adopted under.
    pub generation: Option<i64>,
    pub guest: Option<GuestSpec>,
    /// What it was booted with last.
    pub boot: Option<BootSpec>,
    /// It was asked to run, and not asked to stop since.
    pub desired_running: bool,
    /// Set before a guest is stopped to be sealed, so that a repeated step still knows what it found.
    pub stopping: Option<Stopping>,
    /// The epoch under which a start was given up and sealed, so that the step repeated says so again.
    #[serde(default)]
    pub gave_up: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    pub epoch: i64,
    pub was_running: bool,
    pub forced: bool,
}

impl Entry {
    #[must_use]
    pub fn new(linode: LinodeId) -> Self {
        Self {
            linode,
            marks: Marks::default(),
            generation: None,
            guest: None,
            boot: None,
            desired_running: false,
            stopping: None,
            gave_up: None,
        }
    }
}

/// A transfer this host serves as the source, until it is closed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenTransfer {
    pub migration: MigrationId,
    pub linode: LinodeId,
    pub epoch: i64,
    pub guest: GuestSpec,
    pub peer_fingerprint: String,
    pub token: String,
}

impl fmt::Debug for OpenTransfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTransfer")
            .field("migration", &self.migration)
            .field("linode", &self.linode)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// A job taken and not yet answered for. With an outcome, only the answer is still to be delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldJob {
    pub order: Order,
    pub outcome: Option<Outcome>,
}

/// The records of one host. Shared by all threads; every write is on disk before it is visible.
#[derive(Debug)]
pub struct Ledger {
    linodes: Shelf<Entry>,
    transfers: Shelf<OpenTransfer>,
    jobs: Shelf<HeldJob>,
}

impl Ledger {
    /// Opens or makes the ledger in `dir`. Damaged records of Linodes are kept and refused; those of jobs and transfers
    /// are set aside, because the portal gives them again.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        Ok(Self {
            linodes: Shelf::open(dir, "linode", Damage::Refuse, Durable::Yes)?,
            transfers: Shelf::open(dir, "transfer", Damage::SetAside, Durable::Yes)?,
            jobs: Shelf::open(dir, "job", Damage::SetAside, Durable::NotPower)?,
        })
    }

    /// What is known of a Linode; a blank entry if nothing is.
    pub fn entry(&self, linode: LinodeId) -> Result<Entry, LedgerError> {
        Ok(self
            .linodes
            .get(linode.0)?
            .unwrap_or_else(|| Entry::new(linode)))
    }

    /// Every Linode with a record, readable or not.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<LinodeId, Result<Entry, String>> {
        self.linodes
            .all()
            .into_iter()
            .map(|(id, kept)| (LinodeId(id), kept))
            .collect()
    }

    /// Writes an entry. Marks that would go down are refused, whoever asks.
    pub fn put(&self, entry: &Entry) -> Result<(), LedgerError> {
        let from = self.entry(entry.linode)?.marks;
        let to = entry.marks;
        if to.granted < from.granted || to.sealed < from.sealed {
            return Err(LedgerError::Backwards {
                linode: entry.linode,
                from,
                to,
            });
        }
        self.linodes.put(entry.linode.0, entry)
    }

    pub fn transfer(&self, migration: MigrationId) -> Result<Option<OpenTransfer>, LedgerError> {
        self.transfers.get(migration.0)
    }

    #[must_use]
    pub fn transfers(&self) -> Vec<OpenTransfer> {
        self.transfers.all().into_values().flatten().collect()
    }

    pub fn open_transfer(&self, transfer: &OpenTransfer) -> Result<(), LedgerError> {
        self.transfers.put(transfer.migration.0, transfer)
    }

    pub fn close_transfer(&self, migration: MigrationId) -> Result<(), LedgerError> {
        self.transfers.remove(migration.0)
    }

    /// Jobs in hand, by id.
    #[must_use]
    pub fn jobs(&self) -> Vec<HeldJob> {
        self.jobs.all().into_values().flatten().collect()
    }

    pub fn job(&self, job: JobId) -> Result<Option<HeldJob>, LedgerError> {
        self.jobs.get(job.0)
    }

    pub fn hold_job(&self, held: &HeldJob) -> Result<(), LedgerError> {
        self.jobs.put(held.order.job.0, held)
    }

    pub fn drop_job(&self, job: JobId) -> Result<(), LedgerError> {
        self.jobs.remove(job.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::fs;

    const LINODE: LinodeId = LinodeId(7);

    fn granted(epoch: i64) -> Entry {
        Entry {
            marks: Marks {
                granted: epoch,
                sealed: 0,
            },
            ..Entry::new(LINODE)
        }
    }

    #[test]
    fn what_was_put_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        assert_eq!(ledger.entry(LINODE).unwrap(), Entry::new(LINODE));
        ledger.put(&granted(4)).unwrap();
        let again = Ledger::open(dir.path()).unwrap();
        assert_eq!(again.entry(LINODE).unwrap(), granted(4));
    }

    #[test]
    fn marks_never_go_down() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.put(&granted(4)).unwrap();
        assert!(matches!(
            ledger.put(&granted(3)),
            Err(LedgerError::Backwards { .. })
        ));
        assert_eq!(ledger.entry(LINODE).unwrap().marks.granted, 4);
    }

    #[test]
    fn a_damaged_record_is_refused_and_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        Ledger::open(dir.path()).unwrap().put(&granted(4)).unwrap();
        let path = dir.path().join("linode-7.json");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, whole.get(..whole.len() / 2).unwrap()).unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        assert!(matches!(
            ledger.entry(LINODE),
            Err(LedgerError::Damaged { .. })
        ));
        assert!(
            ledger.put(&granted(9)).is_err(),
            "a guess must not replace what was lost"
        );
        assert!(ledger.entries().get(&LINODE).unwrap().is_err());
        assert!(path.exists());
        assert!(ledger.entry(LinodeId(8)).is_ok(), "others are not touched");
    }

    #[test]
    fn a_left_over_temporary_file_means_nothing() {
        let dir = tempfile::tempdir().unwrap();
        Ledger::open(dir.path()).unwrap().put(&granted(4)).unwrap();
        fs::write(dir.path().join("linode-7.json.tmp"), b"half").unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        assert_eq!(ledger.entry(LINODE).unwrap(), granted(4));
        ledger.put(&granted(5)).unwrap();
        assert_eq!(
            Ledger::open(dir.path()).unwrap().entry(LINODE).unwrap(),
            granted(5)
        );
    }

    #[test]
    fn a_token_is_not_shown_by_debug() {
        let guest = GuestSpec {
            label: "a".into(),
            ram_mb: 1,
            mac: String::new(),
            addresses: vec![],
            disks: vec![],
            cpu_weight: 1,
            io_priority: 4,
        };
        let transfer = OpenTransfer {
            migration: MigrationId(1),
            linode: LINODE,
            epoch: 1,
            guest,
            peer_fingerprint: "f".into(),
            token: "secret-token".into(),
        };
        assert!(!format!("{transfer:?}").contains("secret"));
    }
}
