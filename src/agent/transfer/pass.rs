//! One pass of the destination: what need not be asked for, how many connections work through the rest, and how often a broken one
//! is made again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::apply::Worker;
use super::channel::Channel;
use super::chunk::Digest;
use super::client::call;
use super::copy::{Attempt, Copy, Live, table_io};
use super::message::{Answer, Ask, COMPARE_MAX, malformed};
use super::{Fault, Result, TransferError};

impl Attempt<'_> {
    /// Segments both ends know to be the same need not be asked for: one message for thousands of them.
    pub(super) fn skip_known(&self, channel: &mut Channel) -> Result<()> {
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
                        let bytes = self.looked_at(index);
                        self.live.known.fetch_add(bytes, Ordering::Relaxed);
                        self.work.finished(index);
                    }
                    index += 1;
                }
                segment += step;
            }
        }
        Ok(())
    }

    /// Works through everything not done with `channel` and, side by side, as many more connections as help.
    pub(super) fn run(
        &self,
        channel: Channel,
        more: &(dyn Fn() -> Result<Channel> + Sync),
    ) -> Result<()> {
        self.work.rewind();
        let stop = AtomicBool::new(false);
        let workers = workers().min(self.work.open().max(1));
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
                let worse = |e: &TransferError| !e.is_clean();
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
pub(super) fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    (cores * 2).clamp(2, 8)
}

/// Tries with no progress between them, and how long they are apart.
#[derive(Default)]
pub(super) struct Patience {
    tries: u32,
    progress: usize,
}

impl Patience {
    /// Waits before another try, unless this was the last. `progress` only grows.
    pub(super) fn again(&mut self, live: &Live, progress: usize) -> bool {
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
pub(super) fn same_roots(disks: &[Copy], theirs: &[(i64, Digest)]) -> Result<Option<Vec<Digest>>> {
    let mut own = Vec::new();
    for disk in disks {
        let Some(root) = disk.table.root().map_err(table_io)? else {
            return Ok(None);
        };
        own.push((disk.spec.id.0, root));
    }
    Ok((own == theirs).then(|| own.into_iter().map(|(_, root)| root).collect()))
}
