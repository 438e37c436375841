//! Registrations, their decisions, the seats, and the programme's own row.

use xenbeta::app::App;
use xenbeta::app::error::AppError;
use xenbeta::app::fairness::weights::ByHand;
use xenbeta::app::programme::Settings;
use xenbeta::domain::fairness::shares::Rule;
use xenbeta::domain::ids::LinodeId;
use xenbeta::domain::migration::MigrationState;
use xenbeta::domain::programme::move_times::Limits;
use xenbeta::domain::programme::{ProgrammeState, TextSection};
use xenbeta::domain::registration::RegistrationState;
use xenbeta::domain::string_enum::StringEnum;
use xenbeta::domain::time::Time;
use xenbeta::store;

use super::begin::one_each;
use super::judge::{count, mails};
use super::{RACERS, Race, same, so};
use crate::support::TestApp;
use crate::support::fleet::{DB, OLD, WEB, XEN1};
use crate::support::hand::now_click;

super::rows![
    one_form_sent_again,
    forms_that_overlap,
    the_last_seats,
    the_first_limit_of_seats,
    an_approval,
    a_refusal,
    a_withdrawal,
    decisions_against_each_other,
    a_withdrawal_and_a_click,
    the_end_of_the_beta,
    what_the_end_closes,
    settings_saved,
    a_text_saved,
    move_times_saved,
    a_weight_rule_saved,
    a_weight_set_by_hand,
];

fn requested(app: &TestApp) -> i64 {
    app.in_db(|conn| store::registration::count(conn, RegistrationState::Requested))
}

fn one_form_sent_again(app: &TestApp) -> Race<'_> {
    let member = app.member();
    Race::of(move |portal, _| Ok(portal.register(&member, &[WEB])?.done == [WEB]))
        .won_by(RACERS)
        .noted("register", 1)
        .then(|| {
            [
                same("requested", requested(app), 1),
                same("mails", mails(app, "registered"), 1),
            ]
        })
}

fn forms_that_overlap(app: &TestApp) -> Race<'_> {
    const FORMS: [&[LinodeId]; 6] = [
        &[WEB, DB],
        &[DB, OLD],
        &[OLD, WEB],
        &[DB],
        &[OLD, DB, WEB],
        &[OLD],
    ];
    let member = app.member();
    Race::of(move |portal, n| {
        let form = FORMS[n % FORMS.len()];
        Ok(portal.register(&member, form)?.done.len() == form.len())
    })
    .won_by(RACERS)
    .noted("register", 3)
    .then(|| [same("requested", requested(app), 3)])
}

fn the_last_seats(app: &TestApp) -> Race<'_> {
    let (member, linodes) = (app.member(), one_each(app, RACERS));
    app.run_sql("UPDATE programme SET seats = 3");
    Race::of(move |portal, n| Ok(portal.register(&member, &[linodes[n]])?.done.len() == 1))
        .won_by(3)
        .noted("register", 3)
        .then(|| [same("requested", requested(app), 3)])
}

fn settings(seats: Option<i64>, seen: Option<Time>) -> Settings {
    Settings {
        state: ProgrammeState::Open,
        irc: Default::default(),
        forum: Default::default(),
        seats,
        offer_days: 1,
        way_back_days: 1,
        max_overall: 1,
        max_per_link: 1,
        max_warm_passes: 1,
        watch_s: 1,
        opens_at: None,
        expected_end_at: None,
        seen,
    }
}

fn seen(app: &TestApp) -> Option<Time> {
    app.in_db(store::programme::stored)
        .map(|row| row.changed_at)
}

/// Who registered before the limit was set stays; after it, nobody gets a place that is not there.
fn the_first_limit_of_seats(app: &TestApp) -> Race<'_> {
    let (member, staff, linodes) = (app.member(), app.staff(), one_each(app, RACERS));
    let limit = settings(Some(2), seen(app));
    let begun = super::judge::mark(app);
    Race::of(move |portal, n| {
        if n == 9 {
            portal.set_programme(&staff, &limit)?;
        } else {
            portal.register(&member, &[linodes[n]])?;
        }
        Ok(true)
    })
    .noted("programme", 1)
    .then(move || {
        let trail = super::judge::since(app, &begun);
        let before = trail
            .iter()
            .take_while(|it| it.action != "programme")
            .count();
        let after = trail.len() - before - 1;
        let is_kept = after <= 2_usize.saturating_sub(before);
        [so(
            &format!("{before} before the limit of two, {after} after it"),
            is_kept,
        )]
    })
}

fn one_requested(app: &TestApp) -> xenbeta::domain::ids::RegistrationId {
    app.register(&app.member(), &[WEB]).unwrap();
    app.in_db(|conn| store::registration::newest_of(conn, WEB))
        .unwrap()
        .id
}

fn an_approval(app: &TestApp) -> Race<'_> {
    let (staff, id) = (app.staff(), one_requested(app));
    Race::of(move |portal, _| Ok(portal.approve(&staff, &[id])?.done == [id]))
        .won_by(RACERS)
        .noted("registration", 1)
        .then(|| [same("mails", mails(app, "approved"), 1)])
}

