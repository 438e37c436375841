//! The agent's program: enrol a host, run its agent, check that everything it needs is there.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use xenbeta::agent::config::{Config, DisksConfig};
use xenbeta::agent::disk::lvm::Adopted;
use xenbeta::agent::driver::Stopped;
use xenbeta::agent::driver::simulated::guest;
use xenbeta::agent::driver::uml::jail;
use xenbeta::agent::initramfs::{self, Compression, Options, Set};
use xenbeta::agent::ledger::Ledger;
use xenbeta::agent::{check, enrol, host, override_start, run, status, stop_guests};
use xenbeta::domain::ids::LinodeId;
use xenbeta::log;

const CONFIG: &str = "/etc/xenbeta/agent.toml";

#[derive(Parser)]
#[command(name = "xenbeta-agent", version, about = "Carries out the portal's orders on one host", long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trade a one-use token (from `xenbeta host add`) for this host's credential
    Enrol {
        /// The portal's address; must be the one in the configuration
        #[arg(long)]
        portal: Option<String>,
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// The token; without it, from `XENBETA_ENROL_TOKEN` or standard input
        #[arg(long)]
        token: Option<String>,
        /// Replace the credential this host already has
        #[arg(long)]
        again: bool,
    },
    /// Run the agent until SIGTERM; guests outlive it
    Run {
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
    },
    /// Look at everything the agent needs, a line each; status 1 if something fails
    Check {
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
    },
    /// Each Linode of the ledger: its marks, whether it runs, what it is given and what it has used. Changes nothing
    Status {
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// For programs: shares are differences between two of these
        #[arg(long)]
        json: bool,
    },
    /// Give a damaged ledger a new identity, by which the portal takes it for another until staff have judged it (stop the agent first)
    RenewLedger {
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
    },
    /// Replace this host's credential by a new one
    Rotate {
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
    },
    /// Start a Linode this host owns without the portal's word (after a reboot, portal away); root only, recorded
    OverrideStart {
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        #[arg(long)]
        linode: LinodeId,
        /// Why; goes into the record
        #[arg(long)]
        reason: String,
    },
    /// Shut down all guests of this host, as before its own shutdown; the ledger and the portal take it for a loss of power
    StopGuests {
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// Seconds a guest has to end by itself; then it is ended by force
        #[arg(long, default_value_t = 60)]
        limit: u64,
    },
    /// Make LVM volumes that are there already a Linode's disks, before the portal adopts it (stop the agent first; guests run on); their content is left alone
    AdoptVolumes {
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        #[arg(long)]
        linode: LinodeId,
        /// The epoch under which the portal has the Linode
        #[arg(long, default_value_t = 1)]
        epoch: i64,
        /// The portal's number of a disk, and its volume: DISK=VOLUME, or DISK=VOLUME:BYTES if the volume is longer
        #[arg(required = true)]
        disks: Vec<Adopted>,
    },
    /// The small initramfs that guests start with: it runs the boot helpers of their config profiles
    Initramfs {
        #[command(subcommand)]
        action: InitramfsAction,
    },
    /// Starts a UML guest in a jail (started by the uml driver)
    #[command(hide = true)]
    Jail {
        #[arg(long)]
        spec: PathBuf,
        /// The descriptor of the guest's tap: set for the first process of the jail
        #[arg(long)]
        tap: Option<i32>,
        /// By which the agent knows this process
        words: Vec<String>,
    },
    /// A simulated guest (started by the simulated driver)
    #[command(hide = true)]
    Guest {
        #[arg(long)]
        spec: PathBuf,
    },
}

#[derive(Subcommand)]
enum InitramfsAction {
    /// Make one for a kernel, from a static busybox and the kernel's modules
    Build(InitramfsBuild),
}

#[derive(clap::Args)]
struct InitramfsBuild {
    /// The kernel's version; its modules are in /lib/modules/VERSION
    #[arg(
        long,
        conflicts_with = "modules_dir",
        required_unless_present = "modules_dir"
    )]
    kernel: Option<String>,
    /// The kernel's modules, in a folder called as the kernel calls itself
    #[arg(long)]
    modules_dir: Option<PathBuf>,
    /// The file to write
    #[arg(long)]
    out: PathBuf,
    #[arg(long, default_value = "/bin/busybox")]
    busybox: PathBuf,
    /// Load this module at boot too (a file system, say); may be given more than once
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// Which modules come along for guests that have none for this kernel
    #[arg(long, default_value = "standard")]
    set: SetWord,
    #[arg(long, default_value = "gzip")]
    compress: CompressWord,
}

#[derive(Clone, Copy, ValueEnum)]
enum SetWord {
    Standard,
    None,
}

/// Every kernel that is built for an initramfs unpacks gzip; zstd from 5.9 on.
#[derive(Clone, Copy, ValueEnum)]
enum CompressWord {
    Gzip,
    Zstd,
    None,
}

