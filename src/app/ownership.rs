//! The one way by which a Linode changes hands: the compare-and-set and its line in the audit trail, together.

use super::{AppError, Who, audit};
use crate::domain::ids::LinodeId;
use crate::domain::time::Time;
use crate::store::db::Db;
use crate::store::fleet::{self, Handover};
use crate::store::portal;

/// `false` if the Linode is not as `handover.from` says; then nothing changed.
pub fn hand_over(
    conn: &mut Db,
    now: Time,
    who: Who<'_>,
    linode: LinodeId,
    handover: Handover,
) -> Result<bool, AppError> {
    if !fleet::hand_over(conn, linode, handover)? {
        return Ok(false);
    }
    portal::count_up(conn)?;
    let place = |(host, epoch)| format!("host {host}, epoch {epoch}");
    let (from, to) = (place(handover.from), place(handover.to));
    let object = format!("linode {linode}");
    audit(conn, now, who, "owner", &object, (&from, &to))?;
    Ok(true)
}
