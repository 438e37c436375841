//! Giving a chosen time up: what follows depends on whether the offer still stands.

use super::shared::{at_migration, find, page_of};
use crate::app::migration::schedule::{can_unschedule, offer_stands};
use crate::domain::ids::MigrationId;
use crate::domain::words::MigrationState;
use crate::web::extract::{Form, Member, Nothing, Path};
use crate::web::fault::{Fault, Response};
use crate::web::page::{self, ConfirmPage};
use crate::web::portal::{self, Portal};

/// `GET /members/migrations/{id}/unschedule`
pub async fn ask_unschedule(portal: Portal, member: Member, id: Path<i64>) -> Response {
    let (detail, now) = find(&portal, &member, id.0).await?;
    let row = &detail.migration;
    let url = format!("/members/migrations/{}", id.0);
    let Some(at) = row.not_before.filter(|_| can_unschedule(row, now)) else {
        return Err(Fault::conflict_at(
            "There is no time to cancel: the migration has begun, or waits for its place.",
            url,
            "See how the migration stands",
        ));
    };
    let label = &detail.linode.label;
    let zone = member.zone();
    let asked = row.clone();
    let stands = portal::read(&portal, move |conn| offer_stands(conn, &asked, now)).await?;
    let then = if stands {
        format!(
            "The offer stands until {}: until then you can start it, or choose another time.",
            zone.both(row.expires_at.utc()).text
        )
    } else {
        "The offer's own time, or the beta, is over, so the whole move is cancelled. Staff can make you another offer.".to_owned()
    };
    page::html(&ConfirmPage {
        page: page_of(&member, &detail, format!("Cancel the time of {label}?"))
            .crumb(format!("Migration {}", id.0), &url),
        consequences: vec![
            format!("It will not move at {}.", zone.both(at.utc()).text),
            then,
        ],
        rows: Vec::new(),
        action: format!("{url}/unschedule"),
        hidden: Vec::new(),
        fields: Vec::new(),
        button: format!("Cancel the time of {label}"),
        danger: false,
        back_url: url,
        back_label: "Keep the time".to_owned(),
    })
}

/// `POST /members/migrations/{id}/unschedule`
pub async fn unschedule(
    portal: Portal,
    member: Member,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Response {
    // Staff may do it to anyone's, but not from the members' pages.
    find(&portal, &member, id.0).await?;
    let row = member
        .act(&portal, move |app, actor| {
            app.unschedule(actor, MigrationId(id.0))
        })
        .await
        .map_err(|fault| at_migration(fault, id.0))?;
    let url = format!("/members/migrations/{}", row.id);
    let said = if row.state == MigrationState::Offered {
        "The time is cancelled. The offer stands."
    } else {
        "The time is cancelled, and the move with it."
    };
    page::said(&url, said)
}
