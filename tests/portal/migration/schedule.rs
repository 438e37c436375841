//! At the member's leisure: times in a zone with a daylight-saving change, changed and cancelled, in a calendar that
//! another program reads; reminders; the provider's limits.

use chrono::{DateTime, Duration, NaiveDateTime, Timelike, Utc};
use xenbeta::app::error::AppError;
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::programme::move_times::{Limits, Quiet};
use xenbeta::domain::time::Time;
use xenbeta::store::error::StoreError;
use xenbeta::store::migration::Migration;
use xenbeta::store::schema::{chosen_times, migrations, outbox};

use diesel::prelude::*;

use crate::both_databases;
use crate::browser::{Browser, Site};
use crate::support::TestApp;
use crate::support::fleet::{MEMBER_EMAIL, OLD, STAFF_EMAIL, WEB, XEN1};
use crate::support::hand::{self, now_click};

const OTHER_EMAIL: &str = "otto@example.com";
const MIGRATE: &str = "/members/linodes/101/migrate";

/// An offer for `web` to `xen1`, with the member signed in.
fn offered(app: TestApp) -> (TestApp, Site) {
    let app = app.with_fleet().with_passwords();
    let registration = app.approved(WEB);
    app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
    let site = Site::serve(&app.app);
    (app, site)
}

