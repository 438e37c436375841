//! What staff do with waves on their pages, and who may.

use std::time::Duration;

use xenbeta::app::error::AppError;
use xenbeta::app::wave::Deed;
use xenbeta::domain::account::StaffRole;
use xenbeta::domain::ids::WaveId;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::wave::{Sequence, Stage, WaveKind, WaveState};

use super::{at_once, wanted};
use crate::both_databases;
use crate::browser::Site;
use crate::pages::gzip;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, UML1, WEB};

both_databases! {
    fn a_wave_is_made_looked_at_started_and_stopped(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.all_ready();
        let site = Site::serve(&app.app);
        let mut staff = site.signed_in(STAFF_EMAIL);
        let list = staff.get("/staff/waves");
        list.shows(&["There are none."]);
        let form = staff.get(&list.link("Make a wave…"));
        // What is wrong is said beside its field, and what was typed is kept.
        let foul = [("name", ""), ("at_once", "many"), ("window", "noon"), ("q", "mia")];
        let again = staff.submit(&form, "Make the wave", &foul);
        assert_eq!(again.status, 422);
        again.says_beside("at_once", "Enter a whole number for “Moves at work at once”");
        again.says_beside("window", "Enter hours like 08:00-18:00");
        assert_eq!(again.attribute("#q", "value").unwrap(), "mia");
        for (field, value, says) in [
            ("name", "", "Give it a name"),
            ("canary", "1001", "Enter a number from 0 to 1000"),
            ("only", "web nobody", "No Linode “nobody” can go in this wave now"),
            ("q", "nothing-like-it", "No Linode can go in such a wave now"),
        ] {
            let fields = [("name", "Night one"), (field, value)];
            let fields = if field == "name" { &fields[1..] } else { &fields[..] };
            let beside = if field == "q" { "kind" } else { field };
            let reply = staff.submit(&form, "Make the wave", fields);
            assert_eq!(reply.status, 422, "{field}: {}", reply.text());
            reply.says(&[says]);
            assert!(beside == "kind" || reply.texts(&format!("#{beside}-error")).len() == 1, "{field}");
        }
        let fields = [("name", "Night one"), ("only", "web, db\nold"), ("sequence", "smallest"), ("canary", "1"), ("watch_min", "30")];
        let reply = staff.submit(&form, "Make the wave", &fields);
        assert_eq!(staff.submit(&form, "Make the wave", &fields).location, reply.location, "sent twice is one");
        let page = staff.follow(&reply);
        assert_eq!(page.heading(), "Night one");
        page.shows(&["Not started", "Nothing has been given out", "the smallest disks first", "1 first, watched for 30 minutes"]);
        let names = page.column("Linodes of the wave", "Linode");
        assert!(names.len() == 3 && names[2] == "web", "{names:?}");
        app.waves_work();
        assert!(app.live_of(WEB).is_empty(), "made is not started");
        // Who waits in one wave goes in no other.
        let other = staff.get("/staff/waves/new?kind=beta&q=mia");
        staff.submit(&other, "Make the wave", &[("name", "Another")]).says(&["All of these wait in other waves"]);
        // Asked before it starts; then it gives out the first one only.
        let ask = staff.get(&page.link("Start it…"));
        ask.shows(&["3 Linodes wait. Each is offered a place"]);
        let reply = staff.submit(&ask, "Start Night one", &[]);
        assert_eq!(staff.submit(&ask, "Start Night one", &[]).status, 303, "twice is once");
        app.waves_work();
        let page = staff.follow(&reply);
        page.shows(&["Running", "The canary goes first: 0 of 1 have moved", "Gates", "any, of the canary"]);
        assert_eq!((page.fact("Offered"), page.fact("Waiting")), ("1".to_owned(), "2".to_owned()));
        assert_eq!(page.texts("figure.chart title"), ["Moves of the wave"]);
        assert_eq!(page.row("Gates, and how they stand", "Failed or went back")[1], "0 of 0 that ended");
        // One is let out, the others are listed and exported by what became of them.
        let waiting = staff.get(&format!("{}?show=waiting", page.path));
        let skipped = waiting.column("Linodes of the wave", "Linode")[0].clone();
        let reply = staff.submit(&waiting, &format!("Skip {skipped}"), &[]);
        let page = staff.follow(&reply);
        page.shows(&["It does not go in this wave.", "Skipped"]);
        assert_eq!(staff.submit(&waiting, &format!("Skip {skipped}"), &[]).status, 303, "twice is once");
        let csv = staff.get(&format!("{}/items.csv?show=waiting", page.path)).csv();
        assert_eq!(csv.lines().count(), 2, "{csv}");
        assert_eq!(staff.get(&format!("{}?show=x", page.path)).status, 400);
        // Paused and going on at once, stopped after a question.
        let reply = staff.submit(&page, "Pause it", &[]);
        let page = staff.follow(&reply);
        page.shows(&["It is paused since", &format!("{STAFF_EMAIL} paused it")]);
        staff.get("/staff/waves?state=paused").shows(&["Night one"]);
        staff.get("/staff/").shows(&["1 waves paused"]);
        let reply = staff.submit(&page, "Let it go on", &[]);
        let page = staff.follow(&reply);
        let ask = staff.get(&page.link("Stop it…"));
        ask.shows(&["Offers that were made stand"]);
        let reply = staff.submit(&ask, "Stop Night one", &[]);
        staff.follow(&reply).shows(&["Stopped"]).hides(&["Start it…", "Let it go on"]);
        app.waves_work();
        let states: Vec<_> = [WEB, DB, OLD].iter().map(|it| app.live_of(*it).len()).collect();
        assert_eq!(states.iter().sum::<usize>(), 1, "its offer stands, and nothing more is given: {states:?}");
        let trail = staff.get("/staff/audit?action=wave");
        for said in ["Night one, 3 Linodes", "running", "paused it", "skipped", "stopped"] {
            trail.says(&[said]);
        }
        assert!(staff.get("/staff/waves.csv").csv().contains("Night one"));
        // A member sees nothing of it.
        let mut member = site.signed_in(MEMBER_EMAIL);
        for path in ["/staff/waves", "/staff/waves/new", page.path.as_str(), "/staff/waves/pause"] {
            assert_eq!(member.get(path).status, 404, "{path}");
        }
    }

    fn an_account_gets_one_mail_and_portals_share_a_wave(app: TestApp) {
        let app = app.with_fleet();
        app.all_ready();
        let id = app.started(&wanted(WaveKind::Beta, at_once()));
        let portals: Vec<_> = (0..4).map(|_| app.second()).collect();
        std::thread::scope(|scope| {
            for portal in &portals {
                scope.spawn(|| while portal.work_waves(Duration::from_secs(30)).unwrap() {});
            }
        });
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Offered), 4, "{:?}", app.items_of(id));
        let told = app.mails_of("batch");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("3 of your Linodes can migrate: db old web"), "{}", told[0]);
        let alone = app.mails_of("offer_ready");
        assert!(alone.len() == 1 && alone[0].contains("theirs"), "{alone:?}");
        for linode in [WEB, DB, OLD, THEIRS] {
            assert_eq!(app.live_of(linode).len(), 1, "each once");
        }
        app.waves_work();
        assert_eq!((app.mails_of("batch").len(), app.mails_of("offer_ready").len()), (1, 1));
    }

    fn what_is_given_later_is_told_then_and_a_wave_ends_when_all_is_over(app: TestApp) {
        let app = app.with_fleet();
        app.all_ready();
        let numbers = xenbeta::domain::wave::numbers::Numbers { out_most: 1, ..at_once() };
        let mut of = wanted(WaveKind::Beta, numbers);
        of.whom.only = "web db".to_owned();
        let id = app.started(&of);
        app.waves_work();
        assert!(app.mails_of("offer_ready").is_empty(), "another may follow in a moment");
        app.pass_s(61);
        app.waves_work();
        assert_eq!(app.mails_of("offer_ready").len(), 1);
        // The first one's member moves it, and the next one is offered.
        app.migrate(&app.member(), WEB, crate::support::hand::now_click()).unwrap();
        app.reconcile().unwrap();
        app.work_all(&[UML1, crate::support::fleet::XEN1, crate::support::fleet::XEN2]);
        app.waves_work();
        assert_eq!(app.states(id), [(WEB, Some(MigrationState::Finished)), (DB, Some(MigrationState::Offered))]);
        assert_eq!(app.mails_of("offer_ready").len(), 2, "the last one is told at once");
        // Its offer stands again after a cancel, as another one, and stays the wave's.
        app.migrate(&app.member(), DB, crate::support::hand::now_click()).unwrap();
        app.reconcile().unwrap();
        app.cancel_migration(&app.member(), app.newest_migration(DB).id).unwrap();
        let stands = app.newest_migration(DB);
        assert_eq!((stands.state, app.items_of(id)[1].migration), (MigrationState::Offered, Some(stands.id)));
        app.is_wave(id, WaveState::Running);
        app.pass_s(15 * 86_400);
        app.reconcile().unwrap();
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::CameToNothing), 1);
        app.is_wave(id, WaveState::Ended);
        assert!(app.do_with_wave(&app.staff(), id, Deed::Resume).is_err());
    }

    fn only_who_may_move_may_let_a_wave_go_and_it_stops_when_they_may_no_more(app: TestApp) {
        let app = app.with_fleet().with_second_staff();
        app.all_ready();
        let mut support = app.staff();
        support.staff_role = Some(StaffRole::Support);
        let of = wanted(WaveKind::Beta, at_once());
        assert!(matches!(app.make_wave(&support, &of), Err(AppError::Right(..))));
        assert!(matches!(app.pause_moves(&support, "No."), Err(AppError::Right(..))));
        let id = app.make_wave(&app.staff(), &of).unwrap();
        for deed in [Deed::Start, Deed::Pause, Deed::Resume, Deed::Stop] {
            assert!(app.do_with_wave(&support, id, deed).is_err());
            assert!(app.do_with_wave(&app.member(), id, deed).is_err());
        }
        assert!(app.skip_in_wave(&support, id, WEB).is_err());
        assert!(app.do_with_wave(&app.staff(), WaveId(987_654), Deed::Start).is_err());
        assert!(app.do_with_wave(&app.staff(), id, Deed::Resume).is_err(), "not started");
        app.deed(id, Deed::Start);
        app.set_user_disabled(&app.second_staff(), app.staff().user, true).unwrap();
        app.waves_work();
        app.is_wave(id, WaveState::Paused);
        assert!(app.wave(id).why.contains("who let it go may not do so any more"));
        assert_eq!(app.in_stage(id, Stage::Waiting), 4);
        // Another one lets it go on, in their own name.
        app.do_with_wave(&app.second_staff(), id, Deed::Resume).unwrap();
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Offered), 4);
    }

    fn pages_of_many_keep_their_budget(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        let at = "'2026-01-01T00:00:00.000000Z'";
        let sql: String = (1..=150).map(|n| {
            let id = 5000 + n;
            format!(
                "INSERT INTO linodes (id, account_id, label, plan_id, host_id, epoch, fetched, status, status_at, mac, created_at) VALUES ({id}, 2, 'node-{n:03}', 1, 2, 1, TRUE, 'running', {at}, 'fe:fd:00:01:00:{n:02x}', {at});
                 INSERT INTO disks (id, linode_id, label, size_mb, filesystem, created_at) VALUES ({id}, {id}, 'root', 64, 'ext4', {at});
                 INSERT INTO registrations (id, linode_id, account_id, requested_by, state, requested_at) VALUES ({id}, {id}, 2, 2, 'approved', {at});"
            )
        }).collect();
        app.sql(&sql);
        let of = xenbeta::app::wave::Wanted { sequence: Sequence::InTurn, ..wanted(WaveKind::Beta, at_once()) };
        let id = app.make_wave(&app.staff(), &of).unwrap();
        let mut staff = Site::serve(&app.app).signed_in(STAFF_EMAIL);
        let page = staff.get(&format!("/staff/waves/{id}"));
        assert_eq!(page.column("Linodes of the wave", "Linode").len(), 100);
        let size = gzip(&page.body);
        assert!(size <= 14 * 1024, "{size} bytes of gzip");
        let next = staff.get(&page.link("Next page"));
        assert_eq!(next.column("Linodes of the wave", "Linode").len(), 50);
        assert_eq!(staff.get(&format!("/staff/waves/{id}/items.csv")).csv().lines().count(), 151);
    }
}
