//! People's things: passwords, sessions, tokens, mails, questions; and the tokens and credentials of hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use xenbeta::app::App;
use xenbeta::app::account::sign_in::{Origin, Visitor};
use xenbeta::app::account::tokens::Wish;
use xenbeta::app::context::{Agent, PORTAL};
use xenbeta::app::error::AppError;
use xenbeta::app::faq::{Answer, EntryText};
use xenbeta::app::host::AddHost;
use xenbeta::domain::account::TokenScope;
use xenbeta::domain::host::HostRole;
use xenbeta::domain::ids::{MailId, UserId};
use xenbeta::domain::mail::MailKind;
use xenbeta::domain::markdown::{Markdown, Title};
use xenbeta::domain::platform::Platform;
use xenbeta::domain::values::Label;
use xenbeta::store;
use xenbeta::store::account::session::NewSession;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;
use xenbeta::store::mail::Taken;
use xenbeta::wire::Enrol;

use super::judge::{count, mails};
use super::{RACERS, Race, same};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, UML2, WEB};
use crate::support::memory::take_mails;

super::rows![
    a_link_for_a_password,
    links_asked_for,
    a_session_ended,
    a_token_made,
    the_last_token,
    a_token_revoked,
    mails_chosen,
    mails_taken,
    a_mail_tried_again,
    mails_tried_again,
    a_mail_that_took_anothers_number,
    a_question_asked,
    a_question_answered,
    a_host_added,
    a_host_enrolled,
    a_credential_renewed,
];

fn from() -> Origin<'static> {
    Origin {
        address: "198.51.100.7",
        user_agent: "a browser",
    }
}

/// The one use of a link; hashing passwords is not what is raced for.
fn a_link_for_a_password(app: &TestApp) -> Race<'_> {
    let now = app.now();
    let put = |conn: &mut Db| {
        store::account::reset::insert_reset(conn, "h", UserId(1), now, now.plus_s(600))
    };
    app.db.write(put).unwrap();
    Race::of(move |portal, _| {
        let used = portal
            .db
            .write(|conn| store::account::reset::use_reset(conn, "h", now))?;
        Ok(used == Some(UserId(1)))
    })
    .won_by(1)
}

fn links_asked_for(app: &TestApp) -> Race<'_> {
    Race::of(|portal: &App, _| portal.forgot_password(MEMBER_EMAIL, from()).map(|()| true))
        .won_by(RACERS)
        .then(|| [same("links", mails(app, "password_reset"), 5)])
}

fn a_session_ended(app: &TestApp) -> Race<'_> {
    let now = app.now();
    let session = |hash: &'static str| NewSession {
        hash,
        user_id: UserId(1),
        created_at: now,
        seen_at: now,
        expires_at: now.plus_s(3600),
        address: "",
        user_agent: "",
    };
    let (mine, other) = app
        .db
        .write(|conn| {
            let mine = store::account::session::insert_session(conn, &session("one"))?;
            Ok::<_, StoreError>((
                mine,
                store::account::session::insert_session(conn, &session("two"))?,
            ))
        })
        .unwrap();
    let all = app
        .in_db(|conn| store::account::session::sessions_of(conn, UserId(1), now, now.plus_s(-60)));
    let visitor = Visitor {
        session: all.into_iter().find(|it| it.id == mine).unwrap(),
        user: app
            .in_db(|conn| store::account::user(conn, UserId(1)))
            .unwrap(),
    };
    Race::of(move |portal, _| Ok(portal.end_sessions(&visitor, Some(other), "")? == 1))
        .won_by(1)
        .noted("sessions.end", 1)
}

fn wish(form: String) -> Wish {
    Wish {
        label: Label::parse("backups").unwrap(),
        scope: TokenScope::ReadOnly,
        days: None,
        form,
    }
}

fn a_token_made(app: &TestApp) -> Race<'_> {
    let member = app.member();
    Race::of(move |portal, _| {
        Ok(portal
            .make_token(&member, &wish("one".to_owned()))?
            .is_some())
    })
    .won_by(1)
    .noted("token.make", 1)
}

fn the_last_token(app: &TestApp) -> Race<'_> {
    let member = app.member();
    for n in 0..24 {
        app.make_token(&member, &wish(format!("before {n}")))
            .unwrap();
    }
    Race::of(move |portal, n| {
        Ok(portal
            .make_token(&member, &wish(format!("form {n}")))?
            .is_some())
    })
    .won_by(1)
    .noted("token.make", 1)
}

fn a_token_revoked(app: &TestApp) -> Race<'_> {
    let member = app.member();
    app.make_token(&member, &wish("one".to_owned())).unwrap();
    let id = app.in_db(|conn| store::account::tokens::of_user(conn, UserId(1)))[0].id;
    Race::of(move |portal, _| portal.revoke_token(&member, id).map(|()| true))
        .won_by(RACERS)
        .noted("token.revoke", 1)
}

/// Five mails, and their numbers.
fn five_mails(app: &TestApp, state: &str) -> Vec<MailId> {
    let at = app.now().utc().format("%Y-%m-%dT%H:%M:%S%.6fZ");
    for _ in 0..5 {
        app.run_sql(&format!(
            "INSERT INTO outbox (kind, recipient, subject, text_body, html_body, state, attempts, next_at, last_error, created_at) \
             VALUES ('approved', '{MEMBER_EMAIL}', 's', 't', 'h', '{state}', 0, '{at}', '', '{at}')"
        ));
    }
    let filter = store::mail::MailFilter::default();
    let rows = app.in_db(|conn| store::mail::list(conn, &filter, None, 10));
    rows.into_iter().map(|row| row.id).collect()
}

