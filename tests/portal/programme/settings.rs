//! What staff set for the whole beta, through the page.

use xenbeta::domain::programme::ProgrammeState;
use xenbeta::store;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{DB, MEMBER_EMAIL, STAFF_EMAIL, UML1, WEB, XEN1};

const URL: &str = "/staff/programme";
const SAVE: &str = "Save the programme";

both_databases! {
    fn the_funnel_counts_each_linode_once_and_the_dashboard_says_how_long_the_first_waits(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.register(&app.member(), &[DB]).unwrap();
        app.pass_s(3 * 86_400);
        app.confirm_migration(&app.member(), row.id).unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get(URL);
        let count = |stage: &str| page.row("Linodes by how far they came", stage)[1..3].join(", ");
        assert_eq!(["registered", "approved", "offered", "moved", "confirmed", "graduated"].map(count), ["2, 100 %", "1, 50 %", "1, 100 %", "1, 100 %", "1, 100 %", "0, 0 %"]);
        let csv = staff.get("/staff/programme/funnel.csv").csv();
        assert_eq!(csv.lines().nth(1), Some("registered,2"));
        staff.get("/staff/").shows(&["registrations wait for review", "the first for 3 days"]);
    }

    fn staff_close_the_beta_and_set_its_limits(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        let page = staff.get(URL);
        page.shows(&["Programme", "Open: members can register Linodes"]);
        let fields = [("state", "closed"), ("seats", "40"), ("offer_days", "3"), ("irc_url", "ircs://irc.example.net/xenbeta")];
        let reply = staff.submit(&page, SAVE, &fields);
        staff.follow(&reply).shows(&["The programme is saved."]);
        let row = app.in_db(store::programme::stored).unwrap();
        assert_eq!((row.state, row.seats, row.offer_days), (ProgrammeState::Closed, Some(40), 3));
        assert_eq!(row.watch_s, 2, "what was not touched stays");
        member.get("/members/xenbeta").shows(&["the IRC channel #xenbeta on irc.example.net"]);
        let many = app.register(&app.member(), &[WEB]).unwrap();
        assert!(many.refused[0].1.contains("no new registrations"), "{many:?}");
        // The same form again changes nothing, another one with old values is not taken blindly.
        assert_eq!(staff.submit(&page, SAVE, &fields).status, 303);
        let reply = staff.submit(&page, SAVE, &[("state", "open")]);
        assert_eq!(reply.status, 409);
        reply.says(&["Someone else changed these settings", "Look at the settings again"]);
        let fresh = staff.get(URL);
        let reply = staff.submit(&fresh, SAVE, &[("state", "open"), ("seats", "")]);
        assert_eq!(reply.status, 303);
        assert_eq!(app.in_db(store::programme::stored).unwrap().seats, None);
    }

    fn dates_stay_the_very_instants_when_something_else_is_saved(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        // The second half past one of the night in which New York's clocks go back, with seconds.
        let opens = "2026-11-01T06:30:17.000000Z";
        app.sql(&format!("UPDATE users SET timezone = 'America/New_York' WHERE id = 3; UPDATE programme SET opens_at = '{opens}', expected_end_at = '2027-03-01T12:00:00.000000Z' WHERE id = 1"));
        let dates = || {
            let row = app.in_db(store::programme::stored).unwrap();
            (row.opens_at.unwrap().to_string(), row.expected_end_at.unwrap().to_string())
        };
        let before = dates();
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get(URL);
        // The reader's zone becomes another one while the form is open.
        app.sql("UPDATE users SET timezone = 'Asia/Tokyo' WHERE id = 3");
        let reply = staff.submit(&page, SAVE, &[("seats", "40")]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        assert_eq!(dates(), before);
        // What is typed is meant in the zone that the form named, also when it is shown once more.
        app.sql("UPDATE users SET timezone = 'America/New_York' WHERE id = 3");
        let page = staff.get(URL);
        app.sql("UPDATE users SET timezone = 'Asia/Tokyo' WHERE id = 3");
        let wrong = staff.submit(&page, SAVE, &[("expected_end_at", "2027-04-01T09:00"), ("seats", "x")]);
        assert_eq!(wrong.status, 422);
        wrong.says(&["In America/New_York."]);
        assert_eq!(staff.submit(&wrong, SAVE, &[("seats", "41")]).status, 303);
        assert_eq!(dates().1, "2027-04-01 13:00:00 UTC");
    }

    fn bad_settings_are_named(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get(URL);
        for (field, value, said) in [
            ("state", "ended", "cannot be ended here"),
            ("state", "paused", "is none of"),
            ("seats", "-1", "from 0 to 1000000"),
            ("seats", "many", "or nothing"),
            ("offer_days", "0", "from 1 to 365"),
            ("way_back_days", "366", "from 1 to 365"),
            ("max_overall", "", "Enter a whole number"),
            ("watch_s", "601", "from 0 to 600"),
            ("forum_url", "javascript:alert(1)", "begins with https://"),
            ("irc_url", "https://a\"onclick=x", "begins with https://"),
        ] {
            let reply = staff.submit(&page, SAVE, &[(field, value)]);
            assert_eq!(reply.status, 422, "{field}={value:?}: {}", reply.text());
            reply.says(&["There is a problem", said]);
        }
        assert_eq!(app.in_db(store::programme::stored).unwrap().state, ProgrammeState::Open);
        assert!(app.set_programme(&app.member(), &settings()).is_err(), "members set nothing");
    }
}

fn settings() -> xenbeta::app::programme::Settings {
    xenbeta::app::programme::Settings {
        state: ProgrammeState::Open,
        irc: Default::default(),
        forum: Default::default(),
        seats: None,
        offer_days: 1,
        way_back_days: 1,
        max_overall: 1,
        max_per_link: 1,
        max_warm_passes: 1,
        watch_s: 1,
        opens_at: None,
        expected_end_at: None,
        seen: None,
    }
}
