//! A clock that jumps ends nothing; a portal that was down, or looked, does not take it for a jump. Portals whose clocks differ
//! count by their server's.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use xenbeta::app::App;
use xenbeta::app::clock::{Clock, Watch};
use xenbeta::app::error::AppError;
use xenbeta::domain::job::JobState;
use xenbeta::domain::migration::MigrationState;
use xenbeta::store;
use xenbeta::wire::{Finish, Order, Outcome, Report};

use crate::both_databases;
use crate::support::fleet::{DB, UML1, WEB, XEN1};
use crate::support::hand::{agent, kind, now_click};
use crate::support::{On, TestApp};

const WEEK: i64 = 7 * 86_400;

/// Looks every minute, as the reconciler does more often.
fn watch(app: &TestApp, minutes: usize) {
    for _ in 0..minutes {
        app.pass_s(60);
        app.reconcile().unwrap();
    }
}

fn jump(app: &TestApp) -> Option<i64> {
    app.in_db(store::ownership::memory::get).clock_jump_s
}

/// A portal whose clock is wrong by so many seconds; the server's counts. (SQLite is for one portal.)
fn wrong_by(app: &TestApp, seconds: i64) -> App {
    let own = Clock::Set(Arc::clone(&app.shift), Arc::new(AtomicI64::new(seconds)));
    let portal = App {
        clock: own.of_servers(),
        watch: Watch::default(),
        ..app.second()
    };
    portal.keep_servers_time().unwrap();
    portal
}

/// One whose clock is ahead, and one that is half a minute behind it.
fn two_portals() -> (TestApp, [App; 2]) {
    let app = TestApp::at_noon(On::Postgresql).with_fleet();
    let portals = [15, -15].map(|by| wrong_by(&app, by));
    (app, portals)
}

fn done(app: &TestApp, order: &Order) -> Finish {
    let report = match app.success(order) {
        Report::Started {
            epoch,
            running,
            helpers_skipped,
            ..
        } => Report::Started {
            epoch,
            running,
            helpers_skipped,
            started_after_s: Some(0.0),
            stopped_after_s: None,
        },
        other => other,
    };
    Finish {
        attempt: order.attempt,
        lease_token: order.lease_token.clone(),
        outcome: Outcome::Succeeded { report },
    }
}

fn look(portals: &[App]) {
    for portal in portals {
        portal.reconcile().unwrap();
    }
}

/// Each step is taken at one portal and answered at the other, in either order.
#[test]
fn time_away_is_counted_right_though_two_portals_clocks_differ() {
    let (app, portals) = two_portals();
    for (linode, first) in [(WEB, 0), (DB, 1)] {
        let id = app.clicked(linode).id;
        for turn in first.. {
            let [takes, hears] = [&portals[turn % 2], &portals[(turn + 1) % 2]];
            let order = |host| Some((host, takes.claim(&agent(host)).unwrap()?));
            // In step, it is told to stop by either.
            takes.reconcile().unwrap();
            let Some((host, order)) = [UML1, XEN1].into_iter().find_map(order) else {
                break;
            };
            hears
                .finish(&agent(host), order.job, &done(&app, &order))
                .unwrap();
        }
        let row = app.migration(id);
        let moments = [
            row.started_at,
            row.stopped_at,
            row.running_at,
            row.finished_at,
        ];
        assert!(
            moments.is_sorted() && row.started_at.is_some(),
            "{moments:?}"
        );
        assert!((0..=8).contains(&row.down_s().unwrap()), "{moments:?}");
        let log = app.in_db(|conn| store::migration::events(conn, id));
        assert!(log.is_sorted_by_key(|line| line.at), "{log:?}");
    }
}

#[test]
fn a_lease_of_one_portal_is_none_that_another_takes_for_lost() {
    let (app, portals) = two_portals();
    app.clicked(WEB);
    look(&portals);
    let [ahead, behind] = &portals;
    let order = behind.claim(&agent(UML1)).unwrap().unwrap();
    app.pass_s(9);
    ahead.reconcile().unwrap();
    let job = app.in_db(|conn| store::job::job(conn, order.job)).unwrap();
    assert_eq!((job.state, job.losses), (JobState::Leased, 0));
}

#[test]
fn what_two_portals_watch_is_counted_once_though_their_clocks_differ() {
    let (app, portals) = two_portals();
    let watched = || app.in_db(store::ownership::memory::get).watched_s;
    look(&portals);
    let before = watched();
    for _ in 0..30 {
        app.pass_s(10);
        look(&portals);
    }
    assert!(
        (280..=310).contains(&(watched() - before)),
        "{}",
        watched() - before
    );
}

