//! The rule by which a plan's RAM becomes a weight, and the Linodes whose weight staff set by hand.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::domain::fairness::shares::{Rule, RuleKind};
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::time::Time;
use crate::store::db::{Db, by_key, lock_named};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{hosts, linode_weights, linodes, plans, weight_rule};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = weight_rule)]
pub struct RuleRow {
    pub kind: RuleKind,
    pub base: i64,
    pub unit_mb: i64,
    pub changed_at: Time,
}

impl RuleRow {
    pub fn rule(&self) -> Rule {
        match self.kind {
            RuleKind::Plan => Rule::Plan,
            RuleKind::Linear => Rule::Linear {
                base: self.base,
                unit_mb: self.unit_mb,
            },
        }
    }
}

/// One at a time changes the rule, so that of two the second sees the first's. SQLite has one writer anyway.
pub fn lock(conn: &mut Db) -> Result<()> {
    lock_named(conn, *b"xenw")
}

/// As it was set, if it ever was.
pub fn stored(conn: &mut Db) -> Result<Option<RuleRow>> {
    Ok(by_key!(conn, weight_rule, 1_i64, RuleRow))
}

/// The rule in force.
pub fn rule(conn: &mut Db) -> Result<Rule> {
    Ok(stored(conn)?.map_or(Rule::Plan, |row| row.rule()))
}

pub fn set(conn: &mut Db, row: &RuleRow) -> Result<()> {
    let changed = diesel::update(weight_rule::table.find(1_i64))
        .set(row)
        .execute(conn)?;
    if changed == 0 {
        diesel::insert_into(weight_rule::table)
            .values((weight_rule::id.eq(1_i64), row))
            .execute(conn)?;
    }
    Ok(())
}

/// The Linode's weight, if it was set by hand.
pub fn own(conn: &mut Db, linode: LinodeId) -> Result<Option<i64>> {
    Ok(linode_weights::table
        .find(linode)
        .select(linode_weights::weight)
        .get_result(conn)
        .optional()?)
}

/// Weights set by hand on a host's Linodes.
pub fn own_on(conn: &mut Db, host: HostId) -> Result<HashMap<LinodeId, i64>> {
    let rows: Vec<(LinodeId, i64)> = linode_weights::table
        .inner_join(linodes::table)
        .filter(linodes::host_id.eq(host))
        .select((linode_weights::linode_id, linode_weights::weight))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

pub fn set_own(
    conn: &mut Db,
    linode: LinodeId,
    weight: Option<i64>,
    reason: &str,
    now: Time,
) -> Result<()> {
    diesel::delete(linode_weights::table.find(linode)).execute(conn)?;
    if let Some(weight) = weight {
        diesel::insert_into(linode_weights::table)
            .values((
                linode_weights::linode_id.eq(linode),
                linode_weights::weight.eq(weight),
                linode_weights::reason.eq(reason),
                linode_weights::set_at.eq(now),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// A Linode with its weight set by hand, for the list.
#[derive(Debug, Clone, Queryable)]
pub struct Own {
    pub linode: LinodeId,
    pub label: String,
    pub host: String,
    pub ram_mb: i64,
    pub plan_weight: i64,
    pub weight: i64,
    pub reason: String,
    pub set_at: Time,
}

/// By Linode, after `after`.
pub fn list_own(conn: &mut Db, after: LinodeId, most: i64) -> Result<Vec<Own>> {
    Ok(linode_weights::table
        .inner_join(
            linodes::table
                .inner_join(plans::table)
                .inner_join(hosts::table),
        )
        .filter(linode_weights::linode_id.gt(after))
        .order(linode_weights::linode_id)
        .select((
            linode_weights::linode_id,
            linodes::label,
            hosts::name,
            plans::ram_mb,
            plans::cpu_weight,
            linode_weights::weight,
            linode_weights::reason,
            linode_weights::set_at,
        ))
        .limited(most)
        .load(conn)?)
}
