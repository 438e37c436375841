//! Two at the same moment: what they both want is done once, each is answered, and neither waits for the other for ever.
//! On PostgreSQL their transactions run side by side; SQLite has one writer, and gives the same answers.

use std::sync::mpsc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::app::programme::Settings;
use xenbeta::domain::ids::RegistrationId;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::programme::move_times::Limits;
use xenbeta::domain::programme::{ProgrammeState, TextSection};
use xenbeta::domain::registration::RegistrationState;
use xenbeta::domain::string_enum::StringEnum;
use xenbeta::store;
use xenbeta::store::db::Db;
use xenbeta::store::error::StoreError;
use xenbeta::store::migration::Migration;
use xenbeta::wire::Outcome;

use crate::both_databases;
use crate::support::TestApp;
use crate::support::fleet::{DB, OLD, UML1, WEB, XEN1, XEN2};
use crate::support::hand::{agent, now_click, refused};

impl TestApp {
    /// Begins `first` in a transaction of another portal, holds it open while `second` runs, and gives back its outcome.
    pub fn while_open<T: Send>(
        &self,
        first: impl FnOnce(&mut Db) + Send,
        second: impl FnOnce() -> T + Send,
    ) -> T {
        let portal = self.second();
        let (begun, has_begun) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                portal
                    .db
                    .write(|conn| {
                        first(conn);
                        begun.send(()).unwrap();
                        std::thread::sleep(Duration::from_millis(400));
                        Ok::<_, StoreError>(())
                    })
                    .unwrap();
            });
            has_begun.recv().unwrap();
            second()
        })
    }
}

fn close(conn: &mut Db, id: RegistrationId, at: xenbeta::domain::time::Time) {
    let decision = store::registration::Decision {
        from: RegistrationState::Approved,
        to: RegistrationState::Closed,
        reason: "The beta ended.",
        by: None,
        at,
    };
    assert!(store::registration::locked(conn, id).unwrap().is_some());
    assert!(store::registration::decide(conn, id, &decision).unwrap());
}

