//! One pass of the destination: which segments to ask for, by whom, and what is still to do after a broken connection.

use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::apply::Worker;
use super::channel::Channel;
use super::chunk::{Cut, Digest};
use super::message::{Answer, Ask, COMPARE_MAX, FRAME_MAX, malformed};
use super::table::Table;
use super::{Fault, TransferError};
use crate::agent::disk::Image;
use crate::wire::{DiskSpec, Peer};

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A disk being copied.
pub struct Copy {
    pub spec: DiskSpec,
    pub cut: Cut,
    pub image: Box<dyn Image>,
    pub table: Table,
}

/// What the threads of one copy share: figures to report, the wish to stop, and the sockets to cut then.
#[derive(Default)]
pub struct Live {
    pub stop: AtomicBool,
    pub cancelled: AtomicBool,
    /// Bytes of the disks looked at in this pass, and of how many.
    pub done: AtomicU64,
    pub total: AtomicU64,
    pub pass: AtomicUsize,
    /// The source could tell what changed since the pass before this one, and reads nothing else.
    pub told: AtomicBool,
    /// Bytes received, as they were on the wire; and as they are on the disks.
    pub wire: AtomicU64,
    pub changed: AtomicU64,
    /// The source reads a disk of this pass as it changes, for want of room.
    pub moving: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Live {
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends every wait of this copy.
    pub fn halt(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for socket in self
            .sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn watch(&self, socket: TcpStream) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.push(socket);
        if self.stopped() {
            drop(sockets);
            self.halt();
        }
    }

    /// Sockets of connections that are over are not kept.
    pub fn forget_sockets(&self) {
        self.sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// The segments of one pass.
pub struct Work {
    /// Disk and segment, in order.
    items: Vec<(u16, u32)>,
    done: Vec<AtomicBool>,
    tries: Vec<AtomicU8>,
    next: AtomicUsize,
}

/// How often a segment that does not read back right is fetched.
const TRIES: u8 = 4;

impl Work {
    pub fn all(disks: &[Copy]) -> Self {
        let mut items = Vec::new();
        for (disk, index) in disks.iter().zip(0..) {
            items.extend((0..disk.cut.segments()).map(|segment| (index, segment)));
        }
        let done = items.iter().map(|_| AtomicBool::new(false)).collect();
        let tries = items.iter().map(|_| AtomicU8::new(0)).collect();
        Self {
            items,
            done,
            tries,
            next: AtomicUsize::new(0),
        }
    }

    pub fn item(&self, index: usize) -> Option<(u16, u32)> {
        self.items.get(index).copied()
    }

    fn is_done(&self, index: usize) -> bool {
        self.done
            .get(index)
            .is_some_and(|done| done.load(Ordering::Acquire))
    }

    pub fn finished(&self, index: usize) {
        if let Some(done) = self.done.get(index) {
            done.store(true, Ordering::Release);
        }
    }

    pub fn count(&self) -> usize {
        self.done
            .iter()
            .filter(|done| done.load(Ordering::Acquire))
            .count()
    }

    pub fn complete(&self) -> bool {
        self.count() == self.items.len()
    }

    /// The next item nobody has taken or done.
    pub fn take(&self) -> Option<usize> {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.items.len() {
                return None;
            }
            if !self.is_done(index) {
                return Some(index);
            }
        }
    }

    /// From the start again, for what is not done.
    fn rewind(&self) {
        self.next.store(0, Ordering::Relaxed);
    }

    /// One more try of an item that read back wrong; `false`: it had its tries.
    pub fn again(&self, index: usize) -> bool {
        self.tries
            .get(index)
            .is_some_and(|tries| tries.fetch_add(1, Ordering::Relaxed) + 1 < TRIES)
    }

    /// The lowest segment of `disk` that may still be written.
    pub fn low(&self, disk: u16) -> u32 {
        let from = self.items.partition_point(|item| item.0 < disk);
        let mine = self
            .items
            .iter()
            .enumerate()
            .skip(from)
            .take_while(|(_, item)| item.0 == disk);
        let mut open = mine.filter(|(index, _)| !self.is_done(*index));
        open.next().map_or(0, |(_, item)| item.1)
    }
}

/// Ids and sizes of the disks a source grants.
pub type Granted = Vec<(i64, u64)>;

/// Connects, proves who is who, and hears what is granted.
pub fn connect(
    live: &Live,
    peer: &Peer,
    config: &Arc<rustls::ClientConfig>,
    migration: i64,
) -> Result<(Channel, Granted), TransferError> {
    let address = peer
        .address
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next());
    let address = address.ok_or_else(|| {
        TransferError::new(
            Fault::Unreachable,
            format!("not an address: {}", peer.address),
        )
    })?;
    let tcp = TcpStream::connect_timeout(&address, CONNECT).map_err(|e| broken(&e))?;
    live.watch(tcp.try_clone().map_err(|e| broken(&e))?);
    let mut channel = Channel::connect(tcp, Arc::clone(config)).map_err(|e| broken(&e))?;
    let hello = Ask::Hello {
        migration,
        token: peer.token.clone(),
    };
    match call(&mut channel, &hello)? {
        Answer::Welcome { disks, .. } => Ok((channel, disks)),
        _ => Err(malformed("no welcome")),
    }
}

/// A wrong key is not a broken line: no use trying again.
pub fn broken(e: &std::io::Error) -> TransferError {
    if e.kind() == std::io::ErrorKind::PermissionDenied {
        TransferError::new(Fault::Refused, format!("TLS: {e}"))
    } else {
        TransferError::new(Fault::Unreachable, e.to_string())
    }
}

pub fn call(channel: &mut Channel, ask: &Ask) -> Result<Answer, TransferError> {
    channel
        .write(&ask.encode())
        .and_then(|()| channel.flush())
        .map_err(|e| broken(&e))?;
    let (kind, len) = read_head(channel)?;
    read_answer(channel, kind, len)
}

pub fn read_head(channel: &mut Channel) -> Result<(u8, usize), TransferError> {
    let mut head = [0; 5];
    channel.read_exact(&mut head).map_err(|e| broken(&e))?;
    let [kind, len @ ..] = head;
    let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
    if len > FRAME_MAX {
        return Err(malformed("a frame is too long"));
    }
    Ok((kind, len))
}

/// Reads a whole answer (not `Data`, whose bytes have their own buffer); the other end's failure becomes ours.
pub fn read_answer(channel: &mut Channel, kind: u8, len: usize) -> Result<Answer, TransferError> {
    let mut body = vec![0; len];
    channel.read_exact(&mut body).map_err(|e| broken(&e))?;
    match Answer::decode(kind, &body)? {
        Answer::Fail {
            fault,
            public,
            detail,
        } => Err(TransferError {
            fault,
            public,
            detail: format!("the source: {detail}"),
        }),
        answer => Ok(answer),
    }
}

/// What all workers of one attempt are given.
pub struct Attempt<'a> {
    pub live: &'a Live,
    pub work: &'a Work,
    pub disks: &'a [Copy],
    pub pass: u32,
    /// What the copy holds is read from the device before it is asked about, not taken from its table.
    pub reread: bool,
    pub cap: &'a super::Cap,
    /// Room promised to this migration is used up by so many bytes.
    pub use_room: &'a (dyn Fn(u64) -> Result<(), TransferError> + Sync),
}

