//! Whoever chooses ten o'clock means what their clock shows. A state that changes its clocks in between moves that moment; the portal
//! sees it when it is started with a newer list of zones, and keeps what was meant.

use chrono::NaiveDateTime;

use super::schedule;
use crate::app::App;
use crate::app::context::{PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::mail::compose;
use crate::app::reconcile::BATCH;
use crate::domain::ids::MigrationId;
use crate::domain::migration::{BEFORE_THE_STOP, Letter};
use crate::domain::programme::move_times::time_reminder;
use crate::domain::time::Time;
use crate::domain::time::local::{Moments, moments};
use crate::domain::time::zone::{self, Tz};
use crate::store;
use crate::store::migration::chosen::{self, ChosenTime};
use crate::store::migration::{Change, Migration};

const LOCAL: &str = "%Y-%m-%dT%H:%M:%S%.f";

/// Notes what the member's clock shows at the time that they chose.
pub(super) fn keep(tx: &mut Tx<'_>, id: MigrationId, at: Option<Time>) -> Result<()> {
    let (Some(at), Some(user)) = (at, tx.who.user) else {
        return Ok(());
    };
    let user = store::account::user(tx.conn, user)?.ok_or(AppError::NotFound)?;
    let tz: Tz = user.timezone.parse().unwrap_or(Tz::UTC);
    let chosen = ChosenTime {
        migration_id: id,
        at,
        zone: tz.name().to_owned(),
        local: at.utc().with_timezone(&tz).format(LOCAL).to_string(),
        zones: zone::version().to_owned(),
    };
    Ok(chosen::put(tx.conn, &chosen)?)
}

impl App {
    /// Moves the times that were chosen by an older list of zones to where the members' clocks will show what they chose.
    pub(in crate::app) fn keep_chosen_times(&self) -> Result<()> {
        let older = |conn: &mut _| chosen::older_than(conn, zone::version(), BATCH);
        for row in self.db.read(older)? {
            let id = row.migration_id;
            if let Err(error) = self.transact(PORTAL, |tx| keep_one(tx, row)) {
                tracing::error!(migration = %id, %error, "a chosen time could not be looked at");
            }
        }
        Ok(())
    }
}

fn keep_one(tx: &mut Tx<'_>, mut chosen: ChosenTime) -> Result<()> {
    let id = chosen.migration_id;
    let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
    let waits = BEFORE_THE_STOP.contains(&row.state)
        && row.not_before == Some(chosen.at)
        && chosen.at > tx.now;
    let at = moment(&chosen).filter(|at| waits && *at != chosen.at && *at > tx.now);
    zone::version().clone_into(&mut chosen.zones);
    if let Some(at) = at {
        chosen.at = at;
        shift(tx, &row, at)?;
    }
    Ok(chosen::put(tx.conn, &chosen)?)
}

/// The moment that was meant; `None` if the zone has none such now.
fn moment(chosen: &ChosenTime) -> Option<Time> {
    let local = NaiveDateTime::parse_from_str(&chosen.local, LOCAL).ok()?;
    let at = match moments(chosen.zone.parse().ok()?, local) {
        Moments::One(at) => at,
        Moments::Two { first, .. } => first,
        Moments::None { after, .. } => after,
    };
    Some(Time::new(at))
}

fn shift(tx: &mut Tx<'_>, row: &Migration, at: Time) -> Result<()> {
    let change = Change {
        not_before: Some(Some(at)),
        begin_at: Some(schedule::begins(
            tx.conn,
            (row.linode_id, schedule::hosts(row)),
            (Some(at), row.try_first_since.is_some()),
        )?),
        remind_at: Some(time_reminder(at, tx.now)),
        ..Change::default()
    };
    store::migration::note(tx.conn, row.id, &change)?;
    let after = store::migration::migration(tx.conn, row.id)?.ok_or(AppError::NotFound)?;
    compose::post_letter(tx, &after, Letter::Scheduled)?;
    tx.log(
        row,
        &format!("The clocks of its member's zone change otherwise than was known: what they chose is {at} now."),
    )
}
