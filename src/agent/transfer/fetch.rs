//! The destination's two steps: the warm copy and the final one.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and times: a part in a million does not matter, and all are positive"
)]

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::apply::target_io;
use super::channel::Channel;
use super::chunk::{Cut, Digest, disk_digest};
use super::client::{call, connect};
use super::copy::{Attempt, Copy, Live, Work, table_io};
use super::message::{Answer, Ask, malformed};
use super::pass::{Patience, same_roots};
use super::policy::{self, Next, PassStats};
use super::table::Table;
use super::{Cap, Fault, Identity, Result, TransferError, Watch};
use crate::agent::disk::{DiskStore, Receipt, Target};
use crate::domain::ids::{LinodeId, MigrationId};
use crate::wire::{DiskDigest, DiskSpec, Peer, Progress};

/// Final passes before disks whose roots differ are given up.
const ROUNDS: u32 = 3;
/// How often a watcher is asked whether to stop, and how many of these make a report.
const LOOK: Duration = Duration::from_millis(50);
const REPORT: u32 = 5;
/// Bytes of promised room given back at once.
const ROOM_STEP: u64 = 64 << 20;

/// A copy to make: from whom, of what, into where. `disks` must be those the source grants; [`DiskStore::reserve`] was
/// called for this migration before.
pub struct Fetch<'a> {
    pub identity: &'a Identity,
    pub source: &'a Peer,
    pub linode: LinodeId,
    pub migration: MigrationId,
    pub disks: &'a [DiskSpec],
    pub store: &'a dyn DiskStore,
    pub cap: &'a Cap,
    pub watch: &'a dyn Watch,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmReport {
    pub passes: u32,
    /// Bytes of chunks on the wire, after compression.
    pub sent_bytes: u64,
    pub seconds: f64,
    /// What the guest has probably changed since the last pass began.
    pub rest_bytes: u64,
    /// Passes that read a live disk as it changed: the source makes clones, and had no room for one.
    pub moving_passes: u32,
    /// In which `rest_bytes` changed.
    pub last_pass_s: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FinalReport {
    /// As computed here from what was read back, and found equal to the source's.
    pub digests: Vec<DiskDigest>,
    pub sent_bytes: u64,
    pub seconds: f64,
    /// As [`Receipt::uncached`].
    pub uncached: Option<bool>,
}

impl From<Receipt> for FinalReport {
    fn from(receipt: Receipt) -> Self {
        Self {
            digests: receipt.digests,
            sent_bytes: receipt.sent_bytes,
            seconds: receipt.seconds,
            uncached: receipt.uncached,
        }
    }
}

