//! The outbox worked off over a real mail server: nothing blocks, nothing is lost, nothing goes out twice.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::prelude::*;
use xenbeta::app::App;
use xenbeta::app::account::sign_in::{Entry, Origin};
use xenbeta::app::context::PORTAL;
use xenbeta::app::error::AppError;
use xenbeta::app::mail::compose::{self, Extra};
use xenbeta::domain::ids::{LinodeId, MailId};
use xenbeta::domain::mail::MailKind;
use xenbeta::domain::time::Time;
use xenbeta::mail::{
    MailFields, Message, ResetToken, SendError, SmtpSecurity, SmtpSettings, SmtpTransport,
    Transport,
};
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::store::mail::Taken;
use xenbeta::store::schema::outbox as rows;
use xenbeta::work::mailer;

use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD, WEB};
use crate::support::memory::{MemoryTransport, take_mails};
use crate::support::port::free_port;
use crate::support::smtp::Smtp;

const DOMAIN: &str = "lpm.example.net";

fn settings(port: u16) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".to_owned(),
        port: Some(port),
        security: SmtpSecurity::Plain,
        username: None,
        password: None,
        root_certificate: None,
        timeout: Duration::from_secs(5),
        from: "Xen beta <beta@lpm.example.net>".to_owned(),
        hello_name: Some("portal.example.net".to_owned()),
    }
}

fn transport(port: u16) -> SmtpTransport {
    SmtpTransport::new(&settings(port)).unwrap()
}

fn post(app: &App, kind: MailKind, to: &str) {
    let facts = MailFields {
        base_url: app.settings.base_url.clone(),
        programme: app.settings.programme_name.clone(),
        member: "Zoë".to_owned(),
        linode: "web-ü".to_owned(),
        linode_id: Some(LinodeId(101)),
        to_host: "xen1".to_owned(),
        reset: ResetToken("only-once-4711".to_owned()),
        ..MailFields::default()
    };
    app.transact_at(app.now(), PORTAL, |tx| {
        compose::post(tx, kind, (to, &facts), Extra::default())
    })
    .unwrap();
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    state: String,
    attempts: i32,
    error: String,
    text: String,
    html: String,
}

fn outbox_rows(app: &App) -> Vec<Row> {
    app.db
        .read(|conn| {
            let ids: Vec<MailId> = rows::table.order(rows::id).select(rows::id).load(conn)?;
            let mut all = Vec::new();
            for id in ids {
                let (state, attempts, error, text, html) = rows::table
                    .find(id)
                    .select((
                        rows::state,
                        rows::attempts,
                        rows::last_error,
                        rows::text_body,
                        rows::html_body,
                    ))
                    .first(conn)?;
                all.push(Row {
                    state,
                    attempts,
                    error,
                    text,
                    html,
                });
            }
            Ok::<_, StoreError>(all)
        })
        .unwrap()
}

fn round(app: &App, transport: &SmtpTransport) -> usize {
    mailer::round(app, transport, DOMAIN).unwrap()
}

fn arrives_whole(app: TestApp) {
    let server = Smtp::start();
    let transport = transport(server.port);
    post(&app, MailKind::OfferReady, "zoe@example.com");
    assert_eq!(round(&app, &transport), 1);
    assert_eq!(round(&app, &transport), 0, "sent is sent");
    let mails = server.received();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(mail.from, "beta@lpm.example.net");
    assert_eq!(mail.to, ["zoe@example.com"]);
    assert_eq!(
        mail.headers["Subject"],
        "web-ü: ready to migrate when you are"
    );
    assert_eq!(mail.headers["Auto-Submitted"], "auto-generated");
    assert!(mail.headers["Message-ID"].ends_with("@lpm.example.net>"));
    let link = "https://lpm.example.net/members/linodes/101/migrate";
    assert!(
        mail.text.starts_with("Hello Zoë,") && mail.text.contains(link),
        "{}",
        mail.text
    );
    assert!(
        mail.html.contains(&format!("href=\"{link}\"")),
        "{}",
        mail.html
    );
    let row = &outbox_rows(&app)[0];
    assert_eq!((row.state.as_str(), row.attempts), ("sent", 1));
}

