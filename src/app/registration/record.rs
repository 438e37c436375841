//! What becomes of a registration, written down: the row, its mail, its audit entry.

use crate::app::context::Tx;
use crate::app::error::Result;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::RegistrationId;
use crate::domain::registration::{self, Event, Refused};
use crate::store;
use crate::store::registration::{Decision, Registration};

/// What came of a decision.
#[derive(Debug)]
pub(in crate::app) enum Decided {
    Now,
    /// It was decided so already.
    Before,
    Refused(Refused),
}

/// Decides in the name of who acts; `reason` is what the member reads.
pub(in crate::app) fn decide(
    tx: &mut Tx<'_>,
    row: &Registration,
    event: Event,
    reason: &str,
) -> Result<Decided> {
    let to = match registration::decide(row.state, event) {
        Ok(to) => to,
        Err(Refused::Already) => return Ok(Decided::Before),
        Err(refused) => return Ok(Decided::Refused(refused)),
    };
    let decision = Decision {
        from: row.state,
        to,
        reason,
        by: tx.who.user,
        at: tx.now,
    };
    if !store::registration::decide(tx.conn, row.id, &decision)? {
        return Ok(Decided::Refused(Refused::Decided));
    }
    let states = (row.state, to);
    tx.audit(Action::Registration, Object::Registration(row.id), states)?;
    Ok(Decided::Now)
}

/// Ends the registration of a Linode whose move to production is confirmed.
pub(in crate::app) fn graduate(tx: &mut Tx<'_>, id: RegistrationId) -> Result<()> {
    if let Some(row) = store::registration::registration(tx.conn, id)? {
        // Refused where it was withdrawn meanwhile: nothing to end.
        decide(tx, &row, Event::Graduate, &row.reason)?;
    }
    Ok(())
}
