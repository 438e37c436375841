//! Staff's trail: filtered, paged, exported, and checked.

use xenbeta::app::audit::Verification;
use xenbeta::app::fairness::weights::ByHand;
use xenbeta::domain::ids::DiskId;
use xenbeta::domain::values::Label;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, WEB};

both_databases! {
    fn the_trail_is_filtered_paged_and_checked(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        for n in 0..120 {
            let body = if n % 2 == 0 { "One <b>text</b>" } else { "=cmd|' /C calc'!A0" };
            let seen = app.in_db(|conn| xenbeta::store::programme::text(conn, xenbeta::domain::programme::TextSection::Bugs)).map(|it| it.changed_at);
            app.set_text(&app.staff(), xenbeta::domain::programme::TextSection::Bugs, body, seen).unwrap();
        }
        app.register(&app.member(), &[WEB]).unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get("/staff/audit?action=programme.text");
        assert_eq!(page.column("What was done", "To what"), ["programme text bugs"; 100]);
        page.shows(&["One <b>text</b>"]);
        assert!(!page.body.contains("<b>text"));
        let next = staff.get(&page.link("Next page"));
        assert_eq!(next.column("What was done", "What"), ["programme.text"; 20]);
        let hers = staff.get("/staff/audit?actor=mia@example.com");
        let hers = hers.rows("What was done");
        assert!(hers.iter().all(|row| row[1] == MEMBER_EMAIL), "{hers:?}");
        assert!(hers.iter().any(|row| row[3].contains("register") && row[4] == "linode 101"), "{hers:?}");
        staff.get("/staff/audit?to=2026-01-01").shows(&["There is nothing."]);
        let today = app.now().utc().date_naive();
        staff.get(&format!("/staff/audit?from={today}&to={today}&object=linode%20101")).shows(&["register"]);
        assert_eq!(staff.get("/staff/audit?from=yesterday").status, 400);
        let csv = staff.get("/staff/audit.csv?action=programme.text").csv();
        assert_eq!(csv.lines().count(), 121);
        assert!(csv.contains(",'=cmd"), "no formula for a spreadsheet");
        let whole = staff.get("/staff/audit/verify");
        assert_eq!((whole.heading(), whole.texts("main .tag")), ("Is the trail whole?".to_owned(), vec!["Whole".to_owned()]));
        app.sql("UPDATE audit_events SET after = 'nothing' WHERE id = 5");
        let broken = staff.get("/staff/audit/verify");
        broken.shows(&["entry 5"]);
        assert_eq!(broken.texts("main .tag"), ["Broken"]);
        assert_eq!(site.signed_in(MEMBER_EMAIL).get("/staff/audit").status, 404);
    }

    fn a_linodes_trail_has_its_weight_disks_and_profiles(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let by_hand = ByHand { weight: Some(700), reason: "a promise", was: None };
        app.set_linode_weight(&app.staff(), WEB, by_hand).unwrap();
        app.rename_disk(&app.member(), WEB, DiskId(1011), &Label::parse("system").unwrap()).unwrap();
        app.register(&app.member(), &[WEB]).unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let objects = |page: &crate::browser::Reply| page.column("What was done", "To what");
        let all = staff.get("/staff/audit?object=linode%20101");
        assert_eq!(objects(&all), ["linode 101", "linode 101, disk 1011", "linode:101"]);
        let part = staff.get("/staff/audit?object=linode%20101,%20disk%201011");
        assert_eq!(objects(&part), ["linode 101, disk 1011"]);
        assert_eq!(objects(&staff.get("/staff/audit?object=linode:101")), ["linode:101"]);
        assert_eq!(staff.get("/staff/audit.csv?object=linode%20101").body.lines().count(), 4);
        assert!(matches!(app.verify_audit(None).unwrap(), Verification::Whole { .. }));
    }

    fn exports_are_whole(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mut sql = String::new();
        for n in 1..=2_345 {
            sql.push_str(&format!("INSERT INTO audit_events (at, actor, address, action, object, before, after, hash) VALUES ('2026-01-01T00:00:00.000000Z', 'a', '', 'many', 'x', '', 'n{n}', 'm{n}');"));
            sql.push_str(&format!("INSERT INTO bugs (title, happened, expected, reproduce, state, severity, component, opened_by, account_id, once, opened_at, changed_at) VALUES ('bug {n}', 'x', '', '', 'new', 'none', 'disk', 1, 1, 'o{n}', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z');"));
        }
        app.sql(&sql);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        for (path, column) in [("/staff/audit.csv?action=many", 6), ("/staff/bugs.csv?state=new", 1)] {
            let body = staff.get(path).body;
            let mut file = csv::Reader::from_reader(body.as_bytes());
            let seen: std::collections::BTreeSet<String> = file.records().map(|row| row.unwrap()[column + usize::from(column == 6)].to_owned()).collect();
            assert_eq!(seen.len(), 2_345, "{path}");
        }
    }
}
