//! What an agent says is only what an agent says: a report answers what was asked, and no text of it does more than be read.

use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::job::{JobKind, JobState};
use xenbeta::domain::linode::{KernelFamily, LinodeStatus};
use xenbeta::domain::migration::MigrationState;
use xenbeta::store;
use xenbeta::wire::{
    DiskDigest, Finish, Inventory, KernelReport, Order, Outcome, Poll, Renew, Report,
};

use crate::both_databases;
use crate::support::TestApp;
use crate::support::fleet::{UML1, UML2, WEB};
use crate::support::hand::agent;

/// Reports of work that nobody asked for.
fn others() -> [Report; 5] {
    [
        Report::Sealed {
            epoch: 777,
            forced: false,
            was_running: true,
            stopped_after_s: None,
        },
        Report::Copied {
            epoch: 1,
            digests: vec![DiskDigest {
                disk: xenbeta::domain::ids::DiskId(1011),
                size_bytes: 1,
                root: "0".repeat(64),
            }],
            sent_bytes: 1,
            seconds: 1.0,
            uncached: None,
        },
        Report::Started {
            epoch: 777,
            running: true,
            helpers_skipped: false,
            started_after_s: None,
            stopped_after_s: None,
        },
        Report::Console {
            text: "all is well".to_owned(),
        },
        Report::Stopped {
            forced: true,
            stopped_after_s: None,
        },
    ]
}

fn answered(app: &TestApp, kind: &str) -> Order {
    let order = app.take(UML1);
    assert_eq!(crate::support::hand::kind(&order), kind);
    order
}

fn status(app: &TestApp, linode: LinodeId) -> LinodeStatus {
    app.linode(linode).status
}

both_databases! {
    fn what_comes_of_a_job_is_said_by_its_own_host(app: TestApp) {
        let app = app.with_fleet();
        app.clicked(WEB);
        let order = answered(&app, "preflight_source");
        let failed = || Outcome::Failed { retry: true, public: String::new(), detail: String::new(), console: None, owns: None };
        let finish = |attempt, lease_token: &str| Finish { attempt, lease_token: lease_token.to_owned(), outcome: failed() };
        let renew = |attempt, lease_token: &str| Renew { attempt, lease_token: lease_token.to_owned(), progress: None, console: None };
        let before = app.in_db(|c| store::job::job(c, order.job)).unwrap();
        for (host, attempt, token) in [
            (UML2, order.attempt, order.lease_token.as_str()),
            (UML1, order.attempt + 1, &order.lease_token),
            (UML1, order.attempt, "another"),
            (UML1, order.attempt, ""),
        ] {
            assert!(app.finish(&agent(host), order.job, &finish(attempt, token)).is_err(), "{host} {attempt} {token}");
            assert!(app.renew(&agent(host), order.job, &renew(attempt, token)).is_err(), "{host} {attempt} {token}");
            let now = app.in_db(|c| store::job::job(c, order.job)).unwrap();
            assert_eq!((now.state, now.failures, now.lease_until), (before.state, before.failures, before.lease_until));
        }
        app.renew(&agent(UML1), order.job, &renew(order.attempt, &order.lease_token)).unwrap();
        app.finish(&agent(UML1), order.job, &finish(order.attempt, &order.lease_token)).unwrap();
    }

    fn a_report_of_other_work_is_a_failed_try(app: TestApp) {
        let app = app.with_fleet();
        let migration = app.clicked(WEB);
        let first = answered(&app, "preflight_source");
        let before = app.newest_migration(WEB);
        let mut order = first;
        for (tries, report) in others().into_iter().enumerate() {
            let said = Outcome::Succeeded { report };
            app.answer(UML1, &order, said).unwrap();
            let job = app.in_db(|c| store::job::job(c, order.job)).unwrap();
            let now = app.newest_migration(WEB);
            assert_eq!((now.epoch, status(&app, WEB)), (before.epoch, LinodeStatus::Running));
            if tries < 4 {
                assert_eq!((job.state, job.failures), (JobState::Pending, i32::try_from(tries).unwrap() + 1));
                assert_eq!((now.state, now.step), (before.state, before.step));
                app.pass_s(20);
                order = answered(&app, "preflight_source");
            } else {
                assert_eq!((job.state, now.state), (JobState::Failed, MigrationState::Failed));
                assert!(job.detail.contains("to preflight_source under epoch 1: Stopped"), "{}", job.detail);
            }
        }
        assert!(app.in_db(|c| store::migration::digests(c, migration.id)).is_empty());
    }

    fn a_reboot_is_not_answered_with_a_copy(app: TestApp) {
        let app = app.with_fleet();
        app.power(&app.member(), WEB, JobKind::Reboot, None).unwrap();
        let mut job = None;
        for report in others() {
            let order = answered(&app, "reboot");
            app.answer(UML1, &order, Outcome::Succeeded { report }).unwrap();
            app.pass_s(20);
            job = Some(order.job);
        }
        app.nothing_for(UML1);
        assert_eq!(app.in_db(|c| store::job::job(c, job.unwrap())).unwrap().state, JobState::Failed);
    }

    fn texts_of_agents_are_read_and_do_nothing_else(app: TestApp) {
        let app = app.with_fleet();
        let odd = "a\0b\x1b[2Jc\u{202e}d\r\ne";
        app.clicked(WEB);
        let order = answered(&app, "preflight_source");
        let said = Outcome::Failed {
            retry: false,
            public: odd.to_owned(),
            detail: odd.to_owned(),
            console: Some(odd.to_owned()),
            owns: None,
        };
        app.answer(UML1, &order, said).unwrap();
        let row = app.newest_migration(WEB);
        assert_eq!((row.failure.as_str(), row.failure_detail.as_str()), ("ab[2Jcde", "ab[2Jcd\ne"));
        let job = app.in_db(|c| store::job::job(c, order.job)).unwrap();
        assert_eq!((job.message.as_str(), job.detail.as_str()), ("ab[2Jcde", "ab[2Jcd\ne"));

        let kernel = |id: &str, label: &str| KernelReport {
            id: id.to_owned(),
            label: label.to_owned(),
            family: KernelFamily::V26,
            modules: false,
            initramfs: false,
        };
        let said = Poll {
            inventory: Inventory {
                agent_version: odd.to_owned(),
                kernels: vec![kernel("2.6.18-xen", "2.6.18"), kernel(odd, "2.6"), kernel("2.6", odd), kernel("", "")],
                unknown: vec![odd.to_owned()],
                ..Inventory::default()
            },
            ..Poll::default()
        };
        app.note_poll(&agent(UML1), &said).unwrap();
        let host = app.in_db(|c| store::host::host(c, UML1)).unwrap();
        assert_eq!(host.agent_version.as_deref(), Some("ab[2Jcde"));
        assert_eq!(host.unknown_disks, "[\"ab[2Jcde\"]");
        assert_eq!(host.kernels, format!("[{}]", serde_json::to_string(&kernel("2.6.18-xen", "2.6.18")).unwrap()));
    }
}
