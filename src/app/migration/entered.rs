//! What a migration's new state brings with it, whatever led to it.

use super::{check, offer_again};
use crate::app::context::Tx;
use crate::app::error::Result;
use crate::app::mail::compose;
use crate::domain::audit::{Action, Object};
use crate::domain::migration::{MigrationKind, MigrationState};
use crate::store::db::wake_on_commit;
use crate::store::migration::Migration;
use crate::store::wake::Wake;

pub(super) fn entered(tx: &mut Tx<'_>, before: &Migration, state: MigrationState) -> Result<()> {
    if state == MigrationState::Cancelled {
        cancelled(tx, before)?;
    }
    if state == MigrationState::Finished {
        check::begin(tx, before.id)?;
    }
    match before.state {
        MigrationState::Finished => check::end(tx, before.id)?,
        MigrationState::Returning => check::is_over(tx, before.id)?,
        _ => {}
    }
    // A slot may have become free, or a migration may want one.
    wake_on_commit(tx.conn, Wake::Reconcile)?;
    let states = (before.state, state);
    tx.audit(Action::Migration, Object::Migration(before.id), states)
}

/// Its member hears of what ends with it.
fn cancelled(tx: &mut Tx<'_>, before: &Migration) -> Result<()> {
    // With the next offer all is told.
    if offer_again::make(tx, before)? {
        return Ok(());
    }
    if before.kind == MigrationKind::Evacuation {
        // What had failed is followed by another try, with its own mail.
        return match before.state {
            MigrationState::Failed => Ok(()),
            _ => compose::post_called_off(tx, before),
        };
    }
    if !before.reason.is_empty() {
        return compose::post_called_off(tx, before);
    }
    if before.not_before.is_some_and(|at| at > tx.now) {
        let why = "The whole migration was cancelled, and its offer has ended.";
        compose::post_unscheduled(tx, before, why, None)?;
    }
    Ok(())
}