fn build_initramfs(asked: InitramfsBuild) -> Result<(), Failure> {
    let modules_dir = match (asked.modules_dir, asked.kernel) {
        (Some(dir), _) => dir,
        (None, Some(version)) if !version.contains('/') => {
            PathBuf::from("/lib/modules").join(version)
        }
        (None, _) => return Err("--kernel: a version, without slashes".into()),
    };
    let built = initramfs::build(&Options {
        modules_dir,
        busybox: asked.busybox,
        modules: asked.modules,
        set: match asked.set {
            SetWord::Standard => Set::Standard,
            SetWord::None => Set::None,
        },
        compression: match asked.compress {
            CompressWord::Gzip => Compression::Gzip,
            CompressWord::Zstd => Compression::Zstd,
            CompressWord::None => Compression::None,
        },
    })?;
    initramfs::write(&asked.out, &built.bytes)?;
    println!(
        "{}: {} KiB for kernel {}; loads at boot: {}; installs {} modules ({} KiB) where there are none",
        asked.out.display(),
        built.bytes.len().div_ceil(1024),
        built.version,
        if built.boot.is_empty() {
            "nothing".to_owned()
        } else {
            built.boot.join(" ")
        },
        built.set,
        built.set_kib,
    );
    Ok(())
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    match command {
        Command::Guest { spec } => guest::main(&spec),
        Command::Jail { spec, tap, words } => jail::main(&spec, tap, &words),
        command => run_command(command),
    }
}

fn run_command(command: Command) -> ExitCode {
    log::to_stderr(match &command {
        // What is wrong with it is said when it is read again.
        Command::Run { config } => Config::load(config)
            .map(|config| config.log)
            .unwrap_or_default(),
        _ => log::Format::default(),
    });
    match act(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xenbeta-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn act(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Enrol {
            portal,
            config,
            token,
            again,
        } => {
            let config = Config::load(&config)?;
            if let Some(portal) =
                portal.filter(|portal| portal.trim_end_matches('/') != config.portal)
            {
                return Err(format!(
                    "--portal {portal}: the configuration says {}",
                    config.portal
                )
                .into());
            }
            let identity = enrol::enrol(&config, enrol::token(token)?, again)?;
            println!("enrolled as {} (host {})", identity.name, identity.host);
        }
        Command::Run { config } => run::run(&Config::load(&config)?)?,
        Command::Check { config } => {
            let lines = check::check(&Config::load(&config)?);
            for line in &lines {
                println!("{line}");
            }
            if lines.iter().any(|line| !line.good) {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Status { config, json } => {
            let config = Config::load(&config)?;
            let status = status::status(&config)?;
            if json {
                println!("{}", serde_json::to_string_pretty(&status)?);
            } else {
                print!("{}", status::table(&status));
                println!("{}", status::ledger(&config)?);
            }
            if status.iter().any(|line| line.error.is_some()) {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Rotate { config } => {
            enrol::rotate(&Config::load(&config)?)?;
            println!("the credential was replaced");
        }
        Command::RenewLedger { config } => {
            let state = Config::load(&config)?.state();
            let _lock = run::lock(&state)?;
            let mark = Ledger::renew(&state.ledger())?;
            println!(
                "the ledger is {} now; the portal gives this host no work until staff accept it",
                mark.id
            );
        }
        Command::AdoptVolumes {
            config,
            linode,
            epoch,
            disks,
        } => {
            let config = Config::load(&config)?;
            let DisksConfig::Lvm(lvm) = &config.disks else {
                return Err("the configuration's store is not \"lvm\"".into());
            };
            let _lock = run::lock(&config.state())?;
            host::volumes(&config, lvm)?.adopt(linode, epoch, &disks)?;
            println!("Linode {linode} has {} volumes here", disks.len());
        }
        Command::OverrideStart {
            config,
            linode,
            reason,
        } => {
            override_start::start(&Config::load(&config)?, linode, &reason)?;
            println!("Linode {linode} was started; this is on record");
        }
        Command::StopGuests { config, limit } => {
            let limit = Duration::from_secs(limit);
            stop_guests::stop_guests(&Config::load(&config)?, limit, &|(linode, outcome)| {
                match outcome {
                    Ok(Stopped::WasAbsent) => println!("Linode {linode}: had ended already"),
                    Ok(Stopped::Cleanly) => println!("Linode {linode}: shut down"),
                    Ok(Stopped::ByForce) => println!("Linode {linode}: ended by force"),
                    Err(error) => eprintln!("Linode {linode}: {error}"),
                }
            })?;
        }
        Command::Initramfs {
            action: InitramfsAction::Build(asked),
        } => build_initramfs(asked)?,
        // By `main`, before anything is set up.
        Command::Guest { .. } | Command::Jail { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}
