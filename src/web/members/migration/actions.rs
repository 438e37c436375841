//! What a member does to a migration: each destructive act asks first, then is posted.

use super::shared::{at_migration, find, page_of};
use crate::app::App;
use crate::app::context::Actor;
use crate::app::error::AppError;
use crate::app::migration::guard::closed_to_members;
use crate::domain::ids::MigrationId;
use crate::domain::words::MigrationKind;
use crate::store::migration::Migration;
use crate::store::migration::page::MigrationDetail;
use crate::web::extract::{Form, Member, Nothing, Path};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, ConfirmPage};
use crate::web::portal::Portal;
use crate::web::ui::units;

async fn act(
    portal: &Portal,
    member: &Member,
    id: i64,
    call: impl FnOnce(&App, &Actor, MigrationId) -> Result<Migration, AppError> + Send + 'static,
) -> Response {
    // Staff may act on anyone's migration, but not from the members' pages.
    find(portal, member, id).await?;
    let row = member
        .act(portal, move |app, actor| call(app, actor, MigrationId(id)))
        .await
        .map_err(|fault| at_migration(fault, id))?;
    Ok(page::see_other(&format!("/members/migrations/{}", row.id)))
}

struct Question<'a> {
    title: String,
    consequences: &'a [&'a str],
    verb: &'a str,
    button: String,
    danger: bool,
    back: &'a str,
}

async fn ask(
    portal: &Portal,
    member: &Member,
    id: i64,
    question: impl FnOnce(&str) -> Question<'static>,
) -> Response {
    let (detail, _) = find(portal, member, id).await?;
    let question = question(&detail.linode.label);
    put(member, &detail, question, None)
}

/// `warning` stands before the consequences.
fn put(
    member: &Member,
    detail: &MigrationDetail,
    question: Question<'_>,
    warning: Option<String>,
) -> Response {
    let id = detail.migration.id;
    let url = format!("/members/migrations/{id}");
    page::html(&ConfirmPage {
        page: page_of(member, detail, question.title).crumb(format!("Migration {id}"), &url),
        consequences: warning
            .into_iter()
            .chain(question.consequences.iter().map(|line| (*line).to_owned()))
            .collect(),
        rows: Vec::new(),
        action: format!("{url}/{}", question.verb),
        hidden: Vec::new(),
        fields: Vec::new(),
        button: question.button,
        danger: question.danger,
        back_url: url.clone(),
        back_label: question.back.to_owned(),
    })
}

/// `GET /members/migrations/{id}/cancel`
pub async fn ask_cancel(portal: Portal, member: Member, id: Path<i64>) -> Response {
    let (detail, _) = find(&portal, &member, id.0).await?;
    if detail.migration.kind == MigrationKind::Evacuation {
        let why =
            "Staff move this Linode because its host is being emptied: only they can cancel that.";
        return Err(at_migration(Fault::conflict(why), id.0));
    }
    ask(&portal, &member, id.0, |label| Question {
        title: format!("Cancel the move of {label}?"),
        consequences: &[
            "The Linode stays on its present host and goes on running.",
            "What was copied is thrown away, and the place on the new host is given up. Staff can offer you another.",
        ],
        verb: "cancel",
        button: format!("Cancel the move of {label}"),
        danger: true,
        back: "Go on with the move",
    })
    .await
}

/// `POST /members/migrations/{id}/cancel`
pub async fn cancel(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Response {
    act(&portal, &member, id.0, |app, actor, id| {
        app.cancel_migration(actor, id)
    })
    .await
}

/// `GET /members/migrations/{id}/confirm`
pub async fn ask_confirm(portal: Portal, member: Member, id: Path<i64>) -> Response {
    ask(&portal, &member, id.0, |label| Question {
        title: format!("Confirm the move of {label}?"),
        consequences: &[
            "The copy on the host that it left is deleted for good, and there is no way back by one click any more.",
            "If you are not sure, wait: it is confirmed by itself when the time for the way back is over.",
        ],
        verb: "confirm",
        button: format!("Confirm the move and delete the old copy of {label}"),
        danger: true,
        back: "Not yet",
    })
    .await
}

/// `POST /members/migrations/{id}/confirm`
pub async fn confirm(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Response {
    act(&portal, &member, id.0, |app, actor, id| {
        app.confirm_migration(actor, id)
    })
    .await
}

/// `GET /members/migrations/{id}/way-back`
pub async fn ask_way_back(portal: Portal, member: Member, id: Path<i64>) -> Response {
    let (detail, _) = find(&portal, &member, id.0).await?;
    if let Some(why) = closed_to_members(&detail.migration, &detail.source) {
        return Err(at_migration(Fault::conflict(why), id.0));
    }
    let label = &detail.linode.label;
    let question = Question {
        title: format!("Move {label} back?"),
        consequences: &[
            "It moves to its old host again, with all data as it is now: nothing written since the move is lost.",
            "Its config profiles get the kernels and device names they had there. It is down for a moment, as on the way here.",
        ],
        verb: "way-back",
        button: format!("Move {label} back"),
        danger: false,
        back: "Stay on the new host",
    };
    put(&member, &detail, question, no_room_back(&detail))
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
pub async fn way_back(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Response {
    act(&portal, &member, id.0, |app, actor, id| {
        app.way_back(actor, id)
    })
    .await
}

/// `POST /members/migrations/{id}/retry`
pub async fn retry(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Response {
    act(&portal, &member, id.0, |app, actor, id| {
        app.retry_migration(actor, id)
    })
    .await
}
