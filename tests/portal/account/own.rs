//! My Accounts: which mails one gets, and API tokens.

use std::io::Write;

use diesel::prelude::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use xenbeta::app::account::sign_in::Origin;
use xenbeta::app::secrets::{self, purpose};
use xenbeta::domain::ids::UserId;
use xenbeta::store;
use xenbeta::store::account::session::NewSession;
use xenbeta::store::schema::{api_tokens, outbox};

use crate::both_databases;
use crate::browser::{Reply, Site};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD, STAFF_EMAIL, WEB, XEN1};

const OTHER_EMAIL: &str = "otto@example.com";
const URL: &str = "/members/accounts";

fn kinds(app: &TestApp) -> Vec<String> {
    app.in_db(|conn| {
        Ok(outbox::table
            .order(outbox::id)
            .select(outbox::kind)
            .load(conn)?)
    })
}

/// Bytes of a page as they travel.
fn packed(page: &Reply) -> usize {
    let mut packer = GzEncoder::new(Vec::new(), Compression::new(6));
    packer.write_all(page.body.as_bytes()).unwrap();
    packer.finish().unwrap().len()
}

/// The token on the page that shows it.
fn token(page: &Reply) -> String {
    let at = page.body.find("<pre").expect("it is shown");
    let text = &page.body[at..];
    let start = text.find('>').unwrap() + 1;
    text[start..text.find("</pre>").unwrap()].to_owned()
}

fn rows(app: &TestApp) -> Vec<(i64, String, String, String, bool)> {
    app.in_db(|conn| {
        Ok(api_tokens::table
            .order(api_tokens::id)
            .select((
                api_tokens::id,
                api_tokens::hash,
                api_tokens::prefix,
                api_tokens::scope,
                api_tokens::revoked_at.is_not_null(),
            ))
            .load(conn)?)
    })
}

