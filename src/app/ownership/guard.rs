//! May this Linode change hands now? Asked before every act that would do it.

use crate::app::error::{AppError, Result};
use crate::domain::ids::LinodeId;
use crate::domain::migration::Event;
use crate::store;
use crate::store::db::Db;

/// Refuses what must not happen to a held Linode.
pub(in crate::app) fn not_held(conn: &mut Db, linode: LinodeId) -> Result<()> {
    match store::ownership::hold::of(conn, linode)? {
        None => Ok(()),
        Some(_) => Err(AppError::Later(
            "This Linode is held: a host says something else of it than the portal knows. Staff look at it; it goes on when that is put right.".to_owned(),
        )),
    }
}

/// Refuses what changes who may run a Linode, or deletes disks, while the portal recovers or the Linode is held. What two
/// staff have said of a lost host goes on.
pub(in crate::app) fn may_change_hands(
    conn: &mut Db,
    linode: LinodeId,
    event: Event,
) -> Result<()> {
    if store::ownership::memory::get(conn)?
        .recovery_since
        .is_some()
    {
        return Err(AppError::Later(
            "The portal is putting its memory right: no Linode changes hands until every host has reported.".to_owned(),
        ));
    }
    if event != Event::DestinationLost {
        not_held(conn, linode)?;
    }
    Ok(())
}
