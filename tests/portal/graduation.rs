//! The second one-click migration: from a beta host to a production host of the Linode's plan.

use diesel::connection::SimpleConnection;
use xenbeta::app::AppError;
use xenbeta::domain::ids::HostId;
use xenbeta::domain::words::{MigrationKind, MigrationState};
use xenbeta::store::db::StoreError;
use xenbeta::store::{fleet, hosts};
use xenbeta::wire::Task;

use crate::both_databases;
use crate::support::TestApp;
use crate::support::fleet::{UML1, WEB, XEN1, XEN2};
use crate::support::hand::now_click;

const PRODUCTION: HostId = HostId(5);
const OTHER_PLAN: HostId = HostId(6);

impl TestApp {
    /// A production host of WEB's plan, and one of another plan with more room.
    fn with_production(self) -> Self {
        let host = |id: HostId, plan: i64, memory: i64| {
            format!(
                "INSERT INTO hosts (id, name, platform, role, plan_id, state, memory_mb, disk_mb, slots, tells_changes, transfer_address, fingerprint, credential_hash, created_at) VALUES
                 ({id}, 'prod{id}', 'xen', 'production', {plan}, 'enabled', {memory}, 400000, 4, FALSE, '127.0.0.1:700{id}', '{}', 'c{id}', '2026-01-01T00:00:00.000000Z');",
                id.to_string().repeat(64)
            )
        };
        let sql = host(PRODUCTION, 1, 1024) + &host(OTHER_PLAN, 2, 8192);
        self.in_db(|conn| Ok::<_, StoreError>(conn.batch_execute(&sql)?));
        self
    }
}

fn refused(outcome: Result<impl Sized, AppError>) -> String {
    match outcome {
        Err(AppError::Conflict(text)) => text,
        Err(other) => panic!("a conflict, not {other:?}"),
        Ok(_) => panic!("a conflict, not a success"),
    }
}

both_databases! {
    fn a_second_click_moves_it_from_the_beta_to_production(app: TestApp) {
        let app = app.with_fleet();
        let beta = app.clicked(WEB);
        app.work_all(&[UML1, XEN1]);
        let registration = beta.registration_id.unwrap();
        let said = refused(app.offer(&app.staff(), registration, None));
        assert!(said.contains("not confirmed"), "{said}");
        app.confirm_migration(&app.member(), beta.id).unwrap();
        app.work_all(&[UML1, XEN1]);
        let said = refused(app.offer(&app.staff(), registration, None));
        assert!(said.contains("No enabled production host of its plan"), "{said}");

        let app = app.with_production();
        let said = refused(app.offer(&app.staff(), registration, Some(XEN2)));
        assert!(said.contains("another role"), "{said}");
        let said = refused(app.offer(&app.staff(), registration, Some(OTHER_PLAN)));
        assert!(said.contains("another plan"), "{said}");
        let said = refused(app.withdraw(&app.member(), registration));
        assert!(said.contains("runs on Xen already"), "{said}");
        let offer = app.offer(&app.staff(), registration, None).unwrap();
        assert_eq!((offer.kind, offer.destination_host_id), (MigrationKind::Graduation, PRODUCTION));
        let before = app.in_db(|conn| fleet::profiles_of(conn, WEB));

        let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
        assert_eq!(row.id, offer.id);
        app.reconcile().unwrap();
        app.work_all(&[XEN1, PRODUCTION]);
        assert_eq!(app.migration(row.id).state, MigrationState::Finished);
        assert_eq!((app.linode(WEB).host_id, app.linode(WEB).epoch), (PRODUCTION, 3));
        let after = app.in_db(|conn| fleet::profiles_of(conn, WEB));
        assert_eq!(after[0].kernel_id, before[0].kernel_id);
        assert_eq!(after[0].helpers, before[0].helpers, "nothing changes from Xen to Xen");

        let kept = |host| {
            let rooms = app.in_db(hosts::rooms);
            let room = rooms.into_iter().find(|room| room.host == host).unwrap();
            (room.memory_promised_mb, room.disk_promised_mb)
        };
        assert_eq!(kept(XEN1), (512, 80), "its place in the beta is kept for the way back");
        let back = app.way_back(&app.member(), row.id).unwrap();
        assert_eq!(kept(XEN1), (512, 80), "and counted once while it comes back");
        assert_eq!((back.destination_host_id, back.base_epoch), (XEN1, Some(2)));
        app.reconcile().unwrap();
        app.work_all(&[XEN1, PRODUCTION]);
        assert_eq!(app.linode(WEB).host_id, XEN1);
        app.confirm_migration(&app.member(), back.id).unwrap();
        assert_eq!(app.take(PRODUCTION).task, Task::Purge { epoch: 3 });
        app.offer(&app.staff(), registration, None).expect("and can be offered again");
    }
}
