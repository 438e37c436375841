//! A clock that jumps ends nothing; a portal that was down, or looked, does not take it for a jump.

use xenbeta::app::error::AppError;
use xenbeta::domain::migration::MigrationState;
use xenbeta::store;

use crate::both_databases;
use crate::support::TestApp;
use crate::support::fleet::{DB, UML1, WEB, XEN1};
use crate::support::hand::now_click;

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
