//! Offers, retries, cancels, ways back, quiet hours and the end of the beta against each other, one after another.
//! Two at the same moment: `races`.

use chrono::Timelike;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use xenbeta::app::context::PORTAL;
use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::app::migration::event_details::EventDetails;
use xenbeta::domain::ids::{LinodeId, MigrationId, RegistrationId};
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::migration::{Event, is_live};
use xenbeta::domain::programme::move_times::{Limits, Quiet};
use xenbeta::domain::registration::RegistrationState;
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::store::migration::Migration;
use xenbeta::store::schema::outbox;
use xenbeta::wire::{Outcome, Report};

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, OLD, UML1, WEB, XEN1, XEN2};
use crate::support::hand::{self, kind, now_click, refused};

impl TestApp {
    pub fn run_sql(&self, sql: &str) {
        self.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(sql)?));
    }

    /// Clicked, and failed while it was copied to `xen1`; both hosts have tidied up.
    pub fn failed(&self, linode: LinodeId) -> Migration {
        let row = self.clicked(linode);
        let order = self.work_until("warm_copy");
        let outcome = Outcome::Failed {
            retry: false,
            public: "The disk is full.".into(),
            detail: "ENOSPC".into(),
            console: None,
            owns: None,
        };
        self.answer(XEN1, &order, outcome).unwrap();
        self.work_all(&[UML1, XEN1]);
        let row = self.migration(row.id);
        assert_eq!(row.state, MigrationState::Failed);
        row
    }

    pub fn ended(&self) {
        let seen = self
            .in_db(store::programme::stored)
            .map(|row| row.changed_at);
        self.end_programme(&self.staff(), seen).unwrap();
    }

    pub fn registration(&self, id: RegistrationId) -> store::registration::Registration {
        self.in_db(|conn| store::registration::registration(conn, id))
            .unwrap()
    }

    /// All mails of a kind, each on one line.
    pub fn mails_of(&self, kind: &str) -> Vec<String> {
        let texts: Vec<String> = self.in_db(|conn| {
            Ok(outbox::table
                .filter(outbox::kind.eq(kind))
                .order(outbox::id)
                .select(outbox::text_body)
                .load(conn)?)
        });
        let one_line = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        texts.iter().map(one_line).collect()
    }

    /// The newest mail of a kind.
    fn letter(&self, of: &str) -> String {
        self.mails_of(of).pop().expect("there is one")
    }

    pub fn live_of(&self, linode: LinodeId) -> Vec<MigrationId> {
        self.in_db(|conn| store::migration::of_linode(conn, linode))
            .into_iter()
            .filter(|row| is_live(row.state))
            .map(|row| row.id)
            .collect()
    }

    /// Quiet from an hour ago until `minutes` from now, every day.
    pub fn quiet_for(&self, minutes: u16) -> Limits {
        let now = self.now().utc();
        let minute = u16::try_from(now.hour() * 60 + now.minute()).unwrap();
        let ends = (minute + minutes) % 1440;
        Limits {
            quiet: [Some(Quiet {
                begins: (minute + 1440 - 60) % 1440,
                ends: if ends == 0 { 1440 } else { ends },
            }); 7],
            ..Limits::default()
        }
    }
}

