//! What a running guest is given: its weight under credit2, and the level of its disk threads.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use super::{backend, xl};
use crate::agent::driver::{DriverError, Result};
use crate::command::Tool;

const LIMIT: Duration = Duration::from_secs(20);
/// Whose threads one call asks for: a thread for each disk and CPU, five digits each.
const DOMAINS: usize = 200;
/// A guest connects its disks when its kernel finds them; after this the portal's own look at the share has to do.
const APPEAR: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(500);
/// What a thread has that was never given a class: the kernel counts it as this level of the best-effort one.
const NEVER_SET: u8 = 4;
/// Said where the threads have no one level of the best-effort class, so that it differs from whatever is due.
pub(super) const OTHER: u8 = u8::MAX;

/// A domain's disk threads.
type Threads = (u32, Vec<u32>);

/// The level that all disk threads of a domain have, for each of these domains that has any.
pub(super) fn io_priorities(domains: &[u32]) -> BTreeMap<u32, u8> {
    let mut all = backend::threads_of_all();
    let threads = domains.iter().filter_map(|domain| {
        let threads = all.remove(domain)?;
        Some((*domain, threads.into_iter().map(|(id, _)| id).collect()))
    });
    levels(&threads.collect::<Vec<Threads>>(), ask)
}

fn ask(threads: &[u32]) -> Option<String> {
    let said = Tool::new("ionice")
        .arg("-p")
        .args(threads.iter().map(u32::to_string))
        .limit(LIMIT)
        .run();
    said.ok().map(|said| said.text())
}

/// Asks for as many at once as one call takes. A thread that ends meanwhile spoils the call: then each domain is asked for
/// alone, and the one that is ending is left out.
fn levels(of: &[Threads], ask: impl Fn(&[u32]) -> Option<String>) -> BTreeMap<u32, u8> {
    let mut found = BTreeMap::new();
    for some in of.chunks(DOMAINS) {
        let ids: Vec<u32> = some.iter().flat_map(|(_, ids)| ids).copied().collect();
        let lines: Vec<u8> = ask(&ids)
            .map(|text| text.lines().map(parse).collect())
            .unwrap_or_default();
        if lines.len() == ids.len() {
            let mut lines = lines.into_iter();
            let level = |(domain, ids): &Threads| (*domain, one(lines.by_ref().take(ids.len())));
            found.extend(some.iter().map(level));
        } else {
            let alone =
                |(domain, ids): &Threads| Some((*domain, one(ask(ids)?.lines().map(parse))));
            found.extend(some.iter().filter_map(alone));
        }
    }
    found
}

/// `best-effort: prio 4`, a thread's line.
pub(super) fn parse(line: &str) -> u8 {
    match line.trim().split_once(": prio ") {
        Some(("best-effort", level)) => match level.parse() {
            Ok(level @ 0..=7) => level,
            _ => OTHER,
        },
        Some(("none", _)) => NEVER_SET,
        _ => OTHER,
    }
}

/// The one that all have.
fn one(levels: impl Iterator<Item = u8>) -> u8 {
    let levels: BTreeSet<u8> = levels.collect();
    match levels.first() {
        Some(level) if levels.len() == 1 => *level,
        _ => OTHER,
    }
}

pub(super) fn set_io_priority(domain: u32, level: u8) -> Result<()> {
    if level > 7 {
        return Err(DriverError::Host(format!(
            "no thread can have the level {level}"
        )));
    }
    let threads = backend::threads(domain).ids;
    if threads.is_empty() {
        return Ok(());
    }
    Tool::new("ionice")
        .args(["-c", "2", "-n"])
        .arg(level.to_string())
        .arg("-p")
        .args(threads.iter().map(u32::to_string))
        .limit(LIMIT)
        .run()
        .map(drop)
        .map_err(|error| DriverError::Host(error.to_string()))
}

pub(super) fn weight(domain: u32, weights: &[(u32, i64)]) -> Option<i64> {
    weights
        .iter()
        .find(|(id, _)| *id == domain)
        .map(|(_, weight)| *weight)
}

pub(super) fn set_weight(domain: u32, due: i64) -> Result<()> {
    if weight(domain, &xl::weights()?) == Some(due) {
        return Ok(());
    }
    xl::set_weight(domain, due)
}

/// Gives a new guest's disk threads their level as they appear. In a thread of its own, which ends with the port or in
/// time; whatever it misses, the portal finds in the next report.
pub(super) fn settle(port: String, level: u8) {
    let work = move || {
        let deadline = Instant::now() + APPEAR;
        while let Some(domain) = backend::domain_of(&port)
            && Instant::now() < deadline
        {
            if backend::threads(domain).complete {
                if let Err(error) = set_io_priority(domain, level) {
                    tracing::warn!(port, %error, "the disk threads' level could not be set");
                }
                return;
            }
            thread::sleep(POLL);
        }
    };
    let _ = thread::Builder::new().name("ionice".into()).spawn(work);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read() {
        let parse = |text: &str| one(text.lines().map(parse));
        assert_eq!(parse("best-effort: prio 6\nbest-effort: prio 6\n"), 6);
        assert_eq!(parse("none: prio 0\n"), NEVER_SET);
        for text in [
            "best-effort: prio 6\nbest-effort: prio 5\n",
            "best-effort: prio 6\nnone: prio 0\n",
            "realtime: prio 4\n",
            "idle\n",
            "best-effort: prio x\n",
            "best-effort: prio 8\n",
            "",
        ] {
            assert_eq!(parse(text), OTHER, "{text:?}");
        }
    }

    #[test]
    fn two_hundred_domains_take_one_call_and_one_that_ends_spoils_no_other() {
        let calls = std::cell::Cell::new(0);
        let said = |ids: &[u32], gone: u32| {
            calls.set(calls.get() + 1);
            let line = |id: &u32| format!("best-effort: prio {}\n", id / 10 % 8);
            (!ids.contains(&gone)).then(|| ids.iter().map(line).collect::<String>())
        };
        let all: Vec<Threads> = (1..=200).map(|n| (n, vec![10 * n, 10 * n + 1])).collect();
        let found = levels(&all, |ids| said(ids, 0));
        assert_eq!((found.len(), calls.take()), (200, 1));
        assert!(found.iter().all(|(n, level)| u32::from(*level) == n % 8));
        let found = levels(&all, |ids| said(ids, 71));
        assert_eq!(
            (found.len(), found.get(&7), found.get(&8)),
            (199, None, Some(&0))
        );
        assert_eq!(levels(&[], |ids| said(ids, 0)).len(), 0);
    }

    #[test]
    fn weights_are_found_by_domain() {
        assert_eq!(weight(4, &[(0, 256), (4, 300)]), Some(300));
        assert_eq!(weight(5, &[(0, 256)]), None);
    }
}
