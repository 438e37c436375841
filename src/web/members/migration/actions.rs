//! What a member does to a migration: each destructive act asks first, then is posted.

use super::shared::{at_migration, find, url_of};
use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::app::migration::guard::{closed_to_members, no_way_back};
use crate::app::migration::offer_again;
use crate::app::migration::schedule::can_unschedule;
use crate::domain::ids::MigrationId;
use crate::domain::migration::{AT_WORK, MigrationKind, MigrationState};
use crate::store::migration::Migration;
use crate::store::migration::page::MigrationDetail;
use crate::web::extract::{Form, Member, Nothing, Path};
use crate::web::fault::{Fault, Response, Result};
use crate::web::members::linode::shared::page_of;
use crate::web::migration::trial;
use crate::web::page::{self, ConfirmPage};
use crate::web::portal;
use crate::web::ui::units;

type Call = fn(&App, &Actor, MigrationId) -> Result<Migration, AppError>;

async fn call(member: &Member, id: i64, call: Call) -> Result<Migration> {
    // Staff may act on anyone's migration, but not from the members' pages.
    find(member, id).await?;
    let done = member.act(move |app, actor| call(app, actor, MigrationId(id)));
    done.await.map_err(|fault| at_migration(fault, id))
}

async fn act(member: &Member, id: i64, what: Call) -> Response {
    let row = call(member, id, what).await?;
    Ok(page::see_other(&url_of(row.id)))
}

/// Before `verb`: the question, and the button's words.
fn ask(member: &Member, of: &MigrationDetail, verb: &str, words: [String; 2]) -> ConfirmPage {
    let [title, button] = words;
    let id = of.migration.id;
    let url = url_of(id);
    let page = page_of(member, &of.linode, title).crumb(format!("Migration {id}"), &url);
    ConfirmPage::new(page, button, format!("{url}/{verb}"))
}

/// `GET /members/migrations/{id}/cancel`
pub async fn ask_cancel(member: Member, id: Path<i64>) -> Response {
    let (detail, now) = find(&member, id.0).await?;
    if detail.migration.kind == MigrationKind::Evacuation {
        let why =
            "Staff move this Linode because its host is being emptied: only they can cancel that.";
        return Err(at_migration(Fault::conflict(why), id.0));
    }
    let what = format!("Cancel the move of {}", detail.linode.label);
    let row = detail.migration.clone();
    let is_kept = portal::run(&member.portal, move |app| {
        app.db.read(|conn| offer_again::is_kept(conn, &row, now))
    })
    .await?;
    let until = member.zone().both(detail.migration.expires_at).text;
    let then = match detail.migration.kind {
        MigrationKind::Return => "What was copied is thrown away. The way back stays open as long as it was.".to_owned(),
        _ if is_kept && AT_WORK.contains(&detail.migration.state) => format!("What was copied is thrown away. The offer stands again until {until}: you can start it anew."),
        _ => "What was copied is thrown away, and the place on the new host is given up. Staff can offer you another.".to_owned(),
    };
    let stays = "The Linode stays on its present host and goes on running.".to_owned();
    ask(&member, &detail, "cancel", [format!("{what}?"), what])
        .says([stays, then])
        .danger(true)
        .back(url_of(detail.migration.id), "Go on with the move")
        .html()
}

/// `POST /members/migrations/{id}/cancel`
pub async fn cancel(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    act(&member, id.0, App::cancel_migration).await
}

/// `GET /members/migrations/{id}/confirm`
pub async fn ask_confirm(member: Member, id: Path<i64>) -> Response {
    let (detail, _) = find(&member, id.0).await?;
    let label = &detail.linode.label;
    let words = [
        format!("Confirm the move of {label}?"),
        format!("Confirm the move and delete the old copy of {label}"),
    ];
    let lines = [
        "The copy on the host that it left is deleted for good, and there is no way back by one click any more.",
        "If you are not sure, wait: it is confirmed by itself when the time for the way back is over.",
    ];
    ask(&member, &detail, "confirm", words)
        .says(lines)
        .danger(true)
        .back(url_of(detail.migration.id), "Not yet")
        .html()
}

/// `POST /members/migrations/{id}/confirm`
pub async fn confirm(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    act(&member, id.0, App::confirm_migration).await
}

/// `GET /members/migrations/{id}/way-back`
pub async fn ask_way_back(member: Member, id: Path<i64>) -> Response {
    let (detail, _) = find(&member, id.0).await?;
    if let Some(why) = closed_to_members(&detail.migration, &detail.source) {
        return Err(at_migration(Fault::conflict(why), id.0));
    }
    let (row, source) = (detail.migration.clone(), detail.source.clone());
    let obstacle = portal::run(&member.portal, move |app| {
        app.db.read(|conn| no_way_back(conn, &row, &source))
    })
    .await?;
    if let Some(why) = obstacle {
        return Err(at_migration(Fault::conflict(why), id.0));
    }
    let what = format!("Move {} back", detail.linode.label);
    let lines = [
        "It moves to its old host again, with all data as it is now: nothing written since the move is lost.",
        "Its config profiles get the kernels and device names they had there. It is down for a moment, as on the way here.",
        "Whatever makes you go back, please tell us: the page of the way back asks for it, and carries what we know of the Linode as it is here.",
    ];
    ask(&member, &detail, "way-back", [format!("{what}?"), what])
        .says(no_room_back(&detail))
        .says(lines)
        .back(url_of(detail.migration.id), "Stay on the new host")
        .html()
}

