//! What is kept for how long (docs/OPERATIONS.md says why): old jobs, logs, digests, mail, tokens and proofs go, in
//! batches that hold nobody up. The row with the highest id stays where ids live elsewhere: SQLite gives an id of a
//! deleted last row again, and agents' ledgers hold ids of jobs.

use super::App;
use super::context::{PORTAL, Tx};
use super::error::Result;
use super::migration::event_details::EventDetails;
use crate::domain::ids::MigrationId;
use crate::domain::migration::{Event, MigrationState};
use crate::domain::time::Time;
use crate::store;
use crate::store::db::Db;
use crate::store::error::StoreError;

/// Rows that one transaction deletes.
const BATCH: i64 = 500;
/// Transactions of one kind in one round; the next round goes on.
const BATCHES: usize = 20;

const JOBS_DAYS: i64 = 90;
const EVENTS_DAYS: i64 = 400;
const BODIES_DAYS: i64 = 30;
const MAILS_DAYS: i64 = 180;
const TOKENS_DAYS: i64 = 7;
const PROOFS_DAYS: i64 = 1;
/// A failed move keeps what it copied, on a host that others wait for.
const FAILED_DAYS: i64 = 30;

const SAID: &str = "Nobody tried it again for 30 days: the portal cancelled it, and what was copied is deleted. The Linode stays where it is.";

type Drop = fn(&mut Db, Time, i64) -> Result<usize, StoreError>;

impl App {
    pub(super) fn retain(&self) -> Result<()> {
        let now = self.now();
        let kinds: [(&str, i64, Drop); 10] = [
            ("jobs", JOBS_DAYS, store::retention::drop_jobs),
            ("batches", EVENTS_DAYS, store::retention::drop_batches),
            ("events", EVENTS_DAYS, store::retention::drop_events),
            ("digests", EVENTS_DAYS, store::retention::drop_digests),
            ("trials", EVENTS_DAYS, store::retention::drop_trials),
            ("timings", EVENTS_DAYS, store::retention::drop_timings),
            ("bodies", BODIES_DAYS, store::retention::blank_bodies),
            ("mails", MAILS_DAYS, store::retention::drop_mails),
            ("resets", TOKENS_DAYS, store::retention::drop_resets),
            ("enrolments", TOKENS_DAYS, store::retention::drop_enrolments),
        ];
        for (what, days, drop) in kinds {
            if let Err(error) = self.in_batches(now.plus_days(-days), drop) {
                tracing::error!(what, %error, "what is past its time could not be dropped");
            }
        }
        self.give_up_failed(now)?;
        self.db
            .write(|conn| store::ownership::proof::forget(conn, now.plus_days(-PROOFS_DAYS)))?;
        Ok(())
    }

    fn in_batches(&self, before: Time, drop: Drop) -> Result<(), StoreError> {
        for _ in 0..BATCHES {
            let dropped = self.db.write(|conn| drop(conn, before, BATCH))?;
            if i64::try_from(dropped).is_ok_and(|dropped| dropped < BATCH) {
                break;
            }
        }
        Ok(())
    }

    fn give_up_failed(&self, now: Time) -> Result<()> {
        let before = now.plus_days(-FAILED_DAYS);
        let due = self
            .db
            .read(|conn| store::retention::failed_before(conn, before, BATCH))?;
        for id in due {
            if let Err(error) = self.transact_at(now, PORTAL, |tx| give_up(tx, id, before)) {
                tracing::error!(migration = %id, %error, "could not be cancelled");
            }
        }
        Ok(())
    }
}

fn give_up(tx: &mut Tx<'_>, id: MigrationId, before: Time) -> Result<()> {
    let is_due = store::migration::locked(tx.conn, id)?.is_some_and(|row| {
        row.state == MigrationState::Failed && row.closed_at.is_some_and(|at| at < before)
    });
    if is_due {
        let given = EventDetails::saying(SAID);
        let _applied = tx.apply(id, Event::Cancel, &given)?;
    }
    Ok(())
}
