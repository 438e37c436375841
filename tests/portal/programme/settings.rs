//! What staff set for the whole beta, through the page.

use xenbeta::domain::programme::ProgrammeState;
use xenbeta::store;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, WEB};

const URL: &str = "/staff/programme";
const SAVE: &str = "Save the programme";

both_databases! {
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
        member.get("/members/xenbeta").shows(&["the IRC channel"]);
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
