//! Staff's lists of people, mail and the trail: found, paged, acted on, and hostile or careless use of them.

use diesel::connection::SimpleConnection;
use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::{MailId, UserId};
use xenbeta::store;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;

use crate::both_databases;
use crate::browser::{Browser, Reply, Site};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD, STAFF_EMAIL, WEB};
use crate::support::hand::now_click;
use crate::support::memory::MemoryTransport;

const MIA: UserId = UserId(1);
const SAM: UserId = UserId(3);

impl TestApp {
    pub fn sql(&self, sql: &str) {
        self.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(sql)?));
    }

    /// Fails every mail that waits, for good.
    fn fail_mails(&self) {
        let now = self.now();
        self.db
            .write(|conn| {
                for mail in store::mail::take_due(conn, now, now.plus_s(60), 1000)? {
                    store::mail::mark_failed(
                        conn,
                        store::mail::Taken::from(&mail),
                        "550 no such mailbox",
                        None,
                    )?;
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
    }
}

/// Every row's first cell, page after page.
fn walk(browser: &mut Browser, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut page: Reply = browser.get(path);
    loop {
        assert_eq!(page.status, 200, "{}", page.text());
        found.extend(page.texts("main tbody th a"));
        if page.texts("main a[rel=next]").is_empty() {
            return found;
        }
        page = browser.get(&page.link("Next page"));
    }
}

both_databases! {
    fn people_are_found_and_paged(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mut sql = String::new();
        for n in 1..=230 {
            let id = 1000 + n;
            sql.push_str(&format!("INSERT INTO users (id, account_id, email, name, role, timezone, disabled, created_at) VALUES ({id}, 2, 'm{n:03}@example.org', 'Name {n}', 'member', 'UTC', {}, '2026-01-01T00:00:00.000000Z');", if n % 10 == 0 { "TRUE" } else { "FALSE" }));
        }
        app.sql(&sql);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let all = walk(&mut staff, "/staff/members");
        assert_eq!(all.len(), 233);
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 233, "each once");
        assert_eq!(walk(&mut staff, "/staff/members?show=disabled").len(), 23);
        assert_eq!(walk(&mut staff, "/staff/members?show=staff").len(), 1);
        let found = staff.get("/staff/members?q=MIA");
        assert_eq!(found.heading(), "Members");
        assert_eq!(found.column("Users", "E-mail"), [MEMBER_EMAIL]);
        assert_eq!(found.column("Users", "Account"), ["Mia Ltd"]);
        assert_eq!(walk(&mut staff, "/staff/members?q=otto%20inc").len(), 231, "by account");
        staff.get("/staff/members?q=100%25_").shows(&["There are none."]);
        assert_eq!(staff.get("/staff/members?show=nobody").status, 400);
    }

    fn access_is_taken_away_and_given_back(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.register(&app.member(), &[WEB]).unwrap();
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        let list = staff.get("/staff/members");
        let page = staff.get(&list.link(MEMBER_EMAIL));
        page.shows(&["Linodes: 3", "What mia@example.com did"]);
        assert_eq!((page.heading(), page.fact("Account")), (MEMBER_EMAIL.to_owned(), "Mia Ltd".to_owned()));
        let linodes = page.rows("Linodes of the account");
        assert_eq!(linodes.len(), 3);
        assert!(linodes.iter().any(|row| row[..2] == ["web", "uml1"]), "{linodes:?}");
        assert_eq!(page.rows("Registrations")[0][..2], ["web", "Waiting for review"]);
        let question = staff.get(&page.link("Disable…"));
        question.shows(&["Every session ends at once", "API tokens are revoked", "Their Linodes run on"]);
        let button = "Disable mia@example.com";
        let reply = staff.submit(&question, button, &[]);
        let disabled = staff.follow(&reply);
        assert_eq!(disabled.said(), "mia@example.com is disabled.");
        assert_eq!(disabled.texts("main .tag")[0], "Disabled");
        disabled.link("Enable…");
        assert_eq!(staff.get("/staff/members?show=disabled").column("Users", "E-mail"), [MEMBER_EMAIL]);
        assert_eq!(staff.submit(&question, button, &[]).status, 303, "twice is once");
        assert_eq!(member.get("/members/").status, 303, "signed out");
        let mut again = site.visitor();
        let login = again.get("/login");
        assert_eq!(again.submit(&login, "Sign in", &[("email", MEMBER_EMAIL), ("password", PASSWORD)]).status, 422);
        assert!(matches!(app.send_password_reset(&app.staff(), MIA), Err(AppError::Conflict(_))));
        let question = staff.get("/staff/members/1/enable");
        assert_eq!(staff.submit(&question, "Enable mia@example.com", &[]).status, 303);
        site.signed_in(MEMBER_EMAIL).get("/members/").shows(&["web"]);
        // Nobody locks the staff out.
        staff.get("/staff/members/3").hides(&["Disable…"]);
        assert!(matches!(app.set_user_disabled(&app.staff(), SAM, true), Err(AppError::Conflict(_))));
        assert!(matches!(app.set_user_disabled(&app.member(), UserId(2), true), Err(AppError::Forbidden)));
        assert!(matches!(app.set_user_disabled(&app.staff(), UserId(99), true), Err(AppError::NotFound)));
        let trail = staff.get("/staff/audit?object=user%201");
        assert_eq!(trail.column("What was done", "Who"), [STAFF_EMAIL; 2]);
        let after = trail.column("What was done", "After");
        assert!(after[0].starts_with("enabled") && after[1].starts_with("disabled, 1 sessions ended"), "{after:?}");
    }

    fn a_reset_is_sent_and_staff_never_see_its_link(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get("/staff/members/1");
        let question = staff.get(&page.link("Send a link for a new password…"));
        let reply = staff.submit(&question, "Send mia@example.com a link for a new password", &[]);
        let sent = staff.follow(&reply);
        assert_eq!(sent.said(), "The link is on its way to mia@example.com.");
        sent.fact("Last link for a new password");
        let list = staff.get("/staff/mail?q=MIA@");
        assert_eq!(list.column("Mail", "Subject"), ["Set a new password"]);
        assert_eq!(list.column("Mail", "State"), ["Waiting"]);
        let mail = staff.get(&list.link("Set a new password"));
        mail.shows(&["shown to nobody else"]);
        assert!(!mail.body.contains("/password/reset/") && !list.body.contains("/password/reset/"));
        let kept: String = app.in_db(|conn: &mut Db| Ok(store::mail::mail(conn, MailId(1))?.unwrap().text_body));
        assert!(kept.contains("/password/reset/"), "it is there to be sent");
        for _ in 0..4 {
            app.send_password_reset(&app.staff(), MIA).unwrap();
        }
        assert!(matches!(app.send_password_reset(&app.staff(), MIA), Err(AppError::Conflict(_))), "five an hour");
        // Failed, it has nothing left that could be sent.
        app.fail_mails();
        let failed = staff.get(&mail.path);
        failed.shows(&["Failed", "550 no such mailbox"]).hides(&["Send it again"]);
        let token = failed.token();
        let reply = staff.post(&format!("{}/retry", mail.path), &[("csrf".to_owned(), token)]);
        assert_eq!(reply.status, 409);
        reply.says(&["Its link for a new password has ended"]);
    }

    fn failed_mail_is_sent_again(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.register(&app.member(), &[WEB]).unwrap();
        let row = app.in_db(|conn| xenbeta::store::registration::newest_of(conn, WEB)).unwrap();
        app.approve(&app.staff(), &[row.id]).unwrap();
        app.fail_mails();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let list = staff.get("/staff/mail?state=failed");
        let subjects = list.column("Mail", "Subject");
        assert_eq!(subjects.len(), 2, "{subjects:?}");
        assert!(subjects.iter().any(|it| it.starts_with("web: registered")) && subjects.iter().any(|it| it.starts_with("web: registration")), "{subjects:?}");
        assert_eq!(list.column("Mail", "State"), ["Failed 550 no such mailbox"; 2]);
        let one = staff.get(&list.link("web: registered for the Xen Public Beta"));
        one.shows(&["Hello Mia"]);
        let reply = staff.submit(&one, "Send it again", &[]);
        let again = staff.follow(&reply);
        assert_eq!((again.said(), again.texts("main .tag")), ("It is sent again.".to_owned(), vec!["Waiting".to_owned()]));
        assert_eq!(staff.submit(&one, "Send it again", &[]).status, 303, "twice is once");
        let ask = list.link("Send all failed mail again…");
        let question = staff.get(&ask);
        assert_eq!(question.heading(), "Send 1 mail again?");
        question.shows(&["Of 1 mail that failed, 1 would be sent"]);
        let all = staff.submit(&question, "Send 1 mail again", &[]);
        assert_eq!(staff.follow(&all).said(), "1 mail is sent again.");
        let all = staff.submit(&question, "Send 1 mail again", &[]);
        staff.follow(&all).shows(&["Nothing is left"]);
        let nothing = staff.get(&ask);
        staff.follow(&nothing).shows(&["Nothing is left"]);
        assert_eq!(app.in_db(store::mail::counts), [(xenbeta::domain::mail::MailState::Pending, 2)]);
        assert!(matches!(app.retry_mails(&app.member(), "", 1), Err(AppError::Forbidden)));
        // More have failed since it was asked.
        app.fail_mails();
        let late = staff.submit(&question, "Send 1 mail again", &[]);
        assert_eq!(late.status, 409);
        late.says(&["There are 2 now, and not 1."]);
        staff.get("/staff/mail?q=nobody").shows(&["There is none."]);
        assert_eq!(staff.get("/staff/mail?state=lost").status, 400);
        assert_eq!(staff.get("/staff/mail/999").status, 404);
    }

    fn mail_that_is_of_no_use_is_not_sent_again(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mail = |id: i64, recipient: &str, stale: &str, text: &str| {
            app.sql(&format!("INSERT INTO outbox (id, kind, recipient, subject, text_body, html_body, state, next_at, created_at, stale_at) VALUES ({id}, 'offer_reminder', '{recipient}', 'Mail {id}', '{text}', '', 'failed', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', {stale})"));
        };
        mail(901, MEMBER_EMAIL, "NULL", "Hello");
        mail(902, MEMBER_EMAIL, "'2026-01-02T00:00:00.000000Z'", "Hello");
        mail(903, MEMBER_EMAIL, "'2126-01-02T00:00:00.000000Z'", "Hello");
        mail(904, MEMBER_EMAIL, "NULL", "");
        mail(905, "otto@example.com", "NULL", "Hello");
        app.set_user_disabled(&app.staff(), UserId(2), true).unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let question = staff.get("/staff/mail/retry");
        question.shows(&["Of 5 mails that failed, 2 would be sent", "3 mails stay as they are"]);
        staff.get("/staff/mail/retry?q=MIA").shows(&["Of 4 mails that failed to “MIA”, 2 would be sent"]);
        let reply = staff.submit(&question, "Send 2 mails again", &[]);
        let again = staff.follow(&reply);
        assert_eq!(again.said(), "2 mails are sent again.");
        assert_eq!(again.column("Mail", "Subject"), ["Mail 903", "Mail 901"]);
        for (id, why) in [(902, "Its moment has passed"), (904, "Its link for a new password"), (905, "Its recipient is disabled")] {
            let Err(AppError::Conflict(said)) = app.retry_mail(&app.staff(), MailId(id)) else { panic!("mail {id}") };
            assert!(said.contains(why), "{said}");
        }
        // The mailer looks at it too: of the two that wait, one is stale by now.
        app.sql("UPDATE outbox SET stale_at = '2026-01-03T00:00:00.000000Z' WHERE id = 903");
        let sent = MemoryTransport::default();
        xenbeta::work::mailer::round(&app.app, &sent, "example.net").unwrap();
        assert_eq!(staff.get("/staff/mail/901").texts("main .tag"), ["Sent"]);
        let stale = staff.get("/staff/mail/903");
        stale.shows(&["Not sent: its moment has passed."]);
        assert_eq!(stale.texts("main .tag"), ["Failed"]);
    }

    fn nothing_from_before_comes_back_with_a_user(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let at = "'2026-01-01T00:00:00.000000Z'";
        for (id, revoked, expires) in [(1, "NULL", "NULL"), (2, "NULL", "'2026-01-02T00:00:00.000000Z'"), (3, at, "NULL")] {
            app.sql(&format!("INSERT INTO api_tokens (id, hash, user_id, label, scope, created_at, expires_at, revoked_at) VALUES ({id}, 'h{id}', 1, 't', 'read_only', {at}, {expires}, {revoked})"));
        }
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, None).unwrap();
        let later = Click { at: Some(app.now().plus_days(2)), ..now_click() };
        let row = app.migrate(&app.member(), WEB, later).unwrap();
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        let cookies = member.cookies.clone();
        assert_eq!(staff.get("/staff/members/1").fact("API tokens"), "1");
        let question = staff.get("/staff/members/1/disable");
        question.shows(&["Moves they set a time for begin at that time", "web moves on", "unless you cancel it", &format!("(migration {})", row.id)]);
        staff.submit(&question, "Disable mia@example.com", &[]);
        staff.get("/staff/audit?object=user%201").shows(&["1 sessions ended, 1 API tokens revoked"]);
        assert_eq!(app.in_db(|conn| xenbeta::store::account::tokens::of_user(conn, MIA)).len(), 0);
        // A sign-in that was on its way when access was taken away, or was there before that ended sessions.
        for old in cookies.values() {
            let hash = xenbeta::app::secrets::hash(xenbeta::app::secrets::purpose::SESSION, old);
            let until = "'2126-01-01T00:00:00.000000Z'";
            app.sql(&format!("INSERT INTO sessions (hash, user_id, created_at, seen_at, expires_at, address, user_agent) VALUES ('{hash}', 1, {until}, {until}, {until}, '', '')"));
        }
        assert_eq!(member.get("/members/").status, 303);
        app.set_user_disabled(&app.staff(), MIA, false).unwrap();
        member.cookies = cookies;
        assert_eq!(member.get("/members/").status, 303, "an old session does not live again");
        site.signed_in(MEMBER_EMAIL).get("/members/").shows(&["web"]);
    }

    fn exports_are_whole(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mut sql = String::new();
        for n in 1..=2_345 {
            sql.push_str(&format!("INSERT INTO audit_events (at, actor, address, action, object, before, after, hash) VALUES ('2026-01-01T00:00:00.000000Z', 'a', '', 'many', 'x', '', 'n{n}', 'm{n}');"));
            sql.push_str(&format!("INSERT INTO bugs (title, happened, expected, reproduce, state, severity, component, opened_by, account_id, once, opened_at, changed_at) VALUES ('bug {n}', 'x', '', '', 'new', 'none', 'disk', 1, 1, 'o{n}', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z');"));
        }
        app.sql(&sql);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        for (path, column) in [("/staff/audit.csv?action=many", 6), ("/staff/bugs.csv?state=new", 1)] {
            let body = staff.get(path).body;
            let mut file = csv::Reader::from_reader(body.as_bytes());
            let seen: std::collections::BTreeSet<String> = file.records().map(|row| row.unwrap()[column + usize::from(column == 6)].to_owned()).collect();
            assert_eq!(seen.len(), 2_345, "{path}");
        }
    }

    fn the_trail_is_filtered_paged_and_checked(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        for n in 0..120 {
            let body = if n % 2 == 0 { "One <b>text</b>" } else { "=cmd|' /C calc'!A0" };
            let seen = app.in_db(|conn| xenbeta::store::programme::text(conn, xenbeta::domain::programme::TextSection::Bugs)).map(|it| it.changed_at);
            app.set_text(&app.staff(), xenbeta::domain::programme::TextSection::Bugs, body, seen).unwrap();
        }
        app.register(&app.member(), &[WEB]).unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get("/staff/audit?action=programme.text");
        assert_eq!(page.column("What was done", "To what"), ["programme text bugs"; 100]);
        page.shows(&["One <b>text</b>"]);
        assert!(!page.body.contains("<b>text"));
        let next = staff.get(&page.link("Next page"));
        assert_eq!(next.column("What was done", "What"), ["programme.text"; 20]);
        let hers = staff.get("/staff/audit?actor=mia@example.com");
        let hers = hers.rows("What was done");
        assert!(hers.iter().all(|row| row[1] == MEMBER_EMAIL), "{hers:?}");
        assert!(hers.iter().any(|row| row[3].contains("register") && row[4] == "linode 101"), "{hers:?}");
        staff.get("/staff/audit?to=2026-01-01").shows(&["There is nothing."]);
        let today = app.now().utc().date_naive();
        staff.get(&format!("/staff/audit?from={today}&to={today}&object=linode%20101")).shows(&["register"]);
        assert_eq!(staff.get("/staff/audit?from=yesterday").status, 400);
        let csv = staff.get("/staff/audit.csv?action=programme.text").body;
        assert_eq!(csv.lines().count(), 121);
        assert!(csv.contains(",'=cmd"), "no formula for a spreadsheet");
        let whole = staff.get("/staff/audit/verify");
        assert_eq!((whole.heading(), whole.texts("main .tag")), ("Is the trail whole?".to_owned(), vec!["Whole".to_owned()]));
        app.sql("UPDATE audit_events SET after = 'nothing' WHERE id = 5");
        let broken = staff.get("/staff/audit/verify");
        broken.shows(&["entry 5"]);
        assert_eq!(broken.texts("main .tag"), ["Broken"]);
        assert_eq!(site.signed_in(MEMBER_EMAIL).get("/staff/audit").status, 404);
    }

    fn hosts_are_paged(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mut sql = String::new();
        for n in 1..=205 {
            sql.push_str(&format!("INSERT INTO hosts (id, name, platform, role, state, memory_mb, disk_mb, created_at) VALUES ({}, 'h{n:03}', 'xen', 'beta', 'enabled', 1, 1, '2026-01-01T00:00:00.000000Z');", 100 + n));
        }
        app.sql(&sql);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let all = walk(&mut staff, "/staff/hosts");
        assert_eq!(all.len(), 209);
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 209, "each once");
        staff.get("/staff/hosts?silent=yes").shows(&["There are none."]);
    }
}

