//! What becomes of a registration, written down: the row, its mail, its audit entry.

use crate::app::context::{Actor, Tx};
use crate::app::error::AppError;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::RegistrationId;
use crate::domain::registration::{self, Event};
use crate::store;
use crate::store::registration::{Decision, Registration};

/// Stores a decision; the inner error says why it changes nothing.
pub(in crate::app) fn decide(
    tx: &mut Tx<'_>,
    actor: &Actor,
    row: &Registration,
    event: Event,
    reason: &str,
) -> Result<Result<(), registration::Refused>, AppError> {
    let to = match registration::decide(row.state, event) {
        Ok(to) => to,
        Err(refused) => return Ok(Err(refused)),
    };
    let decision = Decision {
        from: row.state,
        to,
        reason,
        by: Some(actor.user),
        at: tx.now,
    };
    if !store::registration::decide(tx.conn, row.id, &decision)? {
        return Ok(Err(registration::Refused::Decided));
    }
    tx.audit(
        Action::Registration,
        Object::Registration(row.id),
        (&row.state.to_string(), &to.to_string()),
    )?;
    Ok(Ok(()))
}

/// Ends the registration of a Linode whose move to production is confirmed.
pub(in crate::app) fn graduate(tx: &mut Tx<'_>, id: RegistrationId) -> Result<(), AppError> {
    let Some(row) = store::registration::registration(tx.conn, id)? else {
        return Ok(());
    };
    // Withdrawn meanwhile, or graduated before: nothing to end.
    let Ok(to) = registration::decide(row.state, Event::Graduate) else {
        return Ok(());
    };
    let decision = Decision {
        from: row.state,
        to,
        reason: &row.reason,
        by: tx.who.user,
        at: tx.now,
    };
    if store::registration::decide(tx.conn, id, &decision)? {
        let change = (row.state.to_string(), to.to_string());
        tx.audit(
            Action::Registration,
            Object::Registration(id),
            (&change.0, &change.1),
        )?;
    }
    Ok(())
}
