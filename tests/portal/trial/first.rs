//! *Try it there first*: what is ticked before the click, and that nothing stops before a clone came up.

use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::domain::migration::{MigrationState, Step};
use xenbeta::domain::time::Time;
use xenbeta::domain::trial::{TrialEnd, TrialState};
use xenbeta::store::migration::Migration;
use xenbeta::wire::{Order, Outcome, Task};

use super::there::holds_still;
use crate::both_databases;
use crate::browser::Site;
use crate::migration::holding::later;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, OLD, STAFF_EMAIL, UML1, WEB, XEN1};
use crate::support::hand::{agent, kind, now_click, refused};

const HOUR: i64 = 3600;
const PANIC: &str = "VFS: Cannot open root device\nKernel panic - not syncing";

fn first(click: Click) -> Click {
    Click {
        try_first: true,
        ..click
    }
}

impl TestApp {
    /// In step and in its trial, which nobody asked for but its move.
    fn is_tried(&self, linode: LinodeId, click: Click) -> (Migration, Order) {
        let row = self.chosen(linode, first(click));
        let begins = row.begin_at.unwrap_or(self.now());
        self.pass_s(begins.seconds_since(self.now()).max(0) + 1);
        let order = self.work_until("trial");
        let row = self.migration(row.id);
        holds_still(self, &row);
        assert_eq!(self.trial(&row).asked_by, None);
        (row, order)
    }

    /// Works off what there is, trials left out, and looks that nothing is stopped.
    #[track_caller]
    fn waits(&self, row: &Migration) {
        for _ in 0..3 {
            self.reconcile().unwrap();
            while let Some(order) = self.claim(&agent(XEN1)).unwrap() {
                assert_eq!(kind(&order), "warm_copy", "no other trial");
                let report = self.success(&order);
                self.answer(XEN1, &order, Outcome::Succeeded { report })
                    .unwrap();
            }
            self.nothing_for(UML1);
        }
        holds_still(self, row);
    }

    /// Keeps what is at work leased, and lets the time go by in which its agent is heard.
    fn comes_at(&self, at: Time) {
        self.pass_watched_s(at.seconds_since(self.now()));
        self.run_sql(
            "UPDATE jobs SET lease_until = '2036-01-01T00:00:00.000000Z' WHERE state = 'leased'",
        );
        self.reconcile().unwrap();
    }

    fn ends_with(&self, host: HostId, order: &Order, outcome: Outcome) {
        self.answer(host, order, outcome).unwrap();
        self.reconcile().unwrap();
    }
}