fn mails_chosen(app: &TestApp) -> Race<'_> {
    let member = app.member();
    Race::of(move |portal, n| {
        let wanted = [MailKind::Approved, MailKind::Declined];
        let wanted = &wanted[n % 2..][..1];
        portal.choose_mails(&member, wanted).map(|()| true)
    })
    .won_by(RACERS)
}

fn mails_taken(app: &TestApp) -> Race<'_> {
    five_mails(app, "pending");
    let now = app.now();
    let all = Arc::new(AtomicUsize::new(0));
    let sum = Arc::clone(&all);
    Race::of(move |portal, _| {
        let took = portal
            .db
            .write(|conn| take_mails(conn, (now, now.plus_s(300)), 3))?;
        sum.fetch_add(took.len(), Ordering::SeqCst);
        Ok(!took.is_empty())
    })
    .then(move || [same("taken", all.load(Ordering::SeqCst), 5)])
}

fn a_mail_tried_again(app: &TestApp) -> Race<'_> {
    let (staff, id) = (app.staff(), five_mails(app, "failed")[0]);
    Race::of(move |portal, _| portal.retry_mail(&staff, id).map(|()| true))
        .won_by(RACERS)
        .noted("mail.retry", 1)
}

fn mails_tried_again(app: &TestApp) -> Race<'_> {
    let staff = app.staff();
    five_mails(app, "failed");
    Race::of(move |portal, _| Ok(portal.retry_mails(&staff, "", 5)? == 5))
        .won_by(1)
        .noted("mail.retry", 1)
}

/// SQLite gives numbers of deleted rows again: a mailer that was slow must not mark the mail that has its number now.
fn a_mail_that_took_anothers_number(app: &TestApp) -> Race<'_> {
    let now = app.now();
    five_mails(app, "pending");
    let take = |conn: &mut Db| take_mails(conn, (now.plus_s(1), now.plus_s(300)), 5);
    let slow = app.db.write(take).unwrap();
    let slow: Vec<Taken> = slow.iter().map(Taken::from).collect();
    app.run_sql("DELETE FROM outbox");
    app.register(&app.member(), &[WEB]).unwrap();
    Race::of(move |portal, n| {
        let of = slow[n % slow.len()];
        let mark = |conn: &mut _| match n % 2 {
            0 => store::mail::mark_sent(conn, of, now),
            _ => store::mail::mark_failed(conn, of, "no", None),
        };
        portal
            .db
            .write(|conn| Ok::<_, AppError>(mark(conn)?))
            .map(|()| true)
    })
    .then(|| {
        [same(
            "waiting",
            count(app, "outbox WHERE state = 'pending'"),
            1,
        )]
    })
}

fn a_question_asked(app: &TestApp) -> Race<'_> {
    let (member, text) = (app.member(), Markdown::parse("Why Xen?", 100).unwrap());
    Race::of(move |portal, _| portal.ask(&member, &text, "the-one-form").map(|_| true))
        .won_by(RACERS)
        .noted("question asked", 1)
}

/// For everybody, and for who asked, at once: the second one is told who was faster.
fn a_question_answered(app: &TestApp) -> Race<'_> {
    let staff = app.staff();
    let text = |text: &str| Markdown::parse(text, 1000).unwrap();
    let id = app
        .ask(&app.member(), &text("Why Xen?"), "the-one-form")
        .unwrap();
    let private = Answer::Private(text("Because."));
    let public = Answer::Entry(EntryText {
        question: Title::parse("Why Xen?").unwrap(),
        answer: text("Because."),
        dated_at: app.now(),
    });
    Race::of(move |portal, n| {
        let answer = if n % 2 == 0 { &private } else { &public };
        portal.answer_question(&staff, id, answer).map(|_| true)
    })
    .noted("question answered", 1)
    .then(|| [same("mails", mails(app, "question_answered"), 1)])
}

fn a_host_added(_: &TestApp) -> Race<'_> {
    Race::of(|portal: &App, _| {
        let new = AddHost {
            name: "uml9".to_owned(),
            platform: Platform::Uml,
            role: HostRole::Source,
            plan: None,
            memory_mb: 1024,
            disk_mb: 1024,
            slots: 2,
            cap_mb_s: None,
        };
        portal.add_host(PORTAL, &new).map(|_| true)
    })
    .won_by(1)
    .noted("host.add", 1)
}

fn a_host_enrolled(app: &TestApp) -> Race<'_> {
    let token = app.new_enrolment_token(PORTAL, UML2).unwrap();
    Race::of(move |portal, _| {
        let ask = Enrol {
            token: token.clone(),
            platform: Platform::Uml,
            agent_version: "1".to_owned(),
            fingerprint: "2".repeat(64),
            transfer_address: "127.0.0.1:7002".to_owned(),
            ledger: None,
        };
        portal.enrol(&ask, "192.0.2.9").map(|_| true)
    })
    .won_by(1)
    .noted("agent.enrol", 1)
}

fn a_credential_renewed(app: &TestApp) -> Race<'_> {
    let agent: Agent = crate::support::hand::agent(UML2);
    let new = app.rotate_credential(&agent).unwrap().credential;
    Race::of(move |portal, _| Ok(portal.agent(&new)?.is_some())).won_by(RACERS)
}