fn greylisted_then_taken_once(app: TestApp) {
    let server = Smtp::start();
    let transport = transport(server.port);
    post(&app, MailKind::Approved, "later-2@example.com");
    assert_eq!(round(&app, &transport), 1);
    let row = &outbox_rows(&app)[0];
    assert_eq!(row.state, "pending");
    assert!(row.error.contains("greylisted"), "{}", row.error);
    assert_eq!(round(&app, &transport), 0, "it waits");
    app.pass_s(61);
    assert_eq!(round(&app, &transport), 1);
    app.pass_s(61);
    assert_eq!(round(&app, &transport), 0, "the second wait is longer");
    app.pass_s(61);
    assert_eq!(round(&app, &transport), 1);
    app.pass_s(86_400);
    assert_eq!(round(&app, &transport), 0);
    assert_eq!(server.received().len(), 1);
    let row = &outbox_rows(&app)[0];
    assert_eq!(
        (row.state.as_str(), row.attempts, row.error.as_str()),
        ("sent", 3, "")
    );
}

fn no_such_mailbox_is_final_and_holds_nobody_up(app: TestApp) {
    let server = Smtp::start();
    let transport = transport(server.port);
    post(&app, MailKind::Approved, "refused@example.com");
    post(&app, MailKind::Approved, "zoe@example.com");
    assert_eq!(round(&app, &transport), 2);
    app.pass_s(7 * 86_400);
    assert_eq!(round(&app, &transport), 0);
    let all = outbox_rows(&app);
    assert_eq!(all[0].state, "failed");
    assert!(all[0].error.contains("no such mailbox"), "{}", all[0].error);
    assert_eq!(all[1].state, "sent");
    assert_eq!(server.received().len(), 1);
}

fn waits_for_a_server_that_is_down(app: TestApp) {
    let port = free_port();
    let transport = transport(port);
    post(&app, MailKind::Registered, "zoe@example.com");
    assert_eq!(round(&app, &transport), 1);
    assert_eq!(outbox_rows(&app)[0].state, "pending");
    let server = Smtp::on_port(port);
    app.pass_s(61);
    assert_eq!(round(&app, &transport), 1);
    assert_eq!(server.received().len(), 1);
}

fn two_portals_send_each_mail_once(app: TestApp) {
    let server = Smtp::start();
    for n in 0..60 {
        post(
            &app,
            MailKind::Registered,
            &format!("member{n}@example.com"),
        );
    }
    let second = app.second();
    std::thread::scope(|scope| {
        for app in [&app.app, &second] {
            let transport = transport(server.port);
            scope.spawn(move || while round(app, &transport) > 0 {});
        }
    });
    let mails = server.received();
    assert_eq!(mails.len(), 60);
    let to: BTreeSet<&String> = mails.iter().flat_map(|mail| &mail.to).collect();
    let ids: BTreeSet<&String> = mails
        .iter()
        .map(|mail| &mail.headers["Message-ID"])
        .collect();
    assert_eq!((to.len(), ids.len()), (60, 60));
}

/// Time goes by while it sends, and another portal's mailer has its round meanwhile.
struct Slow<'a> {
    app: &'a TestApp,
    other: App,
    meanwhile: &'a MemoryTransport,
    sent: MemoryTransport,
}

impl Transport for Slow<'_> {
    fn send(&self, message: &Message) -> Result<(), SendError> {
        self.app.pass_s(200);
        mailer::round(&self.other, self.meanwhile, DOMAIN).unwrap();
        self.sent.send(message)
    }
}

