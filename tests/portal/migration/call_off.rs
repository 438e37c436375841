//! Staff call a move off: its members are told why, once, whenever it ends.

use xenbeta::app::error::AppError;
use xenbeta::domain::host::HostState;
use xenbeta::domain::migration::MigrationState;
use xenbeta::wire::Outcome;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, WEB, XEN1, XEN2};
use crate::support::hand::now_click;
use xenbeta::app::migration::actions::Click;

both_databases! {
    fn an_offer_is_called_off_with_a_reason(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let row = app.newest_migration(WEB);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let url = format!("/staff/migrations/{}/cancel", row.id);
        let question = staff.get(&url);
        let button = format!("Cancel migration {} of web", row.id);
        let empty = staff.submit(&question, &button, &[("reason", "  ")]);
        assert_eq!(empty.status, 422);
        empty.says_beside("reason", "Give its members a reason");
        assert_eq!(app.migration(row.id).state, MigrationState::Offered);
        let long = "x".repeat(1001);
        let reply = staff.submit(&question, &button, &[("reason", &long)]);
        assert_eq!(reply.status, 422, "what was typed is there still");
        assert!(reply.body.contains(&long));
        let reply = staff.submit(&question, &button, &[("reason", "The host goes into repair.")]);
        assert_eq!(reply.status, 303);
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        // The second press finds it done, and tells nothing anew.
        assert!(staff.submit(&question, &button, &[("reason", "Another one.")]).status < 500);
        let mails = app.mails_of("called_off");
        assert_eq!(mails.len(), 1);
        assert!(mails[0].contains("The host goes into repair.") && mails[0].contains("to xen1"), "{}", mails[0]);
        let mut member = site.signed_in(MEMBER_EMAIL);
        member.get(&format!("/members/migrations/{}", row.id)).shows(&["Staff cancelled it: The host goes into repair."]);
        assert!(matches!(app.call_off(&app.member(), row.id, "me"), Err(AppError::Forbidden)));
    }

    fn one_that_copies_tells_it_when_its_agent_has_stopped(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(7200);
        let row = app.chosen(WEB, Click { at: Some(at), ..now_click() });
        app.pass_s(7200 - 600);
        app.reconcile().unwrap();
        let order = app.work_until("warm_copy");
        app.call_off(&app.staff(), row.id, "The new host is needed elsewhere.").unwrap();
        app.call_off(&app.staff(), row.id, "A second reason.").unwrap();
        assert_eq!(app.mails_of("called_off"), [""; 0], "it is not over yet");
        app.answer(XEN1, &order, Outcome::Cancelled).unwrap();
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        let mails = app.mails_of("called_off");
        assert!(mails.len() == 1 && mails[0].contains("is needed elsewhere"), "{mails:?}");
        assert_eq!(app.mails_of("unscheduled"), [""; 0], "one mail, with the calendar file that takes the time back");
    }

    fn offers_to_a_host_that_takes_none_any_more_are_called_off(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let [web, db] = [WEB, DB].map(|linode| app.approved(linode));
        let gone = app.offer(&app.staff(), web, Some(XEN1)).unwrap();
        let stays = app.offer(&app.staff(), db, Some(XEN2)).unwrap();
        let clicked = app.chosen(OLD, now_click());
        assert_eq!(clicked.destination_host_id, XEN1);
        app.set_host_state(&app.staff(), XEN1, (HostState::Enabled, HostState::Draining)).unwrap();
        assert_eq!(app.reconcile().unwrap().withdrawn, 1);
        assert_eq!(app.reconcile().unwrap().withdrawn, 0, "once");
        assert_eq!(app.migration(gone.id).state, MigrationState::Cancelled);
        assert_eq!(app.migration(stays.id).state, MigrationState::Offered);
        assert_eq!(app.migration(clicked.id).state, MigrationState::Queued, "what was clicked waits, and says why");
        let mails = app.mails_of("called_off");
        assert!(mails.len() == 1 && mails[0].contains("xen1 takes no new Linodes any more"), "{mails:?}");
        // Its registration stands: it is among those that staff give a place.
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        member.get(&format!("/members/migrations/{}", gone.id)).shows(&["Called off: xen1 takes no new Linodes any more."]);
        member.get("/members/xenbeta").shows(&["Approved"]);
        app.set_host_state(&app.staff(), XEN1, (HostState::Draining, HostState::Enabled)).unwrap();
        assert_eq!(app.offer(&app.staff(), web, None).unwrap().destination_host_id, XEN1);
    }

    fn its_member_needs_no_reason(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.cancel_migration(&app.member(), row.id).unwrap();
        assert_eq!(app.mails_of("called_off"), [""; 0]);
        let done = app.call_off(&app.staff(), row.id, "").expect("it is over: nothing is left to be told");
        assert_eq!(done.state, MigrationState::Cancelled);
    }
}
