//! Where a wave's Linodes go: hosts that drain get nothing, at the offer, at the click and at the start; the moves off a host keep
//! the wave's limits and its times of day.

use xenbeta::app::wave::Wanted;
use xenbeta::domain::ids::HostId;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::wave::numbers::Numbers;
use xenbeta::domain::wave::{Stage, WaveKind, WaveState, Window};

use super::{at_once, wanted};
use crate::both_databases;
use crate::support::TestApp;
use crate::support::fleet::{DB, OLD, THEIRS, UML1, UML2, WEB, XEN1, XEN2};
use crate::support::hand::{now_click, refused};

impl TestApp {
    fn set_state(&self, host: HostId, state: &str) {
        self.sql(&format!(
            "UPDATE hosts SET state = '{state}' WHERE id = {host}"
        ));
    }

    fn started_at_hosts(&self) -> Vec<HostId> {
        [WEB, DB, OLD, THEIRS]
            .iter()
            .filter(|it| !self.live_of(**it).is_empty())
            .map(|it| self.newest_migration(*it).destination_host_id)
            .collect()
    }
}

fn off_uml1(numbers: Numbers) -> Wanted {
    let mut of = wanted(WaveKind::Evacuation, numbers);
    of.whom.host = Some(UML1);
    of.reason = "A disk of the host begins to fail.".to_owned();
    of
}

both_databases! {
    fn a_host_that_drains_gets_nothing_at_any_moment(app: TestApp) {
        let app = app.with_fleet();
        app.all_ready();
        let id = app.started(&wanted(WaveKind::Beta, at_once()));
        // At the offer: those that are shut in any way are passed by.
        app.set_state(XEN1, "draining");
        app.waves_work();
        assert_eq!(app.started_at_hosts(), [XEN2; 4]);
        // At the click.
        app.set_state(XEN2, "draining");
        let why = refused(app.migrate(&app.member(), WEB, now_click()));
        assert!(why.contains("xen2 cannot take part in this move now: the host takes no new Linodes"), "{why}");
        // At the start: clicked before, and the host drains before its turn.
        app.set_state(XEN2, "enabled");
        app.migrate(&app.member(), WEB, now_click()).unwrap();
        app.set_state(XEN2, "draining");
        app.reconcile().unwrap();
        let row = app.newest_migration(WEB);
        assert!(row.started_at.is_none(), "{}", row.state);
        // Offers to it are withdrawn, and what finds no place waits, with why.
        assert_eq!(app.in_stage(id, Stage::CameToNothing), 3);
        for state in ["draining", "disabled", "quarantined"] {
            app.set_state(XEN2, state);
            let of = Wanted { once: format!("once-{state}"), ..wanted(WaveKind::Beta, at_once()) };
            let next = app.started(&of);
            app.waves_work();
            let items = app.items_of(next);
            assert!(items.iter().all(|it| it.migration.is_none() && it.why.contains("No enabled beta host has room")), "{items:?}");
            app.do_with_wave(&app.staff(), next, xenbeta::app::wave::Deed::Stop).unwrap();
        }
    }

    fn a_dead_or_retired_host_gets_nothing_and_what_found_no_place_is_tried_again(app: TestApp) {
        let app = app.with_fleet();
        app.all_ready();
        app.sql("UPDATE hosts SET last_seen_at = '2026-01-01T00:00:00.000000Z' WHERE id = 3; UPDATE hosts SET credential_hash = NULL WHERE id = 4");
        let id = app.started(&wanted(WaveKind::Beta, at_once()));
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Waiting), 4, "silent, and not enrolled");
        app.sql("UPDATE hosts SET last_seen_at = NULL WHERE id = 3");
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Waiting), 4, "not at once");
        app.pass_s(301);
        app.waves_work();
        assert_eq!(app.started_at_hosts(), [XEN1; 4]);
    }

    fn moves_off_a_host_go_by_the_waves_limits_and_its_times_of_day(app: TestApp) {
        let app = app.with_fleet();
        app.sql("UPDATE hosts SET memory_mb = 8192, disk_free_mb = NULL");
        let numbers = Numbers { at_once: 1, out_most: 2, ..at_once() };
        // It is noon.
        let night = Window { begins: 22 * 60, ends: 6 * 60 };
        let nobody = Wanted { reason: " ".to_owned(), ..off_uml1(numbers) };
        assert!(app.make_wave(&app.staff(), &nobody).is_err(), "members are told why");
        let of = Wanted { window: Some(night), ..off_uml1(numbers) };
        let id = app.started(&of);
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Waiting), 4, "not by day");
        let drains = app.in_db(|conn| xenbeta::store::host::host(conn, UML1)).unwrap();
        assert!(drains.emptying_since.is_some(), "it takes no new ones from its start on");
        app.pass_watched_s(11 * 3600);
        app.sql("UPDATE hosts SET last_seen_at = NULL");
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Queued), 2);
        app.reconcile().unwrap();
        assert_eq!((app.in_stage(id, Stage::AtWork), app.in_stage(id, Stage::Queued)), (1, 1), "one at once");
        let mut begun = 1;
        for _ in 0..8 {
            app.work_all(&[UML1, UML2]);
            app.waves_work();
            app.reconcile().unwrap();
            begun = begun.max(app.in_stage(id, Stage::AtWork));
        }
        assert_eq!((begun, app.in_stage(id, Stage::Done)), (1, 4));
        app.is_wave(id, WaveState::Ended);
        let told = app.mails_of("batch");
        assert!(told.iter().any(|it| it.contains("A disk of the host begins to fail.")), "{told:?}");
        assert!(app.mails_of("evacuation").is_empty(), "not one for each: {told:?}");
        for linode in [WEB, DB, OLD, THEIRS] {
            assert_eq!((app.linode(linode).host_id, app.newest_migration(linode).state), (UML2, MigrationState::Finished));
        }
    }

    fn a_move_of_staffs_in_a_wave_does_not_begin_outside_its_times(app: TestApp) {
        let app = app.with_fleet();
        app.sql("UPDATE hosts SET memory_mb = 8192, disk_free_mb = NULL");
        let noon = Window { begins: 11 * 60, ends: 13 * 60 };
        let id = app.started(&Wanted { window: Some(noon), ..off_uml1(Numbers { at_once: 1, ..at_once() }) });
        app.waves_work();
        app.reconcile().unwrap();
        assert_eq!((app.in_stage(id, Stage::AtWork), app.in_stage(id, Stage::Queued)), (1, 3));
        app.pass_watched_s(2 * 3600);
        app.sql("UPDATE hosts SET last_seen_at = NULL");
        for _ in 0..3 {
            app.work_all(&[UML1, UML2]);
        }
        assert_eq!((app.in_stage(id, Stage::Done), app.in_stage(id, Stage::Queued)), (1, 3), "what had begun ends");
        app.pass_watched_s(22 * 3600);
        app.sql("UPDATE hosts SET last_seen_at = NULL");
        app.reconcile().unwrap();
        assert_eq!(app.in_stage(id, Stage::AtWork), 1);
    }
}
