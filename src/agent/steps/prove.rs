//! The owner shows that it has the Linode's disks: before the ones elsewhere are deleted. Reads a sample of each disk from
//! the device; the guest runs on, and nothing is changed.

use std::ops::Range;

use super::look::{generation, is_running};
use super::work::{Result, Work};
use crate::agent::disk::aligned::AlignedBuf;
use crate::agent::disk::{DiskError, DiskFault, Image};
use crate::agent::ledger::rules;
use crate::wire::{DiskProof, DiskSpec, GuestSpec, Report};

const BLOCK: u64 = 64 * 1024;
/// Read whole at either end: tables of partitions and of file systems are there.
const EDGE: u64 = 1024 * 1024;
/// Blocks between the edges.
const SPREAD: u64 = 64;

pub(super) fn prove(work: &Work<'_>, epoch: i64, guest: &GuestSpec) -> Result<Report> {
    let entry = work.host.ledger.entry(work.locked.linode())?;
    rules::act(entry.marks, epoch)?;
    let (disks, generation) = (&work.host.disks, generation(&entry)?);
    rules::may_start(entry.marks, epoch, Some(generation), true, true)?;
    disks.check(entry.linode, generation, &guest.disks)?;
    let origin = disks.origin(entry.linode, generation)?;
    let mut proofs = Vec::with_capacity(guest.disks.len());
    for disk in &guest.disks {
        let image = disks.look(entry.linode, generation, disk)?;
        read_sample(work, &*image, disk)?;
        let came = origin.iter().find(|it| it.disk == disk.id);
        proofs.push(DiskProof {
            disk: disk.id,
            size_bytes: disk.size_bytes,
            root: came.map(|it| it.root.clone()),
        });
    }
    Ok(Report::Proof {
        epoch,
        running: is_running(work)?,
        disks: proofs,
    })
}

fn read_sample(work: &Work<'_>, image: &dyn Image, disk: &DiskSpec) -> Result<()> {
    let mut buf = AlignedBuf::new(usize::try_from(BLOCK).unwrap_or(0));
    for range in sample(disk.size_bytes) {
        let len = usize::try_from(range.end - range.start).unwrap_or(0);
        work.host.cap.take(len, &|| work.control.check().is_err());
        work.control.check()?;
        let part = buf.get_mut(..len).unwrap_or_default();
        image.read_uncached(part, range.start).map_err(|error| {
            // Never a proof, and not for ever: whatever the error's number says.
            DiskError::new(
                DiskFault::Io,
                "A disk of this Linode could not be read on its host",
                format!("disk {} at byte {}: {error}", disk.id, range.start),
            )
        })?;
    }
    Ok(())
}

/// Which blocks are read, in order and each once: both edges, and some between them.
fn sample(size: u64) -> Vec<Range<u64>> {
    let blocks = size.div_ceil(BLOCK);
    let edge = EDGE / BLOCK;
    let mut chosen: Vec<u64> = (0..blocks.min(edge))
        .chain(blocks.saturating_sub(edge)..blocks)
        .collect();
    let between = blocks.saturating_sub(2 * edge);
    let count = between.min(SPREAD);
    chosen.extend((0..count).map(|at| edge + at * between / count));
    chosen.sort_unstable();
    chosen.dedup();
    let range = |block: u64| block * BLOCK..((block + 1) * BLOCK).min(size);
    chosen.into_iter().map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_and_has_both_edges() {
        for size in [0, 1, 4096, BLOCK, EDGE, 3 * EDGE + 512, 1 << 34, 1 << 45] {
            let sample = sample(size);
            let bytes: u64 = sample.iter().map(|range| range.end - range.start).sum();
            assert!(bytes <= 2 * EDGE + SPREAD * BLOCK);
            assert!(sample.is_sorted_by(|a, b| a.end <= b.start));
            if size > 0 {
                assert_eq!(sample.first().unwrap().start, 0);
                assert_eq!(sample.last().unwrap().end, size);
            }
            assert_eq!(bytes == size, size <= 2 * EDGE + SPREAD * BLOCK, "{size}");
        }
    }
}
