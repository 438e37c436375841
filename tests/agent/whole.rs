//! The whole of it without privilege: the portal's program, two agents' programs, simulated guests that are real
//! processes. Members and staff act through the portal's use cases, on its database.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use xenbeta::agent::driver::simulated::records::Ring;
use xenbeta::app::Who;
use xenbeta::domain::ids::{HostId, LinodeId, MigrationId};
use xenbeta::domain::words::{JobKind, LinodeStatus, MigrationState};
use xenbeta::store::{migrations, programme};

use crate::agents::{Agent, Machine, ask, eventually};
use crate::support::fleet::{UML1, WEB, XEN1};
use crate::support::hand::now_click;
use crate::support::{On, TestApp};

/// As in `support`: what the test's own use of the database hashes, the portal's program must understand.
const SECRET: &str = "a secret for tests only, of no use anywhere";
const WHO: Who<'static> = Who {
    name: "test",
    address: "",
    user: None,
};

/// The portal as a process of its own.
struct PortalProcess {
    config: PathBuf,
    log: PathBuf,
    url: String,
    child: Option<Child>,
}

impl PortalProcess {
    fn new(machine: &Machine, database: &str) -> Self {
        let listen = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let (secret, config) = (
            machine.dir.path().join("secret"),
            machine.dir.path().join("portal.toml"),
        );
        fs::write(&secret, SECRET).unwrap();
        let text = format!(
            "listen = \"{listen}\"\ndatabase_url = {database:?}\nsecret_file = {secret:?}\n"
        );
        fs::write(&config, text).unwrap();
        Self {
            config,
            log: machine.dir.path().join("portal.log"),
            url: format!("http://{listen}"),
            child: None,
        }
    }

    fn start(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_xenbeta"))
            .args(["serve", "--config"])
            .arg(&self.config)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let address = self.url.trim_start_matches("http://");
        eventually("the portal listens", || TcpStream::connect(address).is_ok());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for PortalProcess {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!(
                "--- portal\n{}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
        }
    }
}

struct Whole {
    // In this order: agents and portal end before the machine's folder goes.
    agents: [Agent; 2],
    portal: PortalProcess,
    app: TestApp,
    machine: Machine,
}

impl Whole {
    /// The fleet of the portal's tests, with agents on `uml1` and `xen1`; `web` runs.
    fn new(on: On) -> Self {
        let machine = Machine::new();
        let app = TestApp::new(on).with_fleet();
        app.db
            .write(|conn| {
                conn.batch_execute("UPDATE linodes SET status = 'provisioning'")?;
                let programme = programme::get(conn, app.now())?;
                programme::set(
                    conn,
                    &programme::Programme {
                        watch_s: 1,
                        ..programme
                    },
                )
            })
            .unwrap();
        let mut portal = PortalProcess::new(&machine, &app.url);
        portal.start();
        let host = |id: HostId, name: &str, platform: &str| {
            let token = app.new_enrolment_token(WHO, id).unwrap();
            let mut agent = Agent::on_platform(&machine, name, &portal.url, platform);
            let out = agent.tool(&["enrol", "--token", &token]);
            assert!(out.status.success(), "{out:?}");
            agent.start();
            agent
        };
        let agents = [host(UML1, "uml1", "uml"), host(XEN1, "xen1", "xen")];
        let whole = Self {
            agents,
            portal,
            app,
            machine,
        };
        whole.eventually("the Linodes are adopted", || {
            whole.status(WEB) == LinodeStatus::Offline
        });
        whole
            .app
            .power(&whole.app.member(), WEB, JobKind::Boot, None)
            .unwrap();
        whole.eventually("web runs", || whole.status(WEB) == LinodeStatus::Running);
        whole
    }

    fn status(&self, linode: LinodeId) -> LinodeStatus {
        self.app.linode(linode).status
    }