both_databases! {
    fn a_new_offer_ends_what_failed(app: TestApp) {
        let app = app.with_fleet();
        let failed = app.failed(WEB);
        let registration = failed.registration_id.unwrap();
        let offer = app.offer(&app.staff(), registration, Some(XEN2)).unwrap();
        assert_eq!(app.migration(failed.id).state, MigrationState::Cancelled);
        assert_eq!(app.live_of(WEB), [offer.id]);
        assert_eq!(kind(&app.work(XEN1)), "release", "what was copied is dropped");
        let events = app.in_db(|conn| store::migration::events(conn, failed.id));
        assert!(events.last().unwrap().message.contains("a new offer instead"));
        for actor in [app.staff(), app.member()] {
            assert!(refused(app.retry_migration(&actor, failed.id)).contains("not possible"));
        }
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        assert_eq!(app.live_of(WEB), [offer.id]);
    }

    fn a_retry_finds_another_migration_in_its_place(app: TestApp) {
        let app = app.with_fleet();
        let failed = app.failed(WEB);
        // As it could be made before offers ended what failed.
        app.run_sql(&format!(
            "INSERT INTO migrations (id, kind, linode_id, account_id, registration_id, source_host_id, destination_host_id, state, epoch, offered_at, expires_at)
             VALUES (900, 'beta', 101, 1, {}, 1, 4, 'offered', 1, '2026-01-01T00:00:00.000000Z', '2036-01-01T00:00:00.000000Z')",
            failed.registration_id.unwrap()
        ));
        for actor in [app.staff(), app.member()] {
            assert!(refused(app.retry_migration(&actor, failed.id)).contains("another migration, number 900, which is offered"));
        }
        // And if nobody had looked: the schema refuses it, and that is no fault.
        let forced = app.transact_at(app.now(), PORTAL, |tx| tx.apply(failed.id, Event::Retry, &EventDetails::default()));
        assert!(refused(forced).contains("another migration"));
        // One that is over does not make it the last one again.
        app.run_sql("UPDATE migrations SET state = 'expired' WHERE id = 900");
        assert!(refused(app.retry_migration(&app.staff(), failed.id)).contains("no longer the Linode's last migration"));
        assert_eq!(app.migration(failed.id).state, MigrationState::Failed);
    }

    fn a_retry_begins_only_where_the_linode_is(app: TestApp) {
        let app = app.with_fleet();
        let failed = app.failed(WEB);
        app.run_sql("UPDATE linodes SET host_id = 2 WHERE id = 101");
        assert!(refused(app.retry_migration(&app.staff(), failed.id)).contains("no longer the Linode's last"));
        let forced = app.transact_at(app.now(), PORTAL, |tx| tx.apply(failed.id, Event::Retry, &EventDetails::default()));
        assert!(refused(forced).contains("moved to another host"));
        app.run_sql("UPDATE linodes SET host_id = 1 WHERE id = 101");
        // Its place was given up: it gets none that others have taken, or that is no longer to be had.
        app.run_sql("UPDATE hosts SET state = 'draining' WHERE id = 3");
        assert!(refused(app.retry_migration(&app.staff(), failed.id)).contains("xen1 cannot take this Linode any more"));
        app.run_sql("UPDATE hosts SET state = 'enabled', memory_mb = 100 WHERE id = 3");
        assert!(refused(app.retry_migration(&app.member(), failed.id)).contains("too little free memory"));
        app.run_sql("UPDATE hosts SET memory_mb = 2048 WHERE id = 3");
        app.retry_migration(&app.member(), failed.id).unwrap();
        app.run_sql("UPDATE hosts SET memory_mb = 100 WHERE id = 3");
        app.retry_migration(&app.member(), failed.id).expect("a second press finds it queued");
    }

    fn after_the_end_nothing_is_tried_again(app: TestApp) {
        let app = app.with_fleet();
        let failed = app.failed(WEB);
        app.ended();
        for actor in [app.staff(), app.member()] {
            assert_eq!(refused(app.retry_migration(&actor, failed.id)), "The beta has ended.");
        }
        app.reconcile().unwrap();
        assert_eq!(app.migration(failed.id).state, MigrationState::Cancelled);
        assert_eq!(app.registration(failed.registration_id.unwrap()).state, RegistrationState::Closed);
    }

    fn withdrawing_drops_what_failed(app: TestApp) {
        let app = app.with_fleet();
        let failed = app.failed(WEB);
        app.withdraw(&app.member(), failed.registration_id.unwrap()).unwrap();
        assert_eq!(app.migration(failed.id).state, MigrationState::Cancelled);
        assert_eq!(kind(&app.work(XEN1)), "release");
    }

    fn quiet_hours_hold_what_waits(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
        app.set_move_times(&app.staff(), &app.quiet_for(30), None).unwrap();
        assert_eq!(app.reconcile().unwrap().admitted, 1, "copying goes on");
        app.work_all(&[UML1, XEN1]);
        let url = format!("/members/migrations/{}", row.id);
        member.get(&url).shows_at("[data-k=phase]", &["In step with its copy", "it stops when the quiet hours end, at"]);
        // A way back is not held up, and neither is what staff try again.
        app.run_sql("UPDATE migrations SET queued_by = 3");
        member.get(&url).shows_at("[data-k=phase]", &["it stops as soon as a stop is free"]);
        app.run_sql("UPDATE migrations SET queued_by = 1");
        assert_eq!(app.reconcile().unwrap().ordered, 0);
        app.pass_s(31 * 60);
        assert_eq!(app.reconcile().unwrap().ordered, 1);
        app.work_all(&[UML1, XEN1]);
        app.pass_s(1440 * 60 - 40 * 60);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        let back = app.way_back(&app.member(), row.id).unwrap();
        site.signed_in(MEMBER_EMAIL).get(&format!("/members/migrations/{}", back.id)).shows_at("[data-k=phase]", &["Next in the queue"]);
        assert_eq!(app.reconcile().unwrap().admitted, 1, "a way back");
    }

    fn a_chosen_time_that_became_quiet_waits_and_says_so(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let click = Click { at: Some(app.now().plus_s(600)), ..now_click() };
        let row = app.migrate(&app.member(), WEB, click).unwrap();
        app.set_move_times(&app.staff(), &app.quiet_for(60), None).unwrap();
        let url = format!("/members/migrations/{}", row.id);
        let page = member.get(&url);
        page.shows(&["The time you chose is in the quiet hours now: it stops at their end, at"]).shows_at("div.row a", &["Change the time"]);
        app.pass_s(900);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        member.get(&url).shows_at("[data-k=phase]", &["it stops when the quiet hours end"]);
        app.pass_s(3600);
        assert_eq!(app.reconcile().unwrap().ordered, 1);
    }

    fn a_reminder_of_a_held_time_says_when_it_begins(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let at = app.now().plus_days(2);
        app.migrate(&app.member(), WEB, Click { at: Some(at), ..now_click() }).unwrap();
        app.set_move_times(&app.staff(), &app.quiet_for(60), None).unwrap();
        app.pass_s(86_400);
        assert_eq!(app.reconcile().unwrap().reminded, 1);
        let said = app.letter("time_reminder");
        assert!(said.contains("later than you chose, as the time falls into our quiet hours"), "{said}");
    }

    fn a_way_back_ends_though_its_linode_moved_on(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let back = app.way_back(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(back.id).state, MigrationState::Finished);
        app.offer(&app.staff(), row.registration_id.unwrap(), Some(XEN1)).unwrap();
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Finished);
        app.pass_watched_s(8 * 86_400);
        app.run_sql("UPDATE linodes SET status = 'offline'");
        app.reconcile().unwrap();
        assert_eq!(app.migration(back.id).state, MigrationState::Finished, "its owner shows first that it has the Linode");
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(back.id).state, MigrationState::Confirmed, "neither of its copies is needed any more");
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Finished, "which waits until the Linode is well");
        app.work_all(&[UML1, XEN1]);
    }

    fn an_hours_places_are_not_forgotten_when_moves_begin(app: TestApp) {
        let app = app.with_fleet();
        for linode in [WEB, OLD] {
            let registration = app.approved(linode);
            app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        }
        app.set_move_times(&app.staff(), &Limits { per_hour: Some(1), ..Limits::default() }, None).unwrap();
        // From the beginning of an hour on, so that all of this is in it.
        let now = app.now().utc();
        app.pass_s(3600 - i64::from(now.minute() * 60 + now.second()));
        let at = |after_s: i64| Click { at: Some(app.now().plus_s(after_s)), ..now_click() };
        let web = app.migrate(&app.member(), WEB, at(60)).unwrap();
        let taken = |app: &TestApp| match app.migrate(&app.member(), OLD, at(600)) {
            Err(AppError::Invalid { field: "at", message }) => assert!(message.contains("All places at that time are taken"), "{message}"),
            other => panic!("{other:?}"),
        };
        taken(&app);
        app.pass_s(120);
        assert_eq!(app.reconcile().unwrap().admitted, 1);
        taken(&app);
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(web.id).state, MigrationState::Finished);
        taken(&app);
        app.migrate(&app.member(), OLD, at(3600)).expect("the next hour is free");
    }

    fn a_form_whose_time_has_come_meanwhile(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let click = Click { at: Some(app.now().plus_s(600)), ..now_click() };
        let row = app.migrate(&app.member(), WEB, click).unwrap();
        let page = member.get("/members/linodes/101/migrate");
        app.pass_s(700);
        // It waits for its place, and then it is copied: another time can be chosen until it is told to stop.
        for days in 1..=2 {
            assert_eq!(member.get("/members/linodes/101/migrate").status, 200);
            let typed = app.now().plus_days(days).utc().with_timezone(&hand::vienna()).format("%Y-%m-%dT%H:%M").to_string();
            let reply = member.submit(&page, "Migrate web", &[("when", "at"), ("at", &typed)]);
            assert_eq!(reply.status, 303, "{}", reply.text());
            app.run_sql("UPDATE migrations SET begin_at = NULL");
            app.reconcile().unwrap();
            assert_eq!(app.migration(row.id).state, MigrationState::Preparing);
        }
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        let stop = app.work_until("stop_seal");
        let reply = member.get("/members/linodes/101/migrate");
        assert_eq!((reply.status, reply.location.clone()), (303, format!("/members/migrations/{}", row.id)));
        let typed = app.now().plus_days(1).utc().with_timezone(&hand::vienna()).format("%Y-%m-%dT%H:%M").to_string();
        let refused = member.submit(&page, "Migrate web", &[("when", "at"), ("at", &typed)]);
        assert_eq!(refused.status, 409);
        refused.says_at("main > p", &["It is being stopped"]);
        app.answer(UML1, &stop, Outcome::Succeeded { report: app.success(&stop) }).unwrap();
        app.migrate(&app.member(), WEB, now_click()).expect("and now is what happens");
    }

    fn the_time_away_ends_when_it_is_started(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_until("stop_seal");
        app.pass_watched_s(31);
        app.reconcile().unwrap();
        app.pass_watched_s(1);
        let stop = app.take(UML1);
        app.answer(UML1, &stop, Outcome::Succeeded { report: app.success(&stop) }).unwrap();
        // The first try to start it is lost; the second says how long it took from then on.
        app.work_until("start");
        app.pass_watched_s(40);
        app.reconcile().unwrap();
        app.pass_watched_s(1);
        let start = app.take(XEN1);
        assert_eq!(start.attempt, 2);
        app.pass_watched_s(50);
        let report = Report::Started { epoch: 2, running: true, helpers_skipped: false, started_after_s: Some(3.5), stopped_after_s: None };
        app.answer(XEN1, &start, Outcome::Succeeded { report }).unwrap();
        let done = app.migration(row.id);
        let down = done.down_s().unwrap();
        assert!((76..=81).contains(&down), "32 for the stop, 41 for the lost start, 3.5 to start: {down}");
        assert!(done.finished_at.unwrap().seconds_since(done.running_at.unwrap()) >= 46, "the watch is not counted");
        let mail = app.letter("finished");
        assert!(mail.contains(&format!("off for about {down} seconds, from the order to stop until it was started again")), "{mail}");
        // The way back has its own, from an agent that does not say.
        app.work_all(&[UML1, XEN1]);
        let back = app.way_back(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        let start = app.work_until("start");
        app.pass_s(7);
        let old: Report = serde_json::from_str(r#"{"report":"started","epoch":3,"running":true}"#).unwrap();
        app.answer(UML1, &start, Outcome::Succeeded { report: old }).unwrap();
        let back = app.migration(back.id);
        let down = back.down_s().unwrap();
        assert!((7..20).contains(&down), "{down}");
        assert!(app.letter("returned").contains(&format!("off for at most {down} seconds")), "{}", app.letter("returned"));
    }

    fn a_number_that_cannot_be_is_not_believed(app: TestApp) {
        for after in [f64::NAN, -5.0, 1e300] {
            let app = TestApp::new(if app.url.starts_with("postgres") { crate::support::On::Postgresql } else { crate::support::On::Sqlite }).with_fleet();
            let row = app.clicked(WEB);
            let start = app.work_until("start");
            let report = Report::Started { epoch: 2, running: true, helpers_skipped: false, started_after_s: Some(after), stopped_after_s: None };
            app.answer(XEN1, &start, Outcome::Succeeded { report }).unwrap();
            assert_eq!(app.migration(row.id).running_at, None);
        }
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let start = app.work_until("start");
        let report = Report::Started { epoch: 2, running: true, helpers_skipped: false, started_after_s: Some(9e8), stopped_after_s: None };
        app.answer(XEN1, &start, Outcome::Succeeded { report }).unwrap();
        let done = app.migration(row.id);
        assert!(done.running_at.unwrap() <= done.finished_at.unwrap(), "not later than it was told");
    }

    fn the_end_speaks_truly_to_who_came_back(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        app.way_back(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Returned);
        app.register(&app.member(), &[OLD]).unwrap();
        app.ended();
        assert_eq!(app.reconcile().unwrap().ended, 2);
        let reason = app.registration(row.registration_id.unwrap()).reason;
        assert_eq!(reason, "The beta ended. It had moved to Xen and come back.");
        let both = app.in_db(|conn| Ok::<_, StoreError>(outbox::table.filter(outbox::kind.eq("beta_ended")).order(outbox::subject).select(outbox::text_body).load::<String>(conn)?));
        let (old, web) = (both[0].replace('\n', " "), both[1].replace('\n', " "));
        assert!(old.contains("old had not moved"), "{old}");
        assert!(web.contains("web is back from Xen") && !web.contains("had not moved"), "{web}");
        Site::serve(&app.app).signed_in(MEMBER_EMAIL).get("/members/xenbeta").shows_at("tbody td", &["It had moved to Xen and come back."]);
    }

    fn a_failure_says_what_is_kept_and_what_is_off(app: TestApp) {
        let app = app.with_fleet();
        let failed = app.failed(WEB);
        let mail = app.letter("failed");
        assert!(mail.contains("already copied is kept") && mail.contains("nothing you need to do"), "{mail}");
        app.retry_migration(&app.member(), failed.id).unwrap();
        app.reconcile().unwrap();
        // It starts neither there nor here.
        let start = app.work_until("start");
        let report = Report::StartFailedSealed { epoch: 2, public: "It did not stay up.".into(), detail: String::new(), console: String::new() };
        app.answer(XEN1, &start, Outcome::Succeeded { report }).unwrap();
        let restore = app.take(UML1);
        let report = Report::StartFailedSealed { epoch: 3, public: "It did not stay up.".into(), detail: String::new(), console: String::new() };
        app.ended();
        app.answer(UML1, &restore, Outcome::Succeeded { report }).unwrap();
        assert_eq!(app.migration(failed.id).state, MigrationState::Failed);
        let mail = app.letter("failed");
        assert!(mail.contains("It is off there") && !mail.contains("is kept") && !mail.contains("nothing you need to do"), "{mail}");
    }

    fn linodes_that_are_off_hold_up_no_others_way_back(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        // Many finished earlier, and their members have shut them down since.
        let mut sql = String::new();
        let at = "'2026-01-01T00:00:00.000000Z'";
        for n in 1..=210 {
            let id = 5000 + n;
            sql.push_str(&format!(
                "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'node-{n}', 1, 3, 2, TRUE, 'offline', {at}, 'fe:fd:00:00:{:02x}:{:02x}', {at});
                 INSERT INTO migrations (id, kind, linode_id, account_id, source_host_id, destination_host_id, state, epoch, was_running, offered_at, expires_at, way_back_until) VALUES ({id}, 'beta', {id}, 1, 1, 3, 'finished', 1, {}, {at}, {at}, {at});",
                n / 200 + 3, n % 200, if app.url.starts_with("postgres") { "TRUE" } else { "1" }
            ));
        }
        app.run_sql(&sql);
        app.pass_watched_s(8 * 86_400);
        for _ in 0..3 {
            assert_eq!(app.reconcile().unwrap().closed, 0, "nobody has heard of its new host since");
            app.pass_s(3600);
        }
        assert_eq!(kind(&app.work(XEN1)), "prove");
        assert_eq!(app.reconcile().unwrap().closed, 1);
        assert_eq!(app.migration(row.id).state, MigrationState::Confirmed);
    }

    fn a_full_queue_for_one_host_hides_nobody(app: TestApp) {
        let app = app.with_fleet();
        let mut sql = "UPDATE hosts SET slots = 0 WHERE id = 4;".to_owned();
        let at = "'2026-01-01T00:00:00.000000Z'";
        for n in 1..=210 {
            let id = 5000 + n;
            sql.push_str(&format!(
                "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 1, 'node-{n}', 1, 2, 1, TRUE, 'running', {at}, 'fe:fd:00:00:{:02x}:{:02x}', {at});
                 INSERT INTO migrations (id, kind, linode_id, account_id, source_host_id, destination_host_id, state, epoch, offered_at, expires_at, queued_at) VALUES ({id}, 'beta', {id}, 1, 2, 4, 'queued', 1, {at}, {at}, {at});",
                n / 200 + 3, n % 200
            ));
        }
        app.run_sql(&sql);
        if app.url.starts_with("postgres") {
            app.run_sql("SELECT setval(pg_get_serial_sequence('migrations', 'id'), 6000)");
        }
        assert_eq!(app.clicked(WEB).state, MigrationState::Preparing);
    }
}
