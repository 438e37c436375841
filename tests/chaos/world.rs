//! A portal, two hosts, their Linodes, a database: all real, all ended with it. What it did stands in its folder, which
//! is kept if the test fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use rustix::process::Signal;
use xenbeta::agent::driver::simulated::witness;
use xenbeta::app::context::Who;
use xenbeta::app::error::AppError;
use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::domain::job::JobKind;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::store;
use xenbeta::store::migration::Migration;

use crate::pg::Postgres;
use crate::processes::{Host, Portal};
use crate::refusing::Refusing;
use crate::support::fleet::{DB, THEIRS, UML1, WEB, XEN1};
use crate::support::{On, SECRET, TestApp};

const WHO: Who<'static> = Who {
    name: "chaos",
    address: "",
    user: None,
};

/// The Linodes that move.
pub const MOVED: [LinodeId; 2] = [WEB, DB];
/// All that run.
pub const ALL: [LinodeId; 3] = [WEB, DB, THEIRS];

pub struct World {
    // In this order they end.
    pub hosts: Vec<Host>,
    pub portal: Portal,
    app: Option<TestApp>,
    pub pg: Option<Postgres>,
    pub folder: PathBuf,
    url: String,
    backups: u32,
    begun: Instant,
    kept: bool,
}

/// A new one that nobody deletes. PostgreSQL's user has to get through.
pub fn kept_folder(prefix: &str) -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix(prefix)
        .tempdir()
        .unwrap()
        .keep();
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    folder
}

impl World {
    pub fn new(on: On) -> Self {
        Self::made(on, false)
    }

    /// On SQLite, with disks that can be told to say no: where the database is, and each host's state and disks.
    pub fn refusing() -> Self {
        Self::made(On::Sqlite, true)
    }

