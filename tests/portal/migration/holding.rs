//! The time chosen is the time at which a Linode stops: it is in step by then, holds without a slot, stops within quiet
//! hours' bounds and with few others, and never later than its member said.

use std::thread;

use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::{MigrationState, Step};
use xenbeta::domain::programme::move_times::Limits;
use xenbeta::domain::time::Time;
use xenbeta::domain::values::Patience;
use xenbeta::store;
use xenbeta::store::migration::Migration;
use xenbeta::wire::{Outcome, Report, Task};

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, OLD, UML1, WEB, XEN1};
use crate::support::hand::{agent, kind, now_click, refused};

const HOUR: i64 = 3600;

pub(crate) fn later(at: Time, hours: i32) -> Click {
    Click {
        at: Some(at),
        patience: Patience::parse(hours).unwrap(),
        ..now_click()
    }
}

impl TestApp {
    /// In step, some time before the chosen time.
    pub(crate) fn holds(&self, linode: LinodeId, click: Click) -> Migration {
        let row = self.chosen(linode, click);
        let begins = row.begin_at.unwrap();
        self.pass_s(begins.seconds_since(self.now()).max(0) + 1);
        self.reconcile().unwrap();
        self.work_all(&[UML1, XEN1]);
        let row = self.migration(row.id);
        assert_eq!(
            (row.state, row.step),
            (MigrationState::Holding, Some(Step::Hold))
        );
        row
    }

    /// A round of the reconciler at that moment, with the hosts idle.
    pub(crate) fn look_at(&self, at: Time) {
        self.pass_s((at.seconds_since(self.now()) + 1).max(0));
        self.reconcile().unwrap();
    }

