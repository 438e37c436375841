//! The reconciler's part in the time that a member chose: passes while a move holds, the order to stop when its moment has
//! come and a stop is free, and the word to its member when it is late.

use std::collections::BTreeMap;

use super::event_details::EventDetails;
use super::{offer_again, schedule};
use crate::app::App;
use crate::app::context::{PORTAL, Tx};
use crate::app::error::{AppError, Result};
use crate::app::mail::kinds::LinodeMail;
use crate::app::trial::{FOR_THE_LAST_PASS, begin_first};
use crate::domain::ids::MigrationId;
use crate::domain::migration::forecast::Forecast;
use crate::domain::migration::hold::{self, Lateness, Next};
use crate::domain::migration::{Event, MigrationKind, MigrationState};
use crate::domain::placement;
use crate::domain::programme::move_times::Limits;
use crate::domain::time::{Time, span};
use crate::domain::trial::{self, First, yields_to_pass};
use crate::store;
use crate::store::db::{Db, lock_scheduler};
use crate::store::migration::queue::Holds;
use crate::store::migration::{Change, Migration};

/// Moves that hold, or are late, and are looked at in one round; those that stop first come first.
const MOST: i64 = 5000;

/// What is due now.
#[derive(Debug, Default)]
struct Due {
    stops: Vec<MigrationId>,
    passes: Vec<MigrationId>,
    /// Trials that the last pass cannot wait for.
    trials: Vec<MigrationId>,
    /// Moves that are to be tried before they stop.
    firsts: Vec<MigrationId>,
}

impl App {
    /// Orders stops and passes; says how many. `by_time`: also those that wait for a time.
    pub(in crate::app) fn look_after_holding(&self, by_time: bool) -> Result<usize> {
        let now = self.now();
        let due = self.db.read(|conn| due(conn, now, by_time))?;
        let mut done = 0;
        for id in due.stops {
            match self.transact_at(now, PORTAL, |tx| stop(tx, id)) {
                Ok(stops) => done += usize::from(stops),
                Err(error) => tracing::error!(migration = %id, %error, "it could not be stopped"),
            }
        }
        for id in due.trials {
            if let Err(error) = self.end_trial(id, FOR_THE_LAST_PASS) {
                tracing::error!(migration = %id, %error, "its trial could not be ended");
            }
        }
        // Before passes, which wait for them.
        for id in due.firsts {
            match self.transact_at(now, PORTAL, |tx| begin_first(tx, id)) {
                Ok(begun) => done += usize::from(begun),
                Err(AppError::Conflict(why)) => {
                    tracing::info!(migration = %id, why, "it is tried later")
                }
                Err(error) => {
                    tracing::error!(migration = %id, %error, "it could not be tried first")
                }
            }
        }
        for id in due.passes {
            done += usize::from(self.push(id, Event::TopUp));
        }
        Ok(done)
    }

    /// Tells members whose time has come while their Linode was not in step, and gives up what they wanted no later.
    pub(in crate::app) fn tell_late(&self) -> Result<usize> {
        let now = self.now();
        let late = self
            .db
            .read(|conn| store::migration::queue::late(conn, now, MOST))?;
        let mut done = 0;
        // Most have been told, and wait: nothing is locked for those.
        let acted_on = late.iter().filter(|row| late_act(row, now).is_some());
        for id in acted_on.map(|row| row.id) {
            match self.transact_at(now, PORTAL, |tx| look_at_late(tx, id)) {
                Ok(acted) => done += usize::from(acted),
                Err(error) => {
                    tracing::error!(migration = %id, %error, "it is late, and nobody is told")
                }
            }
        }
        Ok(done)
    }
}

fn due(conn: &mut Db, now: Time, by_time: bool) -> Result<Due> {
    let mut holding = store::migration::queue::holding(conn, MOST)?;
    holding.retain(|it| by_time || it.not_before.is_none());
    if holding.is_empty() {
        return Ok(Due::default());
    }
    let to_try: Vec<(MigrationId, Time)> = holding
        .iter()
        .filter_map(|it| Some((it.link.migration, it.try_first_since?)))
        .collect();
    let look = Look {
        limits: store::programme::move_times::limits(conn)?.0,
        tried: store::trial::open(conn)?,
        firsts: store::trial::firsts(conn, &to_try)?,
        now,
        by_time,
    };
    let (mut due, mut stops) = (Due::default(), Vec::new());
    for it in &holding {
        if look.at(conn, it, &mut due)? {
            stops.push(it.link);
        }
    }
    if !stops.is_empty() {
        let stopped = store::migration::queue::switching(conn)?;
        due.stops = placement::stops(&stops, &stopped, look.limits.stops_at_once);
    }
    Ok(due)
}

