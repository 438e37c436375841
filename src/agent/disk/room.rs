//! Room for what guests can overwrite while clones of their live disks share blocks with them. The one rule: **a copy never
//! hurts its source**. While a clone is open, every block its guest overwrites takes a new one; so a clone is made only
//! where all of them are free (over all clones of the file system, and a reserve beside), and it goes at once when that is
//! no longer so. Then the guest overwrites in place again, and the pass reads the live disk.
//!
//! A clone has no name: it goes with the agent that holds it, killed or not. Dropping one cuts it to nothing, so that its
//! blocks are free whoever still has it open.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::Ground;
use crate::domain::ids::{DiskId, LinodeId, MigrationId};

/// How often it is looked whether there is room still. What guests and others write between two looks must fit into half of
/// the reserve.
const LOOK: Duration = Duration::from_millis(250);
/// The reserve where none is configured: this part of the file system, and no more than so many bytes.
const RESERVE_PART: u64 = 20;
const RESERVE_MOST: u64 = 4 << 30;
/// A pass keeps a digest of 32 bytes for each 16 KiB.
const TABLE_PART: u64 = 512;

/// Whose clone it is.
pub(super) type Of = (LinodeId, MigrationId, DiskId);

/// A clone of one live disk.
pub(super) struct Clone {
    of: Of,
    pub file: File,
    live: File,
    size: u64,
    /// What its guest can still overwrite at the price of a new block.
    needed: AtomicU64,
    gone: AtomicBool,
}

impl Clone {
    /// What is read of a clone is good only if this says `false` afterwards.
    pub(super) fn gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    fn needed(&self) -> u64 {
        self.needed.load(Ordering::Relaxed)
    }

    fn cut(&self) {
        // In this order: a reader that finds nothing there learns why.
        self.gone.store(true, Ordering::SeqCst);
        if let Err(error) = self.file.set_len(0) {
            let (linode, _, disk) = self.of;
            tracing::error!(%linode, %disk, %error, "a clone could not be cut; its blocks are free when its pass ends");
        }
    }
}

pub(super) struct Room {
    pub ground: Arc<dyn Ground>,
    /// Bytes, if configured.
    reserve: Option<u64>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    clones: Vec<Arc<Clone>>,
    watched: bool,
}

