//! `xenbeta schema`: up, down, status.

use clap::Subcommand;
use xenbeta::config::Config;
use xenbeta::store;
use xenbeta::store::db::Database;

use super::Failure;

#[derive(Subcommand)]
pub enum What {
    /// Run the schema migrations that are missing
    Up,
    /// Take the newest schema migration back (its data goes with it)
    Down {
        /// Really
        #[arg(long)]
        yes: bool,
    },
    /// What is there, what is missing
    Status,
}

pub fn run(what: &What, config: &Config) -> Result<(), Failure> {
    let database = Database::open_any_schema(&config.database_url()?, 2)?;
    match what {
        What::Up => {
            let done = store::schema_migrations::up(&database)?;
            println!("{done} schema migrations run; the schema is up to date.");
        }
        What::Down { yes: false } => {
            return Err("this deletes the tables of the newest schema migration with all that is in them; add --yes".into());
        }
        What::Down { yes: true } => {
            println!("taken back: {}", store::schema_migrations::down(&database)?)
        }
        What::Status => {
            let state = store::schema_migrations::state(&database)?;
            for version in &state.known {
                let applied = if state.applied.contains(version) {
                    "applied"
                } else {
                    "missing"
                };
                println!("{version} {applied}");
            }
            for version in state.unknown() {
                println!("{version} not known to this program (a newer one made it)");
            }
        }
    }
    Ok(())
}
