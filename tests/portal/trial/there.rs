//! *Try it there*: from the click to the outcome, and all that a trial gives way to.

use xenbeta::app::error::AppError;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::{MigrationState, Step};
use xenbeta::domain::trial::{LIMIT_S, TrialEnd, TrialState};
use xenbeta::store;
use xenbeta::store::migration::Migration;
use xenbeta::store::trial::Trial;
use xenbeta::wire::{Order, Outcome, Renew, Report, Task};

use crate::both_databases;
use crate::browser::Site;
use crate::migration::holding::later;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, OLD, STAFF_EMAIL, UML1, WEB, XEN1};
use crate::support::hand::{agent, kind, refused};

const HOUR: i64 = 3600;

impl TestApp {
    /// In step, with hours to go.
    fn in_step(&self, linode: LinodeId) -> Migration {
        let at = self.now().plus_s(3 * HOUR);
        self.holds(linode, later(at, 2))
    }

    pub(super) fn trial(&self, row: &Migration) -> Trial {
        self.in_db(|conn| store::trial::newest(conn, row.id))
            .expect("there is one")
    }

    /// Asked for by its member, and in its host's hands.
    fn tries(&self, row: &Migration) -> Order {
        self.try_there(&self.member(), row.id).expect("it may");
        let order = self.take(XEN1);
        assert_eq!(kind(&order), "trial");
        order
    }

    pub(super) fn says(&self, order: &Order, console: &str) -> bool {
        let renew = Renew {
            attempt: order.attempt,
            lease_token: order.lease_token.clone(),
            progress: None,
            console: Some(console.to_owned()),
        };
        self.renew(&agent(XEN1), order.job, &renew)
            .expect("renews")
            .cancel
    }

    pub(super) fn ends(&self, order: &Order, end: TrialEnd, console: &str) {
        let report = Report::Tried {
            end,
            console: console.to_owned(),
            seconds: 12.0,
        };
        self.answer(XEN1, order, Outcome::Succeeded { report })
            .expect("is taken");
    }
}

#[track_caller]
pub(super) fn holds_still(app: &TestApp, row: &Migration) {
    let now = app.migration(row.id);
    assert_eq!(
        (now.state, now.step),
        (MigrationState::Holding, Some(Step::Hold))
    );
    assert_eq!(
        (now.epoch, app.linode(row.linode_id).epoch),
        (row.epoch, row.epoch)
    );
    assert_eq!(app.linode(row.linode_id).host_id, row.source_host_id);
}

