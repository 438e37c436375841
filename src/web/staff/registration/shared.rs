//! What is asked of many registrations, and which they are.

use super::list::Params;
use crate::app::batch::MOST;
use crate::domain::account::Right;
use crate::domain::batch::BatchKind;
use crate::domain::ids::RegistrationId;
use crate::domain::string_enum::StringEnum;
use crate::store;
use crate::store::registration::list::RegistrationRow;
use crate::web::fault::{Fault, Result};
use crate::web::page::Filters;
use crate::web::portal::{self, Portal};

/// What the list's button, or the form's address, says is to be done.
pub(super) fn kind(word: &str) -> Result<BatchKind> {
    let kind = BatchKind::parse(word).filter(|kind| kind.right() == Right::Registrations);
    kind.ok_or_else(|| {
        Fault::BadRequest("Choose what to do with the registrations, on their list.".to_owned())
    })
}

/// What is to be done, and with which rows: these, or as many (`count`) as the list's filter finds.
#[derive(Debug, Clone)]
pub(super) struct Review {
    pub(super) kind: BatchKind,
    /// The form's own mark.
    pub(super) once: String,
    pub(super) asked: Params,
    pub(super) count: Option<i64>,
    pub(super) ids: Vec<RegistrationId>,
    pub(super) reason: String,
    pub(super) destination: String,
}

/// Those that the list's filter finds; one more than are taken at once, if there are.
pub(super) async fn filtered(portal: &Portal, review: &Review) -> Result<Vec<RegistrationRow>> {
    let filter = review.asked.filter()?;
    let limit = i64::try_from(MOST).unwrap_or(i64::MAX - 1) + 1;
    portal::read(portal, move |conn| {
        store::registration::list::registrations(conn, &filter, None, limit)
    })
    .await
}

/// The registrations meant.
pub(super) async fn find(portal: &Portal, review: &Review) -> Result<Vec<RegistrationRow>> {
    let back = review.asked.url("");
    let rows = match review.count {
        Some(count) => {
            let rows = filtered(portal, review).await?;
            let found = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            if found != count && rows.len() <= MOST {
                let message = format!(
                    "The list has changed: it had {count} rows when you looked, and has {found} now. Look again."
                );
                return Err(Fault::conflict_at(message, back, "Back to the list"));
            }
            rows
        }
        None => {
            let ids = review.ids.clone();
            portal::read(portal, move |conn| {
                store::registration::list::registrations_by_id(conn, &ids)
            })
            .await?
        }
    };
    if rows.is_empty() {
        return Err(Fault::conflict_at(
            "The filter finds none now.",
            back,
            "Back to the list",
        ));
    }
    if rows.len() > MOST {
        return Err(Fault::conflict_at(
            format!("At most {MOST} can be taken at once. Narrow the filter."),
            back,
            "Back to the list",
        ));
    }
    Ok(rows)
}
