//! A list asks the database as often for fifty rows as for one, and the pages that are looked at most ask little, at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, Once};
use std::time::Instant;

use diesel::connection::{
    Instrumentation, InstrumentationEvent, SimpleConnection, set_default_instrumentation,
};
use xenbeta::store::error::StoreError;

use crate::both_databases;
use crate::browser::{Browser, Site};
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, WEB};
use crate::support::{On, TestApp};

/// By which a connection is tried, once a second; no page's.
const TRY: &str = "transaction_read_only";

/// Statements so far, and tries, by the URL of the database.
static ASKED: LazyLock<Mutex<HashMap<String, [usize; 2]>>> = LazyLock::new(Mutex::default);
static ONCE: Once = Once::new();
/// The texts of statements, by the URL of the databases that are listened to.
static SAID: LazyLock<Mutex<HashMap<String, BTreeSet<String>>>> = LazyLock::new(Mutex::default);

/// From now on the statements of connections that are opened to this database are noted.
pub fn listen(app: &TestApp) {
    ONCE.call_once(|| set_default_instrumentation(counter).unwrap());
    SAID.lock()
        .unwrap()
        .insert(app.url.clone(), BTreeSet::new());
}

/// What was said so far.
pub fn said(app: &TestApp) -> BTreeSet<String> {
    SAID.lock()
        .unwrap()
        .get(&app.url)
        .cloned()
        .unwrap_or_default()
}

/// Counts one connection's statements.
struct Counter {
    url: String,
}

impl Instrumentation for Counter {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => {
                // Without the limits that the portal puts behind it.
                let url = url.split('?').next().unwrap_or_default();
                url.clone_into(&mut self.url)
            }
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let tries = usize::from(text.contains(TRY));
                if let Some(said) = SAID.lock().unwrap().get_mut(&self.url) {
                    said.insert(
                        text.split(" -- binds:")
                            .next()
                            .unwrap_or_default()
                            .to_owned(),
                    );
                }
                ASKED.lock().unwrap().entry(self.url.clone()).or_default()[tries] += 1;
            }
            _ => {}
        }
    }
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "what set_default_instrumentation takes"
)]
fn counter() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(Counter { url: String::new() }))
}

/// Statements so far, and tries.
fn asked(app: &TestApp) -> [usize; 2] {
    let asked = ASKED.lock().unwrap();
    asked.get(&app.url).copied().unwrap_or_default()
}

