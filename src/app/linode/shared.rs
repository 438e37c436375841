//! What its rooms, and others, ask of a Linode.

use crate::app::error::{AppError, Result};
use crate::domain::ids::{AccountId, LinodeId};
use crate::store;
use crate::store::db::Db;
use crate::store::linode::Linode;

/// A Linode of this account; another's is not found.
pub(in crate::app) fn own_linode(
    conn: &mut Db,
    account: AccountId,
    id: LinodeId,
) -> Result<Linode> {
    store::linode::linode_of(conn, account, id)?.ok_or(AppError::NotFound)
}
