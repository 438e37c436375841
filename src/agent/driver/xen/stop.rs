//! Stopping a guest, and being sure of it.
//!
//! A reboot inside makes a window in which the old domain is gone and the new one not there yet, and only the `xl` that
//! waits for the domain's end knows of it. A stop in that window must not be undone. So the link to the kernel goes first:
//! from then on no new domain can be built, whoever tries; then whatever domain there is, is asked or destroyed; and the
//! guest counts as there for as long as such an `xl` lives.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::find::{Remains, Search};
use super::xl;
use crate::agent::driver::files::{host, writer_of};
use crate::agent::driver::{DriverError, Result, Stopped};
use crate::command::Tool;

/// A request that came before the guest listened stays in its node; one it lost is repeated.
const REPEAT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
/// For a destroyed domain to be gone, and for its devices after that. Busy hosts take seconds.
const GONE: Duration = Duration::from_secs(60);
/// Then devices whose domain is gone are taken away by hand: whoever should have done it is gone too.
const BY_ITSELF: Duration = Duration::from_secs(5);
const TOOL_LIMIT: Duration = Duration::from_secs(20);

/// Idempotent; an error unless the guest is confirmed absent.
pub(super) fn stop(search: &mut Search, limit: Duration) -> Result<Stopped> {
    search.folder.forbid().map_err(host)?;
    let found = search.find()?;
    note(search, &found)?;
    if found.is_empty() {
        let left = search.left()?;
        confirm(search)?;
        return Ok(if left.is_empty() {
            Stopped::WasAbsent
        } else {
            Stopped::ByForce
        });
    }
    let clean = ask(search, limit)?;
    end(search)?;
    confirm(search)?;
    Ok(if clean {
        Stopped::Cleanly
    } else {
        Stopped::ByForce
    })
}

fn note(search: &mut Search, found: &Remains) -> Result<()> {
    for domain in &found.domains {
        search.note(domain.id)?;
    }
    Ok(())
}

/// Asks for a clean shutdown and waits for it; true if the guest ended by itself in time.
fn ask(search: &mut Search, limit: Duration) -> Result<bool> {
    let deadline = Instant::now() + limit;
    let mut asked: Option<(u32, Instant)> = None;
    let mut crashed = false;
    loop {
        let found = search.find()?;
        note(search, &found)?;
        crashed |= found.domains.iter().any(|domain| domain.crashed);
        let now = Instant::now();
        let ended = found.alive().is_none();
        if now >= deadline || (ended && found.keepers.is_empty()) {
            return Ok(ended && !crashed);
        }
        if let Some(domain) = found.alive() {
            let due = asked.is_none_or(|(id, at)| id != domain.id || now >= at + REPEAT);
            // An error is a domain that ended meanwhile, or is not ready to be asked: looked at again.
            if due && xl::shutdown(domain.id).is_ok() {
                asked = Some((domain.id, now));
            }
        }
        thread::sleep(POLL);
    }
}

/// Ends whatever there is, the makers of new domains first.
fn end(search: &mut Search) -> Result<()> {
    let begun = Instant::now();
    loop {
        let found = search.find()?;
        note(search, &found)?;
        if found.is_empty() {
            return Ok(());
        }
        let mut said = String::new();
        for keeper in &found.keepers {
            keeper.signal(Signal::KILL).map_err(host)?;
        }
        for domain in &found.domains {
            // Gone meanwhile is as good; anything else shows at the next look.
            if let Err(error) = xl::destroy(domain.id) {
                said = error.to_string();
            }
        }
        if begun.elapsed() > GONE {
            return Err(DriverError::Host(format!(
                "{} is still there after {GONE:?} of destroying it: {said}",
                search.name
            )));
        }
        thread::sleep(POLL);
    }
}

/// No domain is there. Waits for its devices to go, helps where nobody else does, and confirms that nothing is left.
fn confirm(search: &mut Search) -> Result<()> {
    let begun = Instant::now();
    loop {
        let mut left = search.left()?;
        if left.is_empty() {
            left = nodes(search);
        }
        if left.is_empty() {
            break;
        }
        if begun.elapsed() > GONE {
            return Err(DriverError::Host(format!(
                "{} has no domain any more, but there is still: {}",
                search.name,
                left.join(", ")
            )));
        }
        if begun.elapsed() > BY_ITSELF {
            // A number may have come round meanwhile.
            search.find()?;
            clear(search, &left);
        }
        thread::sleep(POLL);
    }
    let disks = search.record.as_ref().map_or(&[][..], |it| &it.disks);
    if let Some((pid, path)) = writer_of(disks).map_err(host)? {
        return Err(DriverError::Host(format!(
            "the guest is gone, but process {pid} has {} open for writing",
            path.display()
        )));
    }
    // Somebody may have made it anew by hand while this waited.
    if !search.find()?.is_empty() {
        return Err(DriverError::Host(format!(
            "{} was made anew while it was stopped",
            search.name
        )));
    }
    search.folder.forget().map_err(host)
}

/// Back-ends of the guest's earlier domains that `xenstored` still knows.
fn nodes(search: &Search) -> Vec<String> {
    let Some(record) = &search.record else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for kind in ["vbd", "vif"] {
        let path = format!("/local/domain/0/backend/{kind}");
        let said = Tool::new("xenstore-list")
            .arg(&path)
            .limit(TOOL_LIMIT)
            .run();
        // The path is not there on a host that has started no guest yet; that xenstored answers, `xl` has just shown.
        let text = said.map(|said| said.text()).unwrap_or_default();
        let domains = text
            .lines()
            .filter_map(|line| line.trim().parse::<u32>().ok());
        let left = domains.filter(|domain| record.domains.contains(domain));
        found.extend(left.map(|domain| format!("{path}/{domain}")));
    }
    found
}

/// Does what the toolstack would have done. Only devices of the guest's own domains, which are gone, and loop devices over
/// its own disks.
fn clear(search: &Search, left: &[String]) {
    let mut nodes = nodes(search);
    for domain in search.record.iter().flat_map(|record| &record.domains) {
        for kind in ["vbd", "vif"] {
            let path = format!("/local/domain/0/backend/{kind}/{domain}");
            let named = left
                .iter()
                .any(|name| name.starts_with(&format!("{kind}-{domain}-")));
            if named && !nodes.contains(&path) {
                nodes.push(path);
            }
        }
    }
    for node in nodes {
        let _ = Tool::new("xenstore-rm").arg(node).limit(TOOL_LIMIT).run();
    }
    for device in left.iter().filter(|name| name.starts_with("loop")) {
        let device = format!("/dev/{device}");
        let _ = Tool::new("losetup")
            .arg("--detach")
            .arg(device)
            .limit(TOOL_LIMIT)
            .run();
    }
}