impl Fetch<'_> {
    /// Passes over the live disks until the rest is small, passes stop paying or `max_passes` were made; and one more, once
    /// the copy was read again, where the final pass will not read it.
    pub fn warm(&self, max_passes: u32) -> Result<WarmReport> {
        self.watched(|live| {
            let started = Instant::now();
            let disks = self.open(live)?;
            let mut passes: Vec<PassStats> = Vec::new();
            let mut moving_passes = 0;
            while policy::next(&passes, max_passes) == Next::Again {
                moving_passes += self.warm_pass(live, &disks, &mut passes)?;
            }
            // Where the source will read only what changed, the final pass re-reads only what it writes. What else is in
            // the copy is read again now, while the Linode runs.
            if live.told.load(Ordering::Relaxed) || passes.len() == 1 {
                let begun = Instant::now();
                live.checked.store(1, Ordering::Relaxed);
                for disk in &disks {
                    let done = disk.table.reread(&*disk.image, &live.stop, &live.checked);
                    done.map_err(|e| target_io(&e))?;
                }
                live.checked.store(0, Ordering::Relaxed);
                // The guest writes meanwhile, too.
                if let Some(last) = passes.last_mut() {
                    last.took += begun.elapsed();
                }
                moving_passes += self.warm_pass(live, &disks, &mut passes)?;
            }
            Ok(WarmReport {
                passes: u32::try_from(passes.len()).unwrap_or(u32::MAX),
                sent_bytes: live.wire.load(Ordering::Relaxed),
                seconds: started.elapsed().as_secs_f64(),
                rest_bytes: policy::rest_bytes(&passes),
                moving_passes,
                last_pass_s: passes.last().map_or(0.0, |last| last.took.as_secs_f64()),
            })
        })
    }

    /// How many of this one pass read a live disk: none or one.
    fn warm_pass(&self, live: &Live, disks: &[Copy], passes: &mut Vec<PassStats>) -> Result<u32> {
        let (begun, before) = (Instant::now(), live.changed.load(Ordering::Relaxed));
        live.pass.store(passes.len() + 1, Ordering::Relaxed);
        live.moving.store(false, Ordering::Relaxed);
        self.pass(live, disks, None)?;
        let changed_bytes = live.changed.load(Ordering::Relaxed) - before;
        passes.push(PassStats {
            changed_bytes,
            took: begun.elapsed(),
        });
        Ok(u32::from(live.moving.load(Ordering::Relaxed)))
    }

    /// The last pass, over disks sealed at `epoch`: fetches what differs, verifies, compares the roots, and publishes the
    /// copy as generation `epoch + 1`. Asked again after it was done, it answers the same without copying.
    pub fn finish(&self, epoch: i64) -> Result<FinalReport> {
        if let Some((_, receipt)) = self.store.published(self.linode, self.migration)? {
            if receipt.sealed == epoch {
                return Ok(receipt.into());
            }
            // Published for an earlier seal and never run: the source has run since, so this is a copy again.
            self.store
                .reserve(self.linode, self.migration, self.disks, None)?;
        }
        self.watched(|live| {
            let started = Instant::now();
            let disks = self.open(live)?;
            live.pass.store(1, Ordering::Relaxed);
            let roots = self.rounds(live, &disks, epoch)?;
            let digests: Vec<DiskDigest> = disks
                .iter()
                .zip(&roots)
                .map(|(disk, root)| disk_digest(disk.spec.id, disk.spec.size_bytes, root))
                .collect();
            let uncached = disks.iter().all(|disk| disk.image.passes_cache());
            if !uncached {
                tracing::warn!(migration = %self.migration, "the file system refuses O_DIRECT: the copy was read back through the cache");
            }
            let receipt = Receipt {
                migration: self.migration,
                sealed: epoch,
                digests,
                sent_bytes: live.wire.load(Ordering::Relaxed),
                seconds: started.elapsed().as_secs_f64(),
                uncached: Some(uncached),
            };
            self.store
                .publish(self.linode, epoch + 1, self.disks, &receipt)?;
            Ok(receipt.into())
        })
    }

    fn rounds(&self, live: &Live, disks: &[Copy], epoch: i64) -> Result<Vec<Digest>> {
        for _ in 0..ROUNDS {
            let theirs = self.pass(live, disks, Some(epoch))?;
            if let Some(roots) = same_roots(disks, &theirs)? {
                return Ok(roots);
            }
            tracing::warn!(
                "migration {}: the roots differ, comparing again",
                self.migration
            );
        }
        Err(TransferError::new(
            Fault::Corrupt,
            "the roots of source and copy differ, repeatedly",
        ))
    }

    /// Runs `job` in a thread of its own while this one reports and listens for a cancel.
    fn watched<T: Send>(&self, job: impl FnOnce(&Live) -> Result<T> + Send) -> Result<T> {
        let live = Live::default();
        let caller = std::thread::current();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let done = job(&live);
                caller.unpark();
                done
            });
            let mut looks: u32 = 0;
            let mut rate = Rate::new();
            while !thread.is_finished() {
                std::thread::park_timeout(LOOK);
                if self.watch.cancelled() && !live.cancelled.swap(true, Ordering::Relaxed) {
                    live.halt();
                }
                looks += 1;
                if looks.is_multiple_of(REPORT) {
                    self.watch.progress(rate.progress(&live));
                }
            }
            let died = |_| Err(TransferError::new(Fault::Disk, "the copying thread died"));
            let done = thread.join().unwrap_or_else(died);
            self.watch.progress(rate.progress(&live));
            match done {
                Err(_) if live.cancelled.load(Ordering::Relaxed) => {
                    Err(TransferError::new(Fault::Cancelled, "cancelled"))
                }
                done => done,
            }
        })
    }

    fn open(&self, live: &Live) -> Result<Vec<Copy>> {
        let mut copies = Vec::with_capacity(self.disks.len());
        for spec in self.disks {
            let Target {
                image,
                table,
                blank,
            } = self.store.target(self.linode, self.migration, spec)?;
            let cut = Cut::new(spec.size_bytes);
            let table = Table::open(table, &*image, cut, blank, &live.stop).map_err(table_io)?;
            copies.push(Copy {
                spec: spec.clone(),
                cut,
                image,
                table,
            });
        }
        let total = self.disks.iter().map(|disk| disk.size_bytes).sum();
        live.total.store(total, Ordering::Relaxed);
        Ok(copies)
    }

    /// One whole pass, through as many connections as it takes. Gives the source's roots if it is a final one.
    fn pass(&self, live: &Live, disks: &[Copy], sealed: Option<i64>) -> Result<Vec<(i64, Digest)>> {
        let config = super::tls::client(self.identity, &self.source.fingerprint)
            .map_err(|e| TransferError::new(Fault::Refused, format!("TLS: {e}")))?;
        let work = Work::all(disks);
        let mut patience = Patience::default();
        live.begin_pass();
        loop {
            match self.attempt(live, disks, &work, sealed, &config) {
                Err(e) if e.fault == Fault::Unreachable => {
                    tracing::info!("migration {}: {e}; resuming", self.migration);
                    if !patience.again(live, work.count()) {
                        return Err(e);
                    }
                }
                done => return done,
            }
        }
    }

    fn attempt(
        &self,
        live: &Live,
        disks: &[Copy],
        work: &Work,
        sealed: Option<i64>,
        config: &Arc<rustls::ClientConfig>,
    ) -> Result<Vec<(i64, Digest)>> {
        live.forget_sockets();
        let open = || self.channel(live, config);
        let mut channel = open()?;
        let Answer::Begun { pass, told, moving } = call(&mut channel, &Ask::Begin { sealed })?
        else {
            return Err(malformed("no pass begun"));
        };
        if moving && !live.moving.swap(true, Ordering::Relaxed) {
            tracing::warn!(migration = %self.migration, "the source has no room for a clone: this pass reads the live disk");
        }
        live.told.store(told, Ordering::Relaxed);
        settle(disks)?;
        let room = Mutex::new((0, 0));
        let use_room = |bytes| self.use_room(&room, bytes);
        let attempt = Attempt {
            live,
            work,
            disks,
            pass,
            reread: sealed.is_some() && !told,
            cap: self.cap,
            use_room: &use_room,
        };
        if told {
            attempt.skip_known(&mut channel)?;
        }
        if !work.complete() {
            let done = attempt.run(channel, &open);
            // Cut off or told to stop, workers leave the tables right: nothing is to be read again for them.
            if done
                .as_ref()
                .map_or_else(TransferError::is_clean, |()| true)
            {
                settle(disks)?;
            }
            done?;
            channel = open()?;
        }
        if sealed.is_none() {
            return Ok(Vec::new());
        }
        match call(&mut channel, &Ask::Finish { pass })? {
            Answer::Roots(roots) => Ok(roots),
            _ => Err(malformed("no roots")),
        }
    }

    /// Room is given back in larger steps than it is used. `room` is what was used and what was given back.
    fn use_room(&self, room: &Mutex<(u64, u64)>, bytes: u64) -> Result<()> {
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        room.0 += bytes;
        if room.0 > room.1 {
            self.store
                .use_room(self.linode, self.migration, ROOM_STEP)?;
            room.1 += ROOM_STEP;
        }
        Ok(())
    }

    fn channel(&self, live: &Live, config: &Arc<rustls::ClientConfig>) -> Result<Channel> {
        let (channel, granted) = connect(live, self.source, config, self.migration.0)?;
        let wanted = self.disks.iter().map(|disk| (disk.id.0, disk.size_bytes));
        if !wanted.eq(granted) {
            return Err(TransferError::new(
                Fault::Refused,
                "the source grants other disks",
            ));
        }
        Ok(channel)
    }
}

