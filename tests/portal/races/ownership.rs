//! Who owns what when memories differ: holds, recoveries, ledgers, joint acts, the portal's own row.

use xenbeta::app::App;
use xenbeta::domain::host::HostState;
use xenbeta::domain::ids::HostId;
use xenbeta::domain::linode::LinodeStatus;
use xenbeta::domain::ownership::Row;
use xenbeta::domain::ownership::joint::JointKind;
use xenbeta::store;
use xenbeta::store::db::Db;
use xenbeta::wire::{LedgerMark, Poll, PortalMark};

use super::begin::two_staff;
use super::judge::{count, jobs_of};
use super::migration::success;
use super::{RACERS, Race, same, so};
use crate::host::by_hand::{poll, says};
use crate::ownership::promise::ledger;
use crate::support::TestApp;
use crate::support::fleet::{OLD, PASSWORD, UML1, UML2, WEB, XEN1, XEN2};
use crate::support::hand::agent;

super::rows![
    a_handover,
    a_hold,
    a_hold_and_an_offer,
    a_belief,
    a_belief_that_grants_anew,
    words_and_a_belief,
    a_recovery_begun,
    a_recovery_ended,
    another_database,
    a_first_ledger,
    another_ledger,
    a_joint_act_asked_for,
    a_joint_act_decided,
    a_takeover_and_its_hosts_word,
    a_takeover_and_a_grant,
    a_takeover_and_a_commit_elsewhere,
    a_takeover_and_a_state,
    a_waiver,
    a_look_at_the_clock,
    a_clock_said_right,
    leftovers_found,
];

fn a_handover(app: &TestApp) -> Race<'_> {
    let was = app.linode(WEB).row();
    Race::of(move |portal: &App, n| {
        let to = Row {
            host: [XEN1, XEN2][n % 2],
            epoch: 2,
            fetched: false,
        };
        portal
            .db
            .write(|conn| Ok(store::linode::hand_over(conn, WEB, (was, to))?))
    })
    .won_by(1)
}

/// `xen1` holds itself for the owner of WEB.
fn strange() -> Poll {
    poll(vec![says(WEB, 2, 0, true)])
}

fn a_hold(_: &TestApp) -> Race<'_> {
    Race::of(|portal: &App, _| portal.note_poll(&agent(XEN1), &strange()).map(|_| true))
        .won_by(RACERS)
        .noted("linode.hold", 1)
}

fn a_hold_and_an_offer(app: &TestApp) -> Race<'_> {
    let (staff, id) = (app.staff(), app.approved(OLD));
    Race::of(move |portal, n| match n % 2 {
        0 => portal.note_poll(&agent(XEN1), &strange()).map(|_| true),
        _ => portal.offer(&staff, id, Some(XEN1)).map(|_| true),
    })
    .won_by(RACERS)
    .noted("linode.hold", 1)
    .noted("offer", 1)
}

fn held(app: &TestApp, at_uml1: (i64, i64, bool), at_xen1: Option<(i64, i64, bool)>) {
    for _ in 0..3 {
        let of = |(granted, sealed, running)| vec![says(WEB, granted, sealed, running)];
        let mut all = vec![(UML1, of(at_uml1))];
        all.extend(at_xen1.map(|it| (XEN1, of(it))));
        app.all_poll(&all);
    }
    assert!(app.is_held(WEB));
}

fn a_belief(app: &TestApp) -> Race<'_> {
    held(app, (1, 1, false), Some((2, 0, true)));
    let staff = app.staff();
    Race::of(move |portal, n| match n % 2 {
        0 => portal.believe(&staff, WEB).map(|_| true),
        _ => portal.reconcile().map(|round| round.settled == 1),
    })
    .won_by(1)
    .noted("owner", 1)
    .noted("linode.believe", 1)
    .then(|| {
        let it = app.linode(WEB);
        [same(
            "owner",
            (it.host_id, it.epoch, it.fetched),
            (XEN1, 2, true),
        )]
    })
}

fn a_belief_that_grants_anew(app: &TestApp) -> Race<'_> {
    held(app, (1, 1, false), None);
    let staff = app.staff();
    Race::of(move |portal, _| portal.believe(&staff, WEB).map(|_| true))
        .won_by(1)
        .noted("owner", 1)
        .noted("linode.believe", 1)
        .then(|| {
            let it = app.linode(WEB);
            [
                same("owner", (it.host_id, it.epoch), (UML1, 2)),
                same("starts", jobs_of(app, "start"), 1),
            ]
        })
}

