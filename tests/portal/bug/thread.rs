//! Bugs through the front door: one opens, others find it, staff decide; and what hostile or curious people get.

use xenbeta::app::bug::Report;
use xenbeta::app::bug::triage::Decision;
use xenbeta::domain::bug::{BugState, Component, FactKind, Severity};
use xenbeta::domain::ids::{BugId, LinodeId};
use xenbeta::domain::mail::MailKind;
use xenbeta::domain::markdown::{Markdown, Title};
use xenbeta::store;
use xenbeta::store::error::StoreError;

use crate::both_databases;
use crate::browser::{Browser, Reply, Site};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, WEB};

const OTHER_EMAIL: &str = "otto@example.com";
const LOOK: &str = "Look for similar bugs";
const OPEN: &str = "Open the bug";
const REPLY: &str = "Send the reply";

/// A picture of one by one, whole as far as anyone looks.
fn png() -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", vec![0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0]),
        (b"IDAT", vec![1, 2, 3]),
        (b"IEND", vec![]),
    ] {
        out.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        out.extend(kind);
        out.extend(data);
        out.extend([0; 4]);
    }
    out
}

fn report(title: &str, once: &str) -> Report {
    Report {
        title: Title::parse(title).unwrap(),
        happened: Markdown::required("It stopped.", 100, "a text").unwrap(),
        expected: Markdown::default(),
        reproduce: Markdown::default(),
        component: Component::Network,
        linode: None,
        migration: None,
        keep: Vec::new(),
        seen: String::new(),
        files: Vec::new(),
        once: format!("{once}-once-once"),
    }
}

pub fn opened(app: &TestApp, title: &str) -> BugId {
    let once: String = title.chars().filter(char::is_ascii_alphanumeric).collect();
    app.open_bug(&app.member(), &report(title, &once)).unwrap()
}

fn text(text: &str) -> Markdown {
    Markdown::required(text, 10_000, "a text").unwrap()
}

fn decision(app: &TestApp, id: BugId, state: BugState) -> Decision {
    let bug = app.in_db(|conn| store::bug::bug(conn, id)).unwrap();
    Decision {
        state,
        severity: bug.severity,
        component: bug.component,
        duplicate_of: None,
        version: bug.version,
    }
}

/// Who got a mail of this kind, in order, with its text.
fn mails(app: &TestApp, kind: MailKind) -> Vec<(String, String)> {
    use diesel::prelude::*;
    use xenbeta::store::schema::outbox;
    app.in_db(|conn| {
        Ok::<_, StoreError>(
            outbox::table
                .filter(outbox::kind.eq(kind.to_string()))
                .order(outbox::id)
                .select((outbox::recipient, outbox::text_body))
                .load(conn)?,
        )
    })
}

fn open_through_page(who: &mut Browser, title: &str, fields: &[(&str, &str)]) -> Reply {
    let first = who.get("/members/bugs/new");
    let form = who.submit(&first, LOOK, &[("title", title)]);
    let mut all = fields.to_vec();
    if !fields.iter().any(|(name, _)| *name == "happened") {
        all.push(("happened", "It stopped."));
    }
    who.submit(&form, OPEN, &all)
}

