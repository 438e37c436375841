//! Jobs: claims, leases and their ends, retries, and the ones a member asks for.

use xenbeta::app::App;
use xenbeta::domain::ids::ConfigId;
use xenbeta::domain::job::{JobKind, JobState};
use xenbeta::store;
use xenbeta::wire::{Poll, Progress, Renew};

use super::judge::count;
use super::migration::{failure, success};
use super::{RACERS, Race, same, so};
use crate::support::TestApp;
use crate::support::fleet::{DB, UML1, WEB, XEN1};
use crate::support::hand::agent;
use crate::support::jobs;

super::rows![
    a_claim,
    two_claims_for_two_linodes,
    two_jobs_of_one_linode,
    the_end_of_a_job,
    a_loss,
    all_that_can_end_a_lease,
    a_job_tried_again,
    a_reboot,
    the_last_profiles,
    a_reboot_and_a_shutdown,
    a_look_at_the_console,
    a_proof_asked_for,
];

fn claims<'a>() -> Race<'a> {
    Race::of(|portal: &App, _| Ok(portal.claim(&agent(UML1))?.is_some()))
}

fn a_claim(app: &TestApp) -> Race<'_> {
    app.clicked(WEB);
    claims().won_by(1)
}

fn two_claims_for_two_linodes(app: &TestApp) -> Race<'_> {
    for linode in [WEB, DB] {
        app.power(&app.member(), linode, JobKind::Reboot, None)
            .unwrap();
    }
    claims().won_by(2)
}

fn two_jobs_of_one_linode(app: &TestApp) -> Race<'_> {
    app.power(&app.member(), WEB, JobKind::Reboot, None)
        .unwrap();
    app.read_console(&app.member(), WEB).unwrap();
    claims().won_by(1)
}

fn the_end_of_a_job(app: &TestApp) -> Race<'_> {
    let row = app.clicked(WEB);
    let order = app.work_until("reserve");
    let done = success(app, &order);
    Race::of(move |portal, _| portal.finish(&agent(XEN1), order.job, &done).map(|()| true))
        .won_by(1)
        .then(move || {
            [same(
                "jobs",
                app.in_db(|conn| jobs::of_migration(conn, row.id)).len(),
                4,
            )]
        })
}

/// The agent says that it does not have it, and its lease has run out.
fn a_loss(app: &TestApp) -> Race<'_> {
    app.clicked(WEB);
    let order = app.work_until("warm_copy");
    app.pass_watched_s(31);
    Race::of(|portal: &App, n| match n % 2 {
        0 => portal
            .note_poll(&agent(XEN1), &Poll::default())
            .map(|_| false),
        _ => portal.reconcile().map(|round| round.released == 1),
    })
    .won_by_at_most(1)
    .then(move || {
        let job = app.in_db(|conn| store::job::job(conn, order.job)).unwrap();
        [same(
            "job",
            (job.state, job.losses, job.attempt),
            (JobState::Pending, 1, 1),
        )]
    })
}

fn all_that_can_end_a_lease(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), app.clicked(WEB));
    let order = app.work_until("warm_copy");
    let (done, again, never) = (
        success(app, &order),
        failure(&order, true),
        failure(&order, false),
    );
    let renew = Renew {
        attempt: order.attempt,
        lease_token: order.lease_token.clone(),
        progress: Some(Progress {
            pass: 1,
            done_bytes: 1,
            total_bytes: 2,
            sent_bytes: 1,
            bytes_per_s: 1,
            left_bytes: None,
            checked_bytes: None,
        }),
        console: None,
    };
    let id = order.job;
    app.pass_watched_s(31);
    Race::of(move |portal, n| {
        let host = agent(XEN1);
        let ended = |finish| portal.finish(&host, id, finish).map(|()| true);
        match n % 7 {
            0 => ended(&done),
            1 => ended(&again),
            2 => ended(&never),
            3 => portal.renew(&host, id, &renew).map(|_| false),
            4 => portal.note_poll(&host, &Poll::default()).map(|_| false),
            5 => portal.reconcile().map(|_| false),
            _ => portal.cancel_migration(&member, row.id).map(|_| false),
        }
    })
    .won_by_at_most(1)
    .then(move || {
        let job = app.in_db(|conn| store::job::job(conn, id)).unwrap();
        [so(
            &format!(
                "{} lost and {} failed at most once",
                job.losses, job.failures
            ),
            job.losses + job.failures <= 1,
        )]
    })
}

fn a_job_tried_again(app: &TestApp) -> Race<'_> {
    let id = app
        .power(&app.member(), WEB, JobKind::Reboot, None)
        .unwrap();
    let order = app.take(UML1);
    app.finish(&agent(UML1), id, &failure(&order, false))
        .unwrap();
    let staff = app.staff();
    Race::of(move |portal, _| portal.retry_job(&staff, id).map(|()| true))
        .won_by(1)
        .noted("job.retry", 1)
}

/// One profile stays, whoever deletes which.
fn the_last_profiles(app: &TestApp) -> Race<'_> {
    app.run_sql("INSERT INTO config_profiles (id, linode_id, label, kernel_id, devices, root_device, read_only_root, run_level, helpers) VALUES (31, 101, 'second', 'uml-2.6', '{}', '/dev/ubda', TRUE, 'default', '[]'); UPDATE linodes SET boot_config_id = NULL WHERE id = 101");
    let member = app.member();
    Race::of(move |portal, n| {
        let id = ConfigId([1, 31][n % 2]);
        portal.delete_profile(&member, WEB, id).map(|()| true)
    })
    .won_by(1)
    .noted("profile.delete", 1)
    .then(|| {
        let left = count(app, "config_profiles WHERE linode_id = 101");
        [same("left", left, 1)]
    })
}

fn a_reboot(app: &TestApp) -> Race<'_> {
    let member = app.member();
    Race::of(move |portal, _| {
        portal
            .power(&member, WEB, JobKind::Reboot, None)
            .map(|_| true)
    })
    .won_by(RACERS)
    .noted("power", 1)
}

fn a_reboot_and_a_shutdown(app: &TestApp) -> Race<'_> {
    let member = app.member();
    Race::of(move |portal, n| {
        let kind = [JobKind::Reboot, JobKind::Shutdown][n % 2];
        portal.power(&member, WEB, kind, None).map(|_| true)
    })
    .won_by(RACERS / 2)
    .noted("power", 1)
}

fn a_look_at_the_console(app: &TestApp) -> Race<'_> {
    let member = app.member();
    Race::of(move |portal, _| portal.read_console(&member, WEB).map(|_| true)).won_by(RACERS)
}

/// Two hosts have old disks of one Linode: both wait for its owner's word, which is asked for once.
fn a_proof_asked_for(app: &TestApp) -> Race<'_> {
    let row = app.clicked(WEB);
    app.work_all(&[UML1, XEN1]);
    app.way_back(&app.member(), row.id).unwrap();
    app.reconcile().unwrap();
    app.work_all(&[UML1, XEN1]);
    let back = app.newest_migration(WEB);
    app.confirm_migration(&app.member(), back.id).unwrap();
    Race::of(|portal: &App, n| {
        let host = [UML1, XEN1][n % 2];
        Ok(portal.claim(&agent(host))?.is_some())
    })
    .won_by_at_most(1)
}
