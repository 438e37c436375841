//! What is to answer after a move: asked at home first, demanded abroad if it answered, and the way home by itself.

use xenbeta::domain::job::JobKind;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::linode::check::{Check, CheckPlan, CheckState};
use xenbeta::domain::migration::{MigrationKind, MigrationState as State};
use xenbeta::store;
use xenbeta::store::db::Db;
use xenbeta::store::migration::Migration;
use xenbeta::store::migration::check::{CheckRun, CheckedRow, RunChange};
use xenbeta::wire::{Order, Outcome, Report, Task};

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, THEIRS, UML1, WEB, XEN1};
use crate::support::hand::{answers, kind, now_click, refused};

const LIMIT_S: i32 = 300;

impl TestApp {
    fn web_and_ssh(&self) -> [Check; 2] {
        let own = self.in_db(|conn| store::linode::address::ips_of(conn, WEB));
        let of = |port: &str, path: &str| Check::parse(&own[0].address, port, path, "").unwrap();
        [of("80", "/"), of("22", "")]
    }

    fn with_checks(&self, goes_home: bool) {
        for check in self.web_and_ssh() {
            self.add_check(&self.member(), WEB, &check).unwrap();
        }
        let plan = CheckPlan {
            goes_home,
            limit_s: LIMIT_S,
        };
        self.set_check_plan(&self.member(), WEB, plan).unwrap();
    }

    /// Moved, and the order to ask given out.
    fn moved(&self) -> (Migration, Order) {
        let row = self.chosen(WEB, now_click());
        (row, self.work_until("check"))
    }

    fn hears(&self, order: &Order, ok: Option<bool>) {
        let Task::Check { epoch, checks, .. } = &order.task else {
            panic!("{order:?}")
        };
        let report = Report::Checked {
            epoch: *epoch,
            answers: answers(checks, ok),
            console: "Kernel alive\nhttpd: cannot bind <80>\n".to_owned(),
        };
        self.answer(XEN1, order, Outcome::Succeeded { report })
            .unwrap();
    }

    fn run_of(&self, row: &Migration) -> (CheckRun, Vec<CheckedRow>) {
        self.in_db(|conn| {
            let run = store::migration::check::run(conn, row.id)?.unwrap();
            Ok((run, store::migration::check::answers(conn, row.id)?))
        })
    }

    /// Asked again and again until its time is over.
    fn never_answers(&self, mut order: Order, ok: Option<bool>) {
        for _ in 0..=LIMIT_S / 15 {
            self.hears(&order, ok);
            if self.migration_state(&order) != Some(CheckState::Asking) {
                return;
            }
            self.nothing_for(XEN1);
            self.pass_s(15);
            order = self.take(XEN1);
            assert_eq!(kind(&order), "check");
        }
        panic!("it is asked for ever");
    }

    /// Its host says so, and its checks fail.
    fn dies_there(&self) {
        self.with_checks(true);
        let (row, order) = self.moved();
        self.sql(&format!(
            "UPDATE linodes SET status = 'offline' WHERE id = {WEB}"
        ));
        self.never_answers(order, Some(false));
        assert_eq!(self.migration(row.id).state, State::Returning);
        self.reconcile().unwrap();
    }

    fn comes_home_found_dead(&self) {
        let order = self.work_until_at(XEN1, "stop_seal");
        let Task::StopSeal { epoch, .. } = order.task else {
            panic!("{order:?}")
        };
        let report = Report::Sealed {
            epoch,
            forced: false,
            was_running: false,
            stopped_after_s: None,
        };
        self.answer(XEN1, &order, Outcome::Succeeded { report })
            .unwrap();
        self.work_all(&[UML1, XEN1]);
        assert_eq!(self.linode(WEB).host_id, UML1);
    }

    fn migration_state(&self, order: &Order) -> Option<CheckState> {
        let job = self.in_db(|conn| store::job::job(conn, order.job)).unwrap();
        let of = job.migration_id.unwrap();
        self.in_db(|conn| store::migration::check::run(conn, of))
            .map(|run| run.state)
    }

    fn way_back_of(&self, row: &Migration) -> Option<Migration> {
        let all = self.in_db(|conn| store::migration::of_linode(conn, WEB));
        all.into_iter().find(|it| it.parent_id == Some(row.id))
    }
}

