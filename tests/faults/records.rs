//! A bit rots in a record of the ledger.

use std::path::{Path, PathBuf};

use xenbeta::agent::ledger::error::LedgerError;
use xenbeta::agent::ledger::rules::Marks;
use xenbeta::agent::ledger::{Entry, HeldJob, Ledger, OpenTransfer};
use xenbeta::domain::ids::{JobId, MigrationId};
use xenbeta::wire::{Order, PortalMark, Task};

use crate::mover::LINODE;
use crate::rest::rot;
use crate::rng::Rng;

/// A ledger with one of everything.
fn ledger() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    ledger.saw(&mark(1)).unwrap();
    let mut entry = Entry::new(LINODE);
    entry.marks = Marks {
        granted: 4,
        sealed: 3,
    };
    ledger.put(&entry).unwrap();
    ledger.saw(&mark(2)).unwrap();
    let guest = crate::samples::guest(LINODE);
    let order = Order {
        job: JobId(5),
        attempt: 1,
        lease_token: "l".repeat(43),
        linode: LINODE,
        task: Task::Adopt {
            epoch: 4,
            guest: guest.clone(),
            boot: None,
        },
    };
    ledger
        .hold_job(&HeldJob {
            order,
            life: None,
            outcome: None,
        })
        .unwrap();
    ledger
        .open_transfer(&OpenTransfer {
            migration: MigrationId(3),
            linode: LINODE,
            epoch: 4,
            guest,
            peer_fingerprint: "f".repeat(64),
            token: "t".repeat(43),
        })
        .unwrap();
    dir
}

fn mark(revision: i64) -> PortalMark {
    PortalMark {
        incarnation: "a life".into(),
        revision,
    }
}

/// Rots the file, and gives what then comes of opening the ledger.
fn opened(dir: &Path, name: &str, rng: &mut Rng) -> Result<Ledger, LedgerError> {
    let path: PathBuf = dir.join(name);
    let len = std::fs::metadata(&path).unwrap().len();
    rot(&path, 0..len, rng);
    Ledger::open(dir)
}

pub fn linode(rng: &mut Rng) -> Result<(), String> {
    let dir = ledger();
    let ledger = opened(dir.path(), &format!("linode-{LINODE}.json"), rng);
    match ledger.map(|it| it.entry(LINODE)) {
        Ok(Err(LedgerError::Damaged { .. })) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// The portal gives these again: they are set aside.
pub fn job_or_transfer(rng: &mut Rng) -> Result<(), String> {
    let dir = ledger();
    let job = rng.below(2) == 0;
    let name = if job { "job-5.json" } else { "transfer-3.json" };
    let ledger = opened(dir.path(), name, rng).map_err(|e| e.to_string())?;
    let left = (
        ledger.jobs().len(),
        usize::from(matches!(ledger.transfer(MigrationId(3)), Ok(Some(_)))),
    );
    let aside = dir.path().join(format!("{name}.damaged")).exists();
    if left == (usize::from(!job), usize::from(job)) && aside {
        Ok(())
    } else {
        Err(format!("{left:?} are left of {name}, set aside: {aside}"))
    }
}

pub fn marks(rng: &mut Rng) -> Result<(), String> {
    let dir = ledger();
    let names = ["identity.json", "portal.json", "portal-seen.json"];
    let name = names[rng.below(3) as usize];
    match (name, opened(dir.path(), name, rng)) {
        // It follows every poll without a sync: void, and the one for good holds.
        ("portal-seen.json", Ok(ledger)) if ledger.seen() == Some(mark(1)) => Ok(()),
        ("identity.json" | "portal.json", Err(LedgerError::Damaged { .. })) => Ok(()),
        (name, other) => Err(format!("{name}: {other:?}")),
    }
}
