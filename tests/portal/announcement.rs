//! The announcement at `/` and its texts: who reads what, and what hostile or careless staff can do to it.

use xenbeta::app::error::AppError;
use xenbeta::app::faq::EntryText;
use xenbeta::domain::markdown::{Markdown, Title};
use xenbeta::domain::programme::{ProgrammeState, TextSection};
use xenbeta::domain::string_enum::StringEnum;
use xenbeta::domain::time::Time;
use xenbeta::store;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, WEB};

const URL: &str = "/staff/programme";

both_databases! {
    fn anyone_reads_it_and_it_follows_the_programme(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut visitor = site.visitor();
        let page = visitor.get("/");
        page.shows(&["Xen Public Beta", "Open", "What Xen brings", "How to take part", "What is tested", "When it ends", "Where bugs go", "Kernels", "NPTL and /lib/tls", "What does not work yet", "14 days", "Sign in to take part"]);
        page.shows(&["/lib/tls.disabled", "libc6-xen", "-mno-tls-direct-seg-refs", "Of the manager everything works as before"]);
        assert_eq!(visitor.cookies.len(), 0, "reading leaves no cookie");
        assert_eq!(page.link("Sign in to take part"), "/login?next=/members/xenbeta");
        let mut member = site.signed_in(MEMBER_EMAIL);
        let size = crate::pages::gzip(&page.body);
        println!("the announcement: {size} bytes of gzip");
        assert!(size <= 6 * 1024, "{size} bytes of gzip");
        let mine = member.get("/");
        assert_eq!(mine.shows(&["Register your Linodes"]).link("Register your Linodes"), "/members/xenbeta");
        assert_eq!(mine.headers["cache-control"], "no-store", "it has the member's name on it");
        // Known pages are not sent again, until something changes.
        let tag = page.headers["etag"].clone();
        assert_eq!(visitor.get_if_changed("/", &tag).status, 304);

        let mut staff = site.signed_in(STAFF_EMAIL);
        staff.get("/").shows(&["Go to the staff dashboard"]);
        let form = staff.get(URL);
        let opens = app.now().plus_days(3).utc().format("%Y-%m-%dT%H:%M").to_string();
        let ends = app.now().plus_days(90).utc().format("%Y-%m-%dT%H:%M").to_string();
        let fields = [("opens_at", opens.as_str()), ("expected_end_at", ends.as_str()), ("seats", "40")];
        let reply = staff.submit(&form, "Save the programme", &fields);
        staff.follow(&reply).shows(&["The programme is saved."]);
        let changed = visitor.get_if_changed("/", &tag);
        changed.shows(&["Announced", "Registration opens on", "Expected to end", "40, of which 40 are free"]).hides(&["Sign in to take part"]);
        let many = app.register(&app.member(), &[WEB]).unwrap();
        assert!(many.refused[0].1.contains("has not opened yet"), "{many:?}");
        member.get("/members/xenbeta").shows(&["Registration opens on", "The beta has not opened yet."]);
        app.pass_s(4 * 86_400);
        assert_eq!(app.register(&app.member(), &[WEB]).unwrap().done, [WEB]);
        visitor.get("/").shows(&["Opened", "39 are free"]);
    }

    fn members_read_it_where_they_register(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get("/members/xenbeta");
        page.shows(&["How it goes", "What Xen brings", "What is tested", "When it ends", "The whole announcement", "a place to ask"]);
        assert_eq!(page.link("Look whether it is known, and report it"), "/members/bugs");
        app.set_text(&app.staff(), TextSection::Tested, "Only **the disks**. <script>alert(1)</script>", None).unwrap();
        for n in 1..=6 {
            let question = Title::parse(&format!("What is question {n}?")).unwrap();
            let answer = Markdown::parse("An answer.", 100).unwrap();
            app.add_faq(&app.staff(), &EntryText { question, answer, dated_at: app.now() }).unwrap();
        }
        let page = member.get("/members/xenbeta");
        page.shows(&["Only the disks", "What is question 5?"]).hides(&["What is question 6?"]);
        assert!(!page.body.contains("<script>alert"), "{}", page.body);
        assert_eq!(page.link("What is question 1?"), "/members/faq#what-is-question-1");
        assert!(member.get("/members/faq").body.contains("id=\"what-is-question-1\""));
    }

    fn no_date_contradicts_the_state(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let now = app.now();
        let mut set = app.in_db(store::programme::stored).unwrap();
        for state in ProgrammeState::ALL {
            for opens in [None, Some(now.plus_days(-2)), Some(now.plus_days(2))] {
                for end in [None, Some(now.plus_days(-1)), Some(now.plus_days(9))] {
                    set.state = *state;
                    set.opens_at = opens;
                    set.expected_end_at = end;
                    set.seats = Some(40);
                    set.ended_at = (*state == ProgrammeState::Ended).then_some(now);
                    app.db.write(|conn| store::programme::set(conn, &set)).unwrap();
                    let text = site.visitor().get("/").text();
                    let what = format!("{state} {opens:?} {end:?}: {text}");
                    let open = *state == ProgrammeState::Open;
                    let begun = opens.is_some_and(|at| at <= now);
                    assert_eq!(text.contains("Opened"), open && begun, "{what}");
                    assert_eq!(text.contains("Registration is open."), open && (begun || opens.is_none()), "{what}");
                    let ended = *state == ProgrammeState::Ended;
                    assert!(!text.contains("no fixed date"), "{what}");
                    assert_eq!(text.contains("Expected to end"), !ended && end.is_some_and(|at| at > now), "{what}");
                    assert_eq!(text.contains("End No fixed date: when we are confident"), !ended && end.is_none_or(|at| at <= now), "{what}");
                    assert_eq!(text.contains("are free"), open, "{what}");
                }
            }
        }
    }

    fn staff_write_a_section_after_a_look_at_it(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let programme = staff.get(URL);
        let form = staff.get(&programme.shows(&["as it comes"]).link("Where bugs go"));
        form.shows(&["As members read it now"]);
        let preview = staff.submit(&form, "Preview", &[("body", "Tell *us*, not the forum.")]);
        preview.shows(&["not saved yet", "us", "not the forum."]);
        assert_eq!(site.visitor().get("/").text().matches("not the forum").count(), 0);
        let reply = staff.submit(&preview, "Save the text", &[]);
        staff.follow(&reply).shows(&["“Where bugs go” is saved.", "yours, of"]);
        assert_eq!(staff.submit(&preview, "Save the text", &[]).status, 303, "a second press finds it done");
        site.visitor().get("/").shows(&["not the forum."]);
        // Somebody who looked before that does not overwrite it unseen, and keeps what they typed.
        let late = staff.submit(&form, "Save the text", &[("body", "My own words")]);
        assert_eq!(late.status, 422);
        late.says(&["Someone else changed this text", "My own words"]);
        let long = "x".repeat(10_001);
        let fresh = staff.get(&form.path);
        let refused = staff.submit(&fresh, "Save the text", &[("body", &long)]);
        assert_eq!(refused.status, 422);
        refused.says(&["10000 characters or fewer"]);
        let reply = staff.submit(&fresh, "Bring back the text it came with", &[]);
        staff.follow(&reply).shows(&["is saved."]).hides(&["yours, of"]);
        site.visitor().get("/").hides(&["not the forum."]);
        assert_eq!(staff.get("/staff/programme/texts/nothing").status, 404);
    }

    fn hostile_text_is_text(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let body = "<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=alert(1)>";
        app.set_text(&app.staff(), TextSection::Brings, body, None).unwrap();
        let page = site.visitor().get("/");
        page.shows(&["<script>alert(1)</script>"]);
        for evil in ["<script>alert", "href=\"javascript", "<img"] {
            assert!(!page.body.contains(evil), "{evil}");
        }
        let refused = app.set_text(&app.member(), TextSection::Brings, "mine", None);
        assert!(matches!(refused, Err(AppError::Forbidden)), "members write nothing");
    }

    fn dates_in_the_wrong_order_are_named(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let form = staff.get(URL);
        let reply = staff.submit(&form, "Save the programme", &[("opens_at", "2026-12-01T10:00"), ("expected_end_at", "2026-11-01T10:00")]);
        assert_eq!(reply.status, 422);
        reply.says(&["The end must come after the opening"]);
        let reply = staff.submit(&form, "Save the programme", &[("opens_at", "soon")]);
        assert_eq!(reply.status, 422);
        reply.says(&["Enter a date and time, or nothing"]);
        assert_eq!(reply.attribute("#opens_at", "value").unwrap(), "soon");
        assert_eq!(app.in_db(store::programme::stored).unwrap().opens_at, None::<Time>);
    }
}
