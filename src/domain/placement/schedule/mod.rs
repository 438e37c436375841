//! When moves would begin and end, if all of them were queued now: the limits of [`super::admit`], played through. Pure; seconds
//! from now.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use crate::domain::ids::HostId;

/// A move in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    pub source: HostId,
    pub destination: HostId,
    pub takes_s: i64,
}

/// How many at once.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    pub overall: i32,
    pub per_link: i32,
    /// Of a host; one that is not there has none.
    pub slots: BTreeMap<HostId, i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub begins_s: i64,
    pub ends_s: i64,
}

/// How fast moves are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Of a move, whole: copying, reading back, the stop.
    pub bytes_a_s: i64,
    /// What each takes besides, as its started Linode is watched.
    pub watch_s: i64,
    /// Of how many moves it was measured; 0: it is what is usual.
    pub of: usize,
}

/// Where nothing was measured.
const USUAL_BYTES_A_S: i64 = 50 << 20;

impl Pace {
    /// The lower one in the middle of `measured`: bytes of disks, and seconds from the first copy to the end.
    pub fn new(measured: &[(i64, i64)], watch_s: i64) -> Self {
        let mut rates: Vec<i64> = measured
            .iter()
            .filter(|(bytes, _)| *bytes > 0)
            .map(|(bytes, seconds)| bytes / (seconds - watch_s).max(1))
            .collect();
        rates.sort_unstable();
        let middle = rates.len().saturating_sub(1) / 2;
        Self {
            bytes_a_s: rates.get(middle).copied().unwrap_or(USUAL_BYTES_A_S).max(1),
            watch_s,
            of: rates.len(),
        }
    }

    pub fn takes_s(&self, disk_mb: i64) -> i64 {
        self.watch_s + (disk_mb.max(0) << 20) / self.bytes_a_s.max(1)
    }
}

/// What keeps the first move of a link from beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Busy {
    Host(HostId),
    Link(HostId, HostId),
}

type Link = (HostId, HostId);

/// The moves at work, and those that wait, link by link in the order of the queue.
struct Queue<'a> {
    jobs: &'a [Job],
    bounds: &'a Bounds,
    /// Each link's moves, the first in the queue last.
    links: HashMap<Link, Vec<usize>>,
    /// Links whose first move may be able to begin, by its place in the queue.
    ready: BTreeSet<(usize, Link)>,
    /// … and those that wait for one to end.
    blocked: HashMap<Busy, Vec<Link>>,
    at_work: HashMap<Busy, i32>,
    overall: i32,
}

/// When each begins and ends, in the order of `jobs`, which is that of the queue; `None`: never, as a host has no slots, or a
/// limit is 0.
pub fn simulate(jobs: &[Job], bounds: &Bounds) -> Vec<Option<Span>> {
    let mut queue = Queue::new(jobs, bounds);
    let mut spans = vec![None; jobs.len()];
    let mut ends: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    let mut now = 0;
    loop {
        for index in queue.admit() {
            let takes = jobs.get(index).map_or(0, |job| job.takes_s.max(0));
            let span = Span {
                begins_s: now,
                ends_s: now + takes,
            };
            if let Some(of) = spans.get_mut(index) {
                *of = Some(span);
            }
            ends.push(Reverse((span.ends_s, index)));
        }
        let Some(Reverse((at, index))) = ends.pop() else {
            return spans;
        };
        now = at;
        queue.end(index);
        // All that end at one moment make room together.
        while ends.peek().is_some_and(|Reverse((end, _))| *end == at) {
            if let Some(Reverse((_, index))) = ends.pop() {
                queue.end(index);
            }
        }
    }
}

impl<'a> Queue<'a> {
    fn new(jobs: &'a [Job], bounds: &'a Bounds) -> Self {
        let mut links: HashMap<Link, Vec<usize>> = HashMap::new();
        for (index, job) in jobs.iter().enumerate().rev() {
            let link = (job.source, job.destination);
            links.entry(link).or_default().push(index);
        }
        let ready = links
            .iter()
            .filter_map(|(link, jobs)| Some((*jobs.last()?, *link)))
            .collect();
        Self {
            jobs,
            bounds,
            links,
            ready,
            blocked: HashMap::new(),
            at_work: HashMap::new(),
            overall: 0,
        }
    }

    fn parts(link: Link) -> [Busy; 3] {
        [
            Busy::Link(link.0, link.1),
            Busy::Host(link.0),
            Busy::Host(link.1),
        ]
    }

    fn most(&self, of: Busy) -> i32 {
        match of {
            Busy::Host(host) => self.bounds.slots.get(&host).copied().unwrap_or(0),
            Busy::Link(..) => self.bounds.per_link,
        }
    }

    fn count(&self, of: Busy) -> i32 {
        self.at_work.get(&of).copied().unwrap_or(0)
    }

    /// Those that begin now.
    fn admit(&mut self) -> Vec<usize> {
        let mut begun = Vec::new();
        while self.overall < self.bounds.overall
            && let Some((index, link)) = self.ready.pop_first()
        {
            let parts = Self::parts(link);
            if let Some(busy) = parts
                .into_iter()
                .find(|of| self.count(*of) >= self.most(*of))
            {
                self.blocked.entry(busy).or_default().push(link);
                continue;
            }
            for part in parts {
                *self.at_work.entry(part).or_default() += 1;
            }
            self.overall += 1;
            begun.push(index);
            if let Some(waiting) = self.links.get_mut(&link) {
                waiting.pop();
                self.ready.extend(waiting.last().map(|next| (*next, link)));
            }
        }
        begun
    }

    fn end(&mut self, index: usize) {
        let Some(job) = self.jobs.get(index) else {
            return;
        };
        self.overall -= 1;
        for part in Self::parts((job.source, job.destination)) {
            *self.at_work.entry(part).or_default() -= 1;
            for link in self.blocked.remove(&part).unwrap_or_default() {
                let first = self.links.get(&link).and_then(|jobs| jobs.last());
                self.ready.extend(first.map(|first| (*first, link)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