/// What one round looks at the moves by.
struct Look {
    limits: Limits,
    /// Those that have a trial.
    tried: Vec<MigrationId>,
    /// How those stand that are tried first.
    firsts: BTreeMap<MigrationId, First>,
    now: Time,
    by_time: bool,
}

impl Look {
    /// Notes what is due of one that holds; `true`: its stop, if one is free.
    fn at(&self, conn: &mut Db, it: &Holds, due: &mut Due) -> Result<bool> {
        let (id, first) = (it.link.migration, self.firsts.get(&it.link.migration));
        if first == Some(&First::ToTry) && !it.in_step.in_pass {
            due.firsts.push(id);
        }
        let is_tried = self.tried.contains(&id);
        let stop = self.limits.first_stop(it.not_before, it.is_bound, self.now);
        match hold::next(it.in_step, stop, self.now) {
            // Before stops are given away: what is not stopped takes none from others.
            Next::Stop if it.has_limit || it.has_group || first.is_some() => {
                let Some(row) = store::migration::migration(conn, id)? else {
                    return Ok(false);
                };
                let is_worth = hold::is_worth_a_pass(it.in_step, self.now);
                match at_its_moment(conn, &row, self.now)? {
                    AtItsMoment::Stops(_) => return Ok(true),
                    _ if is_tried || !is_worth => {}
                    AtItsMoment::CopiesFirst => due.passes.push(id),
                    // What a pass that is at work copies may bring it below its limit.
                    AtItsMoment::OverLimit(..)
                    | AtItsMoment::WaitsFor(_)
                    | AtItsMoment::Untried(_) => due.passes.extend(self.by_time.then_some(id)),
                }
            }
            Next::Stop => return Ok(true),
            Next::Pass if self.by_time && is_tried => {
                // Nothing is stopped before it is over, if its member said so.
                let stop_in_s = stop.map_or(0, |at| at.seconds_since(self.now));
                let yields = first.is_none() && yields_to_pass(it.in_step.pass_s, stop_in_s);
                due.trials.extend(yields.then_some(id));
            }
            Next::Pass => due.passes.extend(self.by_time.then_some(id)),
            Next::Wait => {}
        }
        Ok(false)
    }
}

/// How one stands whose moment to stop has come.
enum AtItsMoment {
    /// It can stop, and will be off for so long, unless it is.
    Stops(Option<Forecast>),
    /// Its downtime would be longer than this limit of its member.
    OverLimit(i32, Forecast),
    /// This one is down, or is being moved, and they are never both down.
    WaitsFor(String),
    /// It is tried first, and has not come up there.
    Untried(First),
    /// It has, and what changed meanwhile is to be copied.
    CopiesFirst,
}

fn at_its_moment(conn: &mut Db, row: &Migration, now: Time) -> Result<AtItsMoment> {
    // A host must be emptied in the end, and whoever takes the way back wants it now.
    let yields = match row.kind {
        MigrationKind::Evacuation => row.expires_at <= now,
        kind => kind == MigrationKind::Return,
    };
    if let Some(linode) = store::linode::linode(conn, row.linode_id)?.filter(|_| !yields)
        && let Some(label) = store::linode::never_both::in_the_way(conn, &linode)?
    {
        return Ok(AtItsMoment::WaitsFor(label));
    }
    match store::trial::first(conn, row)?.filter(|_| !yields) {
        Some(First::CameUp(at)) => {
            let waits = |of| trial::copies_first(of, at, row.not_before, now);
            if row.in_step().is_some_and(waits) {
                return Ok(AtItsMoment::CopiesFirst);
            }
        }
        Some(stands) => return Ok(AtItsMoment::Untried(stands)),
        None => {}
    }
    let forecast = store::migration::timing::forecast(conn, row, now)?;
    Ok(match row.over_limit(forecast) {
        Some((limit_s, forecast)) => AtItsMoment::OverLimit(limit_s, forecast),
        None => AtItsMoment::Stops(forecast),
    })
}

/// Orders the stop, if all that it stands on is so still.
fn stop(tx: &mut Tx<'_>, id: MigrationId) -> Result<bool> {
    // Two portals must not both give the last stop of a host away.
    lock_scheduler(tx.conn)?;
    let Some(row) = store::migration::locked(tx.conn, id)?.filter(|row| !row.cancel_asked) else {
        return Ok(false);
    };
    let Some(in_step) = row.in_step() else {
        return Ok(false);
    };
    let (limits, _) = store::programme::move_times::limits(tx.conn)?;
    let of = (&row, tx.now);
    let first = store::programme::move_times::first_stop(tx.conn, &limits, of)?;
    let stopped = store::migration::queue::switching(tx.conn)?;
    let is_free = !placement::stops(&[row.link()], &stopped, limits.stops_at_once).is_empty();
    if !is_free || hold::next(in_step, first, tx.now) != Next::Stop {
        return Ok(false);
    }
    let AtItsMoment::Stops(forecast) = at_its_moment(tx.conn, &row, tx.now)? else {
        return Ok(false);
    };
    let given = EventDetails::with(Change {
        foretold_ms: Some(forecast.map(|it| it.down.expected_ms)),
        foretold_most_ms: Some(forecast.map(|it| it.down.most_ms)),
        ..Change::default()
    });
    Ok(tx.apply(id, Event::Stop, &given)?.is_done())
}

