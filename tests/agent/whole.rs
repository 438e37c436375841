//! The whole of it without privilege: the portal's program, two agents' programs, simulated guests that are real
//! processes. Members and staff act through the portal's use cases, on its database.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use xenbeta::agent::driver::simulated::records::Ring;
use xenbeta::app::context::Who;
use xenbeta::domain::ids::{HostId, LinodeId, MigrationId};
use xenbeta::domain::job::JobKind;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::MigrationState;
use xenbeta::store;

use crate::agents::{Agent, Machine, ask, eventually};
use crate::port::free_address;
use crate::support::fleet::{DB, UML1, WEB, XEN1};
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
        let listen = free_address();
        let (secret, config) = (
            machine.dir.path().join("secret"),
            machine.dir.path().join("portal.toml"),
        );
        fs::write(&secret, SECRET).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
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
                // No agent was ever on them.
                conn.batch_execute("UPDATE hosts SET fingerprint = NULL, credential_hash = NULL")?;
                let programme = store::programme::get(conn, app.now())?;
                store::programme::set(
                    conn,
                    &store::programme::Programme {
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
                .in_db(|conn| store::migration::of_linode(conn, WEB))
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
        self.nothing_lost_of(WEB, 1011, at, epoch);
    }

    #[track_caller]
    fn nothing_lost_of(&self, linode: LinodeId, disk: i64, at: usize, epoch: i64) {
        let path = self.agents[at]
            .dir
            .join(format!("disks/linodes/{linode}/e{epoch}/{disk}.img"));
        let file = fs::File::open(path).unwrap();
        let found = Ring::of(64 << 20).unwrap().read(&file, linode).unwrap();
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
    let digests = whole
        .app
        .in_db(|conn| store::migration::digests(conn, row.id));
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

/// `kill -9` of either agent or the portal, or an agent that stands still (SIGSTOP), at random moments, while two Linodes move there and back: at least ten times.
#[test]
fn anything_killed_at_random_moments() {
    let mut whole = Whole::new(On::Sqlite);
    whole
        .app
        .power(&whole.app.member(), DB, JobKind::Boot, None)
        .unwrap();
    whole.eventually("db runs", || whole.status(DB) == LinodeStatus::Running);
    let mut random = Random::new();
    let first = [WEB, DB].map(|linode| whole.app.clicked(linode).id);
    let mut kills = 0;
    while kills < 10 || first.iter().any(|id| whole.busy(*id)) {
        assert!(kills < 100, "it does not end");
        thread::sleep(Duration::from_millis(200 + random.below(800)));
        whole.kill_one(&mut random);
        kills += 1;
        for id in first {
            if whole.app.migration(id).state == MigrationState::Finished {
                // Refused while the way back is being made already.
                let _ = whole.app.way_back(&whole.app.member(), id);
            }
        }
        whole.app.reconcile().unwrap();
        whole.machine.judge();
    }
    for (linode, disk) in [(WEB, 1011), (DB, 1021)] {
        whole.eventually("it runs", || whole.status(linode) == LinodeStatus::Running);
        let row = whole.app.linode(linode);
        let at = usize::from(row.host_id != UML1);
        println!(
            "Linode {linode}: {} kills, host {}, epoch {}",
            kills, row.host_id, row.epoch
        );
        whole.nothing_lost_of(linode, disk, at, row.epoch);
    }
    println!("{:?}", whole.machine.judge());
}

/// Printed with its seed, so that a failure can be looked into.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        let seed = u64::from_le_bytes(bytes) | 1;
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

impl Whole {
    /// Is this move, or its way back, still on its way?
    fn busy(&self, id: MigrationId) -> bool {
        match self.app.migration(id).state {
            MigrationState::Failed | MigrationState::Returned | MigrationState::Cancelled => false,
            MigrationState::Offered
            | MigrationState::Queued
            | MigrationState::Preparing
            | MigrationState::Copying
            | MigrationState::Holding
            | MigrationState::Switching
            | MigrationState::Finished
            | MigrationState::Confirmed
            | MigrationState::Returning
            | MigrationState::Expired => true,
        }
    }

    fn kill_one(&mut self, random: &mut Random) {
        let rest = Duration::from_millis(random.below(300));
        match random.below(4) {
            3 => self.agents[usize::try_from(random.below(2)).unwrap()].stand_still(rest),
            0 => {
                self.portal.kill();
                thread::sleep(rest);
                self.portal.start();
            }
            victim => {
                let agent = &mut self.agents[usize::try_from(victim).unwrap() - 1];
                agent.kill();
                thread::sleep(rest);
                agent.start();
            }
        }
    }
}
