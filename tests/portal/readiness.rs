//! The figures from which staff decide.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use diesel::connection::SimpleConnection;
use xenbeta::app::clock::Clock;
use xenbeta::store::error::StoreError;

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
    if state == "failed" {
        failed_try(app, id, ago);
    }
}

/// A moment so many days ago, as both databases take it.
fn ago(app: &TestApp, days: i64) -> String {
    let at = app.now().plus_days(-days);
    at.utc().format("'%Y-%m-%dT%H:%M:%S%.6fZ'").to_string()
}

/// A try of the move failed, two minutes after it was started.
fn failed_try(app: &TestApp, id: i64, days: i64) {
    let at = app.now().plus_days(-days).plus_s(120);
    let at = at.utc().format("'%Y-%m-%dT%H:%M:%S%.6fZ'").to_string();
    app.sql(
        &format!(
            "INSERT INTO migration_events (id, migration_id, at, state, message) VALUES ({id}, {id}, {at}, 'failed', 'It failed.');"
        ),
    );
}

/// The cells of a table's row, by its first one.
fn cells(body: &str, table: &str, row: &str) -> Vec<String> {
    let start = body.find(&format!("id=\"{table}\"")).expect("the heading");
    let after = &body[start..];
    let html = scraper::Html::parse_fragment(&after[..after.find("</table>").expect("a table")]);
    let select = |what: &str| scraper::Selector::parse(what).unwrap();
    let (tr, th, td) = (select("tbody tr"), select("th"), select("td"));
    let text = |of: scraper::ElementRef<'_>| of.text().collect::<String>().trim().to_owned();
    html.select(&tr)
        .find(|tr| tr.select(&th).next().map(text).as_deref() == Some(row))
        .expect("the row")
        .select(&td)
        .map(text)
        .collect()
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
        let csv = staff.get("/staff/readiness.csv").csv();
        assert!(csv.lines().any(|line| line.starts_with(&format!("{monday},3,1,1,1,0,0,1,40,300,0,"))), "{csv}");
        assert_eq!(site.signed_in(MEMBER_EMAIL).get("/staff/readiness").status, 404);
    }

    fn every_try_that_failed_counts(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        // Failed and then cancelled; failed, then moved in the second try; cancelled and nothing else; never begun.
        past(&app, 9001, "cancelled", 13, None);
        failed_try(&app, 9001, 13);
        past(&app, 9002, "confirmed", 13, Some(30));
        failed_try(&app, 9002, 13);
        past(&app, 9003, "cancelled", 13, None);
        past(&app, 9004, "cancelled", 13, None);
        app.sql("UPDATE migrations SET started_at = NULL WHERE id = 9004");
        // Stopped, and given back to its old host after 50 s.
        past(&app, 9005, "failed", 13, Some(5));
        app.sql("UPDATE migrations SET finished_at = NULL, was_running = TRUE WHERE id = 9005");
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get("/staff/readiness");
        assert_eq!(cells(&page.body, "moves", "Into the beta"), ["1", "0", "2", "1", "0", "3", "25 %", "30 seconds", "60 seconds"]);
        staff.get("/staff/migrations?kind=beta&state=given-up").shows(&["Migration 9001", "Migration 9005", "Only:"]).hides(&["Migration 9002", "Migration 9003", "Migration 9004"]);
        staff.get("/staff/migrations?kind=beta&state=stopped").shows(&["Migration 9003"]).hides(&["Migration 9001", "Migration 9004"]);
        staff.get("/staff/migrations?kind=beta&state=tried").shows(&["Migration 9001", "Migration 9002", "Migration 9005"]).hides(&["Migration 9003"]);
    }

    fn each_figure_leads_to_what_it_counts_and_to_nothing_else(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        past(&app, 9001, "confirmed", 13, Some(30));
        past(&app, 9002, "failed", 13, Some(5));
        app.sql("UPDATE migrations SET finished_at = NULL, was_running = TRUE WHERE id = 9002");
        // Before what the figures count.
        past(&app, 9003, "confirmed", 400, Some(900));
        past(&app, 9004, "failed", 400, None);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get("/staff/readiness");
        let url = |label: &str| page.attribute(&format!("a[aria-label='{label}']"), "href").unwrap();
        staff.get(&url("1 moved")).shows(&["Migration 9001", "Only:", "in the 53 weeks from"]).hides(&["Migration 9003"]);
        staff.get(&url("1 tries that failed")).shows(&["Migration 9002"]).hides(&["Migration 9004", "Migration 9001"]);
        staff.get(&page.link("Into the beta")).shows(&["Migration 9001", "Migration 9002"]).hides(&["Migration 9003", "Migration 9004"]);
        assert!(staff.get(&page.link("60 seconds")).heading().contains("9002"), "the worst was a try that failed");
        assert_eq!(staff.get("/staff/migrations?week=2026-06-01&weeks=many").status, 400);
    }

    fn open_bugs_are_told_by_state_and_severity_and_over_time(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let bug = |id: i64, state: &str, severity: &str, opened: i64| {
            let at = ago(&app, opened);
            app.sql(&format!("INSERT INTO bugs (id, title, happened, expected, reproduce, state, severity, component, opened_by, account_id, once, opened_at, changed_at) VALUES ({id}, 'bug {id}', 'x', '', '', '{state}', '{severity}', 'disk', 1, 1, 'o{id}', {at}, {at});"));
        };
        let change = |bug: i64, what: &str, before: &str, after: &str, days: i64| {
            app.sql(&format!("INSERT INTO bug_events (bug_id, author_id, what, before, after, at) VALUES ({bug}, 3, '{what}', '{before}', '{after}', {});", ago(&app, days)));
        };
        bug(71, "new", "none", 1);
        bug(72, "new", "critical", 20);
        change(72, "severity", "none", "critical", 1);
        bug(73, "confirmed", "high", 20);
        change(73, "state", "new", "confirmed", 1);
        bug(74, "in_progress", "high", 20);
        bug(75, "fixed", "critical", 20);
        change(75, "state", "new", "fixed", 1);
        bug(76, "not_a_bug", "low", 400);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get("/staff/readiness");
        assert_eq!(cells(&page.body, "bugs", "new"), ["1", "0", "0", "0", "1"]);
        assert_eq!(cells(&page.body, "bugs", "confirmed"), ["0", "0", "0", "1", "0"]);
        assert_eq!(cells(&page.body, "bugs", "in progress"), ["0", "0", "0", "1", "0"]);
        let week = |days: i64| xenbeta::domain::readiness::monday(app.now().plus_days(-days)).to_string();
        // Two weeks ago: 72 and 75 and 73 new, 74 in progress; by severity none, low, medium, high, critical.
        let then = cells(&page.body, "weeks-hosts", &week(14));
        assert_eq!(then, ["3", "0", "1", "1", "0", "0", "2", "1", "–", "0", "–"]);
        let now = cells(&page.body, "weeks-hosts", &week(0));
        assert_eq!(now[..8], ["2", "1", "1", "1", "0", "0", "2", "1"]);
        let csv = staff.get("/staff/readiness.csv").body;
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let names = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let of = |week: &str, name: &str| {
            let at = names.iter().position(|it| it == name).unwrap();
            rows.iter().find(|row| &row[0] == week).unwrap()[at].to_owned()
        };
        assert_eq!(of(&week(14), "bugs_new_critical"), "1");
        assert_eq!(of(&week(14), "bugs_new_none"), "1");
        assert_eq!(of(&week(0), "bugs_new_critical"), "1");
        assert_eq!(of(&week(0), "bugs_confirmed_high"), "1");
        assert!(rows.len() <= 53, "a year, although a bug is older");
    }

    fn silent_hosts_count_while_they_are_and_are_remembered(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let heard = |host: i64, ago_s: i64| {
            let at = app.now().plus_s(-ago_s);
            let at = at.utc().format("'%Y-%m-%dT%H:%M:%S%.6fZ'").to_string();
            app.sql(&format!("UPDATE hosts SET last_seen_at = {at} WHERE id = {host};"));
        };
        (1..=4).for_each(|host| heard(host, 0));
        // Switched off on purpose, and silent for a day.
        app.sql("UPDATE hosts SET state = 'disabled' WHERE id = 4");
        heard(4, 86_400);
        assert_eq!(app.look_for_silent_hosts().unwrap(), None, "the first look counts nothing");
        assert_eq!(app.look_for_silent_hosts().unwrap(), None, "not twice at once");
        for _ in 0..3 {
            app.pass_s(60);
            (1..=2).for_each(|host| heard(host, 0));
            app.look_for_silent_hosts().unwrap();
        }
        let silent = |text: &str| format!("<b class=\"err\">{text}</b><a href=\"/staff/hosts?silent=yes\">hosts silent</a>");
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let page = staff.get("/staff/readiness");
        assert!(page.body.contains(&silent("1")), "{}", page.text());
        staff.get("/staff/hosts?silent=yes").shows(&["xen1"]).hides(&["xen2", "uml1"]);
        assert!(staff.get("/staff/").body.contains(&silent("1")));
        // A portal that was down heard nobody, and blames nobody.
        app.pass_s(3600);
        assert_eq!(app.look_for_silent_hosts().unwrap(), None);
        (1..=3).for_each(|host| heard(host, 0));
        let page = staff.get("/staff/readiness");
        assert!(page.body.contains("<b>0</b><a href=\"/staff/hosts?silent=yes\">"), "back to zero");
        let week = xenbeta::domain::readiness::monday(app.now()).to_string();
        assert_eq!(cells(&page.body, "weeks-hosts", &week).last().unwrap(), "1, 2 minutes in all");
        // Forgotten in time.
        app.pass_s(500 * 86_400);
        app.look_for_silent_hosts().unwrap();
        app.pass_s(60);
        (1..=3).for_each(|host| heard(host, 0));
        app.look_for_silent_hosts().unwrap();
        assert!(app.in_db(|conn| xenbeta::store::host::silence::by_week(conn, 0)).is_empty());
    }

    fn silence_is_counted_once_though_two_portals_clocks_differ(app: TestApp) {
        let app = app.with_fleet();
        app.sql("UPDATE hosts SET state = 'disabled' WHERE id > 1; UPDATE hosts SET last_seen_at = '2026-01-01T00:00:00.000000Z'");
        let ahead = xenbeta::app::App {
            clock: Clock::Set(Arc::clone(&app.shift), Arc::new(AtomicI64::new(59))).of_servers(),
            ..app.second()
        };
        ahead.keep_servers_time().unwrap();
        for _ in 0..118 {
            app.look_for_silent_hosts().unwrap();
            app.pass_s(15);
            ahead.look_for_silent_hosts().unwrap();
            app.pass_s(15);
        }
        let weeks = app.in_db(|conn| xenbeta::store::host::silence::by_week(conn, 0));
        let counted: i64 = weeks.iter().map(|it| it.seconds).sum();
        // 3540 seconds went by, and the last look may be a minute old; a database without a clock counts the minute between theirs.
        assert!((3480 - 60..=3540 + 60).contains(&counted), "{counted}");
    }

    fn fairness_is_told_by_week(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let day = |host: i64, days: i64, jain: i64, least: i64| {
            let slot = app.now().plus_days(-days).utc().timestamp() / 86_400 * 86_400;
            app.sql(&format!("INSERT INTO host_fairness (host_id, step, slot, judged_ms, contended_ms, guests, jain, worst_ratio, worst_excess_ms, least_ratio) VALUES ({host}, 86400, {slot}, 3600000, 3600000, 2, {jain}, 1000, 0, {least});"));
        };
        day(3, 14, 700, 500);
        day(4, 14, 990, 980);
        day(4, 28, 990, 980);
        let site = Site::serve(&app.app);
        let page = site.signed_in(STAFF_EMAIL).get("/staff/readiness");
        let week = |days: i64| xenbeta::domain::readiness::monday(app.now().plus_days(-days)).to_string();
        let row = cells(&page.body, "weeks-hosts", &week(14));
        assert_eq!(row[8].split_whitespace().collect::<Vec<_>>(), ["unfair", "xen1"]);
        assert_eq!(row[9], "1");
        assert_eq!(cells(&page.body, "weeks-hosts", &week(28))[8].split_whitespace().collect::<Vec<_>>(), ["fair", "xen2"]);
        assert_eq!(cells(&page.body, "weeks-hosts", &week(21))[8], "–");
    }

    fn failed_jobs_count_for_a_week(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        for (id, days) in [(1, 1), (2, 8)] {
            let at = ago(&app, days);
            app.sql(&format!("INSERT INTO jobs (id, host_id, linode_id, kind, state, epoch, run_after, entered_at, finished_at) VALUES ({id}, 1, 101, 'boot', 'failed', 1, {at}, {at}, {at});"));
        }
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        for path in ["/staff/readiness", "/staff/"] {
            let page = staff.get(path);
            assert!(page.body.contains("<b class=\"err\">1</b><a href=\"/staff/jobs?state=failed"), "{path}");
            staff.get(&page.link("jobs failed in the last 7 days")).shows(&["job 1", "Only: ended in the last 7 days"]).hides(&["job 2"]);
        }
        app.pass_s(7 * 86_400);
        site.signed_in(STAFF_EMAIL).get("/staff/jobs?state=failed").shows(&["job 2"]);
        let page = site.signed_in(STAFF_EMAIL).get("/staff/readiness");
        assert!(page.body.contains("<b>0</b><a href=\"/staff/jobs?state=failed"), "back to zero");
    }

    fn the_beta_is_judged_by_limits_that_owners_set(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        for id in 9001..=9020 {
            past(&app, id, "confirmed", 13, Some(if id > 9017 { 170 } else { 50 }));
        }
        let day = |host: i64, jain: i64, least: i64| {
            let slot = app.now().plus_days(-1).utc().timestamp() / 600 * 600;
            app.sql(&format!("INSERT INTO host_fairness (host_id, step, slot, judged_ms, contended_ms, guests, jain, worst_ratio, worst_excess_ms, least_ratio) VALUES ({host}, 600, {slot}, 600000, 600000, 2, {jain}, 1000, 0, {least});"));
        };
        // Unfair, but under UML: nobody will be there.
        day(1, 700, 500);
        day(3, 990, 980);
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let verdicts = |staff: &mut crate::browser::Browser| {
            let page = staff.get("/staff/readiness");
            let all = page.column("Figures against their limits", "Verdict");
            all.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(&mut staff), ["Ready", "Ready", "Ready"]);
        let page = staff.get("/staff/readiness");
        page.shows(&["Down, nine of ten", "3 minutes", "Downtime by week"]).hides(&["uml1"]);
        let form = staff.get(&page.link("Set the limits"));
        staff.submit(&form, "Save the limits", &[("moves_least", "x")]).says_beside("moves_least", "Enter a whole number");
        staff.submit(&form, "Save the limits", &[("reached_least_percent", "101")]).says_beside("reached_least_percent", "Enter a number from 0 to 100");
        let reply = staff.submit(&form, "Save the limits", &[("down_p90_most_s", "100")]);
        assert_eq!(staff.follow(&reply).said(), "The limits are saved.");
        assert_eq!(verdicts(&mut staff), ["Ready", "Not ready", "Ready"]);
        assert_eq!(staff.submit(&form, "Save the limits", &[("moves_least", "50")]).status, 409, "someone else changed them");
        let form = staff.get("/staff/readiness/limits");
        let reply = staff.submit(&form, "Save the limits", &[("moves_least", "21")]);
        staff.follow(&reply);
        assert_eq!(verdicts(&mut staff), ["Too little to say", "Not ready", "Too little to say"]);
        day(4, 700, 500);
        staff.get("/staff/audit?action=readiness.limits").shows(&["moves_least 21"]);
        assert!(staff.get("/staff/readiness").row("Figures against their limits", "Performance").len() > 3);
    }

    fn nothing_has_moved_yet(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let site = Site::serve(&app.app);
        site.signed_in(STAFF_EMAIL).get("/staff/readiness").shows(&["Nothing has moved yet.", "Into the beta"]);
    }
}
