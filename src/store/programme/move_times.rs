//! When Linodes may stop for the move: the limits that staff set, the times that are taken, and who is to be reminded.

use diesel::prelude::*;

use crate::domain::ids::{HostId, MigrationId};
use crate::domain::migration::{BEFORE_THE_STOP, MigrationKind, MigrationState, hold};
use crate::domain::programme::move_times::{Limits, Quiet, Taken};
use crate::domain::time::Time;
use crate::store::db::{Both, Db};
use crate::store::error::{Result, StoreError};
use crate::store::limit::Limit;
use crate::store::migration::Migration;
use crate::store::schema::{migrations, move_times, quiet_hours};

/// Chosen times of one host that are looked at.
const MOST_TAKEN: i64 = 5000;

/// Zone, times an hour, stops at once, cap in quiet hours, and when all this was changed.
type Row = (String, Option<i32>, i32, Option<i32>, Time);

/// The limits, with when they were changed last; `None`: never.
pub fn limits(conn: &mut Db) -> Result<(Limits, Option<Time>)> {
    let found: Option<Row> = move_times::table
        .find(1_i64)
        .select((
            move_times::timezone,
            move_times::per_hour,
            move_times::stops_at_once,
            move_times::quiet_cap_mb_s,
            move_times::changed_at,
        ))
        .get_result(conn)
        .optional()?;
    let Some((zone, per_hour, stops_at_once, quiet_cap_mb_s, changed)) = found else {
        return Ok((Limits::default(), None));
    };
    let mut limits = Limits {
        zone: zone
            .parse()
            .map_err(|_| StoreError::Data(format!("time zone {zone:?} of the move times")))?,
        per_hour,
        stops_at_once,
        quiet_cap_mb_s,
        ..Limits::default()
    };
    let rows: Vec<(i32, i32, i32)> = quiet_hours::table
        .select((quiet_hours::weekday, quiet_hours::begins, quiet_hours::ends))
        .load(conn)?;
    for (weekday, begins, ends) in rows {
        let day = usize::try_from(weekday - 1).unwrap_or(usize::MAX);
        let minutes = u16::try_from(begins).ok().zip(u16::try_from(ends).ok());
        if let (Some(slot), Some((begins, ends))) = (limits.quiet.get_mut(day), minutes) {
            *slot = Some(Quiet { begins, ends });
        }
    }
    Ok((limits, Some(changed)))
}

pub fn set_limits(conn: &mut Db, to: &Limits, now: Time) -> Result<()> {
    let set = (
        move_times::timezone.eq(to.zone.name()),
        move_times::per_hour.eq(to.per_hour),
        move_times::stops_at_once.eq(to.stops_at_once),
        move_times::quiet_cap_mb_s.eq(to.quiet_cap_mb_s),
        move_times::changed_at.eq(now),
    );
    Both(
        diesel::insert_into(move_times::table)
            .values((move_times::id.eq(1_i64), set))
            .on_conflict(move_times::id)
            .do_update()
            .set(set),
    )
    .execute(conn)?;
    diesel::delete(quiet_hours::table).execute(conn)?;
    for (weekday, quiet) in (1_i32..).zip(to.quiet) {
        if let Some(quiet) = quiet {
            diesel::insert_into(quiet_hours::table)
                .values((
                    quiet_hours::weekday.eq(weekday),
                    quiet_hours::begins.eq(i32::from(quiet.begins)),
                    quiet_hours::ends.eq(i32::from(quiet.ends)),
                ))
                .execute(conn)?;
        }
    }
    Ok(())
}

/// If the quiet hours hold this migration's stop, or will when its time comes: when they end.
pub fn held_until(conn: &mut Db, of: &Migration, now: Time) -> Result<Option<Time>> {
    if !BEFORE_THE_STOP.contains(&of.state) {
        return Ok(None);
    }
    let (limits, _) = limits(conn)?;
    let stops = limits.first_stop(of.not_before, false, now);
    let first = first_stop(conn, &limits, (of, now))?;
    Ok(first.filter(|_| first != stops))
}

/// The first moment from `now` on at which it may stop its Linode; `None`: no such moment is known.
pub fn first_stop(
    conn: &mut Db,
    limits: &Limits,
    (of, now): (&Migration, Time),
) -> Result<Option<Time>> {
    let is_bound = limits.has_quiet_hours() && is_bound(conn, of)?;
    Ok(limits.first_stop(of.not_before, is_bound, now))
}

/// Do quiet hours bind its stop?
fn is_bound(conn: &mut Db, of: &Migration) -> Result<bool> {
    let by = match of.queued_by {
        Some(user) => crate::store::account::user(conn, user)?.map(|it| it.role),
        None => None,
    };
    Ok(hold::is_bound(of.kind, by))
}

/// Source, destination, state, chosen time, time it was stopped.
type Stops = (HostId, HostId, MigrationState, Option<Time>, Option<Time>);

/// How many stop, or have stopped, from `from` to `until` on these hosts, as source or destination: those that wait for a
/// time their members chose, and the others by when they were stopped. Ways back, and `but`, are not counted.
pub fn taken(
    conn: &mut Db,
    hosts: [HostId; 2],
    (from, until): (Time, Time),
    but: MigrationId,
) -> Result<Taken> {
    let waits = migrations::state
        .eq_any(BEFORE_THE_STOP)
        .and(migrations::not_before.between(from, until));
    let has_stopped = migrations::state
        .ne_all(BEFORE_THE_STOP)
        .and(migrations::stopped_at.between(from, until));
    let rows: Vec<Stops> = migrations::table
        .filter(waits.or(has_stopped))
        .filter(migrations::kind.ne(MigrationKind::Return))
        .filter(
            migrations::source_host_id
                .eq_any(hosts)
                .or(migrations::destination_host_id.eq_any(hosts)),
        )
        .filter(migrations::id.ne(but))
        .select((
            migrations::source_host_id,
            migrations::destination_host_id,
            migrations::state,
            migrations::not_before,
            migrations::stopped_at,
        ))
        .at_most::<MOST_TAKEN>()
        .load(conn)?;
    let mut taken = Taken::default();
    for (source, destination, state, chosen, stopped) in rows {
        let at = if BEFORE_THE_STOP.contains(&state) {
            chosen
        } else {
            stopped
        };
        let Some(at) = at else { continue };
        for host in [source, destination] {
            if hosts.contains(&host) {
                taken.add(host, at);
            }
        }
    }
    Ok(taken)
}

/// Migrations whose member is to be reminded by now.
pub fn to_remind(conn: &mut Db, now: Time, limit: i64) -> Result<Vec<MigrationId>> {
    Ok(migrations::table
        .filter(migrations::remind_at.le(now))
        .order(migrations::remind_at)
        .select(migrations::id)
        .limited(limit)
        .load(conn)?)
}

/// Takes a reminder: `false` if another portal did, or the migration has changed since it was read.
pub fn take_reminder(conn: &mut Db, of: &Migration, next: Option<Time>) -> Result<bool> {
    let target = migrations::table
        .find(of.id)
        .filter(migrations::state.eq(of.state))
        .filter(migrations::remind_at.eq(of.remind_at));
    let hit = match of.not_before {
        Some(at) => diesel::update(target.filter(migrations::not_before.eq(at)))
            .set(migrations::remind_at.eq(next))
            .execute(conn)?,
        None => diesel::update(target.filter(migrations::not_before.is_null()))
            .set(migrations::remind_at.eq(next))
            .execute(conn)?,
    };
    Ok(hit == 1)
}
