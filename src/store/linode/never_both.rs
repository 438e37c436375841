//! Linodes of an account that are never both down for a move.

use diesel::prelude::*;

use super::Linode;
use crate::domain::ids::{AccountId, LinodeId};
use crate::domain::linode::LinodeStatus;
use crate::domain::migration::MigrationState;
use crate::store::db::Db;
use crate::store::error::Result;
use crate::store::limit::Limit;
use crate::store::schema::{linodes, migrations};

/// Which they are; `but` is not one of them. A partial index holds them: the statement names what it names.
fn group(
    conn: &mut Db,
    account: AccountId,
    name: &str,
    but: LinodeId,
) -> Result<Vec<(LinodeId, String, LinodeStatus)>> {
    if name.is_empty() {
        return Ok(Vec::new());
    }
    Ok(linodes::table
        .filter(linodes::account_id.eq(account))
        .filter(linodes::never_both.eq(name))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(
            "linodes.never_both <> ''",
        ))
        .filter(linodes::id.ne(but))
        .order(linodes::label)
        .select((linodes::id, linodes::label, linodes::status))
        .at_most::<100>()
        .load(conn)?)
}

/// The label of one that is down, or is being moved, and that must not be so together with this one; none stands in the way
/// of one that is off itself.
pub fn in_the_way(conn: &mut Db, of: &Linode) -> Result<Option<String>> {
    if of.never_both.is_empty() || of.status == LinodeStatus::Offline {
        return Ok(None);
    }
    let mut others = group(conn, of.account_id, &of.never_both, of.id)?;
    let moving: Vec<LinodeId> = migrations::table
        .filter(migrations::state.eq(MigrationState::Switching))
        .filter(migrations::linode_id.eq_any(others.iter().map(|(id, ..)| *id)))
        .select(migrations::linode_id)
        .load(conn)?;
    others.retain(|(id, _, status)| *status != LinodeStatus::Running || moving.contains(id));
    Ok(others.into_iter().next().map(|(_, label, _)| label))
}

pub fn set(conn: &mut Db, id: LinodeId, name: &str) -> Result<()> {
    diesel::update(linodes::table.find(id))
        .set(linodes::never_both.eq(name))
        .execute(conn)?;
    Ok(())
}