both_databases! {
    fn from_the_tick_to_the_stop(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let form = member.get(&format!("/members/linodes/{WEB}/migrate"));
        form.shows(&["Try it there first", "without a network", "is not stopped, and you are told", "waits as long as you allow", "copies once more"]);
        let answer = member.submit(&form, "Migrate web", &[("try_first", "yes"), ("when", "now"), ("accept_kernels", "yes")]);
        let page = member.follow(&answer);
        page.shows(&["It is tried on its new host first, and stopped only if it comes up"]);
        let row = app.newest_migration(WEB);
        let order = app.work_until("trial");
        let Task::Trial { migration, .. } = &order.task else { panic!("{order:?}") };
        assert_eq!(*migration, row.id);
        let url = format!("/members/migrations/{}", row.id);
        let page = member.get(&url);
        page.shows(&["It is being tried on its new host"]);
        page.shows_at("[data-k=phase]", &["it stops when it has come up on its new host"]);
        page.hides(&["Go on all the same"]);
        app.waits(&app.migration(row.id));
        app.ends(&order, TrialEnd::CameUp, "web login:");
        app.reconcile().unwrap();
        assert_eq!(kind(&app.take(UML1)), "stop_seal", "{}", app.log_of(&row));
        member.get(&url).shows(&["Tried there: it came up", "as was asked for"]);
        assert!(app.mails_of("tried_first").is_empty() && app.mails_of("late").is_empty());
    }

    fn one_that_does_not_come_up_is_not_stopped_and_its_member_goes_on_or_not(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let (row, order) = app.is_tried(WEB, now_click());
        app.ends(&order, TrialEnd::Stopped, PANIC);
        app.pass_s(120);
        app.waits(&row);
        let mails = app.mails_of("tried_first");
        assert_eq!(mails.len(), 1, "{mails:?}");
        for words in ["VFS: Cannot open root device", "Kernel panic - not syncing", "It is not stopped unless you say so", "If you do nothing until"] {
            assert!(mails[0].contains(words), "{words}: {}", mails[0]);
        }
        assert!(app.mails_of("late").is_empty(), "it is told once");
        let site = Site::serve(&app.app);
        let (mut member, mut stranger) = (site.signed_in(MEMBER_EMAIL), site.signed_in("otto@example.com"));
        let url = format!("/members/migrations/{}", row.id);
        let page = member.get(&url);
        page.shows(&["that failed, so it is not stopped", "Try it there again", "Choose a time to stop", "Cancel the move", "its offer stands"]);
        page.shows_at("[data-k=phase]", &["its trial on the new host failed"]);
        site.signed_in(STAFF_EMAIL).get(&format!("/staff{}", &url[8..])).shows(&["its member's word", "that failed"]);
        assert_eq!(stranger.get(&format!("{url}/untried")).status, 404);
        assert!(matches!(app.go_on_untried(&app.other_member(), row.id), Err(AppError::NotFound)));
        let question = member.get(&page.link("Go on all the same"));
        question.shows(&["Kernel panic - not syncing", "as soon as it can be", "started again where it is now"]);
        let answer = member.submit(&question, "Go on with the move of web all the same", &[]);
        assert_eq!(answer.status, 303);
        // A second click finds it done.
        assert_eq!(member.submit(&question, "Go on with the move of web all the same", &[]).status, 303);
        assert!(app.log_of(&row).matches("said to go on without a trial").count() == 1);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!(member.get(&format!("{url}/untried")).status, 409);
    }

    fn who_says_nothing_keeps_it_where_it_is_and_the_offer(app: TestApp) {
        let app = app.with_fleet();
        let (row, order) = app.is_tried(WEB, now_click());
        app.ends(&order, TrialEnd::Silent, "Freeing unused kernel memory");
        let late_since = app.migration(row.id).not_before.expect("from now on it is late");
        app.comes_at(late_since.plus_s(2 * HOUR - 5));
        app.waits(&row);
        app.comes_at(late_since.plus_s(2 * HOUR + 2));
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        let offer = app.newest_migration(WEB);
        assert_eq!((offer.state, offer.try_first_since.is_some()), (MigrationState::Offered, true), "as it was ticked");
        let told = app.mails_of("unscheduled");
        assert!(told[0].contains("was to be tried on its new host before it stops"), "{told:?}");
        app.work_all(&[UML1, XEN1]);
        // Ticked again, it is tried again.
        app.migrate(&app.member(), WEB, first(now_click())).unwrap();
        assert_eq!(kind(&app.work_until("trial")), "trial");
    }

    fn a_time_that_comes_while_it_is_tried_waits(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(3 * HOUR);
        let (row, order) = app.is_tried(WEB, later(at, 2));
        // A second of copying three times, a quarter of an hour, and what a trial takes.
        assert_eq!(row.begin_at, Some(at.plus_s(-902 - 421)));
        // Its member has it tried again, shortly before its time.
        app.ends(&order, TrialEnd::Stopped, PANIC);
        app.comes_at(at.plus_s(-200));
        app.waits(&row);
        app.migrate(&app.member(), WEB, first(later(at, 2))).unwrap();
        let order = app.work_until("trial");
        app.comes_at(at.plus_s(-10));
        assert!(!app.says(&order, "booting"), "no pass ends it");
        app.comes_at(at.plus_s(62));
        assert!(!app.says(&order, "booting"));
        app.waits(&row);
        let late = app.mails_of("late");
        assert!(late.len() == 1 && late[0].contains("it is being tried on its new host first"), "{late:?}");
        app.ends(&order, TrialEnd::CameUp, "web login:");
        // What changed meanwhile is copied before it stops.
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).step, Some(Step::TopUp), "{}", app.log_of(&row));
        assert_eq!(kind(&app.work(XEN1)), "warm_copy");
        app.reconcile().unwrap();
        assert_eq!(kind(&app.take(UML1)), "stop_seal");
    }

    fn in_time_it_stops_at_its_time(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(3 * HOUR);
        let (row, order) = app.is_tried(WEB, later(at, 2));
        app.ends(&order, TrialEnd::CameUp, "web login:");
        app.waits(&row);
        app.look_at(at);
        assert_eq!(kind(&app.take(UML1)), "stop_seal");
        assert!(app.migration(row.id).stopped_at.unwrap().seconds_since(at) <= 2);
    }

    fn who_wanted_it_no_later_does_not_wait_for_a_trial(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(3 * HOUR);
        let (row, order) = app.is_tried(WEB, later(at, 0));
        app.comes_at(at.plus_s(62));
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        assert!(app.says(&order, ""), "its trial is ended");
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Offered);
    }

    fn the_tick_is_changed_while_it_holds(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let at = app.now().plus_s(5 * HOUR);
        let (row, order) = app.is_tried(WEB, later(at, 2));
        app.ends(&order, TrialEnd::Stopped, PANIC);
        assert!(app.mails_of("tried_first")[0].contains("It is not stopped at "), "its time is to come");
        app.waits(&row);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let url = format!("/members/linodes/{WEB}/migrate");
        // The same time, and ticked still: it is tried again; twice the same is once.
        let form = member.get(&url);
        for _ in 0..2 {
            member.submit(&form, "Choose this time for web", &[]);
        }
        app.reconcile().unwrap();
        let order = app.take(XEN1);
        assert_eq!(kind(&order), "trial");
        // Another time: its trial goes on.
        app.migrate(&app.member(), WEB, first(later(at.plus_s(HOUR), 2))).unwrap();
        assert!(!app.says(&order, "booting"));
        app.ends(&order, TrialEnd::Stopped, PANIC);
        assert_eq!(app.mails_of("tried_first").len(), 2);
        app.waits(&row);
        // Not ticked any more.
        let form = member.get(&url);
        member.submit(&form, "Choose this time for web", &[("try_first", "")]);
        assert_eq!(app.migration(row.id).try_first_since, None);
        assert!(app.log_of(&row).contains("need not be tried"));
        // And ticked again: what failed before does not count, what came up does.
        app.migrate(&app.member(), WEB, first(later(at.plus_s(HOUR), 2))).unwrap();
        app.reconcile().unwrap();
        let order = app.take(XEN1);
        app.ends(&order, TrialEnd::CameUp, "web login:");
        for click in [later(at.plus_s(HOUR), 2), first(later(at.plus_s(HOUR), 2))] {
            app.migrate(&app.member(), WEB, click).unwrap();
        }
        app.waits(&row);
        app.look_at(at.plus_s(HOUR));
        assert_eq!(kind(&app.take(UML1)), "stop_seal");
        assert!(app.verify_audit(None).is_ok());
    }

    fn a_trial_that_is_lost_is_begun_again_and_not_for_ever(app: TestApp) {
        let app = app.with_fleet();
        let (row, _) = app.is_tried(WEB, later(app.now().plus_s(20 * HOUR), 2));
        for _ in 0..2 {
            app.pass_watched_s(31);
            app.reconcile().unwrap();
            app.reconcile().unwrap();
            assert_eq!(kind(&app.take(XEN1)), "trial");
        }
        assert!(app.mails_of("tried_first").is_empty());
        // The third does not end: nothing waits for ever.
        let now = app.now();
        app.comes_at(now.plus_s(800));
        assert_eq!(app.trial(&row).state, TrialState::Running);
        app.comes_at(now.plus_s(900));
        let trial = app.trial(&row);
        assert_eq!(trial.state, TrialState::BrokenOff);
        assert!(trial.outcome.contains("not done with it in time"), "{}", trial.outcome);
        let told = app.mails_of("tried_first");
        assert!(told.len() == 1 && told[0].contains("not done with it in time"), "{told:?}");
        // Its member has it tried again, and that counts.
        app.run_sql("UPDATE jobs SET state = 'cancelled', finished_at = entered_at, lease_hash = NULL, lease_until = NULL WHERE kind = 'trial'");
        app.waits(&row);
        app.try_there(&app.member(), row.id).unwrap();
        let order = app.take(XEN1);
        app.ends(&order, TrialEnd::CameUp, "web login:");
        app.look_at(row.not_before.unwrap());
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn an_agent_that_knows_no_trials_is_said_before_the_click(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let url = format!("/members/linodes/{WEB}/migrate");
        let form = member.get(&url);
        app.run_sql("UPDATE hosts SET protocol = 2");
        member.get(&url).shows(&["It cannot be tried on", "older release"]).hides(&["Try it there first"]);
        let typed = [("try_first", "yes"), ("when", "now"), ("accept_kernels", "yes")];
        let reply = member.submit(&form, "Migrate web", &typed);
        assert_eq!(reply.status, 422);
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Offered);
        // It was taken back to the old release later: that is told as what kept it from being tried.
        app.run_sql("UPDATE hosts SET protocol = 3");
        let row = app.migrate(&app.member(), WEB, first(now_click())).unwrap();
        app.reconcile().unwrap();
        let copying = app.work_until("warm_copy");
        app.run_sql("UPDATE hosts SET protocol = 2");
        let report = app.success(&copying);
        app.ends_with(XEN1, &copying, Outcome::Succeeded { report });
        app.nothing_for(XEN1);
        assert_eq!(app.trial(&row).state, TrialState::NotTried);
        let told = app.mails_of("tried_first");
        assert!(told.len() == 1 && told[0].contains("older release"), "{told:?}");
        holds_still(&app, &row);
    }

    fn limits_groups_and_quiet_hours_hold_beside_it(app: TestApp) {
        let app = app.with_fleet();
        app.run_sql(&format!("UPDATE linodes SET never_both = 'web' WHERE id IN ({WEB}, {OLD})"));
        let (row, order) = app.is_tried(WEB, now_click());
        app.run_sql(&format!("UPDATE linodes SET status = 'offline' WHERE id = {OLD}"));
        app.ends(&order, TrialEnd::CameUp, "web login:");
        app.waits(&row);
        app.run_sql(&format!("UPDATE linodes SET status = 'running' WHERE id = {OLD}"));
        app.reconcile().unwrap();
        assert_eq!(kind(&app.take(UML1)), "stop_seal");
    }

    fn two_on_one_host_are_tried_one_after_the_other(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(6 * HOUR);
        let (one, order) = app.is_tried(WEB, later(at, 2));
        let other = app.chosen(OLD, first(later(at.plus_s(300), 2)));
        app.run_sql(&format!("UPDATE migrations SET begin_at = NULL WHERE id = {}", other.id));
        app.reconcile().unwrap();
        while app.migration(other.id).state != MigrationState::Holding {
            app.run_sql("UPDATE jobs SET lease_until = '2036-01-01T00:00:00.000000Z' WHERE state = 'leased'");
            let next = [UML1, XEN1].into_iter().find_map(|host| Some((host, app.claim(&agent(host)).unwrap()?)));
            let (host, step) = next.expect("it is copied");
            let report = app.success(&step);
            app.ends_with(host, &step, Outcome::Succeeded { report });
        }
        app.waits(&other);
        holds_still(&app, &one);
        app.ends(&order, TrialEnd::CameUp, "web login:");
        app.reconcile().unwrap();
        let order = app.take(XEN1);
        assert!(matches!(&order.task, Task::Trial { migration, .. } if *migration == other.id), "{order:?}");
    }

    fn a_cancel_ends_it_and_a_held_linode_is_not_tried(app: TestApp) {
        let app = app.with_fleet();
        let (row, order) = app.is_tried(WEB, now_click());
        app.cancel_migration(&app.member(), row.id).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        assert!(app.says(&order, ""));
        assert!(app.mails_of("tried_first").is_empty());
        assert!(refused(app.try_there(&app.member(), row.id)).contains("while it is in step"));
        assert_eq!(app.go_on_untried(&app.member(), row.id).unwrap().state, MigrationState::Cancelled);
    }
}
