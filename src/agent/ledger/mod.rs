//! What this host was granted and what it sealed, on disk before it is acted upon. A record that cannot be read is never
//! guessed at: nothing is done for that Linode until a person looked. `rules` decides, this remembers.

pub mod error;
pub mod file;
pub mod identity;
mod portal;
mod record_store;
pub mod rules;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use identity::Identity;
use portal::Seen;
use record_store::{Damage, Durable, RecordStore};
use rules::Marks;
use serde::{Deserialize, Serialize};

use self::error::{LedgerError, Result};
use crate::domain::ids::{JobId, LinodeId, MigrationId};
use crate::wire::{BootSpec, GuestSpec, LedgerMark, Order, Outcome, PortalMark};

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
    /// The epoch under which a start held: the step repeated says so again, and never gives up what was written since.
    #[serde(default)]
    pub stayed_up: Option<i64>,
    /// The migration that brought it here under the epoch granted last.
    #[serde(default)]
    pub brought_by: Option<MigrationId>,
    /// The start that was, or is, to be watched: written down before the guest can write.
    #[serde(default)]
    pub watch: Option<Watch>,
}

/// A guest that was started under `epoch` is looked at until then, to see whether it stays up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    pub epoch: i64,
    pub until: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    pub epoch: i64,
    pub was_running: bool,
    pub forced: bool,
}

impl Entry {
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
            stayed_up: None,
            brought_by: None,
            watch: None,
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

/// A trial on this host, written down before anything of it is made and taken out when all of it is gone. Its clones are the
/// ones that the store made for this migration, its guest the one that the trials' driver has of this Linode: so nothing
/// else needs to be remembered to destroy it, after whatever crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    pub linode: LinodeId,
    pub migration: MigrationId,
}

/// A job taken and not yet answered for. With an outcome, only the answer is still to be delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldJob {
    pub order: Order,
    /// The life of the portal that gave it, where it says.
    #[serde(default)]
    pub life: Option<String>,
    pub outcome: Option<Outcome>,
}

/// An entry as it is kept: with the ledger's count when it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Counted {
    #[serde(flatten)]
    entry: Entry,
    /// 0: written by an agent that did not count.
    #[serde(default)]
    serial: i64,
}

/// The records of one host. Shared by all threads; every write is on disk before it is visible.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    linodes: RecordStore<Counted>,
    transfers: RecordStore<OpenTransfer>,
    trials: RecordStore<Trial>,
    jobs: RecordStore<HeldJob>,
    /// `None`: only looked at, and it has none yet.
    identity: Option<Identity>,
    /// The highest count on disk. Held while a record is written, so that no two have the same.
    serial: Mutex<i64>,
    seen: Seen,
    /// Held while a grant is accepted, and while a new life of the portal is noted.
    life: Mutex<()>,
}

