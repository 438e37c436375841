//! A database that takes no writes: `/ready` says so in time and in a word, and the pool lets such connections go.

use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection};
use xenbeta::app::error::AppError;
use xenbeta::mail::{Message, SendError, Transport};
use xenbeta::store;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;
use xenbeta::work::mailer;

use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, UML1, WEB};
use crate::support::hand::agent;
use crate::support::memory::MemoryTransport;
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
    /// Of another database there.
    url: String,
    database: String,
}

impl Server {
    fn of(app: &TestApp) -> Self {
        let (server, database) = app.url.rsplit_once('/').unwrap();
        let url = format!("{server}/postgres");
        Self {
            admin: PgConnection::establish(&url).unwrap(),
            url,
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
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = '{database}'"
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

/// A registration through the page, which is 503 and not done, with a word of when to come again.
fn is_put_off(site: &Site, meanwhile: impl FnOnce() + Send) {
    let mut member = site.signed_in(MEMBER_EMAIL);
    let page = member.get("/members/xenbeta");
    let reply = std::thread::scope(|scope| {
        scope.spawn(meanwhile);
        member.submit(
            &page,
            "Register the chosen Linodes",
            &[("linode", "101"), ("q", "what I looked for")],
        )
    });
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_eq!(reply.headers["retry-after"], "5");
    reply.says(&[
        "Our database is away",
        "may not have been done",
        "what I looked for",
    ]);
}

#[test]
fn what_meets_a_restart_of_the_database_is_503_and_not_done() {
    let app = TestApp::new(On::Postgresql).with_fleet().with_passwords();
    let site = Site::serve(&app.app);
    let mut server = Server::of(&app);
    // In the middle of a transaction, as by `pg_ctl restart -m fast`.
    let mut other = PgConnection::establish(&app.url).unwrap();
    other
        .batch_execute("BEGIN; LOCK TABLE registrations IN SHARE MODE")
        .unwrap();
    is_put_off(&site, || {
        let waits =
            "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'registrations'::regclass";
        while diesel::sql_query(waits).execute(&mut other).unwrap() == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        server.cuts();
    });
    // And where none begins any more, for people and agents.
    let mut member = site.signed_in(MEMBER_EMAIL);
    let (database, admin) = (server.database.clone(), &mut server.admin);
    admin
        .batch_execute(&format!(
            "ALTER DATABASE {database} ALLOW_CONNECTIONS false"
        ))
        .unwrap();
    server.cuts();
    assert_eq!(member.get("/members/").status, 503);
    assert!(matches!(app.claim(&agent(UML1)), Err(AppError::Away(_))));
    server
        .admin
        .batch_execute(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true"))
        .unwrap();
    let registered = app.in_db(|conn| store::registration::newest_of(conn, WEB));
    assert!(registered.is_none());
    assert_eq!(
        member.get("/members/").status,
        200,
        "and it goes on by itself"
    );
}

#[test]
fn what_waits_in_vain_for_another_program_is_503_and_not_done() {
    let app = TestApp::new(On::Sqlite).with_fleet().with_passwords();
    let site = Site::serve(&app.app);
    let mut member = site.signed_in(MEMBER_EMAIL);
    let page = member.get("/members/xenbeta");
    // Ten seconds are long for a test.
    app.sql("PRAGMA busy_timeout = 200");
    let mut other = SqliteConnection::establish(&app.url).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let reply = member.submit(
        &page,
        "Register the chosen Linodes",
        &[("linode", "101"), ("q", "what I looked for")],
    );
    assert_eq!(reply.status, 503, "{}", reply.text());
    reply.says(&["may not have been done"]);
    other.batch_execute("ROLLBACK").unwrap();
    let reply = member.submit(
        &page,
        "Register the chosen Linodes",
        &[("linode", "101"), ("q", "what I looked for")],
    );
    assert_eq!(reply.status, 303);
}

#[test]
fn whoever_reads_after_the_sessions_were_cut_is_served_at_once() {
    let app = TestApp::new(On::Postgresql).with_fleet().with_passwords();
    let site = Site::serve(&app.app);
    let mut member = site.signed_in(MEMBER_EMAIL);
    let mut server = Server::of(&app);
    for _ in 0..5 {
        // Its connection was used, and so tried, a moment ago.
        assert_eq!(member.get("/members/").status, 200);
        server.cuts();
        assert_eq!(member.get("/members/").status, 200);
    }
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
    app.db.write(store::ownership::memory::count_up).unwrap();
    // Also if nobody writes: a page is not read for long from what was the primary.
    let read_only = |conn: &mut Db| {
        let on = "SELECT 1 WHERE current_setting('transaction_read_only') = 'on'";
        Ok::<_, StoreError>(diesel::sql_query(on).execute(conn)?)
    };
    app.db
        .read(|conn| {
            Ok::<_, StoreError>(conn.batch_execute("SET default_transaction_read_only = on")?)
        })
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    for _ in 0..8 {
        assert_eq!(app.db.read(read_only).unwrap(), 0);
    }
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

/// The database goes away while a mail is sent, and is back a moment later.
struct Away {
    server: Mutex<Server>,
    back: Mutex<Option<JoinHandle<()>>>,
    sent: MemoryTransport,
}

impl Transport for Away {
    fn send(&self, message: &Message) -> Result<(), SendError> {
        let mut server = self.server.lock().unwrap();
        server.turns("ALLOW_CONNECTIONS false");
        let (url, database) = (server.url.clone(), server.database.clone());
        *self.back.lock().unwrap() = Some(std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(2));
            let mut admin = PgConnection::establish(&url).unwrap();
            let again = format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true");
            admin.batch_execute(&again).unwrap();
        }));
        self.sent.send(message)
    }
}

#[test]
fn a_mail_that_was_sent_while_the_database_went_away_goes_once() {
    let app = TestApp::new(On::Postgresql).with_fleet();
    app.register(&app.member(), &[WEB]).unwrap();
    let away = Away {
        server: Mutex::new(Server::of(&app)),
        back: Mutex::default(),
        sent: MemoryTransport::new(),
    };
    assert_eq!(mailer::round(&app, &away, "example.com").unwrap(), 1);
    away.back.lock().unwrap().take().unwrap().join().unwrap();
    app.pass_s(400);
    assert_eq!(mailer::round(&app, &away.sent, "example.com").unwrap(), 0);
    assert_eq!(away.sent.sent().len(), 1);
}
