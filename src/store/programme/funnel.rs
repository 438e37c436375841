//! How far Linodes have come in the programme.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::domain::migration::{MigrationKind, MigrationState};
use crate::store::db::Db;
use crate::store::error::Result;

/// Linodes that came at least so far, ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Funnel {
    #[diesel(sql_type = BigInt)]
    pub registered: i64,
    #[diesel(sql_type = BigInt)]
    pub approved: i64,
    #[diesel(sql_type = BigInt)]
    pub offered: i64,
    #[diesel(sql_type = BigInt)]
    pub moved: i64,
    #[diesel(sql_type = BigInt)]
    pub confirmed: i64,
    #[diesel(sql_type = BigInt)]
    pub graduated: i64,
}

/// In one statement. Who is offered a place was approved, whatever has become of the registration since.
pub fn funnel(conn: &mut Db) -> Result<Funnel> {
    let (beta, graduation) = (MigrationKind::Beta, MigrationKind::Graduation);
    let (finished, confirmed) = (MigrationState::Finished, MigrationState::Confirmed);
    let offered = format!("SELECT linode_id FROM migrations WHERE kind = '{beta}'");
    let graduated = format!(
        "SELECT linode_id FROM migrations WHERE kind = '{graduation}' AND state IN ('{finished}', '{confirmed}')"
    );
    let of = |linodes: &str| {
        format!("(SELECT COUNT(*) FROM (SELECT DISTINCT linode_id FROM ({linodes}) AS a) AS b)")
    };
    let sql = format!(
        "SELECT {} AS registered, {} AS approved, {} AS offered, {} AS moved, {} AS confirmed, {} AS graduated",
        of(&format!(
            "SELECT linode_id FROM registrations UNION {offered}"
        )),
        of(&format!(
            "SELECT linode_id FROM registrations WHERE state IN ('approved', 'graduated') UNION {offered}"
        )),
        of(&offered),
        of(&format!("{offered} AND finished_at IS NOT NULL")),
        of(&format!("{offered} AND state = '{confirmed}'")),
        of(&graduated),
    );
    let query = diesel::sql_query(sql);
    Ok(match conn {
        Db::Pg(conn) => query.get_result(conn)?,
        Db::Sqlite(conn) => query.get_result(conn)?,
    })
}
