//! What the source answers on one connection.

use std::net::TcpStream;
use std::sync::Arc;

use super::channel::Channel;
use super::chunk::{
    CHUNK, CHUNKS_PER_RUN, Digest, UNKNOWN, digest, disk_digest, is_zero, run_buffer,
};
use super::message::{Answer, Ask, DISKS_MAX, FRAME_MAX, malformed};
use super::pack::Packer;
use super::served::{Pass, PassDisk, Shared, Transfer, compare, source_io};
use super::table::Holes;
use super::{Fault, Result, TransferError};
use crate::agent::disk::aligned::AlignedBuf;

pub(super) struct Connection<'a> {
    shared: &'a Shared,
    transfer: Arc<Transfer>,
    channel: Channel,
    buf: AlignedBuf,
    packer: Packer,
    /// Chunks to report as the same or as zeros, not yet sent: kind, first, count.
    range: Option<(bool, u32, u32)>,
    /// Seconds spent waiting for the cap.
    waited: f64,
}

impl<'a> Connection<'a> {
    pub(super) fn serve(tcp: TcpStream, id: u64, shared: &'a Shared) -> Result<()> {
        let mut channel = Channel::accept(tcp, shared.tls()).map_err(unreachable)?;
        if !shared.guests.admit(id) {
            let busy = TransferError::new(Fault::Unreachable, "too many connections at once");
            return fail(&mut channel, busy);
        }
        let transfer = match hello(&mut channel, id, shared) {
            Ok(transfer) => transfer,
            Err(e) => return fail(&mut channel, e),
        };
        let mut connection = Connection {
            shared,
            transfer,
            channel,
            buf: run_buffer(),
            packer: Packer::default(),
            range: None,
            waited: 0.0,
        };
        while !shared.stopped() {
            let Some(ask) = read_ask(&mut connection.channel, FRAME_MAX)? else {
                break;
            };
            if let Err(e) = connection.answer(&ask) {
                return fail(&mut connection.channel, e);
            }
        }
        Ok(())
    }

    fn answer(&mut self, ask: &Ask) -> Result<()> {
        match ask {
            Ask::Hello { .. } => return Err(malformed("a second hello")),
            Ask::Begin { sealed } => {
                let transfer = Arc::clone(&self.transfer);
                let pass = transfer.begin(self.shared, *sealed)?;
                self.send(&Answer::Begun {
                    pass: pass.number,
                    told: pass.told,
                    moving: pass.moving,
                })?;
            }
            Ask::Compare {
                pass,
                disk,
                first,
                digests,
            } => {
                let pass = self.transfer.current(*pass)?;
                let disk = pass.disk(*disk)?;
                let differ = compare(disk, *first, digests)?;
                self.send(&Answer::Compared { differ })?;
            }
            Ask::Fetch {
                pass,
                disk,
                segment,
                table,
            } => {
                let pass = self.transfer.current(*pass)?;
                if pass.sealed.is_some() {
                    self.transfer.check_sealed(self.shared, pass.sealed)?;
                }
                self.segment(pass.disk(*disk)?, *segment, table)?;
                self.send(&Answer::SegmentEnd)?;
            }
            Ask::Finish { pass } => {
                let pass = self.transfer.current(*pass)?;
                let roots = self.roots(&pass)?;
                self.send(&Answer::Roots(roots))?;
            }
        }
        self.channel.flush().map_err(unreachable)
    }

    fn send(&mut self, answer: &Answer) -> Result<()> {
        self.channel.write(&answer.encode()).map_err(unreachable)
    }

    /// The source's own word on its sealed disks: told to the portal first, to the destination after.
    fn roots(&self, pass: &Pass) -> Result<Vec<(i64, Digest)>> {
        let Some(epoch) = pass.sealed else {
            return Err(malformed("roots of a pass over live disks"));
        };
        let mut roots = Vec::new();
        let mut report = Vec::new();
        for disk in &pass.disks {
            let root = disk
                .table
                .as_ref()
                .map(|table| table.root(0, disk.cut.chunks()));
            let root = root.transpose().map_err(source_io)?.flatten();
            let Some(root) = root else {
                // This agent was restarted in the middle of the pass and has not seen its beginning: without roots
                // to agree with, the asker goes through all of it once more.
                return Ok(Vec::new());
            };
            report.push(disk_digest(disk.spec.id, disk.spec.size_bytes, &root));
            roots.push((disk.spec.id.0, root));
        }
        self.transfer.check_sealed(self.shared, pass.sealed)?;
        let told =
            self.shared
                .source
                .report_digests(self.transfer.granted.migration, epoch, &report);
        told.map_err(|e| {
            TransferError::new(Fault::Unreachable, format!("digests not reported: {e}"))
        })?;
        Ok(roots)
    }

