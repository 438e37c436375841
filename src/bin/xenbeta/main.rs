//! The portal's program.

mod audit;
mod backup;
mod host;
mod import;
mod receipt_key;
mod restore;
mod schema;
mod serve;
mod staff;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xenbeta::app::App;
use xenbeta::app::context::Who;
use xenbeta::app::secrets::Secret;
use xenbeta::config::Config;

/// Pages take a little of everything, on many threads; the system's allocator gives none of it back.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a command failed with, in words for whoever typed it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(
    name = "xenbeta",
    version,
    about = "The portal of the Xen beta: registrations, offers, migrations"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the portal
    Serve {
        #[arg(long)]
        config: PathBuf,
    },
    /// Create, inspect or change the database's schema
    Schema {
        #[command(subcommand)]
        what: schema::What,
        /// The database is that of this configuration, or of `DATABASE_URL`
        #[arg(long, global = true)]
        config: Option<PathBuf>,
    },
    /// Staff of the provider
    Staff {
        #[command(subcommand)]
        what: staff::What,
        #[arg(long, global = true)]
        config: Option<PathBuf>,
    },
    /// Bring a manager's data in (docs/IMPORT.md)
    Import {
        file: PathBuf,
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Copy the database into a file, while the portal serves
    Backup {
        file: PathBuf,
        /// Give up after this many seconds (PostgreSQL)
        #[arg(long, default_value_t = 3600)]
        limit_s: u64,
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Put a backup in the place of the database, the portal stopped
    Restore {
        file: PathBuf,
        /// What is in the database now is to be replaced
        #[arg(long)]
        yes: bool,
        /// Give up after this many seconds (PostgreSQL)
        #[arg(long, default_value_t = 3600)]
        limit_s: u64,
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// The audit trail
    Audit {
        #[command(subcommand)]
        what: audit::What,
        #[arg(long, global = true)]
        config: Option<PathBuf>,
    },
    /// The keys that receipts are signed with
    ReceiptKey {
        #[command(subcommand)]
        what: receipt_key::What,
        #[arg(long, global = true)]
        config: Option<PathBuf>,
    },
    /// Check a receipt, without portal or database (docs/RECEIPTS.md): status 0 valid, 1 not valid, 2 not read, 3 consistent but
    /// its signature not checked
    Verify {
        #[command(flatten)]
        what: verify::What,
    },
    /// Hosts and their agents
    Host {
        #[command(subcommand)]
        what: host::What,
        #[arg(long, global = true)]
        config: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    xenbeta::config::keep_private();
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("xenbeta: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Verify { what } => return Ok(verify::run(&what)),
        Command::Serve { config } => serve::run(&Config::load(&config)?),
        Command::Schema { what, config } => schema::run(&what, &configuration(config.as_deref())?),
        Command::Staff { what, config } => staff::run(what, &configuration(config.as_deref())?),
        Command::Import { file, config } => import::run(&file, &configuration(config.as_deref())?),
        Command::Backup {
            file,
            limit_s,
            config,
        } => backup::run(&file, limit_s, &configuration(config.as_deref())?),
        Command::Restore {
            file,
            yes,
            limit_s,
            config,
        } => restore::run(&file, yes, limit_s, &configuration(config.as_deref())?),
        Command::Audit { what, config } => audit::run(&what, &configuration(config.as_deref())?),
        Command::ReceiptKey { what, config } => {
            receipt_key::run(&what, &configuration(config.as_deref())?)
        }
        Command::Host { what, config } => host::run(what, &configuration(config.as_deref())?),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn configuration(path: Option<&Path>) -> Result<Config, Failure> {
    Ok(path.map_or_else(|| Ok(Config::bare()), Config::load)?)
}

/// The use cases for a command. One that derives nothing from the portal's secret works without it.
fn app_without_secret(config: &Config) -> Result<App, Failure> {
    Ok(config.app(any_secret(config)?)?)
}

fn any_secret(config: &Config) -> Result<Secret, Failure> {
    match config.secret() {
        Ok(secret) => Ok(secret),
        Err(_) => Ok(Secret::stand_in()?),
    }
}

/// The actor of a command in the audit trail.
const COMMAND_LINE: Who<'static> = Who {
    name: "command line",
    address: "",
    user: None,
};
