//! The end of the beta. One act ends it; what follows for each registration is done by the reconciler, a transaction each,
//! so that thousands hold nobody up and a crash half way is picked up where it stopped. It has no list of its own: whatever
//! is still open while the programme is ended is closed, also what comes home later.

use crate::app::App;
use crate::app::context::{Actor, PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::mail::kinds::LinodeMail;
use crate::app::migration::event_details::EventDetails;
use crate::app::registration::record::{Decided, decide};
use crate::domain::account::Right;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::RegistrationId;
use crate::domain::migration::{Event, MigrationKind, MigrationState};
use crate::domain::programme::ProgrammeState;
use crate::domain::registration;
use crate::domain::time::Time;
use crate::store;
use crate::store::db::wake_on_commit;
use crate::store::programme::Programme;
use crate::store::wake::Wake;

/// Registrations that one round closes.
const BATCH: i64 = 100;
/// What members read beside a registration that the end has closed.
const REASON: &str = "The beta ended before it moved.";
const CAME_BACK: &str = "The beta ended. It had moved to Xen and come back.";

impl App {
    /// Ends the beta. `seen`: when what staff looked at had been changed last. A second press finds it ended.
    pub fn end_programme(&self, actor: &Actor, seen: Option<Time>) -> Result<()> {
        actor.require(Right::Programme)?;
        self.transact(actor.who(), |tx| {
            store::programme::lock(tx.conn)?;
            let stored = store::programme::stored(tx.conn)?;
            let changed = stored.as_ref().map(|row| row.changed_at);
            let before = stored.unwrap_or_else(|| Programme::new(tx.now));
            if before.state == ProgrammeState::Ended {
                return Ok(());
            }
            if changed != seen {
                return Err(AppError::conflict(
                    "Someone else changed the programme while you looked at it. Look at it again.",
                ));
            }
            let concerned = store::programme::end::concerned(tx.conn)?;
            let after = Programme {
                state: ProgrammeState::Ended,
                ended_at: Some(tx.now),
                changed_at: tx.now,
                ..before.clone()
            };
            store::programme::set(tx.conn, &after)?;
            wake_on_commit(tx.conn, Wake::Reconcile)?;
            let states = (before.state, format!("ended; {concerned:?}"));
            tx.audit(Action::ProgrammeEnd, Object::Programme, states)
        })
    }

    /// Closes what the end of the beta closes, some of it; says how much.
    pub(in crate::app) fn close_after_the_end(&self) -> Result<usize> {
        let now = self.now();
        let due = self.db.read(|conn| {
            if store::programme::get(conn, now)?.state != ProgrammeState::Ended {
                return Ok(Vec::new());
            }
            store::programme::end::closable_ids(conn, BATCH)
        })?;
        let mut done = 0;
        for id in &due {
            match self.transact(PORTAL, |tx| close(tx, *id)) {
                Ok(closed) => done += usize::from(closed),
                Err(error) => {
                    tracing::error!(registration = %id, %error, "could not be closed");
                }
            }
        }
        if done > 0 && i64::try_from(due.len()).is_ok_and(|found| found == BATCH) {
            // There may be more.
            self.db.hub.wake(Wake::Reconcile);
        }
        Ok(done)
    }
}

fn close(tx: &mut Tx<'_>, id: RegistrationId) -> Result<bool> {
    // Neither opened again meanwhile, nor offered, taken up, withdrawn, tried again: who does that waits for this.
    store::programme::hold(tx.conn)?;
    let Some(row) = store::registration::locked(tx.conn, id)? else {
        return Ok(false);
    };
    let open = store::migration::locked_of_linode(tx.conn, row.linode_id)?;
    let ended = store::programme::get(tx.conn, tx.now)?.state == ProgrammeState::Ended;
    if !ended || !store::programme::end::is_closable(tx.conn, id)? {
        return Ok(false);
    }
    for of in open {
        let event = match of.state {
            MigrationState::Offered => Event::Expire,
            // What it copied is dropped: it cannot be tried again any more.
            MigrationState::Failed => Event::Cancel,
            _ => continue,
        };
        if of.registration_id == Some(id) && of.kind != MigrationKind::Return {
            tx.apply(of.id, event, &EventDetails::default())?
                .taken()
                .map_err(|refused| AppError::conflict(format!("migration {}: {refused}", of.id)))?;
        }
    }
    let came_back = store::migration::of_linode(tx.conn, row.linode_id)?
        .iter()
        .any(|of| of.state == MigrationState::Returned);
    let reason = if came_back { CAME_BACK } else { REASON };
    let Decided::Now = decide(tx, &row, registration::Event::Close, reason)? else {
        return Ok(false);
    };
    if let Some(linode) = store::linode::linode(tx.conn, row.linode_id)? {
        tx.mail_about(&linode, LinodeMail::BetaEnded { reason, came_back })?;
    }
    Ok(true)
}
