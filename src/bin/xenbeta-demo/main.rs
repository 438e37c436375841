//! `xenbeta-demo`: a portal on SQLite with a sample fleet, and real agents over simulated hosts as child processes.
//! Everything is in one folder; started again on it, all is as it was. It needs neither root nor other packages.
//!
//! The guests are processes of their own that outlive agents. The demo stops them when it ends, and boots those that
//! were running when it begins again; were it killed, the next one finds them as they are.

mod account;
mod board;
mod bring_up;
mod fleet;
mod folder;
mod history;
mod hosts;
mod usage;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use xenbeta::app::account::password::Hasher;
use xenbeta::app::clock::Clock;
use xenbeta::app::doors::Doors;
use xenbeta::app::secrets::Secret;
use xenbeta::app::{App, Settings};
use xenbeta::config::Config;
use xenbeta::mail::{FolderTransport, Transport};
use xenbeta::store::db::Database;
use xenbeta::web::server;
use xenbeta::work::stop::Stop;
use xenbeta::{store, work};

use self::bring_up::BringUp;
use self::folder::Folder;
use self::hosts::Hosts;

/// How long the portal may take to answer.
const UP: Duration = Duration::from_secs(20);
/// How often the agents are looked at while the demo runs.
const LOOK: Duration = Duration::from_millis(250);

/// What it failed with, in words for whoever typed it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(
    name = "xenbeta-demo",
    version,
    about = "A portal of the Xen beta with a sample fleet and simulated hosts, to click through"
)]
struct Options {
    /// Where a browser reaches the portal; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where everything is kept [default: xenbeta/demo in the state folder of your home]
    #[arg(long)]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    xenbeta::config::keep_private();
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xenbeta-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Failure> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    let folder = Folder::open(options.data)?;
    let listen = free(options.listen)?;
    log_to(&folder)?;
    let url = format!("http://{listen}");
    let app = portal(&folder, &url)?;
    let mut hosts = Hosts::new(&folder, &url)?;
    hosts.end_leftovers()?;
    let serving = Serving::start(&folder, listen, &app)?;
    let demo = BringUp {
        folder: &folder,
        app: &app,
        url: &url,
        asked: &asked,
        serving: &serving,
    };
    let outcome = demo
        .run(&mut hosts)
        .map(|()| attend(&folder, &mut hosts, &serving, &asked));
    if outcome.is_ok() {
        println!("Stopping portal, agents and guests …");
    }
    // Agents first: their long polls would keep the portal waiting. Then nobody starts guests any more.
    let agents = hosts.stop_agents();
    let guests = hosts.stop_guests();
    serving.end();
    outcome?;
    agents?;
    guests?;
    println!(
        "Stopped. Start it again on {} and all is as it was.",
        folder.shown()
    );
    Ok(())
}

/// While the demo runs: an agent that ended is started again, as an operator's service manager would.
fn attend(folder: &Folder, hosts: &mut Hosts, serving: &Serving, asked: &AtomicBool) {
    while !asked.load(Ordering::Relaxed) && serving.runs() {
        std::thread::sleep(LOOK);
        hosts.restart_ended(folder, asked);
    }
}

/// The address with its port, if it can be listened on.
fn free(listen: SocketAddr) -> Result<SocketAddr, Failure> {
    let taken = |error: std::io::Error| {
        format!(
            "cannot listen on {listen}: {error}. Stop what is there, or choose another address, like --listen 127.0.0.1:8090"
        )
    };
    Ok(TcpListener::bind(listen)
        .and_then(|socket| socket.local_addr())
        .map_err(taken)?)
}

/// The terminal is for the person; what the portal logs goes into a file.
fn log_to(folder: &Folder) -> Result<(), Failure> {
    xenbeta::log::to(Mutex::new(folder.log("portal.log")?));
    Ok(())
}

fn portal(folder: &Folder, url: &str) -> Result<App, Failure> {
    let path = folder.database()?;
    store::schema_migrations::up(&Database::open_any_schema(&path, 1)?)?;
    Ok(App {
        db: xenbeta::store::schema_migrations::open(&path, 8)?,
        clock: Clock::System,
        watch: xenbeta::app::clock::Watch::default(),
        secret: Arc::new(Secret::from_text(folder.secret())?),
        settings: Arc::new(Settings {
            base_url: url.to_owned(),
            ..Settings::default()
        }),
        hasher: Arc::new(Hasher::new()?),
        doors: Arc::new(Doors::new(&Clock::System)),
    })
}

/// The portal, at work in threads of its own.
pub struct Serving {
    server: JoinHandle<std::io::Result<()>>,
    loops: Vec<JoinHandle<()>>,
    stop: Stop,
}

impl Serving {
    fn start(folder: &Folder, listen: SocketAddr, app: &App) -> Result<Self, Failure> {
        let stop = Stop::default();
        let from = "Xen Public Beta <xenbeta@demo.example>";
        let mail: Box<dyn Transport> = Box::new(FolderTransport::new(&folder.mail()?, from)?);
        let loops = work::start(app, Some(mail), "demo.example".to_owned(), &stop)?;
        let mut config = Config::bare();
        config.listen = listen;
        let its_app = app.clone();
        let server = std::thread::Builder::new()
            .name("portal".to_owned())
            .spawn(move || server::serve(&config, its_app))?;
        let serving = Self {
            server,
            loops,
            stop,
        };
        let until = Instant::now() + UP;
        while TcpStream::connect_timeout(&reach(listen), Duration::from_secs(1)).is_err() {
            if !serving.runs() || Instant::now() >= until {
                return Err(format!(
                    "the portal did not come up on {listen}; it said:\n{}",
                    folder.log_end("portal.log")
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(serving)
    }

    fn runs(&self) -> bool {
        !self.server.is_finished()
    }

    /// The server itself ends by the signal that ended the demo, or with the program.
    fn end(self) {
        self.stop.ask();
        let until = Instant::now() + Duration::from_secs(6);
        while self.runs() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        for handle in self.loops {
            let _ended = handle.join();
        }
    }
}

/// Where the portal is reached from this machine.
fn reach(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], listen.port()))
    } else {
        listen
    }
}
