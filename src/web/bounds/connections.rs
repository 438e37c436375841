//! Connections that are open. One that answers nothing, or still reads the body of somebody unknown, costs buffers; of those
//! there are so many, and the one that has been quiet for longest gives way. Each is counted from the moment it is taken,
//! before any TLS.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// Of one address, of those that answer nothing, and of all such; a proxy that is trusted speaks for many, and has no bound.
const QUIET_OF_ADDRESS: usize = 200;
const QUIET: usize = 600;
/// Of one address, whatever they do.
const OF_ADDRESS: usize = 1000;
/// What may come before there is a request to answer: the longest head. Most servers take 8 to 32 KiB.
const HEAD_BYTES: u64 = 32 * 1024;
/// Of a body that nobody wanted, so that whoever sends it comes to read why; then the connection ends.
const UNWANTED_BYTES: u64 = 256 * 1024;

pub struct Connections {
    open: Mutex<Open>,
    quiet_of_address: usize,
    quiet: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Self::of(QUIET_OF_ADDRESS, QUIET)
    }
}

#[derive(Default)]
struct Open {
    from: HashMap<IpAddr, There>,
    /// Of all addresses.
    quiet: usize,
    /// How often one fell quiet.
    fell: u64,
}

/// Those of one address.
#[derive(Default)]
struct There {
    count: usize,
    /// Those that answer nothing, by when they fell quiet.
    quiet: BTreeMap<u64, Arc<Signal>>,
}

/// What tells a connection that it gives way.
#[derive(Default)]
struct Signal {
    gives_way: AtomicBool,
    reader: AtomicWaker,
}

/// A connection, as long as it is open.
pub struct Visit {
    connections: Arc<Connections>,
    /// `None`: it stays, whatever comes.
    near: Option<IpAddr>,
    signal: Arc<Signal>,
    /// When it fell quiet; written under the lock.
    fell: AtomicU64,
    /// Requests that are being answered on it.
    busy: AtomicUsize,
    /// Bytes so far, and how many there may be before the next request.
    read: AtomicU64,
    may_read: AtomicU64,
    looked: AtomicBool,
}

/// A request on it, as long as it is being answered.
pub struct Busy {
    visit: Arc<Visit>,
    began_at: u64,
    body: u64,
}

/// A body of somebody unknown, as long as it is read: its connection counts as one that answers nothing.
pub struct Listening(Arc<Visit>);

impl Connections {
    fn of(quiet_of_address: usize, quiet: usize) -> Self {
        Self {
            open: Mutex::default(),
            quiet_of_address,
            quiet,
        }
    }

    /// `near`: as [`near`](crate::domain::network::Address::near) takes it; without one, nothing is counted. `None`: there
    /// are so many from there that it is not taken.
    pub fn enter(self: &Arc<Self>, near: Option<IpAddr>) -> Option<Arc<Visit>> {
        let mut open = self.lock();
        if let Some(near) = near {
            let from = open.from.entry(near).or_default();
            if from.count >= OF_ADDRESS {
                return None;
            }
            from.count += 1;
            open.make_room(near, self.quiet_of_address, self.quiet);
        }
        let visit = Arc::new(Visit {
            connections: Arc::clone(self),
            near,
            signal: Arc::default(),
            fell: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            read: AtomicU64::new(0),
            may_read: AtomicU64::new(HEAD_BYTES),
            looked: AtomicBool::new(false),
        });
        open.falls_quiet(&visit);
        Some(visit)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// For one more quiet one from there.
    fn make_room(&mut self, near: IpAddr, of_address: usize, of_all: usize) {
        let theirs = self.from.get(&near).map_or(0, |from| from.quiet.len());
        let of = if theirs >= of_address {
            Some(near)
        } else if self.quiet >= of_all {
            let most = self.from.iter().max_by_key(|(_, from)| from.quiet.len());
            most.map(|(near, _)| *near)
        } else {
            None
        };
        let from = of.and_then(|near| self.from.get_mut(&near));
        if let Some((_, oldest)) = from.and_then(|from| from.quiet.pop_first()) {
            self.quiet -= 1;
            oldest.gives_way.store(true, Ordering::Release);
            oldest.reader.wake();
        }
    }

    fn falls_quiet(&mut self, visit: &Visit) {
        let from = visit.near.and_then(|near| self.from.get_mut(&near));
        if let Some(from) = from {
            self.fell += 1;
            self.quiet += 1;
            visit.fell.store(self.fell, Ordering::Relaxed);
            from.quiet.insert(self.fell, Arc::clone(&visit.signal));
        }
    }

    fn is_quiet_no_more(&mut self, visit: &Visit) {
        let from = visit.near.and_then(|near| self.from.get_mut(&near));
        let fell = visit.fell.load(Ordering::Relaxed);
        if from.is_some_and(|from| from.quiet.remove(&fell).is_some()) {
            self.quiet -= 1;
        }
    }
}

impl Visit {
    /// How much may be read now; 0: nothing any more.
    pub(super) fn may_read(&self, cx: &Context<'_>) -> Poll<u64> {
        self.signal.reader.register(cx.waker());
        if self.signal.gives_way.load(Ordering::Acquire) {
            return Poll::Ready(0);
        }
        if self.busy.load(Ordering::Acquire) > 0 {
            return Poll::Ready(u64::MAX);
        }
        let may_read = self.may_read.load(Ordering::Acquire);
        let left = may_read.saturating_sub(self.read.load(Ordering::Relaxed));
        // What came so far is looked at first: it may be a request.
        if left == 0 && !self.looked.swap(true, Ordering::AcqRel) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(left)
    }

