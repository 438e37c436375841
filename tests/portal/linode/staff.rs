//! All Linodes, as staff see them: found by name, address, host; one with everything about it; linked from every list.

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, UML1, WEB};
use crate::support::hand::now_click;

both_databases! {
    fn staff_find_any_linode(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.clicked(WEB);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let all = staff.get("/staff/linodes");
        assert_eq!(all.heading(), "Linodes");
        assert_eq!(all.column("Linodes, by label", "Linode"), ["db", "old", "theirs", "web"]);
        let web = all.row("Linodes, by label", "web");
        assert_eq!(web[1..6], ["Mia Ltd", "Linode 512", "192.0.2.11", "uml1", "UML"], "{web:?}");
        assert!(web[7].contains("Approved") && web[8].contains("Migration 1"), "{web:?}");
        for (asked, found) in [
            ("q=otto", vec!["theirs"]),
            ("q=we", vec!["web"]),
            ("q=192.0.2.13", vec!["old"]),
            ("q=192.0.2.14", vec![]),
            ("q=eb", vec![]),
            ("host=2", vec![]),
            ("host=1&q=mia", vec!["db", "old", "web"]),
            ("platform=xen", vec![]),
            ("platform=uml&q=db", vec!["db"]),
        ] {
            assert_eq!(staff.walk(&format!("/staff/linodes?{asked}")), found, "{asked}");
        }
        let on = staff.get("/staff/linodes?host=1");
        assert_eq!(on.link("uml1"), format!("/staff/hosts/{UML1}"));
        for wrong in ["platform=vax", "host=x", "after=x"] {
            assert_eq!(staff.get(&format!("/staff/linodes?{wrong}")).status, 400, "{wrong}");
        }
        assert_eq!(site.signed_in(MEMBER_EMAIL).get("/staff/linodes").status, 404);
    }

    fn linodes_are_walked_each_once(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let mut sql = String::new();
        for n in 1..=230 {
            // Many share a label: the page's key tells them apart.
            sql.push_str(&format!("INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) SELECT {}, {}, 'box-{}', plan_id, host_id, epoch, fetched, status, status_at, '{n}', created_at FROM linodes WHERE id = 101;", 5000 + n, 1000 + n, n / 50));
            sql.insert_str(0, &format!("INSERT INTO accounts (id, name, created_at) VALUES ({}, 'A{n}', '2026-01-01T00:00:00.000000Z');", 1000 + n));
        }
        app.sql(&sql);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let all = staff.walk("/staff/linodes");
        assert_eq!(all.len(), 234);
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!(all, sorted);
        // The last one of a page is gone: the list begins anew, and nothing is left out.
        assert_eq!(staff.get("/staff/linodes?after=987654").column("Linodes, by label", "Linode")[0], "box-0");
    }

    fn everything_about_one_is_on_its_page(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.clicked(WEB);
        app.sql("UPDATE linodes SET console = 'login: <b>', console_at = '2026-01-01T00:00:00.000000Z' WHERE id = 101");
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let form = member.get(&format!("/members/bugs/new?linode={WEB}&title=network+gone"));
        let fields = [("title", "network gone"), ("happened", "No network."), ("expected", "A network."), ("reproduce", "Boot it.")];
        let reply = member.submit(&form, "Open the bug", &fields);
        assert_eq!(reply.status, 303, "{}", reply.text());
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get(&format!("/staff/linodes/{WEB}"));
        assert_eq!((page.heading().as_str(), page.fact("Account").as_str(), page.fact("Members").as_str()), ("web", "Mia Ltd", MEMBER_EMAIL));
        assert_eq!(page.fact("Addresses"), "192.0.2.11, 192.168.1.11");
        assert_eq!(page.row("Its moves, newest first", "Migration 1")[3..5], ["uml1", "xen1"]);
        assert_eq!(page.column("Its config profiles", "Kernel"), ["2.6 under UML"]);
        page.shows(&["login: <b>", "Bug 1: network gone"]);
        assert!(!page.body.contains("<b>"));
        // What it leads to is about this one.
        for (list, caption) in [("All moves of web", "Migrations, newest first"), ("All jobs of web", "Jobs, newest first")] {
            let list = staff.get(&page.link(list));
            assert!(list.status == 200 && list.text().contains("of Linode 101"), "{}", list.text());
            if !list.text().contains("There are none.") {
                assert!(list.column(caption, "Linode").iter().all(|it| it == "web"));
            }
        }
        assert_eq!(staff.get(&page.link("What was done to web")).status, 200);
        assert_eq!(staff.get(&page.link("Fairness on uml1")).status, 200);
        // A label leads there from every list of it.
        for list in ["/staff/migrations", "/staff/registrations?state=all", "/staff/hosts/1", "/staff/members/1", "/staff/jobs"] {
            let list = staff.get(list);
            if list.path != "/staff/jobs" || !list.text().contains("There are none.") {
                assert_eq!(list.link("web"), format!("/staff/linodes/{WEB}"), "{}", list.path);
            }
        }
        assert_eq!(staff.get(&format!("/staff/migrations/{}", row.id)).status, 200);
        let untouched = staff.get(&format!("/staff/linodes/{THEIRS}"));
        untouched.shows(&["It was never registered.", "It was never offered one.", "No bug names it.", "Nothing of it was read yet."]);
        assert_eq!(staff.get("/staff/linodes/987654").status, 404);
        assert_eq!(member.get(&format!("/staff/linodes/{WEB}")).status, 404);
    }

    fn moves_and_jobs_are_found_by_name(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.clicked(WEB);
        app.chosen(OLD, now_click());
        app.reconcile().unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let moves = |page: &str, staff: &mut crate::browser::Browser| {
            let page = staff.get(&format!("/staff/migrations?{page}"));
            if page.text().contains("There are none.") { Vec::new() } else { page.column("Migrations, newest first", "Linode") }
        };
        assert_eq!(moves("q=web", &mut staff), ["web"]);
        assert_eq!(moves("q=MIA", &mut staff), ["old", "web"]);
        assert_eq!(moves("q=otto", &mut staff), [""; 0]);
        assert_eq!(moves(&format!("linode={OLD}"), &mut staff), ["old"]);
        let jobs = staff.get("/staff/jobs?q=old&kind=preflight_source");
        assert_eq!(jobs.column("Jobs, newest first", "Linode"), ["old"]);
        jobs.shows(&["Only: "]);
        staff.get("/staff/jobs?q=old&kind=purge").shows(&["There are none."]);
        assert_eq!(staff.get("/staff/jobs?kind=dance").status, 400);
    }
}