both_databases! {
    fn all_answer_and_that_is_that(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        assert_eq!(app.migration(row.id).state, State::Finished);
        let Task::Check { epoch, checks, .. } = &order.task else { panic!() };
        assert_eq!((*epoch, checks.as_slice()), (app.linode(WEB).epoch, &app.web_and_ssh()[..]));
        assert_eq!(app.run_of(&row).0.state, CheckState::Asking);
        app.hears(&order, Some(true));
        let (run, rows) = app.run_of(&row);
        assert_eq!(run.state, CheckState::Passed);
        assert!(rows.iter().all(|it| it.home_ok == Some(true) && it.ok == Some(true)));
        assert_eq!(app.mails_of("check_failed"), Vec::<String>::new());
        assert!(app.way_back_of(&row).is_none());
    }

    fn one_that_never_answers_takes_it_home_by_itself(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        app.never_answers(order, Some(false));
        let (run, _) = app.run_of(&row);
        assert_eq!((run.state, run.went_home), (CheckState::Failed, true));
        assert_eq!(app.migration(row.id).state, State::Returning);
        let back = app.way_back_of(&row).unwrap();
        assert_eq!((back.kind, back.queued_by), (MigrationKind::Return, None));
        let mail = app.mails_of("check_failed");
        assert_eq!(mail.len(), 1);
        for part in ["answers 200: Takes no connections there", "TCP port 22", "cannot bind <80>", "goes home to"] {
            assert!(mail[0].contains(part), "{part}: {}", mail[0]);
        }
        // Home again, nobody asks; and the mail says why.
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(back.id).state, State::Finished);
        assert_eq!(app.migration(row.id).state, State::Returned);
        assert_eq!(app.linode(WEB).host_id, UML1);
        let mail = app.mails_of("returned");
        assert!(mail[0].contains("went home by itself, as you had said"), "{mail:?}");
        assert!(mail[0].contains("Takes no connections there"), "{mail:?}");
    }

    fn who_wants_to_be_told_is_told_once_and_it_stays(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(false);
        let (row, order) = app.moved();
        app.never_answers(order, Some(false));
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, State::Finished);
        assert!(app.way_back_of(&row).is_none());
        let mail = app.mails_of("check_failed");
        assert_eq!(mail.len(), 1);
        assert!(mail[0].contains("you can take the way back"), "{mail:?}");
    }

    fn once_is_enough_and_only_what_is_left_is_asked_again(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        let Task::Check { epoch, checks, .. } = &order.task else { panic!() };
        let mut said = answers(checks, Some(true));
        said[0].ok = Some(false);
        let report = Report::Checked { epoch: *epoch, answers: said, console: String::new() };
        app.answer(XEN1, &order, Outcome::Succeeded { report }).unwrap();
        app.pass_s(3);
        let again = app.take(XEN1);
        let Task::Check { checks, .. } = &again.task else { panic!() };
        assert_eq!(checks.as_slice(), &app.web_and_ssh()[..1]);
        app.hears(&again, Some(true));
        assert_eq!(app.run_of(&row).0.state, CheckState::Passed);
    }

    fn what_fails_at_home_is_not_demanded_abroad(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let row = app.chosen(WEB, now_click());
        let order = app.work_until("preflight_source");
        let Report::Source { running, total_bytes, allocated_bytes, tells_changes, mut checks } = app.success(&order) else { panic!() };
        checks[0].ok = Some(false);
        let report = Report::Source { running, total_bytes, allocated_bytes, tells_changes, checks };
        app.answer(UML1, &order, Outcome::Succeeded { report }).unwrap();
        let order = app.work_until("check");
        let Task::Check { checks, .. } = &order.task else { panic!() };
        assert_eq!(checks.as_slice(), &app.web_and_ssh()[1..]);
        app.hears(&order, Some(true));
        assert_eq!(app.run_of(&row).0.state, CheckState::Passed);
    }

    fn a_host_that_cannot_ask_proves_nothing(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        app.never_answers(order, None);
        let (run, _) = app.run_of(&row);
        assert_eq!((run.state, run.went_home), (CheckState::NotAsked, false));
        assert_eq!(app.migration(row.id).state, State::Finished);
        let mail = app.mails_of("check_failed");
        assert!(mail[0].contains("could not ask"), "{mail:?}");
    }

    fn a_job_that_fails_for_good_leaves_it_where_it_is(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        let no = Outcome::Failed { retry: false, public: "No".into(), detail: String::new(), console: None, owns: None };
        app.answer(XEN1, &order, no).unwrap();
        assert_eq!(app.run_of(&row).0.state, CheckState::NotAsked);
        assert_eq!(app.mails_of("check_failed").len(), 1);
        assert_eq!(app.migration(row.id).state, State::Finished);
    }

    fn an_older_agent_is_not_asked_for_it(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        app.sql("UPDATE hosts SET protocol = 2");
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let (run, _) = app.run_of(&row);
        assert_eq!(run.state, CheckState::NotAsked);
        assert!(run.why.contains("older release"), "{}", run.why);
        let mail = app.mails_of("check_failed");
        assert!(mail[0].contains("could not ask"), "who wanted it to go home hears of it: {mail:?}");
        let page = refused(app.ask_checks(&app.member(), WEB));
        assert!(page.contains("older release"), "{page}");
    }

    fn a_linode_that_is_off_is_not_asked(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        app.sql(&format!("UPDATE linodes SET status = 'offline' WHERE id = {WEB}"));
        let row = app.chosen(WEB, now_click());
        let order = app.work_until("stop_seal");
        let Task::StopSeal { epoch, .. } = order.task else { panic!() };
        let report = Report::Sealed { epoch, forced: false, was_running: false, stopped_after_s: None };
        app.answer(UML1, &order, Outcome::Succeeded { report }).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, State::Finished);
        assert_eq!(app.run_of(&row).0.state, CheckState::NotAsked);
    }

    fn whoever_confirms_or_goes_back_meanwhile_is_not_overtaken(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        app.confirm_migration(&app.member(), row.id).unwrap();
        app.hears(&order, Some(false));
        assert_eq!(app.run_of(&row).0.state, CheckState::NotAsked);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, State::Confirmed);
        assert!(app.way_back_of(&row).is_none());
        assert_eq!(app.mails_of("check_failed"), Vec::<String>::new());
    }

    fn one_that_died_there_runs_at_home(app: TestApp) {
        let app = app.with_fleet();
        app.dies_there();
        app.comes_home_found_dead();
        assert_eq!(app.linode(WEB).status, LinodeStatus::Running);
    }

    fn one_that_is_shut_down_on_its_way_home_is_off_there(app: TestApp) {
        let app = app.with_fleet();
        app.dies_there();
        // It is off already, and to be booted at home: that is called off.
        app.power(&app.member(), WEB, JobKind::Shutdown, None).unwrap();
        app.comes_home_found_dead();
        assert_eq!(app.linode(WEB).status, LinodeStatus::Offline);
    }

    fn a_shutdown_has_the_last_word_over_an_answer_of_its_moment(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, _) = app.moved();
        // As the transaction that hears the last answer does: the move first.
        let hears = move |conn: &mut Db| {
            store::migration::locked(conn, row.id).unwrap();
            let change = RunChange { state: Some(CheckState::Failed), comes_up: Some(true), ..RunChange::default() };
            store::migration::check::change(conn, row.id, &change).unwrap();
        };
        app.while_open(hears, || app.power(&app.member(), WEB, JobKind::Shutdown, None).unwrap());
        let (run, _) = app.run_of(&row);
        assert_eq!((run.state, run.comes_up), (CheckState::Failed, false));
    }

    fn whoever_shuts_it_down_meanwhile_gets_no_way_home(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        app.power(&app.member(), WEB, JobKind::Shutdown, None).unwrap();
        app.hears(&order, Some(false));
        let (run, _) = app.run_of(&row);
        assert_eq!(run.state, CheckState::NotAsked);
        app.work_all(&[UML1, XEN1]);
        assert_eq!((app.migration(row.id).state, app.linode(WEB).status), (State::Finished, LinodeStatus::Offline));
    }

    fn time_in_which_nobody_could_ask_fails_nothing(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        app.hears(&order, Some(false));
        // The host is away for an hour, and so is the portal: its next answer is no verdict.
        app.pass_s(3600);
        let order = app.take(XEN1);
        app.hears(&order, Some(false));
        assert_eq!(app.run_of(&row).0.state, CheckState::Asking);
        app.pass_s(3);
        let order = app.take(XEN1);
        app.hears(&order, Some(true));
        assert_eq!(app.run_of(&row).0.state, CheckState::Passed);
    }

    fn one_that_changes_hands_meanwhile_is_not_waited_for(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        app.sql(&format!("UPDATE linodes SET epoch = epoch + 1 WHERE id = {WEB}"));
        app.hears(&order, Some(false));
        let (run, _) = app.run_of(&row);
        assert_eq!((run.state, run.went_home), (CheckState::NotAsked, false));
        assert_eq!(app.mails_of("check_failed").len(), 1);
    }

    fn a_way_home_that_fails_is_said_so_and_the_next_one_is_its_members_own(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.with_checks(true);
        let (row, order) = app.moved();
        app.never_answers(order, Some(false));
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let url = format!("/members/migrations/{}", row.id);
        assert!(member.get(&url).body.contains("so it goes home by itself"));
        let back = app.way_back_of(&row).unwrap();
        app.reconcile().unwrap();
        app.cancel_migration(&app.member(), back.id).unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, State::Finished);
        assert!(member.get(&url).body.contains("It was to go home by itself, and that failed."));
        assert!(!app.run_of(&row).0.comes_up);
        app.way_back(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, State::Returned);
        let mail = app.mails_of("returned");
        assert!(!mail[0].contains("by itself"), "{mail:?}");
    }

    fn a_word_of_another_epoch_or_of_other_checks_counts_for_nothing(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        let Task::Check { epoch, .. } = &order.task else { panic!() };
        let other = Check::parse("192.0.2.1", "80", "", "").unwrap();
        let report = Report::Checked { epoch: *epoch, answers: answers(&[other], Some(true)), console: String::new() };
        app.answer(XEN1, &order, Outcome::Succeeded { report }).unwrap();
        let (run, rows) = app.run_of(&row);
        assert_eq!(run.state, CheckState::Asking);
        assert!(rows.iter().all(|it| it.asked_at.is_none()));
        app.pass_s(3);
        let order = app.take(XEN1);
        let Task::Check { epoch, checks, .. } = &order.task else { panic!() };
        let report = Report::Checked { epoch: epoch + 1, answers: answers(checks, Some(true)), console: String::new() };
        let _ = app.answer(XEN1, &order, Outcome::Succeeded { report });
        assert_eq!(app.run_of(&row).0.state, CheckState::Asking);
    }

    fn where_staff_empty_a_host_it_does_not_go_back(app: TestApp) {
        let app = app.with_fleet();
        app.with_checks(true);
        let (row, order) = app.moved();
        app.sql(&format!("UPDATE hosts SET state = 'draining', emptying_since = '2026-01-01T00:00:00.000000Z' WHERE id = {UML1}"));
        app.never_answers(order, Some(false));
        let (run, _) = app.run_of(&row);
        assert_eq!((run.state, run.went_home), (CheckState::Failed, false));
        assert!(run.why.contains("being emptied"), "{}", run.why);
        let mail = app.mails_of("check_failed");
        assert!(mail[0].contains("It cannot: "), "{mail:?}");
    }

    fn the_pages_take_them_ask_them_and_show_what_they_said(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let url = format!("/members/linodes/{WEB}/checks");
        let page = member.get(&url);
        assert_eq!(member.submit(&page, "Add the check", &[("port", "80"), ("path", "no slash")]).status, 422);
        assert_eq!(member.submit(&page, "Add the check", &[("port", "80"), ("address", "192.0.2.99")]).status, 422);
        let added = member.submit(&page, "Add the check", &[("port", "80"), ("path", "/")]);
        let page = member.follow(&added);
        // Twice is once.
        member.submit(&page, "Add the check", &[("port", "80"), ("path", "/")]);
        assert_eq!(app.in_db(|conn| store::linode::check::of(conn, WEB)).len(), 1);
        let saved = member.submit(&page, "Save what follows", &[("then", "home"), ("limit", "60")]);
        assert_eq!(saved.status, 303);
        assert_eq!(member.submit(&page, "Save what follows", &[("then", "home"), ("limit", "61")]).status, 422);
        let plan = app.in_db(|conn| store::linode::check::plan(conn, WEB));
        assert_eq!(plan, CheckPlan { goes_home: true, limit_s: 60 });
        let job = app.ask_checks(&app.member(), WEB).unwrap();
        assert_eq!(app.ask_checks(&app.member(), WEB).unwrap(), job, "one question at a time");
        assert_eq!(kind(&app.work(UML1)), "check");
        assert!(member.get(&url).body.contains("Answered 200"));
        let registration = app.approved(WEB);
        let row = app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let page = member.get(&format!("/members/linodes/{WEB}/migrate"));
        assert!(page.body.contains("it goes home by itself"), "{}", page.body);
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        let order = app.work_until("check");
        let page = member.get(&format!("/members/migrations/{}", row.id));
        assert!(page.body.contains("which asks its checks now"), "{}", page.body);
        app.hears(&order, Some(true));
        let page = member.get(&format!("/members/migrations/{}", row.id));
        assert!(page.body.contains("Each check that passed before the move passes after it."));
        // Others' are not there.
        assert_eq!(member.get(&format!("/members/linodes/{THEIRS}/checks")).status, 404);
        assert!(app.add_check(&app.member(), THEIRS, &app.web_and_ssh()[0]).is_err());
        assert!(app.ask_checks(&app.member(), THEIRS).is_err());
        // Removed once, and again.
        let page = member.get(&url);
        for _ in 0..2 {
            let [check, _] = app.web_and_ssh();
            assert_eq!(member.submit(&page, &format!("Remove {}", check.words()), &[]).status, 303);
        }
        assert!(app.in_db(|conn| store::linode::check::of(conn, WEB)).is_empty());
        assert_eq!(refused(app.ask_checks(&app.member(), WEB)), "It has no checks to ask.");
    }

    fn there_are_five_at_most(app: TestApp) {
        let app = app.with_fleet();
        let own = app.in_db(|conn| store::linode::address::ips_of(conn, WEB));
        for port in 1..=6 {
            let check = Check::parse(&own[0].address, &port.to_string(), "", "").unwrap();
            assert_eq!(app.add_check(&app.member(), WEB, &check).is_ok(), port < 6);
        }
    }
}
