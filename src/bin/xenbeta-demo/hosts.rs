//! The simulated hosts: a folder each, and its agent as a child process.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use xenbeta::agent::config::Config as AgentConfig;
use xenbeta::agent::ledger::file;
use xenbeta::agent::process::ProcessRef;
use xenbeta::app::App;
use xenbeta::app::import::file::Fleet;
use xenbeta::command::Tool;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::platform::Platform;
use xenbeta::store;

use super::fleet::{self, DEMO};
use super::folder::Folder;
use crate::Failure;

const ENROL_LIMIT: Duration = Duration::from_secs(30);
/// How long agents and guests get to end by themselves.
const PATIENCE: Duration = Duration::from_secs(10);
/// An agent that ends again and again is not started more often than this.
const RESTARTS: u32 = 20;
/// A guest's sign of life on its disk; often enough to show, seldom enough for a laptop with forty of them.
const WRITE_EVERY_MS: u32 = 1000;
/// Where agents listen for each other: below the ports that the system gives to anyone's connections (from 32768 on, by
/// `ip_local_port_range`), as an agent keeps its own while it does not run.
const PORTS: Range<u16> = 20_000..32_000;

/// What the guests of a simulated host share, and what each wants of it, in CPUs: enough for contention at times.
pub const CPUS_UML: f64 = 2.0;
pub const CPUS_XEN: f64 = 0.25;
pub const WANTS: f64 = 0.12;

pub struct Hosts {
    all: Vec<Host>,
}

struct Host {
    name: String,
    platform: Platform,
    memory_mb: i64,
    dir: PathBuf,
    /// The agent's own log, for the folder.
    log: String,
    program: PathBuf,
    agent: Option<ProcessRef>,
    restarts: u32,
}

impl Hosts {
    /// The hosts of the sample fleet, configured for the portal at `url`.
    pub fn new(folder: &Folder, url: &str) -> Result<Self, Failure> {
        let program = std::env::current_exe()?.with_file_name("xenbeta-agent");
        if !program.exists() {
            return Err(format!(
                "{} is missing: the demo runs real agents (`cargo build` builds both programs)",
                program.display()
            )
            .into());
        }
        let Fleet { hosts, .. } = fleet::sample()?;
        // Demos that begin at the same time look in different places.
        let apart = u16::try_from(std::process::id() % 1000).unwrap_or(0) * 8;
        let mut ports = (PORTS.start + apart)..PORTS.end;
        let mut all = Vec::new();
        for host in hosts {
            let name = host.name.as_str().to_owned();
            let dir = folder.path().join("hosts").join(&name);
            file::private_dir(&dir.join("disks"))?;
            let host = Host {
                log: format!("hosts/{name}/agent.log"),
                name,
                platform: host.platform,
                memory_mb: host.memory_mb,
                dir,
                program: program.clone(),
                agent: None,
                restarts: 0,
            };
            host.configure(folder, url, &mut ports)?;
            all.push(host);
        }
        Ok(Self { all })
    }

    /// Ends agents that a killed demo left; their guests run on, and are found again.
    pub fn end_leftovers(&mut self) -> Result<(), Failure> {
        for host in &mut self.all {
            host.agent = host.noted();
        }
        self.stop_agents()
    }

    /// Enrols those that are not, and starts every agent.
    pub fn start(&mut self, folder: &Folder, app: &App) -> Result<(), Failure> {
        for host in &mut self.all {
            host.enrol(app)
                .map_err(|error| format!("{}: {error}", host.name))?;
            host.start(folder)?;
        }
        Ok(())
    }

    /// An agent that is no longer there, if one is not: its name and the end of its log.
    pub fn ended(&self, folder: &Folder) -> Option<String> {
        let host = self
            .all
            .iter()
            .find(|host| host.agent.is_some_and(|agent| !agent.lives()))?;
        Some(format!(
            "the agent of {} ended; it said:\n{}",
            host.name,
            folder.log_end(&host.log)
        ))
    }

    pub fn restart_ended(&mut self, folder: &Folder, asked: &AtomicBool) {
        for host in &mut self.all {
            if host.agent.is_none_or(|agent| agent.lives()) {
                continue;
            }
            // Ctrl-C reaches the agents at the same time as the demo.
            std::thread::sleep(Duration::from_millis(300));
            if asked.load(Ordering::Relaxed) {
                return;
            }
            host.agent = None;
            if host.restarts >= RESTARTS {
                eprintln!(
                    "The agent of {} has ended {RESTARTS} times and is left alone now. Its log: {}",
                    host.name,
                    host.dir.join("agent.log").display()
                );
                continue;
            }
            host.restarts += 1;
            eprintln!("The agent of {} ended; it is started again.", host.name);
            if let Err(error) = host.start(folder) {
                eprintln!("{error}");
            }
        }
    }

    pub fn stop_agents(&mut self) -> Result<(), Failure> {
        let agents: Vec<ProcessRef> = self
            .all
            .iter_mut()
            .filter_map(|host| host.agent.take())
            .collect();
        stop_all(&agents)
    }

    /// Stops every guest, by its exact process.
    pub fn stop_guests(&self) -> Result<(), Failure> {
        let guests: Vec<ProcessRef> = self.all.iter().flat_map(Host::guests).collect();
        stop_all(&guests)
    }

    /// Does the Linode's guest live on this host?
    pub fn runs(&self, name: &str, linode: LinodeId) -> bool {
        self.all
            .iter()
            .filter(|host| host.name == name)
            .any(|host| host.guest(&host.guest_dir(linode)).is_some())
    }
}

