//! Reminds members: a day before a time they chose, and before an offer ends. Each once, whichever portal does it, and
//! none late: one whose moment passed while nobody looked is sent only if there is still something to do.

use super::kinds::LinodeMail;
use crate::app::App;
use crate::app::context::PORTAL;
use crate::app::error::Result;
use crate::app::reconcile::BATCH;
use crate::domain::ids::MigrationId;
use crate::domain::migration::{BEFORE_THE_STOP, MigrationState};
use crate::domain::programme::move_times::{
    REMIND_S, is_offer_reminder, offer_reminder, time_reminder,
};
use crate::domain::time::Time;
use crate::store;
use crate::store::migration::Migration;

impl App {
    /// Sends what is due; says how many.
    pub(in crate::app) fn remind(&self) -> Result<usize> {
        let now = self.now();
        let due = self
            .db
            .read(|conn| store::programme::move_times::to_remind(conn, now, BATCH))?;
        let mut done = 0;
        for id in due {
            match self.remind_of(id, now) {
                Ok(sent) => done += usize::from(sent),
                Err(error) => {
                    tracing::error!(migration = %id, %error, "its member could not be reminded");
                }
            }
        }
        Ok(done)
    }

    fn remind_of(&self, id: MigrationId, now: Time) -> Result<bool> {
        let found = self.db.read(|conn| store::migration::migration(conn, id))?;
        let Some(row) = found
            .as_ref()
            .filter(|row| row.remind_at.is_some_and(|at| at <= now))
        else {
            return Ok(false);
        };
        let (due, next) = decide(row, now);
        self.transact_at(now, PORTAL, |tx| {
            if !store::programme::move_times::take_reminder(tx.conn, row, next)? {
                return Ok(false);
            }
            let Some((due, linode)) = due.zip(store::linode::linode(tx.conn, row.linode_id)?)
            else {
                return Ok(false);
            };
            // Quiet hours that were set since hold what was chosen in them.
            let held = store::programme::move_times::held_until(tx.conn, row, tx.now)?;
            let mail = match due {
                Due::Offer => LinodeMail::OfferReminder(row),
                Due::Time => LinodeMail::TimeReminder { of: row, held },
            };
            tx.mail_about(&linode, mail)?;
            Ok(true)
        })
    }
}

/// What a member is reminded of: the end of an offer, or the time they chose.
#[derive(Clone, Copy)]
enum Due {
    Offer,
    Time,
}

/// What to send now, if anything, and when to look again.
fn decide(row: &Migration, now: Time) -> (Option<Due>, Option<Time>) {
    let due = row.remind_at;
    match (row.state, row.not_before) {
        (MigrationState::Offered, _) => {
            let is_due = row.expires_at > now
                && due.is_some_and(|due| is_offer_reminder(row.expires_at, due));
            (
                is_due.then_some(Due::Offer),
                offer_reminder(row.expires_at, now),
            )
        }
        (state, Some(at)) if BEFORE_THE_STOP.contains(&state) => {
            let is_due = at > now && due == Some(at.plus_s(-REMIND_S));
            (is_due.then_some(Due::Time), time_reminder(at, now))
        }
        _ => (None, None),
    }
}
