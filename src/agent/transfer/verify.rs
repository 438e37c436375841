//! What makes a written chunk a copied one: fsync, read back from the device, compare, and only then the table.

use super::apply::{Worker, Written, target_io};
use super::chunk::{CHUNK, CHUNKS_PER_RUN, CHUNKS_PER_SEGMENT, Digest, UNKNOWN, digest};
use super::copy::{Copy, table_io};
use super::table::Holes;
use super::{Fault, Result, TransferError};

impl Worker<'_> {
    /// Syncs, reads back and compares what was written; then, and only then, the tables say so.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.batch
            .sort_unstable_by_key(|written| (written.disk, written.chunk));
        let mut batch = std::mem::take(&mut self.batch);
        let verified = self.verify(&mut batch);
        if verified.is_err() {
            self.batch = batch;
        }
        let wrong = verified?;
        self.batch_bytes = 0;
        for item in std::mem::take(&mut self.batch_items) {
            if !self
                .attempt
                .work
                .item(item)
                .is_some_and(|place| wrong.contains(&place))
            {
                self.attempt.work.finished(item);
            } else if self.attempt.work.again(item) {
                self.again.push(item);
            } else {
                return Err(TransferError::new(
                    Fault::Corrupt,
                    "chunks read back from the device differ from what was sent, repeatedly",
                ));
            }
        }
        Ok(())
    }

    /// Gives the segments (disk, segment) in which something read back wrong.
    fn verify(&mut self, batch: &mut [Written]) -> Result<Vec<(u16, u32)>> {
        let mut wrong = Vec::new();
        for part in batch.chunk_by_mut(|a, b| a.disk == b.disk) {
            let Some(disk) = part.first().map(|written| written.disk) else {
                continue;
            };
            let copy = self.disk(disk)?;
            copy.image.sync().map_err(|e| target_io(&e))?;
            let mut rest = &mut *part;
            while !rest.is_empty() {
                let run = rest.windows(2).take_while(|pair| follows(pair)).count() + 1;
                let (head, tail) = rest.split_at_mut(run.min(CHUNKS_PER_RUN).min(rest.len()));
                self.read_back(copy, head)?;
                for bad in head.iter().filter(|written| written.digest == UNKNOWN) {
                    wrong.push((disk, segment_of(bad.chunk)));
                }
                rest = tail;
            }
            write_down(copy, part).map_err(table_io)?;
        }
        wrong.dedup();
        Ok(wrong)
    }

    /// Compares chunks that follow one another; one that differs becomes [`UNKNOWN`].
    fn read_back(&mut self, copy: &Copy, run: &mut [Written]) -> Result<()> {
        let Some(first) = run.first().map(|written| written.chunk) else {
            return Ok(());
        };
        let range = copy.cut.range(first, run.len());
        let len = usize::try_from(range.end - range.start).unwrap_or(0);
        let zeros = run
            .iter()
            .all(|written| written.digest == *copy.cut.zero_digest(written.chunk));
        if zeros
            && Holes::new(&*copy.image)
                .has(&range)
                .map_err(|e| target_io(&e))?
        {
            return Ok(());
        }
        let buf = self.buf.get_mut(..len).unwrap_or_default();
        copy.image
            .read_uncached(buf, range.start)
            .map_err(|e| target_io(&e))?;
        for (piece, written) in buf.chunks(CHUNK).zip(run) {
            if digest(piece) != written.digest {
                tracing::warn!(
                    "disk {}: chunk {} read back wrong",
                    copy.spec.id,
                    written.chunk
                );
                written.digest = UNKNOWN;
            }
        }
        Ok(())
    }

    /// The tables no longer say anything of chunks that were written and not verified.
    pub(super) fn disown(&mut self) -> std::io::Result<()> {
        for written in std::mem::take(&mut self.batch) {
            if let Some(copy) = self.attempt.disks.get(usize::from(written.disk)) {
                copy.table.digests.write(written.chunk, &[UNKNOWN])?;
            }
        }
        Ok(())
    }
}

fn follows(pair: &[Written]) -> bool {
    matches!(pair, [a, b] if a.chunk + 1 == b.chunk)
}

fn segment_of(chunk: u64) -> u32 {
    u32::try_from(chunk / CHUNKS_PER_SEGMENT as u64).unwrap_or(u32::MAX)
}

fn write_down(copy: &Copy, part: &[Written]) -> std::io::Result<()> {
    for run in part.chunk_by(|a, b| a.chunk + 1 == b.chunk) {
        let digests: Vec<Digest> = run.iter().map(|written| written.digest).collect();
        if let Some(first) = run.first() {
            copy.table.digests.write(first.chunk, &digests)?;
        }
    }
    Ok(())
}