both_databases! {
    fn another_time_chosen_at_the_last_moment_holds(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let click = xenbeta::app::migration::actions::Click { at: Some(app.now().plus_s(600)), ..now_click() };
        let row = app.migrate(&app.member(), WEB, click).unwrap();
        app.pass_s(700);
        let later = store::migration::Change { begin_at: Some(Some(app.now().plus_days(1))), ..store::migration::Change::default() };
        let change = move |conn: &mut Db| {
            store::migration::locked(conn, row.id).unwrap();
            store::migration::note(conn, row.id, &later).unwrap();
        };
        let done = app.while_open(change, || app.reconcile().unwrap());
        assert_eq!(done.admitted, 0);
        assert_eq!(app.migration(row.id).state, MigrationState::Queued);
    }

    fn two_tries_and_an_offer_at_once_leave_one_migration(app: TestApp) {
        let app = app.with_fleet();
        let failed = app.failed(WEB);
        let registration = failed.registration_id.unwrap();
        let other = app.second();
        let (staff, member) = (app.staff(), app.member());
        let outcomes: Vec<Result<Migration, AppError>> = std::thread::scope(|scope| {
            let mut tries = Vec::new();
            for n in 0..12 {
                let (app, other, staff, member) = (&app.app, &other, &staff, &member);
                tries.push(scope.spawn(move || match n % 3 {
                    0 => app.retry_migration(member, failed.id),
                    1 => other.offer(staff, registration, Some(XEN2)),
                    _ => other.retry_migration(staff, failed.id),
                }));
            }
            tries.into_iter().map(|it| it.join().unwrap()).collect()
        });
        for outcome in &outcomes {
            assert!(matches!(outcome, Ok(_) | Err(AppError::Conflict(_))), "{outcome:?}");
        }
        assert_eq!(app.live_of(WEB).len(), 1);
        // Whatever is not over is that one.
        let open = app.in_db(|conn| store::migration::locked_of_linode(conn, WEB));
        assert_eq!(open.len(), 1, "{open:?}");
    }

    fn who_comes_while_a_registration_is_closed_is_refused(app: TestApp) {
        let app = app.with_fleet();
        let (staff, member, now) = (app.staff(), app.member(), app.now());
        let clicked = app.approved(WEB);
        app.offer(&staff, clicked, Some(XEN1)).unwrap();
        let click = app.while_open(|conn| close(conn, clicked, now), || app.migrate(&member, WEB, now_click()));
        assert_eq!(refused(click), "The beta has ended.");
        let offered = app.approved(DB);
        let offer = app.while_open(|conn| close(conn, offered, now), || app.offer(&staff, offered, Some(XEN1)));
        assert!(refused(offer).contains("closed, not approved"));
        assert_eq!(app.live_of(DB), []);
    }

    fn who_comes_while_the_beta_is_ended_is_refused(app: TestApp) {
        let app = app.with_fleet();
        let (staff, member) = (app.staff(), app.member());
        let (offered, approved) = (app.approved(WEB), app.approved(OLD));
        app.offer(&staff, offered, Some(XEN1)).unwrap();
        app.register(&member, &[DB]).unwrap();
        let waiting = app.in_db(|conn| store::registration::newest_of(conn, DB)).unwrap().id;
        let now = app.now();
        // As `end_programme` does it, up to its commit.
        let end = |conn: &mut Db| {
            store::programme::lock(conn).unwrap();
            let before = store::programme::stored(conn).unwrap().unwrap();
            let after = store::programme::Programme { state: ProgrammeState::Ended, ended_at: Some(now), changed_at: now, ..before };
            store::programme::set(conn, &after).unwrap();
        };
        let open_again = || app.run_sql("UPDATE programme SET ended_at = NULL, state = 'open'");
        assert_eq!(refused(app.while_open(end, || app.migrate(&member, WEB, now_click()))), "The beta has ended.");
        open_again();
        assert_eq!(refused(app.while_open(end, || app.offer(&staff, approved, Some(XEN1)))), "The beta has ended.");
        open_again();
        assert_eq!(refused(app.while_open(end, || app.approve(&staff, &[waiting]))), "The beta has ended.");
        open_again();
        app.withdraw(&member, waiting).unwrap();
        let late = app.while_open(end, || app.register(&member, &[DB])).unwrap();
        assert!(late.refused[0].1.contains("has ended"), "{late:?}");
    }

    fn the_end_and_the_clicks_of_one_moment(app: TestApp) {
        let app = app.with_fleet();
        let linodes = [WEB, OLD];
        let registrations = linodes.map(|linode| {
            let registration = app.approved(linode);
            app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
            registration
        });
        let second = app.second();
        let member = app.member();
        std::thread::scope(|scope| {
            for linode in linodes {
                let (app, member) = (&app.app, &member);
                scope.spawn(move || {
                    let outcome = app.migrate(member, linode, now_click());
                    assert!(matches!(outcome, Ok(_) | Err(AppError::Conflict(_))), "{outcome:?}");
                });
            }
            scope.spawn(|| app.ended());
            for portal in [&app.app, &second] {
                scope.spawn(move || (0..4).for_each(|_| assert!(portal.reconcile().is_ok())));
            }
        });
        app.reconcile().unwrap();
        for (linode, registration) in linodes.into_iter().zip(registrations) {
            let row = app.newest_migration(linode);
            match app.registration(registration).state {
                RegistrationState::Closed => assert_eq!(row.state, MigrationState::Expired),
                RegistrationState::Approved => assert_eq!(row.state, MigrationState::Preparing),
                other => panic!("{other}"),
            }
        }
    }

    fn of_two_who_save_at_once_one_is_told(app: TestApp) {
        let app = app.with_fleet();
        let second = app.second();
        let seen = app.in_db(store::programme::stored).map(|row| row.changed_at);
        let settings = |seats: i64| Settings {
            state: ProgrammeState::Open, irc: Default::default(), forum: Default::default(), seats: Some(seats),
            offer_days: 1, way_back_days: 1, max_overall: 1, max_per_link: 1, max_warm_passes: 1, watch_s: 1,
            opens_at: None, expected_end_at: None, seen,
        };
        let staff = app.staff();
        let won = |outcomes: Vec<Result<(), AppError>>| {
            for outcome in &outcomes {
                assert!(matches!(outcome, Ok(()) | Err(AppError::Conflict(_))), "{outcome:?}");
            }
            outcomes.into_iter().filter(Result::is_ok).count()
        };
        let race = |act: &(dyn Fn(&xenbeta::app::App, i64) -> Result<(), AppError> + Sync)| -> Vec<_> {
            std::thread::scope(|scope| {
                let tries: Vec<_> = (0..8)
                    .map(|n| {
                        let portal = if n % 2 == 0 { &app.app } else { &second };
                        scope.spawn(move || act(portal, n))
                    })
                    .collect();
                tries.into_iter().map(|it| it.join().unwrap()).collect()
            })
        };
        assert_eq!(won(race(&|portal, n| portal.set_programme(&staff, &settings(100 + n)))), 1);
        assert_eq!(won(race(&|portal, n| portal.set_text(&staff, TextSection::ALL[0], &format!("Text {n}"), None))), 1);
        let limits = |n: i64| Limits { per_hour: Some(1 + i32::try_from(n).unwrap()), ..Limits::default() };
        assert_eq!(won(race(&|portal, n| portal.set_move_times(&staff, &limits(n), None))), 1);
        // The end against a save: one of the two finds that someone else was first.
        let seen = app.in_db(store::programme::stored).map(|row| row.changed_at);
        let save = Settings { seen, ..settings(500) };
        assert_eq!(won(race(&|portal, n| if n < 4 { portal.set_programme(&staff, &save) } else { portal.end_programme(&staff, seen) })), 4, "four that did it, or found it done");
    }

    fn a_cancel_at_the_moment_its_step_ends(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        let order = app.work_until("warm_copy");
        let report = app.success(&order);
        let now = app.now();
        // A cancel that has the migration and goes on to its job, and meanwhile the agent ends that job.
        let portal = app.second();
        let (begun, has_begun) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                portal.db.write(|conn| {
                    store::migration::locked(conn, row.id)?;
                    begun.send(()).unwrap();
                    std::thread::sleep(Duration::from_millis(300));
                    store::job::stop(conn, row.id, now)
                }).expect("it does not wait for the agent, which waits for it");
            });
            has_begun.recv().unwrap();
            app.answer(XEN1, &order, Outcome::Succeeded { report }).unwrap();
        });
    }

    fn a_profile_and_a_click_of_one_moment_agree(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let member = app.member();
        // Someone edits the profile to another family's kernel: the offer is locked, and then the kernel is written.
        let portal = app.second();
        let (begun, has_begun) = mpsc::channel();
        let clicked = std::thread::scope(|scope| {
            scope.spawn(move || {
                portal.db.write(|conn| {
                    xenbeta::store::migration::locked_of_linode(conn, WEB)?;
                    begun.send(()).unwrap();
                    std::thread::sleep(Duration::from_millis(300));
                    conn.batch_execute("UPDATE config_profiles SET kernel_id = 'uml-2.4' WHERE linode_id = 101")?;
                    Ok::<_, StoreError>(())
                }).unwrap();
            });
            has_begun.recv().unwrap();
            app.migrate(&member, WEB, Click { accept_kernels: false, ..now_click() })
        });
        assert!(matches!(clicked, Err(AppError::Invalid { field: "accept_kernels", .. })), "{clicked:?}");
    }

    fn cancels_and_admissions_of_one_moment(app: TestApp) {
        let app = app.with_fleet();
        let second = app.second();
        let rows = [WEB, OLD].map(|linode| {
            let registration = app.approved(linode);
            app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
            app.migrate(&app.member(), linode, now_click()).unwrap()
        });
        let member = app.member();
        std::thread::scope(|scope| {
            for row in rows.iter().rev() {
                let (app, member) = (&app.app, &member);
                scope.spawn(move || app.cancel_migration(member, row.id).unwrap());
            }
            for portal in [&app.app, &second] {
                scope.spawn(move || assert!(portal.reconcile().is_ok()));
            }
        });
        app.work_all(&[UML1, XEN1]);
        for row in rows {
            assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        }
        assert_eq!(app.claim(&agent(XEN1)).unwrap(), None);
    }
}
