//! What staff do with people: found, paged, disabled and enabled, sent a link for a new password.

use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::{MailId, UserId};
use xenbeta::store;
use xenbeta::store::db::Db;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD, STAFF_EMAIL, WEB};
use crate::support::hand::now_click;

const MIA: UserId = UserId(1);
const SAM: UserId = UserId(3);

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
        let all = staff.walk("/staff/members");
        assert_eq!(all.len(), 233);
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 233, "each once");
        assert_eq!(staff.walk("/staff/members?show=disabled").len(), 23);
        assert_eq!(staff.walk("/staff/members?show=staff").len(), 1);
        let found = staff.get("/staff/members?q=MIA");
        assert_eq!(found.heading(), "Members");
        assert_eq!(found.column("Users", "E-mail"), [MEMBER_EMAIL]);
        assert_eq!(found.column("Users", "Account"), ["Mia Ltd"]);
        assert_eq!(staff.walk("/staff/members?q=otto%20inc").len(), 231, "by account");
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
        for _ in 0..5 {
            app.send_password_reset(&app.staff(), MIA).unwrap();
        }
        // Failed, it has nothing left that could be sent.
        app.fail_mails();
        let failed = staff.get(&mail.path);
        failed.shows(&["Failed", "550 no such mailbox"]).hides(&["Send it again"]);
        let token = failed.token();
        let reply = staff.post(&format!("{}/retry", mail.path), &[("csrf".to_owned(), token)]);
        assert_eq!(reply.status, 409);
        reply.says(&["Its link for a new password has ended"]);
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
        question.shows(&["What they asked for and has not begun is not done", "web does not move on", &format!("(migration {})", row.id)]);
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
}
