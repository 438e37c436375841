//! Offers and what becomes of them until a move begins: clicks, chosen times, the queue, and emptying a host.

use xenbeta::app::App;
use xenbeta::app::evacuation::{Order, Wanted};
use xenbeta::app::migration::actions::Click;
use xenbeta::domain::ids::{HostId, LinodeId};
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::programme::move_times::Limits;
use xenbeta::store::migration::Migration;

use super::begin::{PRODUCTION, all_heard, with_production};
use super::judge::mails;
use super::{RACERS, Race, same, so};
use crate::support::TestApp;
use crate::support::fleet::{DB, OLD, THEIRS, UML1, UML2, WEB, XEN1, XEN2};
use crate::support::hand::now_click;

super::rows![
    an_offer,
    offers_of_two_places,
    the_last_room,
    a_click,
    a_time_chosen,
    the_last_place_of_an_hour,
    a_time_given_up,
    the_end_of_an_offer,
    the_last_slot,
    a_cancel_in_the_queue,
    a_cancel_and_an_admission,
    a_reminder,
    a_host_emptied,
    a_click_and_an_evacuation,
    an_offer_to_graduate,
];

fn an_offer(app: &TestApp) -> Race<'_> {
    let (staff, id) = (app.staff(), app.approved(WEB));
    Race::of(move |portal, _| portal.offer(&staff, id, Some(XEN1)).map(|_| true))
        .won_by(RACERS)
        .noted("offer", 1)
        .then(|| [same("mails", mails(app, "offer_ready"), 1)])
}

fn offers_of_two_places(app: &TestApp) -> Race<'_> {
    let (staff, id) = (app.staff(), app.approved(WEB));
    Race::of(move |portal, n| {
        let host = [XEN1, XEN2][n % 2];
        portal.offer(&staff, id, Some(host)).map(|_| true)
    })
    .noted("offer", 1)
}

fn the_last_room(app: &TestApp) -> Race<'_> {
    let (staff, ids) = (app.staff(), [WEB, OLD].map(|it| app.approved(it)));
    app.run_sql("UPDATE hosts SET memory_mb = 512 WHERE id = 4");
    Race::of(move |portal, n| portal.offer(&staff, ids[n % 2], Some(XEN2)).map(|_| true))
        .won_by(RACERS / 2)
        .noted("offer", 1)
}

fn offered(app: &TestApp, linode: LinodeId) -> Migration {
    let id = app.approved(linode);
    app.offer(&app.staff(), id, Some(XEN1)).unwrap()
}

fn a_click(app: &TestApp) -> Race<'_> {
    let (member, offer) = (app.member(), offered(app, WEB));
    Race::of(move |portal, _| Ok(portal.migrate(&member, WEB, now_click())?.id == offer.id))
        .won_by(RACERS)
        .noted("migration", 1)
}

fn a_time_chosen(app: &TestApp) -> Race<'_> {
    let (member, offer, now) = (app.member(), offered(app, WEB), app.now());
    Race::of(move |portal, n| {
        let at = Some(now.plus_s(7200 + 60 * i64::try_from(n % 4).unwrap()));
        let click = Click { at, ..now_click() };
        Ok(portal.migrate(&member, WEB, click)?.id == offer.id)
    })
    .won_by(RACERS)
    .noted("migration", 1)
    .then(move || {
        [same(
            "state",
            app.migration(offer.id).state,
            MigrationState::Queued,
        )]
    })
}

fn the_last_place_of_an_hour(app: &TestApp) -> Race<'_> {
    let member = app.member();
    let offers = [WEB, OLD, DB].map(|linode| (linode, offered(app, linode).id));
    let limits = Limits {
        per_hour: Some(1),
        ..Limits::default()
    };
    app.set_move_times(&app.staff(), &limits, None).unwrap();
    let click = Click {
        at: Some(app.now().plus_s(7200)),
        ..now_click()
    };
    Race::of(move |portal, n| {
        portal
            .migrate(&member, offers[n % 3].0, click)
            .map(|_| true)
    })
    .noted("migration", 1)
}

fn scheduled(app: &TestApp, after_s: i64) -> Migration {
    offered(app, WEB);
    let at = Some(app.now().plus_s(after_s));
    let click = Click { at, ..now_click() };
    app.migrate(&app.member(), WEB, click).unwrap()
}

fn a_time_given_up(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), scheduled(app, 7200));
    Race::of(move |portal, _| portal.unschedule(&member, row.id).map(|_| true))
        .won_by(RACERS)
        .noted("migration", 1)
        .then(move || {
            [same(
                "state",
                app.migration(row.id).state,
                MigrationState::Offered,
            )]
        })
}

