//! `xenbeta-agent override-start`: root starts a Linode that this host owns by its ledger, without the portal's word:
//! after a reboot with the portal away. The rules of ownership are not overruled, only the waiting; and it is recorded
//! before it is done.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::config::Config;
use super::control::JobControl;
use super::host::{Host, SetupError};
use super::run::{self, RunError};
use super::steps;
use super::steps::work::StepError;
use crate::domain::ids::LinodeId;

const RECORD: &str = "override.log";

#[derive(Debug, thiserror::Error)]
pub enum OverrideError {
    #[error("only root may do this")]
    NotRoot,
    #[error("a reason is needed, of 5 to 500 characters")]
    NoReason,
    #[error("{0} (the agent must be stopped for this)")]
    Run(#[from] RunError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Step(#[from] Box<StepError>),
    #[error("the record cannot be written, so nothing was done: {0}")]
    Record(io::Error),
}

/// Starts the Linode as it was booted last.
pub fn start(config: &Config, linode: LinodeId, reason: &str) -> Result<(), OverrideError> {
    if !rustix::process::geteuid().is_root() {
        return Err(OverrideError::NotRoot);
    }
    let reason: String = reason.chars().filter(|c| !c.is_control()).collect();
    if !(5..=500).contains(&reason.trim().chars().count()) {
        return Err(OverrideError::NoReason);
    }
    let _lock = run::lock(&config.state())?;
    let host = Host::open(config)?;
    record(&config.state_dir, linode, reason.trim()).map_err(OverrideError::Record)?;
    let control = JobControl::default();
    steps::override_start(&host, &control, linode).map_err(Box::new)?;
    Ok(())
}

fn record(dir: &Path, linode: LinodeId, reason: &str) -> io::Result<()> {
    let line = serde_json::json!({
        "at": super::process::now(),
        "linode": linode,
        "reason": reason,
        "uid": rustix::process::getuid().as_raw(),
        "terminal": std::fs::read_link("/proc/self/fd/0").ok(),
    });
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(dir.join(RECORD))?;
    writeln!(file, "{line}")?;
    file.sync_all()
}