/// Asks first, then forces.
fn stop_all(processes: &[ProcessRef]) -> Result<(), Failure> {
    for process in processes {
        process.signal(Signal::TERM)?;
    }
    let until = Instant::now() + PATIENCE;
    for process in processes {
        if process.wait_gone(until.saturating_duration_since(Instant::now())) {
            continue;
        }
        process.signal(Signal::KILL)?;
        if !process.wait_gone(PATIENCE) {
            return Err(format!("process {} cannot be ended", process.pid).into());
        }
    }
    Ok(())
}

impl Host {
    fn config(&self) -> PathBuf {
        self.dir.join("agent.toml")
    }

    fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Writes the agent's configuration. Its port for other agents stays, unless somebody else has taken it: then the
    /// agent has to enrol anew, as the portal tells others where it is.
    fn configure(&self, folder: &Folder, url: &str, ports: &mut Range<u16>) -> Result<(), Failure> {
        let before = AgentConfig::load(&self.config()).map(|config| config.transfer.listen);
        let kept = before.ok().filter(|address| {
            self.noted().is_some() || TcpListener::bind(address.as_str()).is_ok()
        });
        let listen = match kept {
            Some(address) => address,
            None => {
                file::remove_unsynced(&self.dir, "enrolled")?;
                let free = ports
                    .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
                    .find(|it| TcpListener::bind(it).is_ok());
                free.ok_or("no port is free for the agents")?.to_string()
            }
        };
        let text = format!(
            "portal = {url:?}\nstate_dir = {:?}\nslots = 4\n\n[transfer]\nlisten = {listen:?}\n\n\
             [disks]\nstore = \"files\"\ndir = {:?}\n\n\
             [driver]\nkind = \"simulated\"\nhost = {:?}\nplatform = \"{}\"\nmemory_mb = {}\nwitness = {:?}\n\
             addresses = {:?}\nwrite_every_ms = {WRITE_EVERY_MS}\nprovision_missing = true\n\n\
             [driver.load]\ncpus = {:.2}\nignore_weights = {}\nwants = {WANTS:.2}\n",
            self.state(),
            self.dir.join("disks"),
            self.name,
            self.platform,
            self.memory_mb,
            folder.path().join("witness.log"),
            folder.path().join("addresses"),
            if self.platform == Platform::Uml {
                CPUS_UML
            } else {
                CPUS_XEN
            },
            // User Mode Linux knows no weights.
            self.platform == Platform::Uml,
        );
        AgentConfig::parse(&text)
            .map_err(|error| format!("{}: {error}", self.config().display()))?;
        Ok(file::replace(&self.dir, "agent.toml", text.as_bytes())?)
    }

    /// As an operator does: a one-use token from the portal, and `xenbeta-agent enrol`.
    fn enrol(&self, app: &App) -> Result<(), Failure> {
        if self.dir.join("enrolled").exists() {
            return Ok(());
        }
        let host = app
            .db
            .read(|conn| store::host::by_name(conn, &self.name))?
            .ok_or("the portal does not know this host")?;
        let token = app.new_enrolment_token(DEMO, host.id)?;
        let mut tool = Tool::new(&self.program)
            .args(["enrol", "--config"])
            .arg(self.config())
            .env("XENBETA_ENROL_TOKEN", token)
            .limit(ENROL_LIMIT);
        if self.state().join("credential").exists() {
            tool = tool.arg("--again");
        }
        tool.run()?;
        Ok(file::replace(&self.dir, "enrolled", b"")?)
    }

    fn start(&mut self, folder: &Folder) -> Result<(), Failure> {
        let log = folder.log(&self.log)?;
        let pid = Tool::new(&self.program)
            .args(["run", "--config"])
            .arg(self.config())
            .detach(None, log)?;
        let process = ProcessRef::of(pid).ok_or_else(|| {
            let said = folder.log_end(&self.log);
            format!("the agent of {} ended at once; it said:\n{said}", self.name)
        })?;
        file::replace_unsynced(&self.dir, "agent.process", process.id().as_bytes())?;
        self.agent = Some(process);
        Ok(())
    }

    /// The agent that a demo before this one started, if it still runs.
    fn noted(&self) -> Option<ProcessRef> {
        let process = named(&self.dir.join("agent.process"))?;
        is_about(process, &self.config()).then_some(process)
    }

    fn guest_dir(&self, linode: LinodeId) -> PathBuf {
        self.state().join(format!("driver/linode-{linode}"))
    }

    fn guest(&self, dir: &Path) -> Option<ProcessRef> {
        let process = named(&dir.join("process"))?;
        is_about(process, dir).then_some(process)
    }

    fn guests(&self) -> Vec<ProcessRef> {
        let dirs = fs::read_dir(self.state().join("driver"));
        dirs.into_iter()
            .flatten()
            .flatten()
            .filter_map(|dir| self.guest(&dir.path()))
            .collect()
    }
}

/// The process that a file names, if it lives.
fn named(path: &Path) -> Option<ProcessRef> {
    let process = ProcessRef::parse(&fs::read_to_string(path).ok()?)?;
    process.lives().then_some(process)
}

/// Was the process started with something in (or at) `path`? After a reboot a number in a file may be anyone's.
fn is_about(process: ProcessRef, path: &Path) -> bool {
    let arguments = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    String::from_utf8_lossy(&arguments)
        .split('\0')
        .any(|argument| Path::new(argument).starts_with(path))
}
