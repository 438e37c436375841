//! What a running guest is given: its weight under credit2, and the level of its disk threads.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use super::{backend, xl};
use crate::agent::command::Tool;
use crate::agent::driver::DriverError;

const LIMIT: Duration = Duration::from_secs(20);
/// A guest connects its disks when its kernel finds them; after this the portal's own look at the share has to do.
const APPEAR: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(500);
/// What a thread has that was never given a class: the kernel counts it as this level of the best-effort one.
const NEVER_SET: u8 = 4;
/// Said where the threads have no one level of the best-effort class, so that it differs from whatever is due.
pub const OTHER: u8 = u8::MAX;

/// The level that all disk threads of a domain have; `None` while it has none.
pub fn io_priority(domain: u32) -> Result<Option<u8>, DriverError> {
    let threads = backend::threads(domain).ids;
    if threads.is_empty() {
        return Ok(None);
    }
    let said = Tool::new("ionice")
        .arg("-p")
        .args(threads.iter().map(u32::to_string))
        .limit(LIMIT)
        .run()
        .map_err(|error| DriverError::Host(error.to_string()))?;
    Ok(Some(parse(&said.text())))
}

/// `best-effort: prio 4`, a line for each thread.
fn parse(text: &str) -> u8 {
    let levels: BTreeSet<u8> = text
        .lines()
        .map(|line| match line.trim().split_once(": prio ") {
            Some(("best-effort", level)) => level.parse().unwrap_or(OTHER),
            Some(("none", _)) => NEVER_SET,
            _ => OTHER,
        })
        .collect();
    match levels.first() {
        Some(level) if levels.len() == 1 => *level,
        _ => OTHER,
    }
}

pub fn set_io_priority(domain: u32, level: u8) -> Result<(), DriverError> {
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

pub fn weight(domain: u32, weights: &[(u32, i64)]) -> Option<i64> {
    weights
        .iter()
        .find(|(id, _)| *id == domain)
        .map(|(_, weight)| *weight)
}

pub fn set_weight(domain: u32, due: i64) -> Result<(), DriverError> {
    if weight(domain, &xl::weights()?) == Some(due) {
        return Ok(());
    }
    xl::set_weight(domain, due)
}

/// Gives a new guest's disk threads their level as they appear. In a thread of its own, which ends with the port or in
/// time; whatever it misses, the portal finds in the next report.
pub fn settle(port: String, level: u8) {
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
        assert_eq!(parse("best-effort: prio 6\nbest-effort: prio 6\n"), 6);
        assert_eq!(parse("none: prio 0\n"), NEVER_SET);
        for text in [
            "best-effort: prio 6\nbest-effort: prio 5\n",
            "best-effort: prio 6\nnone: prio 0\n",
            "realtime: prio 4\n",
            "idle\n",
            "best-effort: prio x\n",
            "",
        ] {
            assert_eq!(parse(text), OTHER, "{text:?}");
        }
    }

    #[test]
    fn weights_are_found_by_domain() {
        assert_eq!(weight(4, &[(0, 256), (4, 300)]), Some(300));
        assert_eq!(weight(5, &[(0, 256)]), None);
    }
}
