//! Checks of Linodes: what is to answer after a move, what each answered last, and what follows if one does not.

use diesel::prelude::*;

use crate::domain::ids::LinodeId;
use crate::domain::linode::check::{Check, CheckPlan, Http};
use crate::domain::time::Time;
use crate::store::db::{Both, Db, by_key};
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{check_plans, checks};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = checks)]
pub struct CheckRow {
    pub linode_id: LinodeId,
    /// From 1, in its member's order.
    pub position: i32,
    address: String,
    port: i32,
    path: String,
    status: i32,
    /// What it answered when it was asked last: as it should, or not; `None`: never asked, or its host could not.
    pub ok: Option<bool>,
    pub said: String,
    pub asked_at: Option<Time>,
}

impl CheckRow {
    pub fn new(linode: LinodeId, position: i32, check: &Check) -> Self {
        let (path, status) = http_columns(check);
        Self {
            linode_id: linode,
            position,
            address: check.address.clone(),
            port: i32::from(check.port),
            path,
            status,
            ok: None,
            said: String::new(),
            asked_at: None,
        }
    }

    pub fn check(&self) -> Check {
        from_columns(&self.address, self.port, (&self.path, self.status))
    }
}

/// A check's path and status: empty and 0 of a TCP port.
pub(in crate::store) fn http_columns(check: &Check) -> (String, i32) {
    check.http.as_ref().map_or_else(
        || (String::new(), 0),
        |http| (http.path.clone(), i32::from(http.status)),
    )
}

pub(in crate::store) fn from_columns(
    address: &str,
    port: i32,
    (path, status): (&str, i32),
) -> Check {
    let http = (!path.is_empty()).then(|| Http {
        path: path.to_owned(),
        status: u16::try_from(status).unwrap_or(0),
    });
    Check {
        address: address.to_owned(),
        port: u16::try_from(port).unwrap_or(0),
        http,
    }
}

pub fn of(conn: &mut Db, linode: LinodeId) -> Result<Vec<CheckRow>> {
    Ok(checks::table
        .filter(checks::linode_id.eq(linode))
        .order(checks::position)
        .select(CheckRow::as_select())
        .at_most::<100>()
        .load(conn)?)
}

/// Others take their place; what is the same keeps what it answered.
pub fn replace(conn: &mut Db, linode: LinodeId, with: &[Check]) -> Result<()> {
    let before = of(conn, linode)?;
    diesel::delete(checks::table.filter(checks::linode_id.eq(linode))).execute(conn)?;
    for (position, check) in (1..).zip(with) {
        let mut row = CheckRow::new(linode, position, check);
        if let Some(same) = before.iter().find(|it| it.check() == *check) {
            (row.ok, row.asked_at) = (same.ok, same.asked_at);
            row.said.clone_from(&same.said);
        }
        diesel::insert_into(checks::table)
            .values(&row)
            .execute(conn)?;
    }
    Ok(())
}

/// What one answered just now.
pub fn answered(
    conn: &mut Db,
    of: (LinodeId, i32),
    (ok, said): (Option<bool>, &str),
    at: Time,
) -> Result<()> {
    diesel::update(checks::table.find(of))
        .set((
            checks::ok.eq(ok),
            checks::said.eq(said),
            checks::asked_at.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = check_plans)]
struct PlanRow {
    linode_id: LinodeId,
    goes_home: bool,
    limit_s: i32,
}

pub fn plan(conn: &mut Db, linode: LinodeId) -> Result<CheckPlan> {
    let row: Option<PlanRow> = by_key!(conn, check_plans, linode, PlanRow);
    Ok(row.map_or_else(CheckPlan::default, |row| CheckPlan {
        goes_home: row.goes_home,
        limit_s: row.limit_s,
    }))
}

pub fn set_plan(conn: &mut Db, linode: LinodeId, plan: CheckPlan) -> Result<()> {
    let row = PlanRow {
        linode_id: linode,
        goes_home: plan.goes_home,
        limit_s: plan.limit_s,
    };
    Both(
        diesel::insert_into(check_plans::table)
            .values(&row)
            .on_conflict(check_plans::linode_id)
            .do_update()
            .set(&row),
    )
    .execute(conn)?;
    Ok(())
}