both_databases! {
    fn from_the_click_to_its_outcome_on_the_page(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.in_step(WEB);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let url = format!("/members/migrations/{}", row.id);
        let page = member.get(&url);
        page.shows(&["Try it there", "before anything is stopped"]);
        let question = member.get(&page.link("Try it there"));
        question.shows(&["without any network", "5 minutes", "is not touched", "room"]);
        let answer = member.submit(&question, "Try web there", &[]);
        member.follow(&answer).shows_at("[data-k=trial]", &["Asked for"]);
        app.nothing_for(UML1);
        let order = app.take(XEN1);
        let Task::Trial { migration, limit_s, boot, .. } = &order.task else { panic!("{order:?}") };
        assert_eq!((*migration, *limit_s), (row.id, LIMIT_S));
        assert!(boot.devices.contains_key("xvda"), "as it will boot there: {boot:?}");
        assert!(!app.says(&order, "Linux version\nINIT: <entering>"));
        let page = member.get(&url);
        page.shows_at("[data-k=trial]", &["boots on the new host", "without a network"]);
        page.shows_at("[data-k=trial-console]", &["INIT: <entering>"]);
        page.hides(&["Try it there"]);
        assert_eq!(member.first_event(&format!("{url}/events"))["text"]["trial-console"], "Linux version\nINIT: <entering>");
        app.ends(&order, TrialEnd::CameUp, "INIT: <entering>\nweb login:");
        holds_still(&app, &row);
        let page = member.get(&url);
        page.shows_at(".note.good", &["it came up"]);
        page.shows_at("[data-k=trial-console]", &["web login:"]);
        page.shows(&["Try it there again", "asked to try it there"]);
        assert!(app.log_of(&row).contains("Tried there: it came up"));
        // And the move goes on as if nothing had been.
        app.look_at(row.not_before.unwrap());
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }

    fn one_that_did_not_come_up_is_said_before_a_time_is_chosen_and_to_staff(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.in_step(WEB);
        let site = Site::serve(&app.app);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        let order = app.tries(&row);
        app.ends(&order, TrialEnd::Stopped, "VFS: Cannot open root device\nKernel panic - not syncing\n");
        let url = format!("/members/migrations/{}", row.id);
        member.get(&url).shows_at(".note.bad", &["it stopped by itself", "Kernel panic - not syncing"]);
        member.get(&format!("/members/linodes/{WEB}/migrate")).shows_at(".note.bad", &["Kernel panic - not syncing", "See its console"]);
        let list = staff.get("/staff/migrations");
        let list = staff.get(&list.link("Trials that failed"));
        list.shows(&["did not come up", &format!("Migration {}", row.id)]);
        let page = staff.get(&format!("/staff/migrations/{}", row.id));
        page.shows(&["VFS: Cannot open root device", "Try it there again"]);
        // Staff try it again, and what came before is not said any more.
        let question = staff.get(&page.link("Try it there again"));
        let button = format!("Try on the new host migration {} of web", row.id);
        staff.submit(&question, &button, &[]);
        let order = app.take(XEN1);
        app.ends(&order, TrialEnd::Silent, "Freeing unused kernel memory");
        staff.get("/staff/migrations?state=trial-failed").shows(&[&format!("Migration {}", row.id)]);
        let order = app.tries(&row);
        app.ends(&order, TrialEnd::CameUp, "web login:");
        staff.get("/staff/migrations?state=trial-failed").hides(&[&format!("Migration {}", row.id)]);
        member.get(&format!("/members/linodes/{WEB}/migrate")).hides(&["Kernel panic"]);
        holds_still(&app, &row);
    }

    fn a_second_click_is_refused_in_words_and_strangers_find_nothing(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.in_step(WEB);
        let stranger = app.try_there(&app.other_member(), row.id);
        assert!(matches!(stranger, Err(AppError::NotFound)), "{stranger:?}");
        let site = Site::serve(&app.app);
        let mut stranger = site.signed_in("otto@example.com");
        let url = format!("/members/migrations/{}/try", row.id);
        assert_eq!(stranger.get(&url).status, 404);
        app.try_there(&app.member(), row.id).unwrap();
        assert!(refused(app.try_there(&app.member(), row.id)).contains("being tried there already"));
        app.take(XEN1);
        assert!(refused(app.try_there(&app.staff(), row.id)).contains("being tried there already"));
        assert_eq!(site.signed_in(MEMBER_EMAIL).get(&url).status, 409);
    }

    fn nothing_is_tried_that_does_not_hold_or_where_the_agent_knows_no_trials(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.chosen(OLD, later(app.now().plus_s(30 * HOUR), 2));
        assert!(refused(app.try_there(&app.member(), row.id)).contains("while it is in step"));
        let row = app.in_step(WEB);
        app.run_sql("UPDATE hosts SET protocol = 2");
        assert!(refused(app.try_there(&app.member(), row.id)).contains("older release"));
        let page = Site::serve(&app.app).signed_in(MEMBER_EMAIL).get(&format!("/members/migrations/{}", row.id));
        page.shows(&["older release"]);
        page.hides(&["/try\""]);
        // It was asked for, and then the agent was taken back to the old release.
        app.run_sql("UPDATE hosts SET protocol = 3");
        app.try_there(&app.member(), row.id).unwrap();
        app.run_sql("UPDATE hosts SET protocol = 2");
        app.nothing_for(XEN1);
        let trial = app.trial(&row);
        assert_eq!(trial.state, TrialState::NotTried);
        assert!(trial.outcome.contains("older release"), "{}", trial.outcome);
        holds_still(&app, &row);
    }

    fn a_host_that_cannot_try_it_says_why_and_is_not_asked_again(app: TestApp) {
        let app = app.with_fleet();
        let row = app.in_step(WEB);
        let order = app.tries(&row);
        let why = Outcome::Failed {
            retry: true,
            public: "The new host does not have enough free memory".to_owned(),
            detail: "64 MiB wanted".to_owned(),
            console: Some("not the Linode's".to_owned()),
            owns: None,
        };
        app.answer(XEN1, &order, why).unwrap();
        let trial = app.trial(&row);
        assert_eq!(trial.state, TrialState::NotTried);
        assert_eq!(trial.outcome, "It could not be tried there: The new host does not have enough free memory.");
        assert_eq!(trial.detail, "64 MiB wanted");
        app.nothing_for(XEN1);
        holds_still(&app, &row);
        assert!(app.in_db(store::trial::failed).is_empty(), "nothing ran that could have come up");
    }

    fn the_stop_ends_a_trial_and_does_not_wait_for_it(app: TestApp) {
        let app = app.with_fleet();
        let row = app.in_step(WEB);
        let order = app.tries(&row);
        app.look_at(row.not_before.unwrap());
        let seal = app.take(UML1);
        assert_eq!(kind(&seal), "stop_seal");
        assert!(app.says(&order, "still booting"), "it is asked to end");
        let trial = app.trial(&row);
        assert_eq!(trial.state, TrialState::BrokenOff);
        assert!(trial.outcome.contains("time to stop"), "{}", trial.outcome);
        let report = app.success(&seal);
        app.answer(UML1, &seal, Outcome::Succeeded { report }).unwrap();
        app.nothing_for(XEN1);
        app.answer(XEN1, &order, Outcome::Cancelled).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!(app.trial(&row), trial, "its late word changes nothing");
    }

    fn a_cancel_ends_it_too_and_so_does_another_time(app: TestApp) {
        let app = app.with_fleet();
        let row = app.in_step(WEB);
        let order = app.tries(&row);
        app.migrate(&app.member(), WEB, later(app.now().plus_s(5 * HOUR), 2)).unwrap();
        assert!(app.trial(&row).outcome.contains("another time"), "{:?}", app.trial(&row));
        assert!(app.says(&order, ""));
        app.answer(XEN1, &order, Outcome::Cancelled).unwrap();
        holds_still(&app, &row);

        let order = app.tries(&row);
        app.cancel_migration(&app.member(), row.id).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled, "at once");
        assert!(app.trial(&row).outcome.contains("cancelled"));
        assert!(app.says(&order, ""));
        app.nothing_for(XEN1);
        // A word that crossed the cancel is as good.
        app.ends(&order, TrialEnd::CameUp, "web login:");
        assert_eq!(app.trial(&row).state, TrialState::BrokenOff);
        assert_eq!(kind(&app.work(XEN1)), "release");
        app.work_all(&[UML1, XEN1]);

        let row = app.in_step(OLD);
        app.try_there(&app.member(), row.id).unwrap();
        app.cancel_migration(&app.member(), row.id).unwrap();
        assert_eq!(app.trial(&row).state, TrialState::BrokenOff, "nobody had taken it");
        assert_eq!(kind(&app.work(XEN1)), "release");
    }

    fn no_pass_is_ordered_while_it_runs_but_for_the_last(app: TestApp) {
        let app = app.with_fleet();
        let row = app.in_step(WEB);
        let order = app.tries(&row);
        let at = row.not_before.unwrap();
        app.pass_s(at.seconds_since(app.now()) - 300);
        app.reconcile().unwrap();
        holds_still(&app, &row);
        assert!(!app.says(&order, "booting"));
        app.pass_s(190);
        app.reconcile().unwrap();
        assert!(app.says(&order, "booting"), "the last pass is not put off");
        assert!(app.trial(&row).outcome.contains("last copying"));
        app.answer(XEN1, &order, Outcome::Cancelled).unwrap();
        app.reconcile().unwrap();
        assert_eq!(app.migration(row.id).step, Some(Step::TopUp));
        assert!(refused(app.try_there(&app.member(), row.id)).contains("is being copied just now"));
        app.work_all(&[UML1, XEN1]);
        holds_still(&app, &row);
    }

    fn an_agent_that_was_started_anew_is_not_given_it_again(app: TestApp) {
        let app = app.with_fleet();
        let row = app.in_step(WEB);
        app.tries(&row);
        app.pass_watched_s(31);
        app.reconcile().unwrap();
        let trial = app.trial(&row);
        assert_eq!(trial.state, TrialState::BrokenOff);
        assert!(trial.outcome.contains("started anew"), "{}", trial.outcome);
        app.nothing_for(XEN1);
        holds_still(&app, &row);
        // Whose job ended where nobody thought of it.
        app.tries(&row);
        app.run_sql("UPDATE jobs SET state = 'failed', finished_at = entered_at, lease_hash = NULL, lease_until = NULL WHERE kind = 'trial'");
        app.reconcile().unwrap();
        assert_eq!(app.trial(&row).state, TrialState::BrokenOff);
    }

    fn a_host_tries_one_at_a_time(app: TestApp) {
        let app = app.with_fleet();
        let at = app.now().plus_s(6 * HOUR);
        let (one, other) = (app.holds(WEB, later(at, 2)), app.holds(OLD, later(at, 2)));
        let order = app.tries(&one);
        assert!(refused(app.try_there(&app.member(), other.id)).contains("Another Linode is being tried"));
        app.ends(&order, TrialEnd::CameUp, "web login:");
        app.tries(&other);
    }
}
