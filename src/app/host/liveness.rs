//! When a host counts as silent.

use crate::domain::host::HostState;
use crate::domain::time::Time;
use crate::store;
use crate::store::host::room::RoomQuery;

pub use crate::domain::host::SILENT_S;

/// Rooms as they are asked for now, for no Linode in particular.
pub fn asked_at(now: Time) -> RoomQuery {
    RoomQuery {
        heard_since: now.plus_s(-SILENT_S),
        of: None,
    }
}

/// Should it speak (it takes part), and does it not? `silence` asks the database the same.
pub fn is_silent(host: &store::host::Host, now: Time) -> bool {
    let since = now.plus_s(-SILENT_S);
    HostState::TAKING_PART.contains(&host.state) && host.last_seen_at.is_some_and(|at| at < since)
}
