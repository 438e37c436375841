//! The downtime is foretold from what was measured, shown while the move holds, and kept within the member's limit.

use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::forecast::{Basis, Forecast};
use xenbeta::domain::migration::{MigrationState, Step};
use xenbeta::domain::values::{DownLimit, Patience};
use xenbeta::store;
use xenbeta::store::migration::Migration;
use xenbeta::wire::{Order, Outcome, Report};

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, OLD, STAFF_EMAIL, UML1, WEB, XEN1};
use crate::support::hand::{agent, kind, now_click};

fn within(seconds: i32) -> Click {
    Click {
        down_limit: Some(DownLimit::parse(seconds).unwrap()),
        ..now_click()
    }
}

impl TestApp {
    fn forecast(&self, row: &Migration) -> Option<Forecast> {
        let (row, now) = (self.migration(row.id), self.now());
        self.in_db(|conn| store::migration::timing::forecast(conn, &row, now))
    }

    /// What this Linode's stops, starts and last copies took so far, in milliseconds.
    fn took(&self, linode: LinodeId, stop: i64, start: i64) {
        for (part, host, ms) in [("stop", UML1, stop), ("start", XEN1, start)] {
            for _ in 0..6 {
                self.sql(&format!(
                    "INSERT INTO timings (linode_id, plan_id, part, host_id, ms, at) SELECT id, plan_id, '{part}', {host}, {ms}, '2026-01-01T00:00:00.000000Z' FROM linodes WHERE id = {linode}"
                ));
            }
        }
    }
}

/// What agents measure, beside what the report of the step is.
fn timed(order: &Order, report: Report) -> Report {
    match report {
        Report::Sealed {
            epoch,
            forced,
            was_running,
            ..
        } => Report::Sealed {
            epoch,
            forced,
            was_running,
            stopped_after_s: Some(4.0),
        },
        Report::Started {
            epoch,
            running,
            helpers_skipped,
            ..
        } => Report::Started {
            epoch,
            running,
            helpers_skipped,
            started_after_s: Some(2.0),
            stopped_after_s: (kind(order) == "reboot").then_some(3.0),
        },
        other => other,
    }
}

