//! The promise when the world does more than the protocol foresaw: a portal that went back, hosts that contradict it, dead
//! hosts, other ledgers. Rules 15 to 19.

use diesel::connection::SimpleConnection;
use xenbeta::app::error::AppError;
use xenbeta::domain::host::HostState;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::ownership::joint::JointKind;
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::wire::{LedgerMark, Marked, Outcome, Poll, PortalMark, Report, Task};

use crate::both_databases;
use crate::host::by_hand::{poll, says};
use crate::support::fleet::{PASSWORD, UML1, UML2, WEB, XEN1, XEN2};
use crate::support::hand::{agent, kind};
use crate::support::{On, TestApp};

pub fn ledger(serial: i64) -> LedgerMark {
    LedgerMark {
        id: "a".repeat(32),
        serial,
        machine: "b".repeat(64),
        place: "c".repeat(64),
    }
}

fn conflict(error: AppError) -> String {
    match error {
        AppError::Conflict(text) | AppError::Later(text) => text,
        other => panic!("a conflict, not {other:?}"),
    }
}

both_databases! {
    fn a_portal_that_went_back_holds_the_linode_and_believes_its_hosts(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let copy = app.work_until("final_copy");
        // The portal of before goes on from a backup taken here; the hosts have moved the Linode meanwhile.
        let at_work = Poll { held: vec![copy.job], ..poll(vec![says(WEB, 2, 0, true)]) };
        app.note_poll(&agent(XEN1), &at_work).unwrap();
        assert!(app.is_held(WEB));
        app.nothing_for(XEN1);
        let later = app.answer(XEN1, &copy, Outcome::Cancelled).unwrap_err();
        assert!(matches!(later, AppError::Later(_)), "{later:?}");
        let refused = app.roll_back_migration(&app.staff(), row.id).unwrap_err();
        assert!(conflict(refused).contains("held"));
        app.reconcile().unwrap();
        assert!(app.is_held(WEB), "not before every host has reported");
        let unheard = app.believe(&app.staff(), WEB).unwrap_err();
        assert!(conflict(unheard).contains("has not reported"));
        app.all_poll(&[(UML1, vec![says(WEB, 1, 1, false)])]);
        app.note_poll(&agent(XEN1), &at_work).unwrap();
        app.reconcile().unwrap();
        assert!(!app.is_held(WEB), "what is unambiguous is put right without anyone");
        let linode = app.linode(WEB);
        assert_eq!((linode.host_id, linode.epoch, linode.fetched), (XEN1, 2, true));
        assert_eq!(linode.status, LinodeStatus::Running);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        let profile = &app.in_db(|c| store::linode::profile::profiles_of(c, WEB))[0];
        assert_eq!(profile.root_device, "/dev/xvda", "its profiles are what they are there");
        assert!(app.in_db(|c| store::linode::address::ips_of(c, WEB)).iter().all(|ip| ip.host_id == XEN1));
        // The poll of every host without jobs took it for lost: what the agent says of it comes too late, and changes nothing.
        assert!(conflict(app.answer(XEN1, &copy, Outcome::Cancelled).unwrap_err()).contains("stale"));
        app.work_all(&[UML1, XEN1]);
        app.confirm_migration(&app.member(), row.id).unwrap();
        assert_eq!(app.proved_purge(XEN1, UML1).task, Task::Purge { epoch: 1 });
    }

    fn that_an_agent_owns_it_already_is_no_failure_of_the_step(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let copy = app.work_until("final_copy");
        let owns = Some(Marked { linode: WEB, granted: 2, sealed: 0, generation: Some(2) });
        let outcome = Outcome::Failed { retry: false, public: "It lives here.".into(), detail: String::new(), console: None, owns };
        app.answer(XEN1, &copy, outcome).unwrap();
        assert!(app.is_held(WEB));
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (UML1, 1), "the source is granted nothing");
        assert_eq!(app.migration(row.id).state, MigrationState::Switching);
        app.nothing_for(UML1);
    }

    fn a_grant_that_the_portal_forgot_it_gave_is_remembered(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let copy = app.work_until("final_copy");
        app.answer(XEN1, &copy, Outcome::Succeeded { report: app.success(&copy) }).unwrap();
        assert!(!app.linode(WEB).fetched);
        app.polls(XEN1, vec![says(WEB, 2, 0, true)]);
        assert!(app.linode(WEB).fetched && !app.is_held(WEB));
        let refused = app.roll_back_migration(&app.staff(), row.id).unwrap_err();
        assert!(conflict(refused).contains("told of its ownership"));
    }

    fn a_late_report_proves_nothing_and_a_second_one_does(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.polls(UML1, vec![says(WEB, 1, 0, true)]);
        assert!(!app.is_held(WEB), "it may have been sent before the Linode was stopped");
        app.note_report(&agent(UML1), &poll(vec![says(WEB, 1, 0, true)]).inventory).unwrap();
        assert!(!app.is_held(WEB), "and a report between polls with it");
        app.polls(UML1, vec![says(WEB, 1, 0, true)]);
        assert!(app.is_held(WEB));
        app.all_poll(&[(UML1, vec![says(WEB, 1, 0, true)]), (XEN1, vec![says(WEB, 2, 0, true)])]);
        app.reconcile().unwrap();
        assert!(app.is_held(WEB), "two that hold it: that is for people");
        let refused = app.believe(&app.staff(), WEB).unwrap_err();
        assert!(conflict(refused).contains("both hold themselves"));
        app.all_poll(&[(UML1, vec![says(WEB, 1, 1, false)]), (XEN1, vec![says(WEB, 2, 0, true)])]);
        app.reconcile().unwrap();
        assert!(!app.is_held(WEB), "the stray one was stopped and sealed: all fits again");
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (XEN1, 2));
    }

    fn a_linode_that_all_have_sealed_goes_to_the_newest_disks_with_one_click(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_until("warm_copy");
        app.cancel_migration(&app.member(), row.id).unwrap();
        app.pass_watched_s(31);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        for _ in 0..2 {
            app.all_poll(&[(UML1, vec![says(WEB, 1, 1, false)])]);
        }
        assert!(app.is_held(WEB), "its owner has sealed it, and no move is at work");
        app.all_poll(&[(UML1, vec![says(WEB, 1, 1, false)])]);
        app.reconcile().unwrap();
        assert!(app.is_held(WEB), "a new grant is not given without anyone");
        app.believe(&app.staff(), WEB).unwrap();
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch, app.linode(WEB).fetched), (UML1, 2, false));
        let start = app.take(UML1);
        assert!(matches!(start.task, Task::Start { epoch: 2, boot: Some(_), migration: None, .. }), "{:?}", start.task);
    }

    fn an_agent_that_has_seen_more_starts_a_recovery(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let row = app.clicked(WEB);
        app.work_until("start");
        let told = app.mark().unwrap();
        let ahead = PortalMark { revision: told.revision + 5, ..told.clone() };
        let seen = |mark: &PortalMark| Poll { seen: Some(mark.clone()), ..poll(vec![says(WEB, 2, 0, true)]) };
        app.note_poll(&agent(XEN1), &seen(&told)).unwrap();
        assert!(app.recovery().unwrap().is_none());
        app.note_poll(&agent(XEN1), &seen(&ahead)).unwrap();
        let recovery = app.recovery().unwrap().expect("it recovers");
        assert_eq!(recovery.waits_for.len(), 4);
        let new = app.mark().unwrap();
        assert!(new.revision > ahead.revision && new.incarnation != told.incarnation);
        app.nothing_for(XEN1);
        app.pass_watched_s(31);
        app.reconcile().unwrap();
        app.nothing_for(XEN1);
        app.all_poll(&[(XEN1, vec![says(WEB, 2, 0, true)])]);
        app.reconcile().unwrap();
        assert!(app.recovery().unwrap().is_none(), "every host has reported");
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn a_copy_written_into_the_databases_very_file_is_noticed_before_any_poll(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        app.work_until("start");
        let shown = app.mark().unwrap();
        assert!(app.recovery().unwrap().is_none());
        // As such a copy would: the same file, the same table, and fewer commits.
        app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute("UPDATE portal SET revision = revision - 1")?));
        let started = app.second();
        started.look_at_database().unwrap();
        let recovers = started.recovery().unwrap();
        if app.on() == On::Postgresql {
            // Its system, timeline and the table's number say it there, and agents.
            assert!(recovers.is_none());
            return;
        }
        assert!(recovers.unwrap().why.contains("older than what hosts were told"));
        let now = started.mark().unwrap();
        assert!(now.revision > shown.revision && now.incarnation != shown.incarnation);
        started.look_at_database().unwrap();
        assert_eq!(started.mark().unwrap(), now, "one life for one copy");
    }

    fn a_recovery_lets_nothing_change_hands_and_waits_for_a_dead_host_until_two_staff_say_so(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        let row = app.clicked(WEB);
        let copy = app.work_until("final_copy");
        app.begin_recovery("a backup was put back").unwrap();
        let later = app.answer(XEN1, &copy, Outcome::Succeeded { report: app.success(&copy) }).unwrap_err();
        assert!(matches!(later, AppError::Later(_)), "the agent keeps its word and offers it again: {later:?}");
        assert_eq!(app.migration(row.id).state, MigrationState::Switching);
        assert!(matches!(app.roll_back_migration(&app.staff(), row.id), Err(AppError::Later(_))));
        app.pass_s(6);
        app.polls(UML1, vec![says(WEB, 1, 1, false)]);
        for host in [UML2, XEN1] {
            app.polls(host, vec![]);
        }
        app.reconcile().unwrap();
        let waits = app.recovery().unwrap().unwrap().waits_for;
        assert_eq!(waits.iter().map(|host| host.id).collect::<Vec<_>>(), [XEN2]);
        let refused = app.set_host_state(&app.staff(), XEN2, (HostState::Enabled, HostState::Disabled)).unwrap_err();
        assert!(conflict(refused).contains("two staff"));
        let ask = app.ask_joint(&app.staff(), PASSWORD, (JointKind::Waive, XEN2), "no power in the rack").unwrap();
        let again = app.ask_joint(&app.staff(), PASSWORD, (JointKind::Waive, XEN2), "no power in the rack").unwrap();
        assert_eq!(ask, again, "asked twice is asked once");
        let alone = app.decide_joint(&app.staff(), PASSWORD, ask, true).unwrap_err();
        assert!(conflict(alone).contains("another member of staff"));
        let wrong = app.decide_joint(&app.second_staff(), "not my password", ask, true).unwrap_err();
        assert!(matches!(wrong, AppError::Invalid { field: "password", .. }), "{wrong:?}");
        let member = app.ask_joint(&app.member(), PASSWORD, (JointKind::Waive, XEN2), "me too").unwrap_err();
        assert!(matches!(member, AppError::Forbidden));
        app.decide_joint(&app.second_staff(), PASSWORD, ask, true).unwrap();
        app.reconcile().unwrap();
        assert!(app.recovery().unwrap().is_none());
        app.pass_s(10); // what was lost pauses
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    /// A backup of the portal and an old ledger of its host, put back at once: each fits the other, and the guest neither.
    fn a_host_that_was_put_back_with_the_portal_is_contradicted_by_its_own_guest(app: TestApp) {
        for (granted, sealed, recovers, reason) in [(1, 0, true, "sealed it, and now holds"), (1, 1, true, "no right to"), (1, 1, false, "no right to")] {
            let app = TestApp::new(app.on()).with_fleet();
            app.clicked(WEB);
            let copy = app.work_until("final_copy");
            if recovers {
                app.begin_recovery("a backup was put back").unwrap();
                app.pass_s(6);
            }
            app.polls(UML1, vec![says(WEB, granted, sealed, true)]);
            let hold = app.in_db(|c| store::ownership::hold::of(c, WEB)).expect("by its first report");
            assert!(hold.reason.contains(reason), "{}", hold.reason);
            app.answer(XEN1, &copy, Outcome::Succeeded { report: app.success(&copy) }).ok();
            assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (UML1, 1), "nothing changes hands");
        }
    }

    fn another_ledger_gets_no_work_until_two_staff_trust_it(app: TestApp) {
        for (shown, word) in [
            (Some(LedgerMark { id: "d".repeat(32), ..ledger(9) }), "another ledger"),
            (Some(ledger(4)), "went back"),
            (Some(LedgerMark { machine: "e".repeat(64), ..ledger(9) }), "another machine"),
            (None, "another ledger"),
        ] {
            let app = TestApp::new(app.on()).with_fleet().with_second_staff();
            app.clicked(WEB);
            let shows = |ledger: Option<LedgerMark>| Poll { ledger, ..poll(app.with_others(UML1, vec![])) };
            app.note_poll(&agent(UML1), &shows(Some(ledger(5)))).unwrap();
            app.note_poll(&agent(UML1), &shows(Some(ledger(6)))).unwrap();
            let late = app.note_poll(&agent(UML1), &shows(Some(ledger(5))));
            assert!(matches!(late, Err(AppError::Later(_))), "overtaken on its way: {late:?}");
            app.pass_s(80);
            app.note_poll(&agent(UML1), &shows(shown.clone())).unwrap();
            let host = app.in_db(|c| store::host::host(c, UML1)).unwrap();
            assert!(host.ledger_fault.contains(word), "{}", host.ledger_fault);
            app.nothing_for(UML1);
            app.note_poll(&agent(UML1), &shows(Some(ledger(6)))).unwrap();
            app.nothing_for(UML1);
            let believed = Poll { ledger: shown.clone(), ..poll(vec![says(WEB, 7, 0, true)]) };
            // One that may have been overtaken is asked for again.
            let _taken_or_not = app.note_poll(&agent(UML1), &believed);
            assert!(!app.is_held(WEB), "what it says is not believed either");
            app.jointly(JointKind::TrustLedger, UML1);
            app.note_poll(&agent(UML1), &shows(Some(ledger(6)))).unwrap();
            assert_eq!(kind(&app.take(UML1)), "preflight_source");
        }
    }

    fn a_ledger_at_another_place_waits_until_the_former_one_is_silent(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let shows = |ledger: LedgerMark| Poll { ledger: Some(ledger), ..poll(app.with_others(UML1, vec![])) };
        app.note_poll(&agent(UML1), &shows(ledger(5))).unwrap();
        let copy = LedgerMark { place: "f".repeat(64), ..ledger(6) };
        app.note_poll(&agent(UML1), &shows(copy.clone())).unwrap();
        app.nothing_for(UML1);
        app.pass_s(36);
        app.note_poll(&agent(UML1), &shows(copy)).unwrap();
        assert_eq!(kind(&app.take(UML1)), "preflight_source", "it was booted anew");
        app.note_poll(&agent(UML1), &shows(ledger(5))).unwrap();
        assert!(app.in_db(|c| store::host::host(c, UML1)).unwrap().ledger_fault.contains("went back"), "no: two agents, one ledger");
    }

    fn a_switch_over_is_taken_back_in_every_step_before_the_grant(app: TestApp) {
        for (step, epoch) in [("stop_seal", 2), ("final_copy", 2)] {
            let app = TestApp::new(app.on()).with_fleet();
            let row = app.clicked(WEB);
            let order = app.work_until(step);
            app.roll_back_migration(&app.staff(), row.id).unwrap();
            assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (UML1, epoch));
            // The host at work is told to stop, and what it says after all changes nothing.
            let host = if step == "stop_seal" { UML1 } else { XEN1 };
            let outcome = match step {
                "stop_seal" => Outcome::Succeeded { report: app.success(&order) },
                _ => Outcome::Cancelled,
            };
            app.answer(host, &order, outcome).unwrap();
            app.work_all(&[UML1, XEN1]);
            let after = app.migration(row.id);
            assert_eq!(after.state, MigrationState::Failed, "{step}");
            assert_eq!((app.linode(WEB).host_id, app.linode(WEB).status), (UML1, LinodeStatus::Running));
        }
    }

    fn nothing_is_purged_without_fresh_proof(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.confirm_migration(&app.member(), row.id).unwrap();
        // The new host is dead: the old one asks for work for days.
        for _ in 0..50 {
            app.pass_s(3600);
            app.reconcile().unwrap();
            app.nothing_for(UML1);
        }
        let prove = app.take(XEN1);
        let Task::Prove { epoch: 2, guest } = &prove.task else { panic!("{prove:?}") };
        assert_eq!(guest.disks.len(), 2);
        app.nothing_for(UML1);
        let some = Report::Proof { epoch: 2, running: true, disks: vec![] };
        app.answer(XEN1, &prove, Outcome::Succeeded { report: some }).unwrap();
        app.pass_s(61);
        app.nothing_for(UML1);
        let prove = app.take(XEN1);
        app.answer(XEN1, &prove, Outcome::Succeeded { report: app.success(&prove) }).unwrap();
        app.pass_s(601);
        app.nothing_for(UML1);
        assert_eq!(kind(&app.work(XEN1)), "prove", "that one was too old");
        let purge = app.take(UML1);
        assert_eq!(purge.task, Task::Purge { epoch: 1 });
        assert_eq!(app.migration(row.id).purged_at, None);
        app.answer(UML1, &purge, Outcome::Succeeded { report: Report::Done }).unwrap();
        assert!(app.migration(row.id).purged_at.is_some());
    }

    fn an_agent_of_the_last_release_is_given_no_order_it_does_not_know(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.note_poll(&agent(XEN1), &Poll::default()).unwrap();
        app.confirm_migration(&app.member(), row.id).unwrap();
        app.nothing_for(UML1);
        app.nothing_for(XEN1);
        app.polls(XEN1, vec![]);
        app.pass_s(601);
        assert_eq!(app.proved_purge(XEN1, UML1).task, Task::Purge { epoch: 1 }, "upgraded, it proves");
    }

    fn a_dead_destination_is_taken_over_in_every_step_and_after(app: TestApp) {
        for step in ["reserve", "warm_copy", "stop_seal", "final_copy", "start", "finished", "confirmed", "returning"] {
            let app = TestApp::new(app.on()).with_fleet().with_second_staff();
            let row = app.clicked(WEB);
            match step {
                "finished" | "confirmed" | "returning" => app.work_all(&[UML1, XEN1]),
                step => drop(app.work_until(step)),
            }
            match step {
                "confirmed" => drop(app.confirm_migration(&app.member(), row.id).unwrap()),
                "returning" => drop(app.way_back(&app.member(), row.id).unwrap()),
                _ => {}
            }
            let preview = app.takeover_preview(&app.staff(), XEN1).unwrap();
            let ids: Vec<_> = preview.iter().map(|it| (it.linode, it.goes_to.map(|(host, _)| host))).collect();
            let there = matches!(step, "start" | "finished" | "confirmed" | "returning");
            assert_eq!(ids, if there { vec![(WEB, Some(UML1))] } else { vec![] }, "{step}");
            app.jointly(JointKind::Takeover, XEN1);
            app.nothing_for(XEN1);
            app.pass_watched_s(31);
            app.reconcile().unwrap();
            app.work_all(&[UML1]);
            let linode = app.linode(WEB);
            assert_eq!((linode.host_id, linode.status), (UML1, LinodeStatus::Running), "{step}");
            assert!(matches!(app.migration(row.id).state, MigrationState::Failed | MigrationState::Cancelled), "{step}: {}", app.migration(row.id).state);
            assert_eq!(app.in_db(|c| store::host::host(c, XEN1)).unwrap().state, HostState::Quarantined);
        }
    }

    fn the_disks_of_a_way_back_that_failed_are_purged(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.way_back(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        let start = app.work_until_at(UML1, "start");
        let report = Report::StartFailedSealed { epoch: 3, public: "It did not stay up.".into(), detail: String::new(), console: String::new() };
        app.answer(UML1, &start, Outcome::Succeeded { report }).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (XEN1, 4));
        app.confirm_migration(&app.member(), row.id).unwrap();
        let first = app.proved_purge(XEN1, UML1);
        app.answer(UML1, &first, Outcome::Succeeded { report: Report::Done }).unwrap();
        let second = app.take(UML1);
        assert_eq!((first.task, second.task), (Task::Purge { epoch: 1 }, Task::Purge { epoch: 3 }));
    }

    fn the_revision_grows_with_every_commit_about_ownership(app: TestApp) {
        let app = app.with_fleet();
        let at = |app: &TestApp| app.in_db(store::ownership::memory::get).revision;
        let mut last = at(&app);
        app.clicked(WEB);
        for until in ["final_copy", "start"] {
            let order = app.work_until(until);
            let now = at(&app);
            assert!(until == "final_copy" || now > last, "{until}: the commit and the grant");
            last = now;
            if until == "final_copy" {
                app.answer(XEN1, &order, Outcome::Succeeded { report: app.success(&order) }).unwrap();
                assert!(at(&app) > last);
            }
        }
    }

    fn disks_that_a_move_left_behind_are_found_and_purged(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.polls(UML1, vec![says(WEB, 1, 1, false)]);
        app.tidy().unwrap();
        app.nothing_for(UML1);
        app.confirm_migration(&app.member(), row.id).unwrap();
        let purge = app.proved_purge(XEN1, UML1);
        app.answer(UML1, &purge, Outcome::Succeeded { report: Report::Done }).unwrap();
        // It says that it is done, and has them still: a backup of the host, or a purge that did not see them.
        app.polls(UML1, vec![says(WEB, 1, 1, false)]);
        app.pass_s(601);
        app.tidy().unwrap();
        app.tidy().unwrap();
        assert_eq!(app.proved_purge(XEN1, UML1).task, Task::Purge { epoch: 1 });
        app.nothing_for(UML1);
    }

    fn an_owner_that_knows_nothing_of_its_linode_is_noticed(app: TestApp) {
        let app = app.with_fleet();
        app.polls_only(UML1, vec![]);
        assert!(!app.is_held(WEB));
        app.polls_only(UML1, vec![]);
        assert!(app.is_held(WEB), "its ledger was emptied");
        app.all_poll(&[]);
        app.reconcile().unwrap();
        assert!(!app.is_held(WEB), "its records are back");
    }
}