impl Attempt<'_> {
    /// Segments both ends know to be the same need not be asked for: one message for thousands of them.
    pub fn skip_known(&self, channel: &mut Channel) -> Result<(), TransferError> {
        let mut index = 0;
        for (disk, number) in self.disks.iter().zip(0_u16..) {
            let mut segment = 0;
            while segment < disk.cut.segments() {
                let step = (disk.cut.segments() - segment).min(COMPARE_MAX);
                let mut digests = Vec::new();
                for one in segment..segment + step {
                    digests.push(
                        disk.table
                            .segment_root(one)
                            .map_err(table_io)?
                            .unwrap_or_default(),
                    );
                }
                let ask = Ask::Compare {
                    pass: self.pass,
                    disk: number,
                    first: segment,
                    digests,
                };
                let Answer::Compared { differ } = call(channel, &ask)? else {
                    return Err(malformed("no comparison"));
                };
                if differ.len() != step as usize {
                    return Err(malformed("a comparison of another length"));
                }
                for differs in differ {
                    if !differs && !self.work.is_done(index) {
                        self.looked_at(index);
                        self.work.finished(index);
                    }
                    index += 1;
                }
                segment += step;
            }
        }
        Ok(())
    }

    pub fn looked_at(&self, index: usize) {
        let Some((disk, segment)) = self.work.item(index) else {
            return;
        };
        let Some(disk) = self.disks.get(usize::from(disk)) else {
            return;
        };
        let (first, count) = disk.cut.segment(segment);
        let range = disk.cut.range(first, count);
        self.live
            .done
            .fetch_add(range.end - range.start, Ordering::Relaxed);
    }

    /// Works through everything not done with `channel` and, side by side, as many more connections as help.
    pub fn run(
        &self,
        channel: Channel,
        more: &(dyn Fn() -> Result<Channel, TransferError> + Sync),
    ) -> Result<(), TransferError> {
        self.work.rewind();
        let stop = AtomicBool::new(false);
        let open = self.work.items.len() - self.work.count();
        let workers = workers().min(open.max(1));
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for _ in 1..workers {
                threads.push(scope.spawn(|| Worker::new(more()?, self, &stop).run()));
            }
            let mut first = Worker::new(channel, self, &stop).run();
            for thread in threads {
                let died = |_| Err(TransferError::new(Fault::Disk, "a copying thread died"));
                let ended = thread.join().unwrap_or_else(died);
                // What the disks say matters more than what the line says.
                let worse = |e: &TransferError| e.fault != Fault::Unreachable;
                if ended.is_err() && !first.as_ref().is_err_and(worse) {
                    first = ended;
                }
            }
            first
        })
    }
}

/// Connections side by side: while one waits for the disk, others keep the cores busy. More than twice the cores only
/// compete; measured in `benches/mover.rs`.
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    (cores * 2).clamp(2, 8)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn table_io(e: std::io::Error) -> TransferError {
    crate::agent::disk::DiskError::io("the copy's table", &e).into()
}

/// Tries with no progress between them, and how long they are apart.
#[derive(Default)]
pub struct Patience {
    tries: u32,
    progress: usize,
}

impl Patience {
    /// Waits before another try, unless this was the last. `progress` only grows.
    pub fn again(&mut self, live: &Live, progress: usize) -> bool {
        if progress > self.progress {
            self.progress = progress;
            self.tries = 0;
        }
        self.tries += 1;
        let until = Instant::now() + Duration::from_millis(100 << self.tries.min(5));
        while Instant::now() < until && !live.stopped() {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.tries < 8 && !live.stopped()
    }
}

/// The digests of both ends, disk by disk.
pub fn same_roots(
    disks: &[Copy],
    theirs: &[(i64, Digest)],
) -> Result<Option<Vec<Digest>>, TransferError> {
    let mut own = Vec::new();
    for disk in disks {
        let Some(root) = disk.table.root().map_err(table_io)? else {
            return Ok(None);
        };
        own.push((disk.spec.id.0, root));
    }
    Ok((own == theirs).then(|| own.into_iter().map(|(_, root)| root).collect()))
}
