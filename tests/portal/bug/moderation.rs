//! What staff hide of the board, what they and others are told of it in bounded mails, and names in all alphabets.

use xenbeta::app::bug::Report;
use xenbeta::app::bug::moderation::Reason;
use xenbeta::app::error::AppError;
use xenbeta::domain::bug::attachment::Attachment;
use xenbeta::domain::bug::{Component, Part};
use xenbeta::domain::ids::{BugFileId, BugId, BugPostId};
use xenbeta::domain::mail::{MailKind, MailState};
use xenbeta::domain::markdown::{Markdown, Title};
use xenbeta::store;
use xenbeta::store::db::Database;
use xenbeta::store::error::StoreError;
use xenbeta::store::schema_migrations;

use crate::both_databases;
use crate::browser::Site;
use crate::races::judge::count;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL};
use crate::support::memory::take_mails;

const OTHER_EMAIL: &str = "otto@example.com";

fn text(text: &str) -> Markdown {
    Markdown::required(text, 10_000, "a text").unwrap()
}

fn opened(app: &TestApp, title: &str, happened: &str, files: Vec<Attachment>) -> BugId {
    let once: String = title.chars().filter(char::is_ascii_alphanumeric).collect();
    let report = Report {
        title: Title::parse(title).unwrap(),
        happened: text(happened),
        expected: Markdown::default(),
        reproduce: Markdown::default(),
        component: Component::Network,
        linode: None,
        migration: None,
        keep: Vec::new(),
        seen: String::new(),
        files,
        once: format!("{once}-once-once"),
    };
    app.open_bug(&app.member(), &report).unwrap()
}

fn file(name: &str) -> Attachment {
    Attachment::parse(name, b"<6>Linux".to_vec()).unwrap()
}

/// Who got a mail of this kind, in order, with subject and text.
fn mails(app: &TestApp, kind: MailKind) -> Vec<(String, String)> {
    use diesel::prelude::*;
    use xenbeta::store::schema::outbox;
    app.in_db(|conn| {
        let rows: Vec<(String, String, String)> = outbox::table
            .filter(outbox::kind.eq(kind.to_string()))
            .order(outbox::id)
            .select((outbox::recipient, outbox::subject, outbox::text_body))
            .load(conn)?;
        Ok::<_, StoreError>(
            rows.into_iter()
                .map(|(to, subject, text)| (to, format!("{subject}\n{text}")))
                .collect(),
        )
    })
}

fn to(app: &TestApp, kind: MailKind) -> Vec<String> {
    mails(app, kind).into_iter().map(|(to, _)| to).collect()
}

fn reply(app: &TestApp, id: BugId, body: &str, files: &[Attachment]) -> BugPostId {
    let once: String = body.chars().filter(char::is_ascii_alphanumeric).collect();
    app.reply_to_bug(
        &app.other_member(),
        id,
        &text(body),
        files,
        (&format!("{once}-once-once"), false),
    )
    .unwrap();
    app.in_db(|conn| store::bug::posts(conn, id, BugPostId(0), 1000))
        .last()
        .unwrap()
        .id
}

