//! Registering, and what staff decide about it.

use std::collections::BTreeSet;

use diesel::prelude::*;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::registration::RegistrationState;
use xenbeta::domain::time::Time;
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::store::schema::registrations;
use xenbeta::wire::Outcome;

use crate::both_databases;
use crate::browser::{Browser, Site};
use crate::pages::gzip;
use crate::races::begin::one_each;
use crate::support::TestApp;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, UML1, WEB, XEN1};
use crate::support::hand::now_click;

/// When each registration was asked for: a round has one moment.
fn moments(app: &TestApp) -> Vec<Time> {
    app.in_db(|conn| {
        Ok::<_, StoreError>(
            registrations::table
                .select(registrations::requested_at)
                .load(conn)?,
        )
    })
}

both_databases! {
    fn many_are_registered_in_rounds_that_let_others_write(app: TestApp) {
        let app = app.with_fleet();
        let many = one_each(&app, 120);
        let registered = app.register(&app.member(), &many).unwrap();
        assert_eq!((registered.done.len(), registered.refused.len()), (120, 0));
        let at = moments(&app);
        assert_eq!(at.len(), 120);
        let rounds: BTreeSet<Time> = at.into_iter().collect();
        assert!(rounds.len() >= 3, "{rounds:?}");
        let again = app.register(&app.member(), &many).unwrap();
        assert_eq!((again.done.len(), moments(&app).len()), (120, 120), "a form sent twice registers once");
    }

    fn none_is_registered_beside_one_that_is_another_members(app: TestApp) {
        let app = app.with_fleet();
        let mut asked: Vec<LinodeId> = one_each(&app, 60);
        asked.extend([WEB, THEIRS]);
        assert!(app.register(&app.member(), &asked).is_err());
        assert_eq!(moments(&app), vec![]);
    }

    fn withdrawing_is_offered_whenever_it_is_allowed(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let withdraws = |member: &mut Browser, linode: LinodeId| {
            let label = app.linode(linode).label;
            let page = member.get("/members/xenbeta");
            let question = member.get(&page.link(&format!("Withdraw {label}")));
            let reply = member.submit(&question, &format!("Withdraw {label}"), &[]);
            assert_eq!(reply.status, 303, "{}", reply.text());
            assert_eq!(app.newest_migration(linode).state, MigrationState::Cancelled);
        };
        // It waits for its time.
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let click = Click { at: Some(app.now().plus_days(1)), ..now_click() };
        app.migrate(&app.member(), WEB, click).unwrap();
        withdraws(&mut member, WEB);
        // It is at work, and then it has failed.
        let row = app.clicked(OLD);
        member.get("/members/xenbeta").hides(&["Withdraw old"]);
        assert!(app.withdraw(&app.member(), row.registration_id.unwrap()).is_err());
        let order = app.take(UML1);
        let outcome = Outcome::Failed { retry: false, public: "It broke.".to_owned(), detail: String::new(), console: None, owns: None };
        app.answer(UML1, &order, outcome).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
        withdraws(&mut member, OLD);
    }

    fn all_are_those_that_staff_saw(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.register(&app.member(), &[WEB, DB]).unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let all = |count: i64| format!("/staff/registrations/review?do=approve&state=requested&all=yes&count={count}");
        let page = staff.get(&all(2));
        app.register(&app.member(), &[OLD]).unwrap();
        let reply = staff.submit(&page, "Approve 2 registrations", &[]);
        assert_eq!(reply.status, 409, "{}", reply.text());
        reply.says(&["does not match what you saw"]);
        // Nothing ticked: the list itself says so.
        let none = staff.get("/staff/registrations/review?do=approve&state=requested");
        assert_eq!((none.status, none.location.as_str()), (303, "/staff/registrations?state=requested"));
        staff.follow(&none).shows(&["Nothing was ticked.", "Approve…"]);
        let waiting = || app.in_db(|conn| store::registration::count(conn, RegistrationState::Requested));
        assert_eq!(waiting(), 3, "none was approved");
        let page = staff.get(&all(3));
        for _ in 0..2 {
            assert_eq!(staff.submit(&page, "Approve 3 registrations", &[]).status, 303, "a second press finds it done");
        }
        assert_eq!(waiting(), 0);
    }

    fn a_thousand_linodes_come_page_by_page_and_are_found(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        one_each(&app, 1001);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        for path in ["/members/", "/members/xenbeta"] {
            let first = member.get(path);
            assert_eq!(first.texts("main tbody tr").len(), 50, "{path}");
            let size = gzip(&first.body);
            assert!(size <= 6 * 1024, "{path}: {size} bytes of gzip");
            let all: BTreeSet<String> = member.walk(path).into_iter().collect();
            assert_eq!(all.len(), 1004, "{path}: each once");
            assert!(all.contains("node-6000") && all.contains("web"), "{path}");
            // By any part of the label, in any case; by address, plan, host.
            for (q, shown, hidden) in [("ODE-60", "node-6000", "node-5999"), ("192.0.2.11", "web", "old"), ("1024", "db", "old"), ("uml1", "db", "nothing")] {
                let found = member.submit(&first, "Filter", &[("q", q)]);
                let labels = found.texts("main tbody th");
                assert!(labels.contains(&shown.to_owned()) && !labels.contains(&hidden.to_owned()), "{q}: {labels:?}");
                assert_eq!(found.attribute("#q", "value").unwrap(), q);
            }
            let none = member.submit(&first, "Filter", &[("q", "no such")]);
            assert_eq!(none.link("Show all"), path);
            none.shows(&["None is like that."]);
        }
        // One that is far behind is registered by its own link.
        let found = member.get("/members/?q=node-6000");
        let page = member.get(&found.link("Register node-6000"));
        assert_eq!(member.submit(&page, "Register the chosen Linodes", &[]).status, 303, "its box is ticked");
        assert_eq!(moments(&app).len(), 1);
        assert_eq!(member.get("/members/fairness?linode=6000").status, 200);
    }

    fn all_that_a_filter_finds_are_registered_at_once(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let many = one_each(&app, 1001);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        member.get("/members/xenbeta").shows(&["The first 1000 that can be registered, on all pages"]);
        let page = member.get("/members/xenbeta?q=node-59");
        page.shows(&["All 100 that can be registered, on all pages"]);
        // Somebody else of the account took one meanwhile.
        app.register(&app.member(), &many[900..901]).unwrap();
        let all = [("all", "yes")];
        member.submit(&page, "Register the chosen Linodes", &all).says_beside("linode", "now 99 Linodes can be registered");
        assert_eq!(moments(&app).len(), 1);
        let page = member.get("/members/xenbeta?q=node-59");
        let reply = member.submit(&page, "Register the chosen Linodes", &all);
        assert_eq!(reply.location, "/members/xenbeta?q=node-59", "the filter stays");
        member.follow(&reply).shows(&["99 Linodes are registered"]).hides(&["that can be registered, on"]);
        let reply = member.submit(&page, "Register the chosen Linodes", &all);
        member.follow(&reply).shows(&["see below how they stand"]);
        assert_eq!(moments(&app).len(), 100);
        // Where there are few, all are few, and there is nothing to find.
        let few = site.signed_in("otto@example.com").get("/members/xenbeta");
        few.hides(&["that can be registered, on", "Filter"]);
    }

    fn what_a_list_leads_to_is_ticked(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get("/members/");
        let page = member.get(&page.link("Register db"));
        page.shows(&["web", "db", "old"]);
        assert_eq!(page.attribute("input[name=linode][checked]", "aria-label").unwrap(), "Register db");
        let reply = member.submit(&page, "Register the chosen Linodes", &[]);
        member.follow(&reply).shows(&["Registered."]);
        assert_eq!(moments(&app).len(), 1);
    }

    fn of_hundreds_that_were_refused_ten_are_named(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        one_each(&app, 100);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get("/members/xenbeta?q=node");
        app.run_sql("UPDATE programme SET seats = 3");
        let refused = member.submit(&page, "Register the chosen Linodes", &[("all", "yes")]);
        refused.says_beside("linode", "3 Linodes are registered. Not registered: node-5003:").says_beside("linode", "And 87 more.");
    }
}
