//! What is asked of many registrations, and which they are.

use super::list::Asked;
use crate::domain::ids::RegistrationId;
use crate::store;
use crate::store::registration::list::RegistrationRow;
use crate::web::fault::Fault;
use crate::web::page::Filters;
use crate::web::portal::{self, Portal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Approve,
    Decline,
    Configure,
}

impl Deed {
    pub(super) fn parse(word: &str) -> Result<Self, Fault> {
        match word {
            "approve" => Ok(Self::Approve),
            "decline" => Ok(Self::Decline),
            "configure" => Ok(Self::Configure),
            _ => Err(Fault::BadRequest(
                "Choose what to do with the registrations, on their list.".to_owned(),
            )),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Decline => "decline",
            Self::Configure => "configure",
        }
    }

    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Approve => "Approve",
            Self::Decline => "Decline",
            Self::Configure => "Configure",
        }
    }

    pub(super) fn past(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Decline => "declined",
            Self::Configure => "configured",
        }
    }
}

/// What is to be done, and with which rows: these, or as many (`count`) as the list's filter finds.
#[derive(Debug, Clone)]
pub(super) struct Review {
    pub(super) deed: Deed,
    pub(super) asked: Asked,
    pub(super) count: Option<i64>,
    pub(super) ids: Vec<RegistrationId>,
    pub(super) reason: String,
    pub(super) destination: String,
}

/// Those that the list's filter finds; one more than are taken at once, if there are.
pub(super) async fn filtered(
    portal: &Portal,
    review: &Review,
) -> Result<Vec<RegistrationRow>, Fault> {
    let filter = review.asked.filter()?;
    let limit = i64::try_from(AT_ONCE).unwrap_or(1000) + 1;
    portal::read(portal, move |conn| {
        store::registration::list::registrations(conn, &filter, None, limit)
    })
    .await
}

/// The registrations meant.
pub(super) async fn find(portal: &Portal, review: &Review) -> Result<Vec<RegistrationRow>, Fault> {
    let back = review.asked.url("");
    let rows = match review.count {
        Some(count) => {
            let rows = filtered(portal, review).await?;
            let found = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            if found != count && rows.len() <= AT_ONCE {
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
            "Tick at least one registration, or choose all that the filter finds.",
            back,
            "Back to the list",
        ));
    }
    if rows.len() > AT_ONCE {
        return Err(Fault::conflict_at(
            format!("At most {AT_ONCE} can be taken at once. Narrow the filter."),
            back,
            "Back to the list",
        ));
    }
    Ok(rows)
}

/// Registrations one action may take.
pub(super) const AT_ONCE: usize = 1000;
