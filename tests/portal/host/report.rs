//! What a poll reports, and what the answer puts right.

use diesel::connection::SimpleConnection;
use xenbeta::domain::audit::Object;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::store;
use xenbeta::store::error::StoreError;
use xenbeta::wire::{Inventory, LinodeReport, Poll, Share, Task};

use crate::both_databases;
use crate::support::fleet::{DB, THEIRS, UML1, WEB};
use crate::support::hand;

fn report(linode: LinodeId, share: Option<Share>) -> LinodeReport {
    LinodeReport {
        linode,
        granted: 1,
        sealed: 0,
        generation: None,
        running: true,
        since: None,
        sample: None,
        share,
    }
}

fn poll(linodes: Vec<LinodeReport>) -> Poll {
    Poll {
        wait_s: 0,
        held: vec![],
        free_slots: 1,
        inventory: Inventory {
            linodes,
            ..Inventory::default()
        },
        ..Poll::default()
    }
}

both_databases! {
    fn a_wrong_share_is_answered_with_the_right_one(app: TestApp) {
        let app = app.with_fleet();
        let share = |cpu_weight, io_priority| Some(Share { cpu_weight, io_priority });
        // 512 MiB and weight 512 are WEB's plan, 1024 is DB's; where the platform has no shares, nothing is asked for.
        let reports = vec![report(WEB, share(512, 4)), report(DB, share(512, 4)), report(THEIRS, None)];
        let wrong = app.note_poll(&hand::agent(UML1), &poll(reports)).unwrap();
        assert_eq!(wrong, vec![(DB, Share { cpu_weight: 1024, io_priority: 3 })]);
        let reports = vec![report(DB, share(1024, 3)), report(LinodeId(999), share(1, 1))];
        assert_eq!(app.note_poll(&hand::agent(UML1), &poll(reports)).unwrap(), vec![]);
    }

    fn a_report_between_polls_says_nothing_of_jobs(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let order = app.take(UML1);
        let mut inventory = poll(vec![report(WEB, None)]).inventory;
        inventory.linodes[0].running = false;
        app.note_report(&hand::agent(UML1), &inventory).unwrap();
        assert_eq!(app.linode(WEB).status, LinodeStatus::Offline);
        app.nothing_for(UML1);
        app.note_poll(&hand::agent(UML1), &poll(vec![])).unwrap();
        app.nothing_for(UML1); // it pauses
        app.pass_s(1);
        let again = app.take(UML1);
        assert_eq!((again.job, again.attempt), (order.job, order.attempt + 1), "a poll that holds nothing says it was lost");
    }

    fn a_poll_that_had_to_wait_writes_nothing_that_is_over(app: TestApp) {
        let app = app.with_fleet();
        let other = app.second();
        let mut gone = report(WEB, None);
        gone.running = false;
        let polled = poll(vec![gone]);
        std::thread::scope(|scope| {
            let mut racer = None;
            app.db.write(|conn| {
                // It moves, and runs there; nobody sees that yet.
                conn.batch_execute("UPDATE linodes SET host_id = 3, epoch = 2 WHERE id = 101; UPDATE ips SET host_id = 3 WHERE linode_id = 101")?;
                racer = Some(scope.spawn(|| other.note_poll(&hand::agent(UML1), &polled)));
                // It has looked, and waits to write.
                std::thread::sleep(std::time::Duration::from_millis(700));
                Ok::<_, StoreError>(())
            }).unwrap();
            racer.unwrap().join().unwrap().unwrap();
        });
        assert_eq!(app.linode(WEB).status, LinodeStatus::Running, "what its old host said is not so any more");
    }

    fn a_guest_that_stopped_by_itself_is_noted(app: TestApp) {
        let app = app.with_fleet();
        let mut gone = report(WEB, None);
        gone.running = false;
        app.note_poll(&hand::agent(UML1), &poll(vec![gone])).unwrap();
        assert_eq!(app.linode(WEB).status, LinodeStatus::Offline);
        assert_eq!(app.linode(DB).status, LinodeStatus::Running, "not reported, not changed");
    }

    fn a_report_from_before_a_boot_ended_does_not_contradict_it(app: TestApp) {
        let app = app.with_fleet();
        let agent = hand::agent(UML1);
        let mut before = poll(vec![LinodeReport { running: false, ..report(WEB, None) }]).inventory;
        let says = |inventory: &Inventory| app.note_report(&agent, inventory).unwrap().again;
        app.in_db(|conn| store::linode::set_status(conn, WEB, LinodeStatus::Running, app.now()));
        assert!(says(&before), "it is to be said again");
        assert_eq!(app.linode(WEB).status, LinodeStatus::Running);
        app.pass_s(6);
        before.took_ms = 8_000;
        assert!(says(&before), "so long did the look take");
        assert_eq!(app.linode(WEB).status, LinodeStatus::Running);
        before.took_ms = 300;
        assert!(!says(&before));
        assert_eq!(app.linode(WEB).status, LinodeStatus::Offline);
        assert!(says(&poll(vec![report(WEB, None)]).inventory), "nor does one contradict what was reported");
        assert_eq!(app.linode(WEB).status, LinodeStatus::Offline);
        // The portal's clock was put back by a day.
        app.pass_s(-86_400);
        assert!(!says(&poll(vec![report(WEB, None)]).inventory));
        assert_eq!(app.linode(WEB).status, LinodeStatus::Running);
    }

    fn a_reboot_of_its_host_is_not_forgotten_for_a_boot_that_just_ended(app: TestApp) {
        let app = app.with_fleet();
        let says = |boot: &str, running| {
            let mut said = poll(vec![LinodeReport { running, ..report(WEB, None) }]);
            said.inventory.boot = boot.to_owned();
            app.note_poll(&hand::agent(UML1), &said).unwrap();
        };
        says("first", true);
        app.in_db(|conn| store::linode::set_status(conn, WEB, LinodeStatus::Running, app.now()));
        says("second", false);
        assert_eq!(app.linode(WEB).status, LinodeStatus::Running, "too soon to tell");
        app.pass_s(6);
        says("second", false);
        assert_eq!(app.linode(WEB).status, LinodeStatus::Booting);
    }

    fn what_ran_when_its_host_went_down_is_booted_once_when_it_is_up_again(app: TestApp) {
        let app = app.with_fleet();
        let says = |boot: &str, runs: [bool; 2]| {
            let mut said = poll(vec![report(WEB, None), report(DB, None)]);
            for (report, running) in said.inventory.linodes.iter_mut().zip(runs) {
                report.running = running;
            }
            said.inventory.boot = boot.to_owned();
            app.note_poll(&hand::agent(UML1), &said).unwrap();
        };
        let statuses = || [WEB, DB].map(|linode| app.linode(linode).status);
        // DB is shut down from inside, which its host's reboot does not undo.
        says("first", [true, false]);
        assert_eq!(statuses(), [LinodeStatus::Running, LinodeStatus::Offline]);
        for _ in 0..2 {
            says("second", [false, false]);
            assert_eq!(statuses(), [LinodeStatus::Booting, LinodeStatus::Offline]);
        }
        let order = app.take(UML1);
        assert!(matches!(&order.task, Task::Boot { guest, .. } if guest.label == app.linode(WEB).label));
        app.nothing_for(UML1);
        let trail = app.in_db(|conn| store::audit::audit_of(conn, Object::Linode(WEB)));
        let of_portal = trail.iter().filter(|row| row.actor == "portal" && row.before == "running" && row.after == "booting");
        assert_eq!(of_portal.count(), 1);
    }

    fn what_could_not_be_looked_at_after_a_reboot_is_booted_when_it_is_found_off(app: TestApp) {
        let app = app.with_fleet();
        let says = |boot: &str, said: Vec<LinodeReport>| {
            let mut said = poll(said);
            said.inventory.boot = boot.to_owned();
            app.note_poll(&hand::agent(UML1), &said).unwrap();
        };
        let off = |linode| LinodeReport { running: false, ..report(linode, None) };
        says("first", vec![report(WEB, None), report(DB, None)]);
        says("second", vec![report(DB, None)]);
        assert_eq!(app.linode(WEB).status, LinodeStatus::Running, "not looked at");
        says("second", vec![off(WEB), report(DB, None)]);
        assert_eq!(app.linode(WEB).status, LinodeStatus::Booting);
        // It was found up in this boot, and ended by itself.
        says("second", vec![off(WEB), off(DB)]);
        assert_eq!(app.linode(DB).status, LinodeStatus::Offline);
    }

    fn a_boot_that_was_not_known_before_boots_nothing(app: TestApp) {
        let app = app.with_fleet();
        let mut gone = report(WEB, None);
        gone.running = false;
        let mut said = poll(vec![gone]);
        for boot in ["", "first", ""] {
            said.inventory.boot = boot.to_owned();
            app.note_poll(&hand::agent(UML1), &said).unwrap();
            assert_eq!(app.linode(WEB).status, LinodeStatus::Offline);
        }
        app.nothing_for(UML1);
    }
}