fn look_at_late(tx: &mut Tx<'_>, id: MigrationId) -> Result<bool> {
    store::programme::hold(tx.conn)?;
    let seen = store::migration::migration(tx.conn, id)?.ok_or(AppError::NotFound)?;
    if let Some(registration) = seen.registration_id {
        store::registration::locked(tx.conn, registration)?;
    }
    let row = store::migration::locked(tx.conn, id)?.ok_or(AppError::NotFound)?;
    match late_act(&row, tx.now) {
        None => Ok(false),
        Some(LateAct::Tell(until)) => tell(tx, &row, until),
        Some(LateAct::GiveUp) => give_up(tx, &row),
    }
}

/// What is done about one whose time has come.
enum LateAct {
    /// It may stop until then.
    Tell(Time),
    GiveUp,
}

fn late_act(row: &Migration, now: Time) -> Option<LateAct> {
    if !row.awaits_stop() {
        return None;
    }
    let until = match hold::lateness(row.not_before, row.patience_s, now) {
        Lateness::InTime => return None,
        // What its host's own move off asks for is not its member's to give up.
        Lateness::Over if row.kind != MigrationKind::Evacuation => return Some(LateAct::GiveUp),
        Lateness::Over => row.expires_at,
        Lateness::Late(until) => until,
    };
    // One that is about to stop is not late yet.
    let on_time = row
        .not_before
        .is_none_or(|at| now <= at.plus_s(hold::ON_TIME_S));
    let about_to = on_time && (row.in_step().is_some() || row.patience_s == 0);
    (!row.late_told && !about_to).then_some(LateAct::Tell(until))
}

/// It is not in step at its time: its member hears of it at once, with the reason.
fn tell(tx: &mut Tx<'_>, row: &Migration, until: Time) -> Result<bool> {
    let told = Change {
        late_told: Some(true),
        ..Change::default()
    };
    store::migration::note(tx.conn, row.id, &told)?;
    let why = why_late(tx, row)?;
    let line = match why.as_str() {
        "" => "It is not in step at the time chosen: it stops as soon as it is.".to_owned(),
        why => format!("It was not stopped at the time chosen: {why}."),
    };
    tx.log(row, &line)?;
    if let Some(linode) = store::linode::linode(tx.conn, row.linode_id)? {
        let why = why.as_str();
        tx.mail_about(
            &linode,
            LinodeMail::Late {
                of: row,
                until,
                why,
            },
        )?;
    }
    Ok(true)
}

/// What keeps one from stopping that is in step; empty if it is not.
fn why_late(tx: &mut Tx<'_>, row: &Migration) -> Result<String> {
    if row.state != MigrationState::Holding {
        return Ok(String::new());
    }
    Ok(match at_its_moment(tx.conn, row, tx.now)? {
        AtItsMoment::OverLimit(limit_s, forecast) => format!(
            "it would be off for {}, and you allow {}",
            forecast.down.words(),
            span(i64::from(limit_s))
        ),
        AtItsMoment::WaitsFor(label) => {
            format!("{label}, which is never to be down together with it, is off or being moved")
        }
        AtItsMoment::Untried(First::ToTry) => {
            "it is to be tried on its new host first, and has not been yet".to_owned()
        }
        AtItsMoment::Untried(First::Failed) => {
            "it was tried on its new host first, and did not come up there".to_owned()
        }
        AtItsMoment::Untried(First::AtWork | First::CameUp(_)) => {
            "it is being tried on its new host first".to_owned()
        }
        AtItsMoment::CopiesFirst => "what changed while it was tried is being copied".to_owned(),
        AtItsMoment::Stops(_) => "its hosts are stopping others first".to_owned(),
    })
}

fn give_up(tx: &mut Tx<'_>, row: &Migration) -> Result<bool> {
    let why = offer_again::too_late(row);
    if row.state == MigrationState::Queued && row.started_at.is_none() {
        let stands = offer_again::stands(tx.conn, row, tx.now)?;
        return Ok(schedule::give_up(tx, row, stands, &why)?.is_done());
    }
    let given = EventDetails {
        change: Change {
            offer_again: Some(true),
            ..Change::default()
        },
        message: why,
    };
    Ok(tx.apply(row.id, Event::Cancel, &given)?.is_done())
}