    /// Sends what differs in one segment from the chunks `theirs` are the digests of.
    fn segment(&mut self, disk: &PassDisk, segment: u32, theirs: &[Digest]) -> Result<()> {
        let (first, count) = disk.cut.segment(segment);
        if count == 0 || theirs.len() != count {
            return Err(malformed("a table that is not the segment's"));
        }
        let mut own = match &disk.table {
            Some(table) => table.read(first, count).map_err(source_io)?,
            None => vec![UNKNOWN; count],
        };
        let known = own.clone();
        if own.contains(&UNKNOWN) {
            disk.image.prefetch(disk.cut.range(first, count));
        }
        let mut holes = Holes::new(&*disk.image);
        let mut i = 0;
        while i < count {
            let n = run_to_read(disk, first, i, &mut own, theirs, &mut holes).map_err(source_io)?;
            if n > 0 {
                self.read_run(disk, first, i, n, &mut own, theirs)?;
                i += n;
            } else {
                self.note(i, own.get(i) == theirs.get(i))?;
                i += 1;
            }
        }
        self.end_range()?;
        // What was not known, and what the disk says otherwise: a table's bit may have rotted.
        match &disk.table {
            Some(table) if own != known => table.write(first, &own).map_err(source_io),
            _ => Ok(()),
        }
    }

    /// Reads `n` chunks, finds their digests and sends those that differ.
    fn read_run(
        &mut self,
        disk: &PassDisk,
        first: u64,
        at: usize,
        n: usize,
        own: &mut [Digest],
        theirs: &[Digest],
    ) -> Result<()> {
        let range = disk.cut.range(first + at as u64, n);
        let len = usize::try_from(range.end - range.start).unwrap_or(0);
        // Taken out so that it can be read while other parts of `self` send it.
        let mut buf = std::mem::replace(&mut self.buf, AlignedBuf::new(0));
        let bytes = buf.get_mut(..len).unwrap_or_default();
        disk.image.read_at(bytes, range.start).map_err(source_io)?;
        for (k, (piece, own)) in bytes.chunks(CHUNK).zip(own.iter_mut().skip(at)).enumerate() {
            let chunk = first + (at + k) as u64;
            *own = if is_zero(piece) {
                *disk.cut.zero_digest(chunk)
            } else {
                digest(piece)
            };
        }
        let own = own.get(at..at + n).unwrap_or_default();
        let theirs = theirs.get(at..at + n).unwrap_or_default();
        let mut differing = 0..0;
        for (k, (own_one, theirs_one)) in own.iter().zip(theirs).enumerate() {
            let zero = own_one == disk.cut.zero_digest(first + (at + k) as u64);
            if own_one != theirs_one && !zero {
                differing = if differing.is_empty() {
                    k..k + 1
                } else {
                    differing.start..k + 1
                };
                continue;
            }
            self.data(at, &differing, bytes, own)?;
            differing = 0..0;
            self.note(at + k, own_one == theirs_one)?;
        }
        self.data(at, &differing, bytes, own)?;
        self.buf = buf;
        Ok(())
    }

    /// Sends the chunks `run` of `bytes`, which were read from the segment's chunk `at` on.
    fn data(
        &mut self,
        at: usize,
        run: &std::ops::Range<usize>,
        bytes: &[u8],
        digests: &[Digest],
    ) -> Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        self.end_range()?;
        let end = (run.end * CHUNK).min(bytes.len());
        let raw = bytes.get(run.start * CHUNK..end).unwrap_or_default();
        let packed = self.packer.pack(raw).map_err(source_io)?;
        let bytes = packed.unwrap_or(raw);
        let head = Answer::Data {
            first: u32::try_from(at + run.start).unwrap_or(u32::MAX),
            digests: digests.get(run.clone()).unwrap_or_default().to_vec(),
            raw: u32::try_from(raw.len()).unwrap_or(u32::MAX),
            wire: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        };
        let stopped = || self.shared.stopped();
        // In pieces, so that a low cap makes a steady stream and not bursts with silence between.
        self.channel.write(&head.encode()).map_err(unreachable)?;
        for piece in bytes.chunks(PIECE) {
            let waiting = std::time::Instant::now();
            if self.shared.cap.get().is_some() {
                self.channel.flush().map_err(unreachable)?;
                self.shared.cap.take(piece.len(), &stopped);
            }
            self.waited += waiting.elapsed().as_secs_f64();
            self.channel.write(piece).map_err(unreachable)?;
        }
        let seconds = self.channel.wire_time.as_secs_f64() + self.waited;
        self.packer.measure(self.channel.wire_bytes, seconds);
        Ok(())
    }

    /// One chunk that is the same, or else zeros.
    fn note(&mut self, chunk: usize, same: bool) -> Result<()> {
        let chunk = u32::try_from(chunk).unwrap_or(u32::MAX);
        match &mut self.range {
            Some((kind, first, count)) if *kind == same && *first + *count == chunk => *count += 1,
            _ => {
                self.end_range()?;
                self.range = Some((same, chunk, 1));
            }
        }
        Ok(())
    }

    fn end_range(&mut self) -> Result<()> {
        match self.range.take() {
            Some((true, first, count)) => self.send(&Answer::Same { first, count }),
            Some((false, first, count)) => self.send(&Answer::Zero { first, count }),
            None => Ok(()),
        }
    }
}

