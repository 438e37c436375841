//! `xenbeta staff`.

use std::io::Read;

use clap::Subcommand;
use xenbeta::app::account::staff::FirstPassword;
use xenbeta::config::Config;

use super::{COMMAND_LINE, Failure, app_without_secret};

#[derive(Subcommand)]
pub enum What {
    /// Add a member of staff; prints a link to set their password
    Add {
        email: String,
        #[arg(long)]
        name: String,
        /// Read the password from standard input instead
        #[arg(long)]
        password_stdin: bool,
    },
}

pub fn run(what: What, config: &Config) -> Result<(), Failure> {
    let app = app_without_secret(config)?;
    let What::Add {
        email,
        name,
        password_stdin,
    } = what;
    let first = if password_stdin {
        let mut text = String::new();
        std::io::stdin().take(4096).read_to_string(&mut text)?;
        let text = text.trim_end_matches(['\r', '\n']);
        FirstPassword::Given(app.new_password(text, &[&email, &name])?)
    } else {
        FirstPassword::Link
    };
    match app.add_staff(COMMAND_LINE, &email, &name, &first)? {
        Some(link) => println!("Added. Within a day, once, a password can be set at:\n{link}"),
        None => println!("Added."),
    }
    Ok(())
}