    pub(crate) fn log_of(&self, row: &Migration) -> String {
        let log = self.in_db(|conn| store::migration::events(conn, row.id));
        log.into_iter()
            .map(|line| line.message)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Quiet from an hour ago until so many minutes from now.
    fn quiet_until(&self, minutes: u16) {
        let (_, seen) = self.in_db(store::programme::move_times::limits);
        self.set_move_times(&self.staff(), &self.quiet_for(minutes), seen)
            .unwrap();
    }

    fn stops_at_once(&self, stops_at_once: i32) {
        let (_, seen) = self.in_db(store::programme::move_times::limits);
        let limits = Limits {
            stops_at_once,
            ..Limits::default()
        };
        self.set_move_times(&self.staff(), &limits, seen).unwrap();
    }
}

fn down(app: &TestApp, row: &Migration) -> i64 {
    let stopped = app.migration(row.id).stopped_at.unwrap();
    stopped.seconds_since(row.not_before.unwrap())
}

both_databases! {
    fn it_stops_at_the_time_chosen_and_is_in_step_by_then(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(3 * HOUR);
        let row = app.chosen(WEB, later(at, 2));
        assert_eq!(row.begin_at, Some(at.plus_s(-902)), "a second of copying twice, and a quarter of an hour");
        app.look_at(at.plus_s(-1000));
        assert_eq!(app.migration(row.id).state, MigrationState::Queued, "copying does not begin days before");
        app.look_at(at.plus_s(-900));
        app.work_all(&[UML1, XEN1]);
        let held = app.migration(row.id);
        assert_eq!((held.state, held.stopped_at), (MigrationState::Holding, None), "{}", app.log_of(&row));
        app.nothing_for(UML1);
        // It takes no slot: another one is copied meanwhile, with one slot for all.
        app.run_sql("UPDATE programme SET max_overall = 1");
        app.chosen(OLD, now_click());
        assert_eq!(app.reconcile().unwrap().admitted, 1);
        // Small passes, and the last one shortly before the time.
        let mut passes = Vec::new();
        while at.seconds_since(app.now()) > 3 {
            app.pass_s(at.seconds_since(app.now()).min(10) - 2);
            app.reconcile().unwrap();
            while let Some(order) = [XEN1, UML1].into_iter().find_map(|host| Some((host, app.claim(&agent(host)).unwrap()?))) {
                let (host, order) = order;
                if kind(&order) == "warm_copy" && matches!(&order.task, Task::WarmCopy { migration, .. } if *migration == row.id) {
                    passes.push(at.seconds_since(app.now()));
                }
                let report = app.success(&order);
                app.answer(host, &order, Outcome::Succeeded { report }).unwrap();
            }
        }
        assert!(passes.len() >= 3 && *passes.last().unwrap() <= 30, "{passes:?}");
        assert_eq!(app.migration(row.id).state, MigrationState::Holding);
        app.look_at(at);
        assert_eq!(kind(&app.work(UML1)), "stop_seal");
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert!((0..=2).contains(&down(&app, &row)), "{}", down(&app, &row));
    }

    fn copying_in_quiet_hours_is_throttled_if_staff_say_so(app: TestApp) {
        let app = app.with_fleet();
        let (_, seen) = app.in_db(store::programme::move_times::limits);
        let with = |cap| Limits { quiet_cap_mb_s: cap, ..app.quiet_for(60) };
        let bad = app.set_move_times(&app.staff(), &with(Some(0)), seen);
        assert!(matches!(bad, Err(AppError::Invalid { .. })), "{bad:?}");
        app.set_move_times(&app.staff(), &with(Some(5)), seen).unwrap();
        let own = |cap| xenbeta::app::context::Agent { cap_mb_s: cap, ..agent(UML1) };
        assert_eq!(app.cap_mb_s(&own(None)).unwrap(), Some(5));
        assert_eq!(app.cap_mb_s(&own(Some(3))).unwrap(), Some(3), "its own is lower");
        app.chosen(WEB, now_click());
        app.reconcile().unwrap();
        let order = app.take(UML1);
        let renew = xenbeta::wire::Renew { attempt: order.attempt, lease_token: order.lease_token.clone(), progress: None, console: None };
        assert_eq!(app.renew(&agent(UML1), order.job, &renew).unwrap().cap_mb_s, Some(5));
        app.pass_s(61 * 60);
        assert_eq!(app.cap_mb_s(&own(None)).unwrap(), None);
        assert_eq!(app.cap_mb_s(&own(Some(30))).unwrap(), Some(30));
    }

    fn quiet_hours_bind_the_stop_and_not_the_copying(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.quiet_until(120);
        let row = app.chosen(WEB, now_click());
        assert_eq!(app.reconcile().unwrap().admitted, 1, "it is copied");
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Holding);
        let site = Site::serve(&app.app);
        site.signed_in(MEMBER_EMAIL)
            .get(&format!("/members/migrations/{}", row.id))
            .shows_at("[data-k=phase]", &["In step with its copy", "it stops when the quiet hours end"]);
        app.pass_s(60 * 60);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Holding);
        app.pass_s(61 * 60);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    /// Between the order to stop and the host's question for it an hour may go by.
    fn quiet_hours_are_looked_at_again_when_the_order_is_given_out(app: TestApp) {
        let app = app.with_fleet();
        let row = app.chosen(WEB, now_click());
        app.reconcile().unwrap();
        let order = app.work_until("warm_copy");
        app.answer(XEN1, &order, Outcome::Succeeded { report: app.success(&order) }).unwrap();
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).step, Some(Step::StopSeal));
        app.quiet_until(60);
        app.nothing_for(UML1);
        let held = app.migration(row.id);
        assert_eq!((held.state, held.step, held.stopped_at), (MigrationState::Holding, Some(Step::Hold), None));
        app.pass_s(62 * 60);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn a_host_stops_as_many_at_once_as_staff_say(app: TestApp) {
        let app = app.with_fleet();
        app.stops_at_once(1);
        let at = app.now().plus_s(2 * HOUR);
        let first = app.holds(WEB, later(at, 2));
        let registration = app.approved(OLD);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        match app.migrate(&app.member(), OLD, later(at, 2)) {
            Err(AppError::Invalid { field: "at", message }) => assert!(message.contains("The next free time is"), "{message}"),
            other => panic!("{other:?}"),
        }
        // As soon as it is copied: it waits for the stop of the other, and takes the next.
        app.migrate(&app.member(), OLD, now_click()).unwrap();
        app.look_at(at);
        assert_eq!(app.migration(first.id).state, MigrationState::Switching);
        let stop = app.work_until("stop_seal");
        app.work_all(&[UML1, XEN1]);
        let second = app.newest_migration(OLD);
        assert_eq!(second.state, MigrationState::Holding, "{}", app.log_of(&second));
        app.answer(UML1, &stop, Outcome::Succeeded { report: app.success(&stop) }).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.newest_migration(OLD).state, MigrationState::Finished);
    }

    /// Who clicked first and stops last waits for a slot until those are copied that stop before.
    fn whose_copying_is_due_first_is_copied_first(app: TestApp) {
        let app = app.with_fleet();
        app.run_sql("UPDATE programme SET max_overall = 1");
        let at = app.now().plus_s(2 * HOUR);
        let last = app.chosen(OLD, later(at.plus_s(300), 2));
        let first = app.chosen(WEB, later(at, 2));
        app.look_at(at.plus_s(-600));
        let states = || [first.id, last.id].map(|id| app.migration(id).state);
        assert_eq!(states(), [MigrationState::Preparing, MigrationState::Queued]);
        let before = app.in_db(|conn| store::migration::queue::queued_before(conn, &last, app.now()));
        assert_eq!(before, 0);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(states(), [MigrationState::Holding, MigrationState::Holding]);
    }

    fn two_portals_give_one_stop_once(app: TestApp) {
        let app = app.with_fleet();
        app.stops_at_once(1);
        let at = app.now().plus_s(2 * HOUR);
        let web = app.holds(WEB, later(at, 2));
        let old = app.chosen(OLD, later(at.plus_s(300), 2));
        app.pass_s(302);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        app.pass_s(at.plus_s(301).seconds_since(app.now()));
        let second = app.second();
        thread::scope(|scope| {
            for portal in [&app.app, &second] {
                scope.spawn(move || portal.reconcile().unwrap());
            }
        });
        let states = [web.id, old.id].map(|id| app.migration(id).state);
        assert_eq!(states, [MigrationState::Switching, MigrationState::Holding]);
    }

    fn who_is_late_is_told_at_once_and_stops_when_it_can(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(HOUR);
        let row = app.chosen(WEB, later(at, 2));
        app.look_at(at.plus_s(-900));
        let copying = app.work_until("warm_copy");
        app.pass_watched_s(at.seconds_since(app.now()) + 1);
        app.run_sql(&format!("UPDATE jobs SET lease_until = '2036-01-01T00:00:00.000000Z' WHERE id = {}", copying.job));
        for _ in 0..3 {
            app.reconcile().unwrap();
        }
        let told = app.mails_of("late");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("is not in step with its copy"), "{}", told[0]);
        app.pass_watched_s(HOUR);
        app.run_sql(&format!("UPDATE jobs SET lease_until = '2036-01-01T00:00:00.000000Z' WHERE id = {}", copying.job));
        let report = app.success(&copying);
        app.answer(XEN1, &copying, Outcome::Succeeded { report }).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!(app.mails_of("late").len(), 1);
    }

    fn who_wanted_it_no_later_chooses_anew(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(HOUR);
        let row = app.chosen(WEB, later(at, 0));
        app.look_at(at.plus_s(-900));
        let copying = app.work_until("warm_copy");
        app.pass_watched_s(at.plus_s(61).seconds_since(app.now()));
        app.run_sql(&format!("UPDATE jobs SET lease_until = '2036-01-01T00:00:00.000000Z' WHERE id = {}", copying.job));
        app.reconcile().unwrap();
        assert!(app.migration(row.id).cancel_asked);
        app.answer(XEN1, &copying, Outcome::Cancelled).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        let offer = app.newest_migration(WEB);
        assert_eq!((offer.state, offer.expires_at), (MigrationState::Offered, row.expires_at), "the offer stands");
        assert_ne!(offer.id, row.id);
        let told = app.mails_of("unscheduled");
        assert!(told.len() == 1 && told[0].contains("The offer still stands until"), "{told:?}");
        assert_eq!(kind(&app.work(UML1)), "close_transfer");
        assert_eq!(kind(&app.work(XEN1)), "release", "what was copied is dropped");
        // And it works the next time.
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Finished);
    }

    fn one_that_never_came_to_its_turn_is_late_too(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(HOUR);
        let (late, not) = (app.chosen(WEB, later(at, 2)), app.chosen(OLD, later(at, 0)));
        app.run_sql("UPDATE hosts SET slots = 0 WHERE id = 3");
        app.look_at(at.plus_s(1));
        assert_eq!(app.mails_of("late").len(), 1);
        app.look_at(at.plus_s(62));
        assert_eq!(app.migration(not.id).state, MigrationState::Offered, "its offer stands as it was");
        app.look_at(at.plus_s(2 * HOUR - 10));
        assert_eq!(app.migration(late.id).state, MigrationState::Queued);
        app.look_at(at.plus_s(2 * HOUR + 2));
        assert_eq!(app.migration(late.id).state, MigrationState::Offered);
        assert_eq!(app.mails_of("unscheduled").len(), 2);
    }

    fn while_it_holds_everything_can_be_chosen_anew(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(2 * HOUR);
        let row = app.holds(WEB, later(at, 2));
        // Another time.
        let tomorrow = at.plus_days(1);
        app.migrate(&app.member(), WEB, later(tomorrow, 4)).unwrap();
        app.look_at(at.plus_s(10));
        app.work_all(&[UML1, XEN1]);
        let held = app.migration(row.id);
        assert_eq!((held.state, held.not_before, held.patience_s), (MigrationState::Holding, Some(tomorrow), 4 * 3600));
        // Now.
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn what_was_given_up_while_it_held_stands_again(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.holds(WEB, later(app.now().plus_s(2 * HOUR), 2));
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let url = format!("/members/migrations/{}", row.id);
        let page = member.get(&format!("{url}/cancel"));
        page.shows(&["The offer stands again until"]);
        member.submit(&page, "Cancel the move of web", &[]);
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Offered);
        app.cancel_migration(&app.member(), row.id).expect("a second press finds it done");
        assert_eq!(app.live_of(WEB).len(), 1);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.linode(WEB).host_id, UML1);
    }

    fn staffs_cancel_ends_the_offer(app: TestApp) {
        let app = app.with_fleet();
        let row = app.holds(WEB, later(app.now().plus_s(2 * HOUR), 2));
        app.cancel_migration(&app.staff(), row.id).unwrap();
        assert_eq!(app.newest_migration(WEB).id, row.id);
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
    }

    /// True at the instant: until the order is given out, and not a moment longer.
    fn an_order_that_was_not_given_out_is_taken_back(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(2 * HOUR);
        let row = app.holds(WEB, later(at, 2));
        app.look_at(at);
        assert_eq!(app.migration(row.id).step, Some(Step::StopSeal));
        let next = at.plus_s(HOUR);
        let again = app.migrate(&app.member(), WEB, later(next, 2)).unwrap();
        assert_eq!((again.state, again.not_before), (MigrationState::Holding, Some(next)));
        app.nothing_for(UML1);
        app.look_at(next);
        let order = app.take(UML1);
        assert_eq!(kind(&order), "stop_seal");
        assert!(refused(app.migrate(&app.member(), WEB, later(next.plus_s(HOUR), 2))).contains("is being stopped"));
        assert!(refused(app.cancel_migration(&app.member(), row.id)).contains("can no longer be cancelled"));
        let report = app.success(&order);
        app.answer(UML1, &order, Outcome::Succeeded { report }).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn a_pass_that_fails_for_good_leaves_the_linode_where_it_is(app: TestApp) {
        let app = app.with_fleet();
        let row = app.holds(WEB, later(app.now().plus_s(2 * HOUR), 2));
        app.pass_s(301);
        app.reconcile().unwrap();
        let order = app.take(XEN1);
        assert_eq!((kind(&order).as_str(), app.migration(row.id).step), ("warm_copy", Some(Step::TopUp)));
        app.answer(XEN1, &order, Outcome::Failed { retry: false, public: "The disk is full.".to_owned(), detail: String::new(), console: None, owns: None }).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
        app.retry_migration(&app.member(), row.id).unwrap();
        app.run_sql("UPDATE migrations SET not_before = NULL, begin_at = NULL");
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn a_cancel_in_a_pass_is_done_when_its_host_says_so(app: TestApp) {
        let app = app.with_fleet();
        let row = app.holds(WEB, later(app.now().plus_s(2 * HOUR), 2));
        app.pass_s(301);
        app.reconcile().unwrap();
        let order = app.take(XEN1);
        app.cancel_migration(&app.member(), row.id).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Holding);
        assert!(refused(app.migrate(&app.member(), WEB, now_click())).contains("being cancelled"));
        let report = Report::Warm { passes: 1, sent_bytes: 0, seconds: 1.0, rest_bytes: 0, moving_passes: 0, last_pass_s: None };
        app.answer(XEN1, &order, Outcome::Succeeded { report }).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Offered);
    }
}
