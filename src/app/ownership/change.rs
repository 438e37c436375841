//! The one way by which a Linode changes hands: what `domain::ownership::handover` made of its row, by compare-and-set, with the portal's
//! revision and its line in the audit trail.

use crate::app::context::Tx;
use crate::app::error::Result;
use crate::domain::audit::{Action, Object};
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::ownership::{Row, handover};
use crate::store;
use crate::store::db::Db;
use crate::store::job::Job;

/// `false` if the Linode is not as `from` says; then nothing changed.
pub(in crate::app) fn hand_over(
    tx: &mut Tx<'_>,
    linode: LinodeId,
    (from, to): (Row, Row),
) -> Result<bool> {
    if !store::linode::hand_over(tx.conn, linode, (from, to))? {
        return Ok(false);
    }
    store::ownership::memory::count_up(tx.conn)?;
    let place = |row: Row| format!("host {}, epoch {}", row.host, row.epoch);
    tx.audit(
        Action::Owner,
        Object::Linode(linode),
        (&place(from), &place(to)),
    )?;
    Ok(true)
}

/// This host is about to be told of what it owns under these epochs, or says that it knows; how many of them it does own so.
pub(in crate::app) fn fetch(conn: &mut Db, host: HostId, of: &[(LinodeId, i64)]) -> Result<usize> {
    let mut known = 0;
    for (linode, epoch) in of {
        known += usize::from(fetch_one(conn, *linode, (host, *epoch))?);
    }
    if known > 0 {
        // Once, after the Linodes: others take that row last. An agent that has a grant has seen a higher revision than any
        // portal that does not know of it.
        store::ownership::memory::count_up(conn)?;
    }
    Ok(known)
}

fn fetch_one(conn: &mut Db, linode: LinodeId, owner: (HostId, i64)) -> Result<bool> {
    // Twice at most: under one epoch the row changes once, from not told to told.
    for _ in 0..2 {
        let row = store::linode::linode(conn, linode)?.map(|linode| linode.row());
        let Some((from, to)) = row.and_then(|row| Some((row, handover::fetch(row, owner)?))) else {
            return Ok(false);
        };
        if store::linode::hand_over(conn, linode, (from, to))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Is a job of this Linode its owner's business under its present epoch?
pub(in crate::app) fn is_current(conn: &mut Db, linode: LinodeId, job: &Job) -> Result<bool> {
    Ok(store::linode::linode(conn, linode)?
        .is_some_and(|it| it.host_id == job.host_id && it.epoch == job.epoch))
}