/// A hello is a number and a token.
const HELLO_MAX: usize = 4096;
/// Bytes sent under one look at the cap.
const PIECE: usize = 128 * 1024;

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreachable(e: std::io::Error) -> TransferError {
    TransferError::new(Fault::Unreachable, e.to_string())
}

/// How many chunks from the segment's chunk `i` have to be read together: they are not known, or known to differ and to
/// hold something. 0: chunk `i` is known and need not be read. Holes become known on the way.
fn run_to_read(
    disk: &PassDisk,
    first: u64,
    i: usize,
    own: &mut [Digest],
    theirs: &[Digest],
    holes: &mut Holes<'_>,
) -> std::io::Result<usize> {
    let mut n = 0;
    for (k, (own, theirs)) in own
        .iter_mut()
        .zip(theirs)
        .enumerate()
        .skip(i)
        .take(CHUNKS_PER_RUN)
    {
        let chunk = first + k as u64;
        if *own == UNKNOWN && holes.has(&disk.cut.range(chunk, 1))? {
            *own = *disk.cut.zero_digest(chunk);
        }
        let read = *own == UNKNOWN || (own != theirs && own != disk.cut.zero_digest(chunk));
        if !read {
            break;
        }
        n += 1;
    }
    Ok(n)
}

/// The next question; `None` when the other end has hung up between two.
fn read_ask(channel: &mut Channel, most: usize) -> Result<Option<Ask>> {
    let mut head = [0; 5];
    let [kind, len @ ..] = &mut head;
    match channel.read_exact(std::slice::from_mut(kind)) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(unreachable(e)),
    }
    channel.read_exact(len).map_err(unreachable)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    if len > most {
        return Err(malformed("a frame is too long"));
    }
    let mut body = vec![0; len];
    channel.read_exact(&mut body).map_err(unreachable)?;
    Ask::decode(*kind, &body).map(Some)
}

fn hello(channel: &mut Channel, id: u64, shared: &Shared) -> Result<Arc<Transfer>> {
    let refused = || TransferError::new(Fault::Refused, "no such transfer for this peer and token");
    let Some(Ask::Hello { migration, token }) = read_ask(channel, HELLO_MAX)? else {
        return Err(malformed("no hello"));
    };
    channel.welcome().map_err(unreachable)?;
    let peer = channel.peer().ok_or_else(refused)?;
    let migration = crate::domain::ids::MigrationId(migration);
    let granted = shared
        .source
        .authorise(migration, &token, &peer)
        .ok_or_else(refused)?;
    if granted.migration != migration || granted.disks.len() > DISKS_MAX {
        return Err(refused());
    }
    let transfer = shared.join(id, granted)?;
    let disks = transfer
        .granted
        .disks
        .iter()
        .map(|disk| (disk.id.0, disk.size_bytes))
        .collect();
    let welcome = Answer::Welcome {
        epoch: transfer.granted.epoch,
        disks,
    };
    channel
        .write(&welcome.encode())
        .and_then(|()| channel.flush())
        .map_err(unreachable)?;
    Ok(transfer)
}

/// Tells the other end why, as far as it can still hear it.
fn fail(channel: &mut Channel, e: TransferError) -> Result<()> {
    let answer = Answer::Fail {
        fault: e.fault,
        public: e.public.clone(),
        detail: e.detail.clone(),
    };
    let _ = channel
        .write(&answer.encode())
        .and_then(|()| channel.flush());
    Err(e)
}
