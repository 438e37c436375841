//! What Linodes used: rounds of a host as they come in, the longer intervals they are rolled up into, and the days that are
//! kept. Everything here is idempotent: a round sent twice, or rolled up twice, counts once.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};

use crate::domain::ids::{HostId, LinodeId};
use crate::store::db::{Db, lock_named};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{linode_weights, linodes, plans, usage_days, usage_rounds};

/// A Linode as the intake of samples needs it.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct Metered {
    pub id: LinodeId,
    pub ram_mb: i64,
    pub vcpus: i32,
    pub plan_weight: i64,
    /// Set by hand.
    pub own_weight: Option<i64>,
}

/// The Linodes that a host owns.
pub fn metered_on(conn: &mut Db, host: HostId) -> Result<Vec<Metered>> {
    Ok(linodes::table
        .inner_join(plans::table)
        .left_join(linode_weights::table)
        .filter(linodes::host_id.eq(host))
        .order(linodes::id)
        .select((
            linodes::id,
            plans::ram_mb,
            plans::vcpus,
            plans::cpu_weight,
            linode_weights::weight.nullable(),
        ))
        .load(conn)?)
}

/// A packed row of `usage_rounds` or, with a Linode for the host and a day for the slot, of `usage_days`.
#[derive(Debug, Clone)]
pub struct Packed {
    pub host: HostId,
    pub slot: i64,
    pub data: Vec<u8>,
}

/// Executes a statement with as many parameters as there are, on either database. `$1` is the first one's name on both.
pub(in crate::store) fn many(
    conn: &mut Db,
    sql: String,
    values: Vec<Value<'_>>,
) -> QueryResult<usize> {
    macro_rules! bound {
        ($backend:ty) => {{
            let query = diesel::sql_query(sql).into_boxed::<$backend>();
            values.into_iter().fold(query, |query, value| match value {
                Value::Int(value) => query.bind::<BigInt, _>(value),
                Value::Maybe(value) => query.bind::<Nullable<BigInt>, _>(value),
                Value::Bytes(value) => query.bind::<Binary, _>(value),
            })
        }};
    }
    match conn {
        Db::Pg(conn) => bound!(diesel::pg::Pg).execute(conn),
        Db::Sqlite(conn) => bound!(diesel::sqlite::Sqlite).execute(conn),
    }
}

/// A parameter.
pub(in crate::store) enum Value<'a> {
    Int(i64),
    Maybe(Option<i64>),
    Bytes(&'a [u8]),
}

/// `($1,$2),($3,$4)`
pub(in crate::store) fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let row: Vec<String> = (1..=columns)
            .map(|column| format!("${}", row * columns + column))
            .collect();
        format!("({})", row.join(","))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(",")
}

/// Rows of one statement: far below the databases' limit of parameters.
const ROWS: usize = 500;
/// The same for ids that are looked up.
const IDS: usize = 5000;

/// Puts rounds in; one that is there already stays. Says how many were new.
pub fn add_rounds(conn: &mut Db, step: i64, rows: &[Packed]) -> Result<usize> {
    let mut new = 0;
    for rows in rows.chunks(ROWS) {
        let sql = format!(
            "INSERT INTO usage_rounds (host_id, step, slot, data) VALUES {} ON CONFLICT DO NOTHING",
            places(rows.len(), 4)
        );
        new += many(
            conn,
            sql,
            rows.iter()
                .flat_map(|row| round_values(step, row))
                .collect(),
        )?;
    }
    Ok(new)
}

/// Puts longer intervals in, or what they are by now; they are to be rolled up (again).
pub fn set_rounds(conn: &mut Db, step: i64, rows: &[Packed]) -> Result<()> {
    for rows in rows.chunks(ROWS) {
        let sql = format!(
            "INSERT INTO usage_rounds (host_id, step, slot, data) VALUES {} \
             ON CONFLICT (host_id, step, slot) DO UPDATE SET data = excluded.data, rolled = FALSE",
            places(rows.len(), 4)
        );
        many(
            conn,
            sql,
            rows.iter()
                .flat_map(|row| round_values(step, row))
                .collect(),
        )?;
    }
    Ok(())
}

fn round_values(step: i64, row: &Packed) -> [Value<'_>; 4] {
    [
        Value::Int(row.host.0),
        Value::Int(step),
        Value::Int(row.slot),
        Value::Bytes(&row.data),
    ]
}

/// One portal at a time rolls up, so that a late round cannot be overwritten by a sum that did not see it. SQLite has one
/// writer anyway.
pub fn lock_rolling(conn: &mut Db) -> Result<()> {
    lock_named(conn, *b"xenu")
}

/// The oldest interval of `step` that is not rolled up and began before `before`.
pub fn oldest_open(conn: &mut Db, step: i64, before: i64) -> Result<Option<i64>> {
    Ok(usage_rounds::table
        .filter(usage_rounds::step.eq(step))
        .filter(usage_rounds::slot.lt(before))
        .filter(diesel::dsl::not(usage_rounds::rolled))
        .order(usage_rounds::slot)
        .select(usage_rounds::slot)
        .one(conn)?)
}