impl Room {
    pub(super) fn new(ground: Arc<dyn Ground>, reserve: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            ground,
            reserve,
            open: Mutex::default(),
        })
    }

    /// Makes `empty` a clone of `live`, if there is room for it, and watches that there is from then on. A clone of the same
    /// disk that is open already is not counted: its blocks are the same ones.
    pub(super) fn open(
        self: &Arc<Self>,
        of: Of,
        live: File,
        empty: File,
        size: u64,
    ) -> io::Result<Option<Arc<Clone>>> {
        let stored = live.metadata()?.blocks() * 512;
        let clone = Arc::new(Clone {
            of,
            file: empty,
            live,
            size,
            needed: AtomicU64::new(stored.saturating_add(size / TABLE_PART)),
            gone: AtomicBool::new(false),
        });
        // Counted before it is made, so that two at once do not both take the same room.
        if !self.enter(&clone)? {
            self.measure();
            if !self.enter(&clone)? {
                return Ok(None);
            }
        }
        if let Err(error) = self.ground.share(&clone.live, &clone.file) {
            self.close(&clone);
            let full = error.kind() == io::ErrorKind::StorageFull;
            return if full { Ok(None) } else { Err(error) };
        }
        // The guest may have written since it was counted, and that is shared too.
        if let Ok(about) = clone.file.metadata() {
            let stored = about.blocks() * 512;
            let needed = stored.saturating_add(size / TABLE_PART);
            clone.needed.fetch_max(needed, Ordering::Relaxed);
        }
        if clone.gone() {
            // Dropped while it was made: what was shared after the cut goes too.
            self.close(&clone);
            return Ok(None);
        }
        if !self.watch() {
            self.close(&clone);
            return Ok(None);
        }
        Ok(Some(clone))
    }

    /// The clone of this disk that is open, if there is one.
    pub(super) fn held(&self, of: Of) -> Option<Arc<Clone>> {
        let open = self.lock();
        let found = open.clones.iter().rev().find(|clone| clone.of == of);
        found.map(Arc::clone)
    }

    /// Drops a clone that is needed no more.
    pub(super) fn close(&self, clone: &Arc<Clone>) {
        self.lock().clones.retain(|it| !Arc::ptr_eq(it, clone));
        clone.cut();
    }

    /// Drops all clones of one migration.
    pub(super) fn close_all(&self, linode: LinodeId, migration: MigrationId) {
        let theirs = |clone: &Arc<Clone>| (clone.of.0, clone.of.1) == (linode, migration);
        let mut closed: Vec<_> = Vec::new();
        self.lock().clones.retain(|clone| {
            let keep = !theirs(clone);
            if !keep {
                closed.push(Arc::clone(clone));
            }
            keep
        });
        for clone in closed {
            clone.cut();
        }
    }

    /// Drops clones until there is room for what the others need when `taken` more bytes are gone.
    pub(super) fn keep(&self, taken: u64) {
        if self.short(taken).is_none() {
            return;
        }
        self.measure();
        while let Some((worst, free, needed)) = self.short(taken) {
            let (linode, migration, disk) = worst.of;
            tracing::warn!(
                %linode, %migration, %disk, free, needed,
                "too little room for what guests can overwrite: a clone is dropped, and its pass reads the live disk"
            );
            self.close(&worst);
        }
    }

    /// The clone to drop first if there is too little room, with what is free and what is needed. Where the file system
    /// does not say, there is none.
    fn short(&self, taken: u64) -> Option<(Arc<Clone>, u64, u64)> {
        let open = self.lock();
        let worst = open.clones.iter().max_by_key(|clone| clone.needed())?;
        let (free, reserve) = self.free().unwrap_or((0, 0));
        let free = free.saturating_sub(taken);
        let needed = needed(&open.clones);
        // Half of the reserve is what may be written between two looks.
        (free < needed.saturating_add(reserve / 2)).then(|| (Arc::clone(worst), free, needed))
    }

    /// Counts the clone in, if there is room for it and the reserve.
    fn enter(&self, clone: &Arc<Clone>) -> io::Result<bool> {
        let mut open = self.lock();
        let (free, reserve) = self.free()?;
        let others = open.clones.iter().filter(|it| it.of != clone.of);
        let wanted = needed(others).saturating_add(clone.needed());
        let fits = free >= wanted.saturating_add(reserve);
        if fits {
            open.clones.push(Arc::clone(clone));
        }
        Ok(fits)
    }

    /// Finds out how much of each clone is shared still. Without the lock: a disk in many pieces takes a while.
    fn measure(&self) {
        let clones = self.lock().clones.clone();
        for clone in clones {
            // Not known is not less.
            let Ok(shared) = (self.ground).still_shared(&clone.file, &clone.live, clone.size)
            else {
                continue;
            };
            let needed = shared.saturating_add(clone.size / TABLE_PART);
            clone.needed.store(needed, Ordering::Relaxed);
        }
    }

    /// Bytes free, and the reserve.
    pub(super) fn free(&self) -> io::Result<(u64, u64)> {
        let space = self.ground.space()?;
        let usual = (space.total / RESERVE_PART).min(RESERVE_MOST);
        Ok((space.free, self.reserve.unwrap_or(usual)))
    }

    /// A thread that looks for as long as there are clones. `false`: there is none.
    fn watch(self: &Arc<Self>) -> bool {
        let mut open = self.lock();
        if !open.watched {
            let room = Arc::downgrade(self);
            let watch = move || {
                thread::sleep(LOOK);
                while Weak::upgrade(&room).is_some_and(|room| room.look()) {
                    thread::sleep(LOOK);
                }
            };
            let spawned = thread::Builder::new().name("room".into()).spawn(watch);
            open.watched = spawned
                .inspect_err(
                    |error| tracing::error!(%error, "no thread to watch the room for clones"),
                )
                .is_ok();
        }
        open.watched
    }

    fn look(&self) -> bool {
        self.keep(0);
        let mut open = self.lock();
        open.watched = !open.clones.is_empty();
        open.watched
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the guests of these disks can overwrite. Two clones of one disk share blocks: the newer one has them all.
fn needed<'a>(clones: impl IntoIterator<Item = &'a Arc<Clone>>) -> u64 {
    let mut most = std::collections::BTreeMap::new();
    for clone in clones {
        let needed: &mut u64 = most.entry(clone.of).or_default();
        *needed = clone.needed().max(*needed);
    }
    most.values().fold(0, |sum, one| sum.saturating_add(*one))
}
