//! What the source answers on one connection.

use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use super::channel::Channel;
use super::chunk::{
    CHUNK, CHUNKS_PER_RUN, Cut, Digest, UNKNOWN, digest, disk_digest, is_zero, run_buffer,
};
use super::message::{Answer, Ask, DISKS_MAX, FRAME_MAX, malformed};
use super::server::Shared;
use super::table::{Digests, Holes};
use super::{Fault, Granted, TransferError, policy};
use crate::agent::disk::aligned::AlignedBuf;
use crate::agent::disk::{DiskError, Image, Moment};
use crate::wire::DiskSpec;

/// What one migration has granted, and the pass that is being served.
pub struct Transfer {
    pub granted: Granted,
    pass: Mutex<Option<Arc<Pass>>>,
}

/// One pass: what every disk is read from, and what is known of it. A pass that is over keeps its own tables: a
/// connection that is late writes into those, never into the next pass's.
struct Pass {
    number: u32,
    sealed: Option<i64>,
    told: bool,
    disks: Vec<PassDisk>,
}

struct PassDisk {
    spec: DiskSpec,
    cut: Cut,
    image: Box<dyn Image>,
    /// Of what `image` holds and nothing else; `None`: it may change while it is read.
    table: Option<Digests>,
}

impl Transfer {
    pub fn new(granted: Granted) -> Self {
        Self {
            granted,
            pass: Mutex::new(None),
        }
    }

