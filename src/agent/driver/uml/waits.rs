//! How long a guest's processes could have run and were not let: the kernel's own count for each (`/proc/<pid>/schedstat`,
//! second field, in ns). Processes come and go with the programs in the guest, so the differences are added up here.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};

use crate::agent::process::ProcessRef;
use crate::domain::ids::LinodeId;

#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<BTreeMap<LinodeId, Guest>>);

#[derive(Debug)]
struct Guest {
    main: ProcessRef,
    sum_ns: u64,
    /// By pid and start, in ns.
    of: BTreeMap<(u32, u64), u64>,
}

impl Waits {
    /// Forgets the guests whose main process does not fit.
    pub(super) fn keep(&self, fits: impl Fn(ProcessRef) -> bool) {
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guests.retain(|_, guest| fits(guest.main));
    }

    /// In ms since the first look at this run; `None` where the kernel does not count it.
    pub(super) fn of(&self, linode: LinodeId, main: ProcessRef, all: &[ProcessRef]) -> Option<u64> {
        let now: BTreeMap<(u32, u64), u64> = all
            .iter()
            .filter_map(|process| Some(((process.pid, process.started), wait_ns(process.pid)?)))
            .collect();
        now.contains_key(&(main.pid, main.started)).then_some(())?;
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(add(&mut guests, linode, main, now) / 1_000_000)
    }
}

fn add(
    guests: &mut BTreeMap<LinodeId, Guest>,
    linode: LinodeId,
    main: ProcessRef,
    now: BTreeMap<(u32, u64), u64>,
) -> u64 {
    match guests.get_mut(&linode).filter(|guest| guest.main == main) {
        Some(guest) => {
            let more = now.iter().map(|(process, ns)| {
                ns.saturating_sub(guest.of.get(process).copied().unwrap_or(0))
            });
            guest.sum_ns = guest.sum_ns.saturating_add(more.sum());
            guest.of = now;
            guest.sum_ns
        }
        None => {
            let guest = Guest {
                main,
                sum_ns: 0,
                of: now,
            };
            guests.insert(linode, guest);
            0
        }
    }
}

fn wait_ns(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_processes_waited_adds_up_though_they_come_and_go() {
        let mut guests = BTreeMap::new();
        let main = ProcessRef { pid: 7, started: 1 };
        let mut look = |main, of: &[((u32, u64), u64)]| {
            add(&mut guests, LinodeId(1), main, of.iter().copied().collect())
        };
        assert_eq!(look(main, &[((7, 1), 500), ((8, 2), 70)]), 0);
        assert_eq!(look(main, &[((7, 1), 600), ((9, 3), 20)]), 120);
        assert_eq!(
            look(main, &[((7, 1), 600)]),
            120,
            "one that ended takes nothing away"
        );
        assert_eq!(
            look(
                ProcessRef {
                    pid: 7,
                    started: 99
                },
                &[((7, 99), 5)]
            ),
            0
        );
    }

    #[test]
    fn the_kernel_counts_it() {
        assert!(wait_ns(std::process::id()).is_some());
    }
}
