//! The queue of migrations, those that are at work, and those that hold until they may stop.

use diesel::prelude::*;

use super::{Migration, pause};
use crate::domain::account::UserRole;
use crate::domain::host::HostState;
use crate::domain::ids::{HostId, MigrationId};
use crate::domain::migration::hold::{self, InStep};
use crate::domain::migration::{
    BEFORE_THE_STOP, IN_SLOTS, MigrationKind, MigrationState, Step, may_begin,
};
use crate::domain::placement::Link;
use crate::domain::string_enum::StringEnum;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{hosts, linodes, migrations, users};

type LinkRow = (MigrationId, HostId, HostId, bool);

fn link((migration, source, destination, is_back): LinkRow) -> Link {
    Link {
        migration,
        source,
        destination,
        is_back,
    }
}

#[diesel::dsl::auto_type]
fn link_columns() -> _ {
    let back: MigrationKind = MigrationKind::Return;
    (
        migrations::id,
        migrations::source_host_id,
        migrations::destination_host_id,
        migrations::kind.eq(back),
    )
}

fn links(rows: Vec<LinkRow>) -> Vec<Link> {
    rows.into_iter().map(link).collect()
}

/// Those that take a slot of their hosts.
pub fn in_slots(conn: &mut Db) -> Result<Vec<Link>> {
    links_in(conn, &IN_SLOTS)
}

/// Those whose Linode is stopped, or about to be.
pub fn switching(conn: &mut Db) -> Result<Vec<Link>> {
    links_in(conn, &[MigrationState::Switching])
}

fn links_in(conn: &mut Db, states: &[MigrationState]) -> Result<Vec<Link>> {
    Ok(links(
        migrations::table
            .filter(migrations::state.eq_any(states.to_vec()))
            .select(link_columns())
            .load(conn)?,
    ))
}

/// One that holds.
#[derive(Debug, Clone, Copy)]
pub struct Holds {
    pub link: Link,
    pub not_before: Option<Time>,
    pub in_step: InStep,
    /// Quiet hours bind its stop.
    pub is_bound: bool,
    /// Its member allows no more than so long a downtime.
    pub has_limit: bool,
    /// Others must not be down together with it.
    pub has_group: bool,
    /// It is tried first: a trial that ended later than this says whether it may stop.
    pub try_first_since: Option<Time>,
}

/// Those that hold, first those that stop first.
pub fn holding(conn: &mut Db, limit: i64) -> Result<Vec<Holds>> {
    type Row = (
        LinkRow,
        MigrationKind,
        Option<Time>,
        Time,
        i32,
        i64,
        Option<Step>,
        (Option<i32>, Option<Time>),
        String,
        Option<UserRole>,
    );
    let by = users::table.on(migrations::queued_by.eq(users::id.nullable()));
    let rows: Vec<Row> = migrations::table
        .inner_join(linodes::table)
        .left_join(by)
        .filter(migrations::state.eq(MigrationState::Holding))
        .filter(migrations::cancel_asked.eq(false))
        .filter(migrations::in_step_at.is_not_null())
        .order((migrations::not_before, migrations::id))
        .select((
            link_columns(),
            migrations::kind,
            migrations::not_before,
            migrations::in_step_at.assume_not_null(),
            migrations::pass_s,
            migrations::changed_b_s,
            migrations::step,
            (migrations::down_limit_s, migrations::try_first_since),
            linodes::never_both,
            users::role.nullable(),
        ))
        .limited(limit)
        .load(conn)?;
    let holds =
        |(of, kind, not_before, since, pass_s, changed_b_s, step, asked, group, by): Row| {
            let (down_limit_s, try_first_since) = asked;
            Holds {
                link: link(of),
                not_before,
                in_step: InStep {
                    since,
                    pass_s: i64::from(pass_s),
                    changed_b_s,
                    in_pass: step == Some(Step::TopUp),
                },
                is_bound: hold::is_bound(kind, by),
                has_limit: down_limit_s.is_some(),
                has_group: !group.is_empty(),
                try_first_since,
            }
        };
    let mut all: Vec<Holds> = rows.into_iter().map(holds).collect();
    // Databases differ in where NULL comes.
    all.sort_by_key(|it| it.not_before);
    Ok(all)
}

