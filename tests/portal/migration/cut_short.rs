//! A pass of the copy that is at work when the moment to stop has come is cut short: the stop does not wait for it, the final
//! copy does, and what its agent says of it afterwards changes nothing.

use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::JobId;
use xenbeta::domain::job::JobState;
use xenbeta::domain::migration::{MigrationState, Step};
use xenbeta::domain::time::Time;
use xenbeta::store;
use xenbeta::store::migration::Migration;
use xenbeta::wire::{Order, Outcome, Renew, Report};

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, UML1, WEB, XEN1};
use crate::support::hand::{agent, kind, now_click};

const HOUR: i64 = 3600;

fn failed(retry: bool) -> Outcome {
    Outcome::Failed {
        retry,
        public: "The disk is full.".to_owned(),
        detail: String::new(),
        console: None,
        owns: None,
    }
}

fn warm(sent_bytes: u64) -> Outcome {
    Outcome::Succeeded {
        report: Report::Warm {
            passes: 1,
            sent_bytes,
            seconds: 1.0,
            rest_bytes: 0,
            moving_passes: 0,
            last_pass_s: None,
        },
    }
}

impl TestApp {
    /// It holds, and its next pass waits for its host; with the time at which it is to stop.
    fn pass_due(&self) -> (Migration, Time) {
        let at = self.now().plus_s(2 * HOUR);
        let click = Click {
            at: Some(at),
            ..now_click()
        };
        let row = self.chosen(WEB, click);
        self.pass_s(row.begin_at.unwrap().seconds_since(self.now()) + 1);
        self.reconcile().unwrap();
        self.work_all(&[UML1, XEN1]);
        self.pass_s(301);
        self.reconcile().unwrap();
        let row = self.migration(row.id);
        assert_eq!(row.step, Some(Step::TopUp));
        (row, at)
    }

    /// As [`TestApp::pass_due`], and its host is at it.
    fn in_a_pass(&self) -> (Migration, Time, Order) {
        let (row, at) = self.pass_due();
        let order = self.take(XEN1);
        assert_eq!(kind(&order), "warm_copy");
        (row, at, order)
    }

    /// A round of the reconciler at that moment. Hosts that are at work go on renewing their leases.
    fn comes(&self, at: Time) {
        self.pass_watched_s((at.seconds_since(self.now()) + 1).max(0));
        self.run_sql(
            "UPDATE jobs SET lease_until = '2036-01-01T00:00:00.000000Z' WHERE state = 'leased'",
        );
        self.reconcile().unwrap();
    }

    fn job_state(&self, id: JobId) -> JobState {
        self.in_db(|conn| store::job::job(conn, id)).unwrap().state
    }

    /// What its host hears when it renews its lease.
    fn hears_of_a_cancel(&self, order: &Order) -> bool {
        let renew = Renew {
            console: None,
            attempt: order.attempt,
            lease_token: order.lease_token.clone(),
            progress: None,
        };
        self.renew(&agent(XEN1), order.job, &renew).unwrap().cancel
    }
}