    fn made(on: On, refusing: bool) -> Self {
        let folder = kept_folder("xenbeta-chaos-");
        let pg = (on == On::Postgresql).then(|| Postgres::start(&folder.join("pg")));
        let url = pg.as_ref().map_or_else(
            || folder.join("portal.db").to_str().unwrap().to_owned(),
            Postgres::url,
        );
        let app = TestApp::over(&url).with_fleet().with_second_staff();
        app.db
            .write(|conn| {
                // Two hosts take part; a Linode that nobody moves stays as a witness of its own.
                conn.batch_execute(
                    "DELETE FROM hosts WHERE id IN (2, 4); \
                     UPDATE hosts SET fingerprint = NULL, credential_hash = NULL; \
                     UPDATE linodes SET status = 'provisioning'",
                )?;
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
        let mut portal = Portal::new(&folder, &url, SECRET);
        if refusing {
            let mail = folder.join("mail");
            portal.mail_into(&mail);
            let folders = [url.clone().into(), mail];
            portal.program.refusing = Some(Refusing::new(&folder, "portal", &folders));
        }
        portal.start();
        let mut world = Self {
            hosts: Vec::new(),
            portal,
            app: Some(app),
            pg,
            folder,
            url,
            backups: 0,
            begun: Instant::now(),
            kept: false,
        };
        for (id, name, platform) in [(UML1, "uml1", "uml"), (XEN1, "xen1", "xen")] {
            let mut host = Host::new(&world.folder, id, name, platform, world.portal.address);
            let out = world.enrol(&host, false).unwrap();
            assert!(out.status.success(), "{out:?}");
            if refusing {
                let folders = [host.state(), host.dir.join("disks")];
                host.program.refusing = Some(Refusing::new(&world.folder, name, &folders));
            }
            host.start();
            world.hosts.push(host);
        }
        world.until("the Linodes are adopted", || {
            ALL.iter()
                .all(|it| world.status(*it) == LinodeStatus::Offline)
        });
        for linode in ALL {
            world.boot(linode);
        }
        world.until("the Linodes run", || {
            ALL.iter()
                .all(|it| world.status(*it) == LinodeStatus::Running)
        });
        world.begun = Instant::now();
        world
    }

    /// An error: the portal gives no token for it.
    pub fn enrol(&self, host: &Host, again: bool) -> Result<std::process::Output, AppError> {
        let token = self.app().new_enrolment_token(WHO, host.id)?;
        let mut args = vec!["enrol", "--token", token.as_str()];
        if again {
            args.push("--again");
        }
        Ok(host.program.tool(&args))
    }

    /// The same by a host whose state folder is empty.
    pub fn enrol_fresh(&self, at: usize) -> Result<std::process::Output, AppError> {
        self.enrol(&self.hosts[at], false)
    }

    pub fn owns_any(&self, host: HostId) -> bool {
        self.app()
            .db
            .read(|conn| store::linode::linodes_on(conn, host))
            .is_ok_and(|all| !all.is_empty())
    }

    /// The folder stays, to be looked into.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    pub fn app(&self) -> &TestApp {
        self.app.as_ref().expect("the database is there")
    }

    /// A row of the log, on standard output: shown when the test fails.
    pub fn note(&self, text: impl std::fmt::Display) {
        println!("{:8.2} {text}", self.begun.elapsed().as_secs_f64());
    }

    pub fn boot(&self, linode: LinodeId) {
        let app = self.app();
        let who = if linode == THEIRS {
            app.other_member()
        } else {
            app.member()
        };
        app.power(&who, linode, JobKind::Boot, None).ok();
    }

    /// As the portal has it; `None` while the database is away.
    pub fn row(&self, linode: LinodeId) -> Option<store::linode::Linode> {
        self.app()
            .db
            .read(|conn| store::linode::linode(conn, linode))
            .ok()
            .flatten()
    }

    pub fn status(&self, linode: LinodeId) -> LinodeStatus {
        self.row(linode)
            .map_or(LinodeStatus::Provisioning, |row| row.status)
    }

    pub fn migrations(&self, linode: LinodeId) -> Vec<Migration> {
        self.app()
            .db
            .read(|conn| store::migration::of_linode(conn, linode))
            .unwrap_or_default()
    }

    pub fn host(&self, id: HostId) -> &Host {
        self.hosts.iter().find(|host| host.id == id).unwrap()
    }

    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(90);
        while !holds() {
            assert!(
                Instant::now() < deadline,
                "not in 90 s: {what}; {}",
                self.last_words()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What each program wrote last into its log.
    fn last_words(&self) -> String {
        let agents = self.hosts.iter().map(|host| &host.program);
        let all = agents.chain([&self.portal.program]).map(|program| {
            let log = fs::read_to_string(&program.log).unwrap_or_default();
            let last = log.lines().next_back().unwrap_or("nothing");
            format!("{}: {last}", program.name)
        });
        all.collect::<Vec<String>>().join("; ")
    }

    pub fn mail(&self) -> PathBuf {
        self.folder.join("mail")
    }

    pub fn witness(&self) -> PathBuf {
        self.folder.join("witness")
    }

    /// A backup by the program, as one makes it by hand.
    pub fn back_up(&mut self) -> Option<PathBuf> {
        self.backups += 1;
        let file = self.folder.join(format!("backup-{}", self.backups));
        let out = self
            .portal
            .program
            .tool(&["backup", file.to_str().unwrap()]);
        if !out.status.success() {
            self.note(format!(
                "no backup: {}",
                String::from_utf8_lossy(&out.stderr)
            ));
            return None;
        }
        Some(file)
    }

    /// Nobody is told: the file, or the dump, simply stands in the database's place.
    pub fn put_back_raw(&mut self, file: &Path) {
        self.portal.program.kill();
        self.app = None;
        match &self.pg {
            Some(pg) => pg.put_back(file),
            None => {
                for beside in ["-wal", "-shm"] {
                    fs::remove_file(format!("{}{beside}", self.url)).ok();
                }
                fs::copy(file, &self.url).unwrap();
            }
        }
        self.app = Some(TestApp::over(&self.url));
        self.portal.start();
    }

    /// The same by the program's own command.
    pub fn put_back_told(&mut self, file: &Path) {
        self.portal.program.kill();
        self.app = None;
        let out = self
            .portal
            .program
            .tool(&["restore", "--yes", file.to_str().unwrap()]);
        assert!(out.status.success(), "{out:?}");
        self.app = Some(TestApp::over(&self.url));
        self.portal.start();
    }

    pub fn stop_agents(&self) {
        self.hosts
            .iter()
            .for_each(|host| host.program.signal(Signal::STOP));
    }

    pub fn continue_agents(&self) {
        self.hosts
            .iter()
            .for_each(|host| host.program.signal(Signal::CONT));
    }

    /// A host loses its power: the witness hears of it, as its guests cannot say so any more.
    pub fn cut_power(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        let name = host.program.name.clone();
        for linode in host.cut_power() {
            let line = witness::Line {
                at_ns: witness::now_ns(),
                event: witness::Event::Gone,
                linode,
                host: name.clone(),
                pid: 0,
                epoch: None,
                number: 0,
                acknowledged: 0,
            };
            witness::append(&self.folder.join("witness"), &line).unwrap();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for host in &mut self.hosts {
            host.cut_power();
        }
        self.portal.program.kill();
        self.app = None;
        self.pg = None;
        if thread::panicking() || self.kept {
            println!("logs are kept in {}", self.folder.display());
        } else {
            fs::remove_dir_all(&self.folder).ok();
        }
    }
}