/// Whose chosen time has passed and who is not stopping yet.
pub fn late(conn: &mut Db, now: Time, limit: i64) -> Result<Vec<Migration>> {
    Ok(migrations::table
        .filter(migrations::not_before.le(now))
        .filter(migrations::state.eq_any(BEFORE_THE_STOP))
        .filter(migrations::kind.ne(MigrationKind::Return))
        .order((migrations::late_told, migrations::not_before))
        .select(Migration::as_select())
        .limited(limit)
        .load(conn)?)
}

/// What the last copies between these hosts came to, in bytes a second; of any hosts, if there were none.
pub fn copy_rate(conn: &mut Db, [source, destination]: [HostId; 2]) -> Result<Option<i64>> {
    let measured = migrations::table
        .filter(migrations::copied_s.gt(0))
        .filter(migrations::total_bytes.gt(0))
        .order(migrations::id.desc())
        .select((
            migrations::total_bytes,
            migrations::copied_s.assume_not_null(),
        ));
    let mut last: Vec<(i64, i32)> = measured
        .filter(migrations::source_host_id.eq(source))
        .filter(migrations::destination_host_id.eq(destination))
        .at_most::<20>()
        .load(conn)?;
    if last.is_empty() {
        last = measured.at_most::<20>().load(conn)?;
    }
    let bytes: i64 = last.iter().map(|(bytes, _)| *bytes).sum();
    let seconds: i64 = last.iter().map(|(_, seconds)| i64::from(*seconds)).sum();
    Ok((seconds > 0).then(|| bytes / seconds.max(1)))
}

/// Offers to hosts that take no new Linodes; the moves off a host have rules of their own.
pub fn offers_to_shut_hosts(conn: &mut Db, limit: i64) -> Result<Vec<MigrationId>> {
    let shut = hosts::table
        .filter(hosts::state.ne(HostState::Enabled))
        .select(hosts::id);
    Ok(migrations::table
        .filter(migrations::state.eq(MigrationState::Offered))
        .filter(migrations::kind.eq_any([MigrationKind::Beta, MigrationKind::Graduation]))
        .filter(migrations::destination_host_id.eq_any(shut))
        .order(migrations::id)
        .select(migrations::id)
        .limited(limit)
        .load(conn)?)
}

/// Since when one waits in the queue: since its copying is due, or since it was clicked, if that was later.
#[diesel::dsl::auto_type]
fn waits_since() -> _ {
    diesel::dsl::case_when(
        migrations::begin_at.gt(migrations::queued_at),
        migrations::begin_at,
    )
    .otherwise(migrations::queued_at)
}

#[diesel::dsl::auto_type]
fn is_waiting(now: Time) -> _ {
    let queued: MigrationState = MigrationState::Queued;
    let is_due = migrations::begin_at
        .is_null()
        .or(migrations::begin_at.le(now));
    migrations::state.eq(queued).and(is_due)
}

/// Queued migrations whose copying is due and that may begin, in queue order; `limit` bounds one round of the scheduler.
pub fn waiting(conn: &mut Db, now: Time, limit: i64) -> Result<Vec<Link>> {
    let is_paused = pause::since(conn)?.is_some();
    let kinds = MigrationKind::those(|kind| may_begin(kind, is_paused));
    Ok(links(
        migrations::table
            .filter(is_waiting(now))
            .filter(migrations::kind.eq_any(kinds))
            .order((waits_since(), migrations::id))
            .select(link_columns())
            .limited(limit)
            .load(conn)?,
    ))
}

/// How many queued migrations go before this one.
pub fn queued_before(conn: &mut Db, of: &Migration, now: Time) -> Result<i64> {
    let Some(since) = of.begin_at.max(of.queued_at) else {
        return Ok(0);
    };
    let as_long = waits_since().eq(since).and(migrations::id.lt(of.id));
    Ok(migrations::table
        .filter(is_waiting(now))
        .filter(waits_since().lt(since).or(as_long))
        .count()
        .get_result(conn)?)
}