both_databases! {
    fn a_pass_at_work_is_cut_short_at_the_time_chosen(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let (held, at, pass) = app.in_a_pass();
        app.comes(at.plus_s(-10));
        assert!(!app.hears_of_a_cancel(&pass), "not before its time");
        app.comes(at);
        let row = app.migration(held.id);
        assert_eq!((row.state, row.step), (MigrationState::Switching, Some(Step::StopSeal)));
        assert!(row.stopped_at.unwrap().seconds_since(at) <= 2);
        assert!(!row.cancel_asked, "only the pass is cut short");
        assert!(app.hears_of_a_cancel(&pass));
        let site = Site::serve(&app.app);
        site.signed_in(MEMBER_EMAIL)
            .get(&format!("/members/migrations/{}", row.id))
            .shows_at("[data-k=phase]", &["Stopping the Linode"]);
        // The stop does not wait for it; the final copy does.
        assert_eq!(kind(&app.work(UML1)), "stop_seal");
        assert_eq!(app.migration(row.id).step, Some(Step::FinalCopy));
        app.nothing_for(XEN1);
        app.answer(XEN1, &pass, Outcome::Cancelled).unwrap();
        assert_eq!(app.job_state(pass.job), JobState::Cancelled);
        assert_eq!(kind(&app.work(XEN1)), "final_copy");
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn the_late_word_of_a_pass_that_was_cut_short_changes_nothing(app: TestApp) {
        let app = app.with_fleet();
        let (row, at, pass) = app.in_a_pass();
        app.comes(at);
        let before = format!("{:?}", app.migration(row.id));
        let events = app.in_db(|conn| store::migration::events(conn, row.id)).len();
        app.answer(XEN1, &pass, warm(77)).unwrap();
        assert_eq!(before, format!("{:?}", app.migration(row.id)));
        assert_eq!(events, app.in_db(|conn| store::migration::events(conn, row.id)).len());
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn a_pass_that_fails_when_it_is_cut_short_fails_nothing(app: TestApp) {
        let app = app.with_fleet();
        let (row, at, pass) = app.in_a_pass();
        app.comes(at);
        app.answer(XEN1, &pass, failed(false)).unwrap();
        assert_eq!(app.job_state(pass.job), JobState::Cancelled);
        assert_eq!(app.migration(row.id).step, Some(Step::StopSeal));
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn a_pass_that_is_never_heard_of_again_holds_the_final_copy_up_for_its_lease(app: TestApp) {
        let app = app.with_fleet();
        let (row, at, pass) = app.in_a_pass();
        app.comes(at);
        app.work(UML1);
        app.nothing_for(XEN1);
        app.run_sql("UPDATE jobs SET lease_until = '2026-01-01T00:00:00.000000Z' WHERE state = 'leased'");
        app.reconcile().unwrap();
        assert_eq!(app.job_state(pass.job), JobState::Cancelled);
        assert_eq!(app.migration(row.id).step, Some(Step::FinalCopy));
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn a_pass_that_nobody_took_is_cancelled_by_the_stop(app: TestApp) {
        let app = app.with_fleet();
        let (row, at) = app.pass_due();
        let pass = row.step_job_id.unwrap();
        app.comes(at);
        assert_eq!(app.job_state(pass), JobState::Cancelled);
        app.nothing_for(XEN1);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn a_stop_that_is_taken_back_leaves_it_in_step_as_before_its_pass(app: TestApp) {
        let app = app.with_fleet();
        let (held, at, pass) = app.in_a_pass();
        app.comes(at);
        let tomorrow = at.plus_days(1);
        app.migrate(&app.member(), WEB, Click { at: Some(tomorrow), ..now_click() }).unwrap();
        let row = app.migration(held.id);
        assert_eq!((row.state, row.step, row.stopped_at), (MigrationState::Holding, Some(Step::Hold), None));
        assert_eq!(row.in_step_at, held.in_step_at);
        // The next pass waits until the one that was cut short has ended.
        app.comes(app.now());
        assert_eq!(app.migration(row.id).step, Some(Step::TopUp));
        app.nothing_for(XEN1);
        app.answer(XEN1, &pass, Outcome::Cancelled).unwrap();
        assert_eq!(app.migration(row.id).step, Some(Step::TopUp));
        assert_eq!(kind(&app.work(XEN1)), "warm_copy");
        let row = app.migration(row.id);
        assert!(row.step == Some(Step::Hold) && row.in_step_at > held.in_step_at);
        app.comes(tomorrow);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn quiet_hours_and_stops_at_once_bind_one_in_a_pass_too(app: TestApp) {
        let app = app.with_fleet();
        let (row, at, pass) = app.in_a_pass();
        app.comes(at.plus_s(-2));
        let (_, seen) = app.in_db(store::programme::move_times::limits);
        app.set_move_times(&app.staff(), &app.quiet_for(10), seen).unwrap();
        app.comes(at);
        assert_eq!(app.migration(row.id).step, Some(Step::TopUp));
        assert!(!app.hears_of_a_cancel(&pass));
        app.run_sql("UPDATE move_times SET stops_at_once = 0");
        app.comes(at.plus_s(10 * 60));
        assert_eq!(app.migration(row.id).step, Some(Step::TopUp));
        app.run_sql("UPDATE move_times SET stops_at_once = 3");
        app.comes(app.now());
        assert_eq!(app.migration(row.id).step, Some(Step::StopSeal));
    }

    fn a_limit_that_a_pass_would_break_waits_for_its_end(app: TestApp) {
        let app = app.with_fleet();
        let (row, at, pass) = app.in_a_pass();
        // 3 MB a second since the pass before, some of which the pass has copied by now: all of it counts.
        app.run_sql(&format!("UPDATE migrations SET changed_b_s = 3000000, pass_s = 5, down_limit_s = 120 WHERE id = {}", row.id));
        let foretold = |app: &TestApp| {
            let (row, now) = (app.migration(row.id), app.now());
            app.in_db(|conn| store::migration::timing::forecast(conn, &row, now)).unwrap().down
        };
        app.comes(at.plus_s(-500));
        let early = foretold(&app);
        app.comes(at);
        assert!(foretold(&app).most_ms > early.most_ms + 100_000, "{early:?} {:?}", foretold(&app));
        assert_eq!(app.migration(row.id).step, Some(Step::TopUp), "it would be off for too long");
        assert!(!app.hears_of_a_cancel(&pass));
        app.answer(XEN1, &pass, warm(1000)).unwrap();
        app.comes(app.now());
        let row = app.migration(row.id);
        assert_eq!(row.step, Some(Step::StopSeal));
        assert!(row.foretold_most_ms.unwrap() <= 120_000);
    }
}
