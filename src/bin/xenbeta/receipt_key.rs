//! `xenbeta receipt-key`.

use clap::Subcommand;
use xenbeta::config::Config;

use super::{COMMAND_LINE, Failure, app_without_secret};

#[derive(Subcommand)]
pub enum What {
    /// What receipts are checked by, as the portal shows it at /receipt-keys.json
    List,
    /// A new key signs from now on; receipts of the ones before it stay good
    Rotate,
}

pub fn run(what: &What, config: &Config) -> Result<(), Failure> {
    let app = app_without_secret(config)?;
    match what {
        What::List => println!("{}", serde_json::to_string_pretty(&app.receipt_keys()?)?),
        What::Rotate => {
            let id = app.rotate_receipt_key(COMMAND_LINE)?;
            println!(
                "The key {id} signs from now on. Keep the new list (`xenbeta receipt-key list`) where the portal's database is not."
            );
        }
    }
    Ok(())
}
