//! What a failure, a loss and an outage cost a job; that a cancel ends, and that nothing is tried for ever.

use diesel::prelude::*;
use xenbeta::app::error::AppError;
use xenbeta::domain::ids::JobId;
use xenbeta::domain::job::{JobKind, JobState};
use xenbeta::domain::migration::MigrationState;
use xenbeta::store;
use xenbeta::wire::{LEASE_S, Order, Outcome, Poll, Progress, Renew, Report, Task};

use crate::both_databases;
use crate::support::TestApp;
use crate::support::fleet::{DB, UML1, WEB, XEN1};
use crate::support::hand::{agent, kind};
use crate::support::jobs;

fn failure() -> Outcome {
    Outcome::Failed {
        retry: true,
        public: "The disk is full.".into(),
        detail: "ENOSPC".into(),
        console: None,
        owns: None,
    }
}

fn conflict(error: AppError) -> String {
    match error {
        AppError::Conflict(text) => text,
        other => panic!("a conflict, not {other:?}"),
    }
}

fn renewal(order: &Order, progress: bool) -> Renew {
    Renew {
        attempt: order.attempt,
        lease_token: order.lease_token.clone(),
        progress: progress.then_some(Progress {
            pass: 1,
            done_bytes: 1,
            total_bytes: 2,
            sent_bytes: 1,
            bytes_per_s: 1,
            left_bytes: None,
            checked_bytes: None,
        }),
        console: None,
    }
}

fn job(app: &TestApp, id: JobId) -> store::job::Job {
    app.in_db(|c| store::job::job(c, id)).unwrap()
}

fn lose(app: &TestApp) {
    app.pass_watched_s(31);
    app.reconcile().unwrap();
    app.pass_watched_s(16);
}

fn log(app: &TestApp, id: xenbeta::domain::ids::MigrationId) -> String {
    let lines: Vec<String> = app
        .in_db(|c| store::migration::events(c, id))
        .into_iter()
        .map(|event| event.message)
        .collect();
    lines.join("\n")
}

fn trail(app: &TestApp, action: &str) -> i64 {
    use xenbeta::store::schema::audit_events::dsl;
    app.in_db(|c| {
        Ok(dsl::audit_events
            .filter(dsl::action.eq(action))
            .count()
            .get_result(c)?)
    })
}