/// Takes up to `most` hosts with intervals not rolled up in `from..until`, and notes these as rolled up.
pub fn claim_open(
    conn: &mut Db,
    step: i64,
    (from, until): (i64, i64),
    most: i64,
) -> Result<Vec<HostId>> {
    let hosts: Vec<HostId> = usage_rounds::table
        .filter(usage_rounds::step.eq(step))
        .filter(usage_rounds::slot.ge(from))
        .filter(usage_rounds::slot.lt(until))
        .filter(diesel::dsl::not(usage_rounds::rolled))
        .select(usage_rounds::host_id)
        .distinct()
        .order(usage_rounds::host_id)
        .limited(most)
        .load(conn)?;
    diesel::update(
        usage_rounds::table
            .filter(usage_rounds::host_id.eq_any(hosts.clone()))
            .filter(usage_rounds::step.eq(step))
            .filter(usage_rounds::slot.ge(from))
            .filter(usage_rounds::slot.lt(until))
            .filter(diesel::dsl::not(usage_rounds::rolled)),
    )
    .set(usage_rounds::rolled.eq(true))
    .execute(conn)?;
    Ok(hosts)
}

/// Intervals of these hosts in `from..until`, by host and time.
pub fn rounds(
    conn: &mut Db,
    step: i64,
    hosts: &[HostId],
    (from, until): (i64, i64),
) -> Result<Vec<Packed>> {
    let rows: Vec<(HostId, i64, Vec<u8>)> = usage_rounds::table
        .filter(usage_rounds::host_id.eq_any(hosts.to_vec()))
        .filter(usage_rounds::step.eq(step))
        .filter(usage_rounds::slot.ge(from))
        .filter(usage_rounds::slot.lt(until))
        .order((usage_rounds::host_id, usage_rounds::slot))
        .select((
            usage_rounds::host_id,
            usage_rounds::slot,
            usage_rounds::data,
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(host, slot, data)| Packed { host, slot, data })
        .collect())
}

/// This day of these Linodes, as far as it is kept.
pub fn days_of(conn: &mut Db, linodes: &[LinodeId], day: i64) -> Result<Vec<(LinodeId, Vec<u8>)>> {
    Ok(usage_days::table
        .filter(usage_days::linode_id.eq_any(linodes.to_vec()))
        .filter(usage_days::day.eq(day))
        .select((usage_days::linode_id, usage_days::data))
        .load(conn)?)
}

/// A Linode's days in `from..until`.
pub fn days(
    conn: &mut Db,
    linode: LinodeId,
    (from, until): (i64, i64),
) -> Result<Vec<(i64, Vec<u8>)>> {
    Ok(usage_days::table
        .filter(usage_days::linode_id.eq(linode))
        .filter(usage_days::day.ge(from))
        .filter(usage_days::day.lt(until))
        .order(usage_days::day)
        .select((usage_days::day, usage_days::data))
        .load(conn)?)
}

pub fn set_days(conn: &mut Db, rows: &[(LinodeId, i64, Vec<u8>)]) -> Result<()> {
    for rows in rows.chunks(ROWS) {
        let sql = format!(
            "INSERT INTO usage_days (linode_id, day, data) VALUES {} \
             ON CONFLICT (linode_id, day) DO UPDATE SET data = excluded.data",
            places(rows.len(), 3)
        );
        many(conn, sql, rows.iter().flat_map(day_values).collect())?;
    }
    Ok(())
}

fn day_values((linode, day, data): &(LinodeId, i64, Vec<u8>)) -> [Value<'_>; 3] {
    [Value::Int(linode.0), Value::Int(*day), Value::Bytes(data)]
}

/// Which of these Linodes there are.
pub fn existing(conn: &mut Db, of: &[LinodeId]) -> Result<BTreeSet<LinodeId>> {
    let mut found = BTreeSet::new();
    for some in of.chunks(IDS) {
        let ids: Vec<LinodeId> = linodes::table
            .filter(linodes::id.eq_any(some.to_vec()))
            .select(linodes::id)
            .load(conn)?;
        found.extend(ids);
    }
    Ok(found)
}

/// Is there an interval of `step` that began before `before`?
pub fn any_round_before(conn: &mut Db, step: i64, before: i64) -> Result<bool> {
    let oldest: Option<i64> = usage_rounds::table
        .filter(usage_rounds::step.eq(step))
        .filter(usage_rounds::slot.lt(before))
        .order(usage_rounds::slot)
        .select(usage_rounds::slot)
        .one(conn)?;
    Ok(oldest.is_some())
}

/// Of the `most` oldest intervals that began before `before`, forgets those that are rolled up, or began before `anyway`.
/// Says how many.
pub fn forget_rounds(
    conn: &mut Db,
    step: i64,
    (before, anyway): (i64, i64),
    most: i64,
) -> Result<usize> {
    // The oldest first, and then whether they may go: what may not yet is not searched again and again for the rest.
    let sql = "DELETE FROM usage_rounds WHERE (host_id, step, slot) IN (SELECT host_id, step, slot FROM \
               (SELECT host_id, step, slot, rolled FROM usage_rounds WHERE step = $1 AND slot < $2 ORDER BY slot LIMIT $3) \
               AS oldest WHERE rolled OR slot < $4)";
    // SQLite numbers them as they appear.
    let values = [step, before, most, anyway].map(Value::Int);
    Ok(many(conn, sql.to_owned(), values.into())?)
}

/// Is there a day of a Linode before `before`?
pub fn any_day_before(conn: &mut Db, before: i64) -> Result<bool> {
    let oldest: Option<i64> = usage_days::table
        .select(diesel::dsl::min(usage_days::day))
        .at_most::<1>()
        .get_result(conn)?;
    Ok(oldest.is_some_and(|day| day < before))
}

/// Forgets up to `most` of the Linodes' oldest days before `before`. Says how many.
pub fn forget_days(conn: &mut Db, before: i64, most: i64) -> Result<usize> {
    let sql = "DELETE FROM usage_days WHERE (linode_id, day) IN (SELECT linode_id, day FROM usage_days WHERE day < $1 \
               ORDER BY day LIMIT $2)";
    let values = [before, most].map(Value::Int);
    Ok(many(conn, sql.to_owned(), values.into())?)
}