    /// Starts a pass. A final pass over the same sealed disks goes on with what is known of them.
    fn begin(&self, shared: &Shared, sealed: Option<i64>) -> Result<Arc<Pass>, TransferError> {
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
        let mut told = true;
        let mut disks = Vec::with_capacity(self.granted.disks.len());
        for (i, spec) in self.granted.disks.iter().enumerate() {
            let elder = before
                .as_ref()
                .and_then(|pass| pass.disks.get(i))
                .and_then(|disk| disk.table.as_ref());
            let disk = self.open(shared, spec, sealed.is_some(), elder)?;
            told &= disk.1;
            disks.push(disk.0);
        }
        let pass = Arc::new(Pass {
            number,
            sealed,
            told,
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
    ) -> Result<(PassDisk, bool), TransferError> {
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
        if let (Some(_), Some(_), false) = (&table, elder, told) {
            table = Some(Digests::plain(
                shared.store.source_table(linode, migration, spec.id)?,
            ));
        }
        Ok((
            PassDisk {
                spec: spec.clone(),
                cut,
                image: view.image,
                table,
            },
            told,
        ))
    }

    fn check_sealed(&self, shared: &Shared, sealed: Option<i64>) -> Result<(), TransferError> {
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

    fn current(&self, number: u32) -> Result<Arc<Pass>, TransferError> {
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

fn source_io(e: std::io::Error) -> TransferError {
    DiskError::io("at the source", &e).into()
}

pub struct Connection<'a> {
    shared: &'a Shared,
    transfer: Arc<Transfer>,
    channel: Channel,
    buf: AlignedBuf,
    packed: Vec<u8>,
    /// Chunks to report as the same or as zeros, not yet sent: kind, first, count.
    range: Option<(bool, u32, u32)>,
    /// Bytes and seconds of wire at the last look, for the link's rate.
    seen: (u64, f64),
    waited: f64,
    rate: f64,
    /// Runs not to try compression on, after one that did not shrink.
    hold_off: u32,
}

impl<'a> Connection<'a> {
    pub fn serve(tcp: TcpStream, id: u64, shared: &'a Shared) -> Result<(), TransferError> {
        let mut channel = Channel::accept(tcp, shared.tls()).map_err(unreachable)?;
        let transfer = match hello(&mut channel, id, shared) {
            Ok(transfer) => transfer,
            Err(e) => return fail(&mut channel, e),
        };
        let mut connection = Connection {
            shared,
            transfer,
            channel,
            buf: run_buffer(),
            packed: Vec::new(),
            range: None,
            seen: (0, 0.0),
            waited: 0.0,
            rate: f64::INFINITY,
            hold_off: 0,
        };
        while !shared.stopped() {
            let Some(ask) = read_ask(&mut connection.channel)? else {
                break;
            };
            if let Err(e) = connection.answer(&ask) {
                return fail(&mut connection.channel, e);
            }
        }
        Ok(())
    }

    fn answer(&mut self, ask: &Ask) -> Result<(), TransferError> {
        match ask {
            Ask::Hello { .. } => return Err(malformed("a second hello")),
            Ask::Begin { sealed } => {
                let transfer = Arc::clone(&self.transfer);
                let pass = transfer.begin(self.shared, *sealed)?;
                self.send(&Answer::Begun {
                    pass: pass.number,
                    told: pass.told,
                })?;
            }
            Ask::Compare {
                pass,
                disk,
                first,
                digests,
            } => {
                let pass = self.transfer.current(*pass)?;
                let disk = find(&pass, *disk)?;
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
                self.segment(find(&pass, *disk)?, *segment, table)?;
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

    fn send(&mut self, answer: &Answer) -> Result<(), TransferError> {
        self.channel.write(&answer.encode()).map_err(unreachable)
    }

    /// The source's own word on its sealed disks: told to the portal first, to the destination after.
    fn roots(&self, pass: &Pass) -> Result<Vec<(i64, Digest)>, TransferError> {
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
    fn segment(
        &mut self,
        disk: &PassDisk,
        segment: u32,
        theirs: &[Digest],
    ) -> Result<(), TransferError> {
        let (first, count) = disk.cut.segment(segment);
        if count == 0 || theirs.len() != count {
            return Err(malformed("a table that is not the segment's"));
        }
        let mut own = match &disk.table {
            Some(table) => table.read(first, count).map_err(source_io)?,
            None => vec![UNKNOWN; count],
        };
        let unread = own.contains(&UNKNOWN);
        if unread {
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
        match &disk.table {
            Some(table) if unread => table.write(first, &own).map_err(source_io),
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
    ) -> Result<(), TransferError> {
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
    ) -> Result<(), TransferError> {
        if run.is_empty() {
            return Ok(());
        }
        self.end_range()?;
        let end = (run.end * CHUNK).min(bytes.len());
        let raw = bytes.get(run.start * CHUNK..end).unwrap_or_default();
        let packed = self.pack(raw)?;
        let wire = if packed { self.packed.len() } else { raw.len() };
        let head = Answer::Data {
            first: u32::try_from(at + run.start).unwrap_or(u32::MAX),
            digests: digests.get(run.clone()).unwrap_or_default().to_vec(),
            raw: u32::try_from(raw.len()).unwrap_or(u32::MAX),
            wire: u32::try_from(wire).unwrap_or(u32::MAX),
        };
        let stopped = || self.shared.stopped();
        // In pieces, so that a low cap makes a steady stream and not bursts with silence between.
        self.channel.write(&head.encode()).map_err(unreachable)?;
        for piece in (if packed { &self.packed } else { raw }).chunks(PIECE) {
            let waiting = std::time::Instant::now();
            if self.shared.cap.get().is_some() {
                self.channel.flush().map_err(unreachable)?;
                self.shared.cap.take(piece.len(), &stopped);
            }
            self.waited += waiting.elapsed().as_secs_f64();
            self.channel.write(piece).map_err(unreachable)?;
        }
        self.measure();
        Ok(())
    }

    /// Compresses into `self.packed` where that pays.
    fn pack(&mut self, raw: &[u8]) -> Result<bool, TransferError> {
        if !policy::compress_on(self.rate) || raw.len() < CHUNK {
            return Ok(false);
        }
        if self.hold_off > 0 {
            self.hold_off -= 1;
            return Ok(false);
        }
        let middle = raw.len() / 2 / CHUNK * CHUNK;
        let sample = raw.get(middle..).unwrap_or_default();
        let sample = sample.get(..CHUNK.min(sample.len())).unwrap_or_default();
        let packed = zstd::bulk::compress(sample, LEVEL).map_err(source_io)?;
        if !policy::compress_pays(sample.len(), packed.len()) {
            self.hold_off = HOLD_OFF;
            return Ok(false);
        }
        self.packed = zstd::bulk::compress(raw, LEVEL).map_err(source_io)?;
        Ok(self.packed.len() < raw.len())
    }

    /// What the link took lately, its own pace and the cap's together.
    fn measure(&mut self) {
        let bytes = self.channel.wire_bytes - self.seen.0;
        let seconds = self.channel.wire_time.as_secs_f64() + self.waited - self.seen.1;
        if bytes >= MEASURED {
            self.rate = bytes as f64 / seconds.max(1e-6);
            self.seen = (
                self.channel.wire_bytes,
                self.channel.wire_time.as_secs_f64() + self.waited,
            );
        }
    }

    /// One chunk that is the same, or else zeros.
    fn note(&mut self, chunk: usize, same: bool) -> Result<(), TransferError> {
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

    fn end_range(&mut self) -> Result<(), TransferError> {
        match self.range.take() {
            Some((true, first, count)) => self.send(&Answer::Same { first, count }),
            Some((false, first, count)) => self.send(&Answer::Zero { first, count }),
            None => Ok(()),
        }
    }
}

const LEVEL: i32 = 1;
/// Bytes sent under one look at the cap.
const PIECE: usize = 128 * 1024;
/// Bytes the link's rate is measured over.
const MEASURED: u64 = 1 << 20;
/// After a sample that did not shrink, so many runs go uncompressed before another is tried.
const HOLD_OFF: u32 = 16;

fn unreachable(e: std::io::Error) -> TransferError {
    TransferError::new(Fault::Unreachable, e.to_string())
}

fn find(pass: &Pass, disk: u16) -> Result<&PassDisk, TransferError> {
    pass.disks
        .get(usize::from(disk))
        .ok_or_else(|| malformed("no such disk"))
}

/// A segment differs unless all of it is known here and known to be the same.
fn compare(disk: &PassDisk, first: u32, digests: &[Digest]) -> Result<Vec<bool>, TransferError> {
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
fn read_ask(channel: &mut Channel) -> Result<Option<Ask>, TransferError> {
    let mut head = [0; 5];
    let [kind, len @ ..] = &mut head;
    match channel.read_exact(std::slice::from_mut(kind)) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(unreachable(e)),
    }
    channel.read_exact(len).map_err(unreachable)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    if len > FRAME_MAX {
        return Err(malformed("a frame is too long"));
    }
    let mut body = vec![0; len];
    channel.read_exact(&mut body).map_err(unreachable)?;
    Ask::decode(*kind, &body).map(Some)
}

fn hello(channel: &mut Channel, id: u64, shared: &Shared) -> Result<Arc<Transfer>, TransferError> {
    let refused = || TransferError::new(Fault::Refused, "no such transfer for this peer and token");
    let Some(Ask::Hello { migration, token }) = read_ask(channel)? else {
        return Err(malformed("no hello"));
    };
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
fn fail(channel: &mut Channel, e: TransferError) -> Result<(), TransferError> {
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