fn a_refusal(app: &TestApp) -> Race<'_> {
    let (staff, id) = (app.staff(), one_requested(app));
    Race::of(move |portal, _| Ok(portal.decline(&staff, &[id], "Not now.")?.done == [id]))
        .won_by(RACERS)
        .noted("registration", 1)
        .then(|| [same("mails", mails(app, "declined"), 1)])
}

fn a_withdrawal(app: &TestApp) -> Race<'_> {
    let member = app.member();
    let id = app.approved(WEB);
    let offer = app.offer(&app.staff(), id, Some(XEN1)).unwrap();
    Race::of(move |portal, _| portal.withdraw(&member, id).map(|()| true))
        .won_by(RACERS)
        .noted("registration", 1)
        .noted("migration", 1)
        .then(move || {
            [same(
                "its offer",
                app.migration(offer.id).state,
                MigrationState::Cancelled,
            )]
        })
}

fn decisions_against_each_other(app: &TestApp) -> Race<'_> {
    let (staff, member, id) = (app.staff(), app.member(), one_requested(app));
    Race::of(move |portal, n| match n % 3 {
        0 => portal.approve(&staff, &[id]).map(|it| !it.done.is_empty()),
        1 => portal
            .decline(&staff, &[id], "Not now.")
            .map(|it| !it.done.is_empty()),
        _ => portal.withdraw(&member, id).map(|()| true),
    })
    .then(move || {
        let state = app.registration(id).state;
        let told = mails(app, "approved") + mails(app, "declined");
        [
            so(
                &format!("{state} is an end"),
                matches!(
                    state,
                    RegistrationState::Declined | RegistrationState::Withdrawn
                ),
            ),
            so(&format!("{told} decisions told"), told <= 1),
        ]
    })
}

fn a_withdrawal_and_a_click(app: &TestApp) -> Race<'_> {
    let (member, id) = (app.member(), app.approved(WEB));
    let offer = app.offer(&app.staff(), id, Some(XEN1)).unwrap();
    Race::of(move |portal, n| match n % 2 {
        0 => portal.withdraw(&member, id).map(|()| true),
        _ => portal.migrate(&member, WEB, now_click()).map(|_| true),
    })
    .noted("registration", 1)
    .then(move || {
        [
            same(
                "its registration",
                app.registration(id).state,
                RegistrationState::Withdrawn,
            ),
            same(
                "its offer",
                app.migration(offer.id).state,
                MigrationState::Cancelled,
            ),
        ]
    })
}

fn the_end_of_the_beta(app: &TestApp) -> Race<'_> {
    let (staff, seen) = (app.staff(), seen(app));
    Race::of(move |portal, _| portal.end_programme(&staff, seen).map(|()| true))
        .won_by(RACERS)
        .noted("programme.end", 1)
}

fn what_the_end_closes(app: &TestApp) -> Race<'_> {
    let approved = app.approved(WEB);
    app.offer(&app.staff(), approved, Some(XEN1)).unwrap();
    app.register(&app.member(), &[DB]).unwrap();
    app.ended();
    Race::of(|portal: &App, _| portal.reconcile().map(|round| round.ended > 0))
        .noted("registration", 2)
        .noted("migration", 1)
        .then(|| [same("mails", mails(app, "beta_ended"), 2)])
}

fn settings_saved(app: &TestApp) -> Race<'_> {
    let (staff, seen) = (app.staff(), seen(app));
    let seats = |n: usize| Some(100 + i64::try_from(n).unwrap());
    Race::of(move |portal, n| {
        portal
            .set_programme(&staff, &settings(seats(n), seen))
            .map(|()| true)
    })
    .won_by(1)
    .noted("programme", 1)
}

fn a_text_saved(app: &TestApp) -> Race<'_> {
    let staff = app.staff();
    Race::of(move |portal, n| {
        let text = format!("Text {n}");
        portal
            .set_text(&staff, TextSection::ALL[0], &text, None)
            .map(|()| true)
    })
    .won_by(1)
    .noted("programme.text", 1)
    .then(|| [same("texts", count(app, "programme_texts"), 1)])
}

fn move_times_saved(app: &TestApp) -> Race<'_> {
    let staff = app.staff();
    Race::of(move |portal, n| -> Result<bool, AppError> {
        let per_hour = Some(1 + i32::try_from(n).unwrap());
        let limits = Limits {
            per_hour,
            ..Limits::default()
        };
        portal.set_move_times(&staff, &limits, None).map(|()| true)
    })
    .won_by(1)
}

fn a_weight_rule_saved(app: &TestApp) -> Race<'_> {
    let staff = app.staff();
    Race::of(move |portal, n| {
        let base = 100 + i64::try_from(n).unwrap();
        let rule = Rule::Linear { base, unit_mb: 512 };
        portal.set_weight_rule(&staff, rule, None).map(|()| true)
    })
    .won_by(1)
    .noted("weight_rule", 1)
}

fn a_weight_set_by_hand(app: &TestApp) -> Race<'_> {
    let staff = app.staff();
    Race::of(move |portal, _| {
        portal
            .set_linode_weight(
                &staff,
                WEB,
                ByHand {
                    weight: Some(777),
                    reason: "It was promised.",
                    was: None,
                },
            )
            .map(|()| true)
    })
    .won_by(RACERS)
    .noted("linode_weight", 1)
}
