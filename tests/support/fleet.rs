//! A small fleet, put in by plain SQL that both databases take: one account with three Linodes on a UML host, another
//! account with one, a second UML host and two Xen hosts.

use diesel::connection::SimpleConnection;
use xenbeta::app::context::Actor;
use xenbeta::domain::account::{StaffRole, UserRole};
use xenbeta::domain::ids::{AccountId, HostId, LinodeId, UserId};
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;

use super::TestApp;

pub const UML1: HostId = HostId(1);
pub const UML2: HostId = HostId(2);
pub const XEN1: HostId = HostId(3);
pub const XEN2: HostId = HostId(4);
pub const WEB: LinodeId = LinodeId(101);
pub const DB: LinodeId = LinodeId(102);
pub const OLD: LinodeId = LinodeId(103);
pub const THEIRS: LinodeId = LinodeId(201);
pub const MEMBER_EMAIL: &str = "mia@example.com";
pub const STAFF_EMAIL: &str = "sam@example.net";
pub const PASSWORD: &str = "a long enough password";

const FLEET: &str = "
INSERT INTO accounts (id, name, created_at) VALUES (1, 'Mia Ltd', '2026-01-01T00:00:00.000000Z'), (2, 'Otto Inc', '2026-01-01T00:00:00.000000Z');
INSERT INTO users (id, account_id, email, name, role, staff_role, timezone, disabled, created_at) VALUES
 (1, 1, 'mia@example.com', 'Mia', 'member', NULL, 'Europe/Vienna', FALSE, '2026-01-01T00:00:00.000000Z'),
 (2, 2, 'otto@example.com', 'Otto', 'member', NULL, 'UTC', FALSE, '2026-01-01T00:00:00.000000Z'),
 (3, NULL, 'sam@example.net', 'Sam', 'staff', 'owner', 'UTC', FALSE, '2026-01-01T00:00:00.000000Z');
INSERT INTO programme (id, state, watch_s, changed_at) VALUES (1, 'open', 2, '2026-01-01T00:00:00.000000Z');
INSERT INTO plans (id, label, ram_mb, disk_mb, vcpus, cpu_weight) VALUES (1, 'Linode 512', 512, 20480, 4, 512), (2, 'Linode 1024', 1024, 40960, 4, 1024);
INSERT INTO hosts (id, name, platform, role, plan_id, state, memory_mb, disk_mb, slots, tells_changes, transfer_address, fingerprint, credential_hash, created_at) VALUES
 (1, 'uml1', 'uml', 'source', NULL, 'enabled', 8192, 400000, 4, FALSE, '127.0.0.1:7001', '{f1}', 'c1', '2026-01-01T00:00:00.000000Z'),
 (2, 'uml2', 'uml', 'source', NULL, 'enabled', 8192, 400000, 4, FALSE, '127.0.0.1:7002', '{f2}', 'c2', '2026-01-01T00:00:00.000000Z'),
 (3, 'xen1', 'xen', 'beta', NULL, 'enabled', 2048, 400000, 4, FALSE, '127.0.0.1:7003', '{f3}', 'c3', '2026-01-01T00:00:00.000000Z'),
 (4, 'xen2', 'xen', 'beta', NULL, 'enabled', 1024, 400000, 4, FALSE, '127.0.0.1:7004', '{f4}', 'c4', '2026-01-01T00:00:00.000000Z');
UPDATE hosts SET protocol = 3;
INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES
 (101, 1, 'web', 1, 1, 1, TRUE, 'running', '2026-01-01T00:00:00.000000Z', 'fe:fd:00:00:01:01', '2026-01-01T00:00:00.000000Z'),
 (102, 1, 'db', 2, 1, 1, TRUE, 'running', '2026-01-01T00:00:00.000000Z', 'fe:fd:00:00:01:02', '2026-01-01T00:00:00.000000Z'),
 (103, 1, 'old', 1, 1, 1, TRUE, 'running', '2026-01-01T00:00:00.000000Z', 'fe:fd:00:00:01:03', '2026-01-01T00:00:00.000000Z'),
 (201, 2, 'theirs', 1, 1, 1, TRUE, 'running', '2026-01-01T00:00:00.000000Z', 'fe:fd:00:00:02:01', '2026-01-01T00:00:00.000000Z');
INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES
 (1011, 101, 'root', 64, 'ext4', '2026-01-01T00:00:00.000000Z'), (1012, 101, 'swap', 16, 'swap', '2026-01-01T00:00:00.000000Z'),
 (1021, 102, 'root', 64, 'ext4', '2026-01-01T00:00:00.000000Z'), (1031, 103, 'root', 64, 'ext4', '2026-01-01T00:00:00.000000Z'),
 (2011, 201, 'root', 64, 'ext4', '2026-01-01T00:00:00.000000Z');
INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES
 (1, 101, 'default', 'uml-2.6', '{\"ubda\":1011,\"ubdb\":1012}', '/dev/ubda', TRUE, 'default', '[\"disable_tls\"]'),
 (2, 102, 'default', 'uml-2.6', '{\"ubda\":1021}', '/dev/ubda', TRUE, 'default', '[]'),
 (3, 103, 'default', 'uml-2.4', '{\"ubda\":1031}', '/dev/ubda', TRUE, 'default', '[]'),
 (4, 201, 'default', 'uml-2.6', '{\"ubda\":2011}', '/dev/ubda', TRUE, 'default', '[]');
INSERT INTO ips (id, address, linode_id, host_id, prefix, gateway, kind) VALUES
 (1, '192.0.2.11', 101, 1, 24, '192.0.2.1', 'public'), (2, '192.168.1.11', 101, 1, 17, NULL, 'private'),
 (3, '192.0.2.12', 102, 1, 24, '192.0.2.1', 'public'), (4, '192.0.2.13', 103, 1, 24, '192.0.2.1', 'public'),
 (5, '192.0.2.21', 201, 1, 24, '192.0.2.1', 'public');
";

/// Kernels name each other, so they go in together.
const KERNELS: &str = "
INSERT INTO kernels (id, label, platform, family, maps_to) VALUES
 ('uml-2.6', '2.6 under UML', 'uml', '2.6', 'xen-2.6'), ('uml-2.4', '2.4 under UML', 'uml', '2.4', 'xen-2.6'),
 ('xen-2.6', '2.6 on Xen', 'xen', '2.6', 'uml-2.6');
";

impl TestApp {
    /// With the fleet in it.
    pub fn with_fleet(self) -> Self {
        self.put_fleet();
        self
    }

    pub fn put_fleet(&self) {
        let sql = (1..=4).fold(FLEET.to_owned(), |sql, n| {
            sql.replace(&format!("{{f{n}}}"), &n.to_string().repeat(64))
        });
        self.db
            .write(|conn| {
                conn.batch_execute(KERNELS)?;
                conn.batch_execute(&sql)?;
                if let Db::Pg(pg) = conn {
                    // What is added later counts on from these.
                    pg.batch_execute(
                        "SELECT setval(pg_get_serial_sequence('config_profiles', 'id'), 1000)",
                    )?;
                }
                xenbeta::store::name_index::fill(conn)?;
                Ok::<_, StoreError>(())
            })
            .expect("the fleet goes in");
    }

    pub fn member(&self) -> Actor {
        actor(1, Some(1), UserRole::Member, MEMBER_EMAIL)
    }

    pub fn other_member(&self) -> Actor {
        actor(2, Some(2), UserRole::Member, "otto@example.com")
    }

    pub fn staff(&self) -> Actor {
        actor(3, None, UserRole::Staff, STAFF_EMAIL)
    }

    /// A second member of staff, with the same password; see [`TestApp::second_staff`].
    pub fn with_second_staff(self) -> Self {
        let app = self.with_passwords();
        app.db
            .write(|conn| {
                conn.batch_execute(
                    "INSERT INTO users (id, account_id, email, name, role, staff_role, timezone, disabled, created_at, password_hash) \
                     SELECT 4, NULL, 'sue@example.net', 'Sue', 'staff', 'owner', 'UTC', FALSE, created_at, password_hash FROM users WHERE id = 3",
                )?;
                Ok::<_, StoreError>(())
            })
            .expect("Sue goes in");
        app
    }

    pub fn second_staff(&self) -> Actor {
        actor(4, None, UserRole::Staff, "sue@example.net")
    }

    /// Gives everyone the same password.
    pub fn with_passwords(self) -> Self {
        let hash = self.hasher.hash(PASSWORD).expect("hashes");
        self.db
            .write(|conn| {
                for id in 1..=3 {
                    xenbeta::store::account::set_password(conn, UserId(id), &hash)?;
                }
                Ok::<_, StoreError>(())
            })
            .expect("passwords go in");
        self
    }
}

fn actor(user: i64, account: Option<i64>, role: UserRole, name: &str) -> Actor {
    Actor {
        user: UserId(user),
        account: account.map(AccountId),
        role,
        staff_role: (role == UserRole::Staff).then_some(StaffRole::Owner),
        name: name.to_owned(),
        address: "198.51.100.7".to_owned(),
        session: None,
        owes: None,
    }
}