both_databases! {
    fn losses_pause_longer_each_time(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        for (losses, pause) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
            let order = app.take(UML1);
            app.note_poll(&agent(UML1), &Poll::default()).unwrap();
            assert_eq!((job(&app, order.job).losses, job(&app, order.job).failures), (losses, 0));
            app.pass_s(pause - 1);
            app.nothing_for(UML1);
            app.pass_s(1);
        }
        let order = app.take(UML1);
        app.note_poll(&agent(UML1), &Poll::default()).unwrap();
        assert_eq!(job(&app, order.job).state, JobState::Failed);
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Failed);
        assert_eq!(trail(&app, "job.lost"), 1);
    }

    fn progress_ends_a_row_of_losses_and_failures_stay(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let order = app.take(UML1);
        app.answer(UML1, &order, failure()).unwrap();
        app.pass_s(20);
        for _ in 0..12 {
            let order = app.take(UML1);
            // A step that goes on for a while has got on, whatever becomes of its agent then.
            for _ in 0..16 {
                app.pass_s(20);
                app.renew(&agent(UML1), order.job, &renewal(&order, true)).unwrap();
            }
            lose(&app);
            assert_eq!((job(&app, order.job).losses, job(&app, order.job).failures), (1, 1));
        }
        let order = app.take(UML1);
        app.renew(&agent(UML1), order.job, &renewal(&order, false)).unwrap();
        assert_eq!(job(&app, order.job).losses, 1, "a renewal alone says nothing of the step");
        app.answer(UML1, &order, Outcome::Succeeded { report: app.success(&order) }).unwrap();
        assert_eq!(job(&app, order.job).losses, 0);
    }

    fn a_step_that_gets_on_and_dies_each_time_reaches_staff(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        for losses in 1..=5 {
            let order = app.take(UML1);
            app.renew(&agent(UML1), order.job, &renewal(&order, true)).unwrap();
            lose(&app);
            let job = job(&app, order.job);
            assert_eq!(job.state == JobState::Failed, losses == 5, "after {losses}");
        }
        assert_eq!(trail(&app, "job.lost"), 1);
    }

    fn after_the_stop_losses_wait_for_staff(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("final_copy");
        for n in 0..5 {
            if n > 0 { app.take(XEN1); }
            lose(&app);
        }
        assert_eq!(job(&app, order.job).state, JobState::Failed);
        assert_eq!(app.migration(row.id).state, MigrationState::Switching, "time-outs never move ownership");
        assert!(log(&app, row.id).contains("again and again"), "{}", log(&app, row.id));
        app.retry_job(&app.staff(), order.job).unwrap();
        let again = app.take(XEN1);
        assert_eq!((again.job, again.attempt), (order.job, 6), "attempts tell leases apart for ever");
        let revived = job(&app, order.job);
        assert_eq!((revived.failures, revived.losses), (0, 0));
        assert!(matches!(app.retry_job(&app.member(), order.job), Err(AppError::Forbidden)));
    }

    fn an_outage_of_the_portal_costs_nothing(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let order = app.work_until("warm_copy");
        for outage in [31, 3600, 86_400] {
            app.pass_s(outage);
            let portal = app.second(); // and it starts anew
            portal.reconcile().unwrap();
            assert_eq!(job(&app, order.job).state, JobState::Leased, "{outage}");
            app.pass_s(outage);
            app.reconcile().unwrap();
            assert_eq!(job(&app, order.job).state, JobState::Leased, "{outage}");
        }
        app.pass_s(3600);
        let renewed = app.renew(&agent(XEN1), order.job, &renewal(&order, true)).expect("an expired lease that nobody took");
        assert!(!renewed.cancel);
        app.answer(XEN1, &order, Outcome::Succeeded { report: app.success(&order) }).unwrap();
        assert_eq!((job(&app, order.job).losses, job(&app, order.job).attempt), (0, 1));
    }

    fn a_lease_survives_a_clock_that_is_set_back(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let order = app.work_until("warm_copy");
        app.set_clock_by_s(-86_400);
        app.reconcile().unwrap();
        lose(&app);
        assert_eq!(job(&app, order.job).state, JobState::Pending, "and is not held for a day");
    }

    fn a_cancel_ends_without_its_agent(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("warm_copy");
        app.cancel_migration(&app.member(), row.id).unwrap();
        app.cancel_migration(&app.staff(), row.id).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Copying);
        let log = log(&app, row.id);
        assert_eq!(log.matches("asked to cancel").count(), 1, "{log}");
        assert!(log.contains(&format!("{} asked to cancel.", app.member().name)), "{log}");
        assert_eq!(trail(&app, "migration.cancel"), 1);
        lose(&app);
        assert_eq!(job(&app, order.job).state, JobState::Cancelled);
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        assert_eq!(kind(&app.work(UML1)), "close_transfer");
        assert_eq!(kind(&app.work(XEN1)), "release");
        let late = app.answer(XEN1, &order, Outcome::Cancelled).unwrap_err();
        assert!(conflict(late).contains("stale"));
    }

    fn an_order_that_cannot_be_made_blocks_nobody(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let stuck = app.in_db(|c| jobs::of_migration(c, row.id))[0].id;
        app.pass_s(1);
        let other = app.power(&app.member(), DB, JobKind::Reboot, None).unwrap();
        app.run_sql("UPDATE config_profiles SET devices = 'torn' WHERE linode_id = 101");
        app.run_sql("UPDATE jobs SET kind = 'boot', migration_id = NULL WHERE linode_id = 101 AND state = 'pending'");
        let order = app.take(UML1);
        assert_eq!(order.job, other, "the host's other jobs go on");
        let seen = job(&app, stuck);
        assert_eq!((seen.state, seen.losses, seen.attempt), (JobState::Pending, 1, 0));
        assert!(seen.detail.contains("could not be made"), "{}", seen.detail);
        for _ in 0..4 {
            app.pass_s(20);
            app.nothing_for(UML1);
        }
        assert_eq!(job(&app, stuck).state, JobState::Failed);
    }

    fn a_power_job_that_the_switch_over_overtakes_waits_and_its_wish_goes_along(app: TestApp) {
        for (asked, was_running, runs) in [(JobKind::Reboot, false, true), (JobKind::Shutdown, true, false)] {
            let app = TestApp::new(app.on()).with_fleet();
            let row = app.clicked(WEB);
            let copy = app.work_until("warm_copy");
            let id = app.power(&app.member(), WEB, asked, None).unwrap();
            let power = app.take(UML1);
            let half = Outcome::Failed { retry: true, public: "No.".into(), detail: String::new(), console: None, owns: None };
            app.answer(UML1, &power, half).unwrap();
            app.answer(XEN1, &copy, Outcome::Succeeded { report: app.success(&copy) }).unwrap();
            app.pass_s(20);
            app.reconcile().unwrap();
            let stop = app.take(UML1);
            assert_eq!(kind(&stop), "stop_seal", "{asked} has to wait");
            let failed = Outcome::Failed { retry: true, public: "No.".into(), detail: String::new(), console: None, owns: None };
            app.answer(UML1, &stop, failed).unwrap();
            app.nothing_for(UML1);
            let (mut stop, mut rounds) = (None, 0);
            while stop.is_none() {
                app.pass_s(5);
                stop = app.claim(&agent(UML1)).unwrap();
                rounds += 1;
                assert!(rounds < 30);
            }
            let stop = stop.unwrap();
            assert_eq!(kind(&stop), "stop_seal", "nothing starts or stops it between two tries");
            let report = Report::Sealed { epoch: 1, forced: false, was_running, stopped_after_s: None };
            app.answer(UML1, &stop, Outcome::Succeeded { report }).unwrap();
            let start = app.work_until("start");
            assert!(matches!(&start.task, Task::Start { boot, .. } if boot.is_some() == runs), "{:?}", start.task);
            app.answer(XEN1, &start, Outcome::Succeeded { report: app.success(&start) }).unwrap();
            app.pass_s(20);
            app.work_all(&[UML1, XEN1]);
            assert_eq!(app.migration(row.id).state, MigrationState::Finished);
            assert_eq!(job(&app, id).state, JobState::Cancelled, "the switch-over took its place");
        }
    }

    fn what_tidies_up_after_one_round_neither_keeps_the_next_from_being_cancelled_nor_is_cancelled(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let copy = app.work_until("warm_copy");
        let no = Outcome::Failed { retry: false, public: "No.".into(), detail: String::new(), console: None, owns: None };
        app.answer(XEN1, &copy, no).unwrap();
        let close = app.take(UML1);
        assert_eq!(kind(&close), "close_transfer");
        app.retry_migration(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Preparing);
        app.cancel_migration(&app.member(), row.id).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled, "nobody was at work for it");
        assert!(!job(&app, close.job).cancel_asked);
        app.answer(UML1, &close, Outcome::Succeeded { report: app.success(&close) }).unwrap();
        assert_eq!(job(&app, close.job).state, JobState::Succeeded);
    }

    fn jobs_of_a_clock_that_was_ahead_do_not_wait_for_it(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        app.pass_s(7 * 86_400);
        let first = app.take(UML1);
        let no = Outcome::Failed { retry: true, public: "No.".into(), detail: String::new(), console: None, owns: None };
        app.answer(UML1, &first, no).unwrap();
        app.pass_s(-7 * 86_400);
        app.nothing_for(UML1);
        app.reconcile().unwrap();
        let again = app.take(UML1);
        assert_eq!(again.job, first.job);
        // And the same with a lease: the host falls silent.
        let ahead = job(&app, first.job).lease_until.unwrap();
        app.pass_s(-86_400);
        app.reconcile().unwrap();
        assert!(job(&app, first.job).lease_until.unwrap() < ahead);
        for _ in 0..8 {
            app.pass_s(i64::from(LEASE_S) / 6);
            app.reconcile().unwrap();
        }
        assert_eq!((job(&app, first.job).state, job(&app, first.job).losses), (JobState::Pending, 1));
    }

    fn a_job_that_was_never_put_off_waits_for_no_clock(app: TestApp) {
        let app = app.with_fleet();
        // Entered by another portal, whose clock is half a minute ahead.
        app.pass_s(30);
        app.clicked(WEB);
        app.pass_s(-30);
        assert_eq!(kind(&app.work(UML1)), "preflight_source");
        // What was put off still waits; what staff want now does not.
        let boot = app.power(&app.member(), DB, JobKind::Reboot, None).unwrap();
        let no = |retry| Outcome::Failed { retry, public: "No.".into(), detail: String::new(), console: None, owns: None };
        app.answer(UML1, &app.take(UML1), no(true)).unwrap();
        app.nothing_for(UML1);
        app.pass_s(5);
        app.answer(UML1, &app.take(UML1), no(false)).unwrap();
        app.pass_s(30);
        app.retry_job(&app.staff(), boot).unwrap();
        app.pass_s(-30);
        assert_eq!(app.take(UML1).job, boot);
    }

    fn a_late_word_of_an_earlier_round_changes_nothing(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let first = app.take(UML1);
        let gone = Outcome::Failed { retry: false, public: "No.".into(), detail: String::new(), console: None, owns: None };
        app.answer(UML1, &first, gone).unwrap();
        app.work_all(&[UML1, XEN1]);
        app.retry_migration(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        let refused = conflict(app.retry_job(&app.staff(), first.job).unwrap_err());
        assert!(refused.contains("gone on without it"), "{refused}");
        // One of the same kind and host that is not the step.
        let second = app.take(UML1);
        assert_eq!((kind(&second), second.job == first.job), ("preflight_source".to_owned(), false));
        app.run_sql(&format!("UPDATE migrations SET step_job_id = {} WHERE id = {}", first.job, row.id));
        app.answer(UML1, &second, Outcome::Succeeded { report: app.success(&second) }).unwrap();
        assert_eq!(kind(&second), "preflight_source");
        assert_eq!(app.migration(row.id).state, MigrationState::Preparing);
        app.nothing_for(XEN1);
    }

    fn a_job_of_a_linode_that_moved_is_not_tried_again(app: TestApp) {
        let app = app.with_fleet();
        let id = app.power(&app.member(), WEB, JobKind::Reboot, None).unwrap();
        let order = app.take(UML1);
        let no = Outcome::Failed { retry: false, public: "No.".into(), detail: String::new(), console: None, owns: None };
        app.answer(UML1, &order, no).unwrap();
        app.retry_job(&app.staff(), id).unwrap();
        let again = conflict(app.retry_job(&app.staff(), id).unwrap_err());
        assert!(again.contains("Only a failed job"));
        let order = app.take(UML1);
        let no = Outcome::Failed { retry: false, public: "No.".into(), detail: String::new(), console: None, owns: None };
        app.answer(UML1, &order, no).unwrap();
        app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        assert!(conflict(app.retry_job(&app.staff(), id).unwrap_err()).contains("has moved"));
    }

}