/// Each list finds its page by an index of its order, and sorts nothing. SQLite says so of its own plans; PostgreSQL has the
/// same indexes, and chooses by its statistics.
#[test]
fn lists_are_read_by_their_indexes() {
    use diesel::prelude::*;
    #[derive(QueryableByName)]
    struct Plan {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }
    let app = TestApp::new(crate::support::On::Sqlite);
    for (sql, index) in [
        (
            "SELECT email FROM users WHERE role = 'member' AND email > 'm' ORDER BY email LIMIT 101",
            "users_role",
        ),
        (
            "SELECT email FROM users WHERE disabled = 1 AND email > 'm' ORDER BY email LIMIT 101",
            "users_disabled",
        ),
        (
            "SELECT name FROM hosts WHERE name > 'h' ORDER BY name LIMIT 101",
            "sqlite_autoindex_hosts_1",
        ),
        (
            "SELECT subject FROM outbox WHERE state = 'failed' AND id < 9 ORDER BY id DESC LIMIT 101",
            "outbox_state",
        ),
        (
            "SELECT hash FROM audit_events WHERE actor = 'a' AND id < 9 ORDER BY id DESC LIMIT 101",
            "audit_actor",
        ),
        (
            "SELECT hash FROM audit_events WHERE action = 'a' AND id < 9 ORDER BY id DESC LIMIT 101",
            "audit_action",
        ),
        (
            "SELECT hash FROM audit_events WHERE object = 'a' AND id < 9 ORDER BY id DESC LIMIT 101",
            "audit_object",
        ),
        (
            "SELECT state FROM migrations WHERE kind = 'beta' AND state = 'failed' AND id < 9 ORDER BY id DESC LIMIT 101",
            "migrations_kind",
        ),
        (
            "SELECT state FROM migrations WHERE started_at >= 'a' AND kind <> 'return' ORDER BY started_at LIMIT 9",
            "migrations_started",
        ),
    ] {
        let rows = app.in_db(|conn| {
            let query = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"));
            match conn {
                Db::Sqlite(lite) => Ok::<Vec<Plan>, StoreError>(query.load(lite)?),
                Db::Pg(_) => Ok(Vec::new()),
            }
        });
        let plan: Vec<String> = rows.into_iter().map(|row| row.detail).collect();
        let plan = plan.join("; ");
        assert!(
            plan.contains(index) && !plan.contains("TEMP B-TREE"),
            "{sql}: {plan}"
        );
    }
}
