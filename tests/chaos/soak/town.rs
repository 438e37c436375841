//! Two portals on one PostgreSQL with clocks that differ, a mail server, hosts, accounts: made, and shared by all who act.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use xenbeta::app::context::Who;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::store::schema::{hosts, linodes, users};

use super::fleet;
use super::tally::Tally;
use crate::pg::Postgres;
use crate::processes::{Host, Portal};
use crate::proxy::Proxy;
use crate::support::fleet::PASSWORD;
use crate::support::smtp::Smtp;
use crate::support::{SECRET, TestApp};
use crate::world::kept_folder;

/// By how many seconds the portals' clocks are wrong.
const CLOCKS: [i64; 2] = [15, -15];
pub const STAFF: [&str; 2] = ["sam@example.net", "sue@example.net"];

/// A text that somebody wrote, that nobody else writes: it is there once if it was taken, and at most once if not.
pub struct Mark {
    pub table: &'static str,
    pub column: &'static str,
    pub text: String,
    pub taken: bool,
}

/// What all who act share.
pub struct Town {
    pub seed: u64,
    pub folder: PathBuf,
    pub portals: [SocketAddr; 2],
    pub app: TestApp,
    pub smtp: Smtp,
    pub tally: Tally,
    pub marks: Mutex<Vec<Mark>>,
    pub pause_ms: (u64, u64),
    pub over: AtomicBool,
    next: AtomicU64,
}

/// What is restarted, by the one thread that started it.
pub struct Machines {
    pub hosts: Vec<Host>,
    pub portals: [Portal; 2],
    pub pg: Postgres,
}

impl Town {
    /// A word that comes once.
    pub fn word(&self, what: &str) -> String {
        format!(
            "{what}-{}-{}",
            self.seed,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }

    pub fn mark(&self, (table, column): (&'static str, &'static str), text: &str, taken: bool) {
        self.marks.lock().unwrap().push(Mark {
            table,
            column,
            text: text.to_owned(),
            taken,
        });
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Everybody who is no staff.
    pub fn members(&self) -> Vec<String> {
        let all = self.app.db.read(|conn| {
            let rows = users::table
                .filter(users::account_id.is_not_null())
                .order(users::id);
            Ok::<Vec<String>, StoreError>(rows.select(users::email).load(conn)?)
        });
        all.expect("reads")
    }

    pub fn statuses(&self) -> Vec<LinodeStatus> {
        let all = self.app.db.read(|conn| {
            Ok::<Vec<_>, StoreError>(linodes::table.select(linodes::status).load(conn)?)
        });
        all.unwrap_or_default()
    }
}

pub fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "not in {limit:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// All of it, running, with an agent on every host and every Linode booted.
pub fn found(seed: u64, accounts: u64, pause_ms: (u64, u64)) -> (Town, Machines) {
    let folder = kept_folder("xenbeta-soak-");
    println!("soak: seed {seed}, in {}", folder.display());
    let pg = Postgres::start(&folder.join("pg"));
    let app = TestApp::over(&pg.url());
    let smtp = Smtp::start();
    let portals = [0, 1].map(|at| {
        let dir = folder.join(format!("portal-{at}"));
        fs::create_dir(&dir).unwrap();
        let mut portal = Portal::new(&dir, &pg.url(), SECRET);
        portal.program.clock_s = CLOCKS[at];
        let (own, port) = (portal.address, smtp.port);
        // Each is asked under its own address.
        portal.say(&format!(
            "base_url = \"http://{own}\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
             [mail]\ntransport = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"plain\"\nfrom = \"Xen beta <beta@example.com>\"\n"
        ));
        portal
    });
    let town = Town {
        seed,
        portals: [portals[0].address, portals[1].address],
        app,
        smtp,
        tally: Tally::new(),
        marks: Mutex::default(),
        pause_ms,
        over: AtomicBool::new(false),
        next: AtomicU64::new(0),
        folder,
    };
    let mut machines = Machines {
        hosts: Vec::new(),
        portals,
        pg,
    };
    people(&town);
    fleet::begin(&town, &machines.portals[0].program, accounts);
    for portal in &mut machines.portals {
        portal.start();
    }
    add_hosts(&town, &mut machines);
    boot_all(&town);
    (town, machines)
}

fn people(town: &Town) {
    let hash = town.app.hasher.hash(PASSWORD).unwrap();
    let done = town.app.db.write(|conn| {
        for (at, email) in STAFF.iter().enumerate() {
            conn.batch_execute(&format!(
                "INSERT INTO users (email, name, role, staff_role, timezone, disabled, created_at, password_hash) \
                 VALUES ('{email}', 'Staff {at}', 'staff', 'owner', 'UTC', FALSE, '2026-01-01T00:00:00.000000Z', '{hash}')"
            ))?;
        }
        let programme = store::programme::get(conn, town.app.now())?;
        let programme = store::programme::Programme {
            watch_s: 1,
            max_overall: 6,
            max_per_link: 2,
            ..programme
        };
        store::programme::set(conn, &programme)
    });
    done.unwrap();
}

fn add_hosts(town: &Town, machines: &mut Machines) {
    let all: Vec<(xenbeta::domain::ids::HostId, String, String)> = town
        .app
        .db
        .read(|conn| {
            Ok::<_, StoreError>(
                hosts::table
                    .order(hosts::id)
                    .select((hosts::id, hosts::name, hosts::platform))
                    .load(conn)?,
            )
        })
        .unwrap();
    let who = Who {
        name: "soak",
        address: "",
        user: None,
    };
    for (at, (id, name, platform)) in all.into_iter().enumerate() {
        let mut host = Host::new(&town.folder, id, &name, &platform, town.portals[at % 2]);
        let either = vec![town.portals[at % 2], town.portals[(at + 1) % 2]];
        let proxy = Proxy::to_either(either);
        host.says(
            &host.to_portal.address.to_string(),
            &proxy.address.to_string(),
        );
        host.to_portal = proxy;
        host.says("write_every_ms = 5\n", "write_every_ms = 3000\n");
        let token = town.app.new_enrolment_token(who, id).unwrap();
        let out = host.program.tool(&["enrol", "--token", &token]);
        assert!(out.status.success(), "{out:?}");
        host.start();
        machines.hosts.push(host);
    }
}

fn boot_all(town: &Town) {
    until("the Linodes are adopted", Duration::from_secs(120), || {
        town.statuses()
            .iter()
            .all(|it| *it == LinodeStatus::Offline)
    });
    let all: Vec<(xenbeta::domain::ids::LinodeId, i64, i64)> = town
        .app
        .db
        .read(|conn| {
            let rows = linodes::table
                .inner_join(users::table.on(users::account_id.eq(linodes::account_id.nullable())));
            Ok::<_, StoreError>(
                rows.select((linodes::id, users::id, linodes::account_id))
                    .load(conn)?,
            )
        })
        .unwrap();
    for (linode, user, account) in all {
        town.app
            .power(
                &fleet::member(user, account),
                linode,
                xenbeta::domain::job::JobKind::Boot,
                None,
            )
            .unwrap();
    }
    until("the Linodes run", Duration::from_secs(120), || {
        town.statuses()
            .iter()
            .all(|it| *it == LinodeStatus::Running)
    });
}
