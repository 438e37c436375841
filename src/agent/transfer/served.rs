//! What a source serves: one migration's passes, and what is known of the disks they read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;

use super::chunk::{CHUNK, Cut, Digest, UNKNOWN};
use super::guests::Guests;
use super::message::malformed;
use super::table::Digests;
use super::{Cap, Fault, Granted, Result, Source, TransferError};
use crate::agent::disk::{DiskError, DiskStore, Dropped, Image, Moment};
use crate::domain::ids::MigrationId;
use crate::wire::DiskSpec;

/// What one migration has granted, and the pass that is being served.
pub(super) struct Transfer {
    pub granted: Granted,
    pass: Mutex<Option<Arc<Pass>>>,
}

/// One pass: what every disk is read from, and what is known of it. A pass that is over keeps its own tables: a
/// connection that is late writes into those, never into the next pass's.
pub(super) struct Pass {
    pub number: u32,
    pub sealed: Option<i64>,
    pub told: bool,
    /// A disk is read as it changes, for want of room.
    pub moving: bool,
    pub disks: Vec<PassDisk>,
}

pub(super) struct PassDisk {
    pub spec: DiskSpec,
    pub cut: Cut,
    pub image: Box<dyn Image>,
    /// Of what `image` holds and nothing else; `None`: it may change while it is read.
    pub table: Option<Digests>,
}

struct Opened {
    disk: PassDisk,
    told: bool,
    moving: bool,
}

impl Transfer {
    pub(super) fn new(granted: Granted) -> Self {
        Self {
            granted,
            pass: Mutex::new(None),
        }
    }

    /// Starts a pass. A final pass over the same sealed disks goes on with what is known of them.
    pub(super) fn begin(&self, shared: &Shared, sealed: Option<i64>) -> Result<Arc<Pass>> {
        self.check_sealed(shared, sealed)?;
        let mut current = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(pass), Some(_)) = (&*current, sealed)
            && pass.sealed == sealed
        {
            return Ok(Arc::clone(pass));
        }
        // Taken: if this fails half-way, clones and tables may be of different moments, and the next pass starts anew.
        let before = current.take();
        let number = before.as_ref().map_or(1, |pass| pass.number + 1);
        let (mut told, mut moving) = (true, false);
        let mut disks = Vec::with_capacity(self.granted.disks.len());
        for (i, spec) in self.granted.disks.iter().enumerate() {
            let elder = before
                .as_ref()
                .and_then(|pass| pass.disks.get(i))
                .and_then(|disk| disk.table.as_ref());
            let opened = self.open(shared, spec, sealed.is_some(), elder)?;
            told &= opened.told;
            moving |= opened.moving;
            disks.push(opened.disk);
        }
        let pass = Arc::new(Pass {
            number,
            sealed,
            told,
            moving,
            disks,
        });
        *current = Some(Arc::clone(&pass));
        Ok(pass)
    }

    fn open(
        &self,
        shared: &Shared,
        spec: &DiskSpec,
        sealed: bool,
        elder: Option<&Digests>,
    ) -> Result<Opened> {
        let (linode, migration) = (self.granted.linode, self.granted.migration);
        let cut = Cut::new(spec.size_bytes);
        let moment = if sealed { Moment::Sealed } else { Moment::Live };
        // Only what cannot change while it is read may be remembered: sealed disks and clones.
        let mut table = None;
        if sealed || shared.store.tells_changes() {
            let digests = Digests::plain(shared.store.source_table(linode, migration, spec.id)?);
            if let Some(elder) = elder {
                digests.copy_from(elder, cut.chunks()).map_err(source_io)?;
            }
            table = Some(digests);
        }
        let mut failed = None;
        let view = shared.store.view(
            linode,
            self.granted.epoch,
            migration,
            spec,
            moment,
            &mut |range| {
                if let Some(table) = &table
                    && elder.is_some()
                    && let Err(e) = forget(table, &cut, &range)
                {
                    failed = Some(e);
                }
            },
        )?;
        if let Some(e) = failed {
            return Err(source_io(e));
        }
        let told = view.told && elder.is_some();
        if view.moving {
            // As on a store without clones.
            table = None;
        } else if let (Some(_), Some(_), false) = (&table, elder, told) {
            table = Some(Digests::plain(
                shared.store.source_table(linode, migration, spec.id)?,
            ));
        }
        Ok(Opened {
            told,
            moving: view.moving,
            disk: PassDisk {
                spec: spec.clone(),
                cut,
                image: view.image,
                table,
            },
        })
    }

    pub(super) fn check_sealed(&self, shared: &Shared, sealed: Option<i64>) -> Result<()> {
        let Some(epoch) = sealed else { return Ok(()) };
        let found = shared.source.sealed(self.granted.linode);
        if epoch == self.granted.epoch && found == epoch {
            return Ok(());
        }
        let detail = format!(
            "final pass for epoch {epoch}, granted {}, sealed {found}",
            self.granted.epoch
        );
        Err(TransferError::new(Fault::NotSealed, detail))
    }

    pub(super) fn current(&self, number: u32) -> Result<Arc<Pass>> {
        let current = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        let pass = current.as_ref().filter(|pass| pass.number == number);
        // Unreachable rather than wrong: another connection began a pass; whoever asks may begin again.
        pass.cloned()
            .ok_or_else(|| TransferError::new(Fault::Unreachable, format!("pass {number} is over")))
    }
}

