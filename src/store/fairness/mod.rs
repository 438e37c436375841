//! How the guests of each host stood to each other, an interval a row: written when usage is rolled up, read by staff.

pub mod pack;
pub mod page;
pub mod usage;
pub mod weights;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use usage::{Value, many, places};

use super::db::Db;
use super::error::Result;
use super::schema::{host_fairness, linodes};
use crate::domain::fairness::judge::Figures;
use crate::domain::ids::{HostId, LinodeId};
use crate::store::limit::Limit;

/// One interval with samples. Ratios and Jain's index in parts of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub struct Interval {
    pub host_id: HostId,
    pub slot: i64,
    pub judged_ms: i64,
    pub contended_ms: i64,
    /// Who counted; 0 if nobody could be compared.
    pub guests: i64,
    pub jain: i64,
    pub worst_id: Option<LinodeId>,
    pub worst_ratio: i64,
    pub worst_excess_ms: i64,
    pub least_id: Option<LinodeId>,
    pub least_ratio: i64,
}

const ROWS: usize = 300;

pub fn set(conn: &mut Db, step: i64, rows: &[Interval]) -> Result<()> {
    for rows in rows.chunks(ROWS) {
        let sql = format!(
            "INSERT INTO host_fairness (host_id, step, slot, judged_ms, contended_ms, guests, jain, worst_id, worst_ratio, \
             worst_excess_ms, least_id, least_ratio) VALUES {} ON CONFLICT (host_id, step, slot) DO UPDATE SET \
             judged_ms = excluded.judged_ms, contended_ms = excluded.contended_ms, guests = excluded.guests, \
             jain = excluded.jain, worst_id = excluded.worst_id, worst_ratio = excluded.worst_ratio, \
             worst_excess_ms = excluded.worst_excess_ms, least_id = excluded.least_id, least_ratio = excluded.least_ratio",
            places(rows.len(), 12)
        );
        let values = rows.iter().flat_map(|row| {
            [
                Value::Int(row.host_id.0),
                Value::Int(step),
                Value::Int(row.slot),
                Value::Int(row.judged_ms),
                Value::Int(row.contended_ms),
                Value::Int(row.guests),
                Value::Int(row.jain),
                Value::Maybe(row.worst_id.map(|id| id.0)),
                Value::Int(row.worst_ratio),
                Value::Int(row.worst_excess_ms),
                Value::Maybe(row.least_id.map(|id| id.0)),
                Value::Int(row.least_ratio),
            ]
        });
        many(conn, sql, values.collect())?;
    }
    Ok(())
}

/// A host's intervals in `from..until`, by time.
pub fn of_host(
    conn: &mut Db,
    host: HostId,
    step: i64,
    (from, until): (i64, i64),
) -> Result<Vec<Interval>> {
    Ok(host_fairness::table
        .filter(host_fairness::host_id.eq(host))
        .filter(host_fairness::step.eq(step))
        .filter(host_fairness::slot.ge(from))
        .filter(host_fairness::slot.lt(until))
        .order(host_fairness::slot)
        .select((
            host_fairness::host_id,
            host_fairness::slot,
            host_fairness::judged_ms,
            host_fairness::contended_ms,
            host_fairness::guests,
            host_fairness::jain,
            host_fairness::worst_id,
            host_fairness::worst_ratio,
            host_fairness::worst_excess_ms,
            host_fairness::least_id,
            host_fairness::least_ratio,
        ))
        .load(conn)?)
}

/// A host over a time, summed in the database. Means are weighted by contended time.
#[derive(Debug, Clone, QueryableByName)]
pub struct Summary {
    #[diesel(sql_type = BigInt)]
    pub host_id: HostId,
    #[diesel(sql_type = BigInt)]
    pub judged_ms: i64,
    #[diesel(sql_type = BigInt)]
    pub contended_ms: i64,
    /// Σ over the intervals in which guests could be compared.
    #[diesel(sql_type = BigInt)]
    pub compared_ms: i64,
    #[diesel(sql_type = BigInt)]
    pub jain_ms: i64,
    #[diesel(sql_type = BigInt)]
    pub least_ms: i64,
}

impl Summary {
    /// Of one host's intervals; the same as the database's sums.
    pub fn of(host_id: HostId, intervals: &[Interval]) -> Self {
        let mut sum = Self {
            host_id,
            judged_ms: 0,
            contended_ms: 0,
            compared_ms: 0,
            jain_ms: 0,
            least_ms: 0,
        };
        for it in intervals {
            let compared_ms = if it.guests > 0 { it.contended_ms } else { 0 };
            sum.add(&Self {
                host_id,
                judged_ms: it.judged_ms,
                contended_ms: it.contended_ms,
                compared_ms,
                jain_ms: it.jain * compared_ms,
                least_ms: it.least_ratio * compared_ms,
            });
        }
        sum
    }

    /// Another part of the same time.
    pub fn add(&mut self, more: &Self) {
        self.judged_ms += more.judged_ms;
        self.contended_ms += more.contended_ms;
        self.compared_ms += more.compared_ms;
        self.jain_ms += more.jain_ms;
        self.least_ms += more.least_ms;
    }

