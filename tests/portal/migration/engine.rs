//! The main job without hosts: the order of steps, who owns the Linode when, and what happens when a step fails, is
//! repeated, is late, or is asked for twice.

use xenbeta::app::error::AppError;
use xenbeta::domain::job::JobState;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::platform::Platform;
use xenbeta::store;
use xenbeta::wire::{Outcome, Report, SealedDigests, Task};

use crate::both_databases;
use crate::support::TestApp;
use crate::support::fleet::{OLD, UML1, WEB, XEN1, XEN2};
use crate::support::hand::{agent, kind, now_click};

fn failure(retry: bool) -> Outcome {
    Outcome::Failed {
        retry,
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

both_databases! {
    fn a_click_moves_the_linode(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        assert_eq!(row.state, MigrationState::Preparing);
        let mut steps = Vec::new();
        for host in [UML1, XEN1, XEN1, UML1, XEN1, UML1] {
            app.reconcile().unwrap();
            let order = app.work(host);
            steps.push(kind(&order));
            assert_eq!(app.linode(WEB).host_id, UML1, "before the commit it is the source's");
        }
        assert_eq!(steps, ["preflight_source", "preflight_destination", "reserve", "open_transfer", "warm_copy", "stop_seal"]);
        assert_eq!(kind(&app.work(XEN1)), "final_copy");
        let owned = app.linode(WEB);
        assert_eq!((owned.host_id, owned.epoch, owned.fetched), (XEN1, 2, false), "committed, and not yet told");
        assert!(app.in_db(|c| store::linode::address::ips_of(c, WEB)).iter().all(|ip| ip.host_id == XEN1), "addresses go along");
        let start = app.take(XEN1);
        assert!(app.linode(WEB).fetched, "told only once it is written down");
        let Task::Start { epoch, boot: Some(boot), migration: Some(of), .. } = &start.task else { panic!("{start:?}") };
        assert_eq!((*epoch, *of), (2, row.id));
        assert_eq!((boot.kernel.as_str(), boot.root_device.as_str()), ("xen-2.6", "/dev/xvda"));
        assert!(boot.devices.contains_key("xvdb"));
        app.answer(XEN1, &start, Outcome::Succeeded { report: app.success(&start) }).unwrap();
        let row = app.migration(row.id);
        assert_eq!(row.state, MigrationState::Finished);
        assert_eq!(row.sent_bytes, (10 << 20) + (1 << 20));
        assert_eq!(app.linode(WEB).status, LinodeStatus::Running);
        assert_eq!(kind(&app.work(UML1)), "close_transfer");
        let digests = app.in_db(|c| store::migration::digests(c, row.id));
        assert_eq!(digests.len(), 4, "two disks, two sides");

        app.confirm_migration(&app.member(), row.id).unwrap();
        let purge = app.proved_purge(XEN1, UML1);
        assert_eq!(purge.task, Task::Purge { epoch: 1 });
        app.answer(UML1, &purge, Outcome::Succeeded { report: Report::Done }).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Confirmed);
        app.confirm_migration(&app.member(), row.id).expect("a second click finds it done");
        app.nothing_for(UML1);
    }

    fn a_full_disk_leaves_it_where_it_was_and_a_retry_goes_on(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("warm_copy");
        app.answer(XEN1, &order, failure(false)).unwrap();
        let failed = app.migration(row.id);
        assert_eq!((failed.state, failed.failure.as_str()), (MigrationState::Failed, "The disk is full."));
        assert_eq!(app.linode(WEB).host_id, UML1);
        assert_eq!(kind(&app.work(UML1)), "close_transfer");
        app.nothing_for(XEN1); // what was copied is kept
        app.retry_migration(&app.member(), row.id).unwrap();
        app.retry_migration(&app.member(), row.id).expect("twice is once");
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        let done = app.migration(row.id);
        assert_eq!((done.state, done.round, done.failure.as_str()), (MigrationState::Finished, 2, ""));
    }

    fn a_failed_final_copy_starts_it_at_its_source_again(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("final_copy");
        app.answer(XEN1, &order, failure(false)).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Switching);
        let linode = app.linode(WEB);
        assert_eq!((linode.host_id, linode.epoch, linode.fetched), (UML1, 2, false), "a new epoch at the source");
        let start = app.take(UML1);
        assert!(matches!(start.task, Task::Start { epoch: 2, migration: None, boot: Some(_), .. }), "{:?}", start.task);
        app.answer(UML1, &start, Outcome::Succeeded { report: app.success(&start) }).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
        // Another try, under the newer epoch.
        app.work_all(&[UML1, XEN1]);
        app.retry_migration(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (XEN1, 3));
    }

    fn different_digests_are_never_committed(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("final_copy");
        let mut digests = app.digests_for(&order);
        app.note_digests(&agent(UML1), row.id, &SealedDigests { epoch: 1, digests: digests.clone() }).unwrap();
        digests[0].root = "f".repeat(64);
        let report = Report::Copied { epoch: 1, digests, sent_bytes: 0, seconds: 0.0, uncached: None };
        app.answer(XEN1, &order, Outcome::Succeeded { report }).unwrap();
        assert_eq!(app.linode(WEB).host_id, UML1);
        assert!(app.migration(row.id).failure.contains("not equal"));
        assert_eq!(kind(&app.take(UML1)), "start");
    }

    fn a_copy_the_source_said_nothing_of_is_never_committed(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let order = app.work_until("final_copy");
        let report = Report::Copied { epoch: 1, digests: app.digests_for(&order), sent_bytes: 0, seconds: 0.0, uncached: None };
        app.answer(XEN1, &order, Outcome::Succeeded { report }).unwrap();
        assert_eq!(app.linode(WEB).host_id, UML1);
    }

    fn a_guest_that_does_not_stay_up_runs_at_its_source_again(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let start = app.work_until("start");
        let report = Report::StartFailedSealed { epoch: 2, public: "It did not stay up.".into(), detail: "No space left on device".into(), console: "panic\u{7}\n".into() };
        app.answer(XEN1, &start, Outcome::Succeeded { report }).unwrap();
        let linode = app.linode(WEB);
        assert_eq!((linode.host_id, linode.epoch), (UML1, 3));
        assert_eq!(linode.console.as_deref(), Some("panic"));
        let profile = &app.in_db(|c| store::linode::profile::profiles_of(c, WEB))[0];
        assert_eq!((profile.kernel_id.as_str(), profile.root_device.as_str()), ("uml-2.6", "/dev/ubda"), "its profiles are as they were");
        let again = app.take(UML1);
        assert!(matches!(again.task, Task::Start { epoch: 3, migration: None, .. }));
        app.answer(UML1, &again, Outcome::Succeeded { report: app.success(&again) }).unwrap();
        let row = app.migration(row.id);
        assert_eq!(row.state, MigrationState::Failed);
        assert_eq!(row.failure_detail, "No space left on device", "staff read why");
        assert_eq!(row.base_epoch, Some(2), "another try starts from what is there");
    }

    fn a_destination_that_cannot_start_seals_before_the_source_is_granted(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let start = app.work_until("start");
        app.answer(XEN1, &start, failure(false)).unwrap();
        assert_eq!(app.linode(WEB).host_id, XEN1, "still the destination's");
        app.nothing_for(UML1);
        let seal = app.take(XEN1);
        assert!(matches!(seal.task, Task::StopSeal { epoch: 2, .. }), "{:?}", seal.task);
        app.answer(XEN1, &seal, Outcome::Succeeded { report: app.success(&seal) }).unwrap();
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (UML1, 3));
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
    }

    fn a_destination_whose_guest_holds_is_not_sealed_and_the_move_is_done(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let start = app.work_until("start");
        app.answer(XEN1, &start, failure(false)).unwrap();
        let seal = app.take(XEN1);
        assert!(matches!(seal.task, Task::StopSeal { migration, epoch: 2, .. } if migration == row.id), "{:?}", seal.task);
        let Outcome::Failed { retry, public, detail, console, .. } = failure(false) else { panic!() };
        let marks = xenbeta::wire::Marked { linode: WEB, granted: 2, sealed: 0, generation: Some(2) };
        let held = Outcome::Failed { retry, public, detail, console, owns: Some(marks) };
        app.answer(XEN1, &seal, held).unwrap();
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (XEN1, 2), "nothing was taken back");
        let row = app.migration(row.id);
        assert_eq!((row.state, row.step), (MigrationState::Finished, None));
        assert!(row.way_back_until.is_some(), "the way back is its member's to choose");
        assert_eq!(kind(&app.work(UML1)), "close_transfer");
        let log = app.in_db(|c| store::migration::events(c, row.id));
        assert!(log.iter().any(|it| it.message.contains("came up there after all")), "{log:?}");
    }

    fn what_a_copy_was_read_back_through_is_kept_and_too_little_room_is_said(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let warm = app.work_until("warm_copy");
        let report = Report::Warm { passes: 2, sent_bytes: 1, seconds: 1.0, rest_bytes: 1, moving_passes: 1, last_pass_s: None };
        app.answer(XEN1, &warm, Outcome::Succeeded { report }).unwrap();
        let job = app.in_db(|c| store::job::job(c, warm.job)).unwrap();
        assert!(job.message.contains("too little free room"), "{}", job.message);
        let log = app.in_db(|c| store::migration::events(c, row.id));
        assert!(log.iter().any(|it| it.message.contains("too little free room")), "{log:?}");
        let order = app.work_until("final_copy");
        let Report::Copied { epoch, digests, .. } = app.success(&order) else { panic!() };
        let report = Report::Copied { epoch, digests, sent_bytes: 0, seconds: 0.0, uncached: Some(false) };
        app.answer(XEN1, &order, Outcome::Succeeded { report }).unwrap();
        assert_eq!(app.migration(row.id).uncached, Some(false));
    }

    fn staff_take_back_only_what_was_not_fetched(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("final_copy");
        app.answer(XEN1, &order, Outcome::Succeeded { report: app.success(&order) }).unwrap();
        assert_eq!(app.linode(WEB).host_id, XEN1);
        app.roll_back_migration(&app.staff(), row.id).unwrap();
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (UML1, 3));
        app.nothing_for(XEN1);
        app.work_all(&[UML1, XEN1]);

        let app = TestApp::new(if app.url.starts_with("postgres") { crate::support::On::Postgresql } else { crate::support::On::Sqlite }).with_fleet();
        let row = app.clicked(WEB);
        app.work_until("start"); // fetched
        let refused = app.roll_back_migration(&app.staff(), row.id).unwrap_err();
        assert!(conflict(refused).contains("told of its ownership"));
        assert_eq!(app.linode(WEB).host_id, XEN1);
    }

    fn a_cancel_is_done_when_the_agent_says_so(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("warm_copy");
        app.cancel_migration(&app.member(), row.id).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Copying, "not before the agent has stopped");
        let renewed = app.renew(&agent(XEN1), order.job, &xenbeta::wire::Renew { attempt: order.attempt, lease_token: order.lease_token.clone(), progress: None, console: None }).unwrap();
        assert!(renewed.cancel);
        app.answer(XEN1, &order, Outcome::Cancelled).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        assert_eq!(kind(&app.work(UML1)), "close_transfer");
        assert_eq!(kind(&app.work(XEN1)), "release");
        assert_eq!(app.linode(WEB).host_id, UML1);
    }

    fn a_cancel_before_any_agent_took_the_step_is_done_at_once(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let cancelled = app.cancel_migration(&app.member(), row.id).unwrap();
        assert_eq!(cancelled.state, MigrationState::Cancelled);
        assert_eq!(kind(&app.take(UML1)), "close_transfer");
    }

    fn a_finished_step_whose_migration_was_cancelled_ends_it(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("reserve");
        app.cancel_migration(&app.member(), row.id).unwrap();
        app.answer(XEN1, &order, Outcome::Succeeded { report: Report::Done }).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
    }

    fn no_cancel_while_switching(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_until("stop_seal");
        let refused = app.cancel_migration(&app.member(), row.id).unwrap_err();
        assert!(conflict(refused).contains("no longer be cancelled"));
    }

    fn the_way_back_moves_the_data_back(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let back = app.way_back(&app.member(), row.id).unwrap();
        assert_eq!(app.way_back(&app.member(), row.id).unwrap().id, back.id, "asked twice, one way back");
        assert_eq!((back.source_host_id, back.destination_host_id, back.base_epoch), (XEN1, UML1, Some(1)));
        app.reconcile().unwrap();
        let reserve = app.work_until("reserve");
        assert!(matches!(reserve.task, Task::Reserve { base_epoch: Some(1), .. }));
        app.answer(UML1, &reserve, Outcome::Succeeded { report: Report::Done }).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Returned);
        assert_eq!(app.migration(back.id).state, MigrationState::Finished);
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (UML1, 3));
        assert_eq!(app.in_db(|c| store::linode::profile::profiles_of(c, WEB))[0].kernel_id, "uml-2.6");
        app.confirm_migration(&app.member(), back.id).unwrap();
        assert_eq!(app.proved_purge(UML1, XEN1).task, Task::Purge { epoch: 2 });
        assert_eq!(app.take(UML1).task, Task::Purge { epoch: 1 });
    }

    fn a_way_back_that_fails_leaves_the_first_migration_finished(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let back = app.way_back(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        let order = app.work_until("reserve");
        app.answer(UML1, &order, failure(false)).unwrap();
        assert_eq!(app.migration(back.id).state, MigrationState::Failed);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!(app.linode(WEB).host_id, XEN1);
        app.work_all(&[UML1, XEN1]);
        let again = app.way_back(&app.member(), row.id).expect("and can be asked for again");
        assert_ne!(again.id, back.id);
    }

    fn leases_that_run_out_give_the_step_again_and_the_late_answer_is_refused(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let first = app.take(UML1);
        app.nothing_for(UML1);
        app.pass_watched_s(31);
        app.reconcile().unwrap();
        app.nothing_for(UML1); // it pauses
        app.pass_watched_s(1);
        let second = app.take(UML1);
        assert_eq!((second.job, second.attempt), (first.job, 2));
        let late = app.answer(UML1, &first, Outcome::Succeeded { report: app.success(&first) }).unwrap_err();
        assert!(conflict(late).contains("stale"));
        app.answer(UML1, &second, Outcome::Succeeded { report: app.success(&second) }).unwrap();
        let twice = app.answer(UML1, &second, Outcome::Succeeded { report: app.success(&second) }).unwrap_err();
        assert!(conflict(twice).contains("stale"));
    }

    fn a_silent_host_only_makes_it_wait(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_until("start");
        for _ in 0..20 {
            app.pass_s(3600);
            app.reconcile().unwrap();
        }
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (XEN1, 2), "time-outs never move ownership");
        assert_eq!(app.migration(row.id).state, MigrationState::Switching);
    }

    fn an_agent_that_dies_on_every_try_waits_for_staff(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let mut job = None;
        for _ in 0..5 {
            job = Some(app.take(UML1).job);
            app.pass_watched_s(31);
            app.reconcile().unwrap();
            app.pass_watched_s(16);
        }
        assert_eq!(kind(&app.take(UML1)), "close_transfer");
        let job = job.unwrap();
        assert_eq!(app.in_db(|c| store::job::job(c, job)).unwrap().state, JobState::Failed);
        assert_eq!(app.migration(row.id).state, MigrationState::Failed, "nothing was stopped yet");
        assert!(matches!(app.retry_job(&app.member(), job), Err(AppError::Forbidden)));
    }

    fn a_failed_step_is_tried_again_with_pauses(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        for attempt in 1..=5 {
            let order = app.take(UML1);
            assert_eq!(order.attempt, attempt);
            app.answer(UML1, &order, failure(true)).unwrap();
            if attempt < 5 {
                app.nothing_for(UML1); // it pauses
            }
            app.pass_s(20);
        }
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
    }

    fn offers_expire_and_free_their_room(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        let row = app.offer(&app.staff(), registration, Some(XEN2)).unwrap();
        let free = |app: &TestApp| app.room(XEN2).memory_free_mb();
        assert_eq!(free(&app), 512);
        app.pass_s(15 * 86_400);
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Expired);
        assert_eq!(free(&app), 1024);
        let refused = app.migrate(&app.member(), WEB, now_click()).unwrap_err();
        assert!(conflict(refused).contains("This offer has ended"));
        app.offer(&app.staff(), registration, None).expect("and may be offered anew");
    }

    fn a_click_on_an_offer_that_just_ended_is_told_so(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, None).unwrap();
        app.pass_s(15 * 86_400); // and the reconciler has not come round
        assert!(conflict(app.migrate(&app.member(), WEB, now_click()).unwrap_err()).contains("ended"));
    }

    fn a_chosen_time_is_kept(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, None).unwrap();
        let mut click = now_click();
        click.at = Some(app.now().plus_s(3600));
        let row = app.migrate(&app.member(), WEB, click).unwrap();
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Queued);
        app.pass_s(3601);
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Preparing);
    }

    fn a_24_kernel_wants_its_members_word(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(OLD);
        app.offer(&app.staff(), registration, None).unwrap();
        let mut click = now_click();
        click.accept_kernels = false;
        let refused = app.migrate(&app.member(), OLD, click).unwrap_err();
        assert!(matches!(refused, AppError::Invalid { field: "accept_kernels", .. }), "{refused:?}");
        app.migrate(&app.member(), OLD, now_click()).expect("with it, it goes");
    }

    fn nobody_elses_linode(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let other = app.other_member();
        assert!(matches!(app.migrate(&other, WEB, now_click()), Err(AppError::NotFound)));
        assert!(matches!(app.cancel_migration(&other, row.id), Err(AppError::NotFound)));
        assert!(matches!(app.confirm_migration(&other, row.id), Err(AppError::NotFound)));
        assert!(matches!(app.register(&other, &[WEB]), Err(AppError::NotFound)));
        assert!(matches!(app.power(&other, WEB, xenbeta::domain::job::JobKind::Shutdown, None), Err(AppError::NotFound)));
        let order = app.take(UML1);
        let stolen = app.answer(XEN1, &order, Outcome::Cancelled).unwrap_err();
        assert!(conflict(stolen).contains("stale"), "another host's job");
        let report = app.note_digests(&agent(XEN1), row.id, &SealedDigests { epoch: 1, digests: vec![] });
        assert!(matches!(report, Err(AppError::NotFound)), "only the source speaks of its disks");
    }

    fn the_platform_changes_with_the_host(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let host = app.in_db(|c| store::host::host(c, app.linode(WEB).host_id)).unwrap();
        assert_eq!(host.platform, Platform::Xen);
    }
}