fn settle(disks: &[Copy]) -> Result<()> {
    disks
        .iter()
        .try_for_each(|disk| disk.table.settle().map_err(table_io))
}

/// Bytes on the wire a second, over the last second or so.
struct Rate {
    seen: std::collections::VecDeque<(Instant, u64)>,
}

impl Rate {
    fn new() -> Self {
        Self {
            seen: std::collections::VecDeque::from([(Instant::now(), 0)]),
        }
    }

    fn progress(&mut self, live: &Live) -> Progress {
        let sent_bytes = live.wire.load(Ordering::Relaxed);
        let now = Instant::now();
        while self.seen.len() > 5 {
            self.seen.pop_front();
        }
        self.seen.push_back((now, sent_bytes));
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate; never negative, far below u64::MAX"
        )]
        let bytes_per_s = self.seen.front().map_or(0, |(then, bytes)| {
            let seconds = now.duration_since(*then).as_secs_f64().max(1e-3);
            (sent_bytes.saturating_sub(*bytes) as f64 / seconds) as u64
        });
        Progress {
            pass: u32::try_from(live.pass.load(Ordering::Relaxed)).unwrap_or(u32::MAX),
            done_bytes: live
                .done
                .load(Ordering::Relaxed)
                .min(live.total.load(Ordering::Relaxed)),
            total_bytes: live.total.load(Ordering::Relaxed),
            sent_bytes,
            bytes_per_s,
            left_bytes: Some(live.left()),
            checked_bytes: live.checked.load(Ordering::Relaxed).checked_sub(1),
        }
    }
}