/// Hosts go on speaking of it, and of another one, while it is put right.
fn words_and_a_belief(app: &TestApp) -> Race<'_> {
    held(app, (1, 1, false), Some((2, 0, true)));
    let staff = app.staff();
    let seen = Some(app.mark().unwrap());
    let both = Poll {
        seen,
        ..poll(vec![says(OLD, 5, 0, false), says(WEB, 2, 0, true)])
    };
    Race::of(move |portal, n| match n % 2 {
        0 => portal.believe(&staff, WEB).map(|_| true),
        _ => portal.note_poll(&agent(XEN1), &both).map(|_| false),
    })
    .won_by_at_most(1)
    .noted("linode.hold", 1)
}

fn a_recovery_begun(app: &TestApp) -> Race<'_> {
    let told = app.mark().unwrap();
    let ahead = PortalMark {
        revision: told.revision + 5,
        ..told
    };
    let seen = Poll {
        seen: Some(ahead),
        ..poll(vec![])
    };
    Race::of(move |portal, _| portal.note_poll(&agent(XEN1), &seen).map(|_| true))
        .won_by(RACERS)
        .noted("recovery.begin", 1)
}

fn a_recovery_ended(app: &TestApp) -> Race<'_> {
    app.begin_recovery("a backup was put back").unwrap();
    app.all_poll(&[]);
    Race::of(|portal: &App, _| portal.reconcile().map(|round| round.settled == 1))
        .won_by(1)
        .noted("recovery.end", 1)
}

fn another_database(app: &TestApp) -> Race<'_> {
    app.run_sql("UPDATE portal SET database_mark = 'of another one'");
    Race::of(|portal: &App, _| portal.look_at_database().map(|()| true))
        .won_by(RACERS)
        .noted("recovery.begin", 1)
}

fn shows(ledger: LedgerMark) -> Poll {
    Poll {
        ledger: Some(ledger),
        ..poll(vec![])
    }
}

/// Two agents of one credential speak for the first time: the first one's ledger is pinned, and the other one is noticed.
fn a_first_ledger(app: &TestApp) -> Race<'_> {
    Race::of(|portal: &App, n| {
        let id = ["a", "d"][n % 2].repeat(32);
        let shown = shows(LedgerMark { id, ..ledger(5) });
        portal.note_poll(&agent(UML2), &shown).map(|_| true)
    })
    .noted("ledger.pin", 1)
    .then(|| {
        let host = app.in_db(|conn| store::host::host(conn, UML2)).unwrap();
        [so(
            &format!("the other one is noticed: {:?}", host.ledger_fault),
            !host.ledger_fault.is_empty(),
        )]
    })
}

fn another_ledger(app: &TestApp) -> Race<'_> {
    app.note_poll(&agent(UML2), &shows(ledger(5))).unwrap();
    Race::of(|portal: &App, _| {
        let id = "d".repeat(32);
        let shown = shows(LedgerMark { id, ..ledger(5) });
        portal.note_poll(&agent(UML2), &shown).map(|_| true)
    })
    .noted("ledger.fault", 1)
}

fn a_joint_act_asked_for(app: &TestApp) -> Race<'_> {
    two_staff(app);
    let both = [app.staff(), app.second_staff()];
    Race::of(move |portal, n| {
        let act = (JointKind::Takeover, XEN1);
        portal
            .ask_joint(&both[n % 2], PASSWORD, act, "seen dark")
            .map(|_| true)
    })
    .won_by(RACERS)
    .noted("takeover.ask", 1)
    .then(|| [same("acts", count(app, "joint_acts"), 1)])
}

fn asked(app: &TestApp, kind: JointKind, host: HostId) -> xenbeta::domain::ids::JointActId {
    two_staff(app);
    app.ask_joint(&app.staff(), PASSWORD, (kind, host), "seen dark")
        .unwrap()
}

fn state(app: &TestApp, host: HostId) -> HostState {
    app.in_db(|conn| store::host::host(conn, host))
        .unwrap()
        .state
}

fn a_joint_act_decided(app: &TestApp) -> Race<'_> {
    let id = asked(app, JointKind::Takeover, XEN1);
    let (sam, sue) = (app.staff(), app.second_staff());
    let begun = super::judge::mark(app);
    Race::of(move |portal, n| match n % 2 {
        0 => portal.decide_joint(&sue, PASSWORD, id, true).map(|_| true),
        _ => portal.decide_joint(&sam, PASSWORD, id, false).map(|_| true),
    })
    .won_by(1)
    .then(move || {
        let trail = super::judge::since(app, &begun);
        let said: Vec<&str> = trail.iter().map(|it| it.action.as_str()).collect();
        let fits = match state(app, XEN1) {
            HostState::Quarantined => said == ["takeover.agree"],
            _ => said == ["takeover.withdraw"],
        };
        [so(&format!("{said:?} is what was done"), fits)]
    })
}

