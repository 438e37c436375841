//! `xenbeta audit`.

use clap::Subcommand;
use xenbeta::app::audit::Verification;
use xenbeta::config::Config;

use super::{Failure, app_without_secret};

#[derive(Subcommand)]
pub enum What {
    /// Check that no entry of the audit trail was changed or taken away; status 1 if one was
    Verify,
}

pub fn run(what: &What, config: &Config) -> Result<(), Failure> {
    let What::Verify = what;
    match app_without_secret(config)?.verify_audit()? {
        Verification::Whole { entries } => {
            println!("The audit trail is whole: {entries} entries.");
            Ok(())
        }
        Verification::Broken {
            entries_before,
            entry,
        } => Err(format!(
            "the audit trail is broken at entry {}: {} {} {} {:?} → {:?} ({entries_before} entries before it fit). It was changed, or one before it was changed or taken away.",
            entry.id, entry.at, entry.actor, entry.action, entry.before, entry.after
        )
        .into()),
        Verification::CutOff { entries } => Err(format!(
            "the audit trail is cut off: its {entries} entries fit, and at least one that came after them is gone"
        )
        .into()),
    }
}
