//! All new moves, paused at once: what begins meanwhile and what does not, and what people read.

use xenbeta::app::migration::actions::Click;
use xenbeta::domain::migration::MigrationState;

use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL, UML1, WEB, XEN1};
use crate::support::hand::now_click;

const BUTTON: &str = "Pause all new moves";

both_databases! {
    fn while_new_moves_are_paused_none_begins_and_each_keeps_its_place(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        let list = staff.get("/staff/migrations");
        let page = staff.get(&list.link("Pause new moves…"));
        staff.submit(&page, BUTTON, &[]).says(&["Give the others of the staff a reason"]);
        let reply = staff.submit(&page, BUTTON, &[("reason", "A switch is replaced.")]);
        let paused = staff.follow(&reply);
        paused.shows(&["New moves are paused since", "A switch is replaced.", STAFF_EMAIL]);
        assert_eq!(staff.submit(&page, BUTTON, &[("reason", "Once more.")]).status, 409);
        staff.get("/staff/").shows(&["New moves are paused since"]);

        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        member.get(&format!("/members/linodes/{WEB}/migrate")).shows(&["Our staff let no new move begin for a while."]);
        let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
        assert_eq!(app.reconcile().unwrap().admitted, 0);
        assert_eq!(app.migration(row.id).state, MigrationState::Queued);
        app.nothing_for(UML1);
        let own = member.get(&format!("/members/migrations/{}", row.id));
        own.shows_at("[data-k=phase]", &["our staff let no new move begin", "begins by itself"]).hides(&["A switch is replaced."]);
        staff.get(&format!("/staff/migrations/{}", row.id)).shows(&["staff: they let no new move begin"]);

        let button = "Let new moves begin again";
        assert_eq!(staff.submit(&paused, button, &[]).status, 303);
        assert_eq!(staff.submit(&paused, button, &[]).status, 303, "twice is once");
        staff.get("/staff/").hides(&["New moves are paused since"]);
        assert_eq!(app.reconcile().unwrap().admitted, 1);
        let trail = staff.get("/staff/audit?action=move.pause");
        trail.shows(&["new moves paused: A switch is replaced.", "new moves go on"]);
    }

    fn what_has_begun_and_what_brings_a_linode_home_go_on(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.pause_moves(&app.staff(), "A switch is replaced.").unwrap();
        app.work_all(&[UML1, XEN1]);
        app.pass_s(120);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        app.way_back(&app.member(), row.id).unwrap();
        assert_eq!(app.reconcile().unwrap().admitted, 1, "a way back");
        assert!(app.pause_moves(&app.member(), "No.").is_err());
        assert!(app.resume_moves(&app.member()).is_err());
    }

    fn a_time_that_passes_while_new_moves_are_paused_is_late_and_told(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let at = app.now().plus_s(3600);
        let row = app.migrate(&app.member(), WEB, Click { at: Some(at), ..now_click() }).unwrap();
        app.pause_moves(&app.staff(), "A switch is replaced.").unwrap();
        app.pass_s(3660);
        app.reconcile().unwrap();
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Queued);
        assert!(app.migration(row.id).late_told);
        app.resume_moves(&app.staff()).unwrap();
        assert_eq!(app.reconcile().unwrap().admitted, 1);
    }
}