    pub(super) fn has_read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A request whose head is here; its body has so many bytes.
    pub fn answers(self: &Arc<Self>, body: u64) -> Busy {
        if self.busy.fetch_add(1, Ordering::AcqRel) == 0 {
            self.connections.lock().is_quiet_no_more(self);
        }
        Busy {
            visit: Arc::clone(self),
            began_at: self.read.load(Ordering::Relaxed),
            body,
        }
    }

    pub fn listens(self: &Arc<Self>) -> Listening {
        let mut open = self.connections.lock();
        open.is_quiet_no_more(self);
        open.falls_quiet(self);
        Listening(Arc::clone(self))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.0.busy.load(Ordering::Acquire) > 0 {
            self.0.connections.lock().is_quiet_no_more(&self.0);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let visit = &self.visit;
        let read = visit.read.load(Ordering::Relaxed);
        let rest = self.body.saturating_sub(read - self.began_at);
        let rest = rest.min(UNWANTED_BYTES);
        let may_read = read.saturating_add(rest).saturating_add(HEAD_BYTES);
        visit.may_read.store(may_read, Ordering::Release);
        visit.looked.store(false, Ordering::Release);
        if visit.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            visit.connections.lock().falls_quiet(visit);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.is_quiet_no_more(self);
        if let Some(near) = self.near
            && let Some(from) = open.from.get_mut(&near)
        {
            from.count -= 1;
            if from.count == 0 {
                open.from.remove(&near);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(connections: &Arc<Connections>, address: u8) -> Arc<Visit> {
        let near = IpAddr::from([192, 0, 2, address]);
        connections.enter(Some(near)).unwrap()
    }

    fn reads(visit: &Visit) -> Poll<u64> {
        visit.may_read(&Context::from_waker(futures_util::task::noop_waker_ref()))
    }

    fn is_open(visit: &Arc<Visit>) -> bool {
        reads(visit) != Poll::Ready(0)
    }

    #[test]
    fn the_one_of_an_address_that_is_quiet_for_longest_gives_way() {
        let all = Arc::new(Connections::of(8, 20));
        let mut theirs: Vec<_> = (0..8).map(|_| from(&all, 1)).collect();
        let another = from(&all, 2);
        let busy = theirs[0].answers(0);
        drop(theirs[1].answers(0));
        let more = [from(&all, 1), from(&all, 1)];
        assert!(more.iter().all(is_open));
        assert!(is_open(&another) && is_open(&theirs[0]) && is_open(&theirs[1]));
        assert!(!is_open(&theirs[2]) && is_open(&theirs[3]));
        drop(busy);
        drop((more, another));
        theirs.clear();
        let open = all.lock();
        assert_eq!((open.quiet, open.from.len()), (0, 0));
    }

    #[test]
    fn one_that_reads_what_somebody_unknown_sends_gives_way_until_it_is_read() {
        let all = Arc::new(Connections::of(2, 20));
        let (slow, read) = (from(&all, 1), from(&all, 1));
        let busy = [slow.answers(9), read.answers(9)];
        let (slows, reads) = (slow.listens(), read.listens());
        drop(reads);
        let more = [from(&all, 1), from(&all, 1)];
        assert!(!is_open(&slow) && is_open(&read) && more.iter().all(is_open));
        drop((slows, busy));
        assert_eq!(all.lock().quiet, 4);
    }

    #[test]
    fn of_all_together_the_greediest_gives_way() {
        let all = Arc::new(Connections::of(8, 20));
        let few = from(&all, 1);
        let many: Vec<_> = (0..20)
            .map(|n| from(&all, 2 + u8::from(n < 7) * (1 + n % 2)))
            .collect();
        let open = many.iter().filter(|visit| is_open(visit)).count();
        assert_eq!(open, 7 + 8, "the third address has as many as one may");
        let more: Vec<_> = (10..15).map(|n| from(&all, n)).collect();
        assert!(is_open(&few) && more.iter().all(is_open));
        let open = many.iter().filter(|visit| is_open(visit)).count();
        assert_eq!(open, 20 - 6);
    }

    #[test]
    fn an_address_has_so_many_whatever_they_do_and_a_proxy_any() {
        let all = Arc::new(Connections::default());
        let near = Some(IpAddr::from([192, 0, 2, 1]));
        let open: Vec<_> = (0..OF_ADDRESS)
            .map(|_| all.enter(near).unwrap().answers(0))
            .collect();
        assert!(all.enter(near).is_none());
        let proxied: Vec<_> = (0..5000).map(|_| all.enter(None).unwrap()).collect();
        assert!(proxied.iter().all(is_open));
        drop(open);
        assert!(all.enter(near).is_some());
    }

    #[test]
    fn a_head_has_so_many_bytes_and_a_body_those_it_said() {
        let all = Arc::new(Connections::default());
        let visit = from(&all, 1);
        assert_eq!(reads(&visit), Poll::Ready(HEAD_BYTES));
        visit.has_read(HEAD_BYTES);
        assert_eq!(reads(&visit), Poll::Pending, "it may be a request");
        let busy = visit.answers(100_000);
        assert_eq!(reads(&visit), Poll::Ready(u64::MAX));
        visit.has_read(40_000);
        drop(busy);
        assert_eq!(reads(&visit), Poll::Ready(60_000 + HEAD_BYTES));
        visit.has_read(60_000 + HEAD_BYTES);
        assert_eq!(reads(&visit), Poll::Pending);
        assert_eq!(reads(&visit), Poll::Ready(0), "it was none");
        drop(visit.answers(10_000_000));
        assert_eq!(reads(&visit), Poll::Ready(UNWANTED_BYTES + HEAD_BYTES));
    }
}
