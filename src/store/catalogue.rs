//! What every Linode chooses from: plans and kernels.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::db::Db;
use super::error::Result;
use super::schema::{kernels, plans};
use crate::domain::ids::PlanId;
use crate::domain::linode::{KernelFamily, translate};
use crate::domain::platform::Platform;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = plans)]
pub struct Plan {
    pub id: PlanId,
    pub label: String,
    pub ram_mb: i64,
    pub disk_mb: i64,
    pub vcpus: i32,
    pub cpu_weight: i64,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = kernels)]
pub struct Kernel {
    pub id: String,
    pub label: String,
    pub platform: Platform,
    pub family: KernelFamily,
    pub maps_to: Option<String>,
}

pub fn plans(conn: &mut Db) -> Result<Vec<Plan>> {
    Ok(plans::table
        .order((plans::ram_mb, plans::id))
        .select(Plan::as_select())
        .load(conn)?)
}

pub fn plan(conn: &mut Db, id: PlanId) -> Result<Plan> {
    Ok(plans::table
        .find(id)
        .select(Plan::as_select())
        .get_result(conn)?)
}

/// All kernels, by id, as the translation of config profiles wants them.
pub fn kernels(conn: &mut Db) -> Result<BTreeMap<String, translate::Kernel>> {
    let rows: Vec<Kernel> = kernels::table.select(Kernel::as_select()).load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let kernel = translate::Kernel {
                id: row.id.clone(),
                label: row.label,
                platform: row.platform,
                family: row.family,
                maps_to: row.maps_to,
            };
            (row.id, kernel)
        })
        .collect())
}
