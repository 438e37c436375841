//! People's things: passwords, sessions, tokens, mails, questions; and the tokens and credentials of hosts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use xenbeta::app::App;
use xenbeta::app::account::sign_in::{Origin, Visitor};
use xenbeta::app::account::tokens::Wish;
use xenbeta::app::context::{Agent, PORTAL};
use xenbeta::app::error::AppError;
use xenbeta::app::faq::{Answer, EntryText};
use xenbeta::app::host::AddHost;
use xenbeta::app::secrets;
use xenbeta::domain::account::{StaffRole, TokenScope};
use xenbeta::domain::host::HostRole;
use xenbeta::domain::ids::{MailId, UserId};
use xenbeta::domain::mail::MailKind;
use xenbeta::domain::markdown::{Markdown, Title};
use xenbeta::domain::platform::Platform;
use xenbeta::domain::second_factor::Key;
use xenbeta::domain::values::Label;
use xenbeta::store;
use xenbeta::store::account::reset::NewReset;
use xenbeta::store::account::session::NewSession;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;
use xenbeta::store::mail::Taken;
use xenbeta::wire::Enrol;

use super::begin::two_staff;
use super::judge::{count, mails};
use super::{RACERS, Race, same, so};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, PASSWORD, UML2, WEB};
use crate::support::memory::take_mails;

const MIA: UserId = UserId(1);

super::rows![
    a_link_for_a_password,
    links_asked_for,
    a_password_changed,
    a_password_changed_and_reset,
    sign_ins_while_a_password_changes,
    tokens_made_while_a_password_changes,
    a_code_used,
    a_recovery_code_used,
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
    two_owners_who_take_each_others_role,
    two_owners_who_take_each_others_access,
];

fn from() -> Origin<'static> {
    Origin {
        address: "198.51.100.7",
        user_agent: "a browser",
        device: "",
    }
}

fn link_of<'a>(app: &TestApp, hash: &'a str) -> NewReset<'a> {
    NewReset {
        hash,
        user_id: MIA,
        created_at: app.now(),
        expires_at: app.now().plus_s(600),
        asker: "",
    }
}

/// The one use of a link; hashing passwords is not what is raced for.
fn a_link_for_a_password(app: &TestApp) -> Race<'_> {
    let now = app.now();
    let put = |conn: &mut Db| store::account::reset::insert_reset(conn, &link_of(app, "h"));
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

/// Mia with a password, and as many sessions as asked for.
fn signed_in(app: &TestApp, sessions: usize) -> Vec<Visitor> {
    two_staff(app);
    let now = app.now();
    let begin = |conn: &mut Db| {
        for n in 0..sessions {
            let new = NewSession {
                hash: &format!("session {n}"),
                user_id: MIA,
                created_at: now,
                seen_at: now,
                expires_at: now.plus_s(3600),
                address: "",
                user_agent: "",
                proved_at: Some(now),
            };
            store::account::session::insert_session(conn, &new)?;
        }
        Ok::<_, StoreError>(())
    };
    app.db.write(begin).unwrap();
    let user = app
        .in_db(|conn| store::account::user(conn, MIA))
        .expect("she is there");
    app.in_db(|conn| store::account::session::sessions_of(conn, MIA, now, now.plus_s(-60)))
        .into_iter()
        .map(|session| Visitor {
            session,
            user: user.clone(),
            owes: None,
        })
        .collect()
}

fn sessions_left(app: &TestApp) -> i64 {
    count(app, "sessions WHERE user_id = 1")
}

fn tokens_left(app: &TestApp) -> i64 {
    count(app, "api_tokens WHERE user_id = 1 AND revoked_at IS NULL")
}

/// Eight know the old password: one of them changes it.
fn a_password_changed(app: &TestApp) -> Race<'_> {
    let visitors = signed_in(app, 8);
    Race::of(move |portal, n| {
        let Some(visitor) = visitors.get(n) else {
            return Ok(false);
        };
        let new = format!("{n} is quite another one");
        portal
            .change_password(visitor, PASSWORD, &new, &format!("192.0.2.{n}"))
            .map(|_| true)
    })
    .won_by(1)
    .noted("password.change", 1)
    .then(|| [same("sessions", sessions_left(app), 1)])
}

/// Four change it and four have links: one of the eight sets it, and what it set stays.
fn a_password_changed_and_reset(app: &TestApp) -> Race<'_> {
    let visitors = signed_in(app, 4);
    let links: Vec<String> = (0..4).map(|n| format!("link {n}")).collect();
    let put = |conn: &mut Db| {
        for link in &links {
            let hash = secrets::hash(secrets::purpose::RESET, link);
            store::account::reset::insert_reset(conn, &link_of(app, &hash))?;
        }
        Ok::<_, StoreError>(())
    };
    app.db.write(put).unwrap();
    let set = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&set);
    Race::of(move |portal, n| {
        let new = format!("{n} is quite another one");
        let done = match (visitors.get(n), links.get(n.wrapping_sub(4))) {
            (Some(visitor), _) => portal
                .change_password(visitor, PASSWORD, &new, &format!("192.0.2.{n}"))
                .map(drop),
            (None, Some(link)) => portal.reset_password(link, &new, from()),
            (None, None) => return Ok(false),
        };
        done.map(|()| {
            noted.lock().unwrap().push(new);
            true
        })
    })
    .won_by(1)
    .then(move || {
        let user = app.in_db(|conn| store::account::user(conn, MIA)).unwrap();
        let set = set.lock().unwrap();
        let stays = (set.iter()).all(|new| {
            app.hasher
                .verify(new, user.password_hash.as_deref())
                .unwrap()
        });
        [
            so("what was set stays", stays),
            so(
                "no link is left",
                count(app, "password_resets WHERE used_at IS NULL") == 0,
            ),
        ]
    })
}

