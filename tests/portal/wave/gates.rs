//! Gates: what closes them, that nothing more follows, and that staff let the wave go on.

use xenbeta::app::wave::Deed;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::wave::numbers::Numbers;
use xenbeta::domain::wave::{Stage, WaveKind, WaveState};
use xenbeta::wire::Outcome;

use super::{at_once, wanted};
use crate::both_databases;
use crate::browser::Site;
use crate::support::TestApp;
use crate::support::fleet::{DB, MEMBER_EMAIL, OLD, STAFF_EMAIL, THEIRS, UML1, WEB, XEN1, XEN2};
use crate::support::hand::{agent, now_click};

const HOSTS: [xenbeta::domain::ids::HostId; 3] = [UML1, XEN1, XEN2];

impl TestApp {
    /// Clicked, admitted, and failed for good by its host's first word.
    fn fails(&self, linode: LinodeId) {
        self.clicks(linode);
        self.reconcile().unwrap();
        self.fails_at_its_host(linode);
    }

    fn fails_at_its_host(&self, linode: LinodeId) {
        let order = self.claim(&agent(UML1)).unwrap().expect("an order");
        let no = Outcome::Failed {
            retry: false,
            public: "The disk cannot be read.".to_owned(),
            detail: "EIO".to_owned(),
            console: None,
            owns: None,
        };
        self.answer(UML1, &order, no).unwrap();
        assert_eq!(self.newest_migration(linode).state, MigrationState::Failed);
    }

    fn clicks(&self, linode: LinodeId) {
        let who = if linode == THEIRS {
            self.other_member()
        } else {
            self.member()
        };
        self.migrate(&who, linode, now_click()).unwrap();
    }

    fn moves(&self, linode: LinodeId) {
        self.clicks(linode);
        self.reconcile().unwrap();
        self.work_all(&HOSTS);
        assert_eq!(
            self.newest_migration(linode).state,
            MigrationState::Finished
        );
    }
}

