//! The one way by which a Linode changes hands: what `domain::handover` made of its row, by compare-and-set, with the portal's
//! revision and its line in the audit trail.

use super::{AppError, Who, audit};
use crate::domain::handover;
use crate::domain::ids::{HostId, LinodeId};
use crate::domain::ownership::Row;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::fleet;
use crate::store::portal;

/// `false` if the Linode is not as `from` says; then nothing changed.
pub fn hand_over(
    conn: &mut Db,
    now: Time,
    who: Who<'_>,
    linode: LinodeId,
    (from, to): (Row, Row),
) -> Result<bool, AppError> {
    if !fleet::hand_over(conn, linode, (from, to))? {
        return Ok(false);
    }
    portal::count_up(conn)?;
    let place = |row: Row| format!("host {}, epoch {}", row.host, row.epoch);
    let object = format!("linode {linode}");
    audit(conn, now, who, "owner", &object, (&place(from), &place(to)))?;
    Ok(true)
}

/// The owner is about to be told of its epoch, or says that it knows; `false` if it is not the owner under that epoch.
pub fn fetch(
    conn: &mut Db,
    linode: LinodeId,
    (host, epoch): (HostId, i64),
) -> Result<bool, AppError> {
    // Twice at most: under one epoch the row changes once, from not told to told.
    for _ in 0..2 {
        let row = fleet::linode(conn, linode)?.map(|linode| linode.row());
        let Some((from, to)) =
            row.and_then(|row| Some((row, handover::fetch(row, (host, epoch))?)))
        else {
            return Ok(false);
        };
        if fleet::hand_over(conn, linode, (from, to))? {
            // An agent that has this grant has seen a higher revision than any portal that does not know of it.
            portal::count_up(conn)?;
            return Ok(true);
        }
    }
    Ok(false)
}
