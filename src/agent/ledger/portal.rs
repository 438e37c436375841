//! How far the portal's memory reached at the most, as this agent saw it. Two files: one for good, written before anything
//! of ownership takes effect, and one that follows every change without a sync, so that a poll costs nothing. The second
//! may be torn by a power cut and is void then; the first never is.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{LedgerError, Result};
use super::file;
use super::identity::{read, write};
use crate::wire::PortalMark;

const FOR_GOOD: &str = "portal.json";
const SEEN: &str = "portal-seen.json";

#[derive(Debug)]
pub(super) struct Seen(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    highest: Option<PortalMark>,
    for_good: bool,
}

impl Seen {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let for_good: Option<PortalMark> = read(dir, FOR_GOOD)?;
        let seen: Option<PortalMark> = read(dir, SEEN).unwrap_or_else(|error| {
            tracing::warn!(%error, "what was seen of the portal last was lost, as by a power cut");
            None
        });
        let reach = |mark: &Option<PortalMark>| mark.as_ref().map_or(-1, |mark| mark.revision);
        let newer = reach(&seen) > reach(&for_good);
        Ok(Self(Mutex::new(Kept {
            highest: if newer { seen } else { for_good },
            for_good: !newer,
        })))
    }

    pub(super) fn forget(dir: &Path) -> Result<()> {
        for name in [SEEN, FOR_GOOD] {
            file::remove(dir, name).map_err(|source| LedgerError::Write {
                path: dir.join(name),
                source,
            })?;
        }
        Ok(())
    }

    pub(super) fn highest(&self) -> Option<PortalMark> {
        self.lock().highest.clone()
    }

    pub(super) fn keep(&self, dir: &Path, mark: &PortalMark) -> Result<()> {
        let mut kept = self.lock();
        if kept.highest.as_ref() == Some(mark) {
            return Ok(());
        }
        // Remembered in any case: a full disk must not make the agent follow a portal that went back.
        kept.highest = Some(mark.clone());
        kept.for_good = false;
        write(dir, SEEN, mark, false)
    }

    pub(super) fn remember(&self, dir: &Path) -> Result<()> {
        let mut kept = self.lock();
        if let (Some(mark), false) = (&kept.highest, kept.for_good) {
            write(dir, FOR_GOOD, mark, true)?;
            kept.for_good = true;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