/// Statements that one load of the page takes.
fn cost(app: &TestApp, browser: &mut Browser, path: &str) -> usize {
    let [before, _] = asked(app);
    let reply = browser.get(path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    let [after, _] = asked(app);
    assert!(after > before, "{path}: its statements are not counted");
    after - before
}

/// Fifty of everything that lists show: Linodes with disks, profiles, addresses, registrations, migrations, jobs; hosts.
pub fn fifty_more(app: &TestApp) {
    let at = "'2026-01-01T00:00:00.000000Z'";
    let mut sql = String::new();
    for n in 1..=50 {
        let id = 5000 + n;
        sql.push_str(&format!(
            "INSERT INTO hosts (id, name, platform, role, state, memory_mb, disk_mb, created_at) VALUES ({id}, 'h{n}', 'xen', 'beta', 'enabled', 1, 1, {at});
             INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'node-{n}', 1, 1, 1, TRUE, 'running', {at}, 'fe:fd:00:01:00:{n:02x}', {at});
             INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({id}, {id}, 'root', 64, 'ext4', {at});
             INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES ({id}, {id}, 'default', 'uml-2.6', '{{\"ubda\":{id}}}', '/dev/ubda', TRUE, 'default', '[]');
             INSERT INTO ips (id, address, linode_id, host_id, prefix, kind) VALUES ({id}, '198.51.100.{n}', {id}, 1, 24, 'public');
             INSERT INTO registrations (id, linode_id, account_id, requested_by, state, requested_at) VALUES ({id}, {id}, 1, 1, '{}', {at});
             INSERT INTO migrations (id, kind, linode_id, account_id, registration_id, source_host_id, destination_host_id, state, epoch, offered_at, expires_at) VALUES ({id}, 'beta', {id}, 1, {id}, 1, 3, 'offered', 1, {at}, '2036-01-01T00:00:00.000000Z');
             INSERT INTO api_tokens (id, hash, user_id, label, scope, created_at) VALUES ({id}, 'h{n}', 1, 'token {n}', 'read_only', {at});
             INSERT INTO bugs (id, title, happened, expected, reproduce, state, severity, component, opened_by, account_id, once, opened_at, changed_at) VALUES ({id}, 'bug {n}', 'x', '', '', 'new', 'none', 'disk', 1, 1, 'once-{n}', {at}, {at});
             INSERT INTO bug_hits (bug_id, user_id, at) VALUES ({id}, 2, {at});
             INSERT INTO bug_posts (bug_id, author_id, by_staff, body, once, at) VALUES (5001, 2, FALSE, 'reply', 'once-{n}', {at});
             INSERT INTO faq_entries (id, slug, question, answer, position, dated_at, changed_at) VALUES ({id}, 's{n}', 'q', 'a', {n}, {at}, {at});
             INSERT INTO faq_questions (id, asked_by, account_id, question, state, once, asked_at) VALUES ({id}, 1, 1, 'q', 'open', 'once-{n}', {at});
             INSERT INTO holds (linode_id, since, reason) VALUES ({id}, {at}, 'a host says otherwise');
             INSERT INTO hold_words (linode_id, host_id, granted, sealed, at) VALUES ({id}, 1, 2, 0, {at});
             INSERT INTO jobs (host_id, linode_id, migration_id, kind, state, epoch, run_after, entered_at) VALUES (1, 101, {id}, 'warm_copy', 'failed', 1, {at}, {at});",
            if n % 2 == 0 { "requested" } else { "approved" },
        ));
        // Of the beta, and of what staff's other lists show.
        let beta = 6000 + n;
        sql.push_str(&format!(
            "INSERT INTO users (id, account_id, email, name, role, timezone, disabled, created_at) VALUES ({beta}, 1, 'u{n}@example.org', 'U', 'member', 'UTC', FALSE, {at});
             INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({beta}, 1, 'beta-{n}', 1, 3, 2, TRUE, 'running', {at}, 'fe:fd:00:05:00:{n:02x}', {at});
             INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({beta}, {beta}, 'root', 64, 'ext4', {at});
             INSERT INTO registrations (id, linode_id, account_id, requested_by, state, requested_at) VALUES ({beta}, {beta}, 1, 1, 'approved', {at});
             INSERT INTO migrations (id, kind, linode_id, account_id, registration_id, source_host_id, destination_host_id, state, epoch, offered_at, expires_at, started_at) VALUES ({beta}, 'beta', {beta}, 1, {beta}, 1, 3, 'confirmed', 1, {at}, {at}, {at});
             INSERT INTO outbox (kind, recipient, subject, text_body, html_body, state, next_at, created_at) VALUES ('approved', 'u{n}@example.org', 's', 't', 'h', 'sent', {at}, {at});
             INSERT INTO audit_events (at, actor, address, action, object, before, after, hash) VALUES ({at}, 'x', '', 'y', 'linode {beta}', '', '', 'h{n}');
             INSERT INTO waves (id, name, kind, state, made_by, made_at, once, run_by, address, reason, sequence, canary, watch_s, at_once, per_host, out_most, least, failed_percent, slow_percent, bugs_most, unfair_most, started_at, gate_from)
               VALUES ({id}, 'wave {n}', 'graduation', '{}', 3, {at}, 'once-{n}', 3, '', '', 'asked', 0, 0, 5, 5, 100, 20, 5, 25, 2, 0, {at}, {at});
             INSERT INTO wave_items (wave_id, linode_id, account_id, registration_id, place, state) VALUES (5001, {beta}, 1, {beta}, {n}, 'waiting');
             INSERT INTO wave_items (wave_id, linode_id, account_id, registration_id, place, state, migration_id, given_at) VALUES (5001, {id}, 1, {id}, 100 + {n}, 'given', {id}, {at});",
            if n == 1 { "running" } else { "draft" },
        ));
    }
    app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
}