fn expires(app: &TestApp, at: DateTime<Utc>) {
    app.db
        .write(|conn| {
            diesel::update(migrations::table)
                .set(migrations::expires_at.eq(Time::new(at)))
                .execute(conn)?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

fn mails(app: &TestApp) -> Vec<(String, String, Option<String>)> {
    app.in_db(|conn| {
        Ok(outbox::table
            .order(outbox::id)
            .select((outbox::kind, outbox::text_body, outbox::calendar))
            .load(conn)?)
    })
}

fn kinds(app: &TestApp) -> Vec<String> {
    mails(app).into_iter().map(|(kind, ..)| kind).collect()
}

fn count(app: &TestApp, kind: &str) -> usize {
    kinds(app).iter().filter(|it| *it == kind).count()
}

/// The value of a line in the newest calendar file.
fn line(app: &TestApp, key: &str) -> String {
    let file = mails(app)
        .into_iter()
        .rev()
        .find_map(|(.., file)| file)
        .unwrap();
    let found = file
        .split("\r\n")
        .find_map(|line| line.strip_prefix(&format!("{key}:")).map(str::to_owned));
    found.unwrap_or_else(|| panic!("no {key} in {file}"))
}

fn at_time(app: &TestApp, linode: LinodeId, at: Time) -> Result<Migration, AppError> {
    let click = Click {
        at: Some(at),
        ..now_click()
    };
    app.migrate(&app.member(), linode, click)
}

/// The next time that the clocks of Vienna change in this way, as typed, a little before and after.
fn change(app: &TestApp, forward: bool) -> (NaiveDateTime, DateTime<Utc>) {
    use chrono::{Offset, TimeZone};
    let zone = hand::vienna();
    let offset = |at: DateTime<Utc>| {
        zone.offset_from_utc_datetime(&at.naive_utc())
            .fix()
            .local_minus_utc()
    };
    let start = app
        .now()
        .utc()
        .with_minute(0)
        .unwrap()
        .with_second(0)
        .unwrap()
        .with_nanosecond(0)
        .unwrap();
    let hour = (1..366 * 24)
        .map(|hours| start + Duration::hours(hours))
        .find(|at| {
            let step = offset(*at) - offset(*at - Duration::hours(1));
            if forward { step > 0 } else { step < 0 }
        })
        .unwrap();
    let before = (hour - Duration::minutes(30))
        .with_timezone(&zone)
        .naive_local();
    let typed = if forward {
        before + Duration::hours(1)
    } else {
        before
    };
    (typed, hour)
}

fn send(member: &mut Browser, fields: &[(&str, &str)]) -> crate::browser::Reply {
    let page = member.get(MIGRATE);
    member.submit(&page, "Migrate web", fields)
}

both_databases! {
    fn a_time_that_the_clocks_skip_is_refused_with_its_neighbours(app: TestApp) {
        let (app, site) = offered(app);
        expires(&app, app.now().utc() + Duration::days(365));
        let mut member = site.signed_in(MEMBER_EMAIL);
        let (typed, _) = change(&app, true);
        let typed = typed.format("%Y-%m-%dT%H:%M").to_string();
        let reply = send(&mut member, &[("when", "at"), ("at", &typed)]);
        assert_eq!(reply.status, 422);
        reply.says(&["The clocks go forward then and skip this time", "01:59 and", "03:00"]);
        assert_eq!(reply.attribute("#at", "value").unwrap(), typed);
        assert_eq!(app.newest_migration(WEB).state, MigrationState::Offered);
    }

    fn a_typed_time_is_meant_in_the_zone_that_its_form_named(app: TestApp) {
        let (app, site) = offered(app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let page = member.get(MIGRATE);
        page.shows(&["In Europe/Vienna."]);
        app.sql("UPDATE users SET timezone = 'Asia/Tokyo' WHERE id = 1");
        let typed = app.now().plus_days(3).utc().format("%Y-%m-%dT18:30").to_string();
        let reply = member.submit(&page, "Migrate web", &[("when", "at"), ("at", &typed)]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        let at = app.newest_migration(WEB).not_before.unwrap().utc();
        assert_eq!((at.hour(), at.minute()), (16, 30), "half past six in Vienna's summer");
    }

    fn of_a_time_that_comes_twice_the_member_says_which(app: TestApp) {
        let (app, site) = offered(app);
        expires(&app, app.now().utc() + Duration::days(365));
        let mut member = site.signed_in(MEMBER_EMAIL);
        let (typed, hour) = change(&app, false);
        let typed = typed.format("%Y-%m-%dT%H:%M").to_string();
        assert_eq!(member.get(MIGRATE).attribute("#occurrence", "type"), None, "not asked before it matters");
        let asked = send(&mut member, &[("when", "at"), ("at", &typed)]);
        assert_eq!(asked.status, 422);
        asked.says(&["show this time twice", "Which of the two times?", "02:30 CEST (UTC+2)", "02:30 CET (UTC+1)"]);
        let reply = member.submit(&asked, "Migrate web", &[("occurrence", "second")]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        let row = app.newest_migration(WEB);
        assert_eq!(row.not_before.unwrap().utc(), hour + Duration::minutes(30));
        // The page knows which it was, and the other one is a change.
        let page = member.get(MIGRATE);
        assert!(page.body.contains("value=\"second\" checked"), "{}", page.body);
        member.submit(&page, "Migrate web", &[("occurrence", "first")]);
        assert_eq!(app.newest_migration(WEB).not_before.unwrap().utc(), hour - Duration::minutes(30));
        assert_eq!(line(&app, "SEQUENCE"), "1");
    }

    fn a_time_is_chosen_changed_and_cancelled_with_its_calendar(app: TestApp) {
        let (app, site) = offered(app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let first = app.now().plus_days(2);
        at_time(&app, WEB, first).unwrap();
        let uid = line(&app, "UID");
        assert_eq!((line(&app, "SEQUENCE").as_str(), line(&app, "METHOD").as_str()), ("0", "REQUEST"));
        let there = first.utc().with_timezone(&hand::vienna());
        assert_eq!(line(&app, "DTSTART;TZID=Europe/Vienna"), there.format("%Y%m%dT%H%M%S").to_string());
        // The same click again is nothing new.
        at_time(&app, WEB, first).unwrap();
        assert_eq!(count(&app, "scheduled"), 1);
        let second = app.now().plus_days(3);
        at_time(&app, WEB, second).unwrap();
        assert_eq!((line(&app, "SEQUENCE").as_str(), line(&app, "UID")), ("1", uid.clone()));
        // Another's is not there.
        let row = app.newest_migration(WEB);
        let url = format!("/members/migrations/{}/unschedule", row.id);
        assert_eq!(site.signed_in(OTHER_EMAIL).get(&url).status, 404);
        assert!(matches!(app.unschedule(&app.other_member(), row.id), Err(AppError::NotFound)));
        let page = member.get(&format!("/members/migrations/{}", row.id));
        let question = member.get(&page.link("Cancel the time"));
        question.shows(&["Cancel the time of web?", "It will not stop at", "The offer stands until"]);
        let reply = member.submit(&question, "Cancel the time of web", &[]);
        let again = member.submit(&question, "Cancel the time of web", &[]);
        assert_eq!((reply.status, again.status), (303, 303), "twice is once");
        member.follow(&reply).shows(&["The time is cancelled. The offer stands.", "Migrate web"]);
        let row = app.newest_migration(WEB);
        assert_eq!((row.state, row.not_before), (MigrationState::Offered, None));
        assert_eq!(count(&app, "unscheduled"), 1);
        assert_eq!((line(&app, "SEQUENCE").as_str(), line(&app, "METHOD").as_str(), line(&app, "STATUS").as_str()), ("2", "CANCEL", "CANCELLED"));
        assert_eq!(line(&app, "UID"), uid);
        // The reconciler leaves it alone, and it can be chosen again.
        app.reconcile().unwrap();
        at_time(&app, WEB, second).unwrap();
        assert_eq!(line(&app, "SEQUENCE"), "3");
        // Cancelled as a whole, or begun now: it leaves the calendar.
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        assert_eq!((line(&app, "SEQUENCE").as_str(), line(&app, "METHOD").as_str()), ("4", "CANCEL"));
        member.get(&format!("/members/migrations/{}", row.id)).shows(&["Next in the queue", "The time was changed to now."]);
        assert_eq!(member.get(&url).status, 409, "there is no time any more");
    }

    fn a_chosen_time_keeps_what_was_meant_when_a_state_changes_its_clocks(app: TestApp) {
        let (app, _site) = offered(app);
        let meant = app.now().plus_days(2);
        let row = at_time(&app, WEB, meant).unwrap();
        app.reconcile().unwrap();
        assert_eq!(count(&app, "scheduled"), 1, "nothing has changed");
        // By the list of then, the clocks of Vienna stood an hour otherwise.
        let by_old = meant.plus_s(3600);
        app.in_db(|conn| {
            diesel::update(migrations::table).set(migrations::not_before.eq(by_old)).execute(conn)?;
            diesel::update(chosen_times::table).set((chosen_times::at.eq(by_old), chosen_times::zones.eq("2025b"))).execute(conn)?;
            Ok(())
        });
        app.reconcile().unwrap();
        assert_eq!(app.newest_migration(WEB).not_before, Some(meant));
        assert_eq!((count(&app, "scheduled"), line(&app, "SEQUENCE").as_str()), (2, "1"));
        let there = meant.utc().with_timezone(&hand::vienna());
        assert_eq!(line(&app, "DTSTART;TZID=Europe/Vienna"), there.format("%Y%m%dT%H%M%S").to_string());
        app.reconcile().unwrap();
        assert_eq!(count(&app, "scheduled"), 2, "once");
        // One that was given up since stays given up.
        app.in_db(|conn| Ok(diesel::update(chosen_times::table).set(chosen_times::zones.eq("2025b")).execute(conn)?));
        app.unschedule(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        assert_eq!(app.newest_migration(WEB).not_before, None);
    }

    fn a_cancelled_move_leaves_the_calendar(app: TestApp) {
        let (app, _site) = offered(app);
        let row = at_time(&app, WEB, app.now().plus_days(2)).unwrap();
        app.cancel_migration(&app.member(), row.id).unwrap();
        assert_eq!(kinds(&app).last().unwrap(), "unscheduled");
        assert_eq!((line(&app, "SEQUENCE").as_str(), line(&app, "METHOD").as_str()), ("1", "CANCEL"));
    }

    fn after_the_offers_end_cancelling_the_time_cancels_the_move(app: TestApp) {
        let (app, _site) = offered(app);
        let row = at_time(&app, WEB, app.now().plus_days(2)).unwrap();
        expires(&app, app.now().utc() + Duration::seconds(1));
        app.pass_s(2);
        let after = app.unschedule(&app.member(), row.id).unwrap();
        assert_eq!(after.state, MigrationState::Cancelled);
        assert_eq!(line(&app, "METHOD"), "CANCEL");
    }

    fn reminders_come_once_whoever_sends_them(app: TestApp) {
        let (app, _site) = offered(app);
        let second = app.second();
        at_time(&app, WEB, app.now().plus_days(2)).unwrap();
        app.reconcile().unwrap();
        assert_eq!(count(&app, "time_reminder"), 0);
        app.pass_s(86_400 + 5);
        std::thread::scope(|scope| {
            for portal in [&app.app, &second] {
                scope.spawn(move || (0..3).for_each(|_| assert!(portal.reconcile().is_ok())));
            }
        });
        assert_eq!(count(&app, "time_reminder"), 1);
        // Changed to another time, that one has its own; one that is less than a day ahead has none.
        at_time(&app, WEB, app.now().plus_days(3)).unwrap();
        app.pass_s(2 * 86_400 + 5);
        app.reconcile().unwrap();
        assert_eq!(count(&app, "time_reminder"), 2);
        at_time(&app, WEB, app.now().plus_s(3 * 3600)).unwrap();
        app.pass_s(2 * 3600);
        app.reconcile().unwrap();
        assert_eq!(count(&app, "time_reminder"), 2);
        assert_eq!(count(&app, "offer_reminder"), 0, "it was taken up");
    }

    fn an_offer_is_reminded_of_before_it_ends(app: TestApp) {
        let (app, _site) = offered(app);
        app.pass_s(10 * 86_400);
        app.reconcile().unwrap();
        assert_eq!(count(&app, "offer_reminder"), 0);
        app.pass_s(86_400 + 5);
        app.reconcile().unwrap();
        app.reconcile().unwrap();
        assert_eq!(count(&app, "offer_reminder"), 1, "three days before");
        app.pass_s(2 * 86_400);
        app.reconcile().unwrap();
        assert_eq!(count(&app, "offer_reminder"), 2, "and one");
        app.pass_s(86_400);
        app.reconcile().unwrap();
        app.reconcile().unwrap();
        assert_eq!((count(&app, "offer_reminder"), count(&app, "offer_expired")), (2, 1));
    }

    fn what_stood_before_the_upgrade_is_reminded_too(app: TestApp) {
        let (app, _site) = offered(app);
        // As the schema migration leaves an offer of before.
        app.db.write(|conn| {
            diesel::update(migrations::table).set(migrations::remind_at.eq(migrations::offered_at.nullable())).execute(conn)?;
            Ok::<_, StoreError>(())
        }).unwrap();
        app.pass_s(5);
        app.reconcile().unwrap();
        assert_eq!(count(&app, "offer_reminder"), 0);
        app.pass_s(11 * 86_400);
        app.reconcile().unwrap();
        assert_eq!(count(&app, "offer_reminder"), 1);
    }

    fn staff_set_the_limits_and_members_see_them(app: TestApp) {
        let (app, site) = offered(app);
        let (mut member, mut staff) = (site.signed_in(MEMBER_EMAIL), site.signed_in(STAFF_EMAIL));
        let url = "/staff/programme/times";
        let page = staff.get(url);
        let all = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        for (field, value, said) in [("mon", "8-18", "Enter hours like"), ("timezone", "Mars/Base", "Choose a time zone"), ("per_hour", "0", "from 1 to 1000"), ("per_hour", "x", "whole number"), ("stops_at_once", "0", "from 1 to 100"), ("stops_at_once", "x", "whole number")] {
            let refused = staff.submit(&page, "Save the times", &[(field, value)]);
            assert_eq!(refused.status, 422, "{field}");
            refused.says(&["There is a problem", said]);
            let kept = match field {
                "timezone" => refused.texts("#timezone option[selected]").pop(),
                field => refused.attribute(&format!("#{field}"), "value"),
            };
            assert_eq!(kept.as_deref(), Some(value), "{field}");
        }
        let always: Vec<(&str, &str)> = all.iter().map(|day| (*day, "00:00-24:00")).collect();
        staff.submit(&page, "Save the times", &always).says(&["Leave a time of the week"]);
        // Quiet but for an hour that is not now.
        let open = (app.now().utc() + Duration::hours(5)).hour();
        let quiet = format!("{:02}:00-{:02}:00", (open + 1) % 24, open);
        let mut fields: Vec<(&str, &str)> = all.iter().map(|day| (*day, quiet.as_str())).collect();
        fields.push(("timezone", "UTC"));
        fields.push(("per_hour", "1"));
        let reply = staff.submit(&page, "Save the times", &fields);
        staff.follow(&reply).shows(&["The times are saved"]);
        let stale = staff.submit(&page, "Save the times", &[("mon", "01:00-02:00")]);
        assert_eq!(stale.status, 409, "someone has changed them since");
        // The page says so, also what now would mean, and proposes what is free.
        let page = member.get(MIGRATE);
        page.shows(&["No Linode is stopped in our quiet hours: Mon–Sun", "So none is now; the first may be at", "As soon as it is copied and the quiet hours are over: not before", "At another time"]);
        let tomorrow = (app.now().utc() + Duration::hours(30)).with_timezone(&hand::vienna()).format("%Y-%m-%dT%H:%M").to_string();
        let refused = member.submit(&page, "Migrate web", &[("when", "at"), ("at", &tomorrow)]);
        refused.says(&["No Linode is stopped then: these are quiet hours"]);
        let none = member.submit(&page, "Migrate web", &[("when", "slot-soon")]);
        none.says(&["Choose when it shall stop"]);
        let forgotten = member.submit(&page, "Migrate web", &[("when", "now"), ("at", &tomorrow)]);
        forgotten.says(&["You typed a time: choose “At another time” for it, or empty it"]);
        let first = page.attribute("input[name=when][value^=slot]", "value").unwrap();
        let reply = member.submit(&page, "Migrate web", &[("when", &first)]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        let chosen = app.newest_migration(WEB).not_before.unwrap();
        assert_eq!((chosen.utc().hour(), chosen.utc().minute()), (open, 0));
    }

    fn two_want_the_last_place_of_an_hour(app: TestApp) {
        let app = app.with_fleet();
        for linode in [WEB, OLD] {
            let registration = app.approved(linode);
            app.offer(&app.staff(), registration, Some(XEN1)).unwrap();
        }
        let limits = Limits { per_hour: Some(1), ..Limits::default() };
        app.set_move_times(&app.staff(), &limits, None).unwrap();
        let at = app.now().plus_days(2);
        let second = app.second();
        let member = app.member();
        let outcomes: Vec<Result<Migration, AppError>> = std::thread::scope(|scope| {
            let tries: Vec<_> = [(&app.app, WEB), (&second, OLD)]
                .into_iter()
                .map(|(portal, linode)| {
                    let member = &member;
                    let click = Click { at: Some(at), ..now_click() };
                    scope.spawn(move || portal.migrate(member, linode, click))
                })
                .collect();
            tries.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let refused: Vec<String> = outcomes.iter().filter_map(|it| it.as_ref().err().map(ToString::to_string)).collect();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].contains("All places at that time are taken. The next free time is"), "{refused:?}");
        // Who has the place may move within its hour, and give it up.
        let (winner, loser) = if outcomes[0].is_ok() { (WEB, OLD) } else { (OLD, WEB) };
        let row = app.newest_migration(winner);
        app.unschedule(&app.member(), row.id).unwrap();
        at_time(&app, loser, at).unwrap();
    }

    fn quiet_hours_hold_up_members_only(app: TestApp) {
        let (app, _site) = offered(app);
        let now = app.now().utc();
        let minute = u16::try_from(now.hour() * 60 + now.minute()).unwrap();
        let around = Quiet { begins: (minute + 1440 - 60) % 1440, ends: (minute + 60) % 1440 };
        let around = Quiet { ends: if around.ends == 0 { 1440 } else { around.ends }, ..around };
        let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
        let limits = Limits { quiet: [Some(around); 7], ..Limits::default() };
        // What has begun goes on.
        app.reconcile().unwrap();
        app.set_move_times(&app.staff(), &limits, None).unwrap();
        let order = app.take(crate::support::fleet::UML1);
        app.answer(crate::support::fleet::UML1, &order, xenbeta::wire::Outcome::Failed { retry: false, public: "No.".to_owned(), detail: String::new(), console: None, owns: None }).unwrap();
        assert_eq!(app.migration(row.id).state, MigrationState::Failed);
        // A member's own try is copied, and stops at their end; staff's is not held up.
        app.retry_migration(&app.member(), row.id).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[crate::support::fleet::UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Holding);
        app.run_sql("UPDATE migrations SET queued_by = 3");
        app.work_all(&[crate::support::fleet::UML1, XEN1]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
    }
}