/// Whoever has the old password keeps signing in while it is changed.
fn sign_ins_while_a_password_changes(app: &TestApp) -> Race<'_> {
    let visitor = signed_in(app, 1).remove(0);
    Race::of(move |portal, n| {
        let address = format!("192.0.2.{n}");
        if n == 0 {
            let new = "quite another one";
            let done = portal.change_password(&visitor, PASSWORD, new, &address);
            return done.map(|_| true);
        }
        let from = Origin {
            address: &address,
            ..from()
        };
        portal.sign_in(MEMBER_EMAIL, PASSWORD, from).map(|_| false)
    })
    .won_by(1)
    .then(|| [same("sessions", sessions_left(app), 1)])
}

/// And makes tokens by a session that ends with it.
fn tokens_made_while_a_password_changes(app: &TestApp) -> Race<'_> {
    let mut visitors = signed_in(app, 2);
    let (mine, theirs) = (visitors.remove(0), visitors.remove(0));
    Race::of(move |portal, n| {
        if n == 0 {
            let done = portal.change_password(&mine, PASSWORD, "quite another one", "");
            return done.map(|_| true);
        }
        let wish = wish(format!("form {n}"));
        portal.make_token(&theirs.actor(""), &wish).map(|_| false)
    })
    .won_by(1)
    .then(|| [same("tokens", tokens_left(app), 0)])
}

/// Whose code is waited for in as many places as there are racers: by a key, and with recovery codes.
fn wait_for_code(app: &TestApp) -> (Key, Vec<String>) {
    let visitor = signed_in(app, 1).remove(0);
    let actor = visitor.actor("");
    let setup = app.new_second_factor(&actor).unwrap();
    let code = setup.key.shown_at(app.now());
    let codes = app.set_second_factor(&actor, &setup, &code).unwrap();
    app.pass_s(60);
    let until = app.now().plus_s(600);
    let halves = |conn: &mut Db| {
        for n in 0..RACERS {
            let hash = secrets::hash(secrets::purpose::HALF, &format!("half {n}"));
            store::account::second_factor::insert_half(conn, &hash, MIA, until)?;
        }
        Ok::<_, StoreError>(())
    };
    app.db.write(halves).unwrap();
    (setup.key, codes)
}

fn one_code(code: String) -> impl Fn(&App, usize) -> Result<bool, AppError> {
    move |portal, n| {
        let entered = portal.sign_in_by_code(&format!("half {n}"), &code, from())?;
        Ok(entered.is_some())
    }
}

fn a_code_used(app: &TestApp) -> Race<'_> {
    let (key, _) = wait_for_code(app);
    Race::of(one_code(key.shown_at(app.now())))
        .won_by(1)
        .then(|| [same("sessions", sessions_left(app), 2)])
}

fn a_recovery_code_used(app: &TestApp) -> Race<'_> {
    let (_, codes) = wait_for_code(app);
    Race::of(one_code(codes[0].clone())).won_by(1).then(|| {
        [
            same("sessions", sessions_left(app), 2),
            same("codes", count(app, "recovery_codes"), 9),
        ]
    })
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
        proved_at: Some(now),
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
        owes: None,
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

fn owners(app: &TestApp) -> i64 {
    app.in_db(store::account::page::count_able_owners)
}

fn two_owners_who_take_each_others_role(app: &TestApp) -> Race<'_> {
    two_staff(app);
    let (sam, sue) = (app.staff(), app.second_staff());
    Race::of(move |portal: &App, n| {
        let (one, other) = if n.is_multiple_of(2) {
            (&sam, &sue)
        } else {
            (&sue, &sam)
        };
        portal.set_staff_role(one, other.user, (StaffRole::Owner, StaffRole::Viewer))
    })
    .won_by(1)
    .noted("staff.role", 1)
    .then(|| {
        [
            same("owners", owners(app), 1),
            same("mails", mails(app, "role_changed"), 1),
        ]
    })
}

fn two_owners_who_take_each_others_access(app: &TestApp) -> Race<'_> {
    two_staff(app);
    let (sam, sue) = (app.staff(), app.second_staff());
    Race::of(move |portal: &App, n| {
        let (one, other) = if n.is_multiple_of(2) {
            (&sam, &sue)
        } else {
            (&sue, &sam)
        };
        portal
            .set_user_disabled(one, other.user, true)
            .map(|()| true)
    })
    .noted("user", 1)
    .then(|| [same("owners", owners(app), 1)])
}
