//! `xenbeta-agent check`: everything the agent needs, looked at one by one, a line each. Changes nothing of the Linodes'.

use std::fs;
use std::net::TcpListener;

use super::config::{Config, DisksConfig};
use super::disk::lvm::Commands;
use super::enrol::HostIdentity;
use super::host;
use super::ledger::{Ledger, file};
use super::{probing, run};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub good: bool,
    pub what: &'static str,
    pub found: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.good { "ok  " } else { "FAIL" };
        write!(f, "{mark}  {:<10} {}", self.what, self.found)
    }
}

type Verdict = Result<String, String>;

/// Looks at everything; nothing stops at the first failure.
pub fn check(config: &Config) -> Vec<Line> {
    let line = |what, found: Verdict| Line {
        good: found.is_ok(),
        what,
        found: found.unwrap_or_else(|error| error),
    };
    // A guess at whether this host's agent runs; taken and let go, so first of all.
    let running = matches!(run::lock(&config.state()), Err(run::RunError::Locked(_)));
    let mut lines = vec![
        line("state", state(config, running)),
        line("identity", identity(config)),
        line("portal", portal(config)),
        line("ledger", ledger(config)),
        line("disks", disks(config)),
        line("driver", driver(config)),
    ];
    // What the platform itself needs; a driver that cannot be had was said above.
    if let Ok(driver) = host::driver(config) {
        let examined = driver.examine();
        lines.extend(examined.into_iter().map(|(what, found)| line(what, found)));
    }
    let probed = probing::examine(config).into_iter();
    lines.extend(probed.map(|(what, found)| line(what, found)));
    lines.push(line("listener", listener(config, running)));
    lines
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn state(config: &Config, running: bool) -> Verdict {
    let dir = &config.state_dir;
    let failed = |error| format!("{}: {error}", dir.display());
    file::private_dir(dir).map_err(failed)?;
    file::replace(dir, "check", b"check").map_err(failed)?;
    file::remove(dir, "check").map_err(failed)?;
    let agent = if running {
        "the agent runs"
    } else {
        "the agent does not run"
    };
    Ok(format!(
        "{}: written, synced, renamed; {agent}",
        dir.display()
    ))
}

fn identity(config: &Config) -> Verdict {
    let path = config.state().identity();
    let bytes =
        fs::read(&path).map_err(|error| format!("{}: {error} (not enrolled?)", path.display()))?;
    let identity: HostIdentity = serde_json::from_slice(&bytes).map_err(text)?;
    if identity.portal != config.portal {
        return Err(format!(
            "enrolled with {}, but the configuration says {}",
            identity.portal, config.portal
        ));
    }
    Ok(format!("host {} (number {})", identity.name, identity.host))
}

fn portal(config: &Config) -> Verdict {
    let client = run::client(config).map_err(text)?;
    client.accepted().map_err(text)?;
    Ok(format!("{}: reached, credential accepted", config.portal))
}

fn ledger(config: &Config) -> Verdict {
    let ledger = Ledger::look(&config.state().ledger()).map_err(text)?;
    let entries = ledger.entries();
    let damaged: Vec<String> = entries
        .iter()
        .filter_map(|(linode, entry)| {
            entry
                .as_ref()
                .err()
                .map(|reason| format!("Linode {linode}: {reason}"))
        })
        .collect();
    if damaged.is_empty() {
        Ok(format!(
            "{} Linodes known, every record whole; {}",
            entries.len(),
            ledger.described()
        ))
    } else {
        Err(damaged.join("; "))
    }
}

fn disks(config: &Config) -> Verdict {
    if let DisksConfig::Lvm(lvm) = &config.disks {
        let stubborn = Commands::new(&lvm.vg).stubborn().map_err(text)?;
        if !stubborn.is_empty() {
            return Err(format!(
                "LVM does not take {} from its command line: see lvm.conf",
                stubborn.join(", ")
            ));
        }
    }
    let disks = host::disks(config).map_err(text)?;
    let space = disks.space().map_err(text)?;
    let changes = if disks.tells_changes() {
        "tells what changed"
    } else {
        "cannot tell what changed: the final pass reads whole disks"
    };
    let gib = |bytes: u64| bytes / (1 << 30);
    Ok(format!(
        "{} of {} GiB free; {changes}",
        gib(space.free),
        gib(space.total)
    ))
}

fn driver(config: &Config) -> Verdict {
    let driver = host::driver(config).map_err(text)?;
    let guests = driver.guests().map_err(text)?;
    Ok(format!(
        "{}: {} kernels, {} MiB for guests, {} guests running",
        driver.platform(),
        driver.kernels().len(),
        driver.memory_total_mb(),
        guests.len()
    ))
}

fn listener(config: &Config, running: bool) -> Verdict {
    let listen = &config.transfer.listen;
    match TcpListener::bind(listen) {
        Ok(_) => Ok(format!("{listen}: free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && running => {
            Ok(format!("{listen}: taken, by the running agent"))
        }
        Err(error) => Err(format!("{listen}: {error}")),
    }
}