both_databases! {
    fn what_agents_measure_is_what_the_next_forecast_stands_on(app: TestApp) {
        let app = app.with_fleet();
        let row = app.chosen(WEB, now_click());
        let usual = app.forecast(&row).unwrap();
        assert_eq!(usual.basis, Basis::Usual);
        app.reconcile().unwrap();
        for _ in 0..20 {
            app.reconcile().unwrap();
            for host in [UML1, XEN1] {
                while let Some(order) = app.claim(&agent(host)).unwrap() {
                    let report = timed(&order, app.success(&order));
                    app.answer(host, &order, Outcome::Succeeded { report }).unwrap();
                }
            }
        }
        let row = app.migration(row.id);
        assert_eq!(row.state, MigrationState::Finished);
        assert!(row.foretold_ms.is_some() && row.foretold_most_ms > row.foretold_ms);
        let own = app.forecast(&row).unwrap();
        assert_eq!(own.basis, Basis::Own);
        assert!(own.down.most_ms < usual.down.most_ms, "{own:?} {usual:?}");
        // Its plan's others have it for theirs, until they have their own.
        let other = app.chosen(OLD, Click { accept_kernels: true, ..now_click() });
        let basis = app.forecast(&other).unwrap().basis;
        assert!(basis == Basis::Plan || basis == Basis::Usual, "{basis:?}");
    }

    /// Not by the first pass, which is far longer.
    fn what_a_guest_writes_is_told_by_the_last_pass(app: TestApp) {
        let app = app.with_fleet();
        let row = app.chosen(WEB, now_click());
        app.reconcile().unwrap();
        let copying = app.work_until("warm_copy");
        app.pass_s(20);
        let warm = |last_pass_s| Report::Warm {
            passes: 2,
            sent_bytes: 10 << 20,
            seconds: 20.0,
            rest_bytes: 8_000_000,
            moving_passes: 0,
            last_pass_s,
        };
        let report = warm(Some(2.0));
        app.answer(XEN1, &copying, Outcome::Succeeded { report }).unwrap();
        assert_eq!(app.migration(row.id).changed_b_s, 4_000_000);
        // Agents of before say only how long all passes took.
        let other = app.chosen(OLD, Click { accept_kernels: true, ..now_click() });
        app.reconcile().unwrap();
        let copying = app.work_until("warm_copy");
        app.pass_s(20);
        app.answer(XEN1, &copying, Outcome::Succeeded { report: warm(None) }).unwrap();
        assert_eq!(app.migration(other.id).changed_b_s, 800_000);
    }

    fn what_a_start_took_on_another_platform_says_nothing(app: TestApp) {
        let app = app.with_fleet();
        let row = app.chosen(WEB, now_click());
        let usual = app.forecast(&row).unwrap();
        app.took(WEB, 9_000, 500);
        app.sql(&format!("UPDATE timings SET host_id = {UML1}"));
        let known = app.forecast(&row).unwrap();
        assert_eq!(known.basis, Basis::Usual, "nothing is known of its start on Xen");
        assert!(known.down.least_ms > usual.down.least_ms && known.down.most_ms < usual.down.most_ms, "its stop is");
        app.sql(&format!("UPDATE timings SET host_id = {XEN1} WHERE part = 'start'"));
        assert_eq!(app.forecast(&row).unwrap().basis, Basis::Own);
    }

    fn over_its_limit_it_is_not_stopped_and_passes_go_on(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.took(WEB, 50_000, 10_000);
        let row = app.chosen(WEB, Click { patience: Patience::parse(1).unwrap(), ..within(60) });
        assert_eq!(app.reconcile().unwrap().admitted, 1);
        app.work_all(&[UML1, XEN1]);
        let held = app.migration(row.id);
        assert_eq!((held.state, held.step), (MigrationState::Holding, Some(Step::Hold)));
        assert!(held.not_before.is_some(), "it is late from when it was first in step");
        assert!(!app.forecast(&row).unwrap().keeps(60));
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = format!("/members/migrations/{}", row.id);
        member.get(&page)
            .shows_at("[data-k=phase]", &["In step", "no longer than your limit of 60 seconds"])
            .shows_at("[data-k=forecast]", &["A stop now would take about", "at most"]);
        // Another pass, and then it is told.
        app.pass_s(61);
        app.reconcile().unwrap();
        assert_eq!(kind(&app.work(XEN1)), "warm_copy");
        app.pass_s(1);
        app.reconcile().unwrap();
        let late = app.migration(row.id);
        assert!(late.late_told, "{late:?}");
        let mail = app.mails_of("late");
        assert!(mail[0].contains("you allow 60 seconds"), "{mail:?}");
        // Its member allows more: it stops.
        app.migrate(&app.member(), WEB, within(120)).unwrap();
        app.work_all(&[UML1, XEN1]);
        let row = app.migration(row.id);
        assert_eq!(row.state, MigrationState::Finished);
        assert!(row.foretold_most_ms.unwrap() <= 120_000);
    }

    fn over_its_limit_for_too_long_it_stays_and_the_offer_stands(app: TestApp) {
        let app = app.with_fleet();
        app.took(WEB, 50_000, 10_000);
        let row = app.chosen(WEB, Click { patience: Patience::parse(1).unwrap(), ..within(30) });
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        for _ in 0..62 {
            app.pass_s(60);
            app.reconcile().unwrap();
            app.work_all(&[UML1, XEN1]);
        }
        assert_eq!(app.migration(row.id).state, MigrationState::Cancelled);
        let offer = app.in_db(|conn| store::migration::of_linode(conn, WEB)).remove(0);
        assert_eq!((offer.state, offer.down_limit_s), (MigrationState::Offered, Some(30)));
    }

    fn one_over_its_limit_takes_no_stop_from_others(app: TestApp) {
        let app = app.with_fleet();
        app.sql("UPDATE move_times SET stops_at_once = 1");
        app.took(WEB, 50_000, 10_000);
        let first = app.chosen(WEB, within(15));
        let second = app.chosen(OLD, Click { accept_kernels: true, ..now_click() });
        for _ in 0..4 {
            app.reconcile().unwrap();
            app.work_all(&[UML1, XEN1]);
        }
        assert_eq!(app.migration(first.id).state, MigrationState::Holding);
        assert_eq!(app.migration(second.id).state, MigrationState::Finished);
    }

    fn a_limit_is_chosen_on_the_page_and_calibration_is_told_to_staff(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let registration = app.approved(WEB);
        app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = format!("/members/linodes/{WEB}/migrate");
        member.get(&page).shows_at("#downtime + p", &["About", "at most", "nothing was measured yet"]);
        let shown = member.get(&page);
        let bad = member.submit(&shown, "Migrate web", &[("down_limit", "7")]);
        assert_eq!(bad.status, 422);
        bad.says_beside("down_limit", "Choose how long it may be off at most, or no limit");
        member.submit(&shown, "Migrate web", &[("down_limit", "300")]);
        let row = app.in_db(|conn| store::migration::of_linode(conn, WEB)).remove(0);
        assert_eq!(row.down_limit_s, Some(300));
        app.reconcile().unwrap();
        app.work_all(&[UML1, XEN1]);
        app.work_all(&[UML1, XEN1]);
        let shown = member.get(&format!("/members/migrations/{}", row.id));
        shown.shows(&["Downtime foretold", "Your limit for the downtime"]);
        app.sql("UPDATE migrations SET running_at = finished_at WHERE finished_at IS NOT NULL");
        site.signed_in(STAFF_EMAIL).get("/staff/readiness").shows_at("#foretold", &["of 1 move", "within a fifth or two seconds"]);
    }
}
