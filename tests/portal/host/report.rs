//! What a poll reports, and what the answer puts right.

use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::wire::{Inventory, LinodeReport, Poll, Share};

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

    fn a_guest_that_stopped_by_itself_is_noted(app: TestApp) {
        let app = app.with_fleet();
        let mut gone = report(WEB, None);
        gone.running = false;
        app.note_poll(&hand::agent(UML1), &poll(vec![gone])).unwrap();
        assert_eq!(app.linode(WEB).status, LinodeStatus::Offline);
        assert_eq!(app.linode(DB).status, LinodeStatus::Running, "not reported, not changed");
    }
}