impl Ledger {
    /// Opens or makes the ledger in `dir`, for whoever acts by it and holds the lock on the state folder: every start is
    /// counted. Damaged records of Linodes are kept and refused; those of jobs and transfers are set aside, because the
    /// portal gives them again.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut ledger = Self::read(dir, Damage::SetAside)?;
        let counted = *ledger.lock_serial();
        let identity = match ledger.identity.take() {
            Some(known) => known.started(counted),
            // A ledger of before there were identities has no counts either.
            None if counted == 0 => Identity::anew(counted)?,
            None => {
                return Err(LedgerError::NoIdentity {
                    path: dir.to_owned(),
                    name: identity::NAME,
                });
            }
        };
        identity.write(dir)?;
        *ledger.lock_serial() = identity.serial;
        ledger.identity = Some(identity);
        Ok(ledger)
    }

    /// Opens the ledger to look at it, beside the agent that acts by it. Changes nothing.
    pub fn look(dir: &Path) -> Result<Self> {
        let ledger = Self::read(dir, Damage::Refuse)?;
        if ledger.identity.is_none() && *ledger.lock_serial() > 0 {
            return Err(LedgerError::NoIdentity {
                path: dir.to_owned(),
                name: identity::NAME,
            });
        }
        Ok(ledger)
    }

    /// Makes another identity for the records that are here, and forgets what was seen of the portal: after damage, by an
    /// operator. To the portal this is another ledger, which staff have to judge.
    pub fn renew(dir: &Path) -> Result<LedgerMark> {
        let linodes: RecordStore<Counted> =
            RecordStore::open(dir, "linode", Damage::Refuse, Durable::Yes)?;
        Seen::forget(dir)?;
        let identity = Identity::anew(highest(&linodes))?;
        identity.write(dir)?;
        Ok(identity.mark(dir, identity.serial))
    }

    fn read(dir: &Path, damage: Damage) -> Result<Self> {
        let linodes = RecordStore::open(dir, "linode", Damage::Refuse, Durable::Yes)?;
        let identity = Identity::read(dir)?;
        let started = identity.as_ref().map_or(0, |known| known.serial);
        let serial = highest(&linodes).max(started);
        Ok(Self {
            dir: dir.to_owned(),
            linodes,
            transfers: RecordStore::open(dir, "transfer", damage, Durable::Yes)?,
            trials: RecordStore::open(dir, "trial", damage, Durable::Yes)?,
            jobs: RecordStore::open(dir, "job", damage, Durable::NotPower)?,
            identity,
            serial: Mutex::new(serial),
            seen: Seen::open(dir)?,
            life: Mutex::default(),
        })
    }

    /// What the portal knows this ledger by; `None` only where it was merely looked at and has no identity yet.
    pub fn mark(&self) -> Option<LedgerMark> {
        let serial = *self.lock_serial();
        let identity = self.identity.as_ref()?;
        Some(identity.mark(&self.dir, serial))
    }

    /// How far the portal's memory reached at the most.
    pub fn seen(&self) -> Option<PortalMark> {
        self.seen.highest()
    }

    /// May an order that changes ownership be taken from a portal that shows this?
    pub fn follows(&self, shown: Option<&PortalMark>) -> bool {
        fn pair(mark: &PortalMark) -> (&str, i64) {
            (mark.incarnation.as_str(), mark.revision)
        }
        rules::follows(self.seen().as_ref().map(pair), shown.map(pair))
    }

    /// Keeps the portal's mark if it is a newer one; for good only by [`Ledger::remember_portal`].
    /// A new life of the portal is kept for good at once: orders of the one before are void from then on.
    pub fn saw(&self, shown: &PortalMark) -> Result<()> {
        if !self.follows(Some(shown)) {
            return Ok(());
        }
        if self.is_life(&shown.incarnation) {
            return self.seen.keep(&self.dir, shown);
        }
        let _no_grant_meanwhile = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        self.seen.keep(&self.dir, shown)?;
        self.remember_portal()
    }

    fn is_life(&self, incarnation: &str) -> bool {
        self.seen()
            .is_some_and(|seen| seen.incarnation == incarnation)
    }

    /// Writes an entry that accepts a grant, if the portal is in the life that the order came from (`None`: it did not say).
    /// `false`: a new life began since, and whoever was asked in it must not find a grant of the old one later.
    pub fn accept(&self, entry: &Entry, life: Option<&str>) -> Result<bool> {
        let _no_new_life_meanwhile = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if life.is_some_and(|life| !self.is_life(life)) {
            return Ok(false);
        }
        self.put(entry)?;
        Ok(true)
    }

    /// The portal's highest mark is on disk for good: before anything of ownership takes effect.
    pub fn remember_portal(&self) -> Result<()> {
        self.seen.remember(&self.dir)
    }

    /// Identity, count and the portal's mark, in a line for people.
    pub fn described(&self) -> String {
        let ledger = self.mark().map_or_else(
            || "no identity yet".to_owned(),
            |mark| format!("ledger {} at {}", mark.id, mark.serial),
        );
        let portal = self.seen().map_or_else(
            || "nothing seen of the portal's memory".to_owned(),
            |mark| format!("portal {} at {}", mark.incarnation, mark.revision),
        );
        format!("{ledger}; {portal}")
    }

    fn lock_serial(&self) -> std::sync::MutexGuard<'_, i64> {
        self.serial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a Linode; a blank entry if nothing is.
    pub fn entry(&self, linode: LinodeId) -> Result<Entry> {
        Ok(self
            .linodes
            .get(linode.0)?
            .map_or_else(|| Entry::new(linode), |counted| counted.entry))
    }

    /// Every Linode with a record, readable or not.
    pub fn entries(&self) -> BTreeMap<LinodeId, Result<Entry, String>> {
        self.linodes
            .all()
            .into_iter()
            .map(|(id, kept)| (LinodeId(id), kept.map(|counted| counted.entry)))
            .collect()
    }

    /// Writes an entry. Marks that would go down are refused, whoever asks.
    pub fn put(&self, entry: &Entry) -> Result<()> {
        let from = self.entry(entry.linode)?.marks;
        let to = entry.marks;
        if to.granted < from.granted || to.sealed < from.sealed {
            return Err(LedgerError::Backwards {
                linode: entry.linode,
                from,
                to,
            });
        }
        if to != from {
            self.remember_portal()?;
        }
        let mut serial = self.lock_serial();
        let counted = Counted {
            entry: entry.clone(),
            serial: *serial + 1,
        };
        self.linodes.put(entry.linode.0, &counted)?;
        // Only now: what is told to the portal must not be more than what is on disk.
        *serial = counted.serial;
        Ok(())
    }

    pub fn transfer(&self, migration: MigrationId) -> Result<Option<OpenTransfer>> {
        self.transfers.get(migration.0)
    }

    /// Is a transfer to this peer open?
    pub fn serves(&self, peer_fingerprint: &str) -> bool {
        let open = self.transfers.all();
        let mut open = open.values().flatten();
        open.any(|transfer| transfer.peer_fingerprint == peer_fingerprint)
    }

    pub fn open_transfer(&self, transfer: &OpenTransfer) -> Result<()> {
        self.transfers.put(transfer.migration.0, transfer)
    }

    pub fn close_transfer(&self, migration: MigrationId) -> Result<()> {
        self.transfers.remove(migration.0)
    }

    pub fn trial(&self, linode: LinodeId) -> Result<Option<Trial>> {
        self.trials.get(linode.0)
    }

    pub fn trials(&self) -> Vec<Trial> {
        self.trials.all().into_values().flatten().collect()
    }

    pub fn begin_trial(&self, trial: &Trial) -> Result<()> {
        self.trials.put(trial.linode.0, trial)
    }

    pub fn end_trial(&self, linode: LinodeId) -> Result<()> {
        self.trials.remove(linode.0)
    }

    /// Jobs in hand, by id.
    pub fn jobs(&self) -> Vec<HeldJob> {
        self.jobs.all().into_values().flatten().collect()
    }

    pub fn job(&self, job: JobId) -> Result<Option<HeldJob>> {
        self.jobs.get(job.0)
    }

    pub fn hold_job(&self, held: &HeldJob) -> Result<()> {
        self.jobs.put(held.order.job.0, held)
    }

    pub fn drop_job(&self, job: JobId) -> Result<()> {
        self.jobs.remove(job.0)
    }
}

