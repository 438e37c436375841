//! Moves: cancels, the commit, what is taken back, and how they end.

use std::sync::atomic::{AtomicUsize, Ordering};

use xenbeta::domain::job::JobState;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::registration::RegistrationState;
use xenbeta::store;
use xenbeta::store::migration::Migration;
use xenbeta::wire::{Finish, Order, Outcome};

use super::begin::{PRODUCTION, all_heard, with_production};
use super::judge::{jobs_of, mails};
use super::{RACERS, Race, same, so};
use crate::support::TestApp;
use crate::support::fleet::{UML1, WEB, XEN1};
use crate::support::hand::{agent, now_click};
use crate::support::jobs;

super::rows![
    a_cancel_at_work,
    a_cancel_and_the_end_of_its_step,
    a_cancel_and_an_unfit_job,
    a_commit,
    a_grant,
    a_grant_and_a_taking_back,
    a_taking_back_at_the_stop,
    a_taking_back_and_the_last_copy,
    a_confirmation,
    a_way_back,
    a_confirmation_and_a_way_back,
    a_retry,
    a_retry_a_cancel_and_an_offer,
    a_graduation,
];

pub fn finish(order: &Order, outcome: Outcome) -> Finish {
    Finish {
        attempt: order.attempt,
        lease_token: order.lease_token.clone(),
        outcome,
    }
}

pub fn success(app: &TestApp, order: &Order) -> Finish {
    let report = app.success(order);
    finish(order, Outcome::Succeeded { report })
}

pub fn failure(order: &Order, retry: bool) -> Finish {
    let outcome = Outcome::Failed {
        retry,
        public: "The disk is full.".to_owned(),
        detail: "ENOSPC".to_owned(),
        console: None,
        owns: None,
    };
    finish(order, outcome)
}

fn a_cancel_at_work(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), app.clicked(WEB));
    app.work_until("warm_copy");
    Race::of(move |portal, _| portal.cancel_migration(&member, row.id).map(|_| true))
        .won_by(RACERS)
        .noted("migration.cancel", 1)
        .then(move || {
            let log = app.in_db(|conn| store::migration::events(conn, row.id));
            let asked = log
                .iter()
                .filter(|it| it.message.contains("asked to cancel"));
            [
                same(
                    "state",
                    app.migration(row.id).state,
                    MigrationState::Copying,
                ),
                same("asked", asked.count(), 1),
            ]
        })
}

fn a_cancel_and_the_end_of_its_step(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), app.clicked(WEB));
    let order = app.work_until("warm_copy");
    let done = success(app, &order);
    Race::of(move |portal, n| match n % 2 {
        0 => portal.cancel_migration(&member, row.id).map(|_| false),
        _ => portal.finish(&agent(XEN1), order.job, &done).map(|()| true),
    })
    .won_by(1)
    .then(move || {
        let state = app.migration(row.id).state;
        [so(
            &format!("{state} is one of two"),
            matches!(state, MigrationState::Cancelled | MigrationState::Switching),
        )]
    })
}

/// The job cannot be given out: its host drops it while a member cancels what it belongs to.
fn a_cancel_and_an_unfit_job(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), app.clicked(WEB));
    for host in [UML1, XEN1, XEN1] {
        app.work(host);
    }
    app.run_sql("UPDATE hosts SET fingerprint = NULL WHERE id = 3");
    Race::of(move |portal, n| match n % 2 {
        0 => portal.cancel_migration(&member, row.id).map(|_| true),
        _ => portal.claim(&agent(UML1)).map(|_| true),
    })
    .won_by(RACERS)
    .then(move || {
        [same(
            "state",
            app.migration(row.id).state,
            MigrationState::Cancelled,
        )]
    })
}

fn a_commit(app: &TestApp) -> Race<'_> {
    app.clicked(WEB);
    let order = app.work_until("final_copy");
    let done = success(app, &order);
    Race::of(move |portal, _| portal.finish(&agent(XEN1), order.job, &done).map(|()| true))
        .won_by(1)
        .noted("owner", 1)
        .then(|| {
            let it = app.linode(WEB);
            [same(
                "owner",
                (it.host_id, it.epoch, it.fetched),
                (XEN1, 2, false),
            )]
        })
}

pub fn committed(app: &TestApp) -> Migration {
    let row = app.clicked(WEB);
    let order = app.work_until("final_copy");
    let done = success(app, &order);
    app.finish(&agent(XEN1), order.job, &done).unwrap();
    row
}

fn a_grant(app: &TestApp) -> Race<'_> {
    committed(app);
    let before = app.in_db(store::ownership::memory::get).revision;
    Race::of(|portal, _| Ok(portal.claim(&agent(XEN1))?.is_some()))
        .won_by(1)
        .then(move || {
            [
                same(
                    "revision",
                    app.in_db(store::ownership::memory::get).revision,
                    before + 1,
                ),
                so("fetched", app.linode(WEB).fetched),
            ]
        })
}

fn a_grant_and_a_taking_back(app: &TestApp) -> Race<'_> {
    let (staff, row) = (app.staff(), committed(app));
    let granted = std::sync::Arc::new(AtomicUsize::new(0));
    let told = std::sync::Arc::clone(&granted);
    Race::of(move |portal, n| match n % 2 {
        0 => portal.roll_back_migration(&staff, row.id).map(|_| true),
        _ => {
            let is_granted = portal.claim(&agent(XEN1))?.is_some();
            told.fetch_add(usize::from(is_granted), Ordering::SeqCst);
            Ok(is_granted)
        }
    })
    .then(move || {
        let it = app.linode(WEB);
        let should = match granted.load(Ordering::SeqCst) {
            0 => (UML1, 3, false),
            _ => (XEN1, 2, true),
        };
        [same("owner", (it.host_id, it.epoch, it.fetched), should)]
    })
}

