//! Real agents, as processes, over simulated hosts that share one machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use xenbeta::agent::process::ProcessRef;
use xenbeta::domain::ids::LinodeId;

use crate::port::free_address;
use crate::witness;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_xenbeta-agent");

/// A machine with simulated hosts on it. Everything it started is gone with it.
pub struct Machine {
    pub dir: TempDir,
}

impl Machine {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn witness(&self) -> PathBuf {
        self.dir.path().join("witness")
    }

    pub fn addresses(&self) -> PathBuf {
        self.dir.path().join("addresses")
    }

    /// No two runners, no number lost.
    #[track_caller]
    pub fn judge(&self) -> witness::Verdict {
        let verdict = witness::judge(&self.witness()).unwrap();
        assert_eq!(verdict.violations, Vec::<String>::new());
        verdict
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for host in fs::read_dir(self.dir.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            let guests = ["state/driver", "state/driver/trials"];
            let guests = guests.map(|dir| fs::read_dir(host.path().join(dir)));
            for guest in guests.into_iter().flatten().flatten().flatten() {
                let named = fs::read_to_string(guest.path().join("process"));
                if let Some(process) = named.ok().and_then(|id| ProcessRef::parse(&id)) {
                    let _ = process.signal(Signal::KILL);
                }
            }
        }
    }
}

/// One host: its folder and, while it runs, its agent.
pub struct Agent {
    pub name: String,
    pub dir: PathBuf,
    pub config: PathBuf,
    child: Option<Child>,
}

impl Agent {
    /// A host enrolled with the portal; its agent does not run yet.
    pub fn enrolled(machine: &Machine, name: &str, portal: &str) -> Self {
        let agent = Self::configured(machine, name, portal);
        let out = agent.tool(&["enrol", "--token", &format!("good-{name}")]);
        assert!(out.status.success(), "{out:?}");
        agent
    }

    pub fn configured(machine: &Machine, name: &str, portal: &str) -> Self {
        Self::on_platform(machine, name, portal, "uml")
    }

    pub fn on_platform(machine: &Machine, name: &str, portal: &str, platform: &str) -> Self {
        let dir = machine.dir.path().join(name);
        fs::create_dir_all(dir.join("disks")).unwrap();
        let listen = free_address();
        let text = format!(
            "portal = {portal:?}\nstate_dir = {:?}\nslots = 2\n\
             [transfer]\nlisten = \"{listen}\"\n\
             [disks]\nstore = \"files\"\ndir = {:?}\n\
             [driver]\nkind = \"simulated\"\nhost = {name:?}\nwitness = {:?}\naddresses = {:?}\n\
             platform = {platform:?}\nwrite_every_ms = 2\nstop_delay_ms = 30\nprovision_missing = true\n",
            dir.join("state"),
            dir.join("disks"),
            machine.witness(),
            machine.addresses(),
        );
        let config = dir.join("agent.toml");
        fs::write(&config, text).unwrap();
        Self {
            name: name.into(),
            dir,
            config,
            child: None,
        }
    }

    pub fn credential(&self) -> String {
        format!("credential-{}", self.name)
    }

    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Runs a command of the agent's program to its end.
    pub fn tool(&self, args: &[&str]) -> Output {
        Command::new(PROGRAM)
            .args(args)
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    pub fn start(&mut self) {
        assert!(self.child.is_none());
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        let child = Command::new(PROGRAM)
            .args(["run", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// kill -9, at whatever it was doing.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGSTOP, and SIGCONT after a while.
    #[cfg(feature = "portal")]
    pub fn stand_still(&self, rest: Duration) {
        let process = self
            .child
            .as_ref()
            .and_then(|child| ProcessRef::of(child.id()))
            .unwrap();
        process.signal(Signal::STOP).unwrap();
        thread::sleep(rest);
        process.signal(Signal::CONT).unwrap();
    }

    /// SIGTERM; how long it took to end.
    pub fn terminate(&mut self) -> Duration {
        let mut child = self.child.take().unwrap();
        let begun = Instant::now();
        let process = ProcessRef::of(child.id()).unwrap();
        process.signal(Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
        begun.elapsed()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub fn disk(&self, linode: LinodeId, epoch: i64) -> PathBuf {
        let disk = linode.0 * 10;
        self.dir
            .join(format!("disks/linodes/{linode}/e{epoch}/{disk}.img"))
    }

    /// The process of a guest, if it lives.
    pub fn guest(&self, linode: LinodeId) -> Option<ProcessRef> {
        self.guest_in("driver", linode)
    }

    /// That of its trial's clone.
    pub fn trial(&self, linode: LinodeId) -> Option<ProcessRef> {
        self.guest_in("driver/trials", linode)
    }

    fn guest_in(&self, dir: &str, linode: LinodeId) -> Option<ProcessRef> {
        let path = self.state().join(format!("{dir}/linode-{linode}/process"));
        let process = ProcessRef::parse(&fs::read_to_string(path).ok()?)?;
        process.lives().then_some(process)
    }

    /// Makes the simulated driver misbehave: `fail-boot` or `ignore-term`.
    pub fn fault(&self, what: &str, linode: LinodeId, on: bool) {
        self.fault_in("driver/faults", what, linode, on);
    }

    /// The same of trials' clones.
    pub fn trial_fault(&self, what: &str, linode: LinodeId, on: bool) {
        self.fault_in("driver/trials/faults", what, linode, on);
    }

    fn fault_in(&self, dir: &str, what: &str, linode: LinodeId, on: bool) {
        let dir = self.state().join(dir);
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(format!("{what}-{linode}"));
        if on {
            fs::write(path, "").unwrap();
        } else {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, self.log());
        }
    }
}

/// Waits for something to become true.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in 20 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Who answers at an address, and the newest number it has written, from the outside.
pub fn ask(addresses: &Path, address: &str) -> Option<String> {
    use std::io::Read;
    let text = fs::read_to_string(addresses.join(address)).ok()?;
    let mut said = String::new();
    std::net::TcpStream::connect(text.lines().nth(1)?)
        .ok()?
        .read_to_string(&mut said)
        .ok()?;
    Some(said)
}
