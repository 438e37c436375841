//! The whole thing: a portal and agents as processes, simulated hosts with real files, an independent witness.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xenbeta::app::PORTAL;
use xenbeta::domain::ids::{HostId, LinodeId, MigrationId};
use xenbeta::domain::words::{JobKind, LinodeStatus, MigrationState};
use xenbeta::store::migrations;

use crate::agents::{Agent, Machine};
use crate::support::fleet::{UML1, WEB, XEN1};
use crate::support::hand::now_click;
use crate::support::{SECRET, TestApp};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub app: TestApp,
    pub machine: Machine,
    pub agents: Vec<Agent>,
    port: u16,
    portal: Option<Child>,
}

impl World {
    /// Two hosts with their agents; the Linode `web` runs on the first.
    pub fn new(app: TestApp) -> Self {
        let app = app.with_fleet().not_yet_enrolled();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut world = Self {
            app,
            machine: Machine::new(),
            agents: Vec::new(),
            port,
            portal: None,
        };
        world.start_portal();
        for (host, name, platform) in [(UML1, "uml1", "uml"), (XEN1, "xen1", "xen")] {
            world.enrol(host, name, platform);
        }
        world.until("it is adopted", |world| {
            world.app.linode(WEB).status == LinodeStatus::Offline
        });
        world
            .app
            .power(&world.app.member(), WEB, JobKind::Boot, None)
            .unwrap();
        world.until("it runs", |world| {
            world.app.linode(WEB).status == LinodeStatus::Running
        });
        world
    }

    fn enrol(&mut self, host: HostId, name: &str, platform: &str) {
        let portal = format!("http://127.0.0.1:{}", self.port);
        let mut agent = Agent::on_platform(&self.machine, name, &portal, platform);
        let token = self.app.new_enrolment_token(PORTAL, host).unwrap();
        let out = agent.tool(&["enrol", "--token", &token]);
        assert!(out.status.success(), "{out:?}");
        let out = agent.tool(&["enrol", "--again", "--token", &token]);
        assert!(!out.status.success(), "a token works once");
        agent.start();
        self.agents.push(agent);
    }

    pub fn start_portal(&mut self) {
        let folder = self.machine.dir.path();
        let config = folder.join("portal.toml");
        std::fs::write(&config, format!("listen = \"127.0.0.1:{}\"\n", self.port)).unwrap();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("portal.log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_xenbeta"))
            .args(["serve", "--config"])
            .arg(&config)
            .env("DATABASE_URL", &self.app.url)
            .env("XENBETA_SECRET", SECRET)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.portal = Some(child);
        self.until("the portal answers", |world| {
            TcpStream::connect(("127.0.0.1", world.port)).is_ok()
        });
    }

    pub fn kill_portal(&mut self) {
        if let Some(mut child) = self.portal.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[track_caller]
    pub fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(
                Instant::now() < until,
                "not in time: {what}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn logs(&self) -> String {
        let mut all = String::new();
        let files = [self.machine.dir.path().join("portal.log")];
        for file in files
            .into_iter()
            .chain(self.agents.iter().map(|agent| agent.dir.join("log")))
        {
            let mut text = String::new();
            std::fs::File::open(&file)
                .and_then(|mut it| it.read_to_string(&mut text))
                .ok();
            let tail: Vec<&str> = text.lines().rev().take(25).collect();
            all.push_str(&format!("--- {}\n", file.display()));
            for line in tail.into_iter().rev() {
                all.push_str(line);
                all.push('\n');
            }
        }
        all
    }

    /// Registered, approved, offered to `xen1`, clicked.
    pub fn click(&self) -> MigrationId {
        let registration = self.app.approved(WEB);
        self.app
            .offer(&self.app.staff(), registration, Some(XEN1))
            .unwrap();
        self.app
            .migrate(&self.app.member(), WEB, now_click())
            .unwrap()
            .id
    }

    pub fn state(&self, id: MigrationId) -> MigrationState {
        self.app.migration(id).state
    }

    fn has_disks(&self, agent: usize, linode: LinodeId) -> bool {
        std::fs::read_dir(
            self.agents[agent]
                .dir
                .join("disks/linodes")
                .join(linode.to_string()),
        )
        .is_ok_and(|entries| entries.count() > 0)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_portal();
        for agent in &mut self.agents {
            agent.kill();
        }
    }
}

fn moves_and_comes_back(app: TestApp) {
    let world = World::new(app);
    let id = world.click();
    world.until("it is finished", |world| {
        world.state(id) == MigrationState::Finished
    });
    let row = world.app.migration(id);
    assert!(row.sent_bytes > 0 && row.warm_passes >= 1, "{row:?}");
    let digests = world.app.in_db(|conn| migrations::digests(conn, id));
    assert_eq!(digests.len(), 4);
    for pair in digests.chunks(2) {
        assert_eq!(
            (pair[0].disk_id, &pair[0].root),
            (pair[1].disk_id, &pair[1].root)
        );
        assert_ne!(pair[0].side, pair[1].side);
    }
    assert_eq!(world.app.linode(WEB).host_id, XEN1);
    assert!(
        world.has_disks(0, WEB),
        "the source keeps its sealed disks until it is told"
    );

    let back = world.app.way_back(&world.app.member(), id).unwrap().id;
    world.until("it is back", |world| {
        world.state(id) == MigrationState::Returned
    });
    assert_eq!(world.app.linode(WEB).host_id, UML1);
    world
        .app
        .confirm_migration(&world.app.member(), back)
        .unwrap();
    world.until("the other copy is deleted", |world| {
        !world.has_disks(1, WEB)
    });
    assert!(world.has_disks(0, WEB), "the one it runs on is not");
    world.until("it runs", |world| {
        world.app.linode(WEB).status == LinodeStatus::Running
    });
    let verdict = world.machine.judge();
    assert!(verdict.starts >= 3, "{verdict:?}");
}

/// Kills one of the three at ten random moments of a move, and starts it again at once.
fn survives_kills(app: TestApp) {
    let mut world = World::new(app);
    // Slow enough that ten kills fall into one move.
    for host in [UML1, XEN1] {
        world
            .app
            .set_host_limits(&world.app.staff(), host, 4, Some(2))
            .unwrap();
    }
    let mut dice = u64::from(std::process::id()) ^ 0x9e37_79b9;
    let mut roll = |n: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % n
    };
    let id = world.click();
    for kill in 0..10 {
        std::thread::sleep(Duration::from_millis(50 + roll(400)));
        match roll(3) {
            0 => {
                world.kill_portal();
                world.start_portal();
            }
            which => {
                let agent = &mut world.agents[usize::try_from(which - 1).unwrap()];
                agent.kill();
                agent.start();
            }
        }
        println!(
            "kill {kill}: {:?} {:?}",
            world.state(id),
            world.app.migration(id).step
        );
    }
    world.until("it ends", |world| {
        matches!(
            world.state(id),
            MigrationState::Finished | MigrationState::Failed
        )
    });
    let owner = match world.state(id) {
        MigrationState::Finished => XEN1,
        _ => UML1,
    };
    assert_eq!(world.app.linode(WEB).host_id, owner);
    world.until("it runs", |world| {
        world.app.linode(WEB).status == LinodeStatus::Running
    });
    std::thread::sleep(Duration::from_millis(300));
    world.machine.judge();
}

crate::both_databases! {
    fn a_real_move(app: TestApp) { moves_and_comes_back(app) }
    fn ten_kills(app: TestApp) { survives_kills(app) }
}