fn a_taking_back_at_the_stop(app: &TestApp) -> Race<'_> {
    let (staff, row) = (app.staff(), app.clicked(WEB));
    let order = app.work_until("stop_seal");
    let done = success(app, &order);
    Race::of(move |portal, n| match n % 2 {
        0 => portal.roll_back_migration(&staff, row.id).map(|_| false),
        _ => portal.finish(&agent(UML1), order.job, &done).map(|()| true),
    })
    .won_by(1)
    .noted("owner", 1)
    .then(|| {
        let it = app.linode(WEB);
        [same("owner", (it.host_id, it.epoch), (UML1, 2))]
    })
}

fn a_taking_back_and_the_last_copy(app: &TestApp) -> Race<'_> {
    let (staff, row) = (app.staff(), app.clicked(WEB));
    let order = app.work_until("final_copy");
    let done = success(app, &order);
    Race::of(move |portal, n| match n % 2 {
        0 => portal.roll_back_migration(&staff, row.id).map(|_| false),
        _ => portal.finish(&agent(XEN1), order.job, &done).map(|()| true),
    })
    .won_by(1)
    .then(|| {
        // Copied and taken back, or taken back before.
        let it = app.linode(WEB);
        [so(
            &format!("epoch {} at {}", it.epoch, it.host_id),
            it.host_id == UML1 && matches!(it.epoch, 2 | 3),
        )]
    })
}

fn moved(app: &TestApp) -> Migration {
    let row = app.clicked(WEB);
    app.work_all(&[UML1, XEN1]);
    row
}

fn a_confirmation(app: &TestApp) -> Race<'_> {
    let (staff, member, row) = (app.staff(), app.member(), moved(app));
    Race::of(move |portal, n| {
        let who = if n % 2 == 0 { &staff } else { &member };
        portal.confirm_migration(who, row.id).map(|_| true)
    })
    .won_by(RACERS)
    .noted("migration", 1)
    .then(|| {
        [
            same("purges", jobs_of(app, "purge"), 1),
            same("mails", mails(app, "confirmed"), 1),
        ]
    })
}

fn a_way_back(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), moved(app));
    Race::of(move |portal, _| Ok(portal.way_back(&member, row.id)?.parent_id == Some(row.id)))
        .won_by(RACERS)
        .noted("migration", 1)
        .then(|| {
            [same(
                "moves",
                app.in_db(|conn| store::migration::of_linode(conn, WEB))
                    .len(),
                2,
            )]
        })
}

fn a_confirmation_and_a_way_back(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), moved(app));
    Race::of(move |portal, n| match n % 2 {
        0 => portal.confirm_migration(&member, row.id).map(|_| true),
        _ => portal.way_back(&member, row.id).map(|_| true),
    })
    .won_by(RACERS / 2)
    .noted("migration", 1)
    .then(move || {
        let moves = app
            .in_db(|conn| store::migration::of_linode(conn, WEB))
            .len();
        let found = (app.migration(row.id).state, jobs_of(app, "purge"), moves);
        let fits = matches!(
            found,
            (MigrationState::Confirmed, 1, 1) | (MigrationState::Returning, 0, 2)
        );
        [so(&format!("{found:?}"), fits)]
    })
}

fn a_retry(app: &TestApp) -> Race<'_> {
    let (staff, member, row) = (app.staff(), app.member(), app.failed(WEB));
    Race::of(move |portal, n| {
        let who = if n % 2 == 0 { &staff } else { &member };
        portal.retry_migration(who, row.id).map(|_| true)
    })
    .won_by(RACERS)
    .noted("migration", 1)
    .then(move || [same("round", app.migration(row.id).round, 2)])
}

fn a_retry_a_cancel_and_an_offer(app: &TestApp) -> Race<'_> {
    let (staff, member, row) = (app.staff(), app.member(), app.failed(WEB));
    let registration = row.registration_id.unwrap();
    Race::of(move |portal, n| match n % 3 {
        0 => portal.retry_migration(&member, row.id).map(|_| true),
        1 => portal.cancel_migration(&staff, row.id).map(|_| true),
        _ => portal.offer(&staff, registration, Some(XEN1)).map(|_| true),
    })
    .then(move || {
        let state = app.migration(row.id).state;
        let released = app.in_db(|conn| jobs::of_migration(conn, row.id));
        let waits = released
            .iter()
            .filter(|it| it.state == JobState::Pending)
            .count();
        [
            same("what failed", state, MigrationState::Cancelled),
            so(&format!("{waits} to clean up"), waits <= 2),
        ]
    })
}

fn a_graduation(app: &TestApp) -> Race<'_> {
    let beta = moved(app);
    app.confirm_migration(&app.member(), beta.id).unwrap();
    app.work_all(&[UML1, XEN1]);
    with_production(app);
    all_heard(app);
    let registration = beta.registration_id.unwrap();
    app.offer(&app.staff(), registration, Some(PRODUCTION))
        .unwrap();
    let row = app.migrate(&app.member(), WEB, now_click()).unwrap();
    app.reconcile().unwrap();
    app.work_all(&[XEN1, PRODUCTION]);
    let (staff, member) = (app.staff(), app.member());
    Race::of(move |portal, n| {
        let who = if n % 2 == 0 { &staff } else { &member };
        portal.confirm_migration(who, row.id).map(|_| true)
    })
    .won_by(RACERS)
    .noted("migration", 1)
    .noted("registration", 1)
    .then(move || {
        [same(
            "registration",
            app.registration(registration).state,
            RegistrationState::Graduated,
        )]
    })
}
