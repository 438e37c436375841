//! `xenbeta staff`.

use std::io::Read;

use clap::Subcommand;
use xenbeta::app::App;
use xenbeta::app::account::staff::{FirstPassword, NewStaff};
use xenbeta::config::Config;
use xenbeta::domain::account::StaffRole;

use super::{COMMAND_LINE, Failure, app_without_secret};

#[derive(Subcommand)]
pub enum What {
    /// Add a member of staff; prints a link to set their password
    Add {
        email: String,
        #[arg(long)]
        name: String,
        /// What they may do: viewer, support, operator or owner
        #[arg(long, default_value_t = StaffRole::Viewer)]
        role: StaffRole,
        /// Read the password from standard input instead
        #[arg(long)]
        password_stdin: bool,
    },
    /// Give a member of staff another role
    Role {
        email: String,
        /// viewer, support, operator or owner
        role: StaffRole,
    },
    /// Make a member of staff an owner who can sign in, whatever they were; prints a link to set a new password
    Restore { email: String },
}

pub fn run(what: What, config: &Config) -> Result<(), Failure> {
    let app = app_without_secret(config)?;
    match what {
        What::Add {
            email,
            name,
            role,
            password_stdin,
        } => add(
            &app,
            &NewStaff {
                email: &email,
                name: &name,
                role,
            },
            password_stdin,
        ),
        What::Role { email, role } => {
            app.set_staff_role_of(COMMAND_LINE, &email, role)?;
            println!("{email} is {role}.");
            Ok(())
        }
        What::Restore { email } => {
            let link = app.restore_owner(COMMAND_LINE, &email)?;
            println!("{email} is an owner. Within a day, once, a password can be set at:\n{link}");
            Ok(())
        }
    }
}

fn add(app: &App, new: &NewStaff<'_>, password_stdin: bool) -> Result<(), Failure> {
    let first = if password_stdin {
        let mut text = String::new();
        std::io::stdin().take(4096).read_to_string(&mut text)?;
        let text = text.trim_end_matches(['\r', '\n']);
        FirstPassword::Given(app.new_password(text, &[new.email, new.name])?)
    } else {
        FirstPassword::Link
    };
    match app.add_staff(COMMAND_LINE, new, &first)? {
        Some(link) => println!("Added. Within a day, once, a password can be set at:\n{link}"),
        None => println!("Added."),
    }
    if !app.has_owner()? {
        println!(
            "Nobody is an owner, who can change the programme and what others may: xenbeta staff role EMAIL owner"
        );
    }
    Ok(())
}