both_databases! {
    fn lists_do_not_ask_once_a_row(app: TestApp) {
        ONCE.call_once(|| set_default_instrumentation(counter).unwrap());
        // Its own connections were opened before: this portal's count.
        let portal = app.second();
        let app = app.with_fleet().with_passwords();
        app.clicked(WEB);
        let emptied = "UPDATE hosts SET state = 'draining', emptying_since = '2026-01-01T00:00:00.000000Z' WHERE id = 3";
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(emptied)?));
        let site = Site::serve(&portal);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        let pages = |who: &mut Browser, paths: &[&str]| -> Vec<(String, usize)> {
            // A first look may open connections and note the session's use.
            paths.iter().for_each(|path| drop(who.get(path)));
            paths.iter().map(|path| ((*path).to_owned(), cost(&app, who, path))).collect()
        };
        let members = [
            "/members/bugs",
            "/members/bugs/new?title=bug",
            "/members/faq",
            "/members/",
            "/members/xenbeta",
            "/members/linodes/101",
            "/members/linodes/101/jobs",
            "/members/accounts",
            "/members/fairness?linode=101&range=beta",
        ];
        let staffs = [
            "/staff/",
            "/staff/bugs",
            "/staff/bugs.csv",
            "/staff/faq",
            "/staff/registrations?state=all",
            "/staff/registrations.csv?state=all",
            "/staff/registrations/review?do=configure&state=all&all=yes&count=1",
            "/staff/hosts",
            "/staff/hosts/1",
            "/staff/hosts/1/evacuate",
            "/staff/hosts/3",
            "/staff/hosts/3/evacuate",
            "/staff/migrations?kind=evacuation&from=3",
            "/staff/migrations",
            "/staff/jobs",
            "/staff/held",
            "/staff/held/101",
            "/staff/recovery",
            "/staff/migrations?state=stuck",
            "/staff/hosts?ledger=untrusted",
            "/staff/hosts/3/joint/waive",
            "/staff/waves",
            "/staff/waves.csv",
            "/staff/waves/new",
            "/staff/plan",
            "/staff/plan.csv",
            "/staff/graduation",
            "/staff/graduation.csv",
            "/staff/readiness",
            "/staff/programme",
            "/staff/programme/end",
            "/staff/members",
            "/staff/members/1",
            "/staff/mail",
            "/staff/audit",
            "/",
            "/staff/fairness?range=beta",
            "/staff/hosts/1/fairness",
            "/staff/fairness/weights?linode=101&weight=5",
        ];
        let mut few = pages(&mut member, &members);
        few.extend(pages(&mut staff, &staffs));
        fifty_more(&app);
        let mut many = pages(&mut member, &members);
        many.extend(pages(&mut staff, &staffs.map(|path| if path.ends_with("count=1") { "/staff/registrations/review?do=configure&state=all&all=yes&count=101" } else { path })));
        for ((path, few), (_, many)) in few.into_iter().zip(many) {
            println!("{path}: {few} statements, with fifty more of everything {many}");
            assert_eq!(few, many, "{path}");
        }
    }
}

/// Statements that these pages may take at the most, on SQLite and on PostgreSQL; this goes down only.
const MOST: [(&str, &str, [usize; 2]); 4] = [
    (MEMBER_EMAIL, "/members/", [5, 3]),
    (MEMBER_EMAIL, "/members/linodes/101", [8, 2]),
    (MEMBER_EMAIL, "/members/xenbeta", [10, 8]),
    (STAFF_EMAIL, "/staff/migrations", [6, 6]),
];

both_databases! {
    fn a_page_asks_little(app: TestApp) {
        ONCE.call_once(|| set_default_instrumentation(counter).unwrap());
        let portal = app.second();
        let app = app.with_fleet().with_passwords();
        app.clicked(WEB);
        fifty_more(&app);
        let on = usize::from(app.on() == On::Postgresql);
        let site = Site::serve(&portal);
        for (who, path, most) in MOST {
            let mut browser = site.signed_in(who);
            drop(browser.get(path));
            let took = cost(&app, &mut browser, path);
            assert!(took <= most[on], "{path}: {took} statements");
        }
    }

    fn connections_that_are_used_are_tried_once_a_second(app: TestApp) {
        ONCE.call_once(|| set_default_instrumentation(counter).unwrap());
        let portal = app.second();
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&portal);
        let mut member = site.signed_in(MEMBER_EMAIL);
        drop(member.get("/members/"));
        let ([_, before], begun) = (asked(&app), Instant::now());
        for _ in 0..100 {
            cost(&app, &mut member, "/members/");
        }
        let (most, [_, after]) = (4 * (begun.elapsed().as_secs() as usize + 1), asked(&app));
        assert!(after - before <= most, "{} of 100 were tried", after - before);
    }

    fn a_session_that_was_ended_is_nobodys_at_the_next_request(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        for (who, path) in [(&mut member, "/members/"), (&mut staff, "/staff/migrations")] {
            assert_eq!(who.get(path).status, 200);
        }
        // What is wrong with a request is told to staff only: for others the page is not there.
        assert_eq!(staff.get("/staff/migrations?state=x").status, 400);
        assert_eq!(member.get("/staff/migrations?state=x").status, 404);
        assert_eq!(member.get("/staff/migrations").status, 404);
        assert_eq!(staff.get("/members/").status, 404, "no account");
        let ended = "DELETE FROM sessions";
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(ended)?));
        for (who, path) in [(&mut member, "/members/"), (&mut staff, "/staff/migrations?state=x")] {
            let reply = who.get(path);
            assert_eq!(reply.status, 303, "{path}");
            assert!(reply.location.starts_with("/login"), "{}", reply.location);
        }
    }
}
