//! The end of the beta: what is said before, what it does to whom, and that it comes to its end whatever happens between.

use xenbeta::app::error::AppError;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::programme::ProgrammeState;
use xenbeta::domain::registration::RegistrationState;
use xenbeta::store;
use xenbeta::store::error::StoreError;

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, UML1, WEB, XEN1};
use crate::support::hand::now_click;

const END: &str = "/staff/programme/end";

impl TestApp {
    fn registered_as(&self, linode: xenbeta::domain::ids::LinodeId) -> RegistrationState {
        self.in_db(|conn| store::registration::newest_of(conn, linode))
            .unwrap()
            .state
    }

    /// Mails by kind and recipient.
    fn mails(&self, kind: &str) -> i64 {
        use diesel::prelude::*;
        use xenbeta::store::schema::outbox;
        self.in_db(|conn| {
            Ok::<_, StoreError>(
                outbox::table
                    .filter(outbox::kind.eq(kind))
                    .count()
                    .get_result(conn)?,
            )
        })
    }

    fn end_now(&self) {
        let seen = self
            .in_db(store::programme::stored)
            .map(|row| row.changed_at);
        self.end_programme(&self.staff(), seen).unwrap();
    }
}

both_databases! {
    fn what_it_says_is_what_it_does(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        // WEB moves and is not confirmed, DB has an offer, OLD waits.
        let moved = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let registration = app.approved(DB);
        let offer = app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        app.register(&app.member(), &[OLD]).unwrap();
        let site = Site::serve(&app.app);
        let (mut staff, mut other, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        let programme = staff.get("/staff/programme");
        let page = staff.get(&programme.link("End the beta…"));
        page.shows(&["End the beta?", "Registrations that wait for review; they are closed, with a mail to their members : 1", "Approved registrations", "Offers to move into the beta; they expire, and the places held for them are free again : 1", "and a Linode that returns leaves the beta : 1", "Linodes on beta hosts", "Linodes whose members get mail: 2"]);
        let theirs = other.get(END);
        let reply = staff.submit(&page, "End the beta", &[]);
        staff.follow(&reply).shows(&["The beta has ended.", "The beta ended on"]).hides(&["End the beta…"]);
        // A second press, and another's a moment later, find it done.
        assert_eq!(staff.submit(&page, "End the beta", &[]).status, 303);
        assert_eq!(other.submit(&theirs, "End the beta", &[]).status, 303);
        assert_eq!(other.get(END).status, 409);
        // Before anything is closed nobody slips in.
        assert!(matches!(app.migrate(&app.member(), DB, now_click()), Err(AppError::Conflict(why)) if why.contains("has ended")));
        assert!(matches!(app.approve(&app.staff(), &[registration]), Err(AppError::Conflict(_))));

        assert_eq!(app.reconcile().unwrap().ended, 2);
        assert_eq!(app.reconcile().unwrap().ended, 0);
        assert_eq!((app.registered_as(DB), app.registered_as(OLD)), (RegistrationState::Closed, RegistrationState::Closed));
        assert_eq!(app.migration(offer.id).state, MigrationState::Expired);
        assert_eq!((app.mails("beta_ended"), app.mails("offer_expired")), (2, 0), "one mail each, not two");
        assert_eq!(app.registered_as(WEB), RegistrationState::Approved, "it is in the beta, and may graduate");
        assert_eq!(app.migration(moved.id).state, MigrationState::Finished);
        member.get("/members/xenbeta").shows(&["Ended", "Closed by the end of the beta", "The beta ended before it moved."]).hides(&["Register the chosen", "You register Linodes here"]);
        member.get("/").shows(&["Ended", "Go to your Linodes"]);
        staff.get("/staff/registrations?state=closed").shows(&["db", "old", "Closed by the end"]);
        let many = app.register(&app.member(), &[DB]).unwrap();
        assert!(many.refused[0].1.contains("has ended"), "{many:?}");

        // What comes home afterwards leaves the beta, too.
        app.way_back(&app.member(), moved.id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        app.reconcile().unwrap();
        assert_eq!(app.linode(WEB).host_id, UML1);
        assert_eq!(app.registered_as(WEB), RegistrationState::Closed);
        assert!(matches!(app.verify_audit(None).unwrap(), xenbeta::app::audit::Verification::Whole { .. }));
    }

    fn what_was_clicked_goes_on_and_is_closed_if_it_fails(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.clicked(WEB);
        app.end_now();
        assert_eq!(app.reconcile().unwrap().ended, 0, "it is on its way");
        app.cancel_migration(&app.member(), row.id).unwrap();
        app.work_all(&[UML1, XEN1]);
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        assert_eq!(app.registered_as(WEB), RegistrationState::Closed);
    }

    fn an_end_that_others_prepare_is_looked_at_again(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let (mut one, mut two) = (site.signed_in(STAFF_EMAIL), site.signed_in(STAFF_EMAIL));
        let page = one.get(END);
        let form = two.get("/staff/programme");
        assert_eq!(two.submit(&form, "Save the programme", &[("seats", "7")]).status, 303);
        let reply = one.submit(&page, "End the beta", &[]);
        assert_eq!(reply.status, 409);
        reply.says(&["Someone else changed the programme", "Look at it again"]);
        let seen = app.in_db(store::programme::stored).map(|row| row.changed_at);
        assert!(matches!(app.end_programme(&app.member(), seen), Err(AppError::Forbidden)));
        assert_eq!(app.in_db(store::programme::stored).unwrap().state, ProgrammeState::Open);
    }

    fn it_can_be_opened_again(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.register(&app.member(), &[WEB]).unwrap();
        app.end_now();
        app.reconcile().unwrap();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let form = staff.get("/staff/programme");
        form.shows(&["Ended: opened or closed again"]);
        // Other settings can be saved without opening it.
        assert_eq!(staff.submit(&form, "Save the programme", &[("seats", "9")]).status, 303);
        assert!(app.in_db(store::programme::stored).unwrap().ended_at.is_some());
        let form = staff.get("/staff/programme");
        assert_eq!(staff.submit(&form, "Save the programme", &[("state", "open")]).status, 303);
        let row = app.in_db(store::programme::stored).unwrap();
        assert_eq!((row.state, row.ended_at), (ProgrammeState::Open, None));
        assert_eq!(app.registered_as(WEB), RegistrationState::Closed, "what is closed stays closed");
        assert_eq!(app.register(&app.member(), &[WEB]).unwrap().done, [WEB]);
        assert_eq!(app.registered_as(WEB), RegistrationState::Requested);
    }

    fn thousands_are_closed_in_batches_that_go_on_where_they_stopped(app: TestApp) {
        use diesel::connection::SimpleConnection;
        let app = app.with_fleet();
        let at = "'2026-01-01T00:00:00.000000Z'";
        let mut sql = String::new();
        for n in 1..=250 {
            let id = 5000 + n;
            sql.push_str(&format!(
                "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'node-{n}', 1, 1, 1, TRUE, 'running', {at}, 'fe:fd:00:02:{:02x}:{:02x}', {at});
                 INSERT INTO registrations (linode_id, account_id, requested_by, state, requested_at) VALUES ({id}, 1, 1, '{}', {at});",
                n / 256, n % 256, if n % 2 == 0 { "requested" } else { "approved" }
            ));
        }
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
        app.end_now();
        // Another portal on the same database takes a share, as after a restart.
        let (one, two) = (app.reconcile().unwrap().ended, app.second().reconcile().unwrap().ended);
        assert_eq!((one, two, app.reconcile().unwrap().ended, app.reconcile().unwrap().ended), (100, 100, 50, 0));
        assert_eq!(app.mails("beta_ended"), 250);
    }
}