/// The highest count of the records that can be read.
fn highest(linodes: &RecordStore<Counted>) -> i64 {
    let records = linodes.all().into_values().flatten();
    records.map(|counted| counted.serial).max().unwrap_or(0)
}

#[cfg(test)]
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
    fn every_put_and_every_start_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let first = ledger.mark().unwrap();
        assert_eq!((first.id.len(), first.serial), (32, 1));
        assert_eq!((first.machine.len(), first.place.len()), (64, 64));
        ledger.put(&granted(4)).unwrap();
        ledger.put(&granted(4)).unwrap();
        assert_eq!(ledger.mark().unwrap().serial, 3);
        assert_eq!(Ledger::look(dir.path()).unwrap().mark().unwrap().serial, 3);
        let again = Ledger::open(dir.path()).unwrap().mark().unwrap();
        assert_eq!((&again.id, again.serial), (&first.id, 4));
        assert_eq!(
            (&again.machine, &again.place),
            (&first.machine, &first.place)
        );
        assert!(ledger.put(&granted(3)).is_err());
        assert_eq!(
            ledger.mark().unwrap().serial,
            3,
            "what was refused is not counted"
        );
    }

    #[test]
    fn a_ledger_of_the_last_release_gets_an_identity_and_one_that_lost_it_none() {
        let dir = tempfile::tempdir().unwrap();
        let old = file::encode(&granted(4)).unwrap();
        file::replace(dir.path(), "linode-7.json", &old).unwrap();
        assert_eq!(Ledger::look(dir.path()).unwrap().mark(), None);
        assert!(!dir.path().join("identity.json").exists());
        let ledger = Ledger::open(dir.path()).unwrap();
        assert_eq!(ledger.entry(LINODE).unwrap(), granted(4));
        let known = ledger.mark().unwrap();
        ledger.put(&granted(5)).unwrap();
        fs::remove_file(dir.path().join("identity.json")).unwrap();
        for opened in [Ledger::open(dir.path()), Ledger::look(dir.path())] {
            let error = opened.unwrap_err();
            assert!(matches!(error, LedgerError::NoIdentity { .. }));
            assert!(error.to_string().contains("renew-ledger"), "{error}");
        }
        assert!(!dir.path().join("identity.json").exists());
        let renewed = Ledger::renew(dir.path()).unwrap();
        assert_ne!(renewed.id, known.id);
        assert!(renewed.serial > known.serial);
        let ledger = Ledger::open(dir.path()).unwrap();
        assert_eq!(ledger.entry(LINODE).unwrap(), granted(5));
        assert_eq!(ledger.mark().unwrap().id, renewed.id);
    }

    #[test]
    fn a_damaged_identity_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Ledger::open(dir.path()).unwrap();
        fs::write(dir.path().join("identity.json"), b"{}").unwrap();
        assert!(matches!(
            Ledger::open(dir.path()),
            Err(LedgerError::Damaged { .. })
        ));
    }

    fn shown(incarnation: &str, revision: i64) -> PortalMark {
        PortalMark {
            incarnation: incarnation.into(),
            revision,
        }
    }

    #[test]
    fn the_portals_highest_mark_is_kept_and_for_good_with_a_grant() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        assert!(ledger.follows(None));
        ledger.saw(&shown("a", 5)).unwrap();
        ledger.saw(&shown("a", 4)).unwrap();
        ledger.saw(&shown("b", 5)).unwrap();
        assert_eq!(ledger.seen(), Some(shown("a", 5)));
        assert!(!ledger.follows(None));
        assert!(!ledger.follows(Some(&shown("b", 5))));
        assert!(ledger.follows(Some(&shown("b", 6))));
        assert!(
            dir.path().join("portal.json").exists(),
            "a new life at once"
        );
        assert_eq!(
            Ledger::look(dir.path()).unwrap().seen(),
            Some(shown("a", 5))
        );
        ledger.put(&granted(4)).unwrap();
        assert!(dir.path().join("portal.json").exists());
        ledger.saw(&shown("a", 6)).unwrap();
        // A power cut took what was not synced.
        fs::write(dir.path().join("portal-seen.json"), b"").unwrap();
        assert_eq!(
            Ledger::open(dir.path()).unwrap().seen(),
            Some(shown("a", 5))
        );
        let ledger = Ledger::open(dir.path()).unwrap();
        assert!(ledger.accept(&granted(5), Some("a")).unwrap());
        ledger.saw(&shown("b", 7)).unwrap();
        assert!(
            !ledger.accept(&granted(6), Some("a")).unwrap(),
            "an order of the life before"
        );
        assert_eq!(ledger.entry(LINODE).unwrap().marks.granted, 5);
        fs::write(dir.path().join("portal-seen.json"), b"").unwrap();
        assert_eq!(
            Ledger::open(dir.path()).unwrap().seen(),
            Some(shown("b", 7))
        );
        fs::write(dir.path().join("portal.json"), b"").unwrap();
        assert!(matches!(
            Ledger::open(dir.path()),
            Err(LedgerError::Damaged { .. })
        ));
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
