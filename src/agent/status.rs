//! `xenbeta-agent status`: what this host knows of each Linode, and what is true of it now. For operators, and for whoever
//! computes shares from two readings. Beside a running agent, and without one.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::config::Config;
use super::driver::{Driver, DriverError, GuestState};
use super::host;
use super::ledger::{Entry, Ledger};
use crate::domain::ids::LinodeId;
use crate::wire::{Sample, Share};

/// One Linode. What could not be found out is absent, and `error` says why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub linode: LinodeId,
    pub granted: i64,
    pub sealed: i64,
    /// It may run here: granted > sealed.
    pub owned: bool,
    pub running: Option<bool>,
    /// Names this very run; another one after every start.
    pub run: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub share: Option<Share>,
    /// Counters since the guest started, with the time they were read.
    pub sample: Option<Sample>,
    pub error: Option<String>,
}

impl Line {
    /// Nothing is known yet.
    fn new(linode: LinodeId) -> Self {
        Self {
            linode,
            granted: 0,
            sealed: 0,
            owned: false,
            running: None,
            run: None,
            since: None,
            share: None,
            sample: None,
            error: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(transparent)]
    Ledger(#[from] super::ledger::error::LedgerError),
    #[error("the driver: {0}")]
    Driver(#[from] super::driver::DriverError),
}

/// Every Linode of the ledger, and every guest of this agent's that the ledger does not know.
pub fn status(config: &Config) -> Result<Vec<Line>, StatusError> {
    let ledger = Ledger::look(&config.state().ledger())?;
    let driver = host::driver(config)?;
    Ok(lines(&ledger, &*driver)?)
}

/// The ledger's identity and count, and how far the portal's memory was seen to reach.
pub fn ledger(config: &Config) -> Result<String, StatusError> {
    Ok(Ledger::look(&config.state().ledger())?.described())
}

fn lines(ledger: &Ledger, driver: &dyn Driver) -> Result<Vec<Line>, super::driver::DriverError> {
    let entries = ledger.entries();
    let strangers = driver.guests()?;
    let strangers = strangers.iter().filter(|id| !entries.contains_key(id));
    let strangers: Vec<LinodeId> = strangers.copied().collect();
    let all: Vec<LinodeId> = entries.keys().chain(&strangers).copied().collect();
    let mut seen = observed(driver, &all);
    let mut line = |linode: &LinodeId| seen.remove(linode).unwrap_or_else(|| Line::new(*linode));
    let mut lines: Vec<Line> = entries
        .iter()
        .map(|(linode, entry)| match entry {
            Ok(entry) => known(line(linode), entry),
            Err(reason) => Line {
                error: Some(format!("its ledger record: {reason}")),
                ..line(linode)
            },
        })
        .collect();
    lines.extend(strangers.iter().map(|linode| Line {
        error: Some("it is not in the ledger".to_owned()),
        ..line(linode)
    }));
    Ok(lines)
}

fn known(line: Line, entry: &Entry) -> Line {
    let owned = entry.marks.owns();
    let misplaced = (line.running == Some(true) && !owned)
        .then(|| "it runs here without the right to".to_owned());
    Line {
        granted: entry.marks.granted,
        sealed: entry.marks.sealed,
        owned,
        error: line.error.clone().or(misplaced),
        ..line
    }
}

fn observed(driver: &dyn Driver, linodes: &[LinodeId]) -> BTreeMap<LinodeId, Line> {
    let mut samples = driver.samples(linodes);
    let shares = driver.shares(linodes);
    let states = driver.states(linodes).into_iter();
    let line = |(linode, state): (LinodeId, Result<GuestState, _>)| {
        let blank = Line::new(linode);
        let line = match state {
            Ok(GuestState::Running { id, since }) => Line {
                running: Some(true),
                share: shares.get(&linode).copied(),
                // Of this run, and no other.
                sample: (samples.remove(&linode))
                    .filter(|it| it.run == id)
                    .map(|it| it.sample),
                run: Some(id),
                since: Some(since),
                ..blank
            },
            Ok(GuestState::Absent) => Line {
                running: Some(false),
                ..blank
            },
            Err(error) => Line {
                error: Some(DriverError::to_string(&error)),
                ..blank
            },
        };
        (linode, line)
    };
    states.map(line).collect()
}

/// The same for people.
pub fn table(lines: &[Line]) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = writeln!(
        text,
        "{:>8} {:>7} {:>6} {:<8} {:>6} {:>2} {:>11} {:>9} {:>9} {:>9} {:>9}  run",
        "linode",
        "granted",
        "sealed",
        "",
        "weight",
        "io",
        "cpu s",
        "read MB",
        "write MB",
        "in MB",
        "out MB"
    );
    for line in lines {
        let state = match line.running {
            Some(true) => "running",
            Some(false) => "off",
            None => "?",
        };
        let share = |value: fn(&Share) -> i64| line.share.as_ref().map(value);
        let counter = |value: fn(&Sample) -> u64| line.sample.as_ref().map(value);
        let _ = writeln!(
            text,
            "{:>8} {:>7} {:>6} {state:<8} {:>6} {:>2} {:>11} {:>9} {:>9} {:>9} {:>9}  {}",
            line.linode.to_string(),
            line.granted,
            line.sealed,
            shown(share(|share| share.cpu_weight)),
            shown(share(|share| i64::from(share.io_priority))),
            line.sample.as_ref().map_or_else(
                || "-".to_owned(),
                |it| format!("{:.1}", it.cpu_ms as f64 / 1000.0)
            ),
            shown(counter(|it| it.disk_read_bytes / 1_000_000)),
            shown(counter(|it| it.disk_write_bytes / 1_000_000)),
            shown(counter(|it| it.net_in_bytes / 1_000_000)),
            shown(counter(|it| it.net_out_bytes / 1_000_000)),
            line.run.as_deref().unwrap_or("-"),
        );
        if let Some(error) = &line.error {
            let _ = writeln!(text, "{:>8} {error}", "");
        }
    }
    text
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::driver::simulated::Simulated;
    use crate::agent::ledger::rules::Marks;

    #[test]
    fn a_linode_of_the_ledger_is_shown_running_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger")).unwrap();
        ledger
            .put(&Entry {
                marks: Marks {
                    granted: 4,
                    sealed: 3,
                },
                ..Entry::new(LinodeId(7))
            })
            .unwrap();
        let text = format!(
            "host = \"h\"\nwitness = \"{}\"\n",
            dir.path().join("witness").display()
        );
        let driver =
            Simulated::new(toml::from_str(&text).unwrap(), &dir.path().join("driver")).unwrap();
        let lines = lines(&ledger, &driver).unwrap();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].owned && lines[0].running == Some(false) && lines[0].error.is_none());
        assert!(table(&lines).contains("       7       4      3 off"));
        let json = serde_json::to_value(&lines).unwrap();
        assert_eq!(json[0]["linode"], 7);
        assert_eq!(json[0]["sample"], serde_json::Value::Null);
    }
}