fn the_end_of_an_offer(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), offered(app, WEB));
    app.pass_watched_s(15 * 86_400);
    Race::of(move |portal, n| match n % 4 {
        0 => portal.migrate(&member, WEB, now_click()).map(|_| true),
        _ => portal.reconcile().map(|_| false),
    })
    .won_by(0)
    .noted("migration", 1)
    .then(move || {
        [
            same(
                "state",
                app.migration(row.id).state,
                MigrationState::Expired,
            ),
            same("mails", mails(app, "offer_expired"), 1),
        ]
    })
}

fn the_last_slot(app: &TestApp) -> Race<'_> {
    app.run_sql("UPDATE programme SET max_overall = 1, max_per_link = 5");
    for linode in [WEB, OLD, DB] {
        offered(app, linode);
        app.migrate(&app.member(), linode, now_click()).unwrap();
    }
    Race::of(|portal: &App, _| portal.reconcile().map(|round| round.admitted == 1))
        .won_by(1)
        .noted("migration", 1)
}

fn a_cancel_in_the_queue(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), scheduled(app, 7200));
    Race::of(move |portal, _| portal.cancel_migration(&member, row.id).map(|_| true))
        .won_by(RACERS)
        .noted("migration", 1)
        .noted("migration.cancel", 1)
}

fn a_cancel_and_an_admission(app: &TestApp) -> Race<'_> {
    let (member, row) = (app.member(), offered(app, WEB));
    app.migrate(&member, WEB, now_click()).unwrap();
    Race::of(move |portal, n| match n % 2 {
        0 => portal.cancel_migration(&member, row.id).map(|_| true),
        _ => portal.reconcile().map(|_| true),
    })
    .won_by(RACERS)
    .noted("migration.cancel", 1)
    .then(move || {
        [same(
            "state",
            app.migration(row.id).state,
            MigrationState::Cancelled,
        )]
    })
}

fn a_reminder(app: &TestApp) -> Race<'_> {
    scheduled(app, 2 * 86_400);
    app.pass_watched_s(86_400 + 10);
    Race::of(|portal: &App, _| portal.reconcile().map(|round| round.reminded == 1))
        .won_by(1)
        .then(|| [same("mails", mails(app, "time_reminder"), 1)])
}

fn order(moves: &[(LinodeId, HostId)]) -> Order {
    let wanted = |(linode, to): &(LinodeId, HostId)| Wanted {
        linode: *linode,
        to: *to,
        close: false,
    };
    Order {
        why: "A disk of the host begins to fail.".to_owned(),
        at: None,
        moves: moves.iter().map(wanted).collect(),
    }
}

fn a_host_emptied(app: &TestApp) -> Race<'_> {
    all_heard(app);
    let staff = app.staff();
    let all = order(&[(WEB, UML2), (DB, UML2), (OLD, UML2), (THEIRS, UML2)]);
    let some = order(&[(OLD, UML2), (WEB, UML2)]);
    Race::of(move |portal, n| {
        let order = if n % 2 == 0 { &all } else { &some };
        Ok(portal.evacuate(&staff, UML1, order)?.refused.is_empty())
    })
    .won_by(RACERS)
    .noted("evacuate", 4)
    .noted("host.empty", 1)
    .then(|| [same("mails", mails(app, "evacuation"), 4)])
}

fn a_click_and_an_evacuation(app: &TestApp) -> Race<'_> {
    all_heard(app);
    let (staff, member, row) = (app.staff(), app.member(), offered(app, WEB));
    let order = order(&[(WEB, UML2)]);
    Race::of(move |portal, n| match n % 2 {
        0 => portal
            .evacuate(&staff, UML1, &order)
            .map(|it| it.refused.is_empty()),
        _ => portal.migrate(&member, WEB, now_click()).map(|_| true),
    })
    .then(move || {
        let state = app.migration(row.id).state;
        let live = app.live_of(WEB).len();
        [
            same("live moves", live, 1),
            so(
                &format!("{state} is one of two"),
                matches!(state, MigrationState::Queued | MigrationState::Cancelled),
            ),
        ]
    })
}

fn an_offer_to_graduate(app: &TestApp) -> Race<'_> {
    let beta = app.clicked(WEB);
    app.work_all(&[UML1, XEN1]);
    app.confirm_migration(&app.member(), beta.id).unwrap();
    app.work_all(&[UML1, XEN1]);
    with_production(app);
    all_heard(app);
    let (staff, id) = (app.staff(), beta.registration_id.unwrap());
    Race::of(move |portal, n| match n % 2 {
        0 => portal
            .offer_graduations(&staff, &[(WEB, PRODUCTION)])
            .map(|it| it.refused.is_empty()),
        _ => portal.offer(&staff, id, Some(PRODUCTION)).map(|_| true),
    })
    .won_by(RACERS)
    .noted("offer", 1)
}
