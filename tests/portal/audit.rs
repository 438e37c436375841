//! Staff's trail: filtered, paged, exported, and checked.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl};
use xenbeta::app::audit::Verification;
use xenbeta::app::batch::NewOrder;
use xenbeta::app::fairness::weights::ByHand;
use xenbeta::app::{App, Settings};
use xenbeta::domain::audit::Action;
use xenbeta::domain::batch::{BatchKind, ItemOutcome};
use xenbeta::domain::ids::DiskId;
use xenbeta::domain::values::Label;
use xenbeta::store;
use xenbeta::store::audit::TrailFilter;
use xenbeta::store::batch::NewItem;
use xenbeta::store::error::StoreError;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, WEB, XEN2};
use crate::support::{On, TestApp};

/// Everybody waits for the trail's head: it is taken last. Somebody has the host, and wants the head then; a batch approved its
/// item, and wants the host.
#[test]
fn who_waits_for_a_row_has_not_taken_the_trails_head() {
    let app = TestApp::new(On::Postgresql).with_fleet();
    app.register(&app.member(), &[WEB]).unwrap();
    let registration = app.in_db(|conn| store::registration::newest_of(conn, WEB));
    let order = NewOrder {
        kind: BatchKind::Configure,
        of: vec![NewItem {
            to: Some(XEN2),
            ..NewItem::of(registration.expect("is there").id.0)
        }],
        reason: String::new(),
        off: None,
        once: "head-last".to_owned(),
    };
    let batch = app.begin_batch(&app.staff(), &order).unwrap();
    let mut other = PgConnection::establish(&app.url).unwrap();
    let has_host = format!(
        "BEGIN; SET LOCAL lock_timeout = '10s'; SELECT id FROM hosts WHERE id = {XEN2} FOR NO KEY UPDATE"
    );
    other.batch_execute(&has_host).unwrap();
    std::thread::scope(|scope| {
        let works = scope.spawn(|| app.work_on(batch, Duration::from_secs(30)).unwrap());
        let waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while diesel::sql_query(waits).execute(&mut other).unwrap() == 0 {
            assert!(!works.is_finished(), "it did not wait for the host");
            std::thread::sleep(Duration::from_millis(10));
        }
        other
            .batch_execute("SELECT hash FROM audit_head FOR UPDATE; COMMIT")
            .unwrap();
    });
    let done = app.in_db(|conn| store::batch::progress(conn, batch));
    assert_eq!(done.expect("is there").count(Some(ItemOutcome::Done)), 1);
}

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

    fn what_is_refused_is_in_the_trail_once_in_ten_minutes_with_its_count(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::behind_a_proxy(&app.app, "127.0.0.1:0");
        let knock = || {
            for n in 0..30 {
                let mut foreign = site.visitor_from("198.51.100.7");
                assert_eq!(foreign.post_from("/logout", &[], "https://evil.example").status, 403);
                let mut stale = site.visitor_from(format!("2001:db8:7:7::{n:x}"));
                assert_eq!(stale.post("/password/reset/secret", &[("csrf".into(), "stolen".into())]).status, 403);
                assert_eq!(site.visitor_from("192.0.2.44").agents_call("/agent/v1/poll", "never-given").status, 401);
            }
        };
        let rows = || -> Vec<[String; 4]> {
            let kinds = ["form.refused", "agent.refused", "too_many.refused"];
            let found = kinds.map(|kind| {
                let filter = TrailFilter { action: kind.to_owned(), ..TrailFilter::default() };
                app.in_db(|conn| store::audit::list(conn, &filter, None, 100))
            });
            let told = found.into_iter().flatten().rev();
            told.map(|row| [row.action, row.actor, row.address, row.after]).collect()
        };
        knock();
        assert!(rows().is_empty(), "nothing is written while somebody waits for an answer");
        assert_eq!(app.tell_refusals().unwrap(), 3);
        let first = rows();
        let of = |kind: &str, address: &str| {
            let is = |row: &&[String; 4]| row[0] == kind && row[1].is_empty() && row[2] == address;
            first.iter().find(is).unwrap_or_else(|| panic!("{kind} {address}: {first:?}"))[3].clone()
        };
        assert!(of("form.refused", "198.51.100.7").starts_with("30 times since 2026-06-0"));
        assert!(of("form.refused", "198.51.100.7").ends_with("last: POST /logout"));
        // One network is one asker, and no secret of a path is kept.
        assert!(of("form.refused", "2001:db8:7:7::1d").ends_with("last: POST /password/reset/{token}"));
        assert!(of("agent.refused", "192.0.2.44").ends_with("last: POST /agent/v1/poll"));
        knock();
        assert_eq!(app.tell_refusals().unwrap(), 0, "not so soon");
        app.pass_s(600);
        assert_eq!(app.tell_refusals().unwrap(), 3);
        app.pass_s(600);
        knock();
        assert_eq!(app.tell_refusals().unwrap(), 0, "and then twice as long");
        // What comes too often.
        let mut asks = site.visitor_from("203.0.113.9");
        let page = asks.get("/password/forgot");
        let said: Vec<u16> = (0..25).map(|_| asks.submit(&page, "Send the link", &[("email", "nobody@example.com")]).status).collect();
        assert_eq!(said.iter().filter(|status| **status == 429).count(), 5, "{said:?}");
        app.tell_refusals().unwrap();
        assert!(rows().iter().any(|row| row[0] == "too_many.refused" && row[2] == "203.0.113.9" && row[3].starts_with("5 times")));
        assert!(matches!(app.verify_audit(None).unwrap(), Verification::Whole { .. }));
        let mut staff = site.signed_in(STAFF_EMAIL);
        staff.get("/staff/audit?action=too_many.refused").shows(&["203.0.113.9", "POST /password/forgot"]);
    }

    fn a_flood_from_everywhere_fills_neither_trail_nor_memory(app: TestApp) {
        let app = app.with_fleet();
        let mut rows = 0;
        for _ in 0..6 {
            for n in 0..20_000_u32 {
                app.note_refusal(Action::TooMany, &std::net::Ipv4Addr::from(n).to_string(), "GET /login");
            }
            rows += app.tell_refusals().unwrap();
            assert_eq!(app.tell_refusals().unwrap(), 0);
            app.pass_s(100);
        }
        assert_eq!(rows, 101, "in ten minutes");
        app.pass_s(3600);
        rows = app.tell_refusals().unwrap();
        let told = app.in_db(|conn| store::audit::list(conn, &TrailFilter::default(), None, 1000));
        assert_eq!((rows, told.len()), (101, 202));
        let count = |text: &str| text.split(' ').next().unwrap().parse().unwrap_or(1_u64);
        assert_eq!(told.iter().map(|row| count(&row.after)).sum::<u64>(), 120_000, "none is lost");
        app.pass_s(7200);
        assert_eq!(app.tell_refusals().unwrap(), 0, "all is forgotten");
        app.note_refusal(Action::TooMany, "192.0.2.1", "GET /login");
        app.tell_refusals().unwrap();
        let last = app.in_db(|conn| store::audit::list(conn, &TrailFilter::default(), None, 1));
        assert_eq!((last[0].address.as_str(), last[0].after.as_str()), ("192.0.2.1", "once: GET /login"));
    }

    fn the_trails_head_goes_out_once_a_day(app: TestApp) {
        let keepers = ["audit@example.net", "vault@example.org"];
        let told = |portal: &mut App| {
            let audit_head_to = keepers.map(str::to_owned).into();
            portal.settings = Arc::new(Settings { audit_head_to, ..portal.settings.as_ref().clone() });
        };
        let mut app = app.with_fleet();
        let mut other = app.second();
        told(&mut app.app);
        told(&mut other);
        let heads = || {
            use diesel::prelude::*;
            use xenbeta::store::schema::outbox;
            let all = outbox::table.filter(outbox::kind.eq("audit_head")).order(outbox::id).select((outbox::recipient, outbox::text_body));
            app.in_db(|conn| Ok::<_, StoreError>(all.load::<(String, String)>(conn)?))
        };
        app.reconcile().unwrap();
        app.tidy().unwrap();
        assert!(heads().is_empty(), "there is none yet");
        app.register(&app.member(), &[WEB]).unwrap();
        // Two portals at once, and each as often as it likes.
        std::thread::scope(|scope| {
            for portal in [&app.app, &other] {
                scope.spawn(|| (0..3).for_each(|_| portal.tidy().unwrap()));
            }
        });
        let first = heads();
        assert_eq!(first.iter().map(|(to, _)| to.as_str()).collect::<Vec<_>>(), keepers);
        let line = first[0].1.lines().find(|line| line.trim().starts_with("k1:")).unwrap().trim().to_owned();
        assert!(matches!(app.verify_audit(Some(&line)).unwrap(), Verification::Whole { .. }));
        app.pass_s(86_400);
        app.reconcile().unwrap();
        other.tidy().unwrap();
        app.tidy().unwrap();
        assert_eq!(heads().len(), 4);
        // A clock that jumps sends nothing, and if it was right, no more than one.
        app.set_clock_by_s(100 * 86_400);
        app.reconcile().unwrap();
        app.tidy().unwrap();
        assert_eq!(heads().len(), 4);
        app.clock_is_right(&app.staff()).unwrap();
        app.reconcile().unwrap();
        (0..5).for_each(|_| app.tidy().unwrap());
        assert_eq!(heads().len(), 6);
        // What the head covered is cut off.
        app.sql("DELETE FROM audit_events; UPDATE audit_head SET hash = ''");
        assert!(matches!(app.verify_audit(Some(&line)).unwrap(), Verification::CutOff { .. }));
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

    fn days_and_moments_that_no_database_can_write_are_refused(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        for path in [
            "/staff/audit?from=-4800-01-01",
            "/staff/audit?to=%2B262142-12-31",
            "/staff/migrations?week=-4800-01-01",
            "/staff/migrations?week=%2B262142-12-31&weeks=65535",
            "/staff/migrations?since=-8000000000000000000",
            "/staff/migrations?since=9223372036854775807",
            "/staff/registrations?after=-8000000000000000000.1",
        ] {
            assert_eq!(staff.get(path).status, 400, "{path}");
        }
        assert_eq!(staff.get("/staff/migrations?week=9998-12-31&weeks=65535").status, 200);
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
