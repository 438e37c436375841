//! A database that takes no writes: `/ready` says so in time and in a word, and the pool lets such connections go.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use xenbeta::store::error::StoreError;

use crate::browser::Site;
use crate::support::fleet::WEB;
use crate::support::{On, TestApp};

/// What `/ready` answers, which takes no longer than a load balancer waits.
fn ready(site: &Site) -> (u16, String) {
    let asked = Instant::now();
    let reply = site.visitor().get("/ready");
    assert!(
        asked.elapsed() < Duration::from_millis(2500),
        "{:?}",
        asked.elapsed()
    );
    (reply.status, reply.body)
}

#[track_caller]
fn becomes(site: &Site, status: u16, word: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let (found, body) = ready(site);
        if found == status && body.contains(word) {
            return;
        }
        assert!(
            Instant::now() < until,
            "{found} {body}, not {status} {word}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// PostgreSQL, as it is while another server takes over: every session is cut, and what is there then takes no writes.
struct Server {
    admin: PgConnection,
    database: String,
}

impl Server {
    fn of(app: &TestApp) -> Self {
        let (server, database) = app.url.rsplit_once('/').unwrap();
        Self {
            admin: PgConnection::establish(&format!("{server}/postgres")).unwrap(),
            database: database.to_owned(),
        }
    }

    fn turns(&mut self, setting: &str) {
        let database = &self.database;
        self.admin
            .batch_execute(&format!("ALTER DATABASE {database} {setting}"))
            .unwrap();
        self.cuts();
    }

    fn cuts(&mut self) {
        let database = &self.database;
        self.admin
            .batch_execute(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
            ))
            .unwrap();
    }
}

#[test]
fn two_portals_follow_a_database_that_fails_over() {
    let app = TestApp::new(On::Postgresql).with_fleet();
    let second = app.second();
    let sites = [Site::serve(&app), Site::serve(&second)];
    let mut server = Server::of(&app);
    for site in &sites {
        assert_eq!(ready(site), (200, "ready\n".to_owned()));
    }
    server.turns("SET default_transaction_read_only = on");
    for site in &sites {
        becomes(site, 503, "read-only");
    }
    assert!(app.register(&app.member(), &[WEB]).is_err());
    server.turns("RESET default_transaction_read_only");
    let begun = Instant::now();
    for site in &sites {
        becomes(site, 200, "ready");
    }
    println!("ready after {:?}", begun.elapsed());
    // Cut in the middle of the day: whoever comes next is served at once, on a fresh connection.
    server.cuts();
    let registered = app.register(&app.member(), &[WEB]).unwrap();
    assert_eq!(registered.refused, vec![]);
    second.recovery().unwrap();
}

#[test]
fn a_connection_that_takes_no_writes_leaves_the_pool() {
    let app = TestApp::new(On::Postgresql);
    for _ in 0..8 {
        app.db
            .read(|conn| {
                conn.batch_execute("SET default_transaction_read_only = on")?;
                Ok::<_, StoreError>(())
            })
            .unwrap();
    }
    app.db
        .write(xenbeta::store::ownership::memory::count_up)
        .unwrap();
}

#[test]
fn a_file_that_another_program_keeps_is_not_ready() {
    let app = TestApp::new(On::Sqlite);
    let site = Site::serve(&app);
    assert_eq!(ready(&site).0, 200);
    // Another program keeps it to itself.
    let mut other = SqliteConnection::establish(&app.url).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    becomes(&site, 503, "slow");
    other.batch_execute("ROLLBACK").unwrap();
    becomes(&site, 200, "ready");
}
