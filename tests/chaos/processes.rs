//! The programs: the portal, and agents over simulated hosts. They end with the thread that started them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use xenbeta::agent::driver::simulated::guest::GuestFile;
use xenbeta::agent::process::ProcessRef;
use xenbeta::domain::ids::{HostId, LinodeId};

use crate::proxy::Proxy;
use crate::refusing::{Refusing, built};
use crate::support::memory_kib;
use crate::support::port::free_address;

const PORTAL: &str = env!("CARGO_BIN_EXE_xenbeta");
const AGENT: &str = env!("CARGO_BIN_EXE_xenbeta-agent");

/// A program with a log and a configuration; killed with its owner, also when that dies.
pub struct Program {
    pub name: String,
    program: &'static str,
    verb: &'static str,
    pub config: PathBuf,
    pub log: PathBuf,
    /// Its disk may say no.
    pub refusing: Option<Refusing>,
    /// Its wall clock goes by so many seconds otherwise.
    pub clock_s: i64,
    child: Option<Child>,
}

impl Program {
    fn spawn(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let mut command = Command::new("setpriv");
        if self.clock_s != 0 {
            command
                .env("LD_PRELOAD", shifted())
                .env("XENBETA_SHIFT_S", self.clock_s.to_string());
        }
        let child = command
            .args(["--pdeathsig", "KILL", "--"])
            .args(self.refusing.iter().flat_map(Refusing::command))
            .args([self.program, self.verb])
            .arg("--config")
            .arg(&self.config)
            .env_remove("DATABASE_URL")
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// As a service manager stops it; `false`: it does not end in this time, and is killed.
    pub fn end(&mut self, patience: Duration) -> bool {
        self.signal(Signal::TERM);
        let until = Instant::now() + patience;
        while !self.ended() {
            if Instant::now() > until {
                self.kill();
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.child = None;
        true
    }

    /// What it has in memory, in KiB.
    pub fn resident_kib(&self) -> Option<u64> {
        memory_kib(self.child.as_ref()?.id()).map(|[now, _]| now)
    }

    /// kill -9, at whatever it was doing.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    pub fn stand_still(&self, rest: Duration) {
        self.signal(Signal::STOP);
        thread::sleep(rest);
        self.signal(Signal::CONT);
    }

    /// Runs another command of the program to its end, which must come.
    pub fn tool(&self, args: &[&str]) -> Output {
        Command::new("timeout")
            .args(["-k", "1", "60"])
            .args(self.refusing.iter().flat_map(Refusing::command))
            .arg(self.program)
            .args(args)
            .arg("--config")
            .arg(&self.config)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Did it end by itself?
    pub fn ended(&mut self) -> bool {
        match &mut self.child {
            Some(child) => child.try_wait().unwrap().is_some(),
            None => false,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What moves a program's clock, built once in a run.
fn shifted() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("shifted.c", &["-shared", "-fPIC"]))
}

pub struct Portal {
    pub program: Program,
    pub address: SocketAddr,
}

impl Portal {
    pub fn new(folder: &Path, database: &str, secret: &str) -> Self {
        let address = free_address();
        let (secret_file, config) = (folder.join("secret"), folder.join("portal.toml"));
        fs::write(&secret_file, secret).unwrap();
        fs::set_permissions(&secret_file, fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!(
            "listen = \"{address}\"\ndatabase_url = {database:?}\nsecret_file = {secret_file:?}\n\
             second_factor = \"offered\"\nask_again_min = 1440\n"
        );
        fs::write(&config, text).unwrap();
        let program = Program {
            name: "portal".into(),
            program: PORTAL,
            verb: "serve",
            config,
            log: folder.join("portal.log"),
            refusing: None,
            clock_s: 0,
            child: None,
        };
        Self { program, address }
    }

    pub fn mail_into(&self, folder: &Path) {
        self.say(&format!(
            "[mail]\ntransport = \"folder\"\nfolder = {folder:?}\nfrom = \"beta@example.com\"\n"
        ));
    }

    /// More lines of its configuration.
    pub fn say(&self, lines: &str) {
        let text = fs::read_to_string(&self.program.config).unwrap();
        fs::write(&self.program.config, text + lines).unwrap();
    }

    pub fn start(&mut self) {
        self.program.spawn();
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(self.address).is_err() {
            assert!(!self.program.ended(), "the portal ended at its start");
            assert!(Instant::now() < until, "the portal does not listen");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// One host: its folder, its agent, and the two proxies through which it speaks and is spoken to.
pub struct Host {
    pub id: HostId,
    pub dir: PathBuf,
    pub program: Program,
    /// The text of the configuration, for clones.
    pub text: String,
    pub to_portal: Proxy,
    pub from_peers: Proxy,
}

impl Host {
    pub fn new(machine: &Path, id: HostId, name: &str, platform: &str, portal: SocketAddr) -> Self {
        let dir = machine.join(name);
        fs::create_dir_all(dir.join("disks")).unwrap();
        let listen = free_address();
        let (to_portal, from_peers) = (Proxy::to(portal), Proxy::to(listen));
        let text = format!(
            "portal = \"http://{}\"\nstate_dir = {:?}\nslots = 4\n\
             [transfer]\nlisten = \"{listen}\"\nadvertise = \"{}\"\n\
             [disks]\nstore = \"files\"\ndir = {:?}\n\
             [driver]\nkind = \"simulated\"\nhost = {name:?}\nwitness = {:?}\naddresses = {:?}\n\
             platform = {platform:?}\nwrite_every_ms = 5\nstop_delay_ms = 30\nprovision_missing = true\n",
            to_portal.address,
            dir.join("state"),
            from_peers.address,
            dir.join("disks"),
            machine.join("witness"),
            machine.join("addresses"),
        );
        let program = agent(name, &dir, &text);
        Self {
            id,
            dir,
            program,
            text,
            to_portal,
            from_peers,
        }
    }

    pub fn start(&mut self) {
        self.program.spawn();
    }

    /// Other words in its configuration, from its next start on.
    pub fn says(&mut self, instead_of: &str, words: &str) {
        assert!(self.text.contains(instead_of), "{instead_of}");
        self.text = self.text.replace(instead_of, words);
        fs::write(&self.program.config, &self.text).unwrap();
    }

    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// A second agent with this one's state, over the same disks and the same guests.
    pub fn cloned(&self) -> Program {
        let dir = self.dir.with_extension("clone");
        fs::remove_dir_all(&dir).ok();
        fs::create_dir_all(&dir).unwrap();
        crate::copies::copy(&self.state(), &dir.join("state"));
        let mut text = self
            .text
            .replace(
                self.state().to_str().unwrap(),
                dir.join("state").to_str().unwrap(),
            )
            .replace(
                self.dir.join("disks").to_str().unwrap(),
                dir.join("disks").to_str().unwrap(),
            );
        fs::create_dir_all(dir.join("disks")).unwrap();
        let listen = format!("listen = \"{}\"", free_address());
        text = text
            .lines()
            .map(|line| {
                if line.starts_with("listen") {
                    &listen
                } else {
                    line
                }
            })
            .collect::<Vec<&str>>()
            .join("\n");
        let mut program = agent(&format!("{}-clone", self.program.name), &dir, &text);
        program.spawn();
        program
    }

    /// The guest's process, if it lives.
    pub fn guest(&self, linode: LinodeId) -> Option<ProcessRef> {
        let path = self.state().join(format!("driver/linode-{linode}/process"));
        ProcessRef::parse(&fs::read_to_string(path).ok()?).filter(ProcessRef::lives)
    }

    /// What that guest was started with.
    pub fn guest_file(&self, linode: LinodeId) -> Option<GuestFile> {
        let path = self
            .state()
            .join(format!("driver/linode-{linode}/guest.json"));
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Ends every guest, as a power cut does.
    pub fn cut_power(&mut self) -> Vec<LinodeId> {
        self.program.kill();
        let mut cut = Vec::new();
        for entry in fs::read_dir(self.state().join("driver"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name
                .strip_prefix("linode-")
                .and_then(|id| id.parse().ok())
                .map(LinodeId);
            if let Some(id) = id
                && let Some(process) = self.guest(id)
            {
                process.signal(Signal::KILL).ok();
                assert!(process.wait_gone(Duration::from_secs(10)));
                cut.push(id);
            }
        }
        cut
    }
}

fn agent(name: &str, dir: &Path, text: &str) -> Program {
    let config = dir.join("agent.toml");
    fs::write(&config, text).unwrap();
    Program {
        name: name.into(),
        program: AGENT,
        verb: "run",
        config,
        log: dir.join("log"),
        refusing: None,
        clock_s: 0,
        child: None,
    }
}