both_databases! {
    fn the_canary_must_run_well_and_any_fault_of_it_closes_the_gate(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.all_ready();
        let numbers = Numbers { canary: 2, watch_min: 10, ..Numbers::usual() };
        let id = app.started(&wanted(WaveKind::Beta, numbers));
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Offered), 2, "first a few");
        app.moves(WEB);
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Waiting), 2, "the canary is watched");
        app.fails(DB);
        app.waves_work();
        app.is_wave(id, WaveState::Paused);
        assert!(app.wave(id).why.contains("1 of the first 2 moves failed or went back"), "{}", app.wave(id).why);
        // Staff see why, are told by mail, and let it go on: another one takes the failed one's place.
        app.pass_s(121);
        app.reconcile().unwrap();
        let told = app.mails_of("staff_needed");
        assert!(told.iter().any(|it| it.contains("The wave “The first” is paused.")), "{told:?}");
        let mut staff = Site::serve(&app.app).signed_in(STAFF_EMAIL);
        staff.get(&format!("/staff/waves/{id}")).shows(&["It paused by itself: 1 of the first 2 moves failed", "1 of 2 that ended"]);
        app.deed(id, Deed::Resume);
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Offered), 1);
        app.moves(OLD);
        app.pass_s(599);
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Waiting), 1);
        app.pass_s(2);
        app.waves_work();
        assert_eq!(app.in_stage(id, Stage::Waiting), 0, "watched for long enough");
        app.is_wave(id, WaveState::Running);
    }

    fn once_a_gate_is_closed_no_move_begins_that_waits_already(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.all_ready();
        let numbers = Numbers { at_once: 1, least: 1, ..at_once() };
        let id = app.started(&wanted(WaveKind::Beta, numbers));
        app.waves_work();
        // Both click, and there is a place for one: as it fails, the other one stays where it is in the queue.
        app.clicks(WEB);
        app.reconcile().unwrap();
        app.clicks(DB);
        app.fails_at_its_host(WEB);
        app.reconcile().unwrap();
        app.is_wave(id, WaveState::Paused);
        assert!(app.wave(id).why.contains("1 of 1 moves failed or went back; it closes at 5 %"));
        assert_eq!(app.newest_migration(DB).state, MigrationState::Queued);
        let site = Site::serve(&app.app);
        let mut member = site.signed_in(MEMBER_EMAIL);
        let url = format!("/members/migrations/{}", app.newest_migration(DB).id);
        member.get(&url).shows(&["Moves are paused for now by our staff. Your click is kept"]);
        site.signed_in(STAFF_EMAIL).get(&url.replace("members", "staff")).shows(&["its wave to go on: it is paused"]);
        // What is beside the wave goes on.
        app.sql("UPDATE wave_items SET state = 'skipped', migration_id = NULL WHERE linode_id = 201");
        app.moves(THEIRS);
        app.deed(id, Deed::Resume);
        app.reconcile().unwrap();
        app.work_all(&HOSTS);
        assert_eq!(app.newest_migration(DB).state, MigrationState::Finished);
    }

    fn a_way_back_counts_as_a_fault_and_so_do_open_bugs_that_name_a_move(app: TestApp) {
        let app = app.with_fleet().with_passwords();
        app.all_ready();
        let numbers = Numbers { least: 2, bugs_most: 0, ..at_once() };
        let id = app.started(&wanted(WaveKind::Beta, numbers));
        app.waves_work();
        app.moves(WEB);
        app.moves(DB);
        app.waves_work();
        app.is_wave(id, WaveState::Running);
        app.way_back(&app.member(), app.newest_migration(WEB).id).unwrap();
        app.waves_work();
        app.is_wave(id, WaveState::Paused);
        assert!(app.wave(id).why.contains("1 of 2 moves failed or went back"), "{}", app.wave(id).why);
        app.reconcile().unwrap();
        app.work_all(&HOSTS);
        assert_eq!(app.linode(WEB).host_id, UML1, "a way back goes on while its wave is paused");
        app.deed(id, Deed::Resume);
        app.waves_work();
        app.is_wave(id, WaveState::Running);
        // A bug, sent from the page of the move.
        let mut member = Site::serve(&app.app).signed_in(MEMBER_EMAIL);
        let moved = app.newest_migration(DB).id;
        let form = member.get(&format!("/members/bugs/new?migration={moved}&title=It+is+slow+there"));
        let reply = member.submit(&form, "Open the bug", &[("happened", "Slow."), ("expected", "Fast."), ("reproduce", "Always.")]);
        assert_eq!(reply.status, 303, "{}", reply.text());
        app.waves_work();
        app.is_wave(id, WaveState::Paused);
        assert!(app.wave(id).why.contains("1 open bugs name moves of it; it closes above 0"), "{}", app.wave(id).why);
        // Who lets it go on knows of that one.
        app.pass_s(1);
        app.deed(id, Deed::Resume);
        app.waves_work();
        app.is_wave(id, WaveState::Running);
    }

    fn downtime_over_what_was_foretold_and_hosts_that_become_unfair_close_it(app: TestApp) {
        let app = app.with_fleet();
        app.all_ready();
        let numbers = Numbers { least: 1, ..at_once() };
        let id = app.started(&wanted(WaveKind::Beta, numbers));
        app.waves_work();
        app.moves(WEB);
        let row = app.newest_migration(WEB);
        let set = |ms: i64| {
            let (stopped, running) = (row.stopped_at.unwrap(), row.stopped_at.unwrap().plus_s(60));
            let text = |at: xenbeta::domain::time::Time| at.utc().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            app.sql(&format!(
                "UPDATE migrations SET was_running = TRUE, stopped_at = '{}', running_at = '{}', foretold_ms = 1000, foretold_most_ms = {ms} WHERE id = {}",
                text(stopped), text(running), row.id
            ));
        };
        set(60_000);
        app.waves_work();
        app.is_wave(id, WaveState::Running);
        set(59_000);
        app.waves_work();
        app.is_wave(id, WaveState::Paused);
        assert!(app.wave(id).why.contains("1 of 1 Linodes were off for longer than was foretold at most"), "{}", app.wave(id).why);
        set(60_000);
        // An hour with contention in which somebody got little of their due, after an even week.
        let to = row.destination_host_id;
        app.deed(id, Deed::Resume);
        let now = app.now().utc().timestamp();
        let slot = now - now % 600 + 600;
        app.sql(&format!(
            "INSERT INTO host_fairness (host_id, step, slot, judged_ms, contended_ms, guests, jain, worst_ratio, worst_excess_ms, least_ratio) VALUES ({to}, 600, {slot}, 600000, 600000, 4, 500, 3000, 100000, 300)"
        ));
        app.waves_work();
        app.is_wave(id, WaveState::Running);
        app.pass_s(1200);
        app.waves_work();
        app.is_wave(id, WaveState::Paused);
        assert!(app.wave(id).why.contains("1 hosts that it moves to divide their CPU unfairly since"), "{}", app.wave(id).why);
    }
}
