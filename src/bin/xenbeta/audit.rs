//! `xenbeta audit`.

use clap::Subcommand;
use xenbeta::app::audit::Verification;
use xenbeta::config::Config;

use super::{Failure, app_without_secret};

#[derive(Subcommand)]
pub enum What {
    /// Check that no entry of the audit trail was changed or taken away; status 1 if one was
    Verify {
        /// A head that an earlier check printed, or that came by mail, and was kept elsewhere: everything up to it must be there still
        #[arg(long)]
        anchor: Option<String>,
    },
}

pub fn run(what: &What, config: &Config) -> Result<(), Failure> {
    let What::Verify { anchor } = what;
    match app_without_secret(config)?.verify_audit(anchor.as_deref())? {
        Verification::Whole {
            entries,
            unsealed,
            head,
        } => {
            println!("The audit trail is whole: {entries} entries.");
            if unsealed > 0 {
                println!("The last {unsealed} were made without the portal's secret; its next entry covers them.");
            }
            println!("Its head: {head}");
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