fn a_slow_server_makes_no_second_mail(app: TestApp) {
    for n in 0..4 {
        post(
            &app,
            MailKind::Registered,
            &format!("member{n}@example.com"),
        );
    }
    let meanwhile = MemoryTransport::new();
    let slow = Slow {
        app: &app,
        other: app.second(),
        meanwhile: &meanwhile,
        sent: MemoryTransport::new(),
    };
    while mailer::round(&app, &slow, DOMAIN).unwrap() > 0 {}
    let to = |it: &MemoryTransport| -> Vec<String> {
        it.sent().iter().map(|mail| mail.to.clone()).collect()
    };
    let mut all = [to(&slow.sent), to(&meanwhile)].concat();
    all.sort();
    let each: Vec<String> = (0..4).map(|n| format!("member{n}@example.com")).collect();
    assert_eq!(all, each, "each once");
}

fn a_try_that_is_over_does_not_mark_the_next_one(app: TestApp) {
    post(&app, MailKind::Approved, "zoe@example.com");
    let now = app.now();
    let take = |now: Time| {
        let taken = app
            .db
            .write(|conn| take_mails(conn, (now, now.plus_s(300)), 1));
        Taken::from(&taken.unwrap()[0])
    };
    let mark = |of: Taken, again: Option<Time>| {
        app.db
            .write(|conn| store::mail::mark_failed(conn, of, "timed out", again))
            .unwrap()
    };
    let slow = take(now);
    let next = take(now.plus_s(301));
    // The first one speaks while the second is at it, and after that has sent it.
    mark(slow, Some(now.plus_s(302)));
    assert_eq!(outbox_rows(&app)[0].error, "");
    mark(slow, None);
    assert_eq!(outbox_rows(&app)[0].state, "pending");
    app.db
        .write(|conn| store::mail::mark_sent(conn, next, now))
        .unwrap();
    mark(slow, None);
    mark(next, None);
    let row = &outbox_rows(&app)[0];
    assert_eq!((row.state.as_str(), row.error.as_str()), ("sent", ""));
}

fn mail_of_access_goes_before_all_other(app: TestApp) {
    for n in 0..50 {
        post(&app, MailKind::BetaEnded, &format!("member{n}@example.com"));
    }
    app.pass_s(1);
    post(&app, MailKind::PasswordReset, "zoe@example.com");
    post(&app, MailKind::PasswordChanged, "zoe@example.com");
    let memory = MemoryTransport::new();
    mailer::round(&app, &memory, DOMAIN).unwrap();
    let to: Vec<String> = memory.sent().iter().map(|mail| mail.to.clone()).collect();
    assert_eq!(to[..2], ["zoe@example.com", "zoe@example.com"]);
    assert_eq!(to[2], "member0@example.com");
}

