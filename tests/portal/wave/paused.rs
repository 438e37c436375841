//! Staff hold all moves back at once: no new one begins; what is under way ends, ways back go on, and members' clicks are kept.

use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::wave::{Stage, WaveKind};
use xenbeta::store;

use super::{at_once, wanted};
use crate::both_databases;
use crate::browser::Site;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, UML1, WEB, XEN1, XEN2};
use crate::support::hand::now_click;

both_databases! {
    fn no_new_move_begins_and_what_is_under_way_ends(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.all_ready();
        for linode in [WEB, DB, OLD] {
            let of = app.in_db(|conn| store::registration::newest_of(conn, linode)).unwrap();
            app.offer(&app.staff(), of.id, Some(XEN1)).unwrap();
        }
        let site = Site::serve(&app.app);
        let (mut staff, mut member) = (site.signed_in(STAFF_EMAIL), site.signed_in(MEMBER_EMAIL));
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        app.reconcile().unwrap();
        let dashboard = staff.get("/staff/");
        let page = staff.get(&dashboard.link("Pause all moves…"));
        staff.submit(&page, "Pause all moves", &[]).says_beside("why", "Say why");
        let reply = staff.submit(&page, "Pause all moves", &[("why", "The switch is replaced.")]);
        let paused = staff.follow(&reply);
        paused.shows(&["The switch is replaced.", STAFF_EMAIL]);
        assert_eq!(staff.submit(&page, "Pause all moves", &[("why", "The switch is replaced.")]).status, 303, "twice is once");
        // A banner stands on every page of theirs, and the switch is not offered again.
        staff.get("/staff/jobs").shows(&["Moves are paused since"]);
        staff.get("/staff/").hides(&["Pause all moves…"]);
        // Members are told, and click all the same.
        let offer = member.get("/members/linodes/102/migrate");
        offer.shows(&["Moves are paused for now by our staff. You can click all the same"]);
        let reply = member.submit(&offer, "Migrate db", &[]);
        member.follow(&reply).shows(&["Your click is kept"]).hides(&["Next in the queue"]);
        let row = app.newest_migration(DB);
        staff.get(&format!("/staff/migrations/{}", row.id)).shows(&["moves to go on: staff hold all of them back"]);
        app.work_all(&[UML1, XEN1, XEN2]);
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Finished, "what is under way ends");
        assert_eq!(app.newest_migration(DB).state, MigrationState::Queued);
        // The way back brings a Linode home, and does not wait.
        let back = app.way_back(&app.member(), app.newest_migration(WEB).id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1, XEN2]);
        assert_eq!((app.migration(back.id).state, app.linode(WEB).host_id), (MigrationState::Finished, UML1));
        assert_eq!(app.newest_migration(DB).state, MigrationState::Queued);
        let reply = staff.submit(&paused, "Let moves go on", &[]);
        staff.follow(&reply).shows(&["Moves go on."]).hides(&["Moves are paused since"]);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1, XEN2]);
        assert_eq!(app.newest_migration(DB).state, MigrationState::Finished, "its click was kept");
        let trail = staff.get("/staff/audit?action=moves.pause");
        trail.shows(&["no new move begins: The switch is replaced.", "they go on"]);
    }

    fn a_time_that_was_chosen_is_kept(app: TestApp) {
        let app = app.with_fleet();
        app.all_ready();
        let of = app.in_db(|conn| store::registration::newest_of(conn, WEB)).unwrap();
        app.offer(&app.staff(), of.id, Some(XEN1)).unwrap();
        app.pause_moves(&app.staff(), "The switch is replaced.").unwrap();
        let at = app.now().plus_s(7200);
        let click = xenbeta::app::migration::actions::Click { at: Some(at), ..now_click() };
        app.migrate(&app.member(), WEB, click).unwrap();
        app.pass_watched_s(3600);
        app.reconcile().unwrap();
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Queued);
        app.let_moves_go_on(&app.staff()).unwrap();
        app.let_moves_go_on(&app.staff()).unwrap();
        app.pass_watched_s(3500);
        app.reconcile().unwrap();
        let row = app.newest_migration(WEB);
        assert_eq!((row.state, row.not_before), (MigrationState::Preparing, Some(at)));
    }

    fn a_wave_gives_nothing_out_meanwhile(app: TestApp) {
        let app = app.with_fleet();
        app.all_ready();
        app.pause_moves(&app.staff(), "The switch is replaced.").unwrap();
        let id = app.started(&wanted(WaveKind::Beta, at_once()));
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Waiting), 4);
        app.let_moves_go_on(&app.staff()).unwrap();
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Offered), 4);
    }
}
