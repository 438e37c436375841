//! What somebody asked for who has no access any more: looked at again before it begins, and not done.

use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::UserId;
use xenbeta::domain::job::{JobKind, JobState};
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::{MigrationState, Step};
use xenbeta::domain::ownership::joint::JointKind;
use xenbeta::store;
use xenbeta::wire::Outcome;

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{PASSWORD, STAFF_EMAIL, UML1, WEB, XEN1, XEN2};
use crate::support::hand::{kind, now_click};

const MIA: UserId = UserId(1);
const UNASKED: &str = "Who asked for this may not do so any more.";

fn disable(app: &TestApp) {
    app.set_user_disabled(&app.staff(), MIA, true).unwrap();
}

/// Another user of Mia's account.
fn with_max(app: &TestApp) {
    app.sql(
        "INSERT INTO users (id, account_id, email, name, role, timezone, disabled, created_at, password_hash) \
         SELECT 9, 1, 'max@example.com', 'Max', 'member', 'UTC', FALSE, created_at, password_hash FROM users WHERE id = 1",
    );
}

both_databases! {
    fn a_reboot_that_waits_is_not_done(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        with_max(&app);
        let job = app.power(&app.member(), WEB, JobKind::Reboot, None).unwrap();
        let console = app.read_console(&app.member(), WEB).unwrap();
        disable(&app);
        app.nothing_for(UML1);
        for id in [job, console] {
            let row = app.in_db(|conn| store::job::job(conn, id)).unwrap();
            assert_eq!((row.state, row.message.as_str()), (JobState::Cancelled, UNASKED));
        }
        assert_eq!(app.linode(WEB).status, LinodeStatus::Running);
        let site = Site::serve(&app.app);
        let mut max = site.signed_in("max@example.com");
        max.get("/members/linodes/101/jobs").shows(&[UNASKED]);
        site.signed_in(STAFF_EMAIL).get("/staff/audit?object=linode%20101").shows(&["not done: Who asked for this"]);
        // Others of the account can ask for it.
        let page = max.get("/members/linodes/101");
        page.shows(&["web"]);
        app.set_user_disabled(&app.staff(), MIA, false).unwrap();
        app.power(&app.member(), WEB, JobKind::Reboot, None).unwrap();
        assert_eq!(kind(&app.take(UML1)), "reboot");
    }

    fn a_move_at_a_set_time_does_not_begin_and_its_offer_stands(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        with_max(&app);
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let later = Click { at: Some(app.now().plus_s(7200)), ..now_click() };
        let row = app.migrate(&app.member(), WEB, later).unwrap();
        disable(&app);
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Queued, "they may be enabled before");
        app.pass_watched_s(7201);
        app.reconcile().unwrap();
        let after = app.migration(row.id);
        assert_eq!((after.state, after.not_before), (MigrationState::Offered, None));
        app.nothing_for(UML1);
        let site = Site::serve(&app.app);
        site.signed_in("max@example.com").get(&format!("/members/migrations/{}", row.id)).shows(&["It did not begin.", UNASKED]);
        site.signed_in(STAFF_EMAIL).get(&format!("/staff/migrations/{}", row.id)).shows(&[UNASKED]);
    }

    fn a_queued_move_does_not_begin(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
        disable(&app);
        assert_eq!(app.reconcile().unwrap().admitted, 0);
        assert_eq!(app.migration(row.id).state, MigrationState::Offered);
        app.set_user_disabled(&app.staff(), MIA, false).unwrap();
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        assert_eq!(app.reconcile().unwrap().admitted, 1);
    }

    fn a_way_back_does_not_begin_and_its_linode_stays(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        app.way_back(&app.member(), row.id).unwrap();
        disable(&app);
        app.reconcile().unwrap();
        let back = app.newest_migration(WEB);
        assert_eq!(back.state, MigrationState::Cancelled);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!(app.linode(WEB).host_id, XEN1);
    }

    fn a_move_that_copies_ends_before_it_stops_its_linode(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let copy = app.work_until("warm_copy");
        disable(&app);
        let report = app.success(&copy);
        app.answer(XEN1, &copy, Outcome::Succeeded { report }).unwrap();
        app.work_all(&[UML1, XEN1]);
        let after = app.migration(row.id);
        assert_eq!((after.state, after.failure.as_str()), (MigrationState::Failed, UNASKED));
        let asked = store::job::list::job_history;
        let jobs = app.in_db(|conn| asked(conn, after.account_id, WEB, None, 50)).unwrap().1;
        let seals = jobs.iter().filter(|job| job.kind == JobKind::StopSeal);
        assert!(seals.map(|job| job.state).eq([JobState::Failed]), "it was never given out");
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).status), (UML1, LinodeStatus::Running));
    }

    fn a_move_that_was_stopped_goes_on_to_its_end(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let seal = app.work_until("stop_seal");
        disable(&app);
        let report = app.success(&seal);
        app.answer(UML1, &seal, Outcome::Succeeded { report }).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn a_switch_over_that_fails_is_taken_back_whoever_asked_for_it(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let start = app.work_until("start");
        disable(&app);
        let failed = Outcome::Failed {
            retry: false,
            public: "It does not start.".to_owned(),
            detail: String::new(),
            console: None,
            owns: None,
        };
        app.answer(XEN1, &start, failed).unwrap();
        assert_eq!(app.migration(row.id).step, Some(Step::SealDestination));
        assert_eq!(kind(&app.take(XEN1)), "stop_seal", "the new host's disks are closed");
    }

    fn two_staff_are_two_when_it_is_done(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let act = app.ask_joint(&app.staff(), PASSWORD, (JointKind::Takeover, XEN2), "burnt").unwrap();
        app.set_user_disabled(&app.second_staff(), UserId(3), true).unwrap();
        let refused = app.decide_joint(&app.second_staff(), PASSWORD, act, true);
        assert!(matches!(refused, Err(AppError::Conflict(why)) if why.contains("may not do so any more")));
        app.decide_joint(&app.second_staff(), PASSWORD, act, false).unwrap();
    }
}