both_databases! {
    fn a_hidden_reply_is_for_staff_alone(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let id = opened(&app, "Login fails", "It stopped.", Vec::new());
        let post = reply(&app, id, "My password is hunterzwei", &[file("boot.log")]);
        reply(&app, id, "Another reply", &[]);
        app.tell_news().unwrap();
        assert!(mails(&app, MailKind::BugReply).iter().any(|(_, text)| text.contains("hunterzwei")));
        let site = Site::serve(&app.app);
        let (mut mia, mut otto, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(OTHER_EMAIL), site.signed_in(STAFF_EMAIL));
        let (url, log) = (format!("/members/bugs/{id}"), otto.get(&format!("/members/bugs/{id}")).link("boot.log"));
        mia.get("/members/bugs?q=hunterzwei").shows(&["Login fails"]);
        // A reason is asked for, and nothing is hidden without.
        let thread = staff.get(&format!("/staff/bugs/{id}"));
        let question = staff.get(&thread.link(&format!("Hide reply {post}")));
        let refused = staff.submit(&question, "Hide it", &[("reason", " ")]);
        assert_eq!(refused.status, 422);
        refused.says(&["Say why"]);
        let done = staff.submit(&question, "Hide it", &[("reason", "It showed a password.")]);
        staff.follow(&done).shows(&["It is hidden", "Hidden by Sam (staff)", "It showed a password.", "hunterzwei"]);
        assert_eq!(staff.submit(&question, "Hide it", &[("reason", "Another reason")]).status, 303, "twice is once");
        // Others see that something was hidden; who wrote it sees why; neither sees the text or the file.
        mia.get(&url).shows(&["Hidden by our staff", "Another reply"]).hides(&["hunterzwei", "It showed a password.", "Sam", "boot.log"]);
        otto.get(&url).shows(&["Hidden by our staff", "It showed a password."]).hides(&["hunterzwei", "boot.log", "Another reason"]);
        assert_eq!(otto.get(&log).status, 404);
        assert_eq!(staff.get(&log.replace("members", "staff")).status, 200);
        for path in ["/members/bugs?q=hunterzwei", "/members/bugs/new?title=hunterzwei", "/staff/bugs?q=hunterzwei"] {
            mia.get(path).hides(&["Login fails"]);
        }
        mia.get("/members/bugs?q=another").shows(&["Login fails"]);
        // Mail that still waited has lost the text, not the news.
        let told = mails(&app, MailKind::BugReply);
        assert_eq!(told.len(), 1);
        assert!(!told[0].1.contains("hunterzwei") && told[0].1.contains("There are new replies") && told[0].1.contains(&url), "{told:?}");
        // What comes later does not tell of it either.
        app.pass_s(600);
        reply(&app, id, "A third reply", &[]);
        app.tell_news().unwrap();
        assert!(!mails(&app, MailKind::BugReply).iter().any(|(_, text)| text.contains("hunterzwei")));
        // Shown again, it is as it was.
        let thread = staff.get(&format!("/staff/bugs/{id}"));
        let done = staff.submit(&thread, &format!("Show reply {post} again"), &[]);
        staff.follow(&done).shows(&["It is shown again"]);
        otto.get(&url).shows(&["hunterzwei", "boot.log"]).hides(&["Hidden by"]);
        mia.get("/members/bugs?q=hunterzwei").shows(&["Login fails"]);
        let trail = staff.get(&format!("/staff/audit?object=bug%20{id}"));
        trail.shows(&["bug part hidden", "It showed a password.", "bug part shown again"]);
        // Members hide nothing, and no part of another bug.
        let other = opened(&app, "other", "x", Vec::new());
        let why = Reason::parse("why").unwrap();
        assert!(app.hide_of_bug(&app.member(), id, Part::Post(post), &why).is_err());
        assert!(app.hide_of_bug(&app.staff(), other, Part::Post(post), &why).is_err());
        assert_eq!(staff.get(&format!("/staff/bugs/{other}/hide?part=post-{post}")).status, 404);
        assert_eq!(staff.get(&format!("/staff/bugs/{id}/hide?part=post-{post}&do=delete")).status, 400);
    }

    fn a_hidden_opening_leaves_lists_and_titles(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let id = opened(&app, "Buy zanzibar pills", "Cheap quokka pills.", vec![file("pills.log")]);
        reply(&app, id, "What is this?", &[]);
        app.hide_of_bug(&app.staff(), id, Part::Opening, &Reason::parse("Advertising.").unwrap()).unwrap();
        let site = Site::serve(&app.app);
        let (mut mia, mut otto, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(OTHER_EMAIL), site.signed_in(STAFF_EMAIL));
        let url = format!("/members/bugs/{id}");
        otto.get("/members/bugs").shows(&["There are none."]);
        for path in ["/members/bugs?q=quokka", "/members/bugs?q=this", "/members/bugs/new?title=quokka+pills", "/members/bugs?who=hits"] {
            otto.get(path).hides(&["zanzibar", &url]);
        }
        otto.get(&url).shows(&["hidden by our staff", "What is this?"]).hides(&["zanzibar", "quokka", "Advertising", "pills.log"]);
        mia.get("/members/bugs").shows(&["hidden by our staff"]).hides(&["zanzibar"]);
        mia.get(&url).shows(&["Advertising."]).hides(&["zanzibar", "quokka", "pills.log"]);
        assert_eq!(mia.get(&format!("{url}/files/1")).status, 404);
        staff.get("/staff/bugs").shows(&["zanzibar", "(hidden)"]);
        staff.get(&format!("/staff/bugs/{id}")).shows(&["zanzibar", "quokka", "pills.log", "Advertising."]);
        // Titles do not come back by links or mails.
        let other = opened(&app, "Spam again", "x", Vec::new());
        let bug = app.in_db(|conn| store::bug::bug(conn, other)).unwrap();
        app.triage_bug(&app.staff(), other, &xenbeta::app::bug::triage::Decision {
            state: xenbeta::domain::bug::BugState::Duplicate, severity: bug.severity, component: bug.component, duplicate_of: Some(id), version: bug.version,
        }).unwrap();
        otto.get(&format!("/members/bugs/{other}")).shows(&[&format!("Bug {id}")]).hides(&["zanzibar"]);
        app.tell_news().unwrap();
        for kind in [MailKind::BugReply, MailKind::BugState] {
            for (to, text) in mails(&app, kind) {
                assert!(to == STAFF_EMAIL || !text.contains("zanzibar"), "{to}: {text}");
            }
        }
        app.show_of_bug(&app.staff(), id, Part::Opening).unwrap();
        otto.get("/members/bugs?q=quokka").shows(&["Buy zanzibar pills"]);
    }

    /// A mailer may have handed it over and been killed before it could say so.
    fn a_mail_in_hand_keeps_its_row_and_does_not_go_again(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let id = opened(&app, "Buy zanzibar pills", "Cheap.", Vec::new());
        let bug = app.in_db(|conn| store::bug::bug(conn, id)).unwrap();
        app.triage_bug(&app.staff(), id, &xenbeta::app::bug::triage::Decision {
            state: xenbeta::domain::bug::BugState::NotABug, severity: bug.severity, component: bug.component, duplicate_of: None, version: bug.version,
        }).unwrap();
        app.pass_s(3600);
        app.tell_news().unwrap();
        let now = app.now();
        let taken: Vec<_> = app.db.write(|conn| take_mails(conn, (now, now.plus_s(300)), 100)).unwrap();
        let told = taken.iter().find(|mail| mail.kind == "bug_state").expect("its author is told");
        app.hide_of_bug(&app.staff(), id, Part::Opening, &Reason::parse("Advertising.").unwrap()).unwrap();
        let kept = app.in_db(|conn| store::mail::mail(conn, told.id)).expect("who reads the outbox sees that there was one");
        assert_eq!((kept.state, kept.text_body.as_str(), kept.subject.as_str()), (MailState::Failed, "", "Hidden"));
        assert!(matches!(app.retry_mail(&app.staff(), told.id), Err(AppError::Conflict(_))), "nothing is left to be sent");
        // The mailer lives, and says that it was taken.
        app.db.write(|conn| store::mail::mark_sent(conn, told.into(), now)).unwrap();
        assert_eq!(app.in_db(|conn| store::mail::mail(conn, told.id)).unwrap().state, MailState::Sent);
    }

    fn a_file_is_hidden_and_then_deleted(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let id = opened(&app, "With a file", "x", vec![file("secret.log"), file("fine.log")]);
        let files = app.in_db(|conn| store::bug::files::of_bug(conn, id));
        let part = files[0].id;
        let site = Site::serve(&app.app);
        let (mut mia, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        // Not deleted while it is shown.
        assert!(app.delete_bug_file(&app.staff(), id, part).is_err());
        let thread = staff.get(&format!("/staff/bugs/{id}"));
        let question = staff.get(&thread.link("Hide secret.log"));
        staff.submit(&question, "Hide it", &[("reason", "A key is in it.")]);
        mia.get(&format!("/members/bugs/{id}")).shows(&["fine.log", "A key is in it."]).hides(&["secret.log"]);
        assert_eq!(mia.get(&format!("/members/bugs/{id}/files/{part}")).status, 404);
        assert_eq!(mia.get(&format!("/members/bugs/{id}/files/{}", files[1].id)).status, 200);
        let thread = staff.get(&format!("/staff/bugs/{id}"));
        let question = staff.get(&thread.link("Delete secret.log"));
        question.shows(&["Nobody can see or restore it"]);
        let done = staff.submit(&question, "Delete it", &[]);
        staff.follow(&done).shows(&["The file is deleted."]).hides(&["secret.log"]);
        assert_eq!(staff.submit(&question, "Delete it", &[]).status, 303, "twice is once");
        assert_eq!(staff.get(&format!("/staff/bugs/{id}/files/{part}")).status, 404);
        assert!(app.in_db(|conn| store::bug::files::content(conn, id, BugFileId(part.0))).is_none());
        assert!(app.delete_bug_file(&app.member(), id, part).is_err());
    }

    fn a_storm_of_replies_is_few_mails(app: TestApp) {
        let app = app.with_fleet();
        let id = opened(&app, "Popular", "x", Vec::new());
        // 130 more members are hit by it: more than one transaction writes to.
        let mut sql = String::new();
        let at = "'2026-01-01T00:00:00.000000Z'";
        for n in 1000..1130 {
            sql.push_str(&format!("INSERT INTO users (id, account_id, email, name, role, timezone, disabled, created_at) VALUES ({n}, 1, 'u{n}@example.org', 'U', 'member', 'UTC', FALSE, {at}); INSERT INTO bug_hits (bug_id, user_id, at) VALUES ({id}, {n}, {at});"));
        }
        sql.push_str("INSERT INTO muted_mails (user_id, kind) VALUES (1000, 'bug_reply'); UPDATE users SET disabled = TRUE WHERE id = 1001;");
        app.sql(&sql);
        reply(&app, id, "first", &[]);
        let done = app.tell_news().unwrap();
        assert!(done >= 4, "{done}");
        assert_eq!(to(&app, MailKind::BugReply).len(), 129, "each once; not who is muted, disabled or wrote it");
        // Many more at once: nothing before the time, then one mail with all of them.
        for n in 0..30 {
            reply(&app, id, &format!("storm {n}"), &[]);
            app.tell_news().unwrap();
        }
        assert_eq!(to(&app, MailKind::BugReply).len(), 129);
        app.pass_s(600);
        app.tell_news().unwrap();
        app.tell_news().unwrap();
        let told = mails(&app, MailKind::BugReply);
        assert_eq!(told.len(), 258);
        let (_, last) = told.last().unwrap();
        assert!(last.contains("storm 0") && last.contains("storm 9") && last.contains("wrote:"), "{last}");
        // Nothing is told twice.
        app.pass_s(6000);
        app.tell_news().unwrap();
        assert_eq!(to(&app, MailKind::BugReply).len(), 258);
    }

    fn staff_hear_of_new_bugs_in_few_mails(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.sql("INSERT INTO users (id, email, name, role, staff_role, timezone, disabled, created_at) VALUES (50, 'sue@example.com', 'Sue', 'staff', 'support', 'UTC', FALSE, '2026-01-01T00:00:00.000000Z'); INSERT INTO muted_mails (user_id, kind) VALUES (50, 'bug_opened');");
        let one = opened(&app, "First", "x", Vec::new());
        app.tell_news().unwrap();
        let told = mails(&app, MailKind::BugOpened);
        assert_eq!(told.len(), 1);
        assert!(told[0].0 == STAFF_EMAIL && told[0].1.contains(&format!("New bug {one}: First")) && told[0].1.contains(&format!("/staff/bugs/{one}")), "{told:?}");
        for n in 0..5 {
            opened(&app, &format!("Many {n}"), "x", Vec::new());
            app.tell_news().unwrap();
        }
        assert_eq!(to(&app, MailKind::BugOpened).len(), 1, "not before a quarter of an hour");
        app.pass_s(900);
        app.tell_news().unwrap();
        app.tell_news().unwrap();
        let told = mails(&app, MailKind::BugOpened);
        assert_eq!(told.len(), 2);
        assert!(told[1].1.contains("5 new bugs") && told[1].1.contains("Many 0") && told[1].1.contains("Many 4"), "{told:?}");
        // Staff choose it; members are not asked.
        let site = Site::serve(&app.app);
        site.signed_in(STAFF_EMAIL).get("/members/accounts").shows(&["Members have opened bugs"]);
        site.signed_in(MEMBER_EMAIL).get("/members/accounts").hides(&["Members have opened bugs"]);
    }

    fn a_form_changed_after_it_was_sent_is_not_lost(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let id = opened(&app, "Back button", "x", Vec::new());
        let site = Site::serve(&app.app);
        let mut mia = site.signed_in(MEMBER_EMAIL);
        let thread = mia.get(&format!("/members/bugs/{id}"));
        assert_eq!(mia.submit(&thread, "Send the reply", &[("body", "one")]).status, 303);
        assert_eq!(mia.submit(&thread, "Send the reply", &[("body", "one")]).status, 303);
        let again = mia.submit(&thread, "Send the reply", &[("body", "two")]);
        assert_eq!(again.status, 422);
        again.says(&["This form was sent already", "two"]);
        assert_eq!(mia.submit(&again, "Send the reply", &[]).status, 303);
        let posts = app.in_db(|conn| store::bug::posts(conn, id, BugPostId(0), 10));
        assert_eq!(posts.iter().map(|post| post.body.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        let page = mia.get("/members/faq");
        assert_eq!(mia.submit(&page, "Ask", &[("question", "one")]).status, 303);
        let again = mia.submit(&page, "Ask", &[("question", "two")]);
        assert_eq!(again.status, 422);
        assert_eq!(mia.submit(&again, "Ask", &[]).status, 303);
    }

    fn words_of_all_alphabets_are_found_alike(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let words = [
            ("Größenwahn im Übermaß", "GROSSENWAHN"), ("Příliš žluťoučký kůň", "zlutoucky"), ("Řeřicha", "ŘEŘICHA"),
            ("Işık İstanbul", "ISTANBUL"), ("ILIK su", "ılık"), ("Σίσυφος", "ΣΙΣΥΦΟΣ"), ("Αθήνα", "αθηνα"), ("Mu\u{308}ller", "Müll"), ("Smørrebrød", "smorre"),
        ];
        for (n, (title, _)) in words.iter().enumerate() {
            app.pass_s(600);
            let report = Report {
                title: Title::parse(title).unwrap(), happened: text("x"), expected: Markdown::default(), reproduce: Markdown::default(),
                component: Component::Other, linode: None, migration: None, keep: Vec::new(), seen: String::new(), files: Vec::new(), once: format!("word-{n}-once"),
            };
            app.open_bug(&app.member(), &report).unwrap();
            app.sql(&format!("INSERT INTO users (id, account_id, email, name, role, timezone, disabled, created_at) VALUES ({}, 1, 'w{n}@example.org', '{title}', 'member', 'UTC', FALSE, '2026-01-01T00:00:00.000000Z')", 2000 + n));
            app.add_faq(&app.staff(), &xenbeta::app::faq::EntryText { question: Title::parse(title).unwrap(), answer: text("x"), dated_at: app.now() }).unwrap();
        }
        app.db.write(xenbeta::store::name_index::fill).unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        for (n, (title, asked)) in words.iter().enumerate() {
            let q = crate::browser::encode(asked);
            let found = app.in_db(|conn| store::search::bugs_like(conn, asked, 5));
            assert_eq!(found.len(), 1, "{title}: {asked}");
            for path in ["/staff/bugs", "/faq"] {
                let page = staff.get(&format!("{path}?q={q}"));
                page.shows(&[title]);
                assert_eq!(words.iter().filter(|(other, _)| page.body.contains(other)).count(), 1, "{path} {asked}");
            }
            staff.get(&format!("/staff/members?q={q}")).shows(&[&format!("w{n}@example.org")]).hides(&[MEMBER_EMAIL]);
        }
    }

    fn names_are_found_by_any_part_and_short_parts_where_words_begin(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        for found in ["mia", "MIA@exam", "mia@example.com", "example mi"] {
            staff.get(&format!("/staff/members?q={}", crate::browser::encode(found))).shows(&[MEMBER_EMAIL]).hides(&[OTHER_EMAIL]);
        }
        for none in ["ia", "%", "_", "mia otto", "'; DROP TABLE users; --", "\u{10ffff}"] {
            staff.get(&format!("/staff/members?q={}", crate::browser::encode(none))).hides(&[MEMBER_EMAIL]);
        }
        // A new name is found at once, the old one no more.
        app.change_profile(&app.member(), "Zoë Quokka", "UTC").unwrap();
        staff.get("/staff/members?q=zoe").shows(&[MEMBER_EMAIL]);
        app.register(&app.member(), &[crate::support::fleet::WEB]).unwrap();
        // Of the new name too, in other letters; of a bug's opener; of whose registrations they are.
        let bug = opened(&app, "Login fails", "It stopped.", Vec::new());
        for found in ["uokk", "OKKA", "zoë uok", "xample", "a@exam", "ple.com"] {
            let q = crate::browser::encode(found);
            staff.get(&format!("/staff/members?q={q}")).shows(&[MEMBER_EMAIL]);
            staff.get(&format!("/staff/registrations?state=all&q={q}")).shows(&["web"]);
            staff.get(&format!("/staff/linodes?q={q}")).shows(&["web"]);
            staff.get(&format!("/staff/bugs?q={q}")).shows(&[&format!("{}: Login fails", bug.0)]);
            staff.get(&format!("/staff/mail?q={q}")).shows(&["registered"]);
        }
        // Members find bugs by what is said in them alone.
        site.signed_in(OTHER_EMAIL).get("/members/bugs?q=uokk").hides(&["Login fails"]);
        for found in ["web", "WE"] {
            staff.get(&format!("/staff/registrations?state=all&q={found}")).shows(&["web"]);
        }
        staff.get("/staff/registrations?state=all&q=eb").shows(&["There are none."]);
        staff.get("/staff/mail?q=mia@").shows(&["registered"]);
        staff.get("/staff/mail?q=ia@").shows(&["There is none."]);
    }

    fn the_faq_says_when_it_is_full(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let at = "'2026-01-01T00:00:00.000000Z'";
        let add = |from: i64, to: i64| {
            let mut sql = String::new();
            for n in from..to {
                sql.push_str(&format!("INSERT INTO faq_entries (id, slug, question, answer, position, dated_at, changed_at) VALUES ({n}, 's{n}', 'Question {n}', 'a', {n}, {at}, {at});"));
            }
            app.sql(&sql);
        };
        add(1000, 1269);
        staff.get("/staff/faq").hides(&["room for", "is full"]);
        add(1269, 1299);
        staff.get("/staff/faq").shows(&["room for 1 more entry"]);
        app.sql("UPDATE faq_entries SET retired_at = '2026-01-01T00:00:00.000000Z' WHERE id = 1000");
        add(1299, 1301);
        let list = staff.get("/staff/faq");
        list.shows(&["The page is full"]);
        let form = staff.get("/staff/faq/new");
        let refused = staff.submit(&form, "Save the entry", &[("question", "One more?"), ("answer", "No.")]);
        assert_eq!(refused.status, 422);
        refused.says(&["There are 300 entries", "retire one first"]);
        assert!(refused.body.contains("One more?"), "what was typed is kept");
        let refused = staff.submit(&list, "Put back: Question 1000", &[]);
        assert_eq!(refused.status, 409);
        refused.says(&["There are 300 entries"]);
        staff.submit(&list, "Retire: Question 1001", &[]);
        assert_eq!(staff.submit(&list, "Put back: Question 1000", &[]).status, 303);
    }

    fn what_staff_hid_is_gone_before_a_release_that_knows_no_hiding(app: TestApp) {
        let app = app.with_fleet();
        let hide = |id, part| app.hide_of_bug(&app.staff(), id, part, &Reason::parse("Spam.").unwrap()).unwrap();
        let foul = opened(&app, "Buy hunterzwei", "Only hunterzwei.", vec![file("hunterzwei.log")]);
        let fine = opened(&app, "Login fails", "It stopped.", vec![file("boot.log")]);
        let post = reply(&app, fine, "My password is hunterzwei", &[file("hunterzwei.txt")]);
        reply(&app, fine, "Mine is not", &[file("dmesg.txt")]);
        hide(foul, Part::Opening);
        hide(fine, Part::Post(post));
        let database = Database::open_any_schema(&app.url, 1).unwrap();
        while schema_migrations::down(&database).unwrap() != "00000000000009" {}
        for (of, left) in [
            ("bugs WHERE title LIKE '%hunterzwei%' OR happened LIKE '%hunterzwei%'", 0),
            ("bug_posts WHERE body LIKE '%hunterzwei%'", 0),
            ("bug_files WHERE name LIKE '%hunterzwei%'", 0),
            ("bugs WHERE title = 'Login fails' AND happened = 'It stopped.'", 1),
            ("bug_posts WHERE body = 'Mine is not'", 1),
            ("bug_files", 2),
            ("bugs", 2),
            ("bug_posts", 2),
        ] {
            assert_eq!(count(&app, of), left, "{of}");
        }
    }

    fn an_answer_clicked_twice_is_one(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.ask(&app.member(), &text("May I?"), "ask-once-once").unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let list = staff.get("/staff/faq");
        let question = staff.get(&list.link("May I?"));
        for _ in 0..2 {
            assert_eq!(staff.submit(&question, "Publish as an entry", &[("answer", "Yes.")]).status, 303);
        }
        assert_eq!(to(&app, MailKind::QuestionAnswered).len(), 1);
        assert_eq!(staff.submit(&question, "Answer in private", &[("answer", "No.")]).status, 409);
    }
}
