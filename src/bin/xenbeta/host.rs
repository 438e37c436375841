//! `xenbeta host`.

use clap::Subcommand;
use xenbeta::app::host::AddHost;
use xenbeta::config::Config;
use xenbeta::domain::host::HostRole;
use xenbeta::domain::platform::Platform;
use xenbeta::store;

use super::{COMMAND_LINE, Failure, app_without_secret};

#[derive(Subcommand)]
pub enum What {
    /// Add a host; prints the one-use token that its agent enrols with
    Add {
        name: String,
        /// uml or xen
        #[arg(long)]
        platform: Platform,
        /// source (where Linodes come from), beta, or production (with --plan)
        #[arg(long)]
        role: HostRole,
        /// The plan a production host is for
        #[arg(long)]
        plan: Option<String>,
        /// Memory for guests, in MiB
        #[arg(long)]
        memory_mb: i64,
        /// Disk space for guests, in MiB
        #[arg(long)]
        disk_mb: i64,
        /// Migrations the host takes part in at once
        #[arg(long, default_value_t = 2)]
        slots: i32,
        /// Copy at most this many MB/s
        #[arg(long)]
        cap_mb_s: Option<i32>,
    },
    /// A new enrolment token for a host; the ones before it stop working
    Token { name: String },
}

pub fn run(what: What, config: &Config) -> Result<(), Failure> {
    let app = app_without_secret(config)?;
    let token = match what {
        What::Add {
            name,
            platform,
            role,
            plan,
            memory_mb,
            disk_mb,
            slots,
            cap_mb_s,
        } => {
            let plan = match plan {
                None => None,
                Some(label) => {
                    let plans = app.db.read(store::catalogue::plans)?;
                    let plan = plans.iter().find(|plan| plan.label == label);
                    Some(
                        plan.ok_or_else(|| format!("there is no plan {label:?}"))?
                            .id,
                    )
                }
            };
            let new = AddHost {
                name,
                platform,
                role,
                plan,
                memory_mb,
                disk_mb,
                slots,
                cap_mb_s,
            };
            app.add_host(COMMAND_LINE, &new)?.1
        }
        What::Token { name } => {
            let host = app.db.read(|conn| store::host::by_name(conn, &name))?;
            let host = host.ok_or_else(|| format!("there is no host {name:?}"))?;
            app.new_enrolment_token(COMMAND_LINE, host.id)?
        }
    };
    eprintln!(
        "Within 15 minutes, once, its agent enrols with this token (`xenbeta-agent enrol --token …`):"
    );
    println!("{token}");
    Ok(())
}