both_databases! {
    fn a_bug_goes_from_report_to_fix(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.in_db(|conn| {
            use diesel::connection::SimpleConnection;
            Ok::<_, StoreError>(conn.batch_execute("UPDATE linodes SET console = 'eth0: no such device' WHERE id = 101")?)
        });
        let site = Site::serve(&app.app);
        let (mut mia, mut otto, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(OTHER_EMAIL), site.signed_in(STAFF_EMAIL));
        // From the Linode's page, prefilled; the console and the host are struck.
        let page = mia.get("/members/linodes/101");
        let first = mia.get(&page.link("Report a bug with web"));
        first.shows(&["First we look whether"]).hides(&["Open a new bug"]);
        let form = mia.submit(&first, LOOK, &[("title", "No network after the boot")]);
        form.shows(&["Nobody has reported anything like it", "Linode: web", "Plan: Linode 512", "2.6 under UML", "eth0: no such device"]);
        let refused = mia.submit(&form, OPEN, &[("fact", "linode"), ("expected", "A network")]);
        assert_eq!(refused.status, 422);
        refused.says(&["There is a problem", "Enter what happened"]);
        assert!(refused.body.contains("A network"), "what was typed is kept");
        let (_, action, mut fields) = refused.form(OPEN, &[("happened", "There is **no** network.\nAt all.")]);
        fields.retain(|(name, _)| name != "fact" && name != "file");
        for fact in ["linode", "plan", "kernel"] {
            fields.push(("fact".to_owned(), fact.to_owned()));
        }
        let reply = mia.post(&action, &fields);
        let again = mia.post(&action, &fields);
        assert_eq!(reply.location, again.location, "a second click finds the first");
        let mine = mia.follow(&reply);
        mine.shows(&["The bug is open", "No network after the boot", "New", "About the Linode", "web", "2.6 under UML", "Hits 1 member, you among them"]).hides(&["eth0", "uml1", "This hits me too"]);
        assert!(mine.body.contains("<strong>no</strong> network.<br>"), "{}", mine.body);

        // Another member finds it before opening the same, with initials and without what is private.
        let form = otto.get("/members/bugs/new?title=network+is+missing");
        form.shows(&["Is it one of these?", "No network after the boot", "Hits"]);
        let theirs = otto.get(&form.link("No network after the boot"));
        theirs.shows(&["opened by M.", "2.6 under UML", "Linode 512"]).hides(&["Mia", "web", "Others see only"]);
        let reply = otto.submit(&theirs, "This hits me too", &[]);
        otto.follow(&reply).shows(&["Hits 2 members, you among them"]);
        otto.submit(&theirs, "This hits me too", &[]);
        let undo = otto.get(&theirs.path);
        undo.shows(&["Hits 2 members"]);
        let reply = otto.submit(&undo, "It does not hit me", &[]);
        otto.follow(&reply).shows(&["Hits 1 member."]);
        otto.submit(&theirs, "This hits me too", &[]);
        for (filter, found) in [("who=hits", 1), ("who=mine", 0), ("q=netw+boot&state=open&component=other", 1), ("state=fixed", 0)] {
            let list = otto.get(&format!("/members/bugs?{filter}"));
            assert_eq!((list.status, list.heading()), (200, "Bugs".to_owned()));
            assert_eq!(list.column("Bugs", "Bug"), ["No network after the boot"][..found], "{filter}");
        }

        // Staff confirm it, with a reply and a note that nobody else sees.
        let list = staff.get("/staff/bugs");
        list.shows(&["Open 1", "New 1", "No network after the boot", "Mia"]);
        let page = staff.get(&theirs.path.replace("members", "staff"));
        page.shows(&["opened by Mia", "web", "Notes, for staff only"]);
        let reply = staff.submit(&page, "Save", &[("state", "confirmed"), ("severity", "high"), ("component", "network")]);
        let page = staff.follow(&reply);
        page.shows(&["State: New → Confirmed", "Severity: Not judged → High", "Part: Other → Network"]);
        let reply = staff.submit(&page, "Save the note", &[("note", "zanzibar: his card is old")]);
        staff.follow(&reply).shows(&["zanzibar"]);
        let reply = staff.submit(&page, REPLY, &[("body", "We see it too.")]);
        staff.follow(&reply).shows(&["Sam (staff)", "We see it too."]);
        app.tell_news().unwrap();
        app.pass_s(600);
        let reply = otto.submit(&theirs, REPLY, &[("body", "And here.")]);
        otto.follow(&reply).shows(&["Confirmed", "High", "Sam (staff)", "And here."]).hides(&["zanzibar"]);
        app.tell_news().unwrap();
        mia.get(&theirs.path).shows(&["And here.", "O."]).hides(&["Otto", "zanzibar"]);
        for path in ["/members/bugs?q=zanzibar", "/members/bugs/new?title=zanzibar"] {
            mia.get(path).hides(&["No network"]);
        }
        // Linked with a migration, which shows there too.
        let migration = app.clicked(WEB);
        let wrong = staff.submit(&page, "Link the migration", &[("migration", "4711")]);
        assert_eq!(wrong.status, 422);
        let number = migration.id.to_string();
        let reply = staff.submit(&page, "Link the migration", &[("migration", &number)]);
        staff.follow(&reply).shows(&["of web"]);
        staff.get(&format!("/staff/migrations/{number}")).shows(&["Explained by", "No network after the boot"]);
        mia.get(&theirs.path).hides(&["Migration"]);
        // Fixed, and said so, in one save; both or neither, and once.
        let page = staff.get(&page.path);
        let refused = staff.submit(&page, "Save", &[("state", "new"), ("answer", "Not so fast.")]);
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains("Not so fast."), "what was typed is kept");
        mia.get(&theirs.path).hides(&["Not so fast."]);
        let answer = [("state", "fixed"), ("answer", "It is mended since today.")];
        let reply = staff.submit(&page, "Save", &answer);
        staff.follow(&reply).shows(&["Confirmed → Fixed", "It is mended since today."]);
        assert_eq!(staff.submit(&page, "Save", &answer).status, 303);
        let thread = mia.get(&theirs.path);
        assert_eq!(thread.body.matches("It is mended since today.").count(), 1);
        staff.get("/staff/bugs").shows(&["There are none.", "Fixed 1"]);
        let csv = staff.get("/staff/bugs.csv?state=fixed");
        assert!(csv.csv().contains(",No network after the boot,fixed,high,network,"), "{}", csv.body);

        // Everybody it concerns has mail, nobody for what they did, and no note is in any.
        let to = |kind| mails(&app, kind).into_iter().map(|(to, _)| to).collect::<Vec<_>>();
        assert_eq!(to(MailKind::BugState), [MEMBER_EMAIL, OTHER_EMAIL, MEMBER_EMAIL, OTHER_EMAIL]);
        assert_eq!(to(MailKind::BugReply), [MEMBER_EMAIL, OTHER_EMAIL, MEMBER_EMAIL, STAFF_EMAIL]);
        for (to, text) in mails(&app, MailKind::BugReply).into_iter().chain(mails(&app, MailKind::BugState)) {
            assert!(!text.contains("zanzibar"), "{text}");
            if to == MEMBER_EMAIL {
                assert!(!text.contains("Otto"), "{text}");
            }
            let side = if to == STAFF_EMAIL { "/staff/bugs/" } else { "/members/bugs/" };
            assert!(text.contains(side), "{text}");
        }
    }

    fn duplicates_lead_to_one_and_their_members_count(app: TestApp) {
        let app = app.with_fleet();
        let (one, two, three) = (opened(&app, "one"), opened(&app, "two"), opened(&app, "three"));
        let other = app.other_member();
        app.hit_by_bug(&other, two, true).unwrap();
        let staff = app.staff();
        let duplicate = |id: BugId, of: BugId| {
            let to = Decision { duplicate_of: Some(of), ..decision(&app, id, BugState::Duplicate) };
            app.triage_bug(&staff, id, &to)
        };
        assert!(duplicate(one, one).unwrap_err().to_string().contains("itself"));
        assert!(duplicate(one, BugId(4711)).unwrap_err().to_string().contains("no bug 4711"));
        duplicate(two, one).unwrap();
        assert!(duplicate(one, two).unwrap_err().to_string().contains("duplicate of this one"), "no circle");
        let hits = |id: BugId| app.in_db(|conn| store::bug::links::hits(conn, &[id])).get(&id).copied().unwrap_or(0);
        assert_eq!(hits(one), 2, "its member and the duplicate's");
        // Saying so of the duplicate as well counts once.
        app.hit_by_bug(&other, two, true).unwrap();
        assert_eq!(hits(one), 2);
        // The first becomes a duplicate itself: all lead to the last.
        duplicate(one, three).unwrap();
        for id in [one, two] {
            assert_eq!(app.in_db(|conn| store::bug::bug(conn, id)).unwrap().root_id, three);
        }
        assert_eq!(hits(three), 2);
        let told = mails(&app, MailKind::BugState);
        assert!(told.iter().any(|(to, text)| to == OTHER_EMAIL && text.contains("one, where the work goes on: Bug")), "{told:?}");
        assert!(told.iter().any(|(to, text)| to == OTHER_EMAIL && text.contains(&format!("/members/bugs/{three}"))), "{told:?}");
        // A duplicate of a duplicate is one of what that leads to.
        let four = opened(&app, "four");
        duplicate(four, two).unwrap();
        assert_eq!(app.in_db(|conn| store::bug::bug(conn, four)).unwrap().duplicate_of, Some(three));
        // Opened again it stands for itself.
        app.triage_bug(&staff, two, &decision(&app, two, BugState::Confirmed)).unwrap();
        assert_eq!((hits(two), hits(three)), (2, 1));
        assert!(app.triage_bug(&app.member(), two, &decision(&app, two, BugState::Fixed)).is_err(), "members decide nothing");
    }

    fn of_two_who_decide_the_second_is_told(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let id = opened(&app, "raced");
        let site = Site::serve(&app.app);
        let (mut one, mut two) = (site.signed_in(STAFF_EMAIL), site.signed_in(STAFF_EMAIL));
        let url = format!("/staff/bugs/{id}");
        let (first, second) = (one.get(&url), two.get(&url));
        assert_eq!(one.submit(&first, "Save", &[("state", "confirmed")]).status, 303);
        assert_eq!(two.submit(&second, "Save", &[("state", "confirmed")]).status, 303, "the same is fine");
        let late = two.submit(&second, "Save", &[("state", "not_a_bug")]);
        assert_eq!(late.status, 409);
        late.says(&["Sam changed this bug", "Confirmed", "Look at the bug again"]);
        let fresh = two.get(&url);
        assert_eq!(two.submit(&fresh, "Save", &[("state", "fixed")]).status, 303);
        let fresh = two.get(&url);
        let refused = two.submit(&fresh, "Save", &[("state", "not_a_bug")]);
        assert_eq!(refused.status, 422);
        refused.says(&["open it again first"]);
        let refused = two.submit(&fresh, "Save", &[("state", "duplicate"), ("duplicate_of", "x")]);
        refused.says(&["Enter the number of a bug"]);
    }

    fn hostile_content_does_nothing(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let (mut mia, mut otto, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(OTHER_EMAIL), site.signed_in(STAFF_EMAIL));
        let foul = "<script>alert(1)</script>\r\nBcc: x@evil.test";
        let reply = open_through_page(&mut mia, foul, &[
            ("happened", "<img src=x onerror=alert(1)> [click](javascript:alert(1)) [ok](https://example.org)"),
            ("expected", "'); DROP TABLE bugs; --"),
        ]);
        let page = mia.follow(&reply);
        page.shows(&["<script>alert(1)</script> Bcc: x@evil.test", "<img src=x onerror=alert(1)>"]);
        assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x") && !page.body.contains("javascript:"), "{}", page.body);
        assert!(page.body.contains("href=\"https://example.org\" rel=\"nofollow noopener noreferrer\""));
        let id = page.path.rsplit('/').next().unwrap().to_owned();
        let thread = staff.get(&format!("/staff/bugs/{id}"));
        staff.submit(&thread, REPLY, &[("body", "seen")]);
        app.tell_news().unwrap();
        let (_, mail) = mails(&app, MailKind::BugReply).pop().unwrap();
        assert!(!mail.contains("\nBcc"), "{mail}");
        // Whatever is looked for is words.
        for hostile in ["\"", "NEAR(", "a AND", "title:x", "*", "'", "a\\", "x\u{0}y", "(((", "- - -", "%27", "&|!", ":*", "<->", "\u{202e}", "a-b \"c*"] {
            let asked = crate::browser::encode(hostile);
            for path in [format!("/members/bugs?q={asked}"), format!("/members/bugs/new?title={asked}x")] {
                let reply = mia.get(&path);
                assert_eq!(reply.status, 200, "{hostile:?}: {}", reply.text());
            }
            assert_eq!(staff.get(&format!("/staff/bugs?q={asked}&state=all")).status, 200, "{hostile:?}");
        }
        // Files: what they are is what they hold.
        let thread = mia.get(&page.path);
        let svg: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
        for (name, bytes) in [("a.svg", svg), ("a.png", svg), ("a.txt", b"<!doctype html><script>"), ("a.exe", b"MZ\0\x01")] {
            let refused = mia.upload(&thread, REPLY, &[("body", "look")], &[(name, bytes)]);
            assert_eq!(refused.status, 422, "{name}");
            refused.says(&["There is a problem", "look"]);
            assert!(refused.text().contains("cannot be attached") || refused.text().contains("can be attached"), "{}", refused.text());
        }
        let picture = png();
        let mut tailed = picture.clone();
        tailed.extend_from_slice(svg);
        let reply = mia.upload(&thread, REPLY, &[("body", "with files")], &[("../x\r\nSet-Cookie: a=b.png", &tailed), ("boot.log", b"<6>Linux")]);
        let thread = mia.follow(&reply);
        thread.shows(&["with files", "boot.log"]);
        let image = thread.attribute("img.shot", "src").unwrap();
        let got = mia.get(&image);
        assert_eq!((got.status, got.headers["content-type"].as_str()), (200, "image/png"));
        assert_eq!(got.headers["content-security-policy"], "sandbox; default-src 'none'");
        assert_eq!(got.headers["x-content-type-options"], "nosniff");
        assert!(got.headers["content-disposition"].starts_with("inline; filename=\"x_0D_0ASet-Cookie"), "{:?}", got.headers);
        assert!(!got.body.contains("svg"), "what stood behind the picture is gone");
        let log = thread.link("boot.log");
        let got = mia.get(&log);
        assert_eq!(got.headers["content-disposition"], "attachment; filename=\"boot.log\"");
        assert_eq!(got.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(got.body, "<6>Linux");
        // Only for their account and staff; not under another bug's address either.
        otto.get(&thread.path).shows(&["with files"]).hides(&["boot.log"]);
        assert_eq!(otto.get(&log).status, 404);
        assert_eq!(otto.get(&log.replace("members", "staff")).status, 404);
        assert_eq!(staff.get(&log.replace("members", "staff")).status, 200);
        let other = opened(&app, "other");
        assert_eq!(mia.get(&format!("/members/bugs/{other}/files/{}", log.rsplit('/').next().unwrap())).status, 404);
        assert_eq!(site.visitor().get(&log).status, 303);
        // Ten megabytes: a clear word, and the text is still there.
        let large = vec![b'a'; 10 * 1024 * 1024];
        let refused = mia.upload(&thread, REPLY, &[("body", "typed with care")], &[("large.txt", &large)]);
        assert_eq!(refused.status, 413);
        refused.says(&["large.txt: the file is larger than 1 MiB", "typed with care"]);
        let small: &[u8] = b"x";
        let refused = mia.upload(&thread, REPLY, &[("body", "six")], &[("1", small), ("2", small), ("3", small), ("4", small), ("5", small), ("6", small)]);
        assert_eq!(refused.status, 422);
        refused.says(&["5 files or fewer"]);
        let long = "x".repeat(10_001);
        let refused = mia.submit(&thread, REPLY, &[("body", &long)]);
        assert_eq!(refused.status, 422);
        // Sent after signing out, and without the form's token.
        let cookies = mia.cookies.clone();
        let home = mia.get("/members/");
        mia.submit(&home, "Sign out", &[]);
        mia.cookies = cookies;
        let late = mia.upload(&thread, REPLY, &[("body", "late words")], &[("a.txt", small)]);
        assert_eq!(late.status, 403);
        late.says(&["This form has expired", "late words"]);
        let forged = otto.upload(&thread, REPLY, &[("body", "forged")], &[]);
        assert_eq!(forged.status, 403);
    }

    fn others_linodes_cannot_be_named(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut otto = site.signed_in(OTHER_EMAIL);
        for path in ["/members/bugs/new?linode=101", "/members/bugs/new?linode=101&title=x", "/members/bugs/new?migration=1", "/members/bugs/new?linode=x"] {
            assert_eq!(otto.get(path).status, 404, "{path}");
        }
        let theirs = Report { linode: Some(LinodeId(101)), ..report("t", "t") };
        assert!(app.open_bug(&app.other_member(), &theirs).is_err());
        // What was not seen is not sent.
        let unseen = Report { linode: Some(LinodeId(101)), keep: vec![FactKind::Host], seen: format!("host={}", "0".repeat(16)), ..report("t", "t") };
        let refused = app.open_bug(&app.member(), &unseen).unwrap_err().to_string();
        assert!(refused.contains("changed meanwhile"), "{refused}");
        // What is struck may change, and leaves nothing.
        let struck = Report { keep: Vec::new(), ..unseen };
        let id = app.open_bug(&app.member(), &struck).unwrap();
        assert!(app.in_db(|conn| store::bug::links::facts(conn, id)).is_empty());
    }

    fn too_many_are_refused_with_a_word(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        for n in 0..10 {
            opened(&app, &format!("number {n}"));
        }
        let site = Site::serve(&app.app);
        let mut mia = site.signed_in(MEMBER_EMAIL);
        let refused = open_through_page(&mut mia, "one more", &[]);
        assert_eq!(refused.status, 422);
        refused.says(&["You have opened 10 bugs within an hour", "It stopped."]);
        app.pass_s(3601);
        let mut mia = site.signed_in(MEMBER_EMAIL);
        assert_eq!(open_through_page(&mut mia, "one more", &[]).status, 303);
        let id = opened(&app, "chatty");
        for n in 0..60 {
            app.reply_to_bug(&app.member(), id, &text("x"), &[], (&format!("chatter-{n}"), false)).unwrap();
        }
        let refused = app.reply_to_bug(&app.member(), id, &text("x"), &[], ("chatter-61", false)).unwrap_err();
        assert!(refused.to_string().contains("60 replies"), "{refused}");
        app.reply_to_bug(&app.staff(), id, &text("x"), &[], ("chatter-62", true)).unwrap();
    }

    fn long_threads_and_lists_have_pages(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mut last = BugId(0);
        for n in 0..40 {
            app.pass_s(600);
            last = opened(&app, &format!("Bug about disks {n}"));
        }
        for n in 0..60 {
            app.pass_s(120);
            app.reply_to_bug(&app.member(), last, &text(&format!("reply {n}.")), &[], (&format!("chatter-{n}"), false)).unwrap();
        }
        let site = Site::serve(&app.app);
        let mut mia = site.signed_in(MEMBER_EMAIL);
        let first = mia.get("/members/bugs?q=disk");
        first.shows(&["Bug about disks 39"]).hides(&["Bug about disks 3 "]);
        let second = mia.get(&first.link("Next page"));
        second.shows(&["Bug about disks 0"]).hides(&["Bug about disks 39"]);
        let first = mia.get(&format!("/members/bugs/{last}"));
        first.shows(&["reply 49."]).hides(&["reply 50."]);
        mia.get(&first.link("Later replies")).shows(&["reply 50.", "reply 59."]).hides(&["reply 49."]);
        assert_eq!(mia.get("/members/bugs?before=x").status, 400);
        assert_eq!(mia.get("/members/bugs?state=gone").status, 400);
    }

    fn searches_and_lists_use_their_indexes(app: TestApp) {
        use diesel::prelude::*;
        use xenbeta::store::db::Db;
        #[derive(QueryableByName, Debug)]
        struct Step {
            #[diesel(sql_type = diesel::sql_types::Text)]
            detail: String,
        }
        let app = app.with_fleet();
        opened(&app, "Disk slow after the move");
        opened(&app, "No network");
        let found = app.in_db(|conn| store::search::bugs_like(conn, "the disk is very slow", 5));
        assert_eq!(found.len(), 1, "{found:?}");
        let plan = |sqlite: &str, pg: &str| -> String {
            let steps: Vec<Step> = app.in_db(|conn| Ok::<_, StoreError>(match conn {
                Db::Sqlite(lite) => diesel::sql_query(format!("EXPLAIN QUERY PLAN {sqlite}")).load(lite)?,
                Db::Pg(conn) => {
                    use diesel::connection::SimpleConnection;
                    // What the planner would take with many rows.
                    conn.batch_execute("SET enable_seqscan = off")?;
                    // EXPLAIN's column is not called `detail`: by a function of the test's own.
                    conn.batch_execute("CREATE OR REPLACE FUNCTION pg_temp.plan(q text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || q; END $$")?;
                    let rows = diesel::sql_query("SELECT p AS detail FROM pg_temp.plan($1) AS p").bind::<diesel::sql_types::Text, _>(pg).load(conn)?;
                    conn.batch_execute("RESET enable_seqscan")?;
                    rows
                }
            }));
            steps.into_iter().map(|step| step.detail).collect::<Vec<_>>().join("\n")
        };
        let words = plan("SELECT bug_id FROM bug_words WHERE bug_words MATCH '\"disk\"*'", "SELECT bug_id FROM bug_words WHERE words @@ to_tsquery('simple', '''disk'':*')");
        assert!(words.contains("VIRTUAL TABLE INDEX") || words.contains("bug_words_words"), "{words}");
        for (query, index) in [
            ("SELECT id FROM bugs WHERE state = 'new' AND id < 9 ORDER BY id DESC LIMIT 30", "bugs_state"),
            ("SELECT id FROM bugs WHERE component = 'disk' ORDER BY id DESC LIMIT 30", "bugs_component"),
            ("SELECT id FROM bugs WHERE account_id = 1 ORDER BY id DESC LIMIT 30", "bugs_account"),
            ("SELECT id FROM bug_posts WHERE bug_id = 1 AND id > 5 ORDER BY id LIMIT 51", "bug_posts_bug"),
            ("SELECT bug_id FROM bug_hits WHERE user_id = 1", "bug_hits_user"),
            ("SELECT id FROM faq_questions WHERE state = 'open' AND id > 1 ORDER BY id LIMIT 51", "faq_questions_state"),
        ] {
            let plan = plan(query, query);
            assert!(plan.contains(index), "{query}: {plan}");
        }
    }
}

#[test]
fn two_at_once_open_one_bug_and_say_one_hit() {
    for on in [crate::support::On::Sqlite, crate::support::On::Postgresql] {
        let app = TestApp::new(on).with_fleet();
        let ids: Vec<BugId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        app.open_bug(&app.member(), &report("same", "same"))
                            .unwrap()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let (one, two) = (ids[0], opened(&app, "two"));
        // Two bugs made duplicates of each other at once: one of them wins.
        let staff = app.staff();
        let made: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = [(one, two), (two, one)]
                .into_iter()
                .map(|(id, of)| {
                    let to = Decision {
                        duplicate_of: Some(of),
                        severity: Severity::None,
                        ..decision(&app, id, BugState::Duplicate)
                    };
                    let (app, staff) = (&app, &staff);
                    scope.spawn(move || app.triage_bug(staff, id, &to).is_ok())
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
    }
}
