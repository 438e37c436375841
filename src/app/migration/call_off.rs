//! Staff call a move off, and its members read why.

use super::actions::act_on;
use super::event_details::EventDetails;
use crate::app::App;
use crate::app::context::{Actor, PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::registration;
use crate::domain::account::Right;
use crate::domain::host::HostState;
use crate::domain::ids::MigrationId;
use crate::domain::migration::{Event, MigrationKind, MigrationState};
use crate::store;
use crate::store::migration::{Change, Migration};

/// Of one round.
const BATCH: i64 = 100;

impl App {
    /// As [`App::cancel_migration`]. A move off a host says again why it was to be; any other one takes a reason.
    pub fn call_off(&self, actor: &Actor, id: MigrationId, reason: &str) -> Result<Migration> {
        actor.require(Right::Moves)?;
        self.transact(actor.who(), |tx| {
            let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
            keep(tx, &row, reason)?;
            act_on(tx, actor, id, Event::Cancel)
        })
    }

    /// Offers to hosts that take no new Linodes any more: nobody moves onto a disk that fails because they were offered it
    /// before. Whoever had one is told, and staff find the registration among those that wait for an offer.
    pub(in crate::app) fn withdraw_shut_offers(&self) -> Result<usize> {
        let due = self
            .db
            .read(|conn| store::migration::queue::offers_to_shut_hosts(conn, BATCH))?;
        let mut done = 0;
        for id in due {
            match self.transact(PORTAL, |tx| withdraw(tx, id)) {
                Ok(is_done) => done += usize::from(is_done),
                Err(error) => tracing::error!(migration = %id, %error, "could not be withdrawn"),
            }
        }
        Ok(done)
    }
}

fn withdraw(tx: &mut Tx<'_>, id: MigrationId) -> Result<bool> {
    let Some(row) = store::migration::locked(tx.conn, id)? else {
        return Ok(false);
    };
    let host = store::host::host(tx.conn, row.destination_host_id)?;
    let Some(host) = host.filter(|host| host.state != HostState::Enabled) else {
        return Ok(false);
    };
    if row.state != MigrationState::Offered {
        return Ok(false);
    }
    let why = format!("{} takes no new Linodes any more.", host.name);
    let reason = format!("{why} Yours waits for an offer of another host, and staff see that.");
    note_reason(tx, id, reason)?;
    let given = EventDetails::saying(format!("Called off: {why}"));
    Ok(tx.apply(id, Event::Cancel, &given)?.is_done())
}

/// Of two who call it off, the first one's reason is told.
fn keep(tx: &mut Tx<'_>, row: &Migration, reason: &str) -> Result<()> {
    let is_over = row.cancel_asked || row.state == MigrationState::Cancelled;
    if is_over || row.kind == MigrationKind::Evacuation {
        return Ok(());
    }
    let reason = registration::reason(reason, "its members")?;
    note_reason(tx, row.id, reason.to_owned())
}

/// Before it is cancelled: its members' mail tells what stands there then.
fn note_reason(tx: &mut Tx<'_>, id: MigrationId, reason: String) -> Result<()> {
    let change = Change {
        reason: Some(reason),
        ..Change::default()
    };
    Ok(store::migration::note(tx.conn, id, &change)?)
}