/// A mailer that dies between the server's yes and writing it down sends once more, under the same Message-ID.
fn a_crash_half_way_repeats_under_the_same_id(app: TestApp) {
    let server = Smtp::start();
    let transport = transport(server.port);
    post(&app, MailKind::Finished, "zoe@example.com");
    round(&app, &transport);
    let now = app.now();
    app.db
        .write(|conn| {
            diesel::update(rows::table)
                .set((rows::state.eq("pending"), rows::next_at.eq(now)))
                .execute(conn)?;
            let taken = take_mails(conn, (now, now.plus_s(300)), 20)?;
            assert_eq!(taken.len(), 1);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(
        round(&app, &transport),
        0,
        "the dead one's try is not taken from it at once"
    );
    app.pass_s(301);
    assert_eq!(round(&app, &transport), 1);
    let mails = server.received();
    assert_eq!(mails.len(), 2);
    assert_eq!(
        mails[0].headers["Message-ID"],
        mails[1].headers["Message-ID"]
    );
    assert_eq!(mails[0].text, mails[1].text);
}

fn a_reset_link_leaves_the_outbox_with_its_mail(app: TestApp) {
    let memory = MemoryTransport::new();
    memory.fail_next([
        SendError::Temporary("busy".to_owned()),
        SendError::Permanent("no such mailbox".to_owned()),
    ]);
    post(&app, MailKind::PasswordReset, "zoe@example.com");
    mailer::round(&app, &memory, DOMAIN).unwrap();
    assert!(
        outbox_rows(&app)[0].text.contains("only-once-4711"),
        "still to be sent"
    );
    app.pass_s(61);
    mailer::round(&app, &memory, DOMAIN).unwrap();
    post(&app, MailKind::PasswordReset, "zoe@example.com");
    post(&app, MailKind::Approved, "zoe@example.com");
    mailer::round(&app, &memory, DOMAIN).unwrap();
    assert_eq!(memory.sent().len(), 2);
    assert!(memory.sent()[0].text.contains("only-once-4711"));
    let all = outbox_rows(&app);
    assert_eq!(
        all.iter().map(|row| row.state.as_str()).collect::<Vec<_>>(),
        ["failed", "sent", "sent"]
    );
    for row in &all[..2] {
        assert!(
            !row.text.contains("only-once") && !row.html.contains("only-once"),
            "{row:?}"
        );
    }
    assert!(
        all[2].text.contains("approved"),
        "other mails can be read again"
    );
}

/// As the member sees it: registered on the page, told by mail, approved by staff, told again.
fn a_registration_is_told(app: TestApp) {
    let app = app.with_fleet();
    let server = Smtp::start();
    let transport = transport(server.port);
    app.approved(WEB);
    while round(&app, &transport) > 0 {}
    let mails = server.received();
    let subjects: Vec<&str> = mails
        .iter()
        .map(|it| it.headers["Subject"].as_str())
        .collect();
    assert_eq!(mails.len(), 2, "registered, approved: {subjects:?}");
    for mail in &mails {
        assert_eq!(mail.to, [MEMBER_EMAIL]);
        assert!(mail.headers["Subject"].contains("web"), "{subjects:?}");
        assert!(mail.text.contains("Mia") && mail.html.contains("Mia"));
    }
    assert_ne!(
        mails[0].headers["Message-ID"],
        mails[1].headers["Message-ID"]
    );
}

/// What names may hold is checked where they come in; should one get by, it still is no header.
fn a_name_is_never_a_header(app: TestApp) {
    let server = Smtp::start();
    let transport = transport(server.port);
    let facts = MailFields {
        base_url: app.settings.base_url.clone(),
        programme: "Beta\r\nX-Programme: yes".to_owned(),
        member: "Eve\r\nBcc: victim@example.com\r\n\r\nDear customer".to_owned(),
        linode: "web\r\nBcc: victim@example.com\nX-Linode: yes\r\n\r\n<b>hello</b>".to_owned(),
        linode_id: Some(LinodeId(101)),
        reason: "no\r\n.\r\nMAIL FROM:<evil@example.com>\r\n".to_owned(),
        ..MailFields::default()
    };
    for kind in [MailKind::OfferReady, MailKind::Declined, MailKind::Approved] {
        app.transact_at(app.now(), PORTAL, |tx| {
            compose::post(tx, kind, ("eve@example.com", &facts), Extra::default())
        })
        .unwrap();
    }
    while round(&app, &transport) > 0 {}
    let mails = server.received();
    assert_eq!(mails.len(), 3, "and none more");
    for mail in &mails {
        assert_eq!(mail.from, "beta@lpm.example.net");
        assert_eq!(mail.to, ["eve@example.com"]);
        for header in ["Bcc", "X-Programme", "X-Linode"] {
            assert!(
                !mail.headers.contains_key(header),
                "{header}: {:?}",
                mail.headers
            );
        }
        assert!(!mail.headers["Subject"].contains(['\r', '\n']));
        assert!(!mail.html.contains("<b>hello"), "{}", mail.html);
    }
}

/// From "forgotten password" to a new one, by nothing but what the mail says.
fn a_reset_mail_works_once(app: TestApp) {
    let app = app.with_fleet().with_passwords();
    let from = Origin {
        address: "198.51.100.7",
        user_agent: "test",
        device: "",
    };
    let server = Smtp::start();
    let transport = transport(server.port);
    let signed_in = app
        .sign_in(MEMBER_EMAIL, PASSWORD, from)
        .unwrap()
        .and_then(Entry::whole)
        .expect("signs in");
    app.forgot_password(MEMBER_EMAIL, from).unwrap();
    app.forgot_password("nobody@example.com", from).unwrap();
    while round(&app, &transport) > 0 {}
    let mails = server.received();
    assert_eq!(mails.len(), 1, "nobody has no mail");
    let start = "https://lpm.example.net/password/reset/";
    let token: String = mails[0]
        .text
        .split(start)
        .nth(1)
        .expect("a link")
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    assert!(
        mails[0].html.contains(&format!("{start}{token}")),
        "the same link in both parts"
    );
    assert!(app.reset_is_good(&token).unwrap());
    app.reset_password(&token, "an entirely new password", from)
        .unwrap();
    assert!(
        app.visitor(&signed_in.token).unwrap().is_none(),
        "sessions of before have ended"
    );
    assert!(app.sign_in(MEMBER_EMAIL, PASSWORD, from).unwrap().is_none());
    assert!(
        app.sign_in(MEMBER_EMAIL, "an entirely new password", from)
            .unwrap()
            .is_some()
    );
    let again = app.reset_password(&token, "yet another password", from);
    assert!(matches!(again, Err(AppError::Conflict(_))), "once");

    app.forgot_password(MEMBER_EMAIL, from).unwrap();
    while round(&app, &transport) > 0 {}
    let late: String = server.received()[2]
        .text
        .split(start)
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    app.pass_s(11 * 60);
    assert!(!app.reset_is_good(&late).unwrap(), "ten minutes");
}

crate::both_databases! {
    fn registration(app: TestApp) { a_registration_is_told(app) }
    fn names_and_headers(app: TestApp) { a_name_is_never_a_header(app) }
    fn reset_mail(app: TestApp) { a_reset_mail_works_once(app) }
    fn mail_arrives_whole(app: TestApp) { arrives_whole(app) }
    fn greylisting(app: TestApp) { greylisted_then_taken_once(app) }
    fn no_such_mailbox(app: TestApp) { no_such_mailbox_is_final_and_holds_nobody_up(app) }
    fn server_down(app: TestApp) { waits_for_a_server_that_is_down(app) }
    fn slow_server(app: TestApp) { a_slow_server_makes_no_second_mail(app) }
    fn tries_apart(app: TestApp) { a_try_that_is_over_does_not_mark_the_next_one(app) }
    fn access_first(app: TestApp) { mail_of_access_goes_before_all_other(app) }
    fn two_portals(app: TestApp) { two_portals_send_each_mail_once(app) }
    fn crash_half_way(app: TestApp) { a_crash_half_way_repeats_under_the_same_id(app) }
    fn reset_links(app: TestApp) { a_reset_link_leaves_the_outbox_with_its_mail(app) }
}

#[test]
fn starttls_with_a_password_and_nothing_without() {
    let app = TestApp::new(crate::support::On::Sqlite);
    let server = Smtp::with_tls();
    let good = SmtpSettings {
        security: SmtpSecurity::StartTls,
        username: Some("beta".to_owned()),
        password: Some("secret".to_owned()),
        root_certificate: server.certificate.clone(),
        ..settings(server.port)
    };
    let unknown_authority = SmtpSettings {
        root_certificate: None,
        ..good.clone()
    };
    let wrong_password = SmtpSettings {
        password: Some("guess".to_owned()),
        ..good.clone()
    };
    let plain = settings(server.port);
    post(&app, MailKind::Approved, "zoe@example.com");
    for (bad, said) in [
        (unknown_authority, "certificate"),
        (wrong_password, "535"),
        (plain, "530"),
    ] {
        round(&app, &SmtpTransport::new(&bad).unwrap());
        let row = &outbox_rows(&app)[0];
        // Ours to mend, not the reader's fault: the mail waits.
        assert_eq!(row.state, "pending");
        assert!(
            row.error.to_lowercase().contains(said),
            "{said}: {}",
            row.error
        );
        app.pass_s(3600);
    }
    assert_eq!(round(&app, &SmtpTransport::new(&good).unwrap()), 1);
    let mails = server.received();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].encrypted);
}