/// The host finishes the move that brought the Linode there, at the moment at which it is taken over.
fn a_takeover_and_its_hosts_word(app: &TestApp) -> Race<'_> {
    let id = asked(app, JointKind::Takeover, XEN1);
    app.clicked(WEB);
    let order = app.work_until("start");
    let done = success(app, &order);
    let sue = app.second_staff();
    Race::of(move |portal, n| match n % 2 {
        0 => portal.decide_joint(&sue, PASSWORD, id, true).map(|_| true),
        _ => portal
            .finish(&agent(XEN1), order.job, &done)
            .map(|()| false),
    })
    .won_by(1)
    .then(|| {
        let it = app.linode(WEB);
        [same("owner", (it.host_id, it.epoch), (UML1, 3))]
    })
}

/// What is granted to the host at the moment at which it is taken over is taken back, and nothing is granted later.
fn a_takeover_and_a_grant(app: &TestApp) -> Race<'_> {
    let id = asked(app, JointKind::Takeover, XEN1);
    super::migration::committed(app);
    let sue = app.second_staff();
    Race::of(move |portal, n| match n % 2 {
        0 => portal.decide_joint(&sue, PASSWORD, id, true).map(|_| false),
        _ => Ok(portal.claim(&agent(XEN1))?.is_some()),
    })
    .won_by_at_most(1)
    .then(|| {
        let it = app.linode(WEB);
        [same("owner", (it.host_id, it.epoch), (UML1, 3))]
    })
}

fn a_takeover_and_a_commit_elsewhere(app: &TestApp) -> Race<'_> {
    let id = asked(app, JointKind::Takeover, UML2);
    app.clicked(WEB);
    let order = app.work_until("final_copy");
    let done = success(app, &order);
    let sue = app.second_staff();
    Race::of(move |portal, n| match n % 2 {
        0 => portal.decide_joint(&sue, PASSWORD, id, true).map(|_| true),
        _ => portal.finish(&agent(XEN1), order.job, &done).map(|()| true),
    })
    .won_by(2)
    .noted("owner", 1)
    .noted("takeover.agree", 1)
}

fn a_takeover_and_a_state(app: &TestApp) -> Race<'_> {
    let id = asked(app, JointKind::Takeover, XEN1);
    let (sam, sue) = (app.staff(), app.second_staff());
    Race::of(move |portal, n| match n % 8 {
        0 => portal.decide_joint(&sue, PASSWORD, id, true).map(|_| true),
        n => {
            let both = [HostState::Draining, HostState::Enabled];
            let change = (both[(n + 1) % 2], both[n % 2]);
            portal.set_host_state(&sam, XEN1, change).map(|()| false)
        }
    })
    .won_by(1)
    .then(|| [same("state", state(app, XEN1), HostState::Quarantined)])
}

fn a_waiver(app: &TestApp) -> Race<'_> {
    app.begin_recovery("a backup was put back").unwrap();
    let id = asked(app, JointKind::Waive, XEN2);
    app.pass_s(6);
    for host in [UML1, UML2, XEN1] {
        app.polls(host, vec![]);
    }
    let sue = app.second_staff();
    Race::of(move |portal, n| match n % 2 {
        0 => portal.decide_joint(&sue, PASSWORD, id, true).map(|_| true),
        _ => portal.reconcile().map(|_| false),
    })
    .won_by(1)
    .noted("waive.agree", 1)
    .then(|| {
        app.reconcile().unwrap();
        [so(
            "the recovery is over",
            app.recovery().unwrap().is_none(),
        )]
    })
}

fn a_look_at_the_clock(app: &TestApp) -> Race<'_> {
    let last = app.in_db(store::ownership::memory::get);
    let now = app.now();
    Race::of(move |portal, _| {
        let look =
            |conn: &mut Db| store::ownership::memory::take_look(conn, last.watched_at, now, 5);
        portal.db.write(look).map_err(Into::into)
    })
    .won_by(1)
    .then(move || {
        [same(
            "watched",
            app.in_db(store::ownership::memory::get).watched_s,
            last.watched_s + 5,
        )]
    })
}

fn a_clock_said_right(app: &TestApp) -> Race<'_> {
    app.run_sql("UPDATE portal SET clock_jump_s = 86400");
    let staff = app.staff();
    Race::of(move |portal, _| portal.clock_is_right(&staff).map(|()| true))
        .won_by(RACERS)
        .noted("clock", 1)
}

/// A host has disks of a Linode that moved on, and two portals tidy up.
fn leftovers_found(app: &TestApp) -> Race<'_> {
    let row = app.clicked(WEB);
    app.work_all(&[UML1, XEN1]);
    app.confirm_migration(&app.member(), row.id).unwrap();
    app.work_all(&[UML1, XEN1]);
    app.polls(UML1, vec![says(WEB, 1, 1, false)]);
    let purged = jobs_of(app, "purge");
    assert_eq!(app.linode(WEB).status, LinodeStatus::Running);
    Race::of(|portal: &App, _| portal.tidy().map(|()| true))
        .won_by(RACERS)
        .then(move || [same("purges", jobs_of(app, "purge"), purged + 1)])
}
