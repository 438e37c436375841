//! The figures from which staff decide.

use diesel::connection::SimpleConnection;
use xenbeta::store::db::StoreError;

use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, STAFF_EMAIL};

/// A move of DB into the beta, started `ago` days before now and down for so many seconds.
fn past(app: &TestApp, id: i64, state: &str, ago: i64, down: Option<i64>) {
    let text =
        |at: xenbeta::domain::time::Time| at.utc().format("'%Y-%m-%dT%H:%M:%S%.6fZ'").to_string();
    let start = app.now().plus_days(-ago);
    let (stop, end) = match down {
        Some(seconds) => (text(start.plus_s(60)), text(start.plus_s(60 + seconds))),
        None => ("NULL".to_owned(), "NULL".to_owned()),
    };
    let start = text(start);
    let sql = format!(
        "INSERT INTO migrations (id, kind, linode_id, account_id, source_host_id, destination_host_id, state, epoch, was_running, offered_at, expires_at, started_at, stopped_at, finished_at)
         VALUES ({id}, 'beta', 102, 1, 1, 3, '{state}', 1, TRUE, {start}, {start}, {start}, {stop}, {end});"
    );
    app.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
}

both_databases! {
    fn figures_lead_to_what_they_count(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        past(&app, 9001, "confirmed", 20, Some(20));
        past(&app, 9002, "confirmed", 13, Some(300));
        past(&app, 9003, "returned", 13, Some(40));
        past(&app, 9004, "failed", 13, None);
        past(&app, 9005, "cancelled", 1, None);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get("/staff/readiness");
        page.shows(&["Into the beta", "75 %", "40 seconds", "5 minutes", "5 moves in", "1 failed", "hosts silent"]);
        let list = staff.get("/staff/migrations?kind=beta&state=failed");
        list.shows(&["Migration 9004", "Only:"]).hides(&["Migration 9001"]);
        let monday = xenbeta::domain::readiness::monday(app.now().plus_days(-13));
        let week = staff.get(&page.link(&monday.to_string()));
        week.shows(&["Migration 9002", "Migration 9003", "Migration 9004", "started in the week from"]).hides(&["Migration 9001", "Migration 9005"]);
        staff.get("/staff/migrations?state=moved").shows(&["Migration 9001", "Migration 9002"]).hides(&["Migration 9003"]);
        assert_eq!(staff.get("/staff/migrations?week=tomorrow").status, 400);
        let csv = staff.get("/staff/readiness.csv").body;
        assert!(csv.lines().any(|line| line == format!("{monday},3,1,1,1,0,0,40,300")), "{csv}");
        assert_eq!(site.signed_in(MEMBER_EMAIL).get("/staff/readiness").status, 404);
    }

    fn nothing_has_moved_yet(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        site.signed_in(STAFF_EMAIL).get("/staff/readiness").shows(&["Nothing has moved yet.", "Into the beta"]);
    }
}