    /// What a verdict is given on.
    pub fn figures(&self) -> Figures {
        let ms = |ms: i64| u64::try_from(ms).unwrap_or(0);
        Figures {
            judged_ms: ms(self.judged_ms),
            contended_ms: ms(self.contended_ms),
            compared_ms: ms(self.compared_ms),
            jain: self.jain(),
            least: self.least(),
        }
    }

    /// Jain's index, mean over the time compared; 1 if there was none.
    pub fn jain(&self) -> f64 {
        mean(self.jain_ms, self.compared_ms)
    }

    /// Got ÷ due of who came furthest below, mean over the time compared.
    pub fn least(&self) -> f64 {
        mean(self.least_ms, self.compared_ms)
    }
}

fn mean(sum: i64, over: i64) -> f64 {
    if over > 0 {
        sum as f64 / over as f64 / 1000.0
    } else {
        1.0
    }
}

/// Every host with samples in the times: one query for each of `steps` (step, from, until).
pub fn summaries(conn: &mut Db, step: i64, (from, until): (i64, i64)) -> Result<Vec<Summary>> {
    const SQL: &str = "SELECT host_id, CAST(SUM(judged_ms) AS BIGINT) AS judged_ms, \
        CAST(SUM(contended_ms) AS BIGINT) AS contended_ms, \
        CAST(SUM(CASE WHEN guests > 0 THEN contended_ms ELSE 0 END) AS BIGINT) AS compared_ms, \
        CAST(SUM(CASE WHEN guests > 0 THEN jain * contended_ms ELSE 0 END) AS BIGINT) AS jain_ms, \
        CAST(SUM(CASE WHEN guests > 0 THEN least_ratio * contended_ms ELSE 0 END) AS BIGINT) AS least_ms \
        FROM host_fairness WHERE step = $1 AND slot >= $2 AND slot < $3 GROUP BY host_id";
    let query = diesel::sql_query(SQL)
        .bind::<BigInt, _>(step)
        .bind::<BigInt, _>(from)
        .bind::<BigInt, _>(until);
    Ok(match conn {
        Db::Pg(conn) => query.load(conn)?,
        Db::Sqlite(conn) => query.load(conn)?,
    })
}

/// The neighbour who took most beyond its due in one interval of the time.
#[derive(Debug, Clone, QueryableByName)]
pub struct Worst {
    #[diesel(sql_type = BigInt)]
    pub host_id: HostId,
    #[diesel(sql_type = BigInt)]
    pub worst_id: LinodeId,
    #[diesel(sql_type = Text)]
    pub label: String,
    #[diesel(sql_type = BigInt)]
    pub worst_ratio: i64,
    #[diesel(sql_type = BigInt)]
    pub worst_excess_ms: i64,
}

/// Of these hosts.
pub fn worst(
    conn: &mut Db,
    hosts: &[HostId],
    step: i64,
    (from, until): (i64, i64),
) -> Result<Vec<Worst>> {
    if hosts.is_empty() {
        return Ok(Vec::new());
    }
    // Numbers alone, so nothing of a text can get in.
    let ids: Vec<String> = hosts.iter().map(|host| host.0.to_string()).collect();
    let sql = format!(
        "SELECT on_host AS host_id, worst_id, linodes.label AS label, worst_ratio, worst_excess_ms FROM (SELECT host_id AS on_host, worst_id, worst_ratio, \
        worst_excess_ms, ROW_NUMBER() OVER (PARTITION BY host_id ORDER BY worst_excess_ms DESC, slot) AS place FROM host_fairness \
        WHERE host_id IN ({}) AND step = $1 AND slot >= $2 AND slot < $3 AND worst_id IS NOT NULL) AS ranked \
        JOIN linodes ON linodes.id = ranked.worst_id WHERE place = 1",
        ids.join(",")
    );
    let query = diesel::sql_query(sql)
        .bind::<BigInt, _>(step)
        .bind::<BigInt, _>(from)
        .bind::<BigInt, _>(until);
    Ok(match conn {
        Db::Pg(conn) => query.load(conn)?,
        Db::Sqlite(conn) => query.load(conn)?,
    })
}

/// When the first interval of `step` begins.
pub fn first(conn: &mut Db, step: i64) -> Result<Option<i64>> {
    Ok(host_fairness::table
        .filter(host_fairness::step.eq(step))
        .order(host_fairness::slot)
        .select(host_fairness::slot)
        .one(conn)?)
}

/// Labels of these Linodes.
pub fn labels(conn: &mut Db, of: &[LinodeId]) -> Result<Vec<(LinodeId, String)>> {
    Ok(linodes::table
        .filter(linodes::id.eq_any(of.to_vec()))
        .select((linodes::id, linodes::label))
        .load(conn)?)
}

/// Is there an interval of `step` that began before `before`?
pub fn any_before(conn: &mut Db, step: i64, before: i64) -> Result<bool> {
    Ok(first(conn, step)?.is_some_and(|oldest| oldest < before))
}

/// Forgets up to `most` of the oldest intervals that began before `before`. Says how many.
pub fn forget(conn: &mut Db, step: i64, before: i64, most: i64) -> Result<usize> {
    let sql = "DELETE FROM host_fairness WHERE (host_id, step, slot) IN (SELECT host_id, step, slot FROM host_fairness \
               WHERE step = $1 AND slot < $2 ORDER BY slot LIMIT $3)";
    let values = [step, before, most].map(Value::Int);
    Ok(many(conn, sql.to_owned(), values.into())?)
}