both_databases! {
    fn a_revoked_or_disabled_host_gets_nothing(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        app.set_host_state(&app.staff(), UML1, (xenbeta::domain::host::HostState::Enabled, xenbeta::domain::host::HostState::Disabled)).unwrap();
        app.nothing_for(UML1);
        app.set_host_state(&app.staff(), UML1, (xenbeta::domain::host::HostState::Disabled, xenbeta::domain::host::HostState::Enabled)).unwrap();
        app.revoke_host(&app.staff(), UML1).unwrap();
        app.nothing_for(UML1);
        assert!(matches!(app.revoke_host(&app.member(), UML1), Err(AppError::Forbidden)));
    }

    fn a_linode_on_xen_is_not_offered_the_beta_again(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.confirm_migration(&app.member(), row.id).unwrap();
        let registration = row.registration_id.unwrap();
        let refused = app.offer(&app.staff(), registration, Some(XEN2)).unwrap_err();
        assert!(conflict(refused).contains("another role"), "a beta host is not where it goes next");
    }

    fn a_linode_shut_down_while_it_was_copied_stays_off(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let order = app.work_until("stop_seal");
        let report = Report::Sealed { epoch: 1, forced: false, was_running: false, stopped_after_s: None };
        app.answer(UML1, &order, Outcome::Succeeded { report }).unwrap();
        let start = app.work_until("start");
        assert!(matches!(start.task, Task::Start { boot: None, .. }), "{:?}", start.task);
    }

    fn a_job_written_through_one_portal_wakes_an_agent_on_the_other(app: TestApp) {
        use xenbeta::work::notifications;
        use xenbeta::work::stop::Stop;
        let app = app.with_fleet();
        if !app.url.starts_with("postgres") {
            return; // SQLite has one portal; its wakes are in the process.
        }
        let (second, stop) = (app.second(), Stop::default());
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| notifications::run(&second.db, &stop));
            std::thread::sleep(std::time::Duration::from_millis(300));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let host = second.db.hub.host(UML1);
            let mut delays = Vec::new();
            for _ in 0..10 {
                let woken = host.notified();
                tokio::pin!(woken);
                woken.as_mut().enable();
                let id = app.power(&app.member(), WEB, xenbeta::domain::job::JobKind::Reboot, None).unwrap();
                let written = std::time::Instant::now();
                runtime
                    .block_on(async { tokio::time::timeout(std::time::Duration::from_secs(2), woken).await })
                    .expect("it is woken");
                delays.push(written.elapsed());
                let order = second.claim(&agent(UML1)).unwrap().expect("and finds the job");
                assert_eq!(order.job, id);
                app.answer(UML1, &order, Outcome::Succeeded { report: Report::Done }).unwrap();
            }
            stop.ask();
            delays.sort();
            println!("woken after {delays:?}");
            assert!(delays[5] < std::time::Duration::from_millis(100), "median {:?}", delays[5]);
        });
    }
}