/// Chunks of which any byte may have changed are not known any more.
fn forget(table: &Digests, cut: &Cut, range: &std::ops::Range<u64>) -> std::io::Result<()> {
    let mut at = range.start / CHUNK as u64;
    let end = range.end.div_ceil(CHUNK as u64).min(cut.chunks());
    let blank = vec![UNKNOWN; 4096];
    while at < end {
        let step = usize::try_from(end - at)
            .unwrap_or(blank.len())
            .min(blank.len());
        table.write(at, blank.get(..step).unwrap_or_default())?;
        at += step as u64;
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn source_io(e: std::io::Error) -> TransferError {
    if Dropped::is_why(&e) {
        // The asker begins again, and is given what can be read then.
        return TransferError::new(Fault::Unreachable, format!("{e}; the pass begins anew"));
    }
    DiskError::io("at the source", &e).into()
}

impl Pass {
    pub(super) fn disk(&self, disk: u16) -> Result<&PassDisk> {
        self.disks
            .get(usize::from(disk))
            .ok_or_else(|| malformed("no such disk"))
    }
}

/// A segment differs unless all of it is known here and known to be the same.
pub(super) fn compare(disk: &PassDisk, first: u32, digests: &[Digest]) -> Result<Vec<bool>> {
    let Some(table) = &disk.table else {
        return Ok(vec![true; digests.len()]);
    };
    let mut differ = Vec::with_capacity(digests.len());
    for (theirs, segment) in digests.iter().zip(first..) {
        let (first, count) = disk.cut.segment(segment);
        let own = table.root(first, count as u64).map_err(source_io)?;
        differ.push(count == 0 || own.as_ref() != Some(theirs));
    }
    Ok(differ)
}

/// What listener and connections share: who is here, and what they were granted.
pub(super) struct Shared {
    pub source: Arc<dyn Source>,
    pub store: Arc<dyn DiskStore>,
    pub cap: Arc<Cap>,
    pub guests: Guests,
    stop: AtomicBool,
    tls: Arc<ServerConfig>,
    transfers: Mutex<HashMap<MigrationId, Arc<Transfer>>>,
}

impl Shared {
    pub(super) fn new(
        source: Arc<dyn Source>,
        store: Arc<dyn DiskStore>,
        cap: Arc<Cap>,
        tls: Arc<ServerConfig>,
    ) -> Self {
        Self {
            source,
            store,
            cap,
            guests: Guests::default(),
            stop: AtomicBool::new(false),
            tls,
            transfers: Mutex::default(),
        }
    }

    pub(super) fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls)
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The connection is this migration's from now on; what it granted is read through one [`Transfer`].
    pub(super) fn join(&self, id: u64, granted: Granted) -> Result<Arc<Transfer>> {
        self.guests.join(id, granted.migration);
        let mut transfers = self.transfers();
        if let Some(known) = transfers.get(&granted.migration)
            && known.granted == granted
        {
            return Ok(Arc::clone(known));
        }
        // New to this process: clones and tables of an earlier one vouch for nothing here.
        self.store.close_source(granted.linode, granted.migration)?;
        let transfer = Arc::new(Transfer::new(granted));
        transfers.insert(transfer.granted.migration, Arc::clone(&transfer));
        Ok(transfer)
    }

    /// Forgets what was granted to a migration, and cuts its connections.
    pub(super) fn cut(&self, migration: MigrationId) {
        self.transfers().remove(&migration);
        self.guests.cut(migration);
    }

    /// Ends the listener and every connection.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.guests.cut_all();
    }

    fn transfers(&self) -> MutexGuard<'_, HashMap<MigrationId, Arc<Transfer>>> {
        self.transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