/// Old disks are purged on the strength of what their owner shows: that was no proof to a portal whose clock was behind, which
/// asked for the next at once, and so on.
#[test]
fn a_proof_is_as_old_to_one_portal_as_to_another() {
    let (app, [ahead, behind]) = two_portals();
    let row = app.clicked(WEB);
    app.work_all(&[UML1, XEN1]);
    app.confirm_migration(&app.member(), row.id).unwrap();
    let mut kinds = Vec::new();
    while !kinds.contains(&"purge".to_owned()) {
        assert!(kinds.len() < 5, "{kinds:?}");
        for (portal, host) in [(&behind, UML1), (&ahead, XEN1)] {
            if let Some(order) = portal.claim(&agent(host)).unwrap() {
                kinds.push(kind(&order));
                portal
                    .finish(&agent(host), order.job, &done(&app, &order))
                    .unwrap();
            }
        }
    }
}

both_databases! {
    fn what_is_watched_is_counted_once(app: TestApp) {
        let app = app.with_fleet();
        app.reconcile().unwrap();
        let before = app.in_db(store::ownership::memory::get).watched_s;
        let other = app.second();
        for _ in 0..10 {
            app.pass_s(60);
            app.reconcile().unwrap();
            other.reconcile().unwrap();
        }
        let gone = app.in_db(store::ownership::memory::get).watched_s - before;
        assert!((600..=610).contains(&gone), "{gone}");
        app.pass_s(3600); // nobody looked
        app.reconcile().unwrap();
        assert_eq!(app.in_db(store::ownership::memory::get).watched_s - before, gone);
        assert_eq!(jump(&app), None);
    }

    fn a_jump_by_a_week_ends_no_way_back(app: TestApp) {
        let app = app.with_fleet();
        let row = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let registration = app.approved(DB);
        let offer = app.offer(&app.staff(), registration, None).unwrap();
        app.reconcile().unwrap();
        app.set_clock_by_s(3 * WEEK);
        watch(&app, 3);
        let by = jump(&app).expect("is noticed");
        assert!((3 * WEEK - 5..=3 * WEEK + 5).contains(&by), "{by}");
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!(app.migration(offer.id).state, MigrationState::Offered, "no offer ends");
        app.tidy().unwrap();
        // Back again: all is as it was.
        app.set_clock_by_s(-3 * WEEK + 20);
        watch(&app, 3);
        assert_eq!(jump(&app), None);
        assert_eq!(app.migration(offer.id).state, MigrationState::Offered);
        // It was right after all, staff say: offers end by the clock, the way back only once a week was watched, too.
        app.set_clock_by_s(3 * WEEK);
        watch(&app, 1);
        assert!(jump(&app).is_some());
        assert!(matches!(app.clock_is_right(&app.member()), Err(AppError::Forbidden)));
        app.clock_is_right(&app.staff()).unwrap();
        app.clock_is_right(&app.staff()).expect("twice is once");
        watch(&app, 1);
        assert_eq!(jump(&app), None);
        assert_eq!(app.migration(offer.id).state, MigrationState::Expired);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished, "the window was not watched");
        app.pass_watched_s(WEEK + 60);
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Confirmed);
    }

    fn a_chosen_time_does_not_begin_by_a_jump_but_a_click_does(app: TestApp) {
        let app = app.with_fleet();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, None).unwrap();
        let mut click = now_click();
        click.at = Some(app.now().plus_days(2));
        let row = app.migrate(&app.member(), WEB, click).unwrap();
        app.reconcile().unwrap();
        app.set_clock_by_s(3 * 86_400);
        watch(&app, 2);
        assert_eq!(app.migration(row.id).state, MigrationState::Queued);
        let other = app.approved(DB);
        app.offer(&app.staff(), other, None).unwrap();
        let now = app.migrate(&app.member(), DB, now_click()).unwrap();
        app.reconcile().unwrap();
        assert_eq!(app.migration(now.id).state, MigrationState::Preparing);
    }

    fn a_portal_that_was_down_or_stood_still_saw_no_jump(app: TestApp) {
        let app = app.with_fleet();
        app.reconcile().unwrap();
        app.pass_s(WEEK); // stopped: both clocks went on
        app.reconcile().unwrap();
        assert_eq!(jump(&app), None);
        app.set_clock_by_s(WEEK);
        app.second().reconcile().unwrap(); // started after it: nobody can tell
        assert_eq!(jump(&app), None);
        app.reconcile().unwrap(); // but this one can
        assert!(jump(&app).is_some());
    }
}
