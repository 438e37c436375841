//! Staff hold jobs back, and try many again: through the pages, and what hosts get meanwhile.

use std::time::Duration;

use xenbeta::domain::ids::{HostId, JobId};
use xenbeta::domain::job::{JobKind, JobState};
use xenbeta::store;
use xenbeta::wire::{Order, Outcome};

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, UML1, WEB, XEN1};

fn ends(app: &TestApp, host: HostId, order: &Order) {
    let report = app.success(order);
    app.answer(host, order, Outcome::Succeeded { report })
        .unwrap();
    app.reconcile().unwrap();
}

/// Failed shutdowns of WEB on its host, from id 5001 on.
fn failed(count: i64) -> String {
    let at = "'2026-01-01T00:00:00.000000Z'";
    (1..=count)
        .map(|n| {
            let id = 5000 + n;
            format!("INSERT INTO jobs (id, host_id, linode_id, kind, state, epoch, run_after, entered_at, finished_at, message) VALUES ({id}, {UML1}, {WEB}, 'shutdown', 'failed', 1, {at}, {at}, {at}, 'No.');")
        })
        .collect()
}

both_databases! {
    fn what_staff_pause_waits_and_what_is_in_hand_goes_on(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.clicked(WEB);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let order = app.work_until("reserve");
        let page = staff.get("/staff/jobs/pauses");
        page.shows(&["Nothing is paused."]);
        staff.submit(&page, "Pause them", &[("reason", "The disk is slow.")]).says(&["Choose a host, a kind, or both"]);
        staff.submit(&page, "Pause them", &[("host", &XEN1.to_string())]).says(&["Say why"]);
        let reply = staff.submit(&page, "Pause them", &[("host", &XEN1.to_string()), ("reason", "The disk is slow.")]);
        let paused = staff.follow(&reply);
        paused.shows(&["All jobs on xen1", "The disk is slow."]);
        staff.get("/staff/jobs").shows(&["Paused: All jobs on xen1. The disk is slow."]);
        assert_eq!(staff.submit(&page, "Pause them", &[("host", &XEN1.to_string()), ("reason", "Again.")]).status, 409);
        // What it has in hand it ends, and then it gets nothing more.
        ends(&app, XEN1, &order);
        app.work(UML1);
        app.reconcile().unwrap();
        app.nothing_for(XEN1);
        assert!(!app.in_db(|conn| store::job::anything_for(conn, XEN1, app.now())), "no host asks in vain again and again");
        let row = app.newest_migration(WEB);
        staff.get(&format!("/staff/migrations/{}", row.id)).shows(&["staff: they hold", "on xen1 back"]);
        site.signed_in(MEMBER_EMAIL).get(&format!("/members/migrations/{}", row.id)).shows(&["our staff hold the next step back"]);
        let button = "End the pause: All jobs on xen1";
        assert_eq!(staff.submit(&paused, button, &[]).status, 303);
        assert_eq!(staff.submit(&paused, button, &[]).status, 303, "twice is once");
        app.take(XEN1);
    }

    fn what_brings_a_stopped_linode_up_is_never_paused(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let order = app.work_until("stop_seal");
        for host in [UML1, XEN1] {
            app.pause_jobs(&app.staff(), (Some(host), None), "Both are looked at.").unwrap();
        }
        for kind in JobKind::NEVER_WAIT {
            assert!(app.pause_jobs(&app.staff(), (None, Some(kind)), "No.").is_err());
        }
        ends(&app, UML1, &order);
        for kind in ["final_copy", "start"] {
            let order = app.take(XEN1);
            assert_eq!(crate::support::hand::kind(&order), kind);
            ends(&app, XEN1, &order);
        }
        assert!(app.pause_jobs(&app.member(), (Some(UML1), None), "No.").is_err());
    }

    fn many_failed_jobs_are_tried_again_by_one_form(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.sql(&failed(60));
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        staff.get("/staff/jobs?state=failed&kind=boot").hides(&["Try all of these again"]);
        let list = staff.get(&format!("/staff/jobs?state=failed&kind=shutdown&host={UML1}&age=24"));
        let ask = staff.get(&list.link("Try all of these again…"));
        assert_eq!(ask.heading(), "Try 60 jobs again");
        let one = JobId(5001);
        app.retry_job(&app.staff(), one).unwrap();
        let reply = staff.submit(&ask, "Try 60 jobs again", &[]);
        assert_eq!(reply.status, 409);
        reply.says(&["60 had failed when you looked, and 59 now"]);
        let ask = staff.get(&list.link("Try all of these again…"));
        let reply = staff.submit(&ask, "Try 59 jobs again", &[]);
        app.work_batches(Duration::from_secs(60)).unwrap();
        let page = staff.follow(&reply);
        assert_eq!((page.heading().as_str(), page.fact("tried again").as_str()), ("Retry 59 jobs", "59"));
        assert_eq!(app.in_db(|conn| store::job::job(conn, JobId(5060))).unwrap().state, JobState::Pending);
        assert!(app.mails_of("batch").is_empty());
        let none = staff.get("/staff/jobs/retry?kind=shutdown");
        assert_eq!(none.status, 409);
        none.says(&["there is nothing to try again"]);
        assert_eq!(staff.get("/staff/jobs?age=x").status, 400);
    }
}