    #[track_caller]
    fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(90);
        while !holds() {
            let row = self
                .app
                .in_db(|conn| migrations::of_linode(conn, WEB))
                .into_iter()
                .next();
            assert!(Instant::now() < deadline, "not in 90 s: {what}; {row:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn reaches(&self, id: MigrationId, state: MigrationState) {
        self.eventually(&format!("migration {id} is {state}"), || {
            self.app.migration(id).state == state
        });
    }

    fn answers(&self) -> String {
        ask(&self.machine.addresses(), "192.0.2.11").unwrap_or_default()
    }

    /// Nothing that was synced is missing on the disk it runs from.
    #[track_caller]
    fn nothing_lost(&self, at: usize, epoch: i64) {
        let path = self.agents[at]
            .dir
            .join(format!("disks/linodes/{WEB}/e{epoch}/1011.img"));
        let file = fs::File::open(path).unwrap();
        let found = Ring::of(64 << 20).unwrap().read(&file, WEB).unwrap();
        assert!(found.newest > 0 && found.missing.is_empty(), "{found:?}");
        self.machine.judge();
    }
}

fn there_and_back(on: On) {
    let whole = Whole::new(on);
    assert!(whole.answers().contains("host uml1"));
    let begun = Instant::now();
    let row = whole.app.clicked(WEB);
    whole.reaches(row.id, MigrationState::Finished);
    println!("one click to finished: {:?}", begun.elapsed());
    assert!(whole.answers().contains("host xen1"), "{}", whole.answers());
    whole.nothing_lost(1, 2);
    let digests = whole.app.in_db(|conn| migrations::digests(conn, row.id));
    assert_eq!(digests.len(), 4, "two disks, two agents");
    assert!(digests.iter().all(|one| {
        digests
            .iter()
            .any(|other| other.side != one.side && other.root == one.root)
    }));

    whole.app.way_back(&whole.app.member(), row.id).unwrap();
    whole.app.reconcile().unwrap();
    whole.reaches(row.id, MigrationState::Returned);
    assert!(whole.answers().contains("host uml1"));
    whole.nothing_lost(0, 3);
    assert_eq!(whole.machine.judge().starts, 3);
}

#[test]
fn a_click_moves_a_linode_there_and_back_on_sqlite() {
    there_and_back(On::Sqlite);
}

#[test]
fn a_click_moves_a_linode_there_and_back_on_postgresql() {
    there_and_back(On::Postgresql);
}

#[test]
fn a_confirmed_move_purges_the_source() {
    let whole = Whole::new(On::Sqlite);
    let row = whole.app.clicked(WEB);
    whole.reaches(row.id, MigrationState::Finished);
    let old = whole.agents[0].dir.join(format!("disks/linodes/{WEB}/e1"));
    assert!(old.exists());
    whole
        .app
        .confirm_migration(&whole.app.member(), row.id)
        .unwrap();
    whole.eventually("the source's disks are gone", || !old.exists());
    whole.nothing_lost(1, 2);
}

#[test]
fn a_guest_that_does_not_come_up_runs_on_at_its_source() {
    let whole = Whole::new(On::Sqlite);
    whole.agents[1].fault("fail-boot", WEB, true);
    let row = whole.app.clicked(WEB);
    whole.reaches(row.id, MigrationState::Failed);
    whole.eventually("it runs at its source", || {
        whole.answers().contains("host uml1")
    });
    assert_eq!(whole.app.linode(WEB).host_id, UML1);
    // And the next try succeeds.
    whole.agents[1].fault("fail-boot", WEB, false);
    whole
        .app
        .retry_migration(&whole.app.member(), row.id)
        .unwrap();
    whole.app.reconcile().unwrap();
    whole.reaches(row.id, MigrationState::Finished);
    let epoch = whole.app.linode(WEB).epoch;
    whole.nothing_lost(1, epoch);
}

/// `kill -9` of either agent or the portal, ten times in a move and its way back, at random moments.
#[test]
fn anything_killed_at_ten_random_moments() {
    let mut whole = Whole::new(On::Sqlite);
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    let mut seed = u64::from_le_bytes(bytes) | 1;
    println!("seed {seed}");
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut row = whole.app.clicked(WEB).id;
    for round in 0..10 {
        thread::sleep(Duration::from_millis(random(700)));
        match random(3) {
            0 => {
                whole.portal.kill();
                thread::sleep(Duration::from_millis(random(300)));
                whole.portal.start();
            }
            victim => {
                let agent = &mut whole.agents[victim as usize - 1];
                agent.kill();
                thread::sleep(Duration::from_millis(random(300)));
                agent.start();
            }
        }
        let now = whole.app.migration(row);
        if now.state == MigrationState::Finished && round < 8 && now.parent_id.is_none() {
            whole.app.way_back(&whole.app.member(), row).unwrap();
            whole.app.reconcile().unwrap();
            row = whole.app.newest_migration(WEB).id;
        }
        whole.machine.judge();
    }
    let ended = |state| {
        matches!(
            state,
            MigrationState::Finished | MigrationState::Failed | MigrationState::Returned
        )
    };
    whole.eventually("the move ends", || ended(whole.app.migration(row).state));
    whole.eventually("it runs", || whole.status(WEB) == LinodeStatus::Running);
    let linode = whole.app.linode(WEB);
    let at = usize::from(linode.host_id != UML1);
    println!(
        "ended {} on host {} under epoch {}",
        whole.app.migration(row).state,
        linode.host_id,
        linode.epoch
    );
    whole.nothing_lost(at, linode.epoch);
}
