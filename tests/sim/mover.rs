//! The mover's contract at the seam `transfer::Mover`, chunk by chunk: every chunk asks the source's own ledger anew whether
//! it may be read; connections break, chunks flip in flight and at rest, the power goes; what was copied before is kept.
//! What is **not** simulated here is the wire itself (TLS, frames, tables): `tests/agent/mover.rs` and `transfer/hostile.rs`
//! have that.

use xenbeta::agent::disk::Receipt;
use xenbeta::agent::ledger::rules;
use xenbeta::agent::transfer::{
    Fault, Fetch, FinalReport, Mover, TransferError, WarmReport, same_token,
};
use xenbeta::domain::ids::DiskId;
use xenbeta::wire::{DiskDigest, Progress, SealedDigests};

use crate::sim::{Fate, sim};
use crate::world::{CHUNKS, Disk};

pub struct SimMover(pub i64);

fn unreachable(detail: &str) -> TransferError {
    TransferError::new(Fault::Unreachable, detail)
}

fn root(disk: &[u64; CHUNKS]) -> String {
    let mut hasher = blake3::Hasher::new();
    for chunk in disk {
        hasher.update(&chunk.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

impl SimMover {
    /// The source's answer to one request: may it be read, and what is there now.
    fn read(
        &self,
        fetch: &Fetch<'_>,
        sealed: Option<i64>,
        disk: DiskId,
    ) -> Result<Disk, TransferError> {
        let sim = sim();
        let from = sim.host_of(&fetch.source.address);
        let source = sim
            .live(from)
            .ok_or_else(|| unreachable("the source is down"))?;
        let refused = |what: &str| TransferError::new(Fault::Refused, what);
        let open = source.ledger.transfer(fetch.migration).ok().flatten();
        let open = open.ok_or_else(|| refused("no such transfer"))?;
        let entry = source.ledger.entry(open.linode);
        let entry = entry.map_err(|error| refused(&error.to_string()))?;
        if !same_token(&open.token, &fetch.source.token)
            || open.peer_fingerprint != fetch.identity.fingerprint()
            || rules::serve(entry.marks, open.epoch).is_err()
        {
            return Err(refused("not granted"));
        }
        let generation = entry.generation.ok_or_else(|| refused("no disks"))?;
        if let Some(epoch) = sealed
            && (generation != epoch || entry.marks.sealed != epoch)
        {
            return Err(TransferError::new(Fault::NotSealed, "not sealed"));
        }
        let world = sim.world.borrow();
        let key = (from, fetch.linode, generation);
        let found = world
            .generations
            .get(&key)
            .and_then(|it| it.disks.get(&disk));
        found
            .cloned()
            .ok_or_else(|| TransferError::new(Fault::Disk, "the source's disk is gone"))
    }

    /// One pass over all disks. Gives back how many chunks differed.
    fn pass(
        &self,
        fetch: &Fetch<'_>,
        sealed: Option<i64>,
        pass: u32,
    ) -> Result<u64, TransferError> {
        let mut differed = 0;
        for (at, spec) in fetch.disks.iter().enumerate() {
            for chunk in 0..CHUNKS {
                if fetch.watch.cancelled() {
                    return Err(TransferError::new(Fault::Cancelled, "cancelled"));
                }
                match sim().seam(self.0, "chunk") {
                    Fate::FailBefore | Fate::FailAfter => return Err(unreachable("cut")),
                    Fate::CutAfter => sim().cut(self.0),
                    Fate::Go => {}
                }
                differed += u64::from(self.chunk(fetch, sealed, spec.id, chunk)?);
                fetch.watch.progress(Progress {
                    pass,
                    done_bytes: (at * CHUNKS + chunk) as u64,
                    total_bytes: (fetch.disks.len() * CHUNKS) as u64,
                    sent_bytes: differed,
                    bytes_per_s: 1,
                    left_bytes: None,
                    checked_bytes: None,
                });
            }
        }
        Ok(differed)
    }

    /// Fetches one chunk, writes it, and reads it back. A flip is found by that, and the chunk is fetched again.
    fn chunk(
        &self,
        fetch: &Fetch<'_>,
        sealed: Option<i64>,
        disk: DiskId,
        chunk: usize,
    ) -> Result<bool, TransferError> {
        let key = (self.0, fetch.linode, fetch.migration);
        let mut differed = false;
        for _ in 0..3 {
            let theirs = self.read(fetch, sealed, disk)?.cache[chunk];
            let flip = if sim().chance(15) { 1_u64 << 40 } else { 0 };
            let sim = sim();
            let mut world = sim.world.borrow_mut();
            world.no_trial(key.0, key.1, "its copies are written");
            let copy = world
                .copies
                .get_mut(&key)
                .and_then(|it| it.disks.get_mut(&disk));
            let copy = copy.ok_or_else(|| TransferError::new(Fault::Disk, "no such copy"))?;
            if copy.cache[chunk] != theirs {
                differed = true;
                copy.cache[chunk] = theirs ^ flip;
            }
            if copy.cache[chunk] == theirs {
                return Ok(differed);
            }
        }
        Err(TransferError::new(Fault::Corrupt, "does not read back"))
    }

    /// The source's own word on its sealed disks, told to the portal first.
    fn roots(&self, fetch: &Fetch<'_>, epoch: i64) -> Result<Vec<DiskDigest>, TransferError> {
        let mut digests = Vec::new();
        for spec in fetch.disks {
            let disk = self.read(fetch, Some(epoch), spec.id)?;
            digests.push(DiskDigest {
                disk: spec.id,
                size_bytes: spec.size_bytes,
                root: root(&disk.cache),
            });
        }
        let told = SealedDigests {
            epoch,
            digests: digests.clone(),
        };
        let from = sim().host_of(&fetch.source.address);
        sim()
            .tell_digests(from, fetch.migration, &told)
            .map_err(|error| unreachable(&error))?;
        Ok(digests)
    }

    fn equal(&self, fetch: &Fetch<'_>, theirs: &[DiskDigest]) -> bool {
        let sim = sim();
        let world = sim.world.borrow();
        let key = (self.0, fetch.linode, fetch.migration);
        let Some(copy) = world.copies.get(&key) else {
            return false;
        };
        let same = |it: &DiskDigest| {
            Some(&it.root) == copy.disks.get(&it.disk).map(|it| root(&it.cache)).as_ref()
        };
        theirs.iter().all(same)
    }
}

impl Mover for SimMover {
    fn warm(&self, fetch: &Fetch<'_>, max_passes: u32) -> Result<WarmReport, TransferError> {
        let passes = max_passes.clamp(1, 2);
        let mut sent_bytes = 0;
        for pass in 1..=passes {
            sent_bytes += self.pass(fetch, None, pass)?;
        }
        Ok(WarmReport {
            passes,
            sent_bytes,
            seconds: 1.0,
            rest_bytes: 0,
            moving_passes: 0,
            last_pass_s: 1.0,
        })
    }

    fn finish(&self, fetch: &Fetch<'_>, epoch: i64) -> Result<FinalReport, TransferError> {
        if let Some((_, receipt)) = fetch.store.published(fetch.linode, fetch.migration)? {
            if receipt.sealed == epoch {
                return Ok(receipt.into());
            }
            let (linode, migration) = (fetch.linode, fetch.migration);
            fetch.store.reserve(linode, migration, fetch.disks, None)?;
        }
        for _ in 0..3 {
            let sent_bytes = self.pass(fetch, Some(epoch), 1)?;
            let digests = self.roots(fetch, epoch)?;
            if !self.equal(fetch, &digests) {
                continue;
            }
            let receipt = Receipt {
                migration: fetch.migration,
                sealed: epoch,
                digests,
                sent_bytes,
                seconds: 1.0,
                uncached: Some(true),
            };
            fetch
                .store
                .publish(fetch.linode, epoch + 1, fetch.disks, &receipt)?;
            return Ok(receipt.into());
        }
        Err(TransferError::new(Fault::Corrupt, "the roots differ"))
    }
}
