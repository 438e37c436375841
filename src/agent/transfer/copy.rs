//! What the threads of one copy share: the disks, the segments of the pass, and how far it is.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::chunk::Cut;
use super::table::Table;
use super::{Cap, TransferError};
use crate::agent::disk::Image;
use crate::wire::DiskSpec;

/// A disk being copied.
pub(super) struct Copy {
    pub spec: DiskSpec,
    pub cut: Cut,
    pub image: Box<dyn Image>,
    pub table: Table,
}

/// What the threads of one copy share: figures to report, the wish to stop, and the sockets to cut then.
#[derive(Default)]
pub(super) struct Live {
    pub stop: AtomicBool,
    pub cancelled: AtomicBool,
    /// Bytes of the disks looked at in this pass, and of how many.
    pub done: AtomicU64,
    pub total: AtomicU64,
    /// Of those, what both ends knew to be the same.
    pub known: AtomicU64,
    pub pass: AtomicUsize,
    /// Bytes received when this pass began.
    pub wire_before: AtomicU64,
    /// While the copy is read once more: bytes of it, and one more.
    pub checked: AtomicU64,
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
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A pass begins, from the first segment.
    pub(super) fn begin_pass(&self) {
        self.done.store(0, Ordering::Relaxed);
        self.known.store(0, Ordering::Relaxed);
        self.wire_before
            .store(self.wire.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// What this pass will send still: of what is not looked at as much as of what it looked at.
    pub(super) fn left(&self) -> u64 {
        let looked = self.done.load(Ordering::Relaxed);
        let rest = self.total.load(Ordering::Relaxed).saturating_sub(looked);
        let compared = looked.saturating_sub(self.known.load(Ordering::Relaxed));
        let sent = self.wire.load(Ordering::Relaxed) - self.wire_before.load(Ordering::Relaxed);
        let share = u128::from(rest) * u128::from(sent);
        match share.checked_div(u128::from(compared)) {
            Some(left) => u64::try_from(left).map_or(rest, |left| left.min(rest)),
            None => rest,
        }
    }

    /// Ends every wait of this copy.
    pub(super) fn halt(&self) {
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

    pub(super) fn watch(&self, socket: TcpStream) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.push(socket);
        if self.stopped() {
            drop(sockets);
            self.halt();
        }
    }

    /// Sockets of connections that are over are not kept.
    pub(super) fn forget_sockets(&self) {
        self.sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// The segments of one pass.
pub(super) struct Work {
    /// Disk and segment, in order.
    items: Vec<(u16, u32)>,
    done: Vec<AtomicBool>,
    tries: Vec<AtomicU8>,
    next: AtomicUsize,
}

/// How often a segment that does not read back right is fetched.
const TRIES: u8 = 4;

impl Work {
    pub(super) fn all(disks: &[Copy]) -> Self {
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

    pub(super) fn item(&self, index: usize) -> Option<(u16, u32)> {
        self.items.get(index).copied()
    }

    pub(super) fn is_done(&self, index: usize) -> bool {
        self.done
            .get(index)
            .is_some_and(|done| done.load(Ordering::Acquire))
    }

    pub(super) fn finished(&self, index: usize) {
        if let Some(done) = self.done.get(index) {
            done.store(true, Ordering::Release);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.done
            .iter()
            .filter(|done| done.load(Ordering::Acquire))
            .count()
    }

    /// How many are not done.
    pub(super) fn open(&self) -> usize {
        self.items.len() - self.count()
    }

    pub(super) fn complete(&self) -> bool {
        self.open() == 0
    }

    /// The next item nobody has taken or done.
    pub(super) fn take(&self) -> Option<usize> {
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
    pub(super) fn rewind(&self) {
        self.next.store(0, Ordering::Relaxed);
    }

    /// One more try of an item that read back wrong; `false`: it had its tries.
    pub(super) fn again(&self, index: usize) -> bool {
        self.tries
            .get(index)
            .is_some_and(|tries| tries.fetch_add(1, Ordering::Relaxed) + 1 < TRIES)
    }

    /// The lowest segment of `disk` that may still be written.
    pub(super) fn low(&self, disk: u16) -> u32 {
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

/// What all workers of one attempt are given.
pub(super) struct Attempt<'a> {
    pub live: &'a Live,
    pub work: &'a Work,
    pub disks: &'a [Copy],
    pub pass: u32,
    /// What the copy holds is read from the device before it is asked about, not taken from its table.
    pub reread: bool,
    pub cap: &'a Cap,
    /// Room promised to this migration is used up by so many bytes.
    pub use_room: &'a (dyn Fn(u64) -> Result<(), TransferError> + Sync),
}

impl Attempt<'_> {
    /// Counts a segment for the figures, and says how long it is.
    pub(super) fn looked_at(&self, index: usize) -> u64 {
        let item = self.work.item(index);
        let disk = item.and_then(|(disk, _)| self.disks.get(usize::from(disk)));
        let Some((disk, (_, segment))) = disk.zip(item) else {
            return 0;
        };
        let (first, count) = disk.cut.segment(segment);
        let range = disk.cut.range(first, count);
        let bytes = range.end - range.start;
        self.live.done.fetch_add(bytes, Ordering::Relaxed);
        bytes
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn table_io(e: std::io::Error) -> TransferError {
    crate::agent::disk::DiskError::io("the copy's table", &e).into()
}
