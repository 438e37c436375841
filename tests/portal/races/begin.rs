//! The world of a race: one database for all rounds, emptied and filled anew before each, with two portals on it.

use std::sync::OnceLock;

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use xenbeta::app::App;
use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;

use crate::support::fleet::PASSWORD;
use crate::support::{On, TestApp};

/// Kept through all rounds: the trail is looked at as a whole in the end, and the portal lives on.
const KEPT: [&str; 5] = [
    "audit_events",
    "audit_head",
    "portal",
    "incarnations",
    "__diesel_schema_migrations",
];

pub struct World {
    pub app: TestApp,
    second: App,
    /// Deletes every row that is not kept.
    empty: String,
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

impl World {
    pub fn new(on: On) -> Self {
        let app = TestApp::new(on);
        let second = app.second();
        // A portal's first look at the clock gives all leases time: nobody may have been there to renew them.
        for portal in [&*app, &second] {
            portal.reconcile().expect("a first look");
        }
        let list = match on {
            On::Sqlite => {
                // Without the tables that hold the words of a search: they go with it.
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%!_words!_%' ESCAPE '!' AND name NOT LIKE 'name!_parts%' ESCAPE '!'"
            }
            On::Postgresql => {
                "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'"
            }
        };
        let tables: Vec<Named> = app.in_db(|conn| Ok(diesel::sql_query(list).load(conn)?));
        let goes = |it: &&Named| !KEPT.contains(&it.name.as_str());
        let empty = (tables.iter().filter(goes))
            .map(|it| format!("DELETE FROM {};", it.name))
            .collect();
        Self { app, second, empty }
    }

    /// The fleet as it was, and nothing else. Time only goes on.
    pub fn begin(&self) {
        self.app
            .db
            .write(|conn| {
                match conn {
                    Db::Pg(pg) => {
                        pg.batch_execute("SET LOCAL session_replication_role = replica")?;
                    }
                    Db::Sqlite(lite) => lite.batch_execute("PRAGMA defer_foreign_keys = ON")?,
                }
                conn.batch_execute(&self.empty)?;
                conn.batch_execute(
                    "UPDATE portal SET recovery_since = NULL, recovery_why = '', clock_jump_s = NULL, clock_jump_at = NULL, database_mark = ''",
                )?;
                Ok::<_, StoreError>(())
            })
            .expect("it is emptied");
        self.app.put_fleet();
        // Who begins at once is no stranger to the clock.
        self.app.pass_watched_s(1);
    }

    /// Every other racer uses another portal. On SQLite there is one; some come from another process, like a command.
    pub fn portal_of(&self, n: usize) -> &App {
        let is_other = match self.app.on() {
            On::Sqlite => n % 8 == 7,
            On::Postgresql => n % 2 == 1,
        };
        if is_other { &self.second } else { &self.app }
    }
}

/// The hash of everybody's password, cheap: what is raced for is behind it.
fn cheap_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let params = Params::new(8, 1, 1, None).unwrap();
        let salt = SaltString::encode_b64(&[7; 16]).unwrap();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password(PASSWORD.as_bytes(), &salt)
            .unwrap()
            .to_string()
    })
}

/// A second member of staff, and a password for everybody.
pub fn two_staff(app: &TestApp) {
    let hash = cheap_hash();
    app.run_sql(&format!(
        "INSERT INTO users (id, account_id, email, name, role, staff_role, timezone, disabled, created_at) \
         SELECT 4, NULL, 'sue@example.net', 'Sue', 'staff', 'owner', 'UTC', FALSE, created_at FROM users WHERE id = 3; \
         UPDATE users SET password_hash = '{hash}';"
    ));
}

/// Small Linodes of the member's on `uml1`, one for each racer.
pub fn one_each(app: &TestApp, racers: usize) -> Vec<LinodeId> {
    let at = "'2026-01-01T00:00:00.000000Z'";
    let mut sql = String::new();
    let ids: Vec<i64> = (5000..).take(racers).collect();
    for id in &ids {
        sql.push_str(&format!(
            "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'node-{id}', 1, 1, 1, TRUE, 'running', {at}, 'fe:fd:00:01:00:{:02x}', {at});
             INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({id}, {id}, 'root', 64, 'ext4', {at});
             INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES ({id}, {id}, 'default', 'uml-2.6', '{{\"ubda\":{id}}}', '/dev/ubda', TRUE, 'default', '[]');",
            id - 5000
        ));
    }
    app.run_sql(&sql);
    ids.into_iter().map(LinodeId).collect()
}

/// All hosts were heard of just now.
pub fn all_heard(app: &TestApp) {
    let now = app.now().utc().format("%Y-%m-%dT%H:%M:%S%.6fZ");
    app.run_sql(&format!("UPDATE hosts SET last_seen_at = '{now}'"));
}

pub const PRODUCTION: HostId = HostId(5);

/// A production host of WEB's plan.
pub fn with_production(app: &TestApp) {
    app.run_sql(&format!(
        "INSERT INTO hosts (id, name, platform, role, plan_id, state, memory_mb, disk_mb, slots, tells_changes, transfer_address, fingerprint, credential_hash, protocol, created_at) VALUES \
         (5, 'prod5', 'xen', 'production', 1, 'enabled', 1024, 400000, 4, FALSE, '127.0.0.1:7005', '{}', 'c5', 2, '2026-01-01T00:00:00.000000Z')",
        "5".repeat(64)
    ));
}