/// The old disks there stay as they are until the move is confirmed, so the way back needs the same room once more, which
/// nobody holds. What the host's agent last reported, said while there is time to do something about it.
fn no_room_back(detail: &MigrationDetail) -> Option<String> {
    let needed: i64 = detail.disks.iter().map(|disk| disk.size_mb).sum();
    let (host, free) = (&detail.source, detail.source.disk_free_mb?);
    (free < needed).then(|| {
        format!(
            "There is not enough room for it now: it needs {} on {} beside the old disks, and {} are free there. Asked for \
             all the same, it would end at its first check, and the Linode would run on here. Ask staff in a ticket to make \
             room on {}.",
            units::mebibytes(needed),
            host.name,
            units::mebibytes(free),
            host.name
        )
    })
}

/// `POST /members/migrations/{id}/way-back`
pub async fn way_back(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    act(&member, id.0, App::way_back).await
}

/// `POST /members/migrations/{id}/retry`
pub async fn retry(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    act(&member, id.0, App::retry_migration).await
}

/// `GET /members/migrations/{id}/unschedule`: giving a chosen time up. What follows depends on whether the offer still
/// stands.
pub async fn ask_unschedule(member: Member, id: Path<i64>) -> Response {
    let (detail, now) = find(&member, id.0).await?;
    let row = detail.migration.clone();
    let Some(at) = row.not_before.filter(|_| can_unschedule(&row, now)) else {
        let why = "There is no time to cancel: the migration has begun, or waits for its place.";
        return Err(at_migration(Fault::conflict(why), id.0));
    };
    let zone = member.zone();
    let (at, until) = (zone.both(at).text, zone.both(row.expires_at));
    let stands = portal::read(&member.portal, move |conn| {
        offer_again::stands(conn, &row, now)
    })
    .await?;
    let then = if stands {
        format!(
            "The offer stands until {}: until then you can start it, or choose another time.",
            until.text
        )
    } else {
        "The offer's own time, or the beta, is over, so the whole move is cancelled. Staff can make you another offer.".to_owned()
    };
    let what = format!("Cancel the time of {}", detail.linode.label);
    ask(&member, &detail, "unschedule", [format!("{what}?"), what])
        .says([format!("It will not stop at {at}."), then])
        .back(url_of(detail.migration.id), "Keep the time")
        .html()
}

/// `POST /members/migrations/{id}/unschedule`
pub async fn unschedule(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    let row = call(&member, id.0, App::unschedule).await?;
    let said = if row.state == MigrationState::Offered {
        "The time is cancelled. The offer stands."
    } else {
        "The time is cancelled, and the move with it."
    };
    page::said(&url_of(row.id), said)
}

/// `GET /members/migrations/{id}/untried`: going on with a move that was to be tried first, and did not come up.
pub async fn ask_untried(member: Member, id: Path<i64>) -> Response {
    let (detail, now) = find(&member, id.0).await?;
    let row = &detail.migration;
    if !row.awaits_stop() || row.try_first_since.is_none() {
        let why = "It does not wait for a trial.";
        return Err(at_migration(Fault::conflict(why), id.0));
    }
    let label = &detail.linode.label;
    let when = row.not_before.filter(|at| *at > now);
    let stops = when.map_or_else(
        || format!("{label} is stopped for its move as soon as it can be."),
        |at| {
            format!(
                "{label} is stopped for its move at {}.",
                member.zone().both(at).text
            )
        },
    );
    let lines = [
        stops,
        "No trial is waited for any more. What kept the clone from coming up may keep the Linode from it, too: then it is started again where it is now, and the move has failed.".to_owned(),
    ];
    let what = format!("Go on with the move of {label} all the same");
    ask(&member, &detail, "untried", [format!("{what}?"), what])
        .says(trial::warning(detail.trial.as_ref()))
        .says(lines)
        .back(url_of(row.id), "Wait")
        .html()
}

/// `POST /members/migrations/{id}/untried`
pub async fn go_on_untried(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    act(&member, id.0, App::go_on_untried).await
}

/// `GET /members/migrations/{id}/try`
pub async fn ask_trial(member: Member, id: Path<i64>) -> Response {
    let (detail, _) = find(&member, id.0).await?;
    if let Err(why) = detail.may_try {
        return Err(at_migration(Fault::conflict(why.to_string()), id.0));
    }
    let what = format!("Try {} there", detail.linode.label);
    ask(&member, &detail, "try", [format!("{what}?"), what])
        .says(trial::consequences(&detail))
        .back(url_of(detail.migration.id), "Do not try it")
        .html()
}

/// `POST /members/migrations/{id}/try`
pub async fn begin_trial(member: Member, id: Path<i64>, _: Form<Nothing>) -> Response {
    act(&member, id.0, App::try_there).await
}