both_databases! {
    fn each_kind_of_mail_can_be_switched_off(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get(URL);
        page.shows_at("h2#notifications", &["Mails you get"]).shows_at("main label", &["Reminder a day before the time"]);
        page.shows_at("main legend", &["Registration and offers"]).hides(&["new password is asked for"]);
        // All of one group but one off, the other group as it was.
        let (_, action, fields) = page.form("Save the choice of mails", &[]);
        let kept: Vec<_> = fields.into_iter().filter(|(name, value)| name != "mail_registration" || value == "offer_ready").collect();
        let reply = member.post(&action, &kept);
        let page = member.follow(&reply);
        assert_eq!((page.status, page.said().as_str()), (200, "Your choice of mails is saved."));
        let (_, _, now) = page.form("Save the choice of mails", &[]);
        let on: Vec<&str> = now.iter().filter(|(name, _)| name == "mail_registration").map(|(_, value)| value.as_str()).collect();
        assert_eq!(on, ["offer_ready"], "the boxes stand as they were left");
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        assert_eq!(kinds(&app), ["offer_ready"]);
        // What is about security goes all the same.
        let from = Origin { address: "198.51.100.7", user_agent: "test", device: "" };
        app.forgot_password(MEMBER_EMAIL, from).unwrap();
        assert_eq!(kinds(&app), ["offer_ready", "password_reset"]);
        // Nonsense is refused, and changes nothing; the other member has their own choice.
        let mut foul = kept.clone();
        foul.push(("mail_move".to_owned(), "password_reset,nonsense".to_owned()));
        assert_eq!(member.post(&action, &foul).status, 400);
        let mut other = site.signed_in(OTHER_EMAIL);
        let (_, _, theirs) = other.get(URL).form("Save the choice of mails", &[]);
        assert!(theirs.iter().filter(|(name, _)| name == "mail_registration").count() > 3);
    }

    fn the_pages_keep_to_their_budget(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        for path in [URL, "/members/linodes/101", "/members/linodes/101/migrate", "/members/linodes/101/profiles/new"] {
            let page = member.get(path);
            assert_eq!(page.status, 200, "{path}");
            let bytes = packed(&page);
            println!("{path}: {bytes} bytes packed");
            assert!(bytes <= 6 * 1024, "{path}: {bytes}");
        }
    }

    fn mandatory_mails_cannot_be_named_away(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.choose_mails(&app.member(), &[]).unwrap();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get(URL);
        let reply = member.submit(&page, "Change password", &[("password", PASSWORD), ("new_password", "another long password")]);
        assert_eq!(reply.status, 303);
        assert_eq!(kinds(&app), ["password_changed"]);
    }

    fn a_session_is_no_place_to_guess_at_the_password(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get("/members/accounts");
        let button = "Change password";
        for _ in 0..10 {
            let fields = [("password", "a guess that is wrong"), ("new_password", "another long password")];
            assert_eq!(member.submit(&page, button, &fields).status, 422);
        }
        let right = [("password", PASSWORD), ("new_password", "another long password")];
        assert_eq!(member.submit(&page, button, &right).status, 429, "not even the right one, for a while");
        app.pass_s(16 * 60);
        assert_eq!(member.submit(&page, button, &right).status, 303);
        // Sessions that were left alone for too long have ended, and are neither listed nor counted.
        app.in_db(|conn| {
            let at = app.now();
            let session = NewSession { hash: "x", user_id: UserId(1), created_at: at, seen_at: at.plus_s(-13 * 3600), expires_at: at.plus_days(1), address: "", user_agent: "curl/8", proved_at: None };
            store::account::session::insert_session(conn, &session)
        });
        member.get("/members/accounts").hides(&["curl"]);
        assert_eq!(site.signed_in(STAFF_EMAIL).get("/staff/members/1").shows(&[]).fact("Sessions"), "1");
    }

    fn a_token_is_shown_once(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get(URL);
        let fields = [("label", "backups"), ("scope", "read_only"), ("days", "30")];
        let made = member.submit(&page, "Make the token", &fields);
        made.shows_at("main > div.note > p", &["Copy the token now"]).shows_at("main > p", &["backups"]);
        let shown = token(&made);
        assert!(shown.len() >= 40, "{shown}");
        // A reload sends the same form again: one token, and not shown.
        let again = member.submit(&page, "Make the token", &fields);
        assert_eq!(again.status, 303);
        let list = member.follow(&again);
        list.says_at("main > div.note > p", &["has made its token already"]);
        let row = list.row("API tokens", "backups");
        assert_eq!([&row[2], &row[4]], ["may read", "never"], "what it may, and when it was used");
        assert!(!list.body.contains(&shown), "not again");
        let all = rows(&app);
        assert_eq!(all.len(), 1);
        let (_, hash, prefix, scope, _) = &all[0];
        assert_eq!(*hash, secrets::hash(purpose::API, &shown), "only its hash is kept, for this purpose");
        assert!(shown.starts_with(prefix.as_str()) && prefix.len() == 8 && scope == "read_only");
        assert_eq!(kinds(&app), ["token_made"]);
        let mail: String = app.in_db(|conn| Ok(outbox::table.select(outbox::text_body).first(conn)?));
        assert!(mail.contains("backups (may read)") && !mail.contains(&shown));
        // Revoked: somebody else cannot, its owner can, twice as once; the form of before makes no new one.
        let revoke = member.get(URL).link("Revoke backups");
        let mut other = site.signed_in(OTHER_EMAIL);
        assert_eq!(other.get(&revoke).status, 404);
        let csrf = vec![("csrf".to_owned(), other.get(URL).token())];
        assert_eq!(other.post(&revoke, &csrf).status, 404);
        let question = member.get(&revoke);
        assert_eq!((question.status, question.heading().as_str()), (200, "Revoke the token backups?"));
        for _ in 0..2 {
            let reply = member.submit(&question, "Revoke backups", &[]);
            let list = member.follow(&reply);
            assert_eq!((list.status, list.said().as_str()), (200, "The token is revoked."));
            list.hides(&["backups"]);
        }
        let all = rows(&app);
        assert!(all[0].4 && all[0].1 != secrets::hash(purpose::API, &shown), "nothing finds it any more");
        assert_eq!(member.submit(&page, "Make the token", &fields).status, 303);
        assert_eq!(rows(&app).len(), 1);
    }

    fn what_a_token_cannot_be(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get(URL);
        let long = "x".repeat(300);
        for (field, value, said) in [
            ("label", "", "Enter a label"),
            ("label", long.as_str(), "64 characters or fewer"),
            ("label", "a\r\nBcc: x@example.com", "A label can have"),
            ("label", "<script>", "A label can have"),
            ("scope", "admin", "Choose what it may do"),
            ("days", "0", "from 1 to 3650"),
            ("days", "soon", "whole number"),
        ] {
            let mut fields = vec![("label", "fine"), ("scope", "read_write"), ("days", "1")];
            fields.retain(|(name, _)| *name != field);
            fields.push((field, value));
            let refused = staff.submit(&page, "Make the token", &fields);
            refused.says_beside(field, said);
        }
        assert_eq!(rows(&app).len(), 0);
        for n in 0..25 {
            let page = staff.get(URL);
            let label = format!("token {n}");
            assert_eq!(staff.submit(&page, "Make the token", &[("label", label.as_str())]).status, 200);
        }
        let page = staff.get(URL);
        staff.submit(&page, "Make the token", &[("label", "one more")]).says_beside("label", "You have 25 tokens");
    }
}
