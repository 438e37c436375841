//! One connection's worker at the destination: asks for segments, writes what differs, and counts nothing as copied
//! before it was fsynced, read back from the device and compared.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use super::channel::Channel;
use super::chunk::{CHUNK, Digest, UNKNOWN, run_buffer};
use super::client::{broken, read_answer, read_head};
use super::copy::{Attempt, Copy, table_io};
use super::message::{Answer, Ask, malformed};
use super::table::Holes;
use super::{Fault, Result, TransferError};
use crate::agent::disk::DiskError;
use crate::agent::disk::aligned::AlignedBuf;

/// Bytes written before they are synced and read back. Larger means fewer syncs, smaller less to do again after a kill.
const BATCH_BYTES: u64 = 64 << 20;
/// Chunks (zeros too) before the same, which bounds the memory they take.
const BATCH_CHUNKS: usize = 16 * 1024;
/// Segments asked for before the first is answered: hides the round trip.
const ASKED: usize = 2;

/// A chunk written and not yet read back.
pub(super) struct Written {
    pub disk: u16,
    pub chunk: u64,
    pub digest: Digest,
}

/// A segment asked for.
struct Pending {
    item: usize,
    disk: u16,
    segment: u32,
    table: Vec<Digest>,
}

pub(super) struct Worker<'a> {
    channel: Channel,
    pub attempt: &'a Attempt<'a>,
    /// One worker's failure ends the others.
    stop: &'a AtomicBool,
    asked: VecDeque<Pending>,
    pub again: Vec<usize>,
    pub buf: AlignedBuf,
    packed: Vec<u8>,
    pub batch: Vec<Written>,
    pub batch_bytes: u64,
    pub batch_items: Vec<usize>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(channel: Channel, attempt: &'a Attempt<'a>, stop: &'a AtomicBool) -> Self {
        Self {
            channel,
            attempt,
            stop,
            asked: VecDeque::new(),
            again: Vec::new(),
            buf: run_buffer(),
            packed: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            batch_items: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<()> {
        let done = self.work();
        if let Err(e) = &done {
            self.stop.store(true, Ordering::Relaxed);
            // What arrived whole before the line broke is kept; of the rest the table must not say what it was before.
            let kept = if e.fault == Fault::Unreachable {
                self.commit()
            } else {
                Err(e.clone())
            };
            if kept.is_err() {
                self.disown().map_err(table_io)?;
            }
        }
        done
    }

    fn work(&mut self) -> Result<()> {
        loop {
            while self.asked.len() < ASKED && self.ask()? {}
            if self.asked.is_empty() {
                self.commit()?;
                if self.again.is_empty() {
                    return Ok(());
                }
                continue;
            }
            self.receive()?;
            if self.batch_bytes >= BATCH_BYTES
                || self.batch_items.len() >= 64
                || self.batch.len() >= BATCH_CHUNKS
            {
                self.commit()?;
            }
        }
    }

    fn check_stop(&self) -> Result<()> {
        if self.attempt.live.stopped() {
            return Err(TransferError::new(Fault::Cancelled, "stopped"));
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err(TransferError::new(
                Fault::Unreachable,
                "another connection failed",
            ));
        }
        Ok(())
    }

    pub(super) fn disk(&self, disk: u16) -> Result<&'a Copy> {
        self.attempt
            .disks
            .get(usize::from(disk))
            .ok_or_else(|| malformed("no such disk"))
    }

    /// Asks for one more segment; `false`: none is left.
    fn ask(&mut self) -> Result<bool> {
        self.check_stop()?;
        let Some(item) = self.again.pop().or_else(|| self.attempt.work.take()) else {
            return Ok(false);
        };
        let Some((disk, segment)) = self.attempt.work.item(item) else {
            return Ok(false);
        };
        let copy = self.disk(disk)?;
        copy.table
            .mark(segment, || self.attempt.work.low(disk))
            .map_err(table_io)?;
        if self.attempt.reread {
            // The source reads its disk meanwhile, so the time is the slower one's, not both.
            copy.table
                .learn_segment(
                    &*copy.image,
                    segment,
                    &mut self.buf,
                    &self.attempt.live.stop,
                )
                .map_err(|e| target_io(&e))?;
        }
        let table = copy
            .table
            .segment(&*copy.image, segment)
            .map_err(table_io)?;
        let ask = Ask::Fetch {
            pass: self.attempt.pass,
            disk,
            segment,
            table,
        };
        self.channel
            .write(&ask.encode())
            .and_then(|()| self.channel.flush())
            .map_err(|e| broken(&e))?;
        let Ask::Fetch { table, .. } = ask else {
            return Ok(false);
        };
        self.asked.push_back(Pending {
            item,
            disk,
            segment,
            table,
        });
        Ok(true)
    }

    /// Takes in the answer to the oldest question.
    fn receive(&mut self) -> Result<()> {
        let Some(asked) = self.asked.pop_front() else {
            return Ok(());
        };
        let mut next = 0_usize;
        loop {
            self.check_stop()?;
            let (kind, len) = read_head(&mut self.channel)?;
            if kind == Answer::DATA {
                next = self.data(&asked, next, len)?;
                continue;
            }
            match read_answer(&mut self.channel, kind, len)? {
                Answer::Same { first, count } => next = Self::same(&asked, next, first, count)?,
                Answer::Zero { first, count } => next = self.zero(&asked, next, first, count)?,
                Answer::SegmentEnd if next == asked.table.len() => break,
                _ => return Err(malformed("not an answer to a fetch")),
            }
        }
        self.attempt.looked_at(asked.item);
        self.batch_items.push(asked.item);
        Ok(())
    }

    /// Answers go through the segment without gaps; gives the chunk after this one's `count`.
    fn in_order(asked: &Pending, next: usize, first: u32, count: usize) -> Result<usize> {
        let end = next.saturating_add(count);
        if first as usize != next || count == 0 || end > asked.table.len() {
            return Err(malformed("chunks out of order"));
        }
        Ok(end)
    }

    fn same(asked: &Pending, next: usize, first: u32, count: u32) -> Result<usize> {
        let end = Self::in_order(asked, next, first, count as usize)?;
        if asked
            .table
            .get(next..end)
            .is_none_or(|known| known.contains(&UNKNOWN))
        {
            return Err(malformed("the same as a chunk that is not known"));
        }
        Ok(end)
    }

    fn zero(&mut self, asked: &Pending, next: usize, first: u32, count: u32) -> Result<usize> {
        let end = Self::in_order(asked, next, first, count as usize)?;
        let copy = self.disk(asked.disk)?;
        let start = copy.cut.segment(asked.segment).0;
        let range = copy.cut.range(start + next as u64, end - next);
        if !Holes::new(&*copy.image)
            .has(&range)
            .map_err(|e| target_io(&e))?
        {
            copy.image.punch(range).map_err(|e| target_io(&e))?;
        }
        for chunk in (start + next as u64)..(start + end as u64) {
            self.batch.push(Written {
                disk: asked.disk,
                chunk,
                digest: *copy.cut.zero_digest(chunk),
            });
        }
        Ok(end)
    }

    /// Takes in a run of chunks and writes it.
    fn data(&mut self, asked: &Pending, next: usize, len: usize) -> Result<usize> {
        let (first, digests, raw, wire) = self.data_head(len)?;
        let end = Self::in_order(asked, next, first, digests.len())?;
        let copy = self.disk(asked.disk)?;
        let start = copy.cut.segment(asked.segment).0 + next as u64;
        let range = copy.cut.range(start, digests.len());
        if range.end - range.start != raw as u64 || wire > raw || digests.contains(&UNKNOWN) {
            return Err(malformed("a run of another length"));
        }
        // What was a hole takes room now.
        let before = asked
            .table
            .iter()
            .zip(copy.cut.segment(asked.segment).0..)
            .skip(next);
        let holes = before
            .take(digests.len())
            .filter(|(d, c)| **d == UNKNOWN || *d == copy.cut.zero_digest(*c));
        let grown = (holes.count() * CHUNK) as u64;
        let live = self.attempt.live;
        self.attempt.cap.take(wire, &|| live.stopped());
        let buf = self.buf.get_mut(..raw).unwrap_or_default();
        if wire == raw {
            self.channel.read_exact(buf).map_err(|e| broken(&e))?;
        } else {
            self.packed.resize(wire, 0);
            self.channel
                .read_exact(&mut self.packed)
                .map_err(|e| broken(&e))?;
            let n = zstd::bulk::decompress_to_buffer(&self.packed, buf);
            if !n.is_ok_and(|n| n == raw) {
                return Err(malformed("a run that does not unpack"));
            }
        }
        live.wire.fetch_add(wire as u64, Ordering::Relaxed);
        live.changed.fetch_add(raw as u64, Ordering::Relaxed);
        // Known before the write: if this fails half-way, the table must not keep what these chunks were.
        for (chunk, digest) in (start..).zip(digests) {
            self.batch.push(Written {
                disk: asked.disk,
                chunk,
                digest,
            });
        }
        self.batch_bytes += raw as u64;
        (self.attempt.use_room)(grown)?;
        copy.image
            .write_at(self.buf.get(..raw).unwrap_or_default(), range.start)
            .map_err(|e| target_io(&e))?;
        Ok(end)
    }

    fn data_head(&mut self, len: usize) -> Result<(u32, Vec<Digest>, usize, usize)> {
        let mut start = [0; 16];
        if len < start.len() {
            return Err(malformed("a short run"));
        }
        self.channel
            .read_exact(&mut start)
            .map_err(|e| broken(&e))?;
        let head = Answer::data_head(&start)?;
        let mut body = start.to_vec();
        body.resize(head, 0);
        let rest = body.get_mut(start.len()..).unwrap_or_default();
        self.channel.read_exact(rest).map_err(|e| broken(&e))?;
        let Answer::Data {
            first,
            digests,
            raw,
            wire,
        } = Answer::decode(Answer::DATA, &body)?
        else {
            return Err(malformed("not a run"));
        };
        let (raw, wire) = (raw as usize, wire as usize);
        if raw > self.buf.len() || head + wire != len {
            return Err(malformed("a run of another length"));
        }
        Ok((first, digests, raw, wire))
    }
}

pub(super) fn target_io(e: &std::io::Error) -> TransferError {
    DiskError::io("at the destination", e).into()
}
